"""The storage classes of all values of a result, which SQLite keeps with each value: asked before the first row."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

#: So many combinations of the classes of one row are told before each column is asked for its own.
_MOST_ALIKE = 4_096


def classes_of_all(
    connection: sqlite3.Connection, text: str, bound: Mapping[str, Any], count: int
) -> list[frozenset[str]]:
    """The classes of each of the ``count`` columns of the query ``text``, without NULL.

    Rows that are alike in them are told once, which costs a third of aggregates for each column; unless NULLs stand
    here and there in so many columns that too many rows are not alike. Of a mix of more than two, two are enough.
    """
    names = [f"c{at}" for at in range(count)]
    inner = f"WITH q({', '.join(names)}) AS (\n{text}\n)"
    kinds = ", ".join(f"typeof({name})" for name in names)
    seen: list[set[str]] = [set() for _ in names]
    asked = f"{inner} SELECT DISTINCT {kinds} FROM q"  # noqa: S608  (the user's own query)
    with closing(connection.execute(asked, bound)) as rows:
        for row in islice(rows, _MOST_ALIKE):
            for known, kind in zip(seen, row, strict=True):
                known.add(kind)
        if next(rows, None) is None:
            return [frozenset(known - {"null"}) for known in seen]
    return _by_column(connection, inner, bound, names)


def _by_column(
    connection: sqlite3.Connection, inner: str, bound: Mapping[str, Any], names: Sequence[str]
) -> list[frozenset[str]]:
    """The least and the greatest class of each column, which are equal or a mix."""
    kinds = ", ".join(
        f"min(nullif(typeof({name}), 'null')), max(nullif(typeof({name}), 'null'))" for name in names
    )
    asked = f"{inner} SELECT {kinds} FROM q"  # noqa: S608  (the user's own query)
    found = connection.execute(asked, bound).fetchone()
    return [frozenset(found[at : at + 2]) - {None} for at in range(0, 2 * len(names), 2)]
