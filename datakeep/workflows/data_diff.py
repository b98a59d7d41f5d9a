"""What differs between the data of two models: datasets, versions, files, rows, and which of the files were read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import DatakeepError
from datakeep.formats.inventory import differences
from datakeep.formats.model_words import missed
from datakeep.repository.scratch import scratch
from datakeep.workflows.bytes_here import BytesHere
from datakeep.workflows.file_verdicts import listed_files
from datakeep.workflows.rows_diff import rows_between, rows_data, rows_in_words

if TYPE_CHECKING:
    from pathlib import Path

    from datakeep.extract.comparison import Comparison
    from datakeep.formats.inventory import FileChanges, Inventory
    from datakeep.formats.model import ModelInput, ModelRecord
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.keep import Keep


@dataclass(slots=True)
class DatasetChange:
    """What became of one dataset from the old model to the new one.

    Attributes:
        dataset: Its name.
        old: The versions that the old model was given, none if it was not.
        new: Those of the new one.
        changed: What differs, one line each; a new version of the same bytes is no difference.
        same: What does not, where that is worth a line.
        unknown: What cannot be told, and of which of them.
        files: What became of the files.
        rows: How the rows differ; None if they were not compared.
        next_step: What to type to learn more.
    """

    dataset: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    changed: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    files: FileChanges | None = None
    rows: Comparison | None = None
    next_step: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        files = self.files and {
            "added": len(self.files.added),
            "removed": len(self.files.removed),
            "changed": len(self.files.changed),
        }
        return {
            "dataset": self.dataset,
            "old": list(self.old),
            "new": list(self.new),
            "changed": list(self.changed),
            "same": list(self.same),
            "unknown": list(self.unknown),
            "files": files,
            "rows": rows_data(self.rows) if self.rows else None,
        }


def dataset_changes(
    keep: Keep, old: ModelRecord, new: ModelRecord, *, fetch: bool
) -> tuple[DatasetChange, ...]:
    """Dataset by dataset, by name."""
    names = sorted({one.dataset for record in (old, new) for one in record.inputs})
    with scratch() as folder:
        here = BytesHere(keep, fetch=fetch, scratch=folder)
        differ = _Differ(keep, here, folder, old, new)
        return tuple(found for name in names if (found := differ.dataset(name)))


class _Differ:
    def __init__(self, keep: Keep, here: BytesHere, folder: Path, old: ModelRecord, new: ModelRecord) -> None:
        self._keep, self._here, self._folder = keep, here, folder
        self._old, self._new = old, new

    def dataset(self, name: str) -> DatasetChange | None:
        """What became of the dataset ``name``; None where that is told of another one, which has its bytes."""
        before = [one for one in self._old.inputs if one.dataset == name]
        after = [one for one in self._new.inputs if one.dataset == name]
        if before and not after:
            after = self._twins(before, self._new, self._old)
        elif after and self._twins(after, self._old, self._new):
            return None
        found = DatasetChange(name, tuple(one.version for one in before), tuple(one.version for one in after))
        if len(before) == len(after) == 1:
            self._one(found, before[0], after[0])
        elif not before or not after:
            versions = ", ".join(f"{name}@{version}" for version in (*found.old, *found.new))
            found.changed.append(f"{versions} {'is new' if after else 'is no longer given'}")
        elif sorted(one.content for one in before) != sorted(one.content for one in after):
            found.changed.append(f"versions {', '.join(found.old)} → {', '.join(found.new)}")
        else:
            found.unknown.append(f"which files of {name} were read: several versions of it were given")
        return found

    @staticmethod
    def _twins(given: list[ModelInput], record: ModelRecord, other: ModelRecord) -> list[ModelInput]:
        """The one input of ``record`` that is this very data under the name of a dataset that ``other`` lacks."""
        there, here = (
            [
                one
                for one in some.inputs
                if one.content == given[0].content
                and all(one.dataset != lacks.dataset for lacks in rest.inputs)
            ]
            for some, rest in ((record, other), (other, record))
        )
        return there if len(there) == len(here) == 1 else []

    def _one(self, found: DatasetChange, before: ModelInput, after: ModelInput) -> None:
        same_bytes = before.content == after.content
        sides = [self._side(before, self._old), self._side(after, self._new)]
        old, new = sides
        if same_bytes:
            if _name(before) != _name(after):
                found.same.append(f"{_name(before)} and {_name(after)} have the same bytes")
                found.next_step = _diff_step(before, after) if before.dataset == after.dataset else None
            self._reads(found, before, after, old, new)
            return
        found.next_step = _diff_step(before, after)
        if old.read is not None and old.read == new.read and old.is_all and new.is_all:
            found.same.append(
                f"{_name(before)} → {_name(after)}, but what was read of them has the same bytes: {_read(after)}"
            )
            return
        found.changed.append(f"{_name(before)} → {_name(after)}")
        self._files(found, old, new)
        counts = f"files read: {_read(before)} → {_read(after)}"
        if _read(before) == _read(after):
            found.same.append(f"files read: {_read(after)}")
        elif None in (before.files_read, after.files_read) or (old.is_all and new.is_all):
            found.changed.append(counts)
        else:
            found.unknown.append(f"{counts}, {missed(self._old, self._new)}")
        if None in (before.files_read, after.files_read):
            lacking = [
                one for one, given in ((self._old, before), (self._new, after)) if not given.files_read
            ]
            found.unknown += [_unknown_reads(found.dataset, one) for one in lacking]

    def _side(self, given: ModelInput, record: ModelRecord) -> _Side:
        is_all = record.knows_files_of(given)
        try:
            entry = self._keep.entry(f"{given.dataset}@{given.version}", asking=False)
            if (entry.commit, entry.content) != (given.commit, given.content):
                said = "the register has other contents under this version"
                return _Side(None, None, said, None, is_all)
            ((_, inventory),) = self._here.inventories([entry])
        except DatakeepError as error:
            return _Side(None, None, error.what, None, is_all)
        if isinstance(inventory, str):
            return _Side(entry, None, inventory, None, is_all)
        return _Side(entry, inventory, "", _files_read(self._keep, record, given, inventory), is_all)

    def _reads(
        self, found: DatasetChange, before: ModelInput, after: ModelInput, old: _Side, new: _Side
    ) -> None:
        """Of the same bytes, whether the same files of them were read."""
        one, other = before.files_read, after.files_read
        if one is None or other is None:
            lacking = [record for record, read in ((self._old, one), (self._new, other)) if read is None]
            found.unknown += [_unknown_reads(found.dataset, record) for record in lacking]
            return
        counts = f"{_read(before)} → {_read(after)}"
        if old.read is not None and new.read is not None and old.read != new.read:
            more, less = len(new.read.keys() - old.read.keys()), len(old.read.keys() - new.read.keys())
            said = f"of {_name(after)} other files were read: {more:,} more, {less:,} less ({counts})"
            # A file that one of them read is a difference only where all that the other read is known.
            is_certain = bool((more and old.is_all) or (less and new.is_all))
        elif (one.count, one.splits, one.list) != (other.count, other.splits, other.list):
            said = f"of {_name(after)} other files were read: {counts}"
            is_certain = old.is_all and new.is_all
        else:
            if _name(before) == _name(after):
                found.same.append(f"{_name(after)}; files read: {_read(after)}")
            if old.is_all != new.is_all:
                partly = self._new if old.is_all else self._old
                found.unknown.append(f"{_unknown_reads(found.dataset, partly)} besides, {missed(partly)}")
            return
        if is_certain:
            found.changed.append(said)
        if not (old.is_all and new.is_all):
            found.unknown.append(
                f"which files of {_name(after)} each read: {counts}, {missed(self._old, self._new)}"
            )

    def _files(self, found: DatasetChange, old: _Side, new: _Side) -> None:
        if old.inventory is None or new.inventory is None:
            why = old.why or new.why
            found.unknown.append(f"which files of {found.dataset} changed: not compared, {why}")
            return
        found.files = differences(old.inventory, new.inventory)
        found.changed.append(
            f"files: {len(found.files.added):,} added, {len(found.files.removed):,} removed, "
            f"{len(found.files.changed):,} changed"
        )
        try:
            sides = [(side.entry, side.inventory) for side in (old, new) if side.entry and side.inventory]
            found.rows, why_not = rows_between(self._keep, self._here, self._folder, *sides)
        except DatakeepError as error:
            why_not = error.what
        if found.rows is None:
            found.unknown.append(f"rows of {found.dataset} that changed: not compared, {why_not}")
        else:
            found.changed.append(rows_in_words(found.rows))


@dataclass(frozen=True, slots=True)
class _Side:
    """One model's version: what of it is here, why not, and path to sha256 of what was read, if that is known.

    ``is_all`` is whether nothing else of it can have been read.
    """

    entry: VersionEntry | None
    inventory: Inventory | None
    why: str
    read: dict[str, bytes] | None
    is_all: bool


def _name(given: ModelInput) -> str:
    return f"{given.dataset}@{given.version}"


def _diff_step(before: ModelInput, after: ModelInput) -> str:
    return f"datakeep diff {_name(before)} {_name(after)}"


def _unknown_reads(dataset: str, record: ModelRecord) -> str:
    return f"which files of {dataset} {record.model}@{record.version} read"


def _read(given: ModelInput) -> str:
    read = given.files_read
    if read is None:
        return "not known"
    of = f" of {read.of:,}" if read.of is not None else ""
    splits = ", ".join(f"{name} {number:,}" for name, number in sorted(read.splits.items()))
    return f"{read.count:,}{of}" + (f", {splits}" if splits else "")


def _files_read(
    keep: Keep, record: ModelRecord, given: ModelInput, inventory: Inventory
) -> dict[str, bytes] | None:
    """Path to sha256 of the files that were read; None where the record does not tell which they are."""
    read = given.files_read
    if read is None:
        return None
    if read.count == 0:
        return {}
    paths: set[str] | None = None
    if read.count != len(inventory):
        paths = listed_files(keep, record, read)
        if paths is None:
            return None
    rows = {file.path: file.sha256 for file in inventory.files if paths is None or file.path in paths}
    return rows if paths is None or len(rows) == len(paths) else None
