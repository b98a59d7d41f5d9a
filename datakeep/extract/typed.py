"""A value that somebody typed, as a value of a column's own type: exactly, or not at all.

``'4711'`` in a column of integers is 4711, and that it was taken so is said; 47.5 is no integer, so that no row can
have it; and where it cannot be told what was meant, the column is not searched, which is no "no".
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.types as kinds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datakeep.core.conditions import Value

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?"
)
_TIME = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?")
_UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (counted from; a zone is added where there is one)
_DAY_NS = 86_400 * 10**9


class CannotTell(Exception):
    """What the value means in a column of this type is not clear; the reason, in words."""


@dataclass(frozen=True, slots=True)
class Sought:
    """The values of one test, in a column's own type.

    Attributes:
        type: Arrow's type in which they are compared; that of the column, or of what it stores.
        values: Those that a value of the column can be at all.
        remarks: How they were taken, and how many no value of the column can be; no value is repeated.
    """

    type: Any
    values: tuple[Any, ...]
    remarks: tuple[str, ...]


def sought(values: Iterable[Value], arrow_type: Any) -> Sought:
    """``values`` as values of a column of ``arrow_type``.

    Raises:
        CannotTell: The column's values are none that can be compared, or a value is ambiguous in it.
    """
    stored = _stored(arrow_type)
    found: list[Any] = []
    remarks: dict[str, None] = {}
    unfit = 0
    for value in values:
        taken, remark = _taken(value, stored)
        if taken is None:
            unfit += 1
            continue
        found.append(taken)
        if remark:
            remarks[remark] = None
    if unfit:
        count = "the value" if unfit == 1 and not found else f"{unfit:,} of the values"
        remarks[f"no {shown_type(arrow_type)} is {count} that was asked for"] = None
    return Sought(stored, tuple(found), tuple(remarks))


def shown_type(arrow_type: Any) -> str:
    """A type's name for a person."""
    if kinds.is_dictionary(arrow_type):
        return shown_type(arrow_type.value_type)
    if _is_text(arrow_type):
        return "text"
    return "uuid" if isinstance(arrow_type, pa.UuidType) else str(arrow_type)


def _stored(arrow_type: Any) -> Any:
    """The type in which the column's values are compared."""
    if kinds.is_dictionary(arrow_type):
        return _stored(arrow_type.value_type)
    if isinstance(arrow_type, pa.BaseExtensionType):
        return _stored(arrow_type.storage_type)
    if kinds.is_nested(arrow_type):
        raise CannotTell("the column holds lists or objects")
    if kinds.is_duration(arrow_type) or kinds.is_interval(arrow_type):
        raise CannotTell(f"values of the type {arrow_type} cannot be looked for")
    if _is_text(arrow_type):
        return pa.large_string()
    if kinds.is_large_binary(arrow_type) or kinds.is_binary(arrow_type) or kinds.is_binary_view(arrow_type):
        return pa.large_binary()
    if kinds.is_decimal(arrow_type) and arrow_type.bit_width < 128:
        return pa.decimal128(arrow_type.precision, arrow_type.scale)
    return arrow_type


def _is_text(arrow_type: Any) -> bool:
    return bool(
        kinds.is_string(arrow_type) or kinds.is_large_string(arrow_type) or kinds.is_string_view(arrow_type)
    )


def _taken(value: Value, target: Any) -> tuple[Any, str | None]:
    """The value as one of ``target``, None if there is none; and how it was taken, where that is not plain."""
    if kinds.is_null(target):
        return None, None
    if kinds.is_large_string(target):
        return value.text, None if value.kind == "text" else "it was compared with texts, as it was typed"
    if kinds.is_large_binary(target):
        return value.text.encode("utf-8"), "it was compared with bytes, as UTF-8"
    if kinds.is_fixed_size_binary(target):
        return _bytes(value.text, target.byte_width)
    if kinds.is_boolean(target):
        return _truth(value)
    if kinds.is_temporal(target):
        return _moment(value, target), None
    number = _number(value)
    taken = None if number is None else _of_number(number, target)
    remark = "a text was taken for the number that it says" if value.kind == "text" else None
    return taken, remark


