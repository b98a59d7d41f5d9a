"""Joins that repeat rows: without a condition, or on columns that hold no key of what is joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.advice_kinds import Advice, advice, keyword
from datakeep.extract.sql.frames import ROW, Frame, conjuncts
from datakeep.extract.sql.keys import frame_of, has_aggregate
from datakeep.extract.sql.reading import offset_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from datakeep.extract.sql.frames import Relation
    from datakeep.extract.sql.reading import Reading
    from datakeep.extract.sql.sources import Source, Sources

#: Aggregates that a repeated row leaves as they are.
UNMOVED = (exp.Max, exp.Min, exp.AnyValue, exp.LogicalAnd, exp.LogicalOr)


@dataclass(frozen=True, slots=True)
class Joined:
    """One join of a SELECT.

    Attributes:
        source: What is joined; of a RIGHT JOIN, what stood before it, whose rows it repeats by.
        earlier: The aliases that it is joined to.
        node: The join.
    """

    source: Source
    earlier: tuple[str, ...]
    node: exp.Join


def joins_of(select: exp.Expr, sources: Sources) -> list[Joined]:
    """The joins of ``select`` that can repeat rows: neither SEMI, ANTI, ASOF, nor with a function's result."""
    by_node = {id(source.node): source for source in sources.of(select)}
    found: list[Joined] = []
    start = select.args.get("from_")
    before = [source.alias for source in by_node.values() if start and source.node is start.this]
    for join in select.args.get("joins") or ():
        source = by_node.get(id(join.this))
        if source is None:
            continue
        plain = (
            isinstance(join.this, exp.Table | exp.Subquery) or source.query is not None
        ) and not _is_looking_back(join.this, before, sources.dialect)
        function = isinstance(join.this, exp.Table) and not isinstance(join.this.this, exp.Identifier)
        if plain and not isinstance(join.this, exp.Lateral | exp.Unnest | exp.Values):
            skipped = {join.kind, join.side, join.method} & {"SEMI", "ANTI", "ASOF", "NATURAL", "POSITIONAL"}
            if (
                not skipped
                and (not function or sources.is_base(join.this))
                and not isinstance(source.query, exp.Values)
            ):
                found.append(Joined(source, tuple(before), join))
        before.append(source.alias)
    return found


def _is_looking_back(node: exp.Expr, before: Collection[str], dialect: str) -> bool:
    """Whether it is a subquery that DuckDB takes for LATERAL without the word."""
    return (
        dialect == "duckdb"
        and isinstance(node, exp.Subquery)
        and any(column.table.lower() in before for column in node.find_all(exp.Column) if column.table)
    )


def on_joins(reading: Reading, sources: Sources, tables: Mapping[str, Relation] | None) -> Iterator[Advice]:
    """Advice on joins.

    Args:
        reading: The query.
        sources: Of its SELECTs.
        tables: What is known of its tables; None if the catalogue was not asked: only what the text shows is said.
    """
    for join in reading.tree.find_all(exp.Join):
        if join.method.upper() == "NATURAL":
            way_out = "write JOIN … USING (the columns that belong together)"
            yield advice(reading, offset_of(join.this), "natural-join", "NATURAL JOIN", way_out)
    for select in reading.tree.find_all(exp.Select):
        frame = frame_of(select, sources, tables or {})
        joins = joins_of(select, sources)
        linked = []
        for joined in joins:
            if not _is_linked(joined, frame, select):
                if frozenset() not in frame.relations[joined.source.alias].keys and not _one_row(
                    frame, joined
                ):
                    way_out = "join on the columns that belong together, or leave the table out"
                    start = offset_of(joined.node.this)
                    yield advice(
                        reading,
                        start,
                        "cross-join",
                        f"{_shown(joined, sources)} without a condition",
                        way_out,
                    )
            else:
                linked.append(joined)
        if tables is not None:
            yield from _on_multiplying(reading, select, sources, frame, linked)
        elif linked:
            yield from _on_distinct(reading, select, frame)


def _one_row(frame: Frame, joined: Joined) -> bool:
    """Whether what stood before is one row only, such as a total: joining it with every row is what is meant."""
    return all(frozenset() in frame.relations[alias].keys for alias in joined.earlier)


def _is_linked(joined: Joined, frame: Frame, select: exp.Expr) -> bool:
    """Whether a condition names both what is joined and something before it."""
    if joined.node.args.get("using"):
        return True
    alias, earlier = joined.source.alias, set(joined.earlier)
    where = select.args.get("where")
    conditions = [joined.node.args.get("on"), where.this if where else None]
    for condition in conditions:
        if condition is None:
            continue
        for part in conjuncts(condition):
            found = [frame.column(one) for one in part.find_all(exp.Column)]
            if any(one is None for one in found) and len(found) > 1:
                return True  # whose columns they are cannot be told
            names = {one[0] for one in found if one}
            if alias in names and names & earlier:
                return True
    return False


