"""Values that are collected from several rows, and rows that look at others: what the order of rows decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.advice_calls import called, outer, told
from datakeep.extract.sql.advice_kinds import advice, keyword
from datakeep.extract.sql.keys import is_aggregated
from datakeep.extract.sql.ordering import columns_of, group_of, is_total

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.extract.sql.advice_kinds import Advice
    from datakeep.extract.sql.frames import Frame, Relation
    from datakeep.extract.sql.reading import Reading
    from datakeep.extract.sql.sources import Sources

_COLLECTING = frozenset({
    "array_agg", "string_agg", "listagg", "group_concat", "json_agg", "jsonb_agg", "xmlagg", "list",
    "array_concat_agg", "collect_list", "grouparray", "group_array", "wm_concat", "json_group_array", "json_arrayagg",
    "array_unique_agg", "json_agg_strict", "jsonb_agg_strict", "json_array_agg", "json_object_agg",
    "json_object_agg_strict", "json_object_agg_unique", "json_object_agg_unique_strict", "json_objectagg",
    "json_group_object", "jsonb_group_array", "jsonb_group_object",
    "jsonarrayagg", "groupconcat", "arrayagg", "arrayconcatagg",
})  # fmt: skip
#: Those that sort what they collect by its keys: the order decides only which value a key has that comes twice.
_BY_KEY = frozenset({"jsonb_object_agg", "jsonb_object_agg_strict"})
_ANY = frozenset({"any_value", "arbitrary", "first", "last", "any", "anylast", "anyvalue"})
#: Of these, rows that tie have different results; rank() and sums are the same for all of them.
_NUMBERING = frozenset({
    "row_number", "rownumber", "ntile", "lag", "lead", "first_value", "last_value", "nth_value", "firstvalue",
    "lastvalue", "nthvalue", "first", "last", "any_value", "arbitrary",
})  # fmt: skip
#: All of them, as a query may write them, and those that a window of rows makes depend on the order.
_WORDS = (
    _COLLECTING
    | _BY_KEY
    | _ANY
    | _NUMBERING
    | {"sum", "avg", "mean", "count", "min", "max", "total", "stddev", "variance", "bool_and", "bool_or"}
)
KEY_LAST = "add the columns of a key at the end of ORDER BY, so that no two rows tie"
_TIES = "whose ORDER BY is not known to leave no ties"
_SORT_WITHIN = "sort within it: array_agg(x ORDER BY …), or WITHIN GROUP (ORDER BY …)"
_SORT_OVER = "sort within OVER (… ORDER BY …), by the columns of a key at the end"


def on_value(
    reading: Reading, node: exp.Expr, select: exp.Expr, frame: Frame, *, known: bool
) -> Iterator[Advice]:
    """Advice on one node of a SELECT, if it is a value that the order of rows may decide.

    Args:
        reading: The query.
        node: Of ``select``, and of no query within it.
        select: A SELECT.
        frame: Of ``select``.
        known: Whether the catalogue was asked: an ORDER BY is trusted otherwise.
    """
    if isinstance(node, exp.Window):
        yield from _on_window(reading, node, select, frame, known=known)
        return
    if not isinstance(node, exp.Func) or isinstance(
        node, exp.Connector
    ):  # AND and OR are functions to sqlglot
        return
    if isinstance(outer(node), exp.Window | exp.WithinGroup):
        return
    name = called(node)
    order = _own_order(node)
    kind = "aggregate-unordered"
    if name in _COLLECTING and order is None:
        yield told(reading, node, _WORDS, kind, "without ORDER BY", _SORT_WITHIN)
    elif name in _COLLECTING and known and not _is_settled(node, order, select, frame):
        yield told(reading, node, _WORDS, kind, _TIES, KEY_LAST)
    elif name in _BY_KEY and order is None and not _has_each_key_once(node, select, frame):
        what = "without ORDER BY, whose keys may come twice"
        yield told(reading, node, _WORDS, kind, what, "sort within it, or collect by a key")
    elif name in _ANY and not node.find(exp.HavingMax) and not _is_same_in_group(node, select, frame):
        if order is None:
            yield told(reading, node, _WORDS, "any-value", "", "take min() or max(), or sort within it")
        elif known and not _is_settled(node, order, select, frame):
            yield told(reading, node, _WORDS, "any-value", _TIES, KEY_LAST)


def on_array(
    reading: Reading, node: exp.Array, sources: Sources, tables: Mapping[str, Relation] | None
) -> Iterator[Advice]:
    """Advice on ``ARRAY(SELECT …)``, which collects the rows of a query in their order."""
    query = node.expressions[0].unnest() if len(node.expressions) == 1 else None
    if not isinstance(query, exp.Query) or is_aggregated(query):
        return
    order = query.args.get("order")
    if order is None:
        what, way_out = "without ORDER BY", "sort its rows: ARRAY(SELECT … ORDER BY …)"
    elif tables is not None and not is_total(query, order, sources, tables):
        what, way_out = _TIES, KEY_LAST
    else:
        return
    start = keyword(reading, node, "ARRAY")
    yield advice(reading, start, "aggregate-unordered", f"ARRAY(SELECT …) {what}", way_out)


def _own_order(node: exp.Expr) -> exp.Order | None:
    """The ORDER BY among a function's arguments; one of a query or a window within them is none of its own."""
    for one in node.walk(prune=lambda one: isinstance(one, exp.Query | exp.Window)):
        if isinstance(one, exp.Order):
            return one
    return None


