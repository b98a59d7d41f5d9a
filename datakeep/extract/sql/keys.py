"""What is determined by what: whether columns, with the keys and equalities of a query, leave only one row.

A row of a source is determined when one of the source's keys is; a column is determined when its row is, or when it
equals one that is. Everything is closed under these two rules (the closure of functional dependencies).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from datakeep.extract.sql.interface import Table
    from datakeep.extract.sql.sources import Source, Sources

#: A column: the alias of its source and its own name, both in lower case.
Column = tuple[str, str]
_ROW = "*"
#: What has several values, or another one in each row, though no column stands in it.
_VARYING = (exp.Query, exp.Any, exp.All, exp.Rand, exp.Anonymous)


@dataclass(frozen=True, slots=True)
class Relation:
    """What is known of one source: its columns (None: unknown) and its keys, each a set of names in lower case."""

    columns: frozenset[str] | None = None
    keys: tuple[frozenset[str], ...] = ()
    known: bool = False


@dataclass(slots=True)
class Frame:
    """The sources of one SELECT, and what its conditions say.

    Attributes:
        relations: Of each alias, in the order of FROM and JOINs.
        edges: (from, to): whoever knows the first knows the second.
        constants: Columns that equal a value.
    """

    relations: dict[str, Relation] = field(default_factory=dict)
    edges: list[tuple[Column, Column]] = field(default_factory=list)
    constants: set[Column] = field(default_factory=set)

    def column(self, node: exp.Expr) -> Column | None:
        """The column that ``node`` plainly names, if its source can be told."""
        node = node.this if isinstance(node, exp.Paren) else node
        if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
            return None
        name, table = node.name.lower(), node.table.lower()
        if table:
            return (table, name) if table in self.relations else None
        if len(self.relations) == 1:
            return next(iter(self.relations)), name
        having = [alias for alias, one in self.relations.items() if one.columns and name in one.columns]
        return (having[0], name) if len(having) == 1 else None

    def closure(self, known: Iterable[Column]) -> set[Column]:
        """All columns that are determined by ``known``; ``(alias, "*")`` stands for a whole row."""
        found = set(known) | self.constants
        size = -1
        while size != len(found):
            size = len(found)
            found |= {to for since, to in self.edges if since in found or (since[0], _ROW) in found}
            for alias, relation in self.relations.items():
                names = {name for one, name in found if one == alias}
                if any(key <= names for key in relation.keys):
                    found.add((alias, _ROW))
        return found

    def determines(self, known: Iterable[Column], wanted: Iterable[exp.Expr]) -> bool:
        """Whether every column that ``wanted`` uses is determined by ``known``."""
        closed = self.closure(known)
        for node in wanted:
            if isinstance(node, exp.Star) or node.find(exp.Star):
                if not all((alias, _ROW) in closed for alias in self.relations):
                    return False
                continue
            for column in node.find_all(exp.Column):
                if not self.has(closed, self.column(column)):
                    return False
        return True

    def determines_row(self, known: Iterable[Column], alias: str) -> bool:
        """Whether ``known`` leaves at most one row of ``alias``."""
        return (alias, _ROW) in self.closure(known)

    @staticmethod
    def has(closed: set[Column], column: Column | None) -> bool:
        """Whether a closure holds ``column``, by itself or with its whole row."""
        return column is not None and (column in closed or (column[0], _ROW) in closed)


def frame_of(select: exp.Expr, sources: Sources, tables: Mapping[str, Relation]) -> Frame:
    """The frame of ``select``: its sources, and the equalities of its conditions.

    Args:
        select: A SELECT.
        sources: Those of the whole tree.
        tables: What is known of each base table, by its name as the query writes it.
    """
    return _frame(select, sources, tables, 0, outer=True)


def _frame(
    select: exp.Expr, sources: Sources, tables: Mapping[str, Relation], depth: int, *, outer: bool
) -> Frame:
    """As :func:`frame_of`; ``outer`` says whether columns of the queries around it are constants."""
    frame = Frame()
    for source in sources.of(select):
        frame.relations[source.alias] = _relation(source, sources, tables, depth)
    _add_conditions(frame, select)
    for part in _all_conditions(select) if outer else ():
        _add_outer(frame, part)
    return frame


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
    keys = [] if table.inherited else [table.primary_key, *table.unique]
    return Relation(
        frozenset(column.name.lower() for column in table.columns) or None,
        tuple(frozenset(name.lower() for name in key) for key in keys if key),
        known=True,
    )


def _add_conditions(frame: Frame, select: exp.Expr) -> None:
    earlier: list[str] = list(frame.relations)[:1]
    for join in select.args.get("joins") or ():
        alias = str(join.this.alias_or_name).lower()
        one_way = alias if join.side == "LEFT" else None
        for name in join.args.get("using") or ():
            for other in earlier:
                _add_edge(frame, (other, name.name.lower()), (alias, name.name.lower()), one_way)
        if condition := join.args.get("on"):
            _add_condition(frame, condition, one_way)
        earlier.append(alias)
    if where := select.args.get("where"):
        _add_condition(frame, where.this, None)
    if qualify := select.args.get("qualify"):
        _add_condition(frame, qualify.this, None)


def _all_conditions(select: exp.Expr) -> list[exp.Expr]:
    where = select.args.get("where")
    return conjuncts(where.this) if where else []


def _add_outer(frame: Frame, part: exp.Expr) -> None:
    """A column of a query around this one is a constant to it: ``WHERE i.order_id = o.id``."""
    if not isinstance(part, exp.EQ | exp.NullSafeEQ):
        return
    for one, other in ((part.left, part.right), (part.right, part.left)):
        column = frame.column(one)
        outer = [node.table.lower() for node in other.find_all(exp.Column)]
        plain = other.find(*_VARYING) is None
        if column and outer and plain and not {"", *frame.relations} & set(outer):
            frame.constants.add(column)


def _add_condition(frame: Frame, condition: exp.Expr, one_way: str | None) -> None:
    for part in conjuncts(condition):
        if isinstance(part, exp.EQ | exp.NullSafeEQ):
            left, right = frame.column(part.left), frame.column(part.right)
            if left and right:
                _add_edge(frame, left, right, one_way)
            elif left and _is_one_value(part.right):
                frame.constants.add(left)
            elif right and _is_one_value(part.left):
                frame.constants.add(right)


def _is_one_value(node: exp.Expr) -> bool:
    """Whether it is the same for all rows: not ``ANY (ARRAY[1, 2])``, and nothing that is drawn anew."""
    return node.find(exp.Column, *_VARYING) is None


def conjuncts(condition: exp.Expr) -> list[exp.Expr]:
    """The parts of a condition that all must hold, without parentheses around them."""
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        return [*conjuncts(condition.left), *conjuncts(condition.right)]
    return [condition]


def _add_edge(frame: Frame, left: Column, right: Column, one_way: str | None) -> None:
    """An equality; that of a LEFT JOIN tells the joined table's value only, which may be NULL instead."""
    if one_way != left[0]:
        frame.edges.append((left, right))
    if one_way != right[0]:
        frame.edges.append((right, left))


