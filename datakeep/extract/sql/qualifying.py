"""A query with every column qualified by its table, as sqlglot's optimizer does it; robust where that gives up.

Each table gets a plain name of our own (``t0``, ``t1`` …), so that catalogues, schemas and quotes cannot confuse the
optimizer, and its columns are given in the spelling that the dialect's names are folded to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import Dialect, exp
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope
from sqlglot.schema import MappingSchema

from datakeep.extract.sql.passing import is_bare
from datakeep.extract.sql.sources import GIVES_UP, sources_of
from datakeep.extract.sql.stars import is_fields

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from datakeep.extract.sql.interface import Table

#: What sqlglot calls a column that the query gives no name.
_UNNAMED = re.compile(r"_col_\d+")
#: Dialects in which the name of a table, where a value stands, is its whole row.
_WITH_ROWS = frozenset({"postgres", "redshift", "materialize", "risingwave", "duckdb", "bigquery"})
#: Dialects in which ``->`` is a way into a document, and nothing else.
_ONLY_ARROWS = frozenset({"postgres", "redshift", "materialize", "risingwave", "mysql", "sqlite"})
#: An alias that others of its SELECT name is put in their place; a query is not made longer than this by that.
_MOST_NODES = 50_000
#: Columns of WITH queries within WITH queries are followed so far.
_MAX_DEPTH = 100
#: What a column is, as far as it can be told: its table and its own name; None: it is computed.
Origin = tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class _StandIn:
    """A table under a name of ours: as the query writes it, what is known of it, and its columns' real names."""

    written: str
    table: Table | None
    spelling: dict[str, str]

    def called(self, names: Sequence[str]) -> _StandIn:
        """With its first columns by the names that a list gives them: ``t AS x(a, b)``."""
        if not names:
            return self
        listed = zip(names, self.spelling.values(), strict=False)
        return replace(self, spelling=dict([*listed, *list(self.spelling.items())[len(names) :]]))


@dataclass(frozen=True, slots=True)
class Qualified:
    """A query that the optimizer has qualified."""

    _scope: Scope
    _outer: Scope
    _tables: Mapping[str, _StandIn]
    _written: Mapping[str, str]
    _dialect: str

    def columns(self, name: str) -> tuple[str, ...] | None:
        """The columns that are read of the table that the query writes ``name``, sorted; None if unknown."""
        found: set[str] | None = None
        for scope in self._scope.traverse():
            for alias, source in scope.sources.items():
                stand_in = self._tables.get(source.name) if isinstance(source, exp.Table) else None
                if stand_in is None or stand_in.written != name or not isinstance(source, exp.Table):
                    continue
                names = source.alias_column_names
                called = stand_in.called(names)
                unknown = source.args.get("pivots") or (names and not stand_in.spelling)
                columns = None if unknown else _of_source(scope, alias, called, self._dialect)
                if columns is None:
                    return None
                real = stand_in.spelling | called.spelling
                found = (found or set()) | {real.get(one, one) for one in columns}
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
            return self._real(source, node.name) if source.name in self._tables else None
        if isinstance(source, Scope):
            places = (at for at, name in _outputs(source) if name == node.name)
            return next((self._origin(source, at, depth + 1) for at in places), None)
        return None

    def _real(self, source: exp.Table, column: str) -> Origin:
        stand_in = self._tables[source.name]
        name = stand_in.table.name if stand_in.table else stand_in.written
        if source.alias_column_names:
            real = stand_in.called(source.alias_column_names).spelling.get(column)
            return (name, real) if real else None
        return name, stand_in.spelling.get(column, column)


