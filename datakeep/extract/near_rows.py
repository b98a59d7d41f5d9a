"""Rows without a key that differ, as examples: beside each the most similar one, and what tells them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from datakeep.extract.comparison import Example
    from datakeep.extract.sides import Matched

    Row = tuple[Any, ...]

#: Of a row, the columns that are shown.
_SHOWN_COLUMNS = 6


def row_examples(
    columns: Sequence[Matched], rows: Mapping[str, Sequence[Row]], limit: int
) -> dict[str, tuple[Example, ...]]:
    """Up to ``limit`` examples of each kind of row; rows of both kinds that are nearly the same come first, in order.

    Args:
        columns: Of the rows, in order.
        rows: ``added`` and ``removed``, each the first ones.
        limit: How many of a kind.
    """
    pairs = list(_pairs(rows.get("removed", ()), rows.get("added", ())))[:limit]
    found: dict[str, list[Example]] = {kind: [] for kind, some in rows.items() if some}
    for old, new in pairs:
        differing = [at for at in range(len(columns)) if old[at] != new[at]]
        others = [at for at in range(len(columns)) if at not in differing]
        shown = sorted([*differing, *others][:_SHOWN_COLUMNS])
        both = {columns[at].name: columns[at].shown_apart(old[at], new[at]) for at in shown}
        found["removed"].append({name: before for name, (before, _) in both.items()})
        found["added"].append({name: after for name, (_, after) in both.items()})
    for side, kind in enumerate(("removed", "added")):
        paired = {id(pair[side]) for pair in pairs}
        alone = [row for row in rows.get(kind, ()) if id(row) not in paired]
        for row in alone[: limit - len(pairs)]:
            first = zip(columns[:_SHOWN_COLUMNS], row, strict=False)
            found[kind].append({column.name: column.shown(value) for column, value in first})
    return {kind: tuple(examples) for kind, examples in found.items()}


def _pairs(removed: Sequence[Row], added: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Each removed row with the added one that it shares most values with, at least half of them; none twice."""
    left = list(added)
    for old in removed:
        nearest = min(left, key=lambda new: _apart(old, new), default=None)
        if nearest is not None and 2 * _apart(old, nearest) <= len(old):
            left = [row for row in left if row is not nearest]
            yield old, nearest


def _apart(one: Row, other: Row) -> int:
    return sum(value != same for value, same in zip(one, other, strict=True))
