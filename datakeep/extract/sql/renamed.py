"""The way of columns through a query and its views: which names each had before.

Where it cannot be told which of several columns one is, it has the names of all: a name too many withholds a value
that could have been shown, a name too few shows one for ever.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sqlglot import exp

from datakeep.core.errors import DatakeepError
from datakeep.extract.sql.outputs import Output, Outputs, beside, others, united
from datakeep.extract.sql.passing import inputs, is_bare, is_every, keys_wanted, of_call, pivoted, words
from datakeep.extract.sql.reading import read
from datakeep.extract.sql.sources import Source, cte_of, sources_of
from datakeep.extract.sql.stars import goes_by_name, is_columns, is_several, is_spread, outer_selects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from datakeep.extract.sql.sources import Sources

#: Queries and views within each other that are looked through; CTEs, one after the other, are not within each other.
_DEEPEST = 30
#: Functions whose rows are the keys of a document with their values.
_BY_KEY = re.compile(r"each|tree|flatten|explode|openjson|entries", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d]\w*")


class Behind(NamedTuple):
    """A table or view, as far as it is known.

    Attributes:
        columns: Their names; empty if they are not known.
        definition: The SQL of a view, where it can be read.
        ordered: Whether these are all columns, in their order.
    """

    columns: tuple[str, ...] = ()
    definition: str = ""
    ordered: bool = False


class _Read(NamedTuple):
    """A source of a SELECT: what the query calls it, its columns, and their former names by their own."""

    alias: str
    outputs: Outputs
    by_name: dict[str, tuple[str, ...]]


@dataclass(slots=True)
class Way:
    """The way of columns through the queries of one statement, and the views behind it.

    Args:
        sources: Of the statement.
        tables: The tables and views that it reads, by their names in the catalogue.
        functions: What defines functions of somebody's own, by their names.
    """

    sources: Sources
    tables: Mapping[str, Behind]
    functions: Mapping[str, str] = field(default_factory=dict)
    deepest: int = _DEEPEST
    # By the id of a node: whoever asks keeps the tree, so that none becomes another's.
    _queries: dict[int, Outputs] = field(default_factory=dict)
    _read: dict[int, list[_Read]] = field(default_factory=dict)
    _items: dict[int, tuple[str, ...]] = field(default_factory=dict)
    _views: dict[str, Outputs] = field(default_factory=dict)

    def outputs(self, query: exp.Expr) -> Outputs:
        """The columns of ``query``; those that a star takes of a table as far as they are known."""
        for before in query.find_all(exp.With):
            for cte in before.expressions:  # each reads those before it
                self._of_query(cte.this)
        return self._united(query)

    def of_expression(self, one: exp.Expr, select: exp.Select) -> Outputs:
        """What comes out of an expression of ``select``: a column, or what a star takes."""
        if is_several(one):
            return self._starred(one, select)
        former = self._of_item(one, select)
        if isinstance(one, exp.Aliases):
            return Outputs(tuple(Output(name.name, former) for name in one.expressions), whole=True)
        named = isinstance(one, exp.Alias | exp.Column | exp.Dot)  # all else the database calls as it likes
        return Outputs((Output(one.alias_or_name if named else "", former),), whole=not is_spread(one))

    def _of_item(self, one: exp.Expr, select: exp.Select) -> tuple[str, ...]:
        if id(one) not in self._items:
            self._items[id(one)] = self._names_of(one.unalias(), select)
        return self._items[id(one)]

    def _names_of(self, expression: exp.Expr, select: exp.Select) -> tuple[str, ...]:
        """The names of what an expression within ``select`` is made of, those of each column the nearest first."""
        found: list[str] = []
        rest = deque([expression])
        while rest:
            node = rest.popleft()
            found += words(node)
            if isinstance(node, exp.Query):
                found += self._of_query(node).names()
            elif isinstance(node, exp.Column):
                found += self._of_column(node, select)
            elif is_bare(node, self.sources.dialect):
                found += (node.name, *self._named(node.name.lower(), select))
            elif isinstance(node, exp.Dot) and (of_row := self._of_field(node, select)) is not None:
                found += of_row
            else:
                if is_every(node):
                    found += beside([one.outputs for one in self._of_select(select)]).names()
                rest += inputs(node)
        return tuple(dict.fromkeys(name for name in found if name not in ("", "*")))

    def _of_column(self, column: exp.Column, select: exp.Select) -> Iterator[str]:
        """The names of one column, or of a whole row's, which a query may take by the name of its table."""
        name, table = column.name.lower(), column.table.lower()
        if name != "*":
            yield column.name
        if table:
            of = self._called(table, select)
            if of is None:  # a field of a column
                yield column.table
                yield from (known for part in (name, table) for known in self._named(part, select))
            else:
                yield from of.outputs.names() if name == "*" else of.by_name.get(name, of.outputs.unsaid)
            return
        row = self._called(name, select)
        if row is not None and not any(name in one.by_name for one in self._of_select(select)):
            yield from row.outputs.names()
        yield from self._named(name, select)
        yield from self._beside(column, select)

    def _of_field(self, dot: exp.Dot, select: exp.Select) -> Sequence[str] | None:
        """The names of ``(q).m`` where ``q`` is a source; None for another field."""
        row = dot.this.unnest()
        plain = is_bare(row, self.sources.dialect) or (isinstance(row, exp.Column) and not row.table)
        if not plain or not isinstance(dot.expression, exp.Identifier):
            return None
        of = self._called(row.name.lower(), select)
        return of.by_name.get(dot.expression.name.lower(), of.outputs.unsaid) if of is not None else None

    def _called(self, alias: str, select: exp.Select) -> _Read | None:
        """The source that ``alias`` means within ``select``."""
        in_reach = (one for scope in self._scopes(select) for one in scope)
        return next((one for one in in_reach if one.alias == alias), None)

    def _named(self, name: str, select: exp.Select) -> Iterator[str]:
        """The former names of an unqualified column: of the nearest source that is known to have it, or of any."""
        for scope in self._scopes(select):
            sure = [one.by_name[name] for one in scope if name in one.by_name]
            yield from (known for former in sure or [one.outputs.unsaid for one in scope] for known in former)
            if sure:
                return

    def _scopes(self, select: exp.Select) -> Iterator[list[_Read]]:
        """The sources that an expression of ``select`` can name: its own, then those of the queries around it."""
        yield self._of_select(select)
        below: exp.Expr = select
        while (above := below.parent) is not None and not isinstance(above, exp.CTE):
            alone = isinstance(below, exp.Subquery) and isinstance(above, exp.From | exp.Join)
            if alone and self.sources.dialect != "duckdb":  # where each subquery in FROM is LATERAL
                return
            if isinstance(above, exp.Select):
                yield self._of_select(above)
            below = above

    def _beside(self, column: exp.Column, select: exp.Select) -> tuple[str, ...]:
        """The names of the expression before it in its SELECT whose alias it is, as some databases let it be."""
        at: exp.Expr = column
        while at.parent is not None and at.parent is not select:
            at = at.parent
        named: dict[str, exp.Expr] = {}
        for one in select.expressions:
            if one is at:
                found = named.get(column.name.lower())
                return self._of_item(found, select) if found else ()
            if isinstance(one, exp.Alias):
                named[one.alias.lower()] = one
        return ()

    def _starred(self, star: exp.Expr, select: exp.Select) -> Outputs:
        """The columns that a star, or what else stands for several, takes of its sources."""
        inner = star.unalias()
        if isinstance(inner, exp.Dot):  # (r).*
            return Outputs(rest=(*self._names_of(inner.this, select), *self._defined(inner.this)))
        wanted = inner.table.lower() if isinstance(inner, exp.Column) else ""
        if wanted and (of := self._called(wanted, select)) is None:  # the fields of a column
            return Outputs(rest=(wanted, *self._named(wanted, select)))
        taken = beside([of.outputs] if wanted and of else [one.outputs for one in self._of_select(select)])
        if is_columns(inner) and isinstance(star, exp.Alias):
            names = others("", [*taken.names(), *self._names_of(inner, select)])
            return Outputs((Output(star.alias, names),), rest=names)
        inner = inner.this if isinstance(inner, exp.Column) else inner
        changed = [*(inner.args.get("replace") or ()), *(inner.args.get("rename") or ())]
        gone = [*(inner.args.get("except_") or ()), *(one.this for one in inner.args.get("rename") or ())]
        without = {one.name.lower() for one in gone}
        columns = [one for one in taken.columns if one.name.lower() not in without]
        columns += [Output(one.alias_or_name, self._names_of(one.unalias(), select)) for one in changed]
        whole = taken.whole and isinstance(inner, exp.Star) and not changed and not gone
        return Outputs(tuple(columns), whole, taken.rest)

    def _of_table(self, table: exp.Expr) -> Outputs:
        """The columns of a table or view; of several of that name, of all. None are known of what else it is."""
        name = self.sources.name(table)
        known = [one for one in self.tables if _is_called(one, name)] if name else []
        if not self.deepest:
            texts = [word for one in known for word in _WORD.findall(self.tables[one].definition)]
            return Outputs(rest=others("", texts))
        found = [self._of_known(one) for one in known]
        return found[0] if len(found) == 1 else beside(found)._replace(whole=False)

    def _of_known(self, name: str) -> Outputs:
        if name not in self._views:
            table = self.tables[name]
            self._views[name] = Outputs()  # should it read itself
            found = self._of_view(table.definition) if table.definition else Outputs()
            known = found.by_name()
            if table.ordered and table.columns:
                columns = tuple(Output(one, known.get(one.lower(), found.unsaid)) for one in table.columns)
                self._views[name] = Outputs(columns, whole=True)
            else:
                more = tuple(Output(one) for one in table.columns if one.lower() not in known)
                self._views[name] = Outputs((*found.columns, *more), found.whole and not more, found.rest)
        return self._views[name]

    def _united(self, query: exp.Expr) -> Outputs:
        found = [self._of_expressions(select) for select in outer_selects(query, given=True)]
        return united(found, by_name=goes_by_name(query))

    def _of_expressions(self, select: exp.Select) -> Outputs:
        return beside([self.of_expression(one, select) for one in select.expressions])

    def _of_select(self, select: exp.Select) -> list[_Read]:
        if id(select) not in self._read:
            found = self._read[id(select)] = []  # a source may name those before it
            for source in self.sources.of(select):
                outputs = self._of_source(source, select)
                found.append(_Read(source.alias, outputs, outputs.by_name()))
            if matched := select.args.get("match"):
                outputs = Outputs(rest=self._names_of(matched, select))
                found.append(_Read("", outputs, outputs.by_name()))
        return self._read[id(select)]

    def _of_source(self, source: Source, select: exp.Select) -> Outputs:
        if source.recursive:
            return Outputs()
        node, query = source.node, source.query
        inner = node.this if isinstance(node, exp.Lateral | exp.Subquery) else node
        inner = inner.unnest() if isinstance(inner, exp.Subquery) else inner
        if query is None and isinstance(node, exp.Table) and not self.sources.is_base(node):
            query = cte_of(node)  # within a PIVOT, into which sqlglot does not look
        behind = next((one for one in (query, inner) if isinstance(one, exp.Query | exp.Pivot)), None)
        if isinstance(inner, exp.Values):
            found = self._of_values(inner, select)
        elif behind is not None:
            found = self._of_query(behind)
        elif isinstance(inner, exp.Table) and isinstance(node, exp.Subquery):
            joined = [inner, *(join.this for join in inner.args.get("joins") or ())]
            found = beside([self._of_source(Source("", one), select) for one in joined])._replace(whole=False)
        elif isinstance(inner, exp.Summarize | exp.Describe) and isinstance(inner.this, exp.Expr):
            found = Outputs(rest=self._of_source(Source("", inner.this), select).names())
        elif isinstance(node, exp.Table) and (
            self.sources.is_base(node) or isinstance(node.this, exp.Identifier)
        ):
            found = self._of_table(node)
        else:
            return self._of_call(node, select)
        for pivot in node.args.get("pivots") or ():
            found = pivoted(found, pivot)
        return found.called(node.alias_column_names)

    def _of_values(self, values: exp.Values, select: exp.Select) -> Outputs:
        """Columns without a name, of rows that may hold those of another source (LATERAL)."""
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in values.expressions]
        width = min(map(len, rows), default=0)
        made = [
            tuple(name for row in rows for name in self._names_of(row[at], select)) for at in range(width)
        ]
        return Outputs(tuple(Output("", former) for former in made), whole=True)

    def _of_call(self, node: exp.Expr, select: exp.Select) -> Outputs:
        """The columns of a function in FROM, each of which may hold whatever the function takes, or names itself."""
        names, given = node.alias_column_names, node.expressions if isinstance(node, exp.Unnest) else []
        if len(given) > 1 and len(given) == len(names):  # side by side
            each = [self._names_of(one, select) for one in given]
            return Outputs(tuple(map(Output, names, each)), whole=True)
        taken = [*self._names_of(node, select), *self._defined(node)]
        if isinstance(node.this, exp.Func) and _BY_KEY.search(node.this.name or node.this.sql_name()):
            taken += keys_wanted(select)
        return of_call(node, others("", taken))

    def _defined(self, node: exp.Expr) -> Iterator[str]:
        """The words of what defines the functions that are called in ``node``."""
        for call in node.find_all(exp.Anonymous):
            for name, definition in self.functions.items():
                if name.partition("(")[0].rpartition(".")[2].strip('"').lower() == call.name.lower():
                    yield from _WORD.findall(definition)

    def _of_query(self, query: exp.Expr) -> Outputs:
        if id(query) not in self._queries:
            self._queries[id(query)] = Outputs()  # should it read itself
            if not self.deepest:
                columns = [column.name for column in query.find_all(exp.Column)]
                self._queries[id(query)] = Outputs(rest=others("", columns))
            else:
                self.deepest -= 1
                found = self._of_pivot(query) if isinstance(query, exp.Pivot) else self._united(query)
                self._queries[id(query)] = found.called(_named_above(query))
                self.deepest += 1
        return self._queries[id(query)]

    def _of_pivot(self, pivot: exp.Pivot) -> Outputs:
        """DuckDB's statement: ``UNPIVOT q ON …``."""
        of, query = pivot.this, pivot.this.unnest()
        query = query if isinstance(query, exp.Query) else cte_of(of)
        return pivoted(self._of_query(query) if query is not None else self._of_table(of), pivot)

    def _of_view(self, definition: str) -> Outputs:
        dialect = self.sources.dialect
        try:
            tree = read(definition, dialect).tree
        except DatakeepError:  # lineage does not know its columns either
            return Outputs()
        query = tree.expression if isinstance(tree, exp.Create) else tree
        if not isinstance(query, exp.Query):
            return Outputs()
        schema = tree.this if isinstance(tree, exp.Create) else None
        named = [one.name for one in schema.expressions] if isinstance(schema, exp.Schema) else ()
        inner = Way(
            sources_of(query, dialect), self.tables, self.functions, self.deepest - 1, _views=self._views
        )
        return inner.outputs(query).called(named)


def _named_above(query: exp.Expr) -> Sequence[str]:
    """The list of columns of the CTE that ``query`` is, in parentheses or not; empty if there is none."""
    above = query.parent
    while isinstance(above, exp.Paren | exp.Subquery) and not above.alias:
        above = above.parent
    return above.alias_column_names if isinstance(above, exp.CTE) else ()


def _is_called(table: str, written: str) -> bool:
    """Whether a query that writes ``written`` can mean the catalogue's ``table``: by ``v``, ``public.v``."""
    known, name = (one.replace('"', "").replace("`", "").lower() for one in (table, written))
    return known == name or known.endswith(f".{name}") or name.endswith(f".{known}")
