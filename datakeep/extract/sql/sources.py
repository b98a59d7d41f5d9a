"""What a query reads from: base tables by the names that it writes, and what stands behind each alias."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from datakeep.extract.sql.reading import offset_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Table functions whose first argument is the path of a file.
_FILE_FUNCTIONS = frozenset({
    "read_csv", "read_csv_auto", "read_parquet", "parquet_scan", "read_json", "read_json_auto", "read_ndjson",
    "read_text", "read_blob", "sniff_csv", "read_xlsx", "iceberg_scan", "delta_scan",
})  # fmt: skip
#: Functions in FROM that only compute, or tell of the catalogue; those that sqlglot has a type for are known to.
_COMPUTES = re.compile(
    r"(jsonb?|xml|regexp|generate|string|pragma|pg|ts|duckdb|split|flatten)_\w+|unnest|range|repeat|flatten|glob"
    r"|openjson|xmltable"
)


#: What sqlglot's optimizer is known to raise of queries that a database takes.
GIVES_UP = (
    SqlglotError, RecursionError, ValueError, TypeError, AttributeError, KeyError, IndexError, AssertionError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """One thing in a FROM or JOIN.

    Attributes:
        alias: What the query calls it, in lower case; empty where it has no name.
        node: Its place in the tree.
        query: The query behind it, for a CTE or subquery; None for a base table or a function. DuckDB's ``PIVOT`` and
            ``UNPIVOT`` may stand for one.
        recursive: Whether it is a CTE that reads itself.
    """

    alias: str
    node: exp.Expr
    query: exp.Expr | None = None
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of every SELECT of a tree.

    Attributes:
        tables: The base tables, views and files, in the order of the text.
        dialect: Of the query.
        functions: Functions in FROM of which nobody can see from here what they read.
    """

    tables: tuple[exp.Table, ...]
    dialect: str
    functions: tuple[str, ...]
    _of_select: Mapping[int, Mapping[str, Source]] = field(default_factory=dict)

    def of(self, select: exp.Expr) -> list[Source]:
        """The sources of ``select`` itself, in the order of its FROM and JOINs."""
        known = self._of_select.get(id(select), {})
        found = []
        for node in _nodes(select):
            alias = str(node.alias_or_name).lower()
            query = node.this if isinstance(node, exp.Subquery) else None
            inner = query.unnest() if isinstance(query, exp.Subquery) else query
            found.append(replace(known[alias], node=node) if alias in known else Source(alias, node, inner))
        return found

    def name(self, table: exp.Expr) -> str | None:
        """The name of a base table as the query writes it; None for whatever else ``table`` is."""
        return name_of(table, self.dialect) if isinstance(table, exp.Table) and self.is_base(table) else None

    def names(self) -> list[str]:
        """The names of all base tables, and of all files, each once."""
        found: list[str] = []
        for table in self.tables:
            found += paths_of(table) or [name_of(table, self.dialect) or ""]
        return list(dict.fromkeys(found))

    def is_base(self, node: exp.Expr) -> bool:
        """Whether ``node`` is a table or view of the database, or a file."""
        return any(node is one for one in self.tables)


def _nodes(select: exp.Expr) -> list[exp.Expr]:
    """What stands in FROM, JOIN and LATERAL."""
    start = select.args.get("from_")
    first = [start.this] if start else []
    joins = [join.this for join in select.args.get("joins") or ()]
    return [node for item in [*first, *joins, *(select.args.get("laterals") or ())] for node in apart(item)]


def apart(node: exp.Expr) -> list[exp.Expr]:
    """The sources in one place of FROM or JOIN: ``(a JOIN b)`` in parentheses is two."""
    if isinstance(node, exp.Subquery | exp.Paren) and isinstance(node.this, exp.Table) and not node.alias:
        return [node.this, *(join.this for join in node.this.args.get("joins") or ())]
    return [node]