def _is_settled(node: exp.Expr, order: exp.Order | None, select: exp.Expr, frame: Frame) -> bool:
    """Whether rows of a group that tie under ``order`` have the same value in what is collected."""
    keys = [one.this for one in order.expressions] if order else []
    taken = [one.this if one is order else one for one in node.iter_expressions()]
    closed = group_of(select, frame) | columns_of(frame, keys)
    return all(one in keys or frame.determines(closed, [one]) for one in taken)


def _has_each_key_once(node: exp.Expr, select: exp.Expr, frame: Frame) -> bool:
    keys = [next(node.iter_expressions())] if any(node.iter_expressions()) else []
    keys = [one.this if isinstance(one, exp.JSONKeyValue) else one for one in keys]
    return frame.determines_rows(group_of(select, frame) | columns_of(frame, keys))


def _is_same_in_group(node: exp.Expr, select: exp.Expr, frame: Frame) -> bool:
    """Whether all rows of a group have the same value, because the group's columns determine it."""
    if select.args.get("group") is None:
        return False
    return frame.determines(group_of(select, frame), list(node.find_all(exp.Column)))


def _on_window(
    reading: Reading, window: exp.Window, select: exp.Expr, frame: Frame, *, known: bool
) -> Iterator[Advice]:
    function = window.this
    while isinstance(function, exp.IgnoreNulls | exp.RespectNulls | exp.Filter | exp.WithinGroup):
        function = function.this
    if not isinstance(function, exp.Func):  # the definition of a named window
        return
    named = {one.name.lower(): one for one in select.args.get("windows") or ()}
    spec = named.get(str(window.args.get("alias") or "").lower().strip('"'), window)
    order = spec.args.get("order") or window.args.get("order")
    name = called(function)
    if name in _COLLECTING | _BY_KEY and _own_order(function) is None:
        kind = "aggregate-unordered"
    elif name in _ANY and _is_same_in_part(function, spec, frame):
        return
    elif name in _NUMBERING or _counts_rows(window) or _counts_rows(spec):
        kind = "window-unordered"
    else:
        return
    if order is None:
        yield told(reading, function, _WORDS, kind, "without ORDER BY", _SORT_OVER)
    elif known and not _leaves_one(spec, order, frame):
        yield told(reading, function, _WORDS, kind, _TIES, KEY_LAST)


def _counts_rows(window: exp.Expr) -> bool:
    """Whether a frame ends a number of rows away, between rows that may tie: ``ROWS 2 PRECEDING``."""
    spec = window.args.get("spec")
    if spec is None or str(spec.args.get("kind") or "").upper() != "ROWS":
        return False
    ends = [str(spec.args.get(name) or "").upper() for name in ("start", "end")]
    return ends not in (["UNBOUNDED", "UNBOUNDED"], ["CURRENT ROW", "CURRENT ROW"])


def _is_same_in_part(function: exp.Expr, spec: exp.Expr, frame: Frame) -> bool:
    parts = columns_of(frame, spec.args.get("partition_by") or ())
    return frame.determines(parts, list(function.find_all(exp.Column)))


def _leaves_one(spec: exp.Expr, order: exp.Expr, frame: Frame) -> bool:
    parts = [*(spec.args.get("partition_by") or ()), *(one.this for one in order.expressions)]
    return frame.determines_rows(columns_of(frame, parts))