def multiplies(frame: Frame, joined: Joined) -> bool:
    """Whether, for all that keys and equalities say, one row before the join can meet several of what is joined."""
    one, others = (joined.source.alias,), joined.earlier
    met, meeting = (others, one) if joined.node.side == "RIGHT" else (one, others)
    closed = frame.met_by((alias, ROW) for alias in meeting)
    return not all((alias, ROW) in closed for alias in met)


def _on_multiplying(
    reading: Reading, select: exp.Expr, sources: Sources, frame: Frame, joins: list[Joined]
) -> Iterator[Advice]:
    found = [one for one in joins if frame.relations[one.source.alias].known and multiplies(frame, one)]
    distinct = select.args.get("distinct")
    grouped = is_grouped(select)
    if found and distinct and not distinct.args.get("on") and not grouped:
        names = ", ".join(_shown(one, sources) for one in found)
        way_out = "ask with EXISTS whether there is one, or join on a key; then DISTINCT has nothing to hide"
        yield advice(
            reading,
            keyword(reading, select.expressions[0], "DISTINCT"),
            "distinct-hides-join",
            f"DISTINCT over a join with {names}, which is not on a key of it",
            way_out,
        )
        return
    if grouped:
        found = _moving(select, frame, found)
    for one in found:
        yield _multiplying(reading, one, sources, frame)


def is_grouped(select: exp.Expr) -> bool:
    """Whether rows of ``select`` stand for several, by GROUP BY or an aggregate."""
    return bool(select.args.get("group")) or any(map(has_aggregate, select.expressions))


def _moving(select: exp.Expr, frame: Frame, found: list[Joined]) -> list[Joined]:
    """Of joins that repeat rows, those by which an aggregate counts something more than once.

    If one row of some source stands for one row of the join (an item, of items with their orders and customers), only
    aggregates of other sources are wrong. If none does, every row is repeated by another source's.
    """
    grain = set(filter(frame.stands_for_one, frame.relations))
    if not grain and len(found) > 1:
        return found
    moved: set[str] = set()
    for one in (one for part in select.expressions for one in part.find_all(exp.AggFunc)):
        if not isinstance(one, UNMOVED) and not one.find(exp.Distinct):
            names = {column[0] for node in one.find_all(exp.Column) if (column := frame.column(node))}
            moved |= names if names and not names & grain else set()
    return [one for one in found if one.source.alias not in moved and moved & set(one.earlier)]


def _multiplying(reading: Reading, joined: Joined, sources: Sources, frame: Frame) -> Advice:
    name = _shown(joined, sources)
    keys = frame.relations[joined.source.alias].keys
    if joined.node.side == "RIGHT":
        what = f"the RIGHT JOIN with {name} is not on a key of what stands before it"
    elif keys:
        what = f"the join with {name} is not on a key of it ({' or '.join('+'.join(sorted(key)) for key in keys)})"
    else:
        what = f"no key of {name} is known, so that the join may find several rows"
    way_out = (
        f"join on a whole key of {name}, or first make one row of it for each value that is joined on (GROUP BY); "
        "if one row for each of its rows is meant, write it first, in FROM"
    )
    return advice(reading, offset_of(joined.node.this), "join-multiplies", what, way_out)


def _on_distinct(reading: Reading, select: exp.Expr, frame: Frame) -> Iterator[Advice]:
    """By the text alone: DISTINCT over a join of which only one side comes out."""
    distinct = select.args.get("distinct")
    if not distinct or distinct.args.get("on") or is_grouped(select):
        return
    sides = [_sides(one, frame) for one in select.expressions]
    if all(sides) and len({name for one in sides for name in one}) == 1:
        way_out = "ask with EXISTS whether there is one; then DISTINCT has nothing to hide"
        what = "DISTINCT over a join of which only one side comes out"
        yield advice(
            reading, keyword(reading, select.expressions[0], "DISTINCT"), "distinct-hides-join", what, way_out
        )


def _sides(part: exp.Expr, frame: Frame) -> set[str]:
    if part.is_star and isinstance(part, exp.Column):
        return {part.table.lower()}
    found = [frame.column(one) for one in part.find_all(exp.Column)]
    return {one[0] for one in found if one} if all(found) else set()


def _shown(joined: Joined, sources: Sources) -> str:
    return sources.name(joined.source.node) or joined.source.alias or "a subquery"
