"""Which rows and values a query gives where its text leaves the choice to the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.advice_calls import called, outer, own, said, start_of
from datakeep.extract.sql.advice_kinds import Advice, advice, keyword
from datakeep.extract.sql.keys import frame_of, is_aggregated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from datakeep.extract.sql.keys import Column, Frame, Relation
    from datakeep.extract.sql.reading import Reading
    from datakeep.extract.sql.sources import Sources

_COLLECTING = frozenset({
    "array_agg", "string_agg", "listagg", "group_concat", "json_agg", "jsonb_agg", "xmlagg", "list",
    "array_concat_agg", "collect_list", "grouparray", "group_array", "wm_concat", "json_group_array", "json_arrayagg",
    "array_unique_agg",
    "jsonarrayagg", "groupconcat", "arrayagg", "arrayconcatagg",
})  # fmt: skip
_ANY = frozenset({"any_value", "arbitrary", "first", "last", "any", "anylast", "anyvalue"})
#: Of these, rows that tie have different results; rank() and sums are the same for all of them.
_NUMBERING = frozenset({
    "row_number", "rownumber", "ntile", "lag", "lead", "first_value", "last_value", "nth_value", "firstvalue",
    "lastvalue", "nthvalue",
})  # fmt: skip
#: All of them, as a query may write them.
_WORDS = _COLLECTING | _ANY | _NUMBERING
_KEY_LAST = "add the columns of a key at the end of ORDER BY, so that no two rows tie"


def on_rows(reading: Reading, sources: Sources, tables: Mapping[str, Relation] | None) -> Iterator[Advice]:
    """Advice on limits, samples, collected values and numbered rows.

    Args:
        reading: The query.
        sources: Of its SELECTs.
        tables: What is known of its tables; None if the catalogue was not asked: an ORDER BY is then trusted.
    """
    for query in reading.tree.find_all(exp.Query):
        yield from _on_limit(reading, query, sources, tables)
    for select in reading.tree.find_all(exp.Select):
        frame = frame_of(select, sources, tables or {})
        yield from _on_distinct_on(reading, select, frame, known=tables is not None)
        for node in own(select):
            yield from _on_value(reading, node, select, frame, known=tables is not None)
    for sample in reading.tree.find_all(exp.TableSample):
        if not sample.args.get("seed"):
            start = keyword(reading, sample, "TABLESAMPLE", "SAMPLE")
            way_out = "give it a seed, REPEATABLE (42), or choose by a hash of the key"
            yield advice(reading, start, "sampling", "a sample without a seed", way_out)


def _on_limit(
    reading: Reading, query: exp.Expr, sources: Sources, tables: Mapping[str, Relation] | None
) -> Iterator[Advice]:
    limit = query.args.get("limit") or query.args.get("offset")
    if reading.dialect == "oracle" and limit is None:
        limit = _rownum(query, sources)
    if limit is None or _is_no_limit(limit) or isinstance(query.parent, exp.Exists) or is_aggregated(query):
        return
    start = keyword(reading, limit, "LIMIT", "TOP", "FETCH", "OFFSET", "ROWNUM")
    order = query.args.get("order")
    if order is None:
        yield advice(
            reading, start, "limit-unordered", "a limit without ORDER BY", "sort by a key before the limit"
        )
    elif tables is not None and not order.find(exp.Rand) and not _is_total(query, order, sources, tables):
        way_out = _KEY_LAST
        yield advice(
            reading, start, "limit-unordered", "a limit whose ORDER BY is not known to leave no ties", way_out
        )


def _is_no_limit(limit: exp.Expr) -> bool:
    """``LIMIT ALL`` and ``LIMIT NULL``."""
    value = limit.args.get("expression")
    return value is not None and (isinstance(value, exp.Null) or value.name.upper() == "ALL")


def _rownum(query: exp.Expr, sources: Sources) -> exp.Expr | None:
    """Oracle's limit: ROWNUM in the condition, unless what it counts is a sorted subquery."""
    where = query.args.get("where")
    if where is None or any(
        one.query is not None and one.query.args.get("order") for one in sources.of(query)
    ):
        return None
    return next((one for one in where.find_all(exp.Column) if one.name.upper() == "ROWNUM"), None)


def _is_total(query: exp.Expr, order: exp.Expr, sources: Sources, tables: Mapping[str, Relation]) -> bool:
    """Whether rows that tie under ``order`` are the same rows in all that comes out."""
    keys = [_sorted_by(one, query) for one in order.expressions]
    if isinstance(query, exp.SetOperation | exp.Subquery):
        names = {one.alias_or_name.lower() for one in query.selects}
        return bool(names) and names <= {one.name.lower() for one in keys if one is not None}
    frame = frame_of(query, sources, tables)
    columns = _columns(frame, keys)
    group = query.args.get("group")
    if group and all(one in keys or frame.determines(columns, [one]) for one in group.expressions):
        return True
    if all(any(key == one.unalias() for key in keys) for one in query.expressions if not one.is_star):
        return not any(one.is_star for one in query.expressions) or frame.determines(
            columns, query.expressions
        )
    return not group and frame.determines(columns, query.expressions)


