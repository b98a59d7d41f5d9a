"""Values that are taken from one row of several, or estimated: where rows tie, their order decides."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.advice_calls import called, outer, told
from datakeep.extract.sql.advice_kinds import Advice, advice
from datakeep.extract.sql.keys import grouped_by, is_plain, own_nodes
from datakeep.extract.sql.ordering import columns_of, group_of
from datakeep.extract.sql.reading import offset_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.extract.sql.frames import Column, Frame
    from datakeep.extract.sql.reading import Reading

#: These take a value from the row in which another one is the greatest or least.
_CHOSEN = frozenset(
    {"arg_max", "arg_min", "arg_max_null", "arg_min_null", "arg_max_nulls_last", "arg_min_nulls_last"}
)
_ESTIMATES = re.compile(
    r"approx_\w+|reservoir_quantile|percentile_approx|hll|approximate_\w+|quantilet?digest\w*|theta_sketch\w*"
)
#: As a query may write them.
_WORDS = _CHOSEN | {
    "max_by", "min_by", "argmax", "argmin", "mode", "any_value", "approx_quantile", "approx_quantiles",
    "approx_percentile", "approx_count_distinct", "approx_distinct", "approx_top_k", "approx_top_count",
    "approx_top_sum", "approx_median", "reservoir_quantile", "percentile_approx", "hll",
}  # fmt: skip
#: Aggregates of SQLite and MySQL for which sqlglot has no type, or one that is no aggregate's.
_AGGREGATES = frozenset({
    "total", "percentile", "percentile_cont", "percentile_disc", "json_array_agg", "json_arrayagg", "json_object_agg",
    "json_objectagg", "json_group_object", "jsonb_group_array", "jsonb_group_object", "group_concat",
    "bitwise_and_agg", "bitwise_or_agg", "bitwise_xor_agg",
})  # fmt: skip
#: Databases that take a column beside GROUP BY which the group need not determine; SQLite does always.
_BARE = frozenset({"sqlite", "mysql"})
_ROW_TIES = "add a key to what it is chosen by, as in arg_max(x, (y, id)), or number the rows by row_number()"
_TAKE = "take min() or max(), or sort within it"


def on_chosen(
    reading: Reading, node: exp.Expr, select: exp.Expr, frame: Frame, *, known: bool
) -> Iterator[Advice]:
    """Advice on one node of a SELECT, if it chooses one of several rows' values, or estimates one.

    Args:
        reading: The query.
        node: Of ``select``, and of no query within it.
        select: A SELECT.
        frame: Of ``select``.
        known: Whether the catalogue was asked: what rows are chosen by is taken to leave no ties otherwise.
    """
    if not isinstance(node, exp.Func):
        return
    name = called(node)
    if _ESTIMATES.fullmatch(name):
        way_out = "compute it exactly: count(DISTINCT x), percentile_cont(), count(*) with GROUP BY"
        yield told(reading, node, _WORDS, "estimate", "", way_out)
        return
    around = outer(node)
    having = next(node.find_all(exp.HavingMax), None) if name == "any_value" else None
    if name in _CHOSEN or having:
        if known and not _is_settled(having or node, _group_of(node, select, frame), frame):
            yield told(reading, node, _WORDS, "any-value", "of rows that may tie", _ROW_TIES)
    elif (
        name == "mode"
        and not isinstance(around, exp.WithinGroup)
        and node.find(exp.Order) is None
        and not frame.determines(_group_of(node, select, frame), list(node.find_all(exp.Column)))
    ):
        yield told(
            reading,
            node,
            _WORDS,
            "any-value",
            "of values that may be equally frequent",
            f"{_TAKE}, mode(x ORDER BY x)",
        )


def on_bare(reading: Reading, select: exp.Expr, frame: Frame) -> Iterator[Advice]:
    """Advice on each column beside aggregates that neither they nor what is grouped by determine, as SQLite allows.

    Where there is a single ``max()`` or ``min()``, SQLite takes them from its row.
    """
    if reading.dialect not in _BARE or not is_plain(select):
        return
    parts = [*select.expressions, *filter(None, [select.args.get("having")])]
    aggregates = [one for part in parts for one in own_nodes(part) if _is_aggregate(one)]
    if not aggregates and select.args.get("group") is None:
        return
    grouped = grouped_by(select, frame)
    extremes = [one for one in aggregates if isinstance(one, exp.Max | exp.Min)]
    single = extremes[0] if reading.dialect == "sqlite" and len(extremes) == 1 else None
    chosen = [] if single is None or isinstance(single.parent, exp.Filter) else [single.this]
    closed = columns_of(frame, [*grouped, *chosen])
    names = {one.alias.lower() for one in select.expressions if one.alias}
    for part in parts:
        for column in _beside(part, [*grouped, *chosen]):
            output = (
                isinstance(part, exp.Having) and not column.text("table") and column.name.lower() in names
            )
            if frame.column(column) and not output and not frame.determines(closed, [column]):
                yield _bare(reading, column, chosen=bool(chosen), is_grouped=bool(grouped))


def _bare(reading: Reading, column: exp.Expr, *, chosen: bool, is_grouped: bool) -> Advice:
    what = f"{column.name}, {'which GROUP BY does not name' if is_grouped else 'beside an aggregate'}"
    if chosen:
        what += ", of the row with the max() or min(), which may tie"
    return advice(
        reading, offset_of(column), "any-value", what, "group by it too, or take min() or max() of it"
    )


def _beside(node: exp.Expr, grouped: Sequence[exp.Expr]) -> Iterator[exp.Expr]:
    """The columns in an expression that stand in no aggregate, no query within it, and nothing that is grouped by."""
    if isinstance(node, exp.Query) or _is_aggregate(node) or any(node == one for one in grouped):
        return
    if isinstance(node, exp.Column):
        if not isinstance(node.this, exp.Star):
            yield node
        return
    for one in node.iter_expressions():
        yield from _beside(one, grouped)


def _is_aggregate(node: exp.Expr) -> bool:
    found = isinstance(node, exp.AggFunc) or called(node) in _AGGREGATES
    return found and not isinstance(outer(node), exp.Window)


def _group_of(node: exp.Expr, select: exp.Expr, frame: Frame) -> set[Column]:
    """The columns that are the same in all rows that a call looks at."""
    window = outer(node)
    if isinstance(window, exp.Window):
        return columns_of(frame, window.args.get("partition_by") or ())
    return group_of(select, frame)


def _is_settled(node: exp.Expr, group: set[Column], frame: Frame) -> bool:
    """Whether rows that tie in what they are chosen by have the same value in what is taken."""
    parts = list(node.iter_expressions())[:2]
    if len(parts) < 2:
        return True
    orders = [one for one in parts if isinstance(one, exp.Order)]
    value, key = (one.this if isinstance(one, exp.Order) else one for one in parts)
    keys = [*(key.expressions if isinstance(key, exp.Tuple) else [key])]
    keys += [one.this for order in orders for one in order.expressions]
    return value in keys or frame.determines(group | columns_of(frame, keys), [value])
