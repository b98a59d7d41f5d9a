"""What is determined by what within one SELECT: by the keys of its sources, and by the equalities that it asks for.

A row of a source is determined when one of the source's keys is; a column is determined when its row is, or when it
equals one that is. Everything is closed under these two rules (the closure of functional dependencies).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.sources import apart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

#: A column: the alias of its source and its own name, both in lower case.
Column = tuple[str, str]
ROW = "*"
#: What has several values, or another one in each row, though no column stands in it.
_VARYING = (exp.Query, exp.Any, exp.All, exp.Rand, exp.Anonymous)


@dataclass(frozen=True, slots=True)
class Relation:
    """What is known of one source.

    Attributes:
        columns: Their names in lower case; None: unknown.
        keys: Each a set of such names.
        loose: Of keys that tell of no row where a value of theirs is NULL: the columns that may be.
        known: Whether the catalogue told of it.
        derived: Whether it is the result of a query.
    """

    columns: frozenset[str] | None = None
    keys: tuple[frozenset[str], ...] = ()
    loose: Mapping[frozenset[str], frozenset[str]] = field(default_factory=dict)
    known: bool = False
    derived: bool = False


@dataclass(slots=True)
class Frame:
    """The sources of one SELECT, and what its conditions say.

    Attributes:
        relations: Of each alias, in the order of FROM and JOINs.
        rules: Whoever knows all of the first knows the second.
        backwards: As ``rules``, where the row that the first stands in is there: what a LEFT JOIN's row tells of the
            row that it was found for.
        padded: Whether rows of what stands first may be missing (a FULL JOIN; a RIGHT JOIN that is the first one is a
            LEFT JOIN, turned round): then nothing follows from a value, for NULL may stand for any such row.
    """

    relations: dict[str, Relation] = field(default_factory=dict)
    rules: list[tuple[frozenset[Column], Column]] = field(default_factory=list)
    backwards: list[tuple[frozenset[Column], Column]] = field(default_factory=list)
    padded: bool = False

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
        """All columns that are the same wherever ``known`` are; ``(alias, "*")`` stands for a whole row."""
        return set(known) if self.padded else self._closed(known, self.rules)

    def met_by(self, known: Iterable[Column]) -> set[Column]:
        """As :meth:`closure`, for rows that are there: what one row of a source meets, whatever side it stands on."""
        return self._closed(known, self.rules + self.backwards)

    def _closed(self, known: Iterable[Column], rules: list[tuple[frozenset[Column], Column]]) -> set[Column]:
        found = set(known)
        size = -1
        while size != len(found):
            size = len(found)
            found |= {to for since, to in rules if all(self.has(found, one) for one in since)}
        return found

    def determines(self, known: Iterable[Column], wanted: Iterable[exp.Expr]) -> bool:
        """Whether everything that ``wanted`` uses is determined by ``known``."""
        closed = self.closure(known)
        if self._all_rows(closed):
            return True
        # A window looks at other rows, and tells apart such as are the same in all that it names.
        return not any(
            node.find(exp.Star, exp.Window)
            or not all(self.has(closed, self.column(one)) for one in node.find_all(exp.Column))
            for node in wanted
        )

    def determines_rows(self, known: Iterable[Column]) -> bool:
        """Whether ``known`` leaves at most one row of every source."""
        return self._all_rows(self.closure(known))

    def stands_for_one(self, alias: str) -> bool:
        """Whether a row of ``alias`` meets at most one of every other source."""
        return self._all_rows(self.met_by([(alias, ROW)]))

    def _all_rows(self, closed: set[Column]) -> bool:
        return bool(self.relations) and all((alias, ROW) in closed for alias in self.relations)

    @staticmethod
    def has(closed: set[Column], column: Column | None) -> bool:
        """Whether a closure holds ``column``, by itself or with its whole row."""
        return column is not None and (column in closed or (column[0], ROW) in closed)


def filled(column: Column) -> Column:
    """What stands in a closure for a column's not being NULL."""
    return column[0], f"{column[1]} IS NOT NULL"


