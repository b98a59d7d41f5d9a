"""``register``: a source becomes a dataset, version 1."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted
from datakeep.core.errors import AlreadyExists, UsageError
from datakeep.core.names import check_name
from datakeep.workflows import facts
from datakeep.workflows.extraction import extracted, state_extracted, state_query
from datakeep.workflows.extraction_record import ended, keep_true
from datakeep.workflows.given_facts import complete, document_of, require_free, same_fact, suggestions
from datakeep.workflows.profiling import counting
from datakeep.workflows.query_secrets import refuse_in_facts
from datakeep.workflows.wanted_query import early, first_query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from datakeep.extract.sql.interface import Database
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.identity import Identity
    from datakeep.store.scan import Scan
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.wanted_query import Wanted

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
    with early(request.extraction) as query:
        keep.refresh(query)
        keep.require_not_departed(who, now)
        if request.extraction is not None:
            return _register_query(keep, request, request.extraction, query.database, who=who, now=now)
    from datakeep.store.scan import scan
    from datakeep.workflows.first_version import made

    found = scan(request.sources, keep=keep.root, normalise_names=request.normalise_names)
    document, files = document_of(request, who)
    keep_true(document, None, files, data=True)
    if name in keep.datasets:
        return _already(keep, name, found, request)
    if "backend" not in document:
        document["backend"] = _backend(request, found)
    require_free(keep, name, document)
    return made(keep, request, found, document, files, who=who, now=now)


def _register_query(
    keep: Keep, request: Request, wanted: Wanted, database: Database | None, *, who: Identity, now: datetime
) -> Registered:
    """A dataset of what a query gives. What can be refused is refused before the query, which may take hours."""
    if request.name in keep.datasets:
        raise AlreadyExists(
            f"{request.name} is registered already, as {keep.entry(request.name).version}",
            next_step=f"run its query again: datakeep update {request.name} --rerun -m WHY; or another one: "
            f"datakeep update {request.name} --sql FILE -m WHY",
        )
    document, files = document_of(request, who)
    query = first_query(replace(wanted, stated=facts.get(document, "source.parameters") or {}), database)
    files[query.place] = query.text
    document.setdefault("backend", "dvc")
    state_query(document, query, by=who.email, now=now)
    refuse_in_facts(document, query.passwords, query.database.address.shown)
    require_free(keep, request.name, document)
    document, _ = complete(keep, request, document, suggestions((), who))
    keep.writable_stores(request.without_stores)
    counted = counting(request.profile, document)
    rows = extracted(
        query, request.name, keep.progress, by=who.email, counting=counted, meanwhile=_load_first_version
    )
    with rows as done:
        from datakeep.store.scan import scan
        from datakeep.workflows.first_version import made

        state_extracted(document, done)
        found = scan([done.folder], keep=keep.root)
        return made(keep, request, found, document, files, who=who, now=max(now, ended(document)), done=done)


def _load_first_version() -> None:
    """What makes a version of the rows, which a database takes a while to begin with: 25 ms."""
    import datakeep.workflows.first_version  # noqa: F401


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


def _already(keep: Keep, name: str, found: Scan, request: Request) -> Registered:
    """The registered version, if the source and the given facts are the same."""
    from datakeep.core.digests import content_id
    from datakeep.store.hashing import hash_file

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
