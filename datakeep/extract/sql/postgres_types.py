"""What each PostgreSQL type becomes, and the SELECT that brings it.

The driver hands over only some types as they are; others it flattens, wraps round or leaves as the server's internal
bytes (measured: docs/types.md). Those columns are asked for as the server's own text, by a SELECT around the user's
query, whose text stays as it is inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datakeep.extract.sql.exact import Rule
from datakeep.extract.sql.faults import QueryRefused
from datakeep.extract.sql.interface import SourceColumn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.extract.sql.interface import Exactness

#: What the driver hands over exactly; the values that it does not are found by :mod:`.exact`.
_NATIVE = {
    "bool": "bool_",
    "int2": "int16",
    "int4": "int32",
    "int8": "int64",
    "float4": "float32",
    "float8": "float64",
    "bytea": "binary",
    "date": "date32",
    "time": "time64",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "text": "string",
    "varchar": "string",
    "bpchar": "string",
    "name": "string",
}
_NOTES = {
    "money": "kept as text in the server's locale (lc_monetary)",
    "interval": "kept as text in the server's IntervalStyle: Parquet has no type for months, days and time in one",
    "timetz": "kept as text: Arrow has no time of day with a zone",
    "bpchar": None,
}
_MOST_DIGITS = 76
_OWN_TEXT = "kept as PostgreSQL's own text"


@dataclass(frozen=True, slots=True)
class Described:
    """A column of a query's result, as the server describes it.

    Attributes:
        name: Of the column.
        shown: As ``format_type`` writes it; a domain by its own name.
        base: The catalogue's name of the type below every domain: ``int4``, ``numeric``; None if it is none of the
            server's own.
        element: The same of an array's elements; None unless it is an array.
        is_array: Whether it is one.
        typmod: Precision and scale of a numeric, or of an array's elements, as the server packs them; -1 for none.
    """

    name: str
    shown: str
    base: str | None
    element: str | None = None
    is_array: bool = False
    typmod: int = -1


@dataclass(frozen=True, slots=True)
class Plan:
    """How a query's columns are read.

    Attributes:
        columns: What each is and becomes.
        rules: What :func:`.exact.exact` has to do with each.
        expressions: What to ask for in place of each column, with ``{}`` for the column.
        checks: Position of each array to the expression that is its text where Arrow has no equal, else NULL.
    """

    columns: tuple[SourceColumn, ...]
    rules: tuple[Rule, ...]
    expressions: tuple[str, ...]
    checks: tuple[tuple[int, str], ...]

    def around(self, query: str) -> str:
        """The SELECT to send: the query itself where every column can be read as it is."""
        if not self.checks and all(expression == "{}" for expression in self.expressions):
            return query
        names = [f"c{number}" for number in range(1, len(self.expressions) + 1)]
        asked = [
            expression.format(f"q.{name}") for expression, name in zip(self.expressions, names, strict=True)
        ]
        asked += [check.format(f"q.{names[at]}") for at, check in self.checks]
        return around(query, asked, names)


def around(query: str, asked: Sequence[str], names: Sequence[str]) -> str:
    """A SELECT of ``asked`` around ``query``, whose columns are called ``names`` of ``q``."""
    # What is put in is the query that the user wants to be run, and expressions of this module's own.
    return f"SELECT {', '.join(asked)} FROM (\n{query}\n) AS q({', '.join(names)})"  # noqa: S608


def plan(described: Sequence[Described], exactness: Exactness, *, unsure_text: bool) -> Plan:
    """How to read the columns.

    Raises:
        QueryRefused: ``exactness`` names a column that is not there, or wants digits of one that is no numeric.
    """
    _refuse_unknown(described, exactness)
    read = [_column(one, exactness) for one in described]
    columns = [
        SourceColumn(one.name, one.shown, str(kept.target), kept.note)
        for one, kept in zip(described, read, strict=True)
    ]
    rules = [
        Rule(one.name, kept.target, unsure_text, one.name in exactness.decimals)
        for one, kept in zip(described, read, strict=True)
    ]
    checks = [(at, _ARRAY_CHECK) for at, kept in enumerate(read) if kept.checked]
    return Plan(tuple(columns), tuple(rules), tuple(kept.expression for kept in read), tuple(checks))


_ODD_ARRAY = "array_ndims({0}) > 1 OR array_lower({0}, 1) <> 1"
_ARRAY_CHECK = f"CASE WHEN {_ODD_ARRAY} THEN {{0}}::text END"


@dataclass(frozen=True, slots=True)
class _Kept:
    target: Any
    expression: str = "{}"
    note: str | None = None
    checked: bool = False


def _column(one: Described, exactness: Exactness) -> _Kept:
    import pyarrow as pa

    if one.name in exactness.as_text:
        return _Kept(pa.string(), "{}::text", f"{_OWN_TEXT}, as asked for")
    digits = exactness.decimals.get(one.name)
    if not one.is_array:
        return _scalar(one.base, one.typmod, digits)
    element = _scalar(one.element, one.typmod, digits)
    cast = "{0}" if element.expression == "{}" else element.expression.replace("{}", "{0}") + "[]"
    # At some lower bounds the driver gives up, without a word of where.
    expression = f"CASE WHEN {_ODD_ARRAY} THEN NULL ELSE {cast} END"
    return _Kept(pa.list_(pa.field("element", element.target)), expression, element.note, checked=True)


def _scalar(base: str | None, typmod: int, digits: tuple[int, int] | None) -> _Kept:
    import pyarrow as pa

    if base == "numeric":
        return _numeric(typmod, digits)
    if base == "oid":
        return _Kept(pa.int64(), "{}::int8", None)
    if base in _NATIVE:
        return _Kept(_arrow(_NATIVE[base]))
    return _Kept(pa.string(), "{}::text", _NOTES.get(base or "", _OWN_TEXT))


def _arrow(name: str) -> Any:
    import pyarrow as pa

    if name == "time64":
        return pa.time64("us")
    if name == "timestamp":
        return pa.timestamp("us")
    if name == "timestamptz":
        return pa.timestamp("us", "UTC")
    return getattr(pa, name)()


def _numeric(typmod: int, digits: tuple[int, int] | None) -> _Kept:
    import pyarrow as pa

    if digits is None and typmod == -1:
        note = "kept as text: it has no precision of its own; give it one with --decimal"
        return _Kept(pa.string(), "{}::text", note)
    precision, scale = digits or _digits(typmod)
    if precision > _MOST_DIGITS:
        return _Kept(pa.string(), "{}::text", f"kept as text: Arrow has at most {_MOST_DIGITS} digits")
    target = (
        pa.decimal128(precision, scale) if precision <= _MOST_DIGITS // 2 else pa.decimal256(precision, scale)
    )
    # As the server's own text, which costs it 60 ns a value and saves the driver 320: it makes a text of it, too.
    return _Kept(target, "{}::text")


def packed_digits(typmod: int) -> tuple[int, int]:
    """Precision and scale of a numeric, of its typmod (``make_numeric_typmod`` in PostgreSQL's ``numeric.c``)."""
    return ((typmod - 4) >> 16) & 0xFFFF, (((typmod - 4) & 0x7FF) ^ 1024) - 1024


def _digits(typmod: int) -> tuple[int, int]:
    """Those that Arrow and Parquet take: since PostgreSQL 15 a scale may be negative, or above the precision."""
    precision, scale = packed_digits(typmod)
    return (precision - scale, 0) if scale < 0 else (max(precision, scale), scale)


def _refuse_unknown(described: Sequence[Described], exactness: Exactness) -> None:
    names = [one.name for one in described]
    unknown = [name for name in (*sorted(exactness.as_text), *exactness.decimals) if name not in names]
    if unknown:
        raise QueryRefused(
            f"the query has no column {', '.join(unknown)}", next_step=f"name one of: {', '.join(names)}"
        )
    for one in described:
        numeric = "numeric" in (one.base, one.element)
        if one.name in exactness.decimals and not numeric:
            raise QueryRefused(
                f"column {one.name} is {one.shown}, no numeric: it has no digits to state",
                next_step=f"leave out the digits of {one.name}, or cast it to numeric in the query",
            )
