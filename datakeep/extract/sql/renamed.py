"""Columns of a result that had another name where they came from: what that name told, the new one does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.core.errors import DatakeepError
from datakeep.extract.sql.reading import read
from datakeep.extract.sql.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from datakeep.extract.sql.sources import Source, Sources

    #: Columns (in lower case, in their order) to the names that they had, the nearest first.
    Columns = dict[str, tuple[str, ...]]

#: What leaves of a value what tells whose it is.
_LEAVING = (exp.Cast, exp.Paren, exp.Lower, exp.Upper, exp.Trim, exp.Coalesce)
#: Queries and views within queries that are looked through.
_DEEPEST = 20


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
    found = Way(sources_of(tree, dialect), dict(definitions)).columns(tree)
    return {name: names for name, names in found.items() if names}


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
    _queries: dict[int, tuple[exp.Expr, Columns]] = field(default_factory=dict)
    _views: dict[str, Columns] = field(default_factory=dict)

    def columns(self, query: exp.Expr, called: Sequence[str] = ()) -> Columns:
        """The columns of ``query``, but those that a star takes of a table, and the names that they had.

        Args:
            query: Of the statement.
            called: What a list calls them instead, in their order: ``v (a, b)``.
        """
        selects = [self._of_select(select) for select in outer_selects(query)]
        found = list(selects[0]) if selects else []
        for at, (name, _) in enumerate(found):
            # A UNION's columns have the first query's names, and the values of all.
            names = [one for select in selects if len(select) == len(found) for one in select[at][1]]
            found[at] = (name, tuple(names))
        return _called(found, called)

    def names_of(self, output: exp.Expr, select: exp.Select) -> tuple[str, ...]:
        """The names of the column that an expression of ``select`` is, the nearest first; none if it is no column."""
        value = output.unalias()
        while isinstance(value, _LEAVING):
            value = value.this
        if not isinstance(value, exp.Column) or value.name == "*":
            return ()
        for source in self.sources.of(select):
            if value.table.lower() in ("", source.alias):
                inner = self._of_source(source)
                if value.name.lower() in inner:
                    return (value.name, *inner[value.name.lower()])
        return (value.name,)

    def of_table(self, table: exp.Expr) -> Columns:
        """The columns of a view; none of whatever else ``table`` is."""
        name = self.sources.name(table)
        view = name and next((one for one in self.definitions if _is_called(one, name)), None)
        if not view or not self.deepest:
            return {}
        if view not in self._views:
            self._views[view] = {}  # should it read itself
            self._views[view] = self._of_view(self.definitions[view])
        return self._views[view]

    def _of_select(self, select: exp.Select) -> list[tuple[str, tuple[str, ...]]]:
        found: list[tuple[str, tuple[str, ...]]] = []
        for one in select.expressions:
            if one.is_star and not isinstance(one, exp.Count):
                found += self._of_star(one, select)
            else:
                found.append((one.alias_or_name, self.names_of(one, select)))
        return found

    def _of_star(self, star: exp.Expr, select: exp.Select) -> Iterator[tuple[str, tuple[str, ...]]]:
        wanted = star.table.lower() if isinstance(star, exp.Column) else ""
        inner = star.this if isinstance(star, exp.Column) else star
        for one in (*(inner.args.get("rename") or ()), *(inner.args.get("replace") or ())):
            yield one.alias_or_name, self.names_of(one, select)
        for source in self.sources.of(select):
            if wanted in ("", source.alias):
                yield from self._of_source(source).items()

    def _of_source(self, source: Source) -> Columns:
        if source.recursive:
            return {}
        found = self.of_table(source.node) if source.query is None else self._of_query(source.query)
        return _called(list(found.items()), source.node.alias_column_names)

    def _of_query(self, query: exp.Expr) -> Columns:
        if id(query) not in self._queries:
            self._queries[id(query)] = (query, {})  # the query as well: its place must not become another's
            named = query.parent.alias_column_names if isinstance(query.parent, exp.CTE) else ()
            self._queries[id(query)] = (query, self.columns(query, named))
        return self._queries[id(query)][1]

    def _of_view(self, definition: str) -> Columns:
        dialect = self.sources.dialect
        try:
            tree = read(definition, dialect).tree
        except DatakeepError:  # lineage does not know its columns either
            return {}
        query = tree.expression if isinstance(tree, exp.Create) else tree
        schema = tree.this if isinstance(tree, exp.Create) else None
        named = [one.name for one in schema.expressions] if isinstance(schema, exp.Schema) else ()
        inner = Way(sources_of(query, dialect), self.definitions, self.deepest - 1, _views=self._views)
        return inner.columns(query, named)


def _called(columns: list[tuple[str, tuple[str, ...]]], called: Sequence[str]) -> Columns:
    found: Columns = {}
    if len(called) > len(columns):  # those that a star takes of a table are not known
        called = ()
    for (name, names), new in zip_longest(columns, called):
        one = name if new is None else new
        kept = dict.fromkeys(was for was in (name, *names) if was and was.lower() != one.lower())
        found.setdefault(one.lower(), tuple(kept))
    return found


def _is_called(table: str, written: str) -> bool:
    """Whether a query that writes ``written`` can mean the catalogue's ``table``: ``v`` can be ``public.v``."""
    known, name = (one.replace('"', "").replace("`", "").lower() for one in (table, written))
    return known == name or known.endswith(f".{name}")
