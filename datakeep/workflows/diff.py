"""``diff``: what changed between two versions: files, rows, columns, fields of the manifest, documents and code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.changes import FieldChange, field_changes
from datakeep.core.errors import DatakeepError, UsageError
from datakeep.extract.tabular import TABULAR, extension
from datakeep.formats.inventory import FileChanges, differences
from datakeep.repository.scratch import scratch
from datakeep.workflows.bytes_here import BytesHere
from datakeep.workflows.facts import get
from datakeep.workflows.inventories import INVENTORY, load_inventory
from datakeep.workflows.profile_changes import changes_between
from datakeep.workflows.profiling import PROFILE
from datakeep.workflows.rows_diff import MAX_BYTES, NO_TABLE_CHANGED, rows_between

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.extract.comparison import Comparison
    from datakeep.formats.inventory import Inventory
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.keep import Keep

#: Tables of so many bytes on one side are compared without being asked: some seconds.
_AT_ONCE_BYTES = 32 << 20
#: Of a dataset's repository: what the manifest and the inventory already tell, or what follows from them.
_TOLD_ELSEWHERE = ("dataset.yaml", "README.md", "data.dvc", INVENTORY, f"{INVENTORY}.dvc", PROFILE)


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from ``old`` to ``new``.

    ``profile`` has a line for each column whose figures differ, or one that says that it came or went. ``rows`` is of
    the tables that are not the same in both; where it is None, ``no_rows`` says why they were not compared, if there
    are such tables, and ``on_demand`` that they are where it is asked for.
    """

    old: VersionEntry
    new: VersionEntry
    files: FileChanges
    columns: tuple[FieldChange, ...]
    fields: tuple[FieldChange, ...]
    documents: FileChanges
    profile: tuple[str, ...] = ()
    rows: Comparison | None = None
    no_rows: str = ""
    on_demand: bool = False

    @property
    def is_same(self) -> bool:
        """Whether nothing at all differs."""
        return not (self.files or self.columns or self.fields or self.documents or self.profile)


def diff(keep: Keep, references: Sequence[str], *, rows: bool = False) -> Difference:
    """What changed between two versions, perhaps of different datasets; or of one, since the one before it.

    Args:
        keep: The keep.
        references: One or two of ``NAME`` (the newest) and ``NAME@V``.
        rows: Compare the rows of large tables too, and get what is not on this machine.

    Raises:
        UnknownName: There is no such dataset or version.
        UsageError: One was named, and there is no version before it.
        DamagedBytes, StoreUnreachable: An inventory cannot be had.
    """
    old, new = _ends(keep, references)
    files, found = FileChanges([], [], []), _Rows()
    if old.content != new.content:
        before, after = load_inventory(keep, old), load_inventory(keep, new)
        files = differences(before, after)
        found = _rows(keep, files, (old, before), (new, after), everything=rows)
    changes = field_changes(old.manifest, new.manifest)
    columns = tuple(change for change in changes if change.path.startswith("columns"))
    fields = tuple(change for change in changes if not change.path.startswith("columns"))
    documents, profile = _documents(keep, old, new), changes_between(keep, old, new)
    return Difference(
        old, new, files, columns, fields, documents, profile, found.compared, found.why_not, found.on_demand
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    compared: Comparison | None = None
    why_not: str = ""
    on_demand: bool = False


def _rows(
    keep: Keep,
    files: FileChanges,
    old: tuple[VersionEntry, Inventory],
    new: tuple[VersionEntry, Inventory],
    *,
    everything: bool,
) -> _Rows:
    """The rows of the tables that differ; without ``everything`` of small ones that are on this machine."""
    if not any(extension(path) in TABULAR for path in (*files.added, *files.removed, *files.changed)):
        return _Rows()
    personal = any(get(entry.manifest, "privacy.personal") != "no" for entry, _ in (old, new))
    limit = MAX_BYTES if everything else _AT_ONCE_BYTES
    try:
        with scratch() as folder:
            here = BytesHere(keep, fetch=everything, scratch=folder)
            found, why_not = rows_between(keep, here, folder, old, new, personal=personal, limit_bytes=limit)
    except DatakeepError as error:
        return _Rows(why_not=error.what)
    if found is None and why_not == NO_TABLE_CHANGED:
        return _Rows()
    return _Rows(found, why_not, on_demand=found is None and not everything)


def _ends(keep: Keep, references: Sequence[str]) -> tuple[VersionEntry, VersionEntry]:
    if len(references) == 2:
        return keep.entry(keep.resolve(references[0])), keep.entry(keep.resolve(references[1]))
    found = keep.resolve(references[0])
    versions = keep.versions(found.name)
    place = versions.index(found.version or versions[-1])
    if place == 0:
        raise UsageError(
            f"{found} is the first version of {found.name}: there is none before it",
            next_step=f"datakeep log {found.name} lists the versions; then datakeep diff {found} OTHER@v1",
        )
    return keep.entry(f"{found.name}@{versions[place - 1]}"), keep.entry(found)


def _documents(keep: Keep, old: VersionEntry, new: VersionEntry) -> FileChanges:
    """What changed of the files that are neither data nor generated: queries, rules, code."""
    if (old.dataset, old.commit) == (new.dataset, new.commit):
        return FileChanges([], [], [])
    before, after = _files(keep, old), _files(keep, new)
    return FileChanges(
        added=sorted(after.keys() - before.keys()),
        removed=sorted(before.keys() - after.keys()),
        changed=sorted(path for path in before.keys() & after.keys() if before[path] != after[path]),
    )


def _files(keep: Keep, entry: VersionEntry) -> dict[str, str]:
    repository = keep.dataset_repository(entry.dataset)
    if entry.commit not in repository.tags().values():
        repository.fetch()
    return {
        found.path: found.object_id
        for found in repository.entries(entry.commit)
        if not found.path.startswith(("data/", ".")) and found.path not in _TOLD_ELSEWHERE
    }
