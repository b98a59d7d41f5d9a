"""A value that somebody typed, as a value of a column's own type: exactly, or not at all.

``'4711'`` in a column of integers is 4711, and that it was taken so is said; 47.5 is no integer, so that no row can
have it; and where it cannot be told what was meant, the column is not searched, which is no "no".
"""

from __future__ import annotations

import math
import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.types as kinds

from datakeep.core.decimals import without_zeros
from datakeep.extract.values import is_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datakeep.core.conditions import Value

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
#: Digits with something between them: a number, as it may be written elsewhere.
_GROUPED = re.compile(r"[+-]?\d+([.,' _\u00a0\u202f’]\d+)+")
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?"
)
_TIME = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?")
_UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (counted from; a zone is added where there is one)
_DAY_NS = 86_400 * 10**9


class CannotTell(Exception):
    """What the value means in a column of this type is not clear; the reason, in words."""


class AskOtherwise(CannotTell):
    """It would be clear if the value were typed in another way; the reason says how, and repeats no value."""


class _Impossible(Exception):
    """No value of such a column can be this one, by its very form; the reason, in words."""


@dataclass(frozen=True, slots=True)
class Sought:
    """The values of one test, in a column's own type.

    Attributes:
        type: Arrow's type in which they are compared; that of the column, or of what it stores.
        values: Those that a value of the column can be at all.
        remarks: How they were taken, and how many no value of the column can be; no value is repeated.
        impossible: Why none of them can be a value of such a column, by its very form; empty if one can.
    """

    type: Any
    values: tuple[Any, ...]
    remarks: tuple[str, ...]
    impossible: str = ""


def sought(values: Iterable[Value], arrow_type: Any) -> Sought:
    """``values`` as values of a column of ``arrow_type``.

    Raises:
        CannotTell: The column's values are none that can be compared, or a value is ambiguous in it.
    """
    stored = _stored(arrow_type)
    found: list[Any] = []
    remarks: dict[str, None] = {}
    unfit = 0
    impossible: list[str] = []
    for value in values:
        try:
            taken, remark = _taken(value, stored)
        except _Impossible as error:
            impossible.append(str(error))
            taken, remark = None, None
        if taken is None:
            unfit += 1
            continue
        found.append(taken)
        if remark:
            remarks[remark] = None
    if unfit:
        count = "the value" if unfit == 1 and not found else f"{unfit:,} of the values"
        remarks[f"no {shown_type(arrow_type)} is {count} that was asked for"] = None
    never = impossible[0] if len(impossible) == unfit and not found and impossible else ""
    return Sought(stored, tuple(found), tuple(remarks), never)


def shown_type(arrow_type: Any) -> str:
    """A type's name for a person."""
    if kinds.is_dictionary(arrow_type):
        return shown_type(arrow_type.value_type)
    if is_text(arrow_type):
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
    if is_text(arrow_type):
        return pa.large_string()
    if kinds.is_large_binary(arrow_type) or kinds.is_binary(arrow_type) or kinds.is_binary_view(arrow_type):
        return pa.large_binary()
    if kinds.is_decimal(arrow_type) and arrow_type.bit_width < 128:
        return pa.decimal128(arrow_type.precision, arrow_type.scale)
    return arrow_type


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
    taken = _of_number(_number(value), target)
    remark = "a text was taken for the number that it says" if value.kind == "text" else None
    return taken, remark


def _number(value: Value) -> Decimal:
    text = value.text.strip()
    if value.kind != "truth" and _NUMBER.fullmatch(text):
        return Decimal(text)
    if _GROUPED.fullmatch(text):
        raise AskOtherwise("a number is asked for without separators and with a point, as 1234.5")
    raise _Impossible("the column has numbers, and the value is none")