def sources_of(tree: exp.Expr, dialect: str) -> Sources:
    """The sources of every SELECT in ``tree``; a CTE's name is no table, but the table that it hides is one."""
    ctes = {cte.alias.lower(): cte.this for cte in tree.find_all(exp.CTE)}
    base: dict[int, exp.Table] = {}
    seen: set[int] = set()
    of_select: dict[int, dict[str, Source]] = {}
    for scope in _scopes(tree):
        known = of_select.setdefault(id(scope.expression), {})
        for alias, (node, source) in _selected(scope):
            seen.add(id(node))
            if isinstance(source, exp.Table):
                statement = None if source.args.get("db") else ctes.get(source.name.lower())
                if isinstance(statement, exp.Pivot):
                    known[alias.lower()] = Source(alias.lower(), node, statement)
                else:
                    base[id(source)] = source
            elif isinstance(source, exp.Expr) or source is None:
                continue
            elif isinstance(source.expression, exp.Table):
                seen.discard(id(node))  # (a JOIN b) AS q, whose first table stands for both
            else:
                inner = source.expression
                cyclic = any(inner is above for above in _above(node))
                known[alias.lower()] = Source(alias.lower(), node, inner, cyclic)
    for table in tree.find_all(exp.Table):
        if id(table) not in seen and (table.args.get("db") or table.name.lower() not in ctes):
            base[id(table)] = table
    named = [table for table in base.values() if name_of(table, dialect)]
    ordered = tuple(sorted(named, key=lambda one: offset_of(one) or 0))
    return Sources(ordered, dialect, tuple(_opaque(tree)), of_select)


def cte_of(table: exp.Expr) -> exp.Expr | None:
    """The query of the CTE that a table's name means; None if it means none."""
    above = table.parent
    while above is not None and not table.args.get("db"):
        before = above.args.get("with_")
        for cte in before.expressions if before else ():
            if cte.alias.lower() == table.name.lower():
                return cte.this if isinstance(cte.this, exp.Expr) else None
        above = above.parent
    return None


def _scopes(tree: exp.Expr) -> list[Scope]:
    try:
        return traverse_scope(tree)
    except GIVES_UP:
        return []


def _selected(scope: Scope) -> Iterable[tuple[str, tuple[exp.Expr, exp.Expr | Scope]]]:
    """What a scope reads, by its alias; nothing where the optimizer gives up, as where one is used twice."""
    try:
        return scope.selected_sources.items()
    except GIVES_UP:
        return ()


def _opaque(tree: exp.Expr) -> list[str]:
    """Functions that stand for a table, but for those of files and those that only compute."""
    places = [one for one in tree.find_all(exp.Table, exp.Lateral) if isinstance(one.this, exp.Func)]
    found = []
    for place in places:
        name = _function_name(place.this)
        untyped = isinstance(place.this, exp.Anonymous) or name in _FILE_FUNCTIONS
        told = isinstance(place, exp.Table) and paths_of(place)
        if untyped and not told and not _COMPUTES.fullmatch(name):
            found.append(f"{name}()")
    return list(dict.fromkeys(found))


def _above(node: exp.Expr) -> list[exp.Expr]:
    found: list[exp.Expr] = []
    one: exp.Expr | None = node.parent
    while one is not None:
        found.append(one)
        one = one.parent
    return found


def name_of(table: exp.Table, dialect: str) -> str | None:
    """A table's name as the query writes it (quotes included), a file's path; None for another function."""
    if isinstance(table.this, exp.Identifier):
        if dialect == "duckdb" and table.this.quoted and not table.args.get("db") and _is_path(table.name):
            return table.name
        parts = [one for one in table.parts if isinstance(one, exp.Identifier) and one.name]
        return ".".join(one.sql(dialect=dialect) for one in parts)
    return next(iter(paths_of(table)), None)


def paths_of(table: exp.Table) -> list[str]:
    """The files that a function in FROM reads, where the text says which; empty for everything else."""
    call = table.this
    if _function_name(call) not in _FILE_FUNCTIONS:
        return []
    first = call.expressions[0] if call.expressions and not isinstance(call, exp.ReadCSV) else call.this
    files = first.expressions if isinstance(first, exp.List | exp.Array) else [first]
    return [str(one.this) for one in files if isinstance(one, exp.Literal) and one.is_string]


def _function_name(call: exp.Expr) -> str:
    if isinstance(call, exp.Anonymous):
        return str(call.name).lower()
    return call.sql_name().lower() if isinstance(call, exp.Func) else ""


def _is_path(name: str) -> bool:
    return "/" in name or "." in name or "*" in name
