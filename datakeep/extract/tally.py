"""The figures of all columns of a table, while its batches go by."""

from __future__ import annotations

import math
from collections import Counter
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from datakeep.core.counts import counted
from datakeep.extract import values
from datakeep.extract.frequent import Frequent
from datakeep.extract.sketches import Distinct, RowSample, as_arrow, different, exact_sum, hashes, merged
from datakeep.formats.profile import Periods, Top

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from datakeep.formats.manifest import Column

    Each = Callable[[Callable[["_Column"], Any], Sequence["_Column"]], Iterator[Any]]

#: Different values that are held of all columns together, and the most and the least of one.
HELD_VALUES, MOST_HELD, LEAST_HELD = 500_000, 50_000, 500
#: Sampled values that are held of all columns together, and the most and the least of one.
SAMPLED_VALUES, MOST_SAMPLED, LEAST_SAMPLED = 4_000_000, 65_536, 4_096
#: Hashes for counting what differs: 1.6 % off as a rule.
HASHES = 4_096
#: Values that are still counted one by one where not all are.
FREQUENT = 2_000
TOP = 10
QUANTILES = ("0.05", "0.25", "0.5", "0.75", "0.95")
BARS = 12
#: Days that are listed; of more it is months, of more of those years. And days that are held while counting.
DAYS, MONTHS, YEARS = 1_100, 600, 2_000
HELD_DAYS = 100_000
#: Twelve times the range of smaller integers fits into 64 bits.
_SMALL = 1 << 58
#: Digits of a mean: at least so many, and so many behind the last place of integers and decimals.
MEAN_DIGITS, MEAN_PLACES = 15, 2
_EXACT = Context(prec=200)
#: Of floats that Python writes without an exponent.
_PLAIN_FLOATS = range(-4, 16)


