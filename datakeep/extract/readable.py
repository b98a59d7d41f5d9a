"""The values of :mod:`.comparable` arrays as people read them: floats from their bits, days from their number."""

from __future__ import annotations

import struct
from typing import Any

import pyarrow.types as kinds

from datakeep.core.literals import (
    PER_SECOND,
    Pairs,
    Said,
    clock_literal,
    day_literal,
    float_literal,
    literal,
    moment_literal,
)
from datakeep.extract.values import float_text, is_text


def readable_text(value: Any, arrow_type: Any) -> str:
    """One value that is not NULL: lists and structs as JSON writes them, text without quotes.

    Args:
        value: As ``to_pylist`` gives it of a comparable array.
        arrow_type: The type of the array before it was made comparable.
    """
    found = readable(value, arrow_type)
    return str(found) if isinstance(found, str) else literal(found)


def readable(value: Any, arrow_type: Any) -> Any:
    """The same as :func:`datakeep.core.literals.literal` takes it."""
    if value is None:
        return None
    if kinds.is_dictionary(arrow_type) or kinds.is_run_end_encoded(arrow_type):
        return readable(value, arrow_type.value_type)
    if isinstance(arrow_type, _extension()):
        return readable(value, arrow_type.storage_type)
    if kinds.is_struct(arrow_type):
        return _struct(value, arrow_type)
    if kinds.is_map(arrow_type):
        pairs = [tuple(one.values()) for one in value]
        return Pairs(
            (readable(key, arrow_type.key_type), readable(item, arrow_type.item_type)) for key, item in pairs
        )
    if kinds.is_nested(arrow_type):  # lists of every kind
        return [readable(item, arrow_type.value_type) for item in value]
    if kinds.is_floating(arrow_type):
        return _float(value, arrow_type)
    if kinds.is_temporal(arrow_type):
        return _time(value, arrow_type)
    return _bytes(value, arrow_type) if isinstance(value, bytes) else value


def _bytes(value: bytes, arrow_type: Any) -> Any:
    """Text, and what is compared by its text; bytes stay bytes."""
    if kinds.is_decimal(arrow_type) or kinds.is_interval(arrow_type):
        return Said(value.decode())
    return value.decode("utf-8", "backslashreplace") if is_text(arrow_type) else value


def _extension() -> Any:
    import pyarrow as pa

    return pa.BaseExtensionType


def _struct(value: Any, arrow_type: Any) -> Any:
    if isinstance(value, bool):  # one without fields
        return {}
    parts = value.values() if isinstance(value, dict) else value
    fields = [arrow_type.field(at) for at in range(arrow_type.num_fields)]
    return Pairs((field.name, readable(part, field.type)) for field, part in zip(fields, parts, strict=True))


def _float(value: Any, arrow_type: Any) -> Any:
    if isinstance(value, float):
        return value
    double = arrow_type.bit_width == 64
    (number,) = struct.unpack("<d" if double else "<f", struct.pack("<q" if double else "<i", value))
    if double or number != number or abs(number) == float("inf"):
        return Said(float_literal(number))
    return Said(float_text(number, single=True))


def _time(value: Any, arrow_type: Any) -> Any:
    """A day, moment or time of day from its integer; a span in seconds."""
    if not isinstance(value, int):
        return Said(value.decode()) if isinstance(value, bytes) else value
    if kinds.is_date(arrow_type):
        return day_literal(value)
    per_second = PER_SECOND[arrow_type.unit]
    if kinds.is_timestamp(arrow_type):
        return moment_literal(value, per_second) + ("Z" if arrow_type.tz else "")
    if kinds.is_duration(arrow_type):
        whole = clock_literal(abs(value), per_second)
        return f"-{whole}" if value < 0 else whole
    return clock_literal(value, per_second)
