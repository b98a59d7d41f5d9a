"""How a value of a database is written for people: as SQL writes it, and what lies in lists and structs as JSON does.

Errors, examples of rows and notes all write values with this, so that one value looks the same everywhere.
"""

from __future__ import annotations

import json
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

#: The first day of Python's calendar, and how many days until the calendar repeats.
_FIRST_DAY, _CYCLE_DAYS, _CYCLE_YEARS = -719162, 146_097, 400
#: How many of a unit, as Arrow calls it, are one second.
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class Said(str):
    """A text that is written as it is: a number's digits, for example."""

    __slots__ = ()


class Pairs(list[tuple[Any, Any]]):
    """The entries of a map, in their order; a key may stand there twice."""


def cut(text: str, characters: int) -> str:
    """The text, or so many of its first ``characters`` and ``…``."""
    return text if len(text) <= characters else f"{text[:characters]}…"


def literal(value: Any) -> str:
    """A value of its own: ``NULL``, ``true``, ``1.50``, ``NaN``, ``x'00ff'``, ``'text'``, ``["a", null]``.

    Args:
        value: None, bool, int, float, Decimal, str, bytes, a date, time or timedelta, :class:`Said`, or lists,
            tuples, dicts and :class:`Pairs` of these. Anything else is written as ``str`` has it.
    """
    if value is None:
        return "NULL"
    if isinstance(value, str) and not isinstance(value, Said):
        return _quoted(value)
    return str(value) if isinstance(value, date | time | timedelta) else _within(value)


def _within(value: Any) -> str:
    """A value in a list or struct: texts, dates and times in JSON's quotes, NULL as ``null``."""
    if value is None:
        return "null"
    if isinstance(value, Said):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float_literal(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"x'{bytes(value).hex()}'"
    if isinstance(value, str | date | time | timedelta):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, dict | Pairs):
        items = value.items() if isinstance(value, dict) else value
        return "{" + ", ".join(f"{_within(key)}: {_within(item)}" for key, item in items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_within, value)) + "]"
    return str(value)


def float_literal(value: float) -> str:
    """The shortest digits that are this double and no other; ``NaN`` and ``Infinity`` as SQL and JSON write them."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value).removesuffix(".0")


def day_literal(days: int) -> str:
    """The day that lies ``days`` after 1970-01-01, in any year: ``2024-02-29``, ``0044-03-15 BC``."""
    cycles, rest = divmod(days - _FIRST_DAY, _CYCLE_DAYS)
    day = date.fromordinal(rest + 1)
    year = day.year + _CYCLE_YEARS * cycles
    written = f"{year if year > 0 else 1 - year:04d}-{day.month:02d}-{day.day:02d}"
    return written if year > 0 else f"{written} BC"


def moment_literal(count: int, per_second: int) -> str:
    """The moment ``count`` units after 1970 began: ``2024-02-29T12:00:00.5``, ``0044-03-15T00:00:00 BC``."""
    days, rest = divmod(count, 86_400 * per_second)
    day, _, era = day_literal(days).partition(" ")
    return f"{day}T{clock_literal(rest, per_second)}" + (f" {era}" if era else "")


def clock_literal(count: int, per_second: int) -> str:
    """``count`` units after midnight: ``12:00:00.5``."""
    seconds, rest = divmod(count, per_second)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    digits = len(str(per_second)) - 1
    return f"{text}.{rest:0{digits}d}".rstrip("0") if rest else text


def _quoted(text: str) -> str:
    r"""In SQL's quotes, with what cannot be seen as its escape: ``'it''s'``, ``'a\nb'``."""
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return "'" + shown.replace("'", "''") + "'"