def _of_number(number: Decimal, target: Any) -> Any:
    if kinds.is_integer(target):
        whole = number.to_integral_value() if number.adjusted() < 20 else None
        low, high = (-(1 << target.bit_width - 1), 1 << target.bit_width - 1)
        if kinds.is_unsigned_integer(target):
            low, high = 0, 1 << target.bit_width
        return int(whole) if whole == number and low <= number < high else None
    if kinds.is_decimal(target):
        try:
            plain = without_zeros(number)
            exact = pa.scalar(plain, pa.decimal256(76, max(0, -int(plain.as_tuple().exponent))))
            return exact.cast(target).as_py()
        except (pa.ArrowException, InvalidOperation, ValueError):
            return None
    nearest = pa.scalar(float(number), target).as_py()
    return None if math.isinf(nearest) else nearest  # beyond the largest there is none


def _truth(value: Value) -> tuple[Any, str | None]:
    word = value.text.strip().lower()
    if word not in ("true", "false"):
        if value.kind == "number" or word in ("0", "1", "yes", "no", "t", "f", "y", "n"):
            raise AskOtherwise("the column has true and false: ask for one of these words")
        raise _Impossible("the column has true and false, and the value is neither")
    return word == "true", None if value.kind == "truth" else "a text was taken for true or false"


def _bytes(text: str, width: int) -> tuple[Any, str | None]:
    """A UUID, hexadecimal digits, or text of just that many bytes."""
    digits = text.strip().replace("-", "").strip("{}")
    if len(digits) == 2 * width and re.fullmatch("[0-9a-fA-F]+", digits):
        return (uuid.UUID(digits).bytes if width == 16 else bytes.fromhex(digits)), None
    data = text.encode("utf-8")
    if len(data) != width:
        raise _Impossible(f"the value is not of {width} bytes: a UUID or hexadecimal digits are asked for")
    return data, "it was compared with bytes, as UTF-8"


def _moment(value: Value, target: Any) -> Any:
    """A day, time or moment as the integer that the column stores."""
    example = "09:00:00" if kinds.is_time(target) else "2026-11-01"
    if kinds.is_timestamp(target):
        example += "T09:00:00" + ("+09:00" if target.tz else "")
    if value.kind == "number":
        raise AskOtherwise(f"the column is {target}, which is asked for in quotes, as '{example}'")
    text = value.text.strip()
    found = (_TIME if kinds.is_time(target) else _MOMENT).fullmatch(text)
    if found is None and any(map(str.isdigit, text)):  # it may be one as it is written elsewhere
        raise AskOtherwise(f"the column is {target}, which is asked for as '{example}'")
    if found is None:
        raise _Impossible(f"the column is {target}, which is asked for as '{example}'")
    if kinds.is_time(target):
        return _in_unit(_clock_ns(*found.groups()), target.unit)
    nanoseconds, zoned = _nanoseconds(found)
    if kinds.is_date(target):
        days, rest = divmod(nanoseconds, _DAY_NS)
        if zoned:
            raise AskOtherwise("the column holds days: a day has no zone, and is asked for as '2026-11-01'")
        return None if rest else days if kinds.is_date32(target) else days * 86_400_000
    if bool(target.tz) != zoned:
        lacks = "has a zone, so the value needs one: '2026-11-01T09:00:00+09:00'"
        raise AskOtherwise(f"the column {lacks if target.tz else 'has no zone, so the value may have none'}")
    return _in_unit(nanoseconds, target.unit)


def _nanoseconds(found: re.Match[str]) -> tuple[int, bool]:
    """Since 1970, and whether in UTC."""
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        start = datetime(int(year), int(month), int(day))  # noqa: DTZ001  (the zone is taken off below)
    except ValueError:
        raise _Impossible(
            "there is no such day in the calendar; a day is asked for as '2026-11-01'"
        ) from None
    nanoseconds = (start - _EPOCH).days * _DAY_NS + _clock_ns(hour, minute, second, fraction)
    return nanoseconds - _offset_ns(zone), zone is not None


def _clock_ns(hour: str | None, minute: str | None, second: str | None, fraction: str | None) -> int:
    if int(hour or 0) > 23 or int(minute or 0) > 59 or int(second or 0) > 59:
        raise _Impossible("there is no such time of a day; a time is asked for as '09:00:00'")
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
