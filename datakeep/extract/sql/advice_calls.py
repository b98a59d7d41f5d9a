"""The functions that a query calls: their names, and where they stand."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.tokens import TokenType

from datakeep.extract.sql.advice_kinds import advice
from datakeep.extract.sql.reading import offset_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from datakeep.extract.sql.advice_kinds import Advice
    from datakeep.extract.sql.reading import Reading

#: sqlglot makes its names out of those of its classes, and takes each capital for a word.
_JSON = re.compile(r"^j_s_o_n_(?:(b)_)?")


def own(select: exp.Expr) -> Iterator[exp.Expr]:
    """The nodes of ``select`` that are not of a query within it."""
    for node in select.walk(prune=lambda one: one is not select and isinstance(one, exp.Query)):
        if node is select or not isinstance(node, exp.Query):
            yield node


def outer(node: exp.Expr) -> exp.Expr | None:
    """What a call stands in, apart from what only qualifies it."""
    around = node.parent
    while isinstance(around, exp.IgnoreNulls | exp.RespectNulls | exp.Filter | exp.Distinct):
        around = around.parent
    return around


def called(node: exp.Expr) -> str:
    """The name of a function, in lower case; empty of what is none."""
    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
        return str(node.name).lower()
    if not isinstance(node, exp.Func):
        return ""
    return _JSON.sub(r"json\1_", node.sql_name().lower())


def name_of_call(call: exp.Anonymous) -> str:
    """A function as the query writes it, with its schema if it has one."""
    around = call.parent
    schema = around.this.name if isinstance(around, exp.Dot) and around.expression is call else ""
    if isinstance(around, exp.Table) and around.this is call:
        schema = around.db
    return f"{schema}.{call.name}" if schema else str(call.name)


def start_of(reading: Reading, node: exp.Expr, words: Collection[str]) -> int | None:
    """Where the function's name, one of ``words``, stands; sqlglot does not tell it of every function."""
    inner = offset_of(node)
    if "start" in node.meta or inner is None:
        return inner
    starts = [
        token.start
        for token, following in pairwise(reading.tokens)
        if token.start < inner and following.token_type == TokenType.L_PAREN and token.text.lower() in words
    ]
    return starts[-1] if starts else inner


def said(reading: Reading, node: exp.Expr, words: Collection[str]) -> str:
    """The function as the user calls it: sqlglot has its own names."""
    start = start_of(reading, node, words)
    word = next((token.text for token in reading.tokens if token.start == start), called(node))
    return f"{word}()"


def told(
    reading: Reading, node: exp.Expr, words: Collection[str], kind: str, what: str, way_out: str
) -> Advice:
    """Advice on a call of a function, one of ``words``, in the user's own words: what it does, and the way out."""
    start = start_of(reading, node, words)
    return advice(reading, start, kind, f"{said(reading, node, words)} {what}".strip(), way_out)
