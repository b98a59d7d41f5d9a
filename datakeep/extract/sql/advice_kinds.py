"""What a piece of advice is, and every kind that there is. ``docs/extracting.md`` has an example of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.extract.sql.places import place
from datakeep.extract.sql.reading import Reading, offset_of

if TYPE_CHECKING:
    from sqlglot import exp

#: Every kind of advice: its id, and what it means.
KINDS: dict[str, str] = {
    "clock": "the result depends on the time of the run",
    "relative-date": "a span of time is counted from the time of the run",
    "random": "the result is drawn anew by every run",
    "session-value": "the result depends on who runs the query, and where",
    "row-place": "the database moves and rewrites rows as it likes, and another copy of it has them elsewhere",
    "volatile-function": "its owners have not said that it gives the same value for the same rows",
    "sampling": "which rows are sampled is drawn anew by every run",
    "limit-unordered": "which rows are within the limit is the database's choice",
    "distinct-on-unordered": "which row is kept of each group is the database's choice",
    "select-star": "a column that is added to the table changes the dataset",
    "unqualified-table": "which table is read depends on the user's search path",
    "cross-join": "every row is joined with every other",
    "natural-join": "it joins on whatever columns both sides have, or get, a name in common, and may repeat rows",
    "join-multiplies": "a row is repeated for each row that it is joined with",
    "distinct-hides-join": "DISTINCT takes back what a join has multiplied",
    "aggregate-unordered": "the order within a collected value is the database's choice",
    "any-value": "which value is taken from a group is the database's choice",
    "estimate": "it is estimated: another order of the rows, or another release of the database, gives another value",
    "window-unordered": "rows that tie are numbered, or looked back at, in the database's order",
    "float-sum": "floats are added in the database's order, on which the last digits depend",
    "quoted-parameter": "a parameter inside quotes is text, not a parameter",
    "personal-column": "the name of a column suggests personal data",
}
#: Kinds that say that another run may give other rows; the others say that the rows may not be what was thought.
DERIVABILITY = frozenset(KINDS) - {
    "cross-join", "join-multiplies", "distinct-hides-join", "quoted-parameter", "personal-column",
}  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Advice:
    """What may make a dataset impossible to derive again, or wrong, and what to do.

    Attributes:
        line: From 1.
        column: From 1, in characters.
        id: Stable; one of ``KINDS``.
        what: What stands there, and what follows from it.
        way_out: What to write instead.
    """

    line: int
    column: int
    id: str
    what: str
    way_out: str


def advice(reading: Reading, offset: int | None, kind: str, what: str, way_out: str) -> Advice:
    """Advice of a kind in ``KINDS`` on the character at ``offset``."""
    found = place(reading.text, offset or 0)
    return Advice(found.line, found.column, kind, f"{what}: {KINDS[kind]}", way_out)


def keyword(reading: Reading, node: exp.Expr, *words: str) -> int | None:
    """Where the last of ``words`` stands before the parts of ``node``: a clause does not know where it begins."""
    inner = offset_of(node)
    found = [
        token.start
        for token in reading.tokens
        if token.text.upper() in words and (inner is None or token.start <= inner)
    ]
    return found[-1] if found else inner
