"""What differs between the profiles of two versions, in short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.core.changes import ADDED, REMOVED, rows_line
from datakeep.core.errors import DatakeepError
from datakeep.workflows.profiling import read_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from datakeep.formats.profile import ColumnProfile, Profile
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.keep import Keep

_CHANGED_COLUMNS = 20
_COUNTS = (("nan", "NaN"), ("infinite", "infinite"), ("other", "of another type"), ("longest", "longest"))


_DISTRIBUTION = ("top", "quantiles", "histogram", "mean")


def profile_changes(old: Profile | None, new: Profile | None) -> tuple[str, ...]:
    """What differs between two profiles: rows, then a line for each column of both; or that one came or went."""
    if old is None or new is None:
        return () if old is new else (ADDED,) if old is None else (REMOVED,)
    lines = [rows_line(old.rows, new.rows)] if old.rows != new.rows else []
    before = {column.name: column for column in old.columns}
    differing = [
        f"{column.name}: {', '.join(parts)}"
        for column in new.columns
        if column.name in before and (parts := [*_column_changes(before[column.name], column)])
    ]
    lines += differing[:_CHANGED_COLUMNS]
    if len(differing) > _CHANGED_COLUMNS:
        lines.append(f"… and {len(differing) - _CHANGED_COLUMNS:,} more columns")
    if not lines and old.time != new.time:
        lines.append("rows per day, month or year")
    return tuple(lines)


def _column_changes(old: ColumnProfile, new: ColumnProfile) -> Iterator[str]:
    if old.nulls != new.nulls:
        yield f"nulls {old.nulls:,} → {new.nulls:,}"
    if old.type != new.type:  # which the columns of the manifest tell; their figures are of other kinds
        return
    if bool(old.withheld) != bool(new.withheld):
        yield "values are withheld" if new.withheld else "values are no longer withheld"
    else:
        yield from _value_changes(old, new)
    for name, words in _COUNTS:
        before, after = getattr(old, name) or 0, getattr(new, name) or 0
        if before != after:
            yield f"{words} {before:,} → {after:,}"


def _value_changes(old: ColumnProfile, new: ColumnProfile) -> Iterator[str]:
    """Range, different values, mean; where none of them differs, that something else does."""
    figures: tuple[tuple[str, Callable[[ColumnProfile], str]], ...] = (
        ("", _range), ("distinct ", _distinct), ("mean ", lambda one: one.shown_mean),
    )  # fmt: skip
    known = figures if None not in (old.min, new.min) or old.min is new.min else figures[:1]
    told = [f"{word}{of(old)} → {of(new)}" for word, of in known if of(old) != of(new)]
    yield from told
    if not told and any(getattr(old, name) != getattr(new, name) for name in _DISTRIBUTION):
        yield "values are distributed otherwise"


def _range(column: ColumnProfile) -> str:
    return "no values" if column.min is None else f"{column.min} … {column.max}"


def _distinct(column: ColumnProfile) -> str:
    mark = "~" if "distinct" in column.approximate else ""
    return "none" if column.distinct is None else f"{mark}{column.distinct:,}"


def changes_between(keep: Keep, old: VersionEntry, new: VersionEntry) -> tuple[str, ...]:
    """What differs between the profiles of two versions; nothing where one cannot be had."""
    if (old.dataset, old.commit) == (new.dataset, new.commit):
        return ()
    try:
        return profile_changes(read_profile(keep, old), read_profile(keep, new))
    except DatakeepError as error:
        keep.progress.warn(f"the profiles are not compared: {error.what}")
        return ()
