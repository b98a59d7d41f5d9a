"""Which tables and columns a query reads, through views too, and where each column of its result comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.core.errors import DatakeepError
from datakeep.extract.sql.qualifying import Qualified, qualified
from datakeep.extract.sql.reading import read
from datakeep.extract.sql.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from datakeep.extract.sql.interface import SourceFile, Statement, Table, TableKind

    #: From names, as a query writes them, to what the catalogue has of them; what it has not is left out.
    Lookup = Callable[[Collection[str]], Mapping[str, Table]]

#: Views within views are followed so far; deeper ones are kept, with their columns unknown.
_MAX_DEPTH = 32
_VIEWS = frozenset({"view", "materialized view"})


@dataclass(frozen=True, slots=True)
class TableRead:
    """A table, view or file that a query reads.

    Attributes:
        name: As the catalogue resolves it; as the query writes it where the catalogue has nothing of it.
        kind: What it is; ``unknown`` where the catalogue has nothing of it.
        columns: Names of the columns that are read, sorted; all for ``*``; empty where only rows are counted. None if
            they cannot be told, which is never the same as none.
        definition: The SQL of a view, where it can be read.
        comment: What its owners wrote about it.
        reached_through: The views between the query and it, the query's own first.
        owner: Who can grant access, as the database calls them.
        primary_key: The names of its columns; empty if there is none, or nobody can say.
        files: Of kind ``file``: what the name stood for when it was read.
    """

    name: str
    kind: TableKind
    columns: tuple[str, ...] | None
    definition: str | None = None
    comment: str | None = None
    reached_through: tuple[str, ...] = ()
    owner: str | None = None
    primary_key: tuple[str, ...] = ()
    files: tuple[SourceFile, ...] = ()


def read_tables(statement: Statement) -> list[str]:
    """The tables, views and files that the query names, each once, as it writes them; no CTE is among them."""
    tree = read(statement.text, statement.dialect).tree
    return sources_of(tree, statement.dialect).names()


def trace(statement: Statement, lookup: Lookup) -> list[TableRead]:
    """All that the query reads, through views recursively: first what it names itself, then what those read.

    What a view reads is what its whole definition reads, whichever of its columns the query takes. A function in FROM
    of which nobody can see what it reads is there too, such as ``f()``, with its columns unknown.

    Args:
        statement: The query.
        lookup: Such as :meth:`Session.tables`; it may raise what that raises.
    """
    found: dict[tuple[str, tuple[str, ...]], TableRead] = {}
    _follow(read(statement.text, statement.dialect).tree, statement.dialect, lookup, (), found)
    return list(found.values())


def column_origins(statement: Statement, tables: Mapping[str, Table]) -> dict[str, tuple[str, str] | None]:
    """Of each column of the result, the table (as the catalogue names it) and column whose value it is, unchanged.

    None stands for a column that is computed, or whose origin cannot be told, or that a UNION takes from several.
    A column that comes out under two origins by one name has None. Columns behind a ``*`` of a table that is not
    in ``tables`` are left out.

    Args:
        statement: The query.
        tables: By their names as the query writes them.
    """
    found = qualified(read(statement.text, statement.dialect).tree, statement.dialect, tables)
    return found.origins() if found else {}


def _follow(
    tree: exp.Expr,
    dialect: str,
    lookup: Lookup,
    through: tuple[str, ...],
    found: dict[tuple[str, tuple[str, ...]], TableRead],
) -> None:
    sources = sources_of(tree, dialect)
    names = sources.names()
    tables = lookup(names) if names else {}
    reading: Qualified | None = qualified(tree, dialect, tables)
    views = []
    for name in names:
        table = tables.get(name)
        columns = reading.columns(name) if reading else None
        if table is None:
            _keep(found, TableRead(name, "unknown", columns, reached_through=through))
            continue
        inner = _definition(table, dialect) if table.kind in _VIEWS else None
        if table.kind in _VIEWS and (inner is None or table.name in through or len(through) >= _MAX_DEPTH):
            columns = None
        elif inner is not None:
            views.append((table.name, inner))
        made = TableRead(
            table.name, table.kind, columns, table.definition, table.comment, through, table.owner,
            table.primary_key, table.files,
        )  # fmt: skip
        _keep(found, made)
    for function in sources.functions:
        _keep(found, TableRead(function, "unknown", None, reached_through=through))
    for name, inner in views:
        _follow(inner, dialect, lookup, (*through, name), found)


def _keep(found: dict[tuple[str, tuple[str, ...]], TableRead], one: TableRead) -> None:
    """Two spellings of one table are one: with the columns of both, unknown if one's are."""
    key = (one.name, one.reached_through)
    if (same := found.get(key)) is not None:
        both = None if same.columns is None or one.columns is None else {*same.columns, *one.columns}
        one = replace(one, columns=None if both is None else tuple(sorted(both)))
    found[key] = one


def _definition(table: Table, dialect: str) -> exp.Expr | None:
    """The query of a view; None if it cannot be read, or not parsed."""
    if not table.definition:
        return None
    try:
        tree = read(table.definition, dialect).tree
    except DatakeepError:
        return None
    query = tree.expression if isinstance(tree, exp.Create) else tree
    return query if isinstance(query, exp.Query) else None
