"""``update``: the next version of a dataset, with what changed shown before anyone else can see it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import InvalidFile, UsageError
from datakeep.core.names import next_version
from datakeep.formats import yaml
from datakeep.store.scan import scan
from datakeep.workflows import attachments, facts
from datakeep.workflows.extraction import extracted, state_extracted, state_query
from datakeep.workflows.extraction_record import ended, keep_true
from datakeep.workflows.given_facts import asked, check_aliases, read_manifest, suggestions
from datakeep.workflows.inventories import load_inventory
from datakeep.workflows.known_bytes import query_notes
from datakeep.workflows.left_by import left_notes
from datakeep.workflows.new_data import described, profiled, refuse_git_control, state_of
from datakeep.workflows.parents import check_parents
from datakeep.workflows.prepare import MANIFEST, Draft
from datakeep.workflows.profiling import (
    PROFILE,
    counting,
    former_names_of,
    old_profile,
    profile_in,
    profile_notes,
)
from datakeep.workflows.publish import Publisher
from datakeep.workflows.query_secrets import refuse_in_facts
from datakeep.workflows.rerun_notes import Notes
from datakeep.workflows.source_moved import moved
from datakeep.workflows.splits import no_longer_matched, require_files
from datakeep.workflows.update_changes import Base, Changes, changes_of
from datakeep.workflows.wanted_query import loading, next_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from datakeep.extract.describe import Description
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.identity import Identity
    from datakeep.store.scan import Scan, SourceFile
    from datakeep.store.state import HashState
    from datakeep.workflows.extraction import Extracted
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.query_words import Note
    from datakeep.workflows.register import Request


#: What differs each time that a query is run, even where its rows and its source are the same.
_OF_A_RERUN = ("source.extracted_at.", "source.extracted_by.", "source.extraction.")


@dataclass(frozen=True, slots=True)
class Updated:
    """The newest version that there is now; ``created`` is False where nothing changed, or on a dry run.

    It is False, too, where the same was registered by another run at the same time: then ``meanwhile`` is True.
    ``unread`` files of the source did not change since they were last hashed, and were not read again. ``notes`` are
    what there was to say of new data, also what was said of the version before.
    """

    entry: VersionEntry
    changes: Changes
    created: bool
    unread: int = 0
    meanwhile: bool = False
    notes: tuple[str, ...] = ()


def update(
    keep: Keep,
    request: Request,
    *,
    message: str,
    review: Callable[[Changes], object],
    who: Identity,
    now: datetime,
    dry_run: bool = False,
) -> Updated:
    """The next version of the dataset: new bytes, new facts, or both.

    Args:
        keep: The keep.
        request: The dataset, its new source if the bytes change, and the facts that change.
        message: Why there is a new version.
        review: Is shown what changes, before it is published.
        who: Author.
        now: The time that is written down.
        dry_run: Only tell what would change.

    Raises:
        UnknownName: There is no such dataset.
        Conflict: Someone else made the next version meanwhile.
        DatakeepError: As ``register``.
    """
    if not message.strip():
        raise UsageError(
            "it is not said why there is a new version", next_step="say it in a few words: -m WHY"
        )
    keep.refresh(loading(request.extraction))
    keep.require_not_departed(who, now)
    base = take_base(keep, request.name)
    declined = _declined_before(request, base)
    request = replace(request, profile=False) if declined else request
    given = dict(request.given)
    files: dict[str, bytes | None] = dict(attachments.from_options(given))
    document = base.document
    if request.manifest:
        document, beside = _replaced(base.document, request)
        files |= beside
    backend = base.entry.manifest["backend"]
    if {request.backend or backend, document["backend"]} != {backend}:
        raise UsageError(
            f"{request.name} has the backend {backend}, which cannot change between versions",
            next_step="register it under another name with the other backend",
        )
    facts.state(document, given)
    if request.extraction is None:
        keep_true(document, base.entry.manifest.get("source"), files, data=bool(request.sources))
    check_aliases(keep, base.entry.dataset, document)
    with contextlib.ExitStack() as stack:
        said = Notes(keep.progress)
        found, seen, done = _new_source(
            keep, request, base, document, files, stack, said, message=message, who=who, now=now
        )
        source = found.files if found else None
        if declined:
            said.tell([f"no profile is made, as {base.entry.version} has none: --profile makes one"])
        if (stated := given.get("splits")) or (request.manifest and document.get("splits")):
            paths = found.files.paths if found else base.inventory.table.column("path").to_pylist()
            require_files(stated or (), paths, document=document.get("splits"), manifest=request.manifest)
        if found:
            said.tell(no_longer_matched(document.get("splits"), found.files.paths, request.name))
        _complete(keep, request, base, document, suggestions(source or (), who), now)
        now = max(now, ended(document)) if request.extraction else now
        files |= _profile(keep, base, request, document, files, source, seen, said, done)
        said.end(f"{base.entry.dataset}@{base.entry.version}")
        made = next_from(
            keep, base, document, files,
            message=message, review=review, who=who, now=now, source=source, dry_run=dry_run,
            state=state_of(keep, request.sources), deep=request.deep,
            without=request.without_stores, profile=request.profile,
            idle=_idle(request, base, document),
        )  # fmt: skip
        if made.entry.left_by != base.entry.left_by:
            is_stated = "source.parents" in given or request.manifest is not None
            said.tell(left_notes(keep, made.entry, before=None if is_stated else base.entry))
        if made.created and request.extraction:
            said.tell(query_notes(keep, made.entry))
        return replace(made, notes=tuple(said.all))


def _declined_before(request: Request, base: Base) -> bool:
    """Whether a query runs again whose rows somebody wanted no profile of, and nobody says otherwise now."""
    return (
        request.extraction is not None
        and request.profile is None
        and facts.get(base.entry.manifest, "source.extraction") is not None
        and base.repository.read(base.entry.commit, PROFILE) is None
    )


def _idle(request: Request, base: Base, document: dict[str, Any]) -> tuple[str, ...]:
    """Fields that alone make no version: those of a rerun, if it found the source as it was recorded."""
    before = facts.get(base.entry.manifest, "source.extraction")
    if request.extraction is None or before is None:
        return ()
    return () if any(moved(before, facts.get(document, "source.extraction"))) else _OF_A_RERUN


def _complete(
    keep: Keep,
    request: Request,
    base: Base,
    document: dict[str, Any],
    suggested: Mapping[str, str],
    now: datetime,
) -> None:
    """Nothing is missing or misspelled in the next manifest; a person is asked for what is missing."""
    manifest = asked(keep, request, document, suggested)
    # What datakeep itself wrote down is not doubted: a database's clock may be ahead of ours by a moment.
    for doubt in () if request.extraction else facts.doubts(manifest, now):
        keep.progress.warn(doubt)
    check_parents(keep, document, base.entry.manifest)
    manifest.check_strict(what=f"the manifest of {request.name}")


def take_base(keep: Keep, name: str) -> Base:
    """The newest version of a dataset, as the start of the next.

    Raises:
        UnknownName: There is no such dataset.
        DamagedBytes: Its inventory is missing or not the one that was registered.
    """
    entry = keep.entry(keep.resolve(name).name)
    repository = keep.dataset_repository(entry.dataset)
    inventory = load_inventory(keep, entry)
    text = repository.read(entry.commit, MANIFEST) or b""
    return Base(entry, yaml.load(text, what=f"{MANIFEST} of {entry.dataset}"), inventory, repository)


def next_from(
    keep: Keep,
    base: Base,
    document: dict[str, Any],
    files: Mapping[str, bytes | None],
    *,
    message: str,
    review: Callable[[Changes], object],
    who: Identity,
    now: datetime,
    source: Sequence[SourceFile] | None = None,
    dry_run: bool = False,
    state: HashState | None = None,
    deep: bool = False,
    without: Sequence[str] = (),
    profile: bool | None = None,
    idle: tuple[str, ...] = (),
) -> Updated:
    """The version after ``base``, if anything differs.

    Args:
        keep: The keep.
        base: The newest version.
        document: The manifest's fields of the next.
        files: Documents and code that differ; None deletes one.
        message: Why.
        review: See :func:`update`.
        who: Author.
        now: The time that is written down.
        source: New data; None keeps the bytes.
        dry_run: Only tell what would change.
        state: What was hashed of the source's folder before.
        deep: Read all of it, whatever the state says, and the objects of the stores; mend what is damaged.
        without: Stores that are left out.
        profile: A first profile alone is worth a version, or that there be none any more; None: neither.
        idle: Fields of the manifest whose change alone is worth none.
    """
    version = next_version(keep.versions(base.entry.dataset))
    draft = Draft(
        base.entry.dataset,
        version,
        document,
        message,
        before=base.entry,
        files=files,
        source=source,
        inventory=base.inventory,
        state=state,
        deep=deep,
        mend=deep,
    )
    publisher = Publisher(keep, who, now, without=without)
    base.repository.fetch()
    prepared = publisher.prepare(draft, dry_run=dry_run)
    changes = changes_of(base, prepared, wanted=profile)
    if changes.only_in(idle):
        changes = replace(changes, fields=())
    if changes:
        review(changes)
    if not changes or dry_run:
        return Updated(base.entry, changes, created=False, unread=prepared.unread)
    done = publisher.publish(prepared)
    return Updated(
        done.entry, replace(changes, after=done.entry.version),
        created=done.is_new, unread=prepared.unread, meanwhile=not done.is_new,
    )  # fmt: skip


def _replaced(old: dict[str, Any], request: Request) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest that was handed in; what only the tool knows is taken over where it is left out."""
    document, files = read_manifest(request.manifest) if request.manifest else (old, {})
    for field in ("name", "backend", "owner", "contents", "columns", "reference"):
        if field in old:
            document.setdefault(field, old[field])
    if document["name"] != old["name"]:
        raise UsageError(
            f"{request.manifest} is the manifest of {document['name']!r}, not of {old['name']!r}",
            next_step="names last; add an alias for another one: --alias NAME",
        )
    return document, files