def qualified(tree: exp.Expr, dialect: str, tables: Mapping[str, Table]) -> Qualified | None:
    """``tree`` with every column qualified; None where the optimizer gives up.

    Args:
        tree: Is not changed.
        dialect: Of it.
        tables: What the catalogue has, by the names that the query writes.
    """
    if _grown(tree) > _MOST_NODES:
        return None
    try:
        copy = _with_columns(tree.copy(), dialect, tables)
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
        return Qualified(scope, outer, stand_ins, _written_names(tree, dialect), dialect)
    except GIVES_UP:
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
    aliases = {table.alias_or_name.lower() for table in sources.tables}
    for column in tree.find_all(exp.Column):
        if column.table.lower() in aliases:  # else it is the field of a column
            column.set("db", None)
            column.set("catalog", None)
    return found


def _with_columns(tree: exp.Expr, dialect: str, tables: Mapping[str, Table]) -> exp.Expr:
    """``tree``, whose plain words are columns where they are; what a lambda gives a value stays a word."""
    known = {column.name.lower() for table in tables.values() for column in table.columns}
    sources = {one.alias_or_name.lower() for one in tree.find_all(exp.Table, exp.Subquery, exp.CTE)}
    arrows = {id(one) for one in tree.find_all(exp.Lambda) if _is_arrow(one, dialect, known)}
    lambdas = [one for one in tree.find_all(exp.Lambda) if id(one) not in arrows]
    given = {one.name for each in lambdas for one in each.expressions}
    for node in [one for one in tree.find_all(exp.Identifier) if is_bare(one, dialect)]:
        above, column = node.parent, exp.Column(this=node.copy())
        if id(above) in arrows and isinstance(above, exp.Lambda):
            above.replace(exp.JSONExtract(this=column, expression=above.this.copy()))
        elif isinstance(above, exp.Dot) and node.name not in given:
            if node.name.lower() in sources and isinstance(above.expression, exp.Identifier):
                above.replace(exp.Column(this=above.expression.copy(), table=node.copy()))
            # What has a field is a column or a row; what stands before a function may be a schema.
            elif not isinstance(above.expression, exp.Func) or node.name.lower() in known:
                node.replace(column)
    return tree


def _is_arrow(node: exp.Lambda, dialect: str, known: Collection[str]) -> bool:
    """Whether it is taken for a way into a document: ``f(doc -> 'email')``.

    In a dialect that has both it is one if it begins with a text, and with a column that it does not name again.
    """
    if len(node.expressions) != 1 or dialect in _ONLY_ARROWS:
        return len(node.expressions) == 1
    first: exp.Expr = node.this
    while isinstance(first, exp.Binary | exp.Cast):
        first = first.this
    name = node.expressions[0].name
    again = any(one.name == name for one in node.this.find_all(exp.Identifier))
    text = isinstance(first, exp.Literal) and first.is_string
    return dialect == "duckdb" and text and name.lower() in known and not again


def _grown(tree: exp.Expr) -> int:
    """How many nodes there will be once aliases that a SELECT names again are put in their place; about."""
    count = 0
    for select in tree.find_all(exp.Select):
        sizes: dict[str, int] = {}
        for one in select.expressions:
            size = 1
            for node in one.walk():
                size += sizes.get(node.name.lower(), 1) if isinstance(node, exp.Column) else 1
            sizes[one.alias_or_name.lower()] = size
            count += size
    return count


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


def _of_source(scope: Scope, alias: str, stand_in: _StandIn, dialect: str) -> set[str] | None:
    """The columns that ``scope`` reads of one of its sources; None if a star or an unqualified column hides some."""
    if _hides(scope, alias):
        return None
    nodes = _in_reach(scope, alias)
    rows = _rows(scope, alias, nodes, stand_in, dialect)
    found = _of_rows(rows.values(), _given_to_calls(scope), stand_in)
    if found is None:
        return None
    named = [one for one in nodes if one.text("table") == alias and id(one) not in rows]
    found |= {one.name for one in named if isinstance(one, exp.Column)}
    for column in (one for one in scope.columns if id(one) not in rows):
        if not column.table and not _is_output(column, scope):
            if len(scope.selected_sources) == 1:
                found.add(column.name)
            elif not stand_in.spelling or column.name in stand_in.spelling:
                return None
    return found


