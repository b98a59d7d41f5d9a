"""Arrow's arrays brought into few forms, and their values as exact text: the same on every machine.

What a moment, a day or a duration is, is an integer of its type's unit; text and bytes are of the large kind; a
dictionary is what it stands for. So whoever counts or compares has integers, floats, decimals, booleans, text
and bytes to know, and nothing else.
"""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from datakeep.core.decimals import shifted, without_zeros
from datakeep.core.literals import PER_SECOND, clock_literal, cut, day_literal, moment_literal

if TYPE_CHECKING:
    from collections.abc import Callable

#: What the values of a column are; of ``other`` (lists, objects, nothing at all) they are only counted.
Kind = Literal["integer", "float", "decimal", "boolean", "time", "text", "binary", "other"]

#: More characters of a text are not shown, and more bytes not held: a digest tells longer ones apart.
SHOWN_CHARACTERS = 80
HELD_TEXT_BYTES = 400
_BEYOND_ASCII = 0x80
_MOMENT = re.compile(r"(timestamp|duration|time32|time64)\[(s|ms|us|ns)(?:, tz=(.+))?\]")
_DECIMAL = re.compile(r"decimal(32|64|128|256)\((\d+), (-?\d+)\)")
_PLAIN = {
    "bool": pa.bool_(), "string": pa.large_string(), "binary": pa.large_binary(), "float": pa.float32(),
    "halffloat": pa.float16(), "double": pa.float64(), "date32[day]": pa.date32(), "date64[ms]": pa.date64(),
    "large_binary": pa.large_binary(),
    **{f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
DAY_S = 86_400


def type_named(name: str | None) -> Any:
    """The Arrow type that a manifest calls ``name``; None for one whose values are only counted."""
    if name is None:
        return None
    if match := _MOMENT.fullmatch(name):
        kind, unit, zone = match.groups()
        return pa.timestamp(unit, zone) if kind == "timestamp" else getattr(pa, kind)(unit)
    if match := _DECIMAL.fullmatch(name):
        bits, precision, scale = map(int, match.groups())
        return (pa.decimal256 if bits == 256 else pa.decimal128)(precision, scale)
    if name.startswith("fixed_size_binary"):
        return pa.large_binary()
    return _PLAIN.get(name)


def kind_of(arrow_type: Any) -> Kind:
    """What the values of ``arrow_type`` are; None, lists, objects and what is not known are ``other``."""
    if arrow_type is None:
        return "other"
    if kinds.is_interval(arrow_type):
        return "other"
    tests: dict[Kind, Callable[[Any], bool]] = {
        "integer": kinds.is_integer, "float": kinds.is_floating, "decimal": kinds.is_decimal,
        "boolean": kinds.is_boolean, "time": kinds.is_temporal, "text": is_text, "binary": _is_binary,
    }  # fmt: skip
    other: Kind = "other"
    return next((kind for kind, is_kind in tests.items() if is_kind(arrow_type)), other)


def is_text(arrow_type: Any) -> bool:
    """Whether its values are text, however long."""
    return bool(
        kinds.is_string(arrow_type) or kinds.is_large_string(arrow_type) or kinds.is_string_view(arrow_type)
    )


def _is_binary(arrow_type: Any) -> bool:
    return bool(
        kinds.is_binary(arrow_type)
        or kinds.is_large_binary(arrow_type)
        or kinds.is_binary_view(arrow_type)
        or kinds.is_fixed_size_binary(arrow_type)
    )


def is_plain_text(arrow_type: Any) -> bool:
    """Whether its values are text or bytes that lie one after the other, which need not be made so."""
    return bool(
        kinds.is_string(arrow_type)
        or kinds.is_large_string(arrow_type)
        or kinds.is_binary(arrow_type)
        or kinds.is_large_binary(arrow_type)
    )


def decoded(array: Any) -> Any:
    """The array without its encoding: dictionaries, runs and extensions become what they stand for."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if kinds.is_dictionary(array.type):
        array = array.dictionary_decode()
    if kinds.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    if is_text(array.type):
        return array.cast(pa.large_string())
    return array.cast(pa.large_binary()) if _is_binary(array.type) else array


def plain(array: Any) -> Any:
    """A decoded array in one of the few forms: times as integers, 16-bit floats as 32, small decimals as 128."""
    arrow_type = array.type
    if kinds.is_temporal(arrow_type) and not kinds.is_interval(arrow_type):
        if kinds.is_date64(arrow_type):
            return array.cast(pa.date32(), safe=False).view(pa.int32()).cast(pa.int64())
        bits = pa.int32() if arrow_type.bit_width == 32 else pa.int64()
        return array.view(bits).cast(pa.int64())
    if kinds.is_float16(arrow_type):
        return array.cast(pa.float32())
    if kinds.is_decimal(arrow_type) and arrow_type.bit_width < 128:
        return array.cast(pa.decimal128(arrow_type.precision, arrow_type.scale))
    return array


def fitted(array: Any, target: Any) -> tuple[Any, int]:
    """The array as ``target``, and how many of its values cannot be that; those are null in it.

    Args:
        array: Of any type, such as the text of a CSV, or integers where other files have doubles.
        target: The type that the column has in all files together.
    """
    array = decoded(array)
    if array.type == target or kinds.is_null(array.type):
        return (array if array.type == target else pa.nulls(len(array), target)), 0
    try:
        return _cast(array, target), 0
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _cast_one_by_one(array, target)


def _cast(array: Any, target: Any) -> Any:
    if kinds.is_time(target) and is_text(array.type):
        # Arrow has no cast of a time's text; it has one of a moment's.
        day, none = (pa.scalar(text, pa.large_string()) for text in ("1970-01-01T", ""))
        moments = pc.binary_join_element_wise(day, array.cast(pa.large_string()), none)
        numbers = moments.cast(pa.timestamp(target.unit)).view(pa.int64())
        return numbers.cast(pa.int32() if target.bit_width == 32 else pa.int64()).view(target)
    return array.cast(target, safe=not kinds.is_floating(target))


def _cast_one_by_one(array: Any, target: Any) -> tuple[Any, int]:
    """The slow way, once for each different value."""
    if not is_text(array.type):
        return pa.nulls(len(array), target), len(array) - array.null_count
    encoded = array.dictionary_encode()
    cast = [_cast_text(text, target) for text in encoded.dictionary.to_pylist()]
    values = pa.concat_arrays([*cast, pa.nulls(0, target)])
    fitting = values.take(encoded.indices)
    return fitting, fitting.null_count - array.null_count


def _cast_text(text: str, target: Any) -> Any:
    try:
        return _cast(pa.array([text.strip()], pa.large_string()), target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.nulls(1, target)


def raw_bytes(array: Any) -> tuple[Any, Any]:
    """The bytes of all values of a plain array of text or bytes, one after the other (numpy, uint8), and its offsets.

    Offsets (numpy, int64, one more than there are values) count from the first byte of the buffer, which need not be
    the first of these.
    """
    _, ends, data = array.buffers()
    offsets = np.frombuffer(ends, np.int64)[array.offset : array.offset + len(array) + 1]
    raw = np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)
    return raw[int(offsets[0]) : int(offsets[-1])], offsets


def is_ascii(array: Any) -> bool:
    """Whether a plain array of text has no character beyond ASCII: what it holds is UTF-8, a byte a character."""
    if not len(array):
        return True
    raw, _ = raw_bytes(array)
    return not len(raw) or int(raw.max()) < _BEYOND_ASCII


def valid(array: Any) -> Any:
    """Text of which what is not UTF-8, as some programs write it into Parquet, is replaced by U+FFFD."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        raw = array.cast(pa.large_binary()).to_pylist()
        texts = [one if one is None else one.decode("utf-8", "replace") for one in raw]
        return pa.array(texts, pa.large_string())
    return array


def held(array: Any) -> Any:
    """Text or bytes of which long values are replaced by their beginning and their digest."""
    long = pc.greater(pc.binary_length(array), HELD_TEXT_BYTES)
    if not pc.any(long).as_py():
        return array
    short = [_short(value) for value in array.filter(long).to_pylist()]
    return pc.replace_with_mask(array, pc.fill_null(long, False), pa.array(short, array.type))


def _short(value: Any) -> Any:
    data = value.encode("utf-8") if isinstance(value, str) else value
    digest = hashlib.sha256(data).hexdigest()
    return f"{value[:SHOWN_CHARACTERS]}…{digest}" if isinstance(value, str) else digest.encode("ascii")


def text_of(value: Any, arrow_type: Any) -> str:
    """A value of a plain array as exact text, of as few digits as say it; long text is cut.

    Args:
        value: As ``to_pylist`` gives it: int, float, Decimal, bool, str or bytes.
        arrow_type: The type before it was made plain.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return cut(value, SHOWN_CHARACTERS)
    if isinstance(value, bytes):
        return value[: SHOWN_CHARACTERS // 2].hex()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float):
        return float_text(value, single=arrow_type.bit_width < 64)
    return _time_text(value, arrow_type) if kinds.is_temporal(arrow_type) else str(value)


def float_text(value: float, *, single: bool = False) -> str:
    """The shortest decimal text that is this float and no other: ``32.1``, ``1e+300``."""
    text = str(np.float32(value)) if single else repr(value)
    return text.removesuffix(".0")


def _time_text(value: int, arrow_type: Any) -> str:
    if kinds.is_date(arrow_type):
        return day_literal(value)
    if kinds.is_timestamp(arrow_type):
        return moment_literal(value, PER_SECOND[arrow_type.unit]) + ("Z" if arrow_type.tz else "")
    if kinds.is_duration(arrow_type):
        exact = without_zeros(shifted(Decimal(value), 1 - len(str(PER_SECOND[arrow_type.unit]))))
        return f"{exact:f} s"
    return clock_literal(value, PER_SECOND[arrow_type.unit])


def day_numbers(values: Any, arrow_type: Any) -> Any:
    """The days since 1970 (numpy, int64) in which plain values of a date or timestamp lie; zones count as UTC."""
    if kinds.is_date(arrow_type):
        return values
    return np.floor_divide(values, PER_SECOND[arrow_type.unit] * DAY_S)
