"""A query with every column qualified by its table, as sqlglot's optimizer does it; robust where that gives up.

Each table gets a plain name of our own (``t0``, ``t1`` …), so that catalogues, schemas and quotes cannot confuse the
optimizer, and its columns are given in the spelling that the dialect's names are folded to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import Dialect, exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope
from sqlglot.schema import MappingSchema

from datakeep.extract.sql.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.extract.sql.interface import Table

#: What sqlglot calls a column that the query gives no name.
_UNNAMED = re.compile(r"_col_\d+")
_FAULTS = (
    SqlglotError,
    RecursionError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    IndexError,
    AssertionError,
)
#: Columns of WITH queries within WITH queries are followed so far.
_MAX_DEPTH = 100
#: What a column is, as far as it can be told: its table and its own name; None: it is computed.
Origin = tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class _StandIn:
    """A table under a name of ours: as the query writes it, what is known of it, and its columns' real names."""

    written: str
    table: Table | None
    spelling: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Qualified:
    """A query that the optimizer has qualified."""

    _scope: Scope
    _outer: Scope
    _tables: Mapping[str, _StandIn]
    _written: Mapping[str, str]

    def columns(self, name: str) -> tuple[str, ...] | None:
        """The columns that are read of the table that the query writes ``name``, sorted; None if unknown."""
        found: set[str] | None = None
        for scope in self._scope.traverse():
            for alias, source in scope.sources.items():
                stand_in = self._tables.get(source.name) if isinstance(source, exp.Table) else None
                if stand_in is None or stand_in.written != name or not isinstance(source, exp.Table):
                    continue
                columns = None if source.args.get("pivots") else _of_source(scope, alias, stand_in)
                if columns is None:
                    return None
                found = (found or set()) | {stand_in.spelling.get(one, one) for one in columns}
        return None if found is None else tuple(sorted(found))

    def origins(self) -> dict[str, tuple[str, str] | None]:
        """See :func:`datakeep.extract.sql.lineage.column_origins`."""
        found: dict[str, tuple[str, str] | None] = {}
        for place, column in enumerate(_selects(self._outer)):
            if column.is_star or _UNNAMED.fullmatch(column.alias_or_name):
                continue
            real = self._origin(self._outer, place)
            folded = column.alias_or_name
            name = self._written.get(folded) or (
                real[1] if real and real[1].lower() == folded.lower() else folded
            )
            found[name] = real if name not in found or found[name] == real else None
        return found

    def _origin(self, scope: Scope, place: int, depth: int = 0) -> Origin:
        """Where the column at ``place`` of a scope's result comes from."""
        if depth > _MAX_DEPTH:
            return None
        if scope.set_operation_scopes:
            both = {self._origin(one, place, depth + 1) for one in scope.set_operation_scopes}
            return both.pop() if len(both) == 1 else None
        selects = _selects(scope)
        node = selects[place].unalias().unnest() if place < len(selects) else None
        if not isinstance(node, exp.Column):
            return None
        alone = next(iter(scope.selected_sources)) if len(scope.selected_sources) == 1 else ""
        source = scope.sources.get(node.table or alone)
        if isinstance(source, exp.Table):
            return self._real((source.name, node.name)) if source.name in self._tables else None
        if isinstance(source, Scope):
            places = (at for at, name in _outputs(source) if name == node.name)
            return next((self._origin(source, at, depth + 1) for at in places), None)
        return None

    def _real(self, origin: tuple[str, str]) -> tuple[str, str]:
        stand_in = self._tables[origin[0]]
        name = stand_in.table.name if stand_in.table else stand_in.written
        return name, stand_in.spelling.get(origin[1], origin[1])


def qualified(tree: exp.Expr, dialect: str, tables: Mapping[str, Table]) -> Qualified | None:
    """``tree`` with every column qualified; None where the optimizer gives up.

    Args:
        tree: Is not changed.
        dialect: Of it.
        tables: What the catalogue has, by the names that the query writes.
    """
    try:
        copy = tree.copy()
        stand_ins = _stand_in(copy, dialect, tables)
        schema = MappingSchema(
            {name: dict.fromkeys(one.spelling, "text") for name, one in stand_ins.items() if one.spelling},
            dialect=dialect,
            normalize=False,
        )
        done = qualify(
            copy,
            dialect=dialect,
            schema=schema,
            validate_qualify_columns=False,
            quote_identifiers=False,
            identify=False,
            allow_partial_qualification=True,
            canonicalize_table_aliases=False,
        )
        scope, outer = (
            build_scope(done),
            build_scope(done.unnest() if isinstance(done, exp.Subquery) else done),
        )
        if scope is None or outer is None:
            return None
        return Qualified(scope, outer, stand_ins, _written_names(tree, dialect))
    except _FAULTS:
        return None


