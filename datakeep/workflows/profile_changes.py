"""What differs between the profiles of two versions, in short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.core.changes import ADDED, REMOVED, rows_line
from datakeep.core.errors import DatakeepError
from datakeep.workflows.profiling import read_profile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.formats.profile import ColumnProfile, Profile
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.keep import Keep

_CHANGED_COLUMNS = 20
_NONE = "no values"
_DISTRIBUTION = ("top", "quantiles", "histogram", "mean")
_COUNTS = (("nan", "NaN"), ("infinite", "infinite"), ("other", "of another type"), ("longest", "longest"))


def profile_changes(old: Profile | None, new: Profile | None) -> tuple[str, ...]:
    """What differs between two profiles: rows, then a line for each column of both; or that one came or went."""
    if old is None or new is None:
        return () if old is new else (ADDED,) if old is None else (REMOVED,)
    lines = [rows_line(old.rows, new.rows)] if old.rows != new.rows else []
    before = {column.name: column for column in old.columns}
    differing = [
        f"{column.name}: {', '.join(parts)}"
        for column in new.columns
        if column.name in before
        and (parts := [*_column_changes(before[column.name], column, (old.rows, new.rows))])
    ]
    lines += differing[:_CHANGED_COLUMNS]
    if len(differing) > _CHANGED_COLUMNS:
        lines.append(f"… and {len(differing) - _CHANGED_COLUMNS:,} more columns")
    if not lines and old.time != new.time:
        lines.append("rows per day, month or year")
    return tuple(lines)


def _column_changes(old: ColumnProfile, new: ColumnProfile, rows: tuple[int, int]) -> Iterator[str]:
    if old.nulls != new.nulls:
        yield f"nulls {old.nulls:,} → {new.nulls:,}"
    if bool(old.withheld) != bool(new.withheld):
        yield "values are withheld" if new.withheld else "values are no longer withheld"
    else:
        yield from _value_changes(old, new, rows)
    for name, words in _COUNTS:
        before, after = getattr(old, name), getattr(new, name)
        if None not in (before, after) and before != after:
            yield f"{words} {before:,} → {after:,}"


def _value_changes(old: ColumnProfile, new: ColumnProfile, rows: tuple[int, int]) -> Iterator[str]:
    """Range, different values, mean; where none of them differs, that something else does.

    Of another type are columns where one of both has no such figure; the data dictionary tells that.
    """
    ranges = [_range(column, count) for column, count in zip((old, new), rows, strict=True)]
    if _NONE in ranges:
        yield from [f"{ranges[0]} → {ranges[1]}"] if ranges[0] != ranges[1] and all(ranges) else []
        return
    figures = (
        ("", ranges),
        ("distinct ", [*map(_distinct, (old, new))]),
        ("mean ", [old.shown_mean, new.shown_mean]),
    )
    told = [f"{word}{pair[0]} → {pair[1]}" for word, pair in figures if all(pair) and pair[0] != pair[1]]
    yield from told
    if not told and any(getattr(old, name) != getattr(new, name) for name in _DISTRIBUTION):
        yield "values are distributed otherwise"


def _range(column: ColumnProfile, rows: int) -> str:
    if column.min is None:
        return _NONE if column.nulls + column.nan + column.infinite + column.other == rows else ""
    return f"{_shown(column.min)} … {_shown(column.max or '')}"


def _shown(value: str) -> str:
    """In quotes where its spaces, or that there is nothing, would not be seen."""
    return value if value and value == " ".join(value.split()) else f"'{value}'"


def _distinct(column: ColumnProfile) -> str:
    mark = "~" if "distinct" in column.approximate else ""
    return "" if column.distinct is None else f"{mark}{column.distinct:,}"


def changes_between(keep: Keep, old: VersionEntry, new: VersionEntry) -> tuple[str, ...]:
    """What differs between the profiles of two versions; nothing where one cannot be had."""
    if (old.dataset, old.commit) == (new.dataset, new.commit):
        return ()
    try:
        return profile_changes(read_profile(keep, old), read_profile(keep, new))
    except DatakeepError as error:
        keep.progress.warn(f"the profiles are not compared: {error.what}")
        return ()