def _sorted_by(ordered: exp.Expr, query: exp.Expr) -> exp.Expr:
    """What an ORDER BY's part sorts by: behind an ordinal or an alias stands an expression of the SELECT."""
    node = ordered.this if isinstance(ordered, exp.Ordered) else ordered
    node = node.this if isinstance(node, exp.Collate) else node
    selects = query.selects if isinstance(query, exp.Query) else []
    if isinstance(node, exp.Literal) and node.is_int and 0 < int(node.name) <= len(selects):
        chosen = selects[int(node.name) - 1]
        return chosen.unalias() if isinstance(query, exp.Select) else chosen
    if isinstance(node, exp.Column) and not node.table and isinstance(query, exp.Select):
        named = next((one for one in selects if isinstance(one, exp.Alias) and one.alias == node.name), None)
        return named.unalias() if named is not None else node
    return node


def _columns(frame: Frame, keys: Sequence[exp.Expr]) -> set[Column]:
    return {column for one in keys if (column := frame.column(one))}


def _on_distinct_on(reading: Reading, select: exp.Expr, frame: Frame, *, known: bool) -> Iterator[Advice]:
    distinct = select.args.get("distinct")
    on = distinct.args.get("on") if distinct else None
    if on is None:
        return
    order = select.args.get("order")
    keys = [_sorted_by(one, select) for one in order.expressions] if order else []
    total = (
        frame.determines(_columns(frame, keys), select.expressions)
        if known
        else len(keys) > len(on.expressions)
    )
    if not total:
        start = keyword(reading, on, "DISTINCT")
        way_out = "sort by the same columns, and then by those of a key"
        yield advice(
            reading,
            start,
            "distinct-on-unordered",
            "DISTINCT ON without an order that leaves no ties",
            way_out,
        )


def _on_value(
    reading: Reading, node: exp.Expr, select: exp.Expr, frame: Frame, *, known: bool
) -> Iterator[Advice]:
    if isinstance(node, exp.Window):
        yield from _on_window(reading, node, select, frame, known=known)
        return
    if not isinstance(node, exp.Func) or isinstance(outer(node), exp.Window):
        return
    name = called(node)
    if isinstance(outer(node), exp.WithinGroup) or node.find(exp.Order):
        return
    if name in _COLLECTING:
        way_out = "sort within it: array_agg(x ORDER BY …), or WITHIN GROUP (ORDER BY …)"
        yield advice(
            reading,
            start_of(reading, node, _WORDS),
            "aggregate-unordered",
            f"{said(reading, node, _WORDS)} without ORDER BY",
            way_out,
        )
    elif name in _ANY and not _is_same_in_group(node, select, frame):
        way_out = "take min() or max(), or sort within it"
        yield advice(
            reading, start_of(reading, node, _WORDS), "any-value", said(reading, node, _WORDS), way_out
        )


def _is_same_in_group(node: exp.Expr, select: exp.Expr, frame: Frame) -> bool:
    """Whether all rows of a group have the same value, because the group's columns determine it."""
    group = select.args.get("group")
    if group is None:
        return False
    return frame.determines(_columns(frame, group.expressions), list(node.find_all(exp.Column)))


def _on_window(
    reading: Reading, window: exp.Window, select: exp.Expr, frame: Frame, *, known: bool
) -> Iterator[Advice]:
    function = window.this
    while isinstance(function, exp.IgnoreNulls | exp.RespectNulls | exp.Filter | exp.WithinGroup):
        function = function.this
    if called(function) not in _NUMBERING:
        return
    named = {one.name.lower(): one for one in select.args.get("windows") or ()}
    spec = named.get(str(window.args.get("alias") or "").lower().strip('"'), window)
    order = spec.args.get("order") or window.args.get("order")
    start = start_of(reading, function, _WORDS)
    if order is None:
        way_out = "sort within OVER (… ORDER BY …), by the columns of a key at the end"
        yield advice(
            reading, start, "window-unordered", f"{said(reading, function, _WORDS)} without ORDER BY", way_out
        )
    elif known and not _leaves_one(spec, order, frame):
        what = f"{said(reading, function, _WORDS)} whose ORDER BY is not known to leave no ties"
        yield advice(reading, start, "window-unordered", what, _KEY_LAST)


def _leaves_one(spec: exp.Expr, order: exp.Expr, frame: Frame) -> bool:
    parts = [*(spec.args.get("partition_by") or ()), *(one.this for one in order.expressions)]
    closed = frame.closure(_columns(frame, parts))
    return all((alias, "*") in closed for alias in frame.relations)
