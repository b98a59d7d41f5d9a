"""What changed in the data of a version since the one before it, for a metric that dropped there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.repository.scratch import scratch
from datakeep.workflows.bytes_here import BytesHere
from datakeep.workflows.diff import Difference, diff
from datakeep.workflows.inventories import load_inventory
from datakeep.workflows.rows_diff import rows_between, rows_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.keep import Keep


@dataclass(frozen=True, slots=True)
class Changed:
    """What changed in the data where a version dropped.

    Attributes:
        before: The version that it is held against, the one before it.
        difference: Files, columns, manifest and profile; None where that cannot be told now.
        splits: Split to how many files it had and has, where that changed.
        rows: Rows before and now.
        by_row: Which rows differ, in words; None where that cannot be told, or no table is another one.
        fault: Why it cannot be told.
    """

    before: str
    difference: Difference | None = None
    splits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    rows: tuple[int | None, int | None] = (None, None)
    fault: str | None = None
    by_row: str | None = None


def changed_in(keep: Keep, entry: VersionEntry) -> Changed:
    """What changed at ``entry``, which is not the first version."""
    versions = keep.versions(entry.dataset)
    before = versions[versions.index(entry.version) - 1]
    try:
        old = keep.entry(f"{entry.dataset}@{before}")
        found = diff(keep, [f"{entry.dataset}@{before}", f"{entry.dataset}@{entry.version}"])
        counts, now = _splits(keep, old), _splits(keep, entry)
    except DatakeepError as error:
        return Changed(before, fault=error.what)
    splits = {
        name: (counts[name], now[name])
        for name in sorted(counts.keys() | now.keys())
        if counts[name] != now[name]
    }
    return Changed(before, found, splits, (rows_of(old), rows_of(entry)), by_row=_by_row(keep, old, entry))


def _by_row(keep: Keep, old: VersionEntry, new: VersionEntry) -> str | None:
    """Which rows differ, of tables that can be had; their bytes were fetched for the training a moment ago."""
    try:
        with scratch() as folder:
            here = BytesHere(keep, fetch=True, scratch=folder)
            sides = [(entry, load_inventory(keep, entry)) for entry in (old, new)]
            found, _ = rows_between(keep, here, folder, *sides)
    except DatakeepError:
        return None
    return rows_in_words(found) if found else None


def rows_of(entry: VersionEntry) -> int | None:
    """How many rows the tables of a version have, where its manifest says so."""
    contents, source = entry.manifest.get("contents"), entry.manifest.get("source")
    for part, key in ((contents, "rows"), (source, "rows")):
        if isinstance(part, dict) and isinstance(part.get(key), int):
            return int(part[key])
    return None


def _splits(keep: Keep, entry: VersionEntry) -> Counter[str]:
    """How many files each split of a version has."""
    splits = entry.manifest_model().splits
    if splits is None or not splits.patterns:
        return Counter()
    column = load_inventory(keep, entry).with_splits(splits.patterns).table.column("split").to_pylist()
    return Counter(name for name in column if name is not None)
