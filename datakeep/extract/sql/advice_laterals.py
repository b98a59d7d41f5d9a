"""LATERAL subqueries that repeat rows: those that no key leaves one row of, for each row that they look back at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.advice_joins import UNMOVED, is_grouped
from datakeep.extract.sql.advice_kinds import Advice, advice
from datakeep.extract.sql.keys import frame_of, lateral_of
from datakeep.extract.sql.reading import offset_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.extract.sql.frames import Frame, Relation
    from datakeep.extract.sql.reading import Reading
    from datakeep.extract.sql.sources import Sources


def on_laterals(
    reading: Reading, sources: Sources, tables: Mapping[str, Relation] | None
) -> Iterator[Advice]:
    """Advice on joins with a LATERAL subquery of tables; of a function's result several rows are meant.

    Args:
        reading: The query.
        sources: Of its SELECTs.
        tables: What is known of its tables; None if the catalogue was not asked: then nothing is said.
    """
    if tables is None:
        return
    for select in reading.tree.find_all(exp.Select):
        frame = frame_of(select, sources, tables)
        for join in select.args.get("joins") or ():
            inner = join.this.this.unnest() if isinstance(join.this, exp.Lateral) else None
            if not isinstance(inner, exp.Select) or not sources.of(inner):
                continue
            relation = lateral_of(inner, sources, tables)
            alias = join.this.alias_or_name.lower()
            if (
                relation.known
                and frozenset() not in relation.keys
                and not _first(inner)
                and _repeats(select, frame, alias)
            ):
                yield _multiplying(reading, inner, alias)


def _first(inner: exp.Select) -> bool:
    """Whether it is cut after one row by FETCH FIRST."""
    limit = inner.args.get("limit")
    return (
        isinstance(limit, exp.Fetch) and (count := limit.args.get("count")) is not None and count.name == "1"
    )


def _repeats(select: exp.Select, frame: Frame, alias: str) -> bool:
    """Whether repeated rows can be seen: by DISTINCT they are not, by an aggregate only of what stands before."""
    if not is_grouped(select):
        return not select.args.get("distinct")
    for one in (one for part in select.expressions for one in part.find_all(exp.AggFunc)):
        names = {column[0] for node in one.find_all(exp.Column) if (column := frame.column(node))}
        if not isinstance(one, UNMOVED) and not one.find(exp.Distinct) and names and alias not in names:
            return True
    return False


def _multiplying(reading: Reading, inner: exp.Select, alias: str) -> Advice:
    name = f"the LATERAL subquery {alias}" if alias else "the LATERAL subquery"
    what = f"no key is known that leaves one row of {name} for each row before it (not counted)"
    way_out = "ask it for a whole key, for an aggregate, or for the first by ORDER BY a key with LIMIT 1"
    start = next((at for node in inner.walk() if (at := offset_of(node)) is not None), None)
    return advice(reading, start, "join-multiplies", what, way_out)