def _share(total: int, columns: int, most: int, least: int) -> int:
    return max(least, min(most, total // max(columns, 1)))


class Tally:
    """Counts batches in.

    Args:
        columns: Names and types.
        time: The column whose days are counted, if there is one.
        each: As ``map``; columns know nothing of each other, so that threads may take them.
    """

    def __init__(self, columns: Sequence[Column], time: str | None, each: Each = map) -> None:
        self.rows = 0
        held = _share(HELD_VALUES, len(columns), MOST_HELD, LEAST_HELD)
        self._sample = RowSample(_share(SAMPLED_VALUES, len(columns), MOST_SAMPLED, LEAST_SAMPLED))
        self._columns = [_Column(column, held) for column in columns]
        self._days = _Days(time) if time else None
        self._each = each
        self._figures: list[dict[str, Any]] | None = None

    def add(self, batch: Any) -> None:
        """Takes in a record batch: columns by name, the first of each; one that is not there holds nulls."""
        self._figures = None
        drawn = self._sample.draw(self.rows, len(batch))
        places = {name: place for place, name in reversed([*enumerate(batch.schema.names)])}

        def taken(column: _Column) -> Any:
            place = places.get(column.name)
            array = column.add(batch.column(place) if place is not None else pa.nulls(len(batch)))
            if self._days and column.name == self._days.column:
                self._days.add(array, column.arrow_type)
            return array.take(drawn) if column.is_ordered else None

        for number, sampled in enumerate(self._each(taken, self._columns)):
            if sampled is not None:
                self._sample.put(number, sampled)
        self.rows += len(batch)
        self._sample.shrink()

    def columns(self) -> list[dict[str, Any]]:
        """The figures of each column, without those that have no meaning for its type; made once."""
        if self._figures is None:
            self._figures = [
                column.figures(self._sample.values(number) if column.is_ordered else None, self._sample.whole)
                for number, column in enumerate(self._columns)
            ]
        return self._figures

    def periods(self) -> dict[str, Any] | None:
        """Rows per day, month or year; None if there is no time column, or nothing in it."""
        return self._days.periods() if self._days else None

    def notes(self) -> list[str]:
        """What a person should know of how this was counted."""
        return [
            f"{column.name}: {counted(column.other, 'value')} not of the type {column.type}, counted apart"
            for column in self._columns
            if column.other
        ] + (self._days.notes() if self._days else [])


class _Column:
    """One column: counts, and what is held of its values."""

    def __init__(self, column: Column, held: int) -> None:
        self.name, self.type = column.name, column.type
        self.arrow_type = values.type_named(column.type)
        self.kind = values.kind_of(self.arrow_type)
        self.is_ordered = self.kind in ("integer", "float", "decimal", "time")
        self.nulls = self.other = self.nan = self.infinite = self.counted = self.longest = 0
        self._is_number = self.kind in ("integer", "float", "decimal")
        self._total = Fraction()
        self._least: Any = None
        self._greatest: Any = None
        self._distinct = Distinct(HASHES)
        self._frequent = Frequent(held, min(held, FREQUENT))

    def add(self, array: Any) -> Any:
        """Takes in an array; returns it in the plain form of a column that has an order.

        Each different value is looked at once: they are far fewer than the rows, as a rule.
        """
        if self.kind == "other":
            self.nulls += array.null_count
            return array
        other = 0
        if not (self.kind in ("text", "binary") and values.is_plain_text(array.type)):
            array, other = values.fitted(array, self.arrow_type)
            array = values.plain(array)
        self.other += other
        self.nulls += array.null_count - other
        found, rows = different(array)
        if self.kind == "float":
            found, rows = self._finite(found, rows)
        if len(found):
            self._count(found, rows)
        return array

    def _finite(self, found: Any, rows: Any) -> tuple[Any, Any]:
        """Without NaN and infinities, which are counted; -0 is 0."""
        numbers = found.to_numpy()
        nan, infinite = np.isnan(numbers), np.isinf(numbers)
        self.nan += int(rows[nan].sum())
        self.infinite += int(rows[infinite].sum())
        finite = ~(nan | infinite)
        numbers, rows = numbers[finite] + numbers.dtype.type(0), rows[finite]
        found = as_arrow(numbers)
        return merged(found, rows) if np.count_nonzero(numbers == 0) > 1 else (found, rows)

    def _count(self, found: Any, rows: Any) -> None:
        self.counted += int(rows.sum())
        if self._is_number:
            self._total += exact_sum(found, rows)
        if self.kind in ("text", "binary"):
            found, rows = self._measured(found, rows)
        self._frequent.add(found, rows)
        if self.kind != "boolean":
            self._distinct.add(hashes(found))
        if self.kind not in ("binary", "boolean"):
            ends = pc.min_max(found).as_py()
            self._least = ends["min"] if self._least is None else min(self._least, ends["min"])
            self._greatest = ends["max"] if self._greatest is None else max(self._greatest, ends["max"])

    def _measured(self, found: Any, rows: Any) -> tuple[Any, Any]:
        """Text of which long values are cut, after their length was seen."""
        found = values.decoded(found)
        as_bytes = self.kind == "binary" or values.is_ascii(found)
        if not as_bytes:
            readable = values.valid(found)
            if readable is not found:  # what is not UTF-8 can be the same once it is replaced
                found, rows = merged(readable, rows)
        longest = pc.max(pc.binary_length(found) if as_bytes else pc.utf8_length(found)).as_py()
        self.longest = max(self.longest, longest)
        return (found if as_bytes and longest <= values.HELD_TEXT_BYTES else values.held(found)), rows

    def figures(self, sampled: Any, whole: bool) -> dict[str, Any]:
        """The column's part of the profile."""
        figures: dict[str, Any] = {"name": self.name}
        if self.type is not None:
            figures["type"] = self.type
        figures["nulls"] = self.nulls
        if self.kind != "other":
            figures |= self._range_figures() | self._value_figures(sampled, whole)
        apart = {"nan": self.nan, "infinite": self.infinite, "other": self.other}
        return figures | {name: count for name, count in apart.items() if count}

    def _range_figures(self) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        if self._least is not None:
            figures["min"] = values.text_of(self._least, self.arrow_type)
            figures["max"] = values.text_of(self._greatest, self.arrow_type)
        if self._is_number and self.counted:
            figures["mean"] = self._mean(Decimal(figures["min"]), Decimal(figures["max"]))
        if self.kind in ("text", "binary") and self.counted:
            figures["longest"] = self.longest
        return figures

    def _mean(self, least: Decimal, greatest: Decimal) -> str:
        """Within what the profile says of the range: floats' ends are written as the shortest text that is them."""
        exact = self._total / self.counted
        if self.kind == "float":
            return _plain(min(max(_rounded(exact, MEAN_DIGITS), least), greatest), _PLAIN_FLOATS)
        places = max(getattr(self.arrow_type, "scale", 0), 0)
        digits = len(str(abs(int(exact)))) + places + MEAN_PLACES
        return _plain(_rounded(exact, max(digits, MEAN_DIGITS)))

    def _value_figures(self, sampled: Any, whole: bool) -> dict[str, Any]:
        """Distinct, top, quantiles and histogram, and which of them are approximate."""
        frequent = self._frequent
        figures: dict[str, Any] = {
            "distinct": len(frequent) if frequent.exact else min(self._distinct.estimate(), self.counted)
        }
        approximate = [] if frequent.exact else ["distinct"]
        if top := self._top():
            figures["top"] = top
            approximate += [] if frequent.exact else ["top"]
        if self.is_ordered and self.counted:
            ordered, rows = frequent.in_order() if frequent.exact else _sample_rows(self._sampled(sampled))
            figures["quantiles"] = {
                share: values.text_of(_as_python(ordered[place]), self.arrow_type)
                for share, place in _quantiles(rows)
            }
            figures["histogram"] = _histogram(ordered, rows, self._least, self._greatest)
            approximate += [] if frequent.exact or whole else ["quantiles", "histogram"]
        return figures | ({"approximate": approximate} if approximate else {})

    def _sampled(self, sampled: Any) -> Any:
        present = sampled.drop_null()
        return present.filter(pc.is_finite(present)) if self.kind == "float" else present

    def _top(self) -> list[dict[str, Any]]:
        """The values with the most rows; none where no value has more than one, and none of bytes."""
        if self.kind == "binary":
            return []
        shown = [(values.text_of(one, self.arrow_type), rows) for one, rows in self._frequent.most(TOP)]
        ranked = sorted(shown, key=lambda pair: (-pair[1], pair[0]))[:TOP]
        return [Top(value=value, rows=rows).to_dict() for value, rows in ranked]


def _rounded(exact: Fraction, digits: int) -> Decimal:
    return Context(digits, ROUND_HALF_EVEN).divide(Decimal(exact.numerator), Decimal(exact.denominator))


def _plain(number: Decimal, exponents: range | None = None) -> str:
    """As decimal text without zeros at its end; outside of ``exponents`` as Python writes floats (``1e-05``)."""
    digits = f"{number:f}"
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    if exponents is None or not number or number.adjusted() in exponents:
        return "0" if digits == "-0" else digits
    sign, figures, _ = number.normalize(_EXACT).as_tuple()
    first, rest = figures[0], "".join(map(str, figures[1:]))
    return f"{'-' * sign}{first}{'.' * bool(rest)}{rest}e{number.adjusted():+03d}"


def _as_python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _by_value(found: Mapping[Any, int]) -> tuple[list[Any], Any]:
    """The values in order, and the rows of each (numpy, int64)."""
    ordered = sorted(found)
    return ordered, np.array([found[one] for one in ordered], np.int64)


def _sample_rows(sampled: Any) -> tuple[Any, Any]:
    """The same of a plain array without nulls, NaN and infinities; the values as numpy's, but for decimals."""
    if kinds.is_decimal(sampled.type):
        return _by_value(Counter(sampled.to_pylist()))
    found, rows = np.unique(sampled.to_numpy(zero_copy_only=False), return_counts=True)
    if found.dtype.kind == "f":
        found = found + found.dtype.type(0)  # -0 is 0
    return found, rows


def _quantiles(rows: Any) -> Iterator[tuple[str, int]]:
    """For each share q of n rows, the place of the smallest value that at least q·n rows do not exceed."""
    seen = np.cumsum(rows)
    for share in QUANTILES:
        yield share, int(np.searchsorted(seen, math.ceil(Fraction(share) * int(seen[-1]))))


def _histogram(ordered: Any, rows: Any, least: Any, greatest: Any) -> list[int]:
    """Rows in equal steps of the range, the last with its end."""
    part: Any = _scale(max(-least, greatest)) if isinstance(least, float) else 1
    with localcontext(_EXACT):
        low, width = least * part, greatest * part - least * part
        if isinstance(least, float) or (isinstance(least, int) and max(-least, greatest) < _SMALL):
            # numpy divides as Python does, and nothing of it leaves 64 bits.
            numbers = ordered.astype(np.float64 if isinstance(least, float) else np.int64)
            steps = (numbers * part - low) * BARS // width if width else np.zeros(len(ordered))
        else:
            each = ordered if isinstance(ordered, list) else ordered.tolist()
            steps = np.array([int((one * part - low) * BARS // width) if width else 0 for one in each])
    bars = np.bincount(np.minimum(steps.astype(np.int64), BARS - 1), weights=rows, minlength=BARS)
    return [int(one) for one in bars]


def _scale(greatest: float) -> float:
    """A power of two: times it, no step of a range up to ``greatest`` is lost, nor are twelve such infinite."""
    return 2.0**-8 if greatest > 1 else 2.0**512


class _Days:
    """Rows per day of the time column; once too many days differ, per month, then per year."""

    def __init__(self, column: str) -> None:
        self.column = column
        self._unit = "D"
        self._rows: Counter[int] = Counter()
        self._gave_up = False

    def add(self, array: Any, arrow_type: Any) -> None:
        """Takes in the column's plain array."""
        numbers = array.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)
        days = values.day_numbers(numbers, arrow_type).astype("datetime64[D]")
        found, counts = np.unique(
            days.astype(f"datetime64[{self._unit}]").astype(np.int64), return_counts=True
        )
        for period, rows in zip(found.tolist(), counts.tolist(), strict=True):
            self._rows[period] += rows
        if len(self._rows) > HELD_DAYS:
            self._coarsen()

    def _coarsen(self) -> None:
        """The next longer period; after years comes nothing, and no more than those are held."""
        coarser = {"D": "M", "M": "Y", "Y": "Y"}[self._unit]
        if self._unit == "Y":
            self._gave_up, self._rows = True, Counter()
            return
        periods = np.array([*self._rows], f"datetime64[{self._unit}]").astype(f"datetime64[{coarser}]")
        merged: Counter[int] = Counter()
        for period, rows in zip(periods.astype(np.int64).tolist(), self._rows.values(), strict=True):
            merged[period] += rows
        self._unit, self._rows = coarser, merged

    def periods(self) -> dict[str, Any] | None:
        """The periods that have rows, in order."""
        for unit, most in (("D", DAYS), ("M", MONTHS), ("Y", YEARS)):
            if self._unit == unit and len(self._rows) > most:
                self._coarsen()
        if not self._rows or self._gave_up:
            return None
        per = {"D": "day", "M": "month", "Y": "year"}[self._unit]
        names = np.array([*self._rows], f"datetime64[{self._unit}]")
        rows = dict(sorted(zip(map(str, names), self._rows.values(), strict=True)))
        return Periods.model_validate({"column": self.column, "per": per, "rows": rows}).to_dict()

    def notes(self) -> list[str]:
        """Why it is not days, if it is not."""
        if self._gave_up:
            return [f"rows per day are not counted: {self.column} holds more than {YEARS:,} different years"]
        if self._unit == "D":
            return []
        per = "month" if self._unit == "M" else "year"
        return [f"{self.column} has rows on more than {DAYS:,} days: they are counted per {per}"]
