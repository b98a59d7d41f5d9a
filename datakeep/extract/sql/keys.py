"""What is known of the rows that a query gives: their columns, and the keys that leave only one of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.advice_calls import outer
from datakeep.extract.sql.frames import ROW, Frame, Relation, add_outer, filled, framed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from datakeep.extract.sql.frames import Column
    from datakeep.extract.sql.interface import Table
    from datakeep.extract.sql.sources import Source, Sources

#: What makes several rows of one where it stands in a SELECT; by their names those that sqlglot has no type for.
_SEVERAL_ROWS = (exp.UDTF, exp.Explode, exp.ExplodingGenerateSeries)
_SEVERAL_ROWS_NAMED = re.compile(
    r"jsonb?_(array_elements(_text)?|each(_text)?|object_keys|populate_recordset|to_recordset)|jsonb_path_query(_tz)?"
    r"|regexp_(matches|split_to_table)|string_to_table|generate_(series|subscripts)|aclexplode|unnest|json_table_\w+"
)
_SEVERAL_GROUPINGS = (exp.Rollup, exp.Cube, exp.GroupingSets)
#: What leaves out or renames some of a star's columns.
_STAR_BUT = ("except_", "replace", "rename", "ilike")
_MOST_DEPTH = 20


def frame_of(select: exp.Expr, sources: Sources, tables: Mapping[str, Relation]) -> Frame:
    """The frame of ``select``: its sources, and the equalities of its conditions.

    Args:
        select: A SELECT.
        sources: Those of the whole tree.
        tables: What is known of each base table, by its name as the query writes it.
    """
    return _frame(select, sources, tables, 0, within=True)


def _frame(
    select: exp.Expr, sources: Sources, tables: Mapping[str, Relation], depth: int, *, within: bool
) -> Frame:
    """As :func:`frame_of`; ``within`` says whether columns of the queries around it are constants."""
    relations: dict[str, Relation] = {}
    looking_back: dict[str, frozenset[Column]] = {}
    for source in sources.of(select):
        if sources.dialect == "duckdb" and _looks_back(source, relations):
            looking_back[source.alias] = frozenset((alias, ROW) for alias in relations)
        twice = source.alias in relations
        relations[source.alias] = Relation() if twice else _relation(source, sources, tables, depth)
    frame = framed(select, relations, looking_back)
    if within:
        add_outer(frame, select)
    return frame


def _looks_back(source: Source, earlier: Iterable[str]) -> bool:
    """Whether a subquery names what stands before it, which DuckDB allows without LATERAL."""
    if not isinstance(source.node, exp.Subquery):
        return False
    return any(one.table.lower() in earlier for one in source.node.find_all(exp.Column) if one.table)


def keys_of(
    select: exp.Select, sources: Sources, tables: Mapping[str, Relation]
) -> tuple[frozenset[str], ...]:
    """The keys of the rows that ``select`` gives, each a set of names of its columns, in lower case."""
    return _derived(select, sources, tables, 0).keys


def lateral_of(select: exp.Select, sources: Sources, tables: Mapping[str, Relation]) -> Relation:
    """What is known of a LATERAL subquery's rows, of those that belong to one row before it."""
    return _derived(select, sources, tables, 0, lateral=True)


def relation_of(table: Table) -> Relation:
    """What the catalogue knows of a table; a unique set that may hold NULL joins one row at most all the same."""
    nullable = {column.name.lower() for column in table.columns if column.nullable}
    keys = [] if table.inherited else [table.primary_key, *table.unique]
    named = [frozenset(name.lower() for name in key) for key in keys if key]
    return Relation(
        frozenset(column.name.lower() for column in table.columns) or None,
        tuple(named),
        {key: may for key in named if (may := key & nullable)},
        known=True,
    )


