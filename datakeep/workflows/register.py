"""``register``: a source becomes a dataset, version 1."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted
from datakeep.core.digests import content_id
from datakeep.core.errors import AlreadyExists, SourceFault, UnsafePath, UsageError
from datakeep.core.names import check_name
from datakeep.extract.describe import describe
from datakeep.formats import yaml
from datakeep.formats.manifest import Manifest
from datakeep.store.hashing import hash_file
from datakeep.store.scan import SourceFiles, scan
from datakeep.store.state import HashState
from datakeep.workflows import attachments, facts
from datakeep.workflows.asked_splits import settle_splits
from datakeep.workflows.days import check_days
from datakeep.workflows.extraction import extracted, state_extracted, state_query
from datakeep.workflows.extraction_record import ended, keep_true
from datakeep.workflows.known_bytes import copy_notes, query_notes
from datakeep.workflows.left_by import left_notes
from datakeep.workflows.parents import check_parents
from datakeep.workflows.prepare import Draft
from datakeep.workflows.profiling import counting, profile_files, profile_notes, profile_of
from datakeep.workflows.publish import Publisher
from datakeep.workflows.query_secrets import refuse_in_facts
from datakeep.workflows.wanted_query import first_query, loading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from datakeep.extract.describe import Description
    from datakeep.formats.manifest import Column
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.dataset import DatasetRepository
    from datakeep.repository.identity import Identity
    from datakeep.store.scan import Scan, SourceFile
    from datakeep.workflows.extraction import Extracted
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.wanted_query import Wanted

#: Files with which a source could change how git treats it; the dvc backend has no such trouble.
_GIT_CONTROL = (".gitattributes", ".gitmodules", ".lfsconfig")


#: Up to here every clone can carry all versions in its history without anybody waiting for it.
_GIT_FILES = 1_000
_GIT_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks ``register`` or ``update`` for.

    Args:
        name: The dataset.
        sources: Files, or one folder.
        given: Dotted field of the manifest to what its option says.
        backend: ``git`` or ``dvc``.
        manifest: A manifest file that gives fields all at once; ``given`` wins over it.
        normalise_names: Bring file names into Unicode's NFC form instead of refusing others.
        ask: Asks a person for a missing fact; None where nobody can be asked.
        command: What the user typed, for messages.
        deep: Read every file, also those that did not change since they were last hashed.
        without_stores: Stores that are left out this time.
        extraction: A query that is run for the data, in the place of ``sources``.
        profile: Whether tables get a profile; None is yes, but makes no version by itself.
    """

    name: str
    sources: Sequence[Path] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    backend: str | None = None
    manifest: Path | None = None
    normalise_names: bool = False
    ask: facts.Ask | None = None
    command: str = "datakeep register"
    deep: bool = False
    without_stores: Sequence[str] = ()
    extraction: Wanted | None = None
    profile: bool | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """The version that there is now, and whether this call made it."""

    entry: VersionEntry
    created: bool
    notes: tuple[str, ...] = ()


def register(keep: Keep, request: Request, *, who: Identity, now: datetime) -> Registered:
    """The dataset is in the register, as ``v1``, with its bytes in every store.

    Registering again what is registered, unchanged, changes nothing.

    Raises:
        AlreadyExists: Another dataset has the name.
        IncompleteManifest: Facts are missing that the keep's policy requires; lists all.
        SourceFault, UnsafePath: Something is wrong with the source; lists all such files.
        SecretFound: A password or token would be written down.
        StoreUnreachable, AccessDenied, NoSpace, Conflict: Of the vault.
    """
    name = check_name(request.name)
    keep.refresh(loading(request.extraction))
    keep.require_not_departed(who, now)
    if request.extraction is not None:
        return _register_query(keep, request, request.extraction, who=who, now=now)
    found = scan(request.sources, keep=keep.root, normalise_names=request.normalise_names)
    document, files = document_of(request, who)
    keep_true(document, None, files, data=True)
    if name in keep.datasets:
        return _already(keep, name, found, request)
    if "backend" not in document:
        document["backend"] = _backend(request, found)
    _require_free(keep, name, document)
    return _made(keep, request, found, document, files, who=who, now=now)


