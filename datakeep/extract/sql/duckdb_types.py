"""DuckDB's types in Arrow: which go over as they are, which as their own text, and which not at all.

What DuckDB's Arrow export does by itself is not always exact (found with DuckDB 2.0.1, and held by tests):
a UHUGEINT of 39 digits becomes -1, TIMETZ loses its zone, the dates ``infinity`` become days of no
calendar, 24:00:00 becomes midnight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datakeep.extract.sql.exact import Rule, exact
from datakeep.extract.sql.faults import QueryRefused
from datakeep.extract.sql.moments import check_moments
from datakeep.extract.sql.refusals import unkeepable

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
    check_moments(array, plan.name, first_row)
    return array


def _decimals(array: Any, plan: Plan, first_row: int) -> Any:
    import pyarrow as pa

    precision, scale = plan.decimal or (_HUGE_DIGITS, 0)
    target = (pa.decimal128 if precision <= _HUGE_DIGITS else pa.decimal256)(precision, scale)
    return exact(array, Rule(plan.name, target, told=plan.note is None), first_row)