def _relation(source: Source, sources: Sources, tables: Mapping[str, Relation], depth: int) -> Relation:
    node, query = source.node, source.query
    names = list(getattr(node, "alias_column_names", ()))
    if node.args.get("pivots"):  # makes other rows
        return Relation()
    if isinstance(node, exp.Table) and sources.is_base(node):
        return Relation() if names else tables.get(sources.name(node) or "", Relation())
    if not isinstance(query, exp.Select) or source.recursive or depth >= _MOST_DEPTH:
        return Relation()
    if isinstance(query.parent, exp.CTE):
        names += query.parent.alias_column_names[len(names) :]
    return _derived(query, sources, tables, depth + 1, names=names)


def _derived(
    select: exp.Select,
    sources: Sources,
    tables: Mapping[str, Relation],
    depth: int,
    *,
    lateral: bool = False,
    names: Sequence[str] = (),
) -> Relation:
    """The columns and keys of a subquery's result, whose first columns may be called ``names`` outside."""
    stars = [one for one in select.expressions if one.is_star]
    if stars and names:
        return Relation()
    frame = _frame(select, sources, tables, depth, within=lateral)
    called = [*names, *(one.alias_or_name for one in select.expressions[len(names) :])]
    shown = zip(called, select.expressions, strict=False)
    outputs = {name.lower(): one.unalias() for name, one in shown if not one.is_star}
    starred = _starred(stars, frame)
    behind = [frame.relations[one].columns for one in starred or ()]
    told = not stars or (bool(behind) and None not in behind)
    columns = frozenset(outputs).union(*(one for one in behind if one)) if told else None
    found = list(_derived_keys(select, frame, outputs, starred))
    loose = {key: may for key, may in found if may and (key, frozenset()) not in found}
    keys = tuple(dict.fromkeys(key for key, _ in found))
    known = all(one.known for one in frame.relations.values())
    return Relation(columns or None, keys, loose, known=known, derived=True)


def _starred(stars: Sequence[exp.Expr], frame: Frame) -> list[str] | None:
    """The sources whose columns all come out, under their own names; None where a star leaves out or renames some."""
    if any(node.args.get(name) for one in stars for node in one.find_all(exp.Star) for name in _STAR_BUT):
        return None
    tables = [one.table.lower() if isinstance(one, exp.Column) else "" for one in stars]
    return [alias for alias in frame.relations if "" in tables or alias in tables]


def _derived_keys(
    select: exp.Select, frame: Frame, outputs: Mapping[str, exp.Expr], starred: list[str] | None
) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Each key, and those of its columns that may be NULL in several rows."""
    group, distinct, limit = (select.args.get(name) for name in ("group", "distinct", "limit"))
    found: list[frozenset[str]] = []
    if limit and _is_one(limit):
        found.append(frozenset())
    if distinct and distinct.args.get("on"):
        found += _complete([_output(one, select, frame, outputs) for one in distinct.args["on"].expressions])
    elif distinct:
        found += [] if starred or starred is None else [frozenset(outputs)]
    if is_plain(select):
        if is_aggregated(select):
            found.append(frozenset())
        elif group:
            found += _complete([_output(one, select, frame, outputs) for one in grouped_by(select, frame)])
        else:
            yield from _passed_on(frame, outputs, starred or ())
        for name, value in outputs.items():
            if isinstance(value, exp.Window) and isinstance(value.this, exp.RowNumber) and name:
                parts = value.args.get("partition_by") or ()
                found += [
                    key | {name} for key in _complete([_output(one, select, frame, outputs) for one in parts])
                ]
    yield from ((key, frozenset()) for key in found)


def _is_one(limit: exp.Expr) -> bool:
    """``LIMIT 1``, and neither one for each value, nor with ties, nor of a hundred."""
    others = (limit.args.get("expressions"), limit.args.get("limit_options"))
    return limit.expression is not None and limit.expression.name == "1" and not any(others)


def is_plain(select: exp.Expr) -> bool:
    """Whether each row of it stands for one row of its sources, or one group of them.

    It does not where a function in the SELECT makes several rows of one, nor with ROLLUP, CUBE, GROUPING SETS or
    totals; of GROUP BY ALL it is not plain to see what it groups by.
    """
    group = select.args.get("group")
    if group and (not group.expressions or group.find(*_SEVERAL_GROUPINGS) or group.args.get("totals")):
        return False
    return not any(
        isinstance(node, _SEVERAL_ROWS)
        or (isinstance(node, exp.Anonymous) and _SEVERAL_ROWS_NAMED.fullmatch(node.name.lower()))
        for one in select.expressions
        for node in own_nodes(one)
    )


def own_nodes(node: exp.Expr) -> Iterator[exp.Expr]:
    """The nodes of an expression that are not of a query within it."""
    for one in node.walk(prune=lambda one: isinstance(one, exp.Query)):
        if not isinstance(one, exp.Query):
            yield one


def is_aggregated(select: exp.Expr) -> bool:
    """Whether ``select`` makes one row of all: aggregates and no GROUP BY."""
    if select.args.get("group") or not select.expressions or not is_plain(select):
        return False
    return all(has_aggregate(one) or not one.find(exp.Column) for one in select.expressions) and any(
        has_aggregate(one) for one in select.expressions
    )


def has_aggregate(node: exp.Expr) -> bool:
    """Whether an aggregate stands in an expression: none over a window, and none of a query within it."""
    found = (one for one in own_nodes(node) if isinstance(one, exp.AggFunc))
    around = (one.parent if isinstance(one.parent, exp.WithinGroup) else one for one in found)
    return any(not isinstance(outer(one), exp.Window) for one in around)


def grouped_by(select: exp.Expr, frame: Frame) -> list[exp.Expr]:
    """What GROUP BY groups by: behind an ordinal, or an alias that is no source's column, stands an expression."""
    group = select.args.get("group")
    return [_behind(one, select, frame) for one in group.expressions] if group else []


