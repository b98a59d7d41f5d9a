"""Columns of a result that had another name where they came from: what that name told, the new one does not.

Where it cannot be told which of several columns one is, it has the names of all: a name too many withholds a value
that could have been shown, a name too few shows one for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from sqlglot import exp

from datakeep.core.errors import DatakeepError
from datakeep.extract.sql.reading import read
from datakeep.extract.sql.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from datakeep.extract.sql.sources import Source, Sources

#: What makes of a value one that tells of nobody: a count, a length, whether something holds.
_LOSING = (exp.Count, exp.CountIf, exp.ApproxDistinct, exp.Length, exp.Predicate)
#: Queries and views within each other that are looked through; CTEs, one after the other, are not within each other.
_DEEPEST = 30
_FILTERED = (exp.Like, exp.ILike, exp.Glob, exp.SimilarTo)


class Output(NamedTuple):
    """A column of a query: its name, and the names that it had, the nearest first."""

    name: str
    former: tuple[str, ...] = ()


class Outputs(NamedTuple):
    """The columns of a query; ``whole`` if these are all, in their order."""

    columns: tuple[Output, ...] = ()
    whole: bool = False

    def by_name(self) -> dict[str, tuple[str, ...]]:
        """Their former names, by their own in lower case."""
        found: dict[str, tuple[str, ...]] = {}
        for name, former in self.columns:
            found[name.lower()] = _others(name, (*found.get(name.lower(), ()), *former))
        return found


class _Behind(NamedTuple):
    """A source of a SELECT: what the query calls it, its columns, and their former names by their own."""

    alias: str
    outputs: Outputs
    by_name: dict[str, tuple[str, ...]]


def former_names(
    text: str, dialect: str, definitions: Mapping[str, str] | None = None
) -> Mapping[str, tuple[str, ...]]:
    """Each column of the result (in lower case) that had other names on its way, and those, the nearest first.

    Looked through are subqueries, CTEs and views, and what leaves a value readable, such as ``lower``.

    Args:
        text: The query.
        dialect: Of the query and of the views.
        definitions: The SQL of the views, by their names in the catalogue.
    """
    return _former(text, dialect, tuple((definitions or {}).items()))


@lru_cache(maxsize=64)  # as reading.read: notes and profile ask for the same query
def _former(
    text: str, dialect: str, definitions: tuple[tuple[str, str], ...]
) -> Mapping[str, tuple[str, ...]]:
    tree = read(text, dialect).tree
    found = Way(sources_of(tree, dialect), dict(definitions)).outputs(tree).by_name()
    return {name: former for name, former in found.items() if former}


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


@dataclass(slots=True)
class Way:
    """The way of columns through the queries of one statement, and the views behind it.

    Args:
        sources: Of the statement.
        definitions: The SQL of the views, by their names in the catalogue.
    """

    sources: Sources
    definitions: Mapping[str, str]
    deepest: int = _DEEPEST
    # By the id of a query: whoever asks keeps the tree, so that none becomes another's.
    _queries: dict[int, Outputs] = field(default_factory=dict)
    _behind: dict[int, list[_Behind]] = field(default_factory=dict)
    _views: dict[str, Outputs] = field(default_factory=dict)

    def outputs(self, query: exp.Expr) -> Outputs:
        """The columns of ``query``, but those that a star takes of a table."""
        for before in query.find_all(exp.With):
            for cte in before.expressions:  # each reads those before it
                self._of_query(cte.this)
        return self._united(query)

    def of_expression(self, one: exp.Expr, select: exp.Select) -> Outputs:
        """What comes out of an expression of ``select``: a column, or what a star takes, but of tables."""
        if _is_several(one):
            return self._starred(one, select)
        return Outputs((Output(one.alias_or_name, self._names_of(one, select)),), whole=True)

    def _names_of(self, output: exp.Expr, select: exp.Select) -> tuple[str, ...]:
        """The names of the columns that an expression of ``select`` is made of, those of each the nearest first."""
        found: list[str] = []
        rest = [output.unalias()]
        while rest:
            node = rest.pop(0)
            if isinstance(node, exp.Query):
                found += [name for one in self._of_query(node).columns for name in (one.name, *one.former)]
            elif isinstance(node, exp.Column):
                found += self._of_column(node, select)
            elif isinstance(node, exp.Window | exp.Filter):
                rest.append(node.this)  # what rows are told apart by is not what comes out
            elif not isinstance(node, _LOSING):
                rest += node.iter_expressions()
        return tuple(dict.fromkeys(name for name in found if name))

    def _of_column(self, column: exp.Column, select: exp.Select) -> Iterator[str]:
        name = column.name.lower()
        yield from () if name == "*" else (column.name,)
        for behind in self._of_select(select):
            if column.table.lower() in ("", behind.alias):
                yield from behind.by_name.get(name, ())

    def _starred(self, star: exp.Expr, select: exp.Select) -> Outputs:
        """The columns that a star, or what else stands for several, takes of subqueries, CTEs and views."""
        wanted = star.table.lower() if isinstance(star, exp.Column) else ""
        taken = [one.outputs for one in self._of_select(select) if wanted in ("", one.alias)]
        columns = [output for one in taken for output in one.columns]
        whole = bool(taken) and all(one.whole for one in taken)
        inner = star.this if isinstance(star, exp.Column) else star
        changed = [*(inner.args.get("replace") or ()), *(inner.args.get("rename") or ())]
        columns += [Output(one.alias_or_name, self._names_of(one, select)) for one in changed]
        altered = changed or inner.args.get("except_") or not isinstance(inner, exp.Star)
        return Outputs(tuple(columns), whole and not altered)

    def _of_table(self, table: exp.Expr) -> Outputs:
        """The columns of a view; of several of that name, of all. None are known of whatever else ``table`` is."""
        name = self.sources.name(table)
        views = [one for one in self.definitions if _is_called(one, name)] if name and self.deepest else []
        for view in views:
            if view not in self._views:
                self._views[view] = Outputs()  # should it read itself
                self._views[view] = self._of_view(self.definitions[view])
        found = [self._views[view] for view in views]
        if len(found) == 1:
            return found[0]
        return Outputs(tuple(output for one in found for output in one.columns))

    def _united(self, query: exp.Expr) -> Outputs:
        """The columns of the SELECTs of ``query``: a UNION's have the first one's names, and the values of all."""
        found = [self._of_expressions(select) for select in outer_selects(query)]
        if len(found) < 2:
            return found[0] if found else Outputs()
        first = found[0]
        # By their names as well: where columns go by name, or by places that are not known.
        columns = [*first.columns, *(output for one in found[1:] for output in one.columns)]
        alike = all(one.whole and len(one.columns) == len(first.columns) for one in found)
        if alike:
            by_place = zip(*(one.columns for one in found), strict=True)
            columns += [
                Output(place[0].name, tuple(name for one in place for name in one.former))
                for place in by_place
            ]
        by_name = Outputs(tuple(columns)).by_name()
        if alike and not any(one.args.get("by_name") for one in query.find_all(exp.SetOperation)):
            return Outputs(
                tuple(Output(one.name, by_name[one.name.lower()]) for one in first.columns), whole=True
            )
        return Outputs(tuple(Output(name, former) for name, former in by_name.items()))

    def _of_expressions(self, select: exp.Select) -> Outputs:
        parts = [self.of_expression(one, select) for one in select.expressions]
        columns = tuple(output for part in parts for output in part.columns)
        return Outputs(columns, all(part.whole for part in parts))

    def _of_select(self, select: exp.Select) -> list[_Behind]:
        if id(select) not in self._behind:
            behind = [(source.alias, self._of_source(source)) for source in self.sources.of(select)]
            self._behind[id(select)] = [_Behind(alias, one, one.by_name()) for alias, one in behind]
        return self._behind[id(select)]

    def _of_source(self, source: Source) -> Outputs:
        if source.recursive:
            return Outputs()
        node, query = source.node, source.query
        inner = node.this if isinstance(node, exp.Lateral | exp.Subquery) else node
        inner = inner.unnest() if isinstance(inner, exp.Subquery) else inner
        if isinstance(inner, exp.Values):
            found = self._of_values(inner)
        elif isinstance(query, exp.Query) or isinstance(inner, exp.Query):
            found = self._of_query(query if isinstance(query, exp.Query) else inner)
        else:
            found = self._of_table(node)
        return _called(found, node.alias_column_names)

    @staticmethod
    def _of_values(values: exp.Values) -> Outputs:
        """Columns without a name, of rows that may hold those of another source (LATERAL)."""
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in values.expressions]
        width = min(map(len, rows), default=0)
        return Outputs(
            tuple(
                Output("", tuple(column.name for row in rows for column in row[at].find_all(exp.Column)))
                for at in range(width)
            ),
            whole=True,
        )

    def _of_query(self, query: exp.Expr) -> Outputs:
        if id(query) not in self._queries:
            self._queries[id(query)] = Outputs()  # should it read itself, or lie too deep
            if self.deepest:
                self.deepest -= 1
                self._queries[id(query)] = _called(self._united(query), _named_above(query))
                self.deepest += 1
        return self._queries[id(query)]

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
        inner = Way(sources_of(query, dialect), self.definitions, self.deepest - 1, _views=self._views)
        return _called(inner.outputs(query), named)


def _is_several(output: exp.Expr) -> bool:
    """Whether it stands for several columns: a star, or DuckDB's ``COLUMNS(…)`` and ``* LIKE …``."""
    if isinstance(output, exp.Count):
        return False
    node = output.unalias()
    return (
        is_star(output)
        or isinstance(node, exp.Columns)
        or (isinstance(node, exp.Anonymous) and node.name.upper() == "COLUMNS")
    )


