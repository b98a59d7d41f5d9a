"""What was probably meant where a parameter is written so that it is something else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from sqlglot.tokens import TokenType

from datakeep.core.parameter_types import type_of_text
from datakeep.extract.sql.advice_kinds import advice
from datakeep.extract.sql.reading import tokens_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sqlglot.tokens import Token

    from datakeep.extract.sql.advice_kinds import Advice
    from datakeep.extract.sql.interface import Statement
    from datakeep.extract.sql.reading import Reading

_UNTYPED = re.compile(r"([^\W\d]\w*)=(.*)", re.DOTALL)
_DAY = re.compile(r"((?:19|20)[0-9]{2})([-/.]?)([0-9]{1,2})\2([0-9]{1,2})")
_BOOLEANS = frozenset({"true", "false"})
_NULLS = frozenset({"null", "none"})
#: A number as no integer or decimal is written: ``1e5``, ``.5``; not ``007``, which is a code.
_NUMBER_OF_A_KIND = re.compile(
    r"(?=[+-]?\.?[0-9])[+-]?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?P<power>[eE][+-]?[0-9]+)?"
)
#: A moment with more digits of a second than Python has, and without them.
_FINE = re.compile(r"(.*:[0-9]{2}\.[0-9]{6})[0-9]+(Z|[+-].*)?")
_NAME = re.compile(r":([^\W\d]\w*)")
_NUMBER = re.compile(r"\$[0-9]{1,3}")
_WITHIN = re.compile(r"(?<![:\w]):([^\W\d]\w*)")


@dataclass(frozen=True, slots=True)
class Quoted:
    """What looks like a parameter, and stands within quotes.

    Attributes:
        name: Of the parameter; None of one without a name, such as ``$1``.
        text: What stands between the quotes.
        whole: Whether nothing else does.
        start: Where the text with its quotes begins, in characters.
    """

    name: str | None
    text: str
    whole: bool
    start: int


def in_quotes(tokens: Sequence[Token], known: Collection[str] = ()) -> Iterator[Quoted]:
    """Each text that is one parameter's name, or has the name of a ``known`` parameter within it."""
    for token in tokens:
        if token.token_type != TokenType.STRING:
            continue
        if match := _NAME.fullmatch(token.text):
            yield Quoted(match[1], token.text, True, token.start)
        elif _NUMBER.fullmatch(token.text):
            yield Quoted(None, token.text, True, token.start)
        elif name := next((one[1] for one in _WITHIN.finditer(token.text) if one[1] in known), None):
            yield Quoted(name, token.text, False, token.start)


def quoted(statement: Statement, known: Collection[str] = ()) -> tuple[str, ...]:
    """Names of parameters that stand within quotes in the query: there they are texts, and get no value.

    Args:
        statement: The query.
        known: Names that are looked for within longer texts, too: ``'%:name%'``.
    """
    found = in_quotes(tokens_of(statement.text, statement.dialect), known)
    return tuple(dict.fromkeys(one.name for one in found if one.name))


def on_quoted(reading: Reading) -> Iterator[Advice]:
    """Advice on each parameter within quotes, which is a text and gets no value."""
    known = {name for name, _, _ in reading.placeholders}
    for one in in_quotes(reading.tokens, known):
        name = one.name or "name"
        way_out = f"write :{name} without the quotes, and give it a value: --param {name}=VALUE"
        if not one.whole:
            way_out = f"join the texts: '…' || :{name} || '…'"
        yield advice(reading, one.start, "quoted-parameter", f"'{one.text}' stands in quotes", way_out)


def quoted_doubts(statement: Statement) -> Iterator[str]:
    """The same in a sentence each, to be said with what a database does not take."""
    for one in in_quotes(tokens_of(statement.text, statement.dialect), statement.parameters):
        yield f"'{one.text}' stands in quotes in the query, so that it is a text and no parameter: remove the quotes"


def doubts(options: Sequence[str]) -> Iterator[str]:
    """One sentence with its way out for each parameter whose value was probably meant in another way.

    Args:
        options: ``name=value`` and the like, as they were typed; those that state their type are not doubted.
    """
    for option in options:
        match = _UNTYPED.fullmatch(option)
        day = _day(match[2]) if match else None
        if match and day:
            kind = "a whole number" if match[2].isdecimal() else "a text"
            yield f"{option} is read as {kind}; if it is a date: --param {match[1]}:date={day}"
        elif match and (meant := _meant(match[1], match[2])):
            yield f"{option} is read as a text; {meant}"


def _meant(name: str, value: str) -> str | None:
    """What a value that is read as a text would be elsewhere; None if it is one there as well."""
    if type_of_text(value) != "text":
        return None
    if value.lower() in _BOOLEANS:
        return f"if it is a boolean: --param {name}={value.lower()}"
    if value.lower() in _NULLS:
        return f"if no value is meant, it needs a type, such as --param {name}:date:null"
    if number := _NUMBER_OF_A_KIND.fullmatch(value):
        return f"if it is a number: --param {name}:{'double' if number['power'] else 'decimal'}={value}"
    if (moment := _FINE.fullmatch(value)) and type_of_text(moment[1] + (moment[2] or "")) == "timestamp":
        return f"a timestamp has six digits of a second at most; for a finer moment: CAST(:{name} AS …) in the query"
    return None


def _day(value: str) -> date | None:
    """The day that ``value`` probably is, where it is not written as one."""
    match = _DAY.fullmatch(value)
    if match is None or (not match[2] and len(value) != 8) or (match[2] == "-" and len(value) == 10):
        return None
    try:
        return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None
