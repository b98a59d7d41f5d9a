"""The facts that a registration is given, by options and a manifest file, and those that it still lacks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import AlreadyExists, UsageError
from datakeep.core.names import check_name
from datakeep.formats import yaml
from datakeep.formats.manifest import Manifest
from datakeep.workflows import attachments, facts
from datakeep.workflows.days import check_days
from datakeep.workflows.parents import check_parents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from datakeep.repository.identity import Identity
    from datakeep.store.scan import SourceFile
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.register import Request


def document_of(request: Request, who: Identity) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest's fields as far as they are given, and the files that they name."""
    given = dict(request.given)
    document, files = read_manifest(request.manifest) if request.manifest else ({}, {})
    files |= attachments.from_options(given)
    if document.get("name") not in (None, request.name):
        raise UsageError(
            f"{request.manifest} is the manifest of {document['name']!r}, not of {request.name!r}",
            next_step="use that name, or correct the manifest's",
        )
    backend = request.backend or document.get("backend")
    document |= {"format": Manifest.format_line(), "name": request.name}
    document |= {"backend": backend} if backend else {}
    document.setdefault("owner", {"name": who.name, "email": who.email})
    if facts.get(document, "source.kind") is None and "source.kind" not in given:
        facts.put(document, "source.kind", "files")
    facts.state(document, given)
    return document, files


def read_manifest(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A manifest that a user hands in, with its comments, and the files beside it that it names.

    Name and backend may be left out: the command line says them. Everything else is checked strictly.

    Raises:
        InvalidFile, MisspelledField: It cannot be used as it is.
    """
    document = yaml.load(attachments.read(path), what=str(path))
    document.setdefault("format", Manifest.format_line())
    trial = {"name": "unnamed", "backend": "git", **document}
    facts.check_writable(document)
    check_days(document, what=str(path))
    Manifest.of(trial, what=str(path)).check_strict(what=str(path))
    return document, attachments.beside_manifest(document, path)


def complete(
    keep: Keep, request: Request, document: dict[str, Any], suggested: Mapping[str, str]
) -> tuple[dict[str, Any], Manifest]:
    """The manifest's fields in their order, none missing that the policy requires; and the manifest."""
    document = facts.ordered(document) if request.manifest is None else document
    manifest = asked(keep, request, document, suggested)
    check_parents(keep, document)  # once more: a person may have been asked for them
    return document, manifest


def asked(keep: Keep, request: Request, document: dict[str, Any], suggested: Mapping[str, str]) -> Manifest:
    """The manifest of ``document``, after a person was asked for what the policy requires and is missing."""
    return facts.complete(
        document,
        keep.file.policy.require,
        ask=request.ask,
        suggestions=suggested,
        command=request.command,
    )


def attach_asked(document: dict[str, Any], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files that a person named when asked, by their place in the repository, which the document then names."""
    wanted = {}
    for path in ("source.query", "annotation.rules"):
        value = facts.get(document, path)
        if isinstance(value, str) and value != "unknown" and value not in files:
            wanted[path] = value
    found = attachments.from_options(wanted)
    for path, place in wanted.items():
        facts.put(document, path, place)
    return found


def suggestions(files: Sequence[SourceFile], who: Identity) -> dict[str, str]:
    """What is probably right, for questions on a terminal."""
    from datakeep.store.scan import SourceFiles

    newest = max(SourceFiles.of(files).mtimes_ns, default=None) if files else None
    day = (
        {"source.extracted_at": datetime.fromtimestamp(newest / 1e9, UTC).date().isoformat()}
        if newest
        else {}
    )
    return {"source.extracted_by": who.email, "source.kind": "files", **day}


def same_fact(manifest: dict[str, Any], path: str, text: Any) -> bool:
    """Whether the manifest states at ``path`` what the option's text says; of files it is not asked."""
    fact = facts.BY_PATH[path]
    if fact.kind == "file":
        return True
    return bool(facts.get(manifest, path) == yaml.plain(facts.value_of(fact, text)))


def require_free(keep: Keep, name: str, document: dict[str, Any]) -> None:
    """Nothing, if a new dataset can have the name, and the aliases and parents of ``document``."""
    if other := keep.dataset_once_called(name):
        raise AlreadyExists(
            f"{name} is an earlier name of the dataset {other}", next_step="choose another name"
        )
    check_aliases(keep, name, document)
    check_parents(keep, document)


def check_aliases(keep: Keep, name: str, document: Mapping[str, Any]) -> None:
    """Refuse earlier names of the dataset ``name`` that could not be used, or that mean another one.

    Raises:
        UsageError: One is malformed.
        AlreadyExists: One means another dataset.
    """
    for alias in document.get("aliases") or ():
        check_name(str(alias), what="dataset")
        other = alias if alias in keep.datasets else keep.dataset_once_called(alias)
        if other not in (None, name):
            raise AlreadyExists(
                f"{alias!r} cannot be an earlier name of {name}: it means the dataset {other}",
                next_step="leave it out, or choose another alias",
            )