def _stand_in(tree: exp.Expr, dialect: str, tables: Mapping[str, Table]) -> dict[str, _StandIn]:
    """Give each base table of ``tree`` a name of ours, keeping its own as the alias."""
    known = Dialect.get_or_raise(dialect)
    sources = sources_of(tree, dialect)
    found: dict[str, _StandIn] = {}
    names: dict[str, str] = {}
    for table in sources.tables:
        written = sources.name(table) or ""
        table_known = tables.get(written)
        name = names.setdefault(written, f"datakeep_t{len(names)}")
        if name not in found:
            columns = table_known.columns if table_known else ()
            found[name] = _StandIn(
                written, table_known, {_folded(one.name, known): one.name for one in columns}
            )
        if not table.alias:
            own = (
                table.this
                if isinstance(table.this, exp.Identifier)
                else exp.to_identifier(written, quoted=True)
            )
            table.set("alias", exp.TableAlias(this=own.copy()))
        table.set("this", exp.to_identifier(_folded(name, known), quoted=True))
        found[_folded(name, known)] = found[name]
        table.set("db", None)
        table.set("catalog", None)
    for column in tree.find_all(exp.Column):
        column.set("db", None)
        column.set("catalog", None)
    return found


def _folded(name: str, dialect: Dialect) -> str:
    """A column's real name as the optimizer will look for it: folded only where the dialect folds quoted names."""
    return str(dialect.normalize_identifier(exp.to_identifier(name, quoted=True)).name)


def _written_names(tree: exp.Expr, dialect: str) -> dict[str, str]:
    """From the folded name of a result's column to the query's own spelling, where the dialect folds quoted names."""
    known = Dialect.get_or_raise(dialect)
    query = tree.unnest() if isinstance(tree, exp.Subquery) else tree
    while isinstance(query, exp.SetOperation):
        query = query.left
    found = {}
    for one in query.selects if isinstance(query, exp.Query) else ():
        alias = one.args.get("alias")
        identifier = (
            alias if isinstance(alias, exp.Identifier) else one.this if isinstance(one, exp.Column) else None
        )
        if (
            isinstance(one, exp.Alias)
            and isinstance(identifier, exp.Identifier)
            and _folded("A", known) != "A"
        ):
            found[str(known.normalize_identifier(identifier.copy()).name)] = identifier.name
    return found


def _of_source(scope: Scope, alias: str, stand_in: _StandIn) -> set[str] | None:
    """The columns that ``scope`` reads of one of its sources; None if a star or an unqualified column hides some."""
    selects = _selects(scope)
    if any(one.find(exp.Columns) for one in selects):
        return None
    rows = _rows(scope, alias, stand_in)
    if "" in rows.values() and not stand_in.spelling:
        return None
    found = {name for field in rows.values() for name in ([field] if field else stand_in.spelling)}
    for column in (one for one in scope.columns if id(one) not in rows):
        if column.table == alias:
            found.add(column.name)
        elif not column.table and not _is_output(column, scope):
            if len(scope.selected_sources) == 1:
                found.add(column.name)
            elif not stand_in.spelling or column.name in stand_in.spelling:
                return None
    for star in selects:
        if star.is_star and not (isinstance(star, exp.Column) and star.table not in {"", alias}):
            return None
    return found


def _rows(scope: Scope, alias: str, stand_in: _StandIn) -> dict[int, str]:
    """Where rows are taken by the name of their table, as in ``to_jsonb(q)``; by id, the field of ``(q).m``."""
    found = {}
    for node in scope.expression.find_all(exp.TableColumn, exp.Column):
        if isinstance(node.this, exp.Star):
            if node.text("table") == alias and not isinstance(node.parent, exp.Select):
                found[id(node)] = ""
        elif node.name == alias and not node.text("table") and alias not in stand_in.spelling:
            field = node.parent.parent if isinstance(node.parent, exp.Paren) else None
            named = isinstance(field, exp.Dot) and isinstance(field.expression, exp.Identifier)
            if not _is_output(node, scope):
                found[id(node)] = field.name if field and named else ""
    return found


def _is_output(column: exp.Expr, scope: Scope) -> bool:
    """Whether SQL lets a column of the result be named where ``column`` stands, and one is called so."""
    above = column.find_ancestor(exp.Order, exp.Group, exp.Having, exp.Qualify, exp.Select)
    named = any(one.alias_or_name == column.name for one in _selects(scope))
    return named and above is not scope.expression


def _outputs(scope: Scope) -> Iterator[tuple[int, str]]:
    yield from enumerate(one.alias_or_name for one in _selects(scope))


def _selects(scope: Scope) -> list[exp.Expr]:
    query = scope.expression
    return query.selects if isinstance(query, exp.Query) else []
