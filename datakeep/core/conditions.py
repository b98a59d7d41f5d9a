"""A condition on rows, as it is typed: ``customer_id = 4711 AND region IN ('north', 'south')``. Nothing else is one.

What is looked for may be somebody's: no error repeats it, so that no log has it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from datakeep.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?(?![\w.-]))
    | (?P<word>[^\W\d][\w.\u0300-\u036f\u3099\u309a]*)
    | (?P<sign><=|>=|<>|!=|==|[=(),<>])
    )""",
    re.VERBOSE,
)
_EXAMPLE = "for example customer_id = 4711, or email IN ('a@b.example', 'c@d.example') AND year = 2026"
_NOT_ASKED = {
    "or": "OR is not understood: ask twice",
    "not": "NOT is not understood",
    "like": "LIKE is not understood: a value is looked for as a whole",
    "between": "BETWEEN is not understood",
    "is": "IS is not understood: a missing value cannot be asked for",
}
_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
#: More values of one question are refused.
_MAX_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class Value:
    """A value as it was typed: a number, a text in quotes, or ``true`` and ``false``."""

    kind: Literal["number", "text", "truth"]
    text: str = field(repr=False)

    @property
    def number(self) -> Decimal:
        """Of a number: exactly what was typed."""
        return Decimal(self.text)


@dataclass(frozen=True, slots=True)
class Test:
    """What one column must be: any of ``values``.

    Args:
        column: Its name.
        values: As they were typed.
        of_numbers: Whether the texts of the column are numbers, so that ``1.50`` is 1.5.
    """

    column: str
    values: tuple[Value, ...]
    of_numbers: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """What a row must be: all of ``tests`` hold for it."""

    tests: tuple[Test, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names, each once."""
        return tuple(dict.fromkeys(test.column for test in self.tests))

    def of_numbers(self, columns: Collection[str]) -> Condition:
        """The same, of a table in which the texts of ``columns`` are numbers."""
        tests = (replace(test, of_numbers=test.column in columns) for test in self.tests)
        return Condition(tuple(tests)) if columns else self


def parse_condition(text: str) -> Condition:
    """``text`` as a condition.

    Raises:
        UsageError: It is not one; says at which character, and does not repeat any value.
    """
    return _Parser(text).condition()


def _in_all_forms(values: Sequence[Value]) -> tuple[Value, ...]:
    """A text that Unicode can write in several ways, é as one letter or as e and its accent, is each of them."""
    every = [
        replace(one, text=text)
        for one in values
        for text in (one.text, *(unicodedata.normalize(form, one.text) for form in _FORMS))
    ]
    return tuple(dict.fromkeys(every))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._place = 0
        self._values = 0

    def condition(self) -> Condition:
        tests = [self._test()]
        while self._next.kind != "end":
            if not self._next.is_word("and"):
                raise self._refusal("AND, or the end, is expected here")
            self._take()
            tests.append(self._test())
        return Condition(tuple(tests))

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self) -> _Token:
        self._place += 1
        return self._tokens[self._place - 1]

    def _test(self) -> Test:
        column = self._column()
        if self._next.text in ("=", "=="):
            self._take()
            return Test(column, _in_all_forms([self._value()]))
        if self._next.is_word("in"):
            self._take()
            return Test(column, _in_all_forms(self._list()))
        raise self._refusal("= or IN is expected here")

    def _column(self) -> str:
        one = self._next
        if one.kind == "quoted":
            return self._take().text[1:-1].replace('""', '"')
        if one.kind != "word" or one.is_word("and", "in", *_NOT_ASKED):
            raise self._refusal("the name of a column is expected here; an odd one stands in double quotes")
        return self._take().text

    def _list(self) -> Sequence[Value]:
        self._sign("(")
        values = [self._value()]
        while self._next.text == ",":
            self._take()
            values.append(self._value())
        self._sign(")")
        return values

    def _sign(self, sign: str) -> None:
        if self._next.text != sign:
            raise self._refusal(f"{sign} is expected here")
        self._take()

    def _value(self) -> Value:
        one = self._next
        self._values += 1
        if self._values > _MAX_VALUES:
            raise self._refusal(f"more than {_MAX_VALUES:,} values cannot be asked for at once")
        if one.kind == "number":
            return Value("number", self._take().text)
        if one.kind == "text":
            return Value("text", self._take().text[1:-1].replace("''", "'"))
        if one.is_word("true", "false"):
            return Value("truth", self._take().text.lower())
        if one.is_word("null"):
            raise self._refusal("a missing value cannot be asked for")
        raise self._refusal("a number, or a text in 'single quotes', is expected here")

    def _refusal(self, why: str) -> UsageError:
        one = self._next
        if one.kind == "odd":
            why = one.text
        elif one.text == "," and self._place and self._tokens[self._place - 1].kind == "number":
            why = "a number is typed with a point, 3.5; what a file writes otherwise, in 'single quotes'"
        elif one.kind == "word" and one.text.lower() in _NOT_ASKED:
            why = _NOT_ASKED[one.text.lower()]
        elif one.text in ("<", ">", "<=", ">=", "<>", "!="):
            why = f"{one.text} is not understood: rows are looked for by values that they have"
        place = "at its end" if one.kind == "end" else f"at character {one.at + 1}"
        return _refusal(f"{place}: {why}")


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            return [*found, _Token("odd", _odd(text[start:]), start)]  # what comes before may be wrong too
        kind = str(match.lastgroup)
        found.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return [*found, _Token("end", "", end)]


def _odd(rest: str) -> str:
    """What is wrong with text that is no word of a condition."""
    if rest.startswith("'"):
        return "a text begins here, and its closing ' is missing"
    if rest.startswith('"'):
        return 'the name of a column begins here, and its closing " is missing'
    if rest[0].isdigit() or rest[0] in "+-.":
        return "this is no number; a text or a date stands in 'single quotes'"
    return "this is not understood; a text stands in 'single quotes', an odd name in double quotes"


def _refusal(why: str) -> UsageError:
    return UsageError(f"the condition cannot be read, {why}", next_step=_EXAMPLE)