def _new_source(
    keep: Keep,
    request: Request,
    base: Base,
    document: dict[str, Any],
    files: dict[str, bytes | None],
    stack: contextlib.ExitStack,
    said: Notes,
    *,
    message: str,
    who: Identity,
    now: datetime,
) -> tuple[Scan | None, Description | None, Extracted | None]:
    """The new data, described in the manifest: files that were named, or the rows of a query; None keeps the old.

    The rows lie in a temporary folder until ``stack`` is left.
    """
    sources, done = request.sources, None
    if request.extraction is not None:
        stated = facts.get(document, "source.parameters") if request.manifest else None
        wanted = replace(request.extraction, stated=stated or {})
        query = next_query(wanted, base.entry, base.repository)
        before = facts.get(base.entry.manifest, "source.query")
        if before and before != query.place:
            files[before] = None  # the history keeps it; beside the new one it would only be mistaken for it
        files[query.place] = query.text
        state_query(document, query, by=who.email, now=now)
        refuse_in_facts({**document, "message": message}, query.passwords, query.database.address.shown)
        keep.writable_stores(request.without_stores)  # before a query that may take hours
        counted = counting(request.profile, document)
        rows = extracted(query, base.entry.dataset, keep.progress, by=who.email, counting=counted)
        done = stack.enter_context(rows)
        state_extracted(document, done)
        sources = [done.folder]
    if not sources:
        return None, None, None
    found = scan(sources, keep=keep.root, normalise_names=request.normalise_names)
    for warning in found.warnings:
        keep.progress.warn(warning)
    seen = described(document, found, keep, made_here=done is not None)
    said.tell(seen.notes)
    if done is not None:
        said.said = done.said_before(base.entry.manifest.get("source"))
        said.tell(_of_query(done, document, base))
    refuse_git_control(document, found)
    return found, seen, done