def _number(value: Value) -> Decimal | None:
    if value.kind == "truth" or not _NUMBER.fullmatch(value.text.strip()):
        return None
    return Decimal(value.text.strip())


def _of_number(number: Decimal, target: Any) -> Any:
    if kinds.is_integer(target):
        whole = number.to_integral_value() if number.adjusted() < 20 else None
        low, high = (-(1 << target.bit_width - 1), 1 << target.bit_width - 1)
        if kinds.is_unsigned_integer(target):
            low, high = 0, 1 << target.bit_width
        return int(whole) if whole == number and low <= number < high else None
    if kinds.is_decimal(target):
        try:
            exact = pa.scalar(
                number.normalize(), pa.decimal256(76, max(0, -int(number.normalize().as_tuple().exponent)))
            )
            return exact.cast(target).as_py()
        except (pa.ArrowException, InvalidOperation, ValueError):
            return None
    return float(number)


def _truth(value: Value) -> tuple[Any, str | None]:
    word = value.text.strip().lower()
    if word not in ("true", "false"):
        return None, None
    return word == "true", None if value.kind == "truth" else "a text was taken for true or false"


def _bytes(text: str, width: int) -> tuple[Any, str | None]:
    """A UUID, hexadecimal digits, or text of just that many bytes."""
    digits = text.strip().replace("-", "").strip("{}")
    if len(digits) == 2 * width and re.fullmatch("[0-9a-fA-F]+", digits):
        return (uuid.UUID(digits).bytes if width == 16 else bytes.fromhex(digits)), None
    data = text.encode("utf-8")
    return (data, "it was compared with bytes, as UTF-8") if len(data) == width else (None, None)


def _moment(value: Value, target: Any) -> Any:
    """A day, time or moment as the integer that the column stores."""
    if value.kind != "text":
        raise CannotTell(f"the column is {target}: a day or time is asked for in quotes, as '2026-11-01'")
    text = value.text.strip()
    if kinds.is_time(target):
        match = _TIME.fullmatch(text)
        return None if match is None else _in_unit(_clock_ns(*match.groups()), target.unit)
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise CannotTell(f"the column is {target}: a moment is asked for as '2026-11-01T09:00:00'")
    nanoseconds, zoned = _nanoseconds(found)
    if kinds.is_date(target):
        days, rest = divmod(nanoseconds, _DAY_NS)
        if zoned:
            raise CannotTell("the column holds days: a day has no zone")
        return None if rest else days if kinds.is_date32(target) else days * 86_400_000
    if bool(target.tz) != zoned:
        lacks = "has a zone, so the value needs one: '2026-11-01T09:00:00+09:00'"
        raise CannotTell(f"the column {lacks if target.tz else 'has no zone, so the value may have none'}")
    return _in_unit(nanoseconds, target.unit)


def _nanoseconds(found: re.Match[str]) -> tuple[int, bool]:
    """Since 1970, and whether in UTC."""
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        start = datetime(int(year), int(month), int(day))  # noqa: DTZ001  (the zone is taken off below)
    except ValueError:
        raise CannotTell("there is no such day in the calendar") from None
    nanoseconds = (start - _EPOCH).days * _DAY_NS + _clock_ns(hour, minute, second, fraction)
    return nanoseconds - _offset_ns(zone), zone is not None


def _clock_ns(hour: str | None, minute: str | None, second: str | None, fraction: str | None) -> int:
    whole = int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)
    return whole * 10**9 + int((fraction or "0").ljust(9, "0"))


def _offset_ns(zone: str | None) -> int:
    if zone in (None, "Z"):
        return 0
    digits = str(zone)[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return (-seconds if str(zone)[0] == "-" else seconds) * 10**9


def _in_unit(nanoseconds: int, unit: str) -> int | None:
    whole, rest = divmod(nanoseconds, _UNITS[unit])
    return None if rest else whole
