"""Advice on what a query does not show: the views that it reads through, functions, and who sees which rows."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.core.errors import DatakeepError
from datakeep.extract.sql.advice import advise
from datakeep.extract.sql.advice_calls import name_of_call, start_of
from datakeep.extract.sql.advice_kinds import DERIVABILITY, Advice, advice
from datakeep.extract.sql.lineage import read_tables
from datakeep.extract.sql.reading import offset_of, read
from datakeep.extract.sql.sources import name_of, sources_of
from datakeep.extract.sql.statement import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from datakeep.extract.sql.interface import Statement, Table
    from datakeep.extract.sql.reading import Reading

    Lookup = Callable[[Collection[str]], Mapping[str, Table]]
    Volatile = Callable[[Collection[str]], Collection[str]]

#: Of a view, these are told of nothing: its columns and tables were fixed when it was made.
_FIXED = frozenset({"select-star", "unqualified-table"})
_MAX_VIEWS = 100
_MARK = "have it marked STABLE or IMMUTABLE if it is, or write what it computes into the query"


def unseen(
    statement: Statement, tables: Mapping[str, Table], lookup: Lookup, volatile: Volatile
) -> list[Advice]:
    """What makes a result impossible to derive again, and stands in the database, not in the query.

    Args:
        statement: The query; each piece of advice has the place in it that leads there.
        tables: What the catalogue has of its tables, by the names that the query writes.
        lookup: Such as :meth:`Session.tables`; asked for what the views read.
        volatile: Such as :meth:`Session.volatile`.
    """
    reading = read(statement.text, statement.dialect)
    found = {*_of_functions(reading, volatile)}
    seen: set[tuple[str, str | None]] = set()
    for node in sources_of(reading.tree, reading.dialect).tables:
        table = tables.get(name_of(node, reading.dialect) or "")
        if table is not None:
            found.update(
                advice(reading, offset_of(node), kind, what, way_out)
                for kind, what, way_out in _of_table(table, statement.dialect, lookup, volatile, seen)
            )
    return sorted(found)


def definitions(tables: Mapping[str, Table], dialect: str, lookup: Lookup) -> dict[str, str]:
    """The SQL of all views that a query reads through, by their names in the catalogue; as :func:`unseen`."""
    found: dict[str, str] = {}
    rest = list(tables.values())
    while rest and len(found) <= _MAX_VIEWS:
        table = rest.pop()
        if not table.definition or table.name in found:
            continue
        found[table.name] = table.definition
        with suppress(DatakeepError):  # one that cannot be read leads no further
            names = read_tables(parse(_select(table.definition, dialect), dialect))
            rest += lookup(names).values() if names else ()
    return found


def _of_functions(reading: Reading, volatile: Volatile) -> Iterator[Advice]:
    calls = {name_of_call(call): call for call in reading.tree.find_all(exp.Anonymous)}
    for name in volatile(list(calls)) if calls else ():
        at = start_of(reading, calls[name], {calls[name].name.lower()})
        yield advice(reading, at, "volatile-function", f"{name}()", _MARK)


def _of_table(
    table: Table,
    dialect: str,
    lookup: Lookup,
    volatile: Volatile,
    seen: set[tuple[str, str | None]],
    role: str | None = None,
) -> Iterator[tuple[str, str, str]]:
    """Kind, what and way out of all that the table is made of; each view once for each ``role`` that reads it.

    Whoever runs the query reads as None; behind a view it is the view's owner.
    """
    if table.row_security and not (table.owner_sees_all and role == table.owner):
        yield (
            "session-value",
            f"{table.name} has row-level security",
            "run it always as the same user, one that sees all rows",
        )
    # The rows of a materialized view stay until somebody has them made again, as a table's do.
    if not table.definition or table.kind == "materialized view":
        return
    if (table.name, role) in seen or len(seen) > _MAX_VIEWS:
        return
    seen.add((table.name, role))
    try:
        view = parse(_select(table.definition, dialect), dialect)
    except DatakeepError:  # no view of SQL that can be read: its columns are unknown to lineage as well
        return
    names = read_tables(view)
    inner = lookup(names) if names else {}
    for one in [*advise(view, inner), *_of_functions(read(view.text, dialect), volatile)]:
        if one.id in DERIVABILITY - _FIXED:
            what = one.what.partition(": ")[0]
            yield (
                one.id,
                f"the view {table.name} has {what}",
                f"read its tables in the query, and there: {one.way_out}",
            )
    below_as = role if table.as_reader else table.owner
    for below in inner.values():
        yield from _of_table(below, dialect, lookup, volatile, seen, below_as)


def _select(definition: str, dialect: str) -> str:
    """The SELECT of a view; SQLite and DuckDB keep the whole CREATE VIEW."""
    tree = read(definition, dialect).tree
    return tree.expression.sql(dialect) if isinstance(tree, exp.Create) and tree.expression else definition
