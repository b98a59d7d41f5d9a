"""Dates and times that Arrow's integers can hold and no calendar has: infinity, 24:00, years beyond 1 to 9999."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datakeep.core.literals import PER_SECOND, day_literal, moment_literal
from datakeep.extract.sql.refusals import inexact

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Days from 1970-01-01 of the first and the last day that most readers can show: years 1 and 9999.
_FIRST_DAY, _LAST_DAY = -719162, 2932896
_DAY_S = 86_400


def check_moments(array: Any, name: str, first_row: int) -> None:
    """Hold every date and time in ``array``, within lists and structs too, against what readers can show.

    Args:
        array: A column of one batch.
        name: Of the column.
        first_row: The number of its first row, from 1.

    Raises:
        NotExact: One cannot be shown; names column, row and value.
    """
    if _has_time(array.type):
        for row, value in _odd(array):
            raise inexact(
                name, first_row + row, value, "has no exact equal that every reader of Arrow can show"
            )


def _has_time(kind: Any) -> bool:
    import pyarrow.types as kinds

    if kinds.is_date(kind) or kinds.is_time(kind) or kinds.is_timestamp(kind):
        return True
    return any(_has_time(kind.field(at).type) for at in range(kind.num_fields))


def _odd(array: Any) -> Iterator[tuple[int, str]]:
    """Row (from 0) and text of each date or time that Arrow takes and no reader can show."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    kind = array.type
    if kinds.is_date(kind) or kinds.is_time(kind) or kinds.is_timestamp(kind):
        least, most = _bounds(kind)
        numbers = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
        ends = pc.min_max(numbers).as_py()
        if ends["min"] is not None and (ends["min"] < least or ends["max"] > most):
            for row, number in enumerate(numbers.to_pylist()):
                if number is not None and not least <= number <= most:
                    yield row, _text(kind, number)
    elif kinds.is_struct(kind):
        for child in array.flatten():
            yield from _odd(child)
    elif kinds.is_map(kind) or kinds.is_list(kind) or kinds.is_fixed_size_list(kind):
        yield from _odd_in_lists(array)


def _odd_in_lists(array: Any) -> Iterator[tuple[int, str]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    plain = array
    if kinds.is_map(array.type):
        entry = pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])
        plain = array.cast(pa.list_(entry))
    parents = pc.list_parent_indices(plain).to_pylist()
    for at, value in _odd(plain.flatten()):
        yield parents[at], value


def _bounds(kind: Any) -> tuple[int, int]:
    import pyarrow.types as kinds

    if kinds.is_date(kind):
        return _FIRST_DAY, _LAST_DAY
    per_second = PER_SECOND[kind.unit]
    if kinds.is_time(kind):
        return 0, _DAY_S * per_second - 1
    if kind.unit == "ns":  # 64 bits of nanoseconds end in 1677 and 2262; the extremes mean infinity
        return -(2**63) + 2, 2**63 - 2
    return _FIRST_DAY * _DAY_S * per_second, (_LAST_DAY + 1) * _DAY_S * per_second - 1


def _text(kind: Any, number: int) -> str:
    """How people write it."""
    import pyarrow.types as kinds

    bits = kind.bit_width
    if kinds.is_time(kind):
        return "24:00:00"
    if abs(number) == 2 ** (bits - 1) - 1:
        return "infinity" if number > 0 else "-infinity"
    return day_literal(number) if kinds.is_date(kind) else moment_literal(number, PER_SECOND[kind.unit])
