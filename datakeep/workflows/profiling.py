"""The profile of a version's tables: made with new data, kept with new facts, read for who asks.

Tabular files are read once more for it, after :func:`datakeep.extract.describe.describe` has looked at types and
rows; no other file is, nor are those of a query, whose rows are counted while they are written.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted
from datakeep.core.errors import DatakeepError, InvalidFile, SourceFault, UsageError
from datakeep.formats.profile import LEAST_VALUES, Profile, withholding
from datakeep.workflows import facts
from datakeep.workflows.extraction_record import former_names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from datakeep.extract.counting import Counting
    from datakeep.extract.describe import Description
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.dataset import DatasetRepository
    from datakeep.store.scan import SourceFile
    from datakeep.workflows.adopted_tree import Tip
    from datakeep.workflows.keep import Keep

#: Beside ``dataset.yaml``, in a dataset's repository.
PROFILE = "profile.json"
_NAMED = 5
#: What is not in a profile, and why, in words.
WITHHELD = {
    "privacy": ("texts and frequent values", "they may be somebody's, since privacy.personal is not 'no'"),
    "few": (
        "all values",
        f"there are fewer than {LEAST_VALUES}, and each may be somebody's, since privacy.personal is not 'no'",
    ),
    "name": ("all values", "the name suggests personal data"),
    "secret": ("all values", "one looks like a password or token"),
}


def counting(wanted: bool | None, document: Mapping[str, Any]) -> Counting | None:
    """What counts the rows of a query for their profile, if one is wanted (None is yes)."""
    if wanted is False:
        return None
    from datakeep.extract.counting import Counting

    return Counting(facts.get(document, "splits.time"))


def profile_of(
    source: Sequence[SourceFile],
    seen: Description,
    document: Mapping[str, Any],
    keep: Keep,
    counted_before: Counting | None = None,
    secrets: Collection[str] = (),
    renamed: Mapping[str, Collection[str]] | None = None,
) -> Profile | None:
    """The profile of the source's tables, without what must not be written down; None if it has no tables.

    Args:
        source: The new data.
        seen: What ``describe`` found in it.
        document: The complete manifest: it says whether the data is personal, and which column is the time.
        keep: Whose progress is told.
        counted_before: What was counted of it while it was written.
        secrets: Passwords of the database that it came out of, which may stand in it.
        renamed: What columns were called where they came from.

    Raises:
        SourceFault: A table cannot be read to its end; the way out names ``--no-profile``.
    """
    if not seen.tables:
        return None
    from datakeep.extract.profile import profile

    tables = set(seen.tables)
    files = [(file.path, file.origin) for file in source if file.path in tables]
    time = facts.get(document, "splits.time")
    try:
        found = profile(files, seen.columns, progress=keep.progress, time=time, counted_before=counted_before)
    except SourceFault as fault:
        raise type(fault)(
            fault.what,
            next_step=f"{fault.next_step}; --no-profile does without reading it",
            things=fault.things,
        ) from fault
    return found and withholding(found, facts.get(document, "privacy.personal"), secrets, renamed)


def profile_files(
    found: Profile | None, files: Mapping[str, Any], before: tuple[DatasetRepository, str] | None, keep: Keep
) -> dict[str, bytes | None]:
    """What becomes of ``profile.json`` in a version of new data: the new profile, or none.

    Args:
        found: The new profile; None if there is none.
        files: Documents that a person handed in for the version, by place.
        before: The repository, and the commit that the version builds on.
        keep: Whose progress is warned where the place is taken by a file of the dataset's own.
    """
    old = before[0].read(before[1], PROFILE) if before else None
    if PROFILE in files or (old is not None and not _is_ours(old)):
        if found:
            keep.progress.warn(f"no profile is kept: {PROFILE} is a file of the dataset's own")
        return {}
    if found is None:
        return {PROFILE: None} if old is not None else {}
    return {PROFILE: found.dump().encode("utf-8")}


def old_profile(
    wanted: bool | None, repository: DatasetRepository, entry: VersionEntry, personal: str | None
) -> dict[str, bytes | None]:
    """What becomes of the profile of unchanged data: it goes where none is wanted, and else stays.

    Fewer values are left in it where the manifest now allows no more.

    Args:
        wanted: Whether somebody wants one; None: nobody said so.
        repository: The dataset's.
        entry: Of the version before.
        personal: ``privacy.personal`` as it is stated now.

    Raises:
        UsageError: One is wanted, and there is none; it is made of data that is read.
    """
    old = repository.read(entry.commit, PROFILE)
    if old is None or not _is_ours(old):
        if wanted:
            raise UsageError(
                "a profile is made of the data, and none is given",
                next_step=f"datakeep update {entry.dataset} SOURCE --profile -m WHY; of a query: --rerun instead of "
                "SOURCE",
            )
        return {}
    if wanted is False:
        return {PROFILE: None}
    try:
        profile = Profile.read(old, what=PROFILE)
    except InvalidFile:
        return {}
    as_before = personal == facts.get(entry.manifest, "privacy.personal")
    fewer = withholding(profile, personal, renamed={} if as_before else former_names_of(repository, entry))
    return {} if fewer == profile else {PROFILE: fewer.dump().encode("utf-8")}


def former_names_of(repository: DatasetRepository, entry: VersionEntry) -> Mapping[str, Collection[str]]:
    """What the columns of a recorded query were called where they came from; nothing of other data."""
    source = facts.get(entry.manifest, "source") or {}
    place = source.get("query") if source.get("extraction") and source.get("dialect") else None
    text = repository.read(entry.commit, place) if place else None
    # A query that is not read any more keeps nobody from stating what is personal.
    with suppress(DatakeepError, UnicodeDecodeError):
        return former_names(source, text) if text else {}
    return {}


def forgotten_profile(tip: Tip) -> dict[str, bytes | None]:
    """The profile that an adopted repository has from us, which may be of other data than what is adopted, goes."""
    return {PROFILE: None} if PROFILE in tip.sizes and _is_ours(tip.read(PROFILE)) else {}


def profile_notes(profile: Profile) -> list[str]:
    """What a person should know of a profile that was just made, one sentence each."""
    notes = list(profile.notes)
    if profile.columns_left_out:
        notes.append(f"the profile leaves out {counted(profile.columns_left_out, 'column')} beyond the first")
    for reason, (what, why) in WITHHELD.items():
        if names := [column.name for column in profile.columns if column.withheld == reason]:
            shown = ", ".join(names[:_NAMED]) + (
                f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            )
            notes.append(f"the profile withholds {what} of {shown}: {why}")
    return notes


def _is_ours(data: bytes) -> bool:
    """Whether it says that it is one, whatever its major; an adopted repository may have a file of that name."""
    return b'"datakeep/profile/' in data[:200]


def read_profile(keep: Keep, entry: VersionEntry) -> Profile | None:
    """The profile of a registered version; None if it has none, as versions of datakeep 0.1.0 do not.

    Raises:
        StoreUnreachable, AccessDenied: Its repository is neither here nor can it be had.
        InvalidFile: It cannot be read.
    """
    if not entry.manifest.get("columns"):
        return None
    repository = keep.dataset_repository(entry.dataset)
    if entry.commit not in repository.tags().values():
        repository.fetch()
    return profile_in(repository, entry.commit, f"{PROFILE} of {entry.dataset}@{entry.version}")


def is_profiled(repository: DatasetRepository, commit: str) -> bool:
    """Whether the commit has a profile of ours, be it one that this version can read or not."""
    data = repository.read(commit, PROFILE)
    return data is not None and _is_ours(data)


def profile_in(repository: DatasetRepository, commit: str, what: str = PROFILE) -> Profile | None:
    """The profile in a commit; None if there is none of ours.

    Raises:
        InvalidFile: It cannot be read.
    """
    data = repository.read(commit, PROFILE)
    return Profile.read(data, what=what) if data is not None and _is_ours(data) else None