def _behind(node: exp.Expr, select: exp.Expr, frame: Frame) -> exp.Expr:
    if isinstance(node, exp.Literal):
        chosen = at_ordinal(node, select.expressions)
        return node if chosen is None else chosen.unalias()
    if isinstance(node, exp.Column) and not node.table:
        name = node.name.lower()
        if not any(one.columns is None or name in one.columns for one in frame.relations.values()):
            return next((one.unalias() for one in select.expressions if one.alias.lower() == name), node)
    return node


def at_ordinal(node: exp.Expr, selects: Sequence[exp.Expr]) -> exp.Expr | None:
    """The output that an ordinal stands for; None where a star before it leaves that open, or it is none."""
    if not isinstance(node, exp.Literal) or not node.is_int or not 0 < int(node.name) <= len(selects):
        return None
    *before, chosen = selects[: int(node.name)]
    return None if any(one.is_star for one in before) else chosen


def _output(node: exp.Expr, select: exp.Expr, frame: Frame, outputs: Mapping[str, exp.Expr]) -> str | None:
    """The name under which an expression comes out; None if it does not."""
    node = _behind(node, select, frame)
    column = frame.column(node)
    same = (
        name
        for name, value in outputs.items()
        if value == node or (column is not None and frame.column(value) == column)
    )
    return next(filter(None, same), None)


def _complete(names: list[str | None]) -> list[frozenset[str]]:
    return [] if None in names else [frozenset(name for name in names if name)]


def _passed_on(
    frame: Frame, outputs: Mapping[str, exp.Expr], starred: Sequence[str]
) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Keys of a source whose row determines all others, where the key's columns come out."""
    named = {frame.column(value): name for name, value in outputs.items() if name}
    for alias in starred:
        for name in frame.relations[alias].columns or ():
            others = [frame.relations[one].columns for one in starred if one != alias]
            if name not in outputs and all(one is not None and name not in one for one in others):
                named.setdefault((alias, name), name)
    fixed = frame.closure([])
    for alias, relation in frame.relations.items():
        if not frame.determines_rows([(alias, ROW)]):
            continue
        for key in relation.keys:
            may = [name for name in relation.loose.get(key, ()) if filled((alias, name)) not in fixed]
            free = [name for name in sorted(key) if (alias, name) not in fixed or name in may]
            for passed in _complete([named.get((alias, name)) for name in free]):
                yield passed, frozenset(named[alias, name] for name in may)