def _of_query(done: Extracted, document: dict[str, Any], base: Base) -> Iterator[str | Note]:
    """Fill in what the database says of the columns; what there is to say of the query, a sentence each."""
    before = base.entry.manifest
    told = done.describe(document, facts.get(before, "source.extraction"))
    yield from done.query.doubts
    yield from done.said
    yield from told
    yield from done.personal_note(document, before, former_names_of(base.repository, base.entry))


def _profile(
    keep: Keep,
    base: Base,
    request: Request,
    document: dict[str, Any],
    files: Mapping[str, bytes | None],
    source: Sequence[SourceFile] | None,
    seen: Description | None,
    said: Notes,
    done: Extracted | None,
) -> dict[str, bytes | None]:
    """What becomes of the profile: new data get a new one, and new facts may allow less of it."""
    before = (base.repository, base.entry.commit)
    if source is None or seen is None:
        return old_profile(
            request.profile, base.repository, base.entry, facts.get(document, "privacy.personal")
        )
    made, notes = profiled(request, source, seen, document, files, keep, before, done)
    if request.extraction is not None:
        with contextlib.suppress(InvalidFile):  # one that cannot be read said nothing
            old = profile_in(*before)
            said.said = {*said.said, *(profile_notes(old) if old else ())}
    said.tell(notes)
    return made