def _register_query(
    keep: Keep, request: Request, wanted: Wanted, *, who: Identity, now: datetime
) -> Registered:
    """A dataset of what a query gives. What can be refused is refused before the query, which may take hours."""
    if request.name in keep.datasets:
        raise AlreadyExists(
            f"{request.name} is registered already, as {keep.entry(request.name).version}",
            next_step=f"run its query again: datakeep update {request.name} --rerun -m WHY; or another one: "
            f"datakeep update {request.name} --sql FILE -m WHY",
        )
    document, files = document_of(request, who)
    query = first_query(replace(wanted, stated=facts.get(document, "source.parameters") or {}))
    files[query.place] = query.text
    document.setdefault("backend", "dvc")
    state_query(document, query, by=who.email, now=now)
    refuse_in_facts(document, query.passwords, query.database.address.shown)
    _require_free(keep, request.name, document)
    document, _ = _complete(keep, request, document, suggestions((), who))
    keep.writable_stores(request.without_stores)
    counted = counting(request.profile, document)
    with extracted(query, request.name, keep.progress, by=who.email, counting=counted) as done:
        state_extracted(document, done)
        found = scan([done.folder], keep=keep.root)
        return _made(keep, request, found, document, files, who=who, now=max(now, ended(document)), done=done)


def _require_free(keep: Keep, name: str, document: dict[str, Any]) -> None:
    """Nothing, if a new dataset can have the name, and the aliases and parents of ``document``."""
    if other := keep.dataset_once_called(name):
        raise AlreadyExists(
            f"{name} is an earlier name of the dataset {other}", next_step="choose another name"
        )
    check_aliases(keep, name, document)
    check_parents(keep, document)


def _complete(
    keep: Keep, request: Request, document: dict[str, Any], suggested: Mapping[str, str]
) -> tuple[dict[str, Any], Manifest]:
    """The manifest's fields in their order, none missing that the policy requires; and the manifest."""
    document = facts.ordered(document) if request.manifest is None else document
    manifest = facts.complete(
        document,
        keep.file.policy.require,
        ask=request.ask,
        suggestions=suggested,
        command=request.command,
    )
    check_parents(keep, document)  # once more: a person may have been asked for them
    return document, manifest


def _made(
    keep: Keep,
    request: Request,
    found: Scan,
    document: dict[str, Any],
    files: dict[str, bytes],
    *,
    who: Identity,
    now: datetime,
    done: Extracted | None = None,
) -> Registered:
    """Version 1, of the files that were found and the facts that are stated or asked for now."""
    seen = described(document, found, keep, made_here=done is not None)
    if done is not None:
        done.describe(document)
    refuse_git_control(document, found)
    likely = settle_splits(request, document, found.files.paths)
    document, manifest = _complete(keep, request, document, suggestions(found.files, who))
    files |= attach_asked(document, files)
    made, notes = profiled(request, found.files, seen, document, files, keep, done=done)
    publisher = Publisher(keep, who, now, without=request.without_stores)
    draft = Draft(
        request.name, "v1", document, "registered", files={**files, **made}, source=found.files,
        state=state_of(keep, request.sources), deep=True,
    )  # fmt: skip
    published = publisher.first(draft)
    # What datakeep itself wrote down is not doubted: a database's clock may be ahead of ours by a moment.
    said = (*done.notes, *done.personal_note(document)) if done else facts.doubts(manifest, now)
    left = (*left_notes(keep, published.entry), *query_notes(keep, published.entry))
    left += copy_notes(keep, published.entry, published.inventory)
    return Registered(
        published.entry, published.is_new, notes=(*found.warnings, *seen.notes, *said, *notes, *likely, *left)
    )


def state_of(keep: Keep, sources: Sequence[Path]) -> HashState | None:
    """What this keep knows of a source that is one folder; of single files nothing is kept."""
    return HashState(keep.cache("state"), sources[0]) if len(sources) == 1 and sources[0].is_dir() else None


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


def _backend(request: Request, found: Scan) -> str:
    """How the bytes are to be kept, as a person says when asked.

    Raises:
        UsageError: Nobody can be asked; says what fits.
    """
    files, size_bytes = len(found.files), found.size_bytes
    fits = "git" if files <= _GIT_FILES and size_bytes <= _GIT_BYTES else "dvc"
    seen = f"{counted(files, 'file')}, {counted(size_bytes, 'byte')}"
    why = f"{seen}: {'few and small enough for git' if fits == 'git' else 'too much for git history'}"
    if request.ask is None:
        other = "dvc" if fits == "git" else "git"
        raise UsageError(
            f"it is not said how the bytes are to be kept, with --backend {fits} or --backend {other} ({why})",
            next_step=f"{request.command} --backend {fits}",
        )
    meaning = f"how the bytes are kept: git history, or DVC objects in the stores; {why}"
    fact = facts.Fact("backend", "--backend", meaning, "choice", ("git", "dvc"))
    return request.ask(fact, fits, None)


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