def _relation(source: Source, sources: Sources, tables: Mapping[str, Relation], depth: int) -> Relation:
    node = source.node
    if isinstance(node, exp.Table) and sources.is_base(node):
        return tables.get(sources.name(node) or "", Relation())
    query = source.query
    if isinstance(query, exp.Select) and not source.recursive and depth < 20:
        return _derived(query, sources, tables, depth + 1)
    return Relation()


def _derived(
    select: exp.Select, sources: Sources, tables: Mapping[str, Relation], depth: int, *, lateral: bool = False
) -> Relation:
    """The columns and keys of a subquery's result."""
    frame = _frame(select, sources, tables, depth, outer=lateral)
    starred = any(one.is_star for one in select.expressions)
    outputs = {one.alias_or_name.lower(): one.unalias() for one in select.expressions if not one.is_star}
    columns = frozenset(outputs)
    if starred:
        behind = [one.columns for one in frame.relations.values()]
        known = None not in behind
        columns = columns.union(*(one for one in behind if one)) if known else frozenset()
    keys = tuple(_derived_keys(select, frame, outputs, starred=starred))
    return Relation(columns or None, keys, known=all(one.known for one in frame.relations.values()))


def _derived_keys(
    select: exp.Select, frame: Frame, outputs: Mapping[str, exp.Expr], *, starred: bool
) -> Iterator[frozenset[str]]:
    group, distinct, limit = (select.args.get(name) for name in ("group", "distinct", "limit"))
    if is_aggregated(select) or (limit and limit.expression and limit.expression.name == "1"):
        yield frozenset()
    elif group and (not group.expressions or group.find(exp.Rollup, exp.Cube, exp.GroupingSets)):
        return  # GROUP BY ALL and GROUPING SETS: what they group by is not plain to see
    elif group:
        yield from _complete([_output(one, outputs) for one in group.expressions])
    elif distinct and not distinct.args.get("on"):
        yield from [] if starred else [frozenset(outputs)]
    elif distinct:
        yield from _complete([_output(one, outputs) for one in distinct.args["on"].expressions])
    else:
        yield from _passed_on(frame, outputs, starred=starred)
    for name, value in outputs.items():
        if isinstance(value, exp.Window) and isinstance(value.this, exp.RowNumber):
            for key in _complete([_output(one, outputs) for one in value.args.get("partition_by") or ()]):
                yield key | {name}


def is_aggregated(select: exp.Expr) -> bool:
    """Whether ``select`` makes one row of all: aggregates and no GROUP BY."""
    if select.args.get("group") or not select.expressions:
        return False
    return all(_has_aggregate(one) or not one.find(exp.Column) for one in select.expressions) and any(
        _has_aggregate(one) for one in select.expressions
    )


def _has_aggregate(node: exp.Expr) -> bool:
    return any(not isinstance(one.parent, exp.Window) for one in node.find_all(exp.AggFunc))


def _output(node: exp.Expr, outputs: Mapping[str, exp.Expr]) -> str | None:
    """The name under which a grouping expression comes out; None if it does not."""
    if isinstance(node, exp.Literal) and node.is_int and 0 < int(node.name) <= len(outputs):
        return list(outputs)[int(node.name) - 1]
    if isinstance(node, exp.Column) and not node.table and node.name.lower() in outputs:
        return node.name.lower()
    return next((name for name, value in outputs.items() if value == node), None)


def _complete(names: list[str | None]) -> list[frozenset[str]]:
    return [] if None in names else [frozenset(name for name in names if name)]


def _passed_on(frame: Frame, outputs: Mapping[str, exp.Expr], *, starred: bool) -> Iterator[frozenset[str]]:
    """Keys of a source whose row determines all others, where the key's columns come out."""
    named = {frame.column(value): name for name, value in outputs.items()}
    fixed = frame.closure([])
    for alias, relation in frame.relations.items():
        closed = frame.closure([(alias, _ROW)])
        if all((other, _ROW) in closed for other in frame.relations):
            for key in relation.keys:
                free = [name for name in sorted(key) if (alias, name) not in fixed]
                yield from _complete(
                    [named.get((alias, name)) or (name if starred else None) for name in free]
                )