def _hides(scope: Scope, alias: str) -> bool:
    """Whether stars or patterns leave open which columns of a source are read; fields of one value do not."""
    stars = [one for one in _selects(scope) if one.is_star and not is_fields(one)]
    return any(scope.find_all(exp.Columns)) or any(
        not isinstance(one, exp.Column) or one.table in {"", alias} for one in stars
    )


def _rows(
    scope: Scope, alias: str, nodes: Iterable[exp.Expr], stand_in: _StandIn, dialect: str
) -> dict[int, str | None]:
    """Where whole rows of a source are taken as one value: ``to_jsonb(q)``, ``row_to_json(q.*)``, ``struct(*)``.

    Returns:
        By id of the node, the field that is taken of the row, as of ``(q).m``; empty if all are, None if none is.
    """
    found: dict[int, str | None] = {}
    for node in nodes:
        if isinstance(node, exp.PositionalColumn):
            found[id(node)] = ""
        elif isinstance(node, exp.Star):
            if not isinstance(node.parent, exp.Select | exp.Column | exp.Count | exp.Dot):
                found[id(node)] = ""
        elif isinstance(node.this, exp.Star):
            if node.text("table") == alias and not isinstance(node.parent, exp.Select):
                found[id(node)] = None if isinstance(node.parent, exp.Count) else ""
        elif (
            dialect in _WITH_ROWS
            and node.name == alias
            and not node.text("table")
            and alias not in stand_in.spelling
            and not _is_output(node, scope)
        ):
            found[id(node)] = _field(node)
    return found


def _of_rows(fields: Iterable[str | None], given: set[str], stand_in: _StandIn) -> set[str] | None:
    """The columns that are read with rows, or by functions in FROM; None if the table's are not known."""
    taken = {field for field in fields if field is not None}
    if (given or "" in taken) and not stand_in.spelling:
        return None
    every = stand_in.spelling.keys() if "" in taken else set()
    return (taken - {""}) | every | (given & stand_in.spelling.keys())


def _given_to_calls(scope: Scope) -> set[str]:
    """The unqualified columns that functions in FROM take, as of a source before them; the optimizer skips some."""
    found: set[str] = set()
    for one in (scope, *_within(scope)):
        calls = [call for call in one.find_all(exp.Table, exp.Lateral) if isinstance(call.this, exp.Func)]
        found |= {column.name for call in calls for column in call.find_all(exp.Column) if not column.table}
    return found


def _in_reach(scope: Scope, alias: str) -> list[exp.Expr]:
    """The nodes that can name a source of ``scope``: its own, and those of queries within it that look back."""
    found: list[exp.Expr] = [*scope.find_all(exp.TableColumn, exp.Column, exp.Star, exp.PositionalColumn)]
    for inner in _within(scope, alias):  # whose bare stars are of their own sources
        found += inner.find_all(exp.TableColumn, exp.Column)
    return found


def _within(scope: Scope, alias: str | None = None) -> Iterator[Scope]:
    """The queries within a query, each once, but for its own CTEs, which do not see it; those of a query within may.

    Args:
        scope: The query.
        alias: Of one of its sources; left out is where the same name means another one.
    """
    rest = [scope]
    while rest:  # a tool may write a UNION of thousands
        one = rest.pop()
        inner = [
            *one.subquery_scopes, *one.udtf_scopes, *one.derived_table_scopes, *one.set_operation_scopes,
            *(one.cte_scopes if one is not scope else ()),
        ]  # fmt: skip
        seeing = [each for each in inner if alias not in each.sources]
        yield from seeing
        rest += seeing


def _field(row: exp.Expr) -> str | None:
    """What is taken of a row: a field of ``(q).m``, everything (empty), or only whether there is one (None)."""
    above = row.parent.parent if isinstance(row.parent, exp.Paren) else row.parent
    if isinstance(above, exp.Dot) and isinstance(above.expression, exp.Identifier):
        return above.name
    return None if isinstance(row.parent, exp.Count) else ""


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