def _already(keep: Keep, name: str, found: Scan, request: Request) -> Registered:
    """The registered version, if the source and the given facts are the same."""
    entry = keep.entry(name)
    hashed = ((file.path, hash_file(file.origin)[2]) for file in found.files)
    changed = content_id(hashed) != entry.content
    differing = [path for path, value in request.given.items() if not same_fact(entry.manifest, path, value)]
    if changed or differing:
        typed = request.command.replace("datakeep register", "datakeep update", 1)
        typed = typed.replace(f" --backend {request.backend}", "", 1)
        what = "other bytes" if changed else f"another {', '.join(differing)}"
        raise AlreadyExists(
            f"{name} is registered already, as {entry.version} by {entry.registered_by}, with {what}",
            next_step=f"make the next version: {typed} -m WHY",
        )
    return Registered(entry, created=False)


def same_fact(manifest: dict[str, Any], path: str, text: Any) -> bool:
    """Whether the manifest states at ``path`` what the option's text says; of files it is not asked."""
    fact = facts.BY_PATH[path]
    if fact.kind == "file":
        return True
    return bool(facts.get(manifest, path) == yaml.plain(facts.value_of(fact, text)))


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


def refuse_git_control(document: Mapping[str, Any], found: Scan) -> None:
    """Refuse data that would change how git treats it, for the git backend.

    Raises:
        UnsafePath: Lists all such files.
    """
    bad = [path for path in found.files.paths if path.rpartition("/")[2] in _GIT_CONTROL]
    if document["backend"] == "git" and bad:
        raise UnsafePath(
            f"{bad[0]} would change how git treats the data",
            next_step="take it out of the source, or register with --backend dvc",
            things=bad,
        )


def profiled(
    request: Request,
    source: Sequence[SourceFile],
    seen: Description,
    document: Mapping[str, Any],
    files: Mapping[str, Any],
    keep: Keep,
    before: tuple[DatasetRepository, str] | None = None,
    done: Extracted | None = None,
) -> tuple[dict[str, bytes | None], list[str]]:
    """What becomes of the file of the profile with this new data, and what a person should know of it.

    Args:
        request: Says whether a profile is wanted.
        source: The new data.
        seen: What was found in it.
        document: The complete manifest.
        files: Documents that were handed in for the version.
        keep: The keep.
        before: The dataset's repository, and the commit that the version builds on.
        done: The query that gave the data, if one did.
    """
    counted_before = done.counted if done else None
    wanted = request.profile is not False
    secrets = done.query.passwords if done else ()
    found = profile_of(source, seen, document, keep, counted_before, secrets) if wanted else None
    made = profile_files(found, files, before, keep)
    return made, profile_notes(found) if found and made else []


def describe_into(document: dict[str, Any], found: Scan, keep: Keep) -> tuple[str, ...]:
    """As :func:`described`; returns what a person should know of it."""
    return tuple(described(document, found, keep).notes)


def described(document: dict[str, Any], found: Scan, keep: Keep, *, made_here: bool = False) -> Description:
    """Fill in what can be seen in the files: formats, columns and types, rows, encodings.

    What a person wrote about a column (meaning, unit, key) stays; its type is what was seen.

    Raises:
        SourceMalformed: A file is not what its name says.
    """
    if not found.files:
        raise SourceFault("the source holds no file", next_step="check the path")
    places = list(zip(found.files.paths, found.files.origins, strict=True))
    seen = describe(places, progress=keep.progress, made_here=made_here)
    contents: dict[str, Any] = {"formats": dict(seen.formats)}
    if seen.rows is not None:
        contents["rows"] = seen.rows
    if seen.encodings:
        contents["encodings"] = dict(seen.encodings)
    document["contents"] = contents
    if seen.columns:
        document["columns"] = merged_columns(document.get("columns") or [], seen.columns)
    return seen


def merged_columns(stated: list[dict[str, Any]], seen: Sequence[Column]) -> list[dict[str, Any]]:
    """The columns that were seen, with what was stated of those of the same name, types apart."""
    known = {column.get("name"): column for column in stated}
    kept = ({**known.get(column.name, {}), **column.to_dict()} for column in seen)
    return [{"name": column["name"], **column} for column in kept]


def suggestions(files: Sequence[SourceFile], who: Identity) -> dict[str, str]:
    """What is probably right, for questions on a terminal."""
    newest = max(SourceFiles.of(files).mtimes_ns, default=None)
    day = (
        {"source.extracted_at": datetime.fromtimestamp(newest / 1e9, UTC).date().isoformat()}
        if newest
        else {}
    )
    return {"source.extracted_by": who.email, "source.kind": "files", **day}
