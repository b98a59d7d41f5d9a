"""Asking the data itself whether a join repeats rows, where no key says that it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from datakeep.core.counts import counted
from datakeep.extract.sql.advice_joins import Joined, joins_of, multiplies
from datakeep.extract.sql.frames import Frame, conjuncts
from datakeep.extract.sql.keys import frame_of, relation_of
from datakeep.extract.sql.places import place
from datakeep.extract.sql.reading import Reading, offset_of, read
from datakeep.extract.sql.sources import Sources, sources_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from datakeep.extract.sql.interface import Statement, Table


@dataclass(frozen=True, slots=True)
class JoinCount:
    """What was counted of one join.

    Attributes:
        line: Of the joined table in the query, from 1.
        column: From 1.
        table: As the query writes it.
        columns: Of it, by which it is joined.
        rows: Rows of it that have a value in all of these, and fulfil what the query asks of it alone.
        values: How many different values these are.
        repeated_values: How many of them stand in more than one row.
        most: How many rows the most frequent of them has.
        beyond: Whether the query has conditions, on other tables or with parameters, under which it was not counted.
    """

    line: int
    column: int
    table: str
    columns: tuple[str, ...]
    rows: int
    values: int
    repeated_values: int
    most: int
    beyond: bool = False

    @property
    def multiplies(self) -> bool:
        """Whether a row that is joined by these columns can meet more than one."""
        return self.repeated_values > 0

    def __str__(self) -> str:
        by = ", ".join(self.columns)
        if not self.multiplies:
            return f"each of {counted(self.values, 'value')} of {by} stands in one row of {self.table} today"
        stand = "stands" if self.repeated_values == 1 else "stand"
        said = (
            f"of {counted(self.values, 'value')} of {by} {self.repeated_values:,} {stand} in more than one row of "
            f"{self.table}, the most frequent in {self.most:,}: whatever meets that one is repeated as often"
        )
        if not self.beyond:
            return said
        return f"{said}, counted in {self.table} alone: what else the query asks for may leave fewer"


def verify_joins(
    statement: Statement, tables: Mapping[str, Table], ask: Callable[[str], list[tuple[Any, ...]]]
) -> list[JoinCount]:
    """Count, for each join on plain columns of a table that holds no known key, how many rows a value has there.

    One question is asked for each such join; it is built from the parsed query only, and has no parameters. Joins
    with a subquery, or on an expression, are not counted.

    Args:
        statement: The query.
        tables: What the catalogue has of its tables, by their names as the query writes them.
        ask: Such as :meth:`Session.ask`; it may raise what that raises.
    """
    reading = read(statement.text, statement.dialect)
    sources = sources_of(reading.tree, reading.dialect)
    relations = {name: relation_of(table) for name, table in tables.items()}
    found = []
    for select in reading.tree.find_all(exp.Select):
        frame = frame_of(select, sources, relations)
        for joined in joins_of(select, sources):
            known = sources.is_base(joined.source.node) and frame.relations[joined.source.alias].known
            if known and joined.node.side != "RIGHT" and multiplies(frame, joined):
                count = _count(reading, sources, frame, joined, ask)
                found += [count] if count else []
    return sorted(found, key=lambda one: (one.line, one.column))


def _count(
    reading: Reading,
    sources: Sources,
    frame: Frame,
    joined: Joined,
    ask: Callable[[str], list[tuple[Any, ...]]],
) -> JoinCount | None:
    columns = list(_columns(joined, frame))
    if not columns:
        return None
    sql = _question(joined, frame, columns).sql(dialect=reading.dialect)
    rows, values, repeated, most = (int(one or 0) for one in ask(sql)[0])
    at = place(reading.text, offset_of(joined.node.this) or 0)
    name = sources.name(joined.source.node) or joined.source.alias
    return JoinCount(
        at.line, at.column, name, tuple(one.name for one in columns), rows, values, repeated, most,
        any(_beyond(joined, frame)),
    )  # fmt: skip


def _columns(joined: Joined, frame: Frame) -> Iterator[exp.Identifier]:
    """The identifiers of the joined table's columns that equal something before it, each once."""
    seen = set()
    for name in joined.node.args.get("using") or ():
        seen.add(name.name.lower())
        yield name
    for part in _parts(joined):
        if not isinstance(part, exp.EQ):
            continue
        for one, other in ((part.left, part.right), (part.right, part.left)):
            mine, theirs = frame.column(one), frame.column(other)
            linked = mine and theirs and mine[0] == joined.source.alias and theirs[0] in joined.earlier
            if mine and linked and mine[1] not in seen:
                seen.add(mine[1])
                yield one.unnest().this


def _parts(joined: Joined) -> list[exp.Expr]:
    condition = joined.node.args.get("on")
    if condition is None:
        # FROM a, b WHERE a.id = b.id
        where = joined.node.parent.args.get("where") if joined.node.parent else None
        condition = where.this if where else None
    return conjuncts(condition) if condition is not None else []


def _question(joined: Joined, frame: Frame, columns: list[exp.Identifier]) -> exp.Select:
    """Of the joined table alone: rows, different values, values that repeat, and the rows of the most frequent."""
    names = [exp.Column(this=one.copy()) for one in columns]
    table = joined.source.node.copy()
    table.set("joins", None)
    groups = exp.select(exp.alias_(exp.Count(this=exp.Star()), "n")).from_(table)
    for name in names:
        groups = groups.where(exp.Not(this=exp.Is(this=name.copy(), expression=exp.Null())))
    for condition in _own_conditions(joined, frame):
        groups = groups.where(condition.copy())
    groups = groups.group_by(*(name.copy() for name in names))
    n = exp.column("n", table="g")
    repeated = exp.Case(
        ifs=[exp.If(this=exp.GT(this=n.copy(), expression=exp.Literal.number(1)), true=exp.Literal.number(1))]
    )
    return exp.select(
        exp.Sum(this=n.copy()), exp.Count(this=exp.Star()), exp.Count(this=repeated), exp.Max(this=n.copy())
    ).from_(groups.subquery("g"))


def _own_conditions(joined: Joined, frame: Frame) -> Iterator[exp.Expr]:
    """What the query asks of the joined table alone, such as ``b.kind = 'x'``; without parameters and subqueries.

    In the join or in WHERE: a row that does not fulfil it meets no other in the result.
    """
    for part in _all_parts(joined):
        if _is_own(part, joined, frame):
            yield part


def _beyond(joined: Joined, frame: Frame) -> Iterator[exp.Expr]:
    """What the query asks for beside that, and beside what joins its tables."""
    for part in _all_parts(joined):
        sides = {column[0] for one in part.find_all(exp.Column) if (column := frame.column(one))}
        links = isinstance(part, exp.EQ) and len(sides) > 1
        if not links and not _is_own(part, joined, frame):
            yield part


def _all_parts(joined: Joined) -> list[exp.Expr]:
    where = joined.node.parent.args.get("where") if joined.node.parent else None
    on = joined.node.args.get("on")
    return [*(conjuncts(on) if on is not None else []), *(conjuncts(where.this) if where else [])]


def _is_own(part: exp.Expr, joined: Joined, frame: Frame) -> bool:
    columns = [frame.column(one) for one in part.find_all(exp.Column)]
    own = columns and all(one and one[0] == joined.source.alias for one in columns)
    return bool(own) and not part.find(exp.Placeholder, exp.Parameter, exp.Query)
