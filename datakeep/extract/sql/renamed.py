"""Columns of a result that are a table's column under another name: what its name told, the new one does not."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.reading import read
from datakeep.extract.sql.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.extract.sql.interface import Statement
    from datakeep.extract.sql.sources import Sources

#: What leaves of a value what tells whose it is.
_LEAVING = (exp.Cast, exp.Paren, exp.Lower, exp.Upper, exp.Trim, exp.Coalesce)
#: Queries within queries that are looked through.
_DEEPEST = 20


def renamed(statement: Statement) -> Mapping[str, str]:
    """Each column of the result (in lower case) that is one of a table under another name, and that name.

    Looked through are subqueries and CTEs, and what leaves a value readable, such as ``lower``; not views.
    """
    return _renamed(statement.text, statement.dialect)


@lru_cache(maxsize=64)  # as reading.read: notes and profile ask for the same query
def _renamed(text: str, dialect: str) -> Mapping[str, str]:
    reading = read(text, dialect)
    sources = sources_of(reading.tree, reading.dialect)
    found: dict[str, str] = {}
    for select in outer_selects(reading.tree):
        for one in select.expressions:
            name, was = one.alias_or_name.lower(), origin(one, select, sources)
            if name and was and was.lower() != name:
                found.setdefault(name, was)
    return found


def outer_selects(query: exp.Expr | None) -> Iterator[exp.Select]:
    """The SELECTs whose columns are those of ``query``."""
    rest = [query]
    while rest:  # a tool may write a UNION of thousands
        one = rest.pop()
        if isinstance(one, exp.SetOperation):
            rest += [one.right, one.left]
        elif isinstance(one, exp.Subquery | exp.Paren):
            rest.append(one.this)
        elif isinstance(one, exp.Select):
            yield one


def origin(output: exp.Expr, select: exp.Select, sources: Sources, deepest: int = _DEEPEST) -> str | None:
    """The name of the table's column that an expression of ``select`` is; None if it is none."""
    value = output.unalias()
    while isinstance(value, _LEAVING):
        value = value.this
    if not isinstance(value, exp.Column) or value.name == "*" or not deepest:
        return None
    for source in sources.of(select):
        if source.query is None or source.recursive or value.table.lower() not in ("", source.alias):
            continue
        for inner in outer_selects(source.query):
            for one in inner.expressions:
                if one.alias_or_name.lower() == value.name.lower():
                    return origin(one, inner, sources, deepest - 1)
    return value.name
