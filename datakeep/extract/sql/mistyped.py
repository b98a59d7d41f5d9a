"""What was probably meant where a parameter is written so that it is something else."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from sqlglot.tokens import TokenType

from datakeep.extract.sql.reading import tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.extract.sql.interface import Statement

_UNTYPED = re.compile(r"([^\W\d]\w*)=(.*)", re.DOTALL)
_DAY = re.compile(r"((?:19|20)[0-9]{2})([-/.]?)([0-9]{1,2})\2([0-9]{1,2})")
_NAME = re.compile(r":([^\W\d]\w*)")


def quoted(statement: Statement) -> tuple[str, ...]:
    """Names that stand as ``':name'`` in the query: there they are texts, and get no value."""
    found = [
        match[1]
        for token in tokens_of(statement.text, statement.dialect)
        if token.token_type == TokenType.STRING and (match := _NAME.fullmatch(token.text))
    ]
    return tuple(dict.fromkeys(found))


def doubts(statement: Statement, options: Sequence[str]) -> Iterator[str]:
    """One sentence with its way out for each parameter that was probably meant in another way.

    Args:
        statement: The query.
        options: ``name=value`` and the like, as they were typed; those that state their type are not doubted.
    """
    for name in quoted(statement):
        yield f"':{name}' stands in quotes in the query, so that it is a text and no parameter: remove the quotes"
    for option in options:
        match = _UNTYPED.fullmatch(option)
        day = _day(match[2]) if match else None
        if match and day:
            kind = "a whole number" if match[2].isdecimal() else "a text"
            yield f"{option} is read as {kind}; if it is a date: --param {match[1]}:date={day}"


def _day(value: str) -> date | None:
    """The day that ``value`` probably is, where it is not written as one."""
    match = _DAY.fullmatch(value)
    if match is None or (not match[2] and len(value) != 8) or (match[2] == "-" and len(value) == 10):
        return None
    try:
        return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None
