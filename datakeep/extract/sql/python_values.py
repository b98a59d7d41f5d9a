"""Python values, as a driver of SQLAlchemy gives them, in Arrow: each exactly, or an error that names it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from datakeep.extract.sql.refusals import inexact, unkeepable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from datakeep.extract.sql.interface import Exactness

#: ``float``: a double whose every value is one of 32 bits; ``moment``: of no zone; ``instant``: of UTC.
Form = Literal["same", "text", "day", "moment", "instant", "clock", "bits", "single"]
_CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?")


@dataclass(frozen=True, slots=True)
class Column:
    """What becomes of one column.

    Attributes:
        name: Of the column.
        database_type: As the database says it.
        target: The Arrow type that is kept.
        form: How the driver's values become it.
        note: What a person should know of it.
    """

    name: str
    database_type: str
    target: Any
    form: Form = "same"
    note: str | None = None


def converted(values: Sequence[Any], column: Column, first_row: int) -> Any:
    """One column of a batch.

    Args:
        values: As the driver gave them; None is NULL.
        column: What becomes of them.
        first_row: The number of the first value's row, from 1.

    Raises:
        NotExact: A value has no equal; names column, row and value.
    """
    import pyarrow as pa

    try:
        return _FORMS[column.form](values, column.target)
    except (pa.ArrowException, ValueError, TypeError, OverflowError, AttributeError):
        for row, value in enumerate(values, first_row):
            try:
                _FORMS[column.form]([value], column.target)
            except (pa.ArrowException, ValueError, TypeError, OverflowError, AttributeError) as error:
                raise inexact(column.name, row, value, f"is no {column.target}") from error
        raise


def inferred(
    name: str, values: Sequence[Any], decimals: tuple[int, int] | None, exactness: Exactness
) -> Column:
    """What becomes of a column of which only values are known, by the first that are not NULL.

    Args:
        name: Of the column.
        values: Those that came so far.
        decimals: Precision and scale, where the driver or the user tells them.
        exactness: What the user said.

    Raises:
        NotExact: Its values are of a type that cannot be kept, or of several.
    """
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    shown = " and ".join(sorted(kind.__name__ for kind in kinds)) or "NULL"
    if name in exactness.as_text:
        return Column(name, shown, pa.string(), "text", "kept as text")
    if not kinds:
        return Column(name, shown, pa.null(), note="no value in the first rows")
    if len(kinds) > 1:
        raise unkeepable(name, shown, "of which Arrow has no common one")
    kind = kinds.pop()
    if kind is Decimal:
        if decimals is None:
            raise unkeepable(name, shown, "and the database does not tell how many digits it has")
        return Column(name, f"decimal{decimals}", decimal_type(*decimals))
    if kind is datetime and _zoned(values):
        return Column(name, shown, pa.timestamp("us", "UTC"), "instant")
    known: dict[type, tuple[Any, Form]] = {
        bool: (pa.bool_(), "same"), int: (pa.int64(), "same"), float: (pa.float64(), "same"),
        str: (pa.string(), "same"), bytes: (pa.binary(), "same"), date: (pa.date32(), "same"),
        datetime: (pa.timestamp("us"), "moment"), time: (pa.time64("us"), "clock"), UUID: (pa.string(), "text"),
    }  # fmt: skip
    if kind not in known:
        raise unkeepable(name, shown, "which has no exact equal in Arrow and Parquet")
    return Column(name, shown, *known[kind])


def decimal_type(precision: int, scale: int) -> Any:
    """Arrow's decimal of so many digits; 128 bits wide where they suffice."""
    import pyarrow as pa

    return (pa.decimal128 if precision <= 38 else pa.decimal256)(precision, scale)


def _zoned(values: Sequence[Any]) -> bool:
    return any(value is not None and value.tzinfo is not None for value in values)


def _same(values: Sequence[Any], target: Any) -> Any:
    import pyarrow as pa
    import pyarrow.types as kinds

    if kinds.is_integer(target) or kinds.is_floating(target) or kinds.is_string(target):
        # Arrow would take True for 1 and 1.0 for 1, silently.
        wanted = int if kinds.is_integer(target) else float if kinds.is_floating(target) else str
        if any(type(value) is not wanted for value in values if value is not None):
            raise TypeError
    return pa.array(values, target)


def _text(values: Sequence[Any], _target: Any) -> Any:
    import pyarrow as pa

    return pa.array([None if value is None else text_of(value) for value in values], pa.string())


def text_of(value: Any) -> str:
    """A value as text that loses nothing: bytes in hex, a moment in ISO's form."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, Decimal):
        return format(value, "f")
    return value if isinstance(value, str) else str(value)


def _day(values: Sequence[Any], target: Any) -> Any:
    import pyarrow as pa

    return pa.array([None if value is None else date.fromisoformat(value) for value in values], target)


def _moment(values: Sequence[Any], target: Any) -> Any:
    import pyarrow as pa

    moments = [datetime.fromisoformat(value) if isinstance(value, str) else value for value in values]
    if any(moment is not None and moment.tzinfo is not None for moment in moments):
        raise TypeError
    return pa.array(moments, target)


def _instant(values: Sequence[Any], target: Any) -> Any:
    """Text is UTC, as the session asks for it; a value of Python's says its zone itself."""
    import pyarrow as pa

    if all(value is None or isinstance(value, str) for value in values):
        return _moment(values, pa.timestamp("us")).cast(target)
    if any(value is not None and value.tzinfo is None for value in values):
        raise TypeError
    return pa.array(values, target)


def _clock(values: Sequence[Any], target: Any) -> Any:
    import pyarrow as pa

    return pa.array([_time(value) if isinstance(value, str) else value for value in values], target)


def _time(value: str) -> time:
    match = _CLOCK.fullmatch(value)
    if match is None:
        raise ValueError
    hours, minutes, seconds, fraction = match.groups()
    return time(int(hours), int(minutes), int(seconds), int((fraction or "").ljust(6, "0")))


def _bits(values: Sequence[Any], target: Any) -> Any:
    import pyarrow as pa

    return pa.array([None if value is None else int.from_bytes(value) for value in values], target)


def _single(values: Sequence[Any], target: Any) -> Any:
    import pyarrow as pa

    doubles = pa.array(values, pa.float64())
    singles = doubles.cast(target, safe=False)
    if not singles.cast(pa.float64()).equals(doubles):
        raise ValueError
    return singles


_FORMS: dict[Form, Callable[[Sequence[Any], Any], Any]] = {
    "same": _same, "text": _text, "day": _day, "moment": _moment, "instant": _instant, "clock": _clock, "bits": _bits,
    "single": _single,
}  # fmt: skip