def framed(
    select: exp.Expr, relations: dict[str, Relation], looking_back: Mapping[str, frozenset[Column]]
) -> Frame:
    """The frame of a SELECT: its sources, their keys, and the equalities of its conditions.

    Args:
        select: A SELECT.
        relations: Its sources, by their aliases in lower case, in the order of the text.
        looking_back: Of sources that are another result for each row before them: what makes it another.
    """
    joins = select.args.get("joins") or ()
    turned = joins[0] if joins and joins[0].side == "RIGHT" else None
    frame = Frame(relations, padded=any(_pads(one) for one in _own_joins(select) if one is not turned))
    needs: dict[str, frozenset[Column]] = {}
    start = select.args.get("from_")
    earlier = _aliases(start.this) if start else []
    for join in joins:
        joined = _aliases(join.this)
        if join is turned:
            earlier, joined = joined, earlier
        one_way = join is turned or join.side == "LEFT" or join.kind == "ANTI"
        needs |= _add_join(frame, join, earlier, joined, one_way=one_way)
        earlier = [*earlier, *joined]
    for name in ("where", "qualify"):
        if condition := select.args.get(name):
            _add_condition(frame, condition.this)
    for alias, relation in relations.items():
        back = looking_back.get(alias, frozenset())
        frame.rules += [(since | back, (alias, ROW)) for since in _keys(alias, relation, needs.get(alias))]
    return frame


def _keys(alias: str, relation: Relation, needs: frozenset[Column] | None) -> Iterator[frozenset[Column]]:
    """What leaves one row of a source; ``needs`` says what decides whether there is one, where it may be missing.

    A row that is missing has the NULLs that one row of a query's result may have, too.
    """
    for key in relation.keys:
        columns = frozenset((alias, name) for name in key)
        told = columns | {filled((alias, name)) for name in relation.loose.get(key, ())}
        if needs is None or (key and not relation.derived):
            yield told
        else:
            yield told | needs
            yield from [columns | set(map(filled, columns))] if key else []


def add_outer(frame: Frame, select: exp.Expr) -> None:
    """A column of a query around ``select`` is a constant to it: ``WHERE i.order_id = o.id``."""
    where = select.args.get("where")
    for part in conjuncts(where.this) if where else ():
        if not isinstance(part, exp.EQ | exp.NullSafeEQ):
            continue
        for one, other in ((part.left, part.right), (part.right, part.left)):
            column = frame.column(one)
            outer = [node.table.lower() for node in other.find_all(exp.Column)]
            plain = other.find(*_VARYING) is None
            if column and outer and plain and not {"", *frame.relations} & set(outer):
                frame.rules += [(frozenset(), known) for known in _told(part, column)]


def conjuncts(condition: exp.Expr) -> list[exp.Expr]:
    """The parts of a condition that all must hold, without parentheses around them."""
    found: list[exp.Expr] = []
    rest = [condition]
    while rest:  # a tool may write thousands of them
        one = rest.pop().unnest()
        if isinstance(one, exp.And):
            rest += [one.right, one.left]
        else:
            found.append(one)
    return found


def _own_joins(select: exp.Expr) -> Iterator[exp.Join]:
    """The joins of ``select``, also within parentheses in FROM, and of no query in it."""
    parts = [select.args.get("from_"), *(select.args.get("joins") or ())]
    for part in filter(None, parts):
        for node in part.walk(prune=lambda one: isinstance(one, exp.Select | exp.SetOperation)):
            if isinstance(node, exp.Join):
                yield node


def _pads(join: exp.Join) -> bool:
    return join.side in ("RIGHT", "FULL") or join.method == "POSITIONAL" or join.kind == "POSITIONAL"


def _aliases(item: exp.Expr) -> list[str]:
    return [str(node.alias_or_name).lower() for node in apart(item)]


def _add_join(
    frame: Frame, join: exp.Join, earlier: Sequence[str], joined: Sequence[str], *, one_way: bool
) -> dict[str, frozenset[Column]]:
    """What a join tells.

    One that keeps rows which meet nothing tells of what is joined only, and only to whoever knows all that decides
    whether there is such a row: that is returned, of each alias.
    """
    condition = join.args.get("on")
    using = [
        (name.name.lower(), _owners(frame, earlier, name.name.lower()))
        for name in join.args.get("using") or ()
    ]
    if not one_way:
        if condition:
            _add_condition(frame, condition)
        for name, owners in using:
            if len(mine := _owners(frame, joined, name)) == 1:
                _add_equality(frame, owners, mine[0])
        return {}
    since = frozenset(column for _, owners in using for column in owners)
    since |= _looked_at(frame, condition, joined, earlier) if condition else frozenset()
    for name, owners in using:
        if len(mine := _owners(frame, joined, name)) == 1:
            frame.rules += [(since, mine[0]), (since, filled(mine[0]))]
            frame.backwards.append((frozenset(mine), owners[0]))
    for part in conjuncts(condition) if condition else ():
        for column, equal in _equals_known(frame, part, joined):
            frame.rules += [(since, known) for known in _told(part, column)]
            frame.backwards += [(frozenset([column]), equal)] if equal else []
    return dict.fromkeys(joined, since)