def is_star(output: exp.Expr) -> bool:
    """Whether it is a star, or DuckDB's ``* LIKE …``."""
    node = output.unalias()
    return output.is_star or (isinstance(node, _FILTERED) and isinstance(node.this, exp.Star))


def _named_above(query: exp.Expr) -> Sequence[str]:
    """The list of columns of the CTE that ``query`` is, in parentheses or not; empty if there is none."""
    above = query.parent
    while isinstance(above, exp.Paren | exp.Subquery) and not above.alias:
        above = above.parent
    return above.alias_column_names if isinstance(above, exp.CTE) else ()


def _called(outputs: Outputs, names: Sequence[str]) -> Outputs:
    """The columns by the names that a list gives them, in their order: ``v (a, b)``; it may end before them."""
    if not names:
        return outputs
    if not outputs.whole or len(names) > len(outputs.columns):
        # Which columns the list names is not known; each may be any of them.
        former = [name for one in outputs.columns for name in (one.name, *one.former)]
        return Outputs((*outputs.columns, *(Output(name, _others(name, former)) for name in names)))
    renamed = [
        Output(name, _others(name, (one.name, *one.former)))
        for name, one in zip(names, outputs.columns, strict=False)
    ]
    return Outputs((*renamed, *outputs.columns[len(names) :]), whole=True)


def _others(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """Each of ``names`` once, but ``name`` itself."""
    return tuple(dict.fromkeys(one for one in names if one and one.lower() != name.lower()))


def _is_called(table: str, written: str) -> bool:
    """Whether a query that writes ``written`` can mean the catalogue's ``table``: by ``v``, ``public.v``."""
    known, name = (one.replace('"', "").replace("`", "").lower() for one in (table, written))
    return known == name or known.endswith(f".{name}") or name.endswith(f".{known}")
