"""DuckDB's types in Arrow: which go over as they are, which as their own text, and which not at all.

What DuckDB's Arrow export does by itself is not always exact (found with DuckDB 2.0.1, and held by tests): a UHUGEINT of
39 digits becomes -1, TIMETZ loses its zone, the dates ``infinity`` become days of no calendar, 24:00:00 becomes midnight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datakeep.extract.sql.exact import Rule, exact
from datakeep.extract.sql.faults import QueryRefused
from datakeep.extract.sql.refusals import inexact, unkeepable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.extract.sql.interface import Exactness

_PLAIN = frozenset({
    "boolean", "tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint", "float",
    "double", "decimal", "varchar", "blob", "date", "time", "time_ns", "timestamp", "timestamp_s", "timestamp_ms",
    "timestamp_ns", "timestamp with time zone", "enum",
})  # fmt: skip
_NESTED = frozenset({"list", "array", "struct", "map"})
#: Kept as DuckDB's own text, in which nothing of them is lost.
_AS_TEXT = {
    "time with time zone": "a time with a zone has no equal in Arrow",
    "interval": "months, days and microseconds have no equal in Parquet",
    "uuid": "",
    "bit": "strings of bits have no equal in Arrow",
    "bignum": "whole numbers without a limit have no equal in Arrow",
}
_HUGE = frozenset({"hugeint", "uhugeint"})
_HUGE_DIGITS = 38
_DECIMALS = _HUGE | {"bignum", "decimal", "varchar"}
#: Days from 1970-01-01 of the first and the last day that most readers can show: years 1 and 9999.
_FIRST_DAY, _LAST_DAY = -719162, 2932896
_DAY_S = 86_400
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of one column.

    Attributes:
        name: Of the column.
        database_type: As DuckDB writes it.
        cast: Whether DuckDB is to give its text.
        decimal: Precision and scale that the text is then read into, exactly.
        note: What a person should know of it.
    """

    name: str
    database_type: str
    cast: bool = False
    decimal: tuple[int, int] | None = None
    note: str | None = None


def plan_of(name: str, kind: Any, exactness: Exactness) -> Plan:
    """What becomes of the column ``name`` of DuckDB's type ``kind``.

    Raises:
        NotExact: The type has no equal, and the column was not told to be text.
        QueryRefused: It was told to be a decimal, and is no number with digits of its own.
    """
    shown, identity = str(kind), kind.id
    if name in exactness.as_text:
        return Plan(name, shown, cast=identity != "varchar", note="kept as text")
    if name in exactness.decimals:
        if identity not in _DECIMALS:
            raise QueryRefused(
                f"column {name} is of type {shown}, which has no decimal digits to keep",
                next_step=f"CAST it to DECIMAL in the query, or keep it as text with --as-text {name}",
            )
        return Plan(name, shown, cast=True, decimal=exactness.decimals[name])
    if identity in _HUGE:
        return Plan(name, shown, cast=True, decimal=(_HUGE_DIGITS, 0), note="kept as a decimal of 38 digits")
    if identity in _AS_TEXT:
        why = _AS_TEXT[identity]
        return Plan(name, shown, cast=True, note="kept as text" + (f": {why}" if why else ""))
    if identity in _PLAIN or shown == '"NULL"':
        return Plan(name, shown, note="holds no value" if shown == '"NULL"' else None)
    culprit = next(_without_equal(kind), None)
    if culprit is None:
        return Plan(name, shown)
    within = f"in which {culprit}" if str(culprit) != shown else "which"
    raise unkeepable(name, shown, f"{within} has no exact equal in Arrow and Parquet")


def _without_equal(kind: Any) -> Iterator[Any]:
    """The types within ``kind`` that cannot be kept."""
    if kind.id not in _NESTED:
        if kind.id not in _PLAIN:
            yield kind
        return
    for name, child in kind.children:
        if not (kind.id == "array" and name == "size"):
            yield from _without_equal(child)


def converted(array: Any, plan: Plan, first_row: int) -> Any:
    """One column of a batch, every value the same.

    Args:
        array: As DuckDB gave it.
        plan: What becomes of it.
        first_row: The number of its first row, from 1.

    Raises:
        NotExact: A value has no equal; names column, row and value.
    """
    if plan.decimal is not None:
        return _decimals(array, plan, first_row)
    if _has_time(array.type):
        for row, value in _odd(array):
            raise inexact(
                plan.name, first_row + row, value, "has no exact equal that every reader of Arrow can show"
            )
    return array


def _decimals(array: Any, plan: Plan, first_row: int) -> Any:
    import pyarrow as pa

    precision, scale = plan.decimal or (_HUGE_DIGITS, 0)
    target = (pa.decimal128 if precision <= _HUGE_DIGITS else pa.decimal256)(precision, scale)
    return exact(array, Rule(plan.name, target), first_row)


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
    per_second = _PER_SECOND[kind.unit]
    if kinds.is_time(kind):
        return 0, _DAY_S * per_second - 1
    if kind.unit == "ns":  # 64 bits of nanoseconds end in 1677 and 2262; the extremes mean infinity
        return -(2**63) + 2, 2**63 - 2
    return _FIRST_DAY * _DAY_S * per_second, (_LAST_DAY + 1) * _DAY_S * per_second - 1


def _text(kind: Any, number: int) -> str:
    """How DuckDB writes it, for the ones that people do write; else the number of days or units."""
    import pyarrow.types as kinds

    bits = kind.bit_width
    if kinds.is_time(kind):
        return "24:00:00"
    if abs(number) == 2 ** (bits - 1) - 1:
        return "infinity" if number > 0 else "-infinity"
    unit = 1 if kinds.is_date(kind) else _DAY_S * _PER_SECOND[kind.unit]
    return f"{number // unit} days from 1970-01-01"
