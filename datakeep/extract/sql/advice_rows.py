"""Which rows and values a query gives where its text leaves the choice to the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.advice_calls import own
from datakeep.extract.sql.advice_chosen import on_bare, on_chosen
from datakeep.extract.sql.advice_collected import KEY_LAST, on_array, on_value
from datakeep.extract.sql.advice_kinds import Advice, advice, keyword
from datakeep.extract.sql.keys import frame_of, is_aggregated, is_plain
from datakeep.extract.sql.ordering import columns_of, is_total, sorted_by

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.extract.sql.frames import Frame, Relation
    from datakeep.extract.sql.reading import Reading
    from datakeep.extract.sql.sources import Sources


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
            yield from on_value(reading, node, select, frame, known=tables is not None)
            yield from on_chosen(reading, node, select, frame, known=tables is not None)
        if tables is not None:
            yield from on_bare(reading, select, frame)
    for array in reading.tree.find_all(exp.Array):
        yield from on_array(reading, array, sources, tables)
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
    if order is None and not _is_one_row(query, sources, tables):
        yield advice(
            reading, start, "limit-unordered", "a limit without ORDER BY", "sort by a key before the limit"
        )
    elif (
        order is not None
        and tables is not None
        and not order.find(exp.Rand)
        and not is_total(query, order, sources, tables)
    ):
        way_out = KEY_LAST
        yield advice(
            reading, start, "limit-unordered", "a limit whose ORDER BY is not known to leave no ties", way_out
        )


def _is_one_row(query: exp.Expr, sources: Sources, tables: Mapping[str, Relation] | None) -> bool:
    """Whether the conditions leave one row at most, as those on a whole key do."""
    return (
        tables is not None
        and isinstance(query, exp.Select)
        and is_plain(query)
        and frame_of(query, sources, tables).determines_rows(())
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


def _on_distinct_on(reading: Reading, select: exp.Expr, frame: Frame, *, known: bool) -> Iterator[Advice]:
    distinct = select.args.get("distinct")
    on = distinct.args.get("on") if distinct else None
    if on is None:
        return
    order = select.args.get("order")
    keys = [sorted_by(one, select) for one in order.expressions] if order else []
    total = (
        is_plain(select) and frame.determines(columns_of(frame, keys), select.expressions)
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
