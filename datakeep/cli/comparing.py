"""How a comparison by content is shown: a verdict first, then some thirty lines of what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.cli.printable import printable
from datakeep.cli.visible import visible
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.extract.comparison import ChangedRow, Comparison, Example

_COLUMNS = 10
_DIFFERING = 5
_EXAMPLES = 2
_MARKS = {"added": "+", "removed": "-"}


def comparison_lines(found: Comparison, old: str, new: str) -> Iterator[str]:
    """The comparison for a person.

    Args:
        found: What was found.
        old: What the old rows are called: ``orders@v3``.
        new: What the new rows are called: ``extracted now``.
    """
    if found.same:
        yield f"same content: {old} and {new} have the same {counted(found.old_rows, 'row')}, {_how(found)}"
    elif _only_types(found):
        count = counted(len(found.types_changed), "column")
        yield (
            f"the types differ in {count}, and no value does: {old} and {new} have the same "
            f"{counted(found.old_rows, 'row')}"
        )
    else:
        yield f"the content differs: {old} has {counted(found.old_rows, 'row')}, {new} {found.new_rows:,}"
    if found.why_by_row:
        yield f"  rows are counted as wholes: {printable(found.why_by_row)}"
    if found.reordered:
        yield "  the columns stand in another order, which is no difference by itself"
    if found.same:
        return
    yield from _column_lines(found)
    yield from _row_lines(found)


def _only_types(found: Comparison) -> bool:
    same_rows = not (found.added or found.removed or found.changed) and found.old_rows == found.new_rows
    return same_rows and not (found.columns_added or found.columns_removed) and bool(found.types_changed)


def rows_lines(found: Comparison, *, named: bool = True) -> Iterator[str]:
    """The rows of those tables alone that are not the same in both.

    Args:
        found: What was found.
        named: Name the columns that are not the same; else somebody does beside it.
    """
    if found.same:
        yield f"rows of the tables that changed: same ({counted(found.old_rows, 'row')}), {_how(found)}"
        return
    yield f"rows of the tables that changed: {found.old_rows:,} → {found.new_rows:,}"
    if found.why_by_row and found.compared:
        yield f"  counted as wholes: {printable(found.why_by_row)}"
    yield from _column_lines(found, named=named)
    yield from _row_lines(found)


def _how(found: Comparison) -> str:
    both = " that both have" if found.columns_added or found.columns_removed else ""
    columns = f"in {counted(found.compared, 'column')}{both}"
    return f"compared by {', '.join(map(printable, found.keys))} {columns}" if found.keys else columns


def _column_lines(found: Comparison, *, named: bool = True) -> Iterator[str]:
    if found.same_columns:
        yield f"  columns: same ({found.compared:,})"
        return
    yield (
        f"  columns: {len(found.columns_added):,} added, {len(found.columns_removed):,} removed, "
        f"{len(found.types_changed):,} of another type{'' if found.compared else '; none is in both'}"
    )
    if not named:
        return
    lists = (
        [f"+ {name} ({kind or 'no value'})" for name, kind in found.columns_added],
        [f"- {name} ({kind or 'no value'})" for name, kind in found.columns_removed],
        [f"~ {name}: {old} → {new}" for name, old, new in found.types_changed],
    )
    limit = _COLUMNS // sum(map(bool, lists))
    for lines in lists:
        yield from _some(lines, limit)


def _some(lines: Sequence[str], limit: int) -> Iterator[str]:
    yield from (f"    {printable(line)}" for line in lines[:limit])
    if len(lines) > limit:
        yield f"    … and {len(lines) - limit:,} more"


def _row_lines(found: Comparison) -> Iterator[str]:
    if not found.compared:
        yield "  rows: not comparable"
        return
    if not (found.added or found.removed or found.changed):
        yield f"  rows: {'same values' if found.types_changed else 'same'}, {_how(found)}"
        return
    changed = f", {found.changed:,} changed" if found.by == "key" else ""
    yield f"  rows: {found.added:,} added, {found.removed:,} removed{changed}, {_how(found)}"
    if found.differing:
        yield "  changed rows differ in"
        yield from _some([f"{name}: {rows:,}" for name, rows in found.differing.items()], _DIFFERING)
    if found.withheld:
        yield "  no examples are shown: the data is personal, or may be"
        return
    for kind, rows in found.examples.items():
        if kind != "changed":
            for row in rows[:_EXAMPLES]:
                more = ", …" if found.by == "row" and len(row) < found.compared else ""
                yield f"  {_MARKS[kind]} {_example(row)}{more}"
            yield from _rest(found.added if kind == "added" else found.removed, len(rows), kind)
    yield from (f"  ~ {_example(one.key)}: {_changed(one)}" for one in found.changes[:_EXAMPLES])
    if found.changes:
        yield from _rest(found.changed, len(found.changes), "changed")


def _rest(rows: int, known: int, what: str) -> Iterator[str]:
    """How many rows of a kind are not among the examples; which they are is for a query on both, not for a line."""
    left = rows - min(known, _EXAMPLES)
    if left > 0:
        yield f"    … and {left:,} more {what}"


def _example(row: Example) -> str:
    return ", ".join(f"{visible(name)} = {visible(value)}" for name, value in row.items())


def _changed(row: ChangedRow) -> str:
    pairs = [
        f"{visible(name)} {visible(old)} → {visible(new)}"
        for name, (old, new) in [*row.columns.items()][:_DIFFERING]
    ]
    more = row.differing - len(pairs)
    return ", ".join(pairs) + (f" and {counted(more, 'more column')}" if more else "")