def _owners(frame: Frame, side: Sequence[str], name: str) -> list[Column]:
    """The column of USING on one side of a join; all that may be it, where that cannot be told."""
    found = [one for one in side if (columns := frame.relations[one].columns) is None or name in columns]
    certain = found and (len(found) == 1 or frame.relations[found[0]].columns is not None)
    return [(one, name) for one in (found[:1] if certain else found or side)]


def _looked_at(
    frame: Frame, condition: exp.Expr, joined: Sequence[str], earlier: Sequence[str]
) -> frozenset[Column]:
    """What a condition looks at of the sources before the join; all of their rows where that cannot be told."""
    found = [frame.column(one) for one in condition.find_all(exp.Column)]
    if None in found or condition.find(exp.Query):
        return frozenset((alias, ROW) for alias in earlier)
    return frozenset(one for one in found if one and one[0] not in joined)


def _equals_known(
    frame: Frame, part: exp.Expr, joined: Sequence[str]
) -> Iterator[tuple[Column, Column | None]]:
    """The columns of what is joined that an equality makes of columns before the join; and which, if of one alone."""
    if isinstance(part, exp.EQ | exp.NullSafeEQ):
        for one, other in ((part.left, part.right), (part.right, part.left)):
            column, equal = frame.column(one), frame.column(other)
            made = frozenset([equal]) if equal else _made_of(frame, other)
            if (
                column
                and column[0] in joined
                and made is not None
                and not any(one[0] in joined for one in made)
            ):
                yield column, equal


def _add_condition(frame: Frame, condition: exp.Expr) -> None:
    """What holds in every row that comes out."""
    for part in conjuncts(condition):
        if column := _not_null(frame, part):
            frame.rules.append((frozenset(), filled(column)))
        if not isinstance(part, exp.EQ | exp.NullSafeEQ):
            continue
        left, right = frame.column(part.left), frame.column(part.right)
        if left and right:
            _add_equality(frame, [left], right, strict=isinstance(part, exp.EQ))
        elif (column := left or right) is not None:
            made = _made_of(frame, part.right if left else part.left)
            frame.rules += [(made, known) for known in _told(part, column)] if made is not None else []


def _add_equality(frame: Frame, one: Sequence[Column], other: Column, *, strict: bool = True) -> None:
    """Either tells the other; of several, only all of them together."""
    frame.rules.append((frozenset(one), other))
    frame.rules += [(frozenset([other]), one[0])] if len(one) == 1 else []
    frame.rules += (
        [(frozenset(), filled(column)) for column in (*one, other)] if strict and len(one) == 1 else []
    )


def _told(part: exp.Expr, column: Column) -> list[Column]:
    """What an equality with something known tells of a column: its value, and, but for NULLs, that it has one."""
    return [column, filled(column)] if isinstance(part, exp.EQ) else [column]


def _not_null(frame: Frame, part: exp.Expr) -> Column | None:
    negated = isinstance(part, exp.Not)
    part = part.this.unnest() if negated else part
    if not isinstance(part, exp.Is) or not isinstance(part.expression, exp.Null):
        return None
    return frame.column(part.this) if negated is not bool(part.args.get("negate")) else None


def _made_of(frame: Frame, node: exp.Expr) -> frozenset[Column] | None:
    """The columns that decide what ``node`` gives: none of a constant; None if more does, or it gives several values.

    Such as ``ANY (ARRAY[1, 2])``, and what is drawn anew.
    """
    if node.find(*_VARYING) is not None:
        return None
    found = [frame.column(one) for one in node.find_all(exp.Column)]
    return None if None in found else frozenset(one for one in found if one)
