"""From what a driver hands over to what is kept: every value the same, or an error that names it.

A :class:`Rule` says for one column what it becomes. Nothing is rounded, wrapped or shortened on the way: a value that
has no equal in the type that is kept ends the extraction with its column, row and value, and with the way out.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from datakeep.core.literals import day_literal
from datakeep.extract.sql.faults import NotExact
from datakeep.extract.sql.refusals import shown_value

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Days from 1970-01-01 of the first and last day that Python, and most readers, can show: years 1 and 9999.
_FIRST_DAY, _LAST_DAY = -719162, 2932896
#: The first day that PostgreSQL has, in 4714 BC.
_EARLIEST_DAY = -2440588
_DAY_US = 86_400_000_000
#: What PostgreSQL calls infinity, as its driver hands it over: the extremes, moved from 2000 to 1970 and wrapped.
_MOVED_DAYS, _MOVED_US = 10957, 946_684_800_000_000
#: The digits that every number of so many digits has room for.
_DIGITS_128, _DIGITS_256 = 38, 76


@dataclass(frozen=True, slots=True)
class Rule:
    """What one column becomes.

    Attributes:
        name: Of the column.
        target: The Arrow type that is kept.
        unsure_text: Whether its text may be no UTF-8, as in a database that does not check it.
        told: Whether the user has said which decimal it is to be.
    """

    name: str
    target: Any
    unsure_text: bool = False
    told: bool = False


def exact(array: Any, rule: Rule, first_row: int) -> Any:
    """``array`` as ``rule`` wants it, every value the same.

    Args:
        array: A column of one batch, as the driver gave it.
        rule: What it becomes.
        first_row: The number of its first row, from 1.

    Raises:
        NotExact: A value has no equal in the kept type; names column, row and value.
    """
    return _Column(rule, first_row).converted(_plain(array), rule.target, ())


def refusal(rule: Rule, row: int, value: str, why: str) -> NotExact:
    """The error for one value."""
    return NotExact(
        f"column {rule.name}, row {row}: {shown_value(value)} {why}",
        next_step=f"keep the column as text: --as-text {rule.name}; or change or leave out the value in the query",
    ).for_columns(rule.name)


@dataclass(frozen=True, slots=True)
class _Column:
    rule: Rule
    first_row: int

    def converted(self, array: Any, target: Any, lists: tuple[Any, ...]) -> Any:
        """``array`` in ``target``; ``lists`` are the list arrays around it, the outermost first."""
        import pyarrow.types as kinds

        if kinds.is_list(target):
            return self._list(array, target, lists)
        if kinds.is_decimal(target):
            return self._decimal(array, target, lists)
        self._check(array, target, lists)
        return array if array.type == target else array.cast(target)

    def _check(self, array: Any, target: Any, lists: tuple[Any, ...]) -> None:
        import pyarrow.types as kinds

        if kinds.is_date32(target):
            self._within(array, "int32", _FIRST_DAY, _LAST_DAY, lists)
        elif kinds.is_timestamp(target):
            self._within(array, "int64", _FIRST_DAY * _DAY_US, (_LAST_DAY + 1) * _DAY_US - 1, lists)
        elif kinds.is_time64(target):
            self._within(array, "int64", 0, _DAY_US - 1, lists)
        elif self.rule.unsure_text and kinds.is_string(target):
            self._text(array, lists)

    def _list(self, array: Any, target: Any, lists: tuple[Any, ...]) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        offsets = array.offsets
        first = offsets[0].as_py()
        values = _plain(array.values.slice(first, offsets[-1].as_py() - first))
        kept = self.converted(values, target.value_type, (*lists, array))
        if kept is values and array.type == target:
            return array
        mask = array.is_null() if array.null_count else None
        return pa.ListArray.from_arrays(pc.subtract(offsets, first), kept, type=target, mask=mask)

    def _decimal(self, array: Any, target: Any, lists: tuple[Any, ...]) -> Any:
        import pyarrow as pa

        if _has_room(array, target.scale, _DIGITS_128 if target.bit_width == 128 else _DIGITS_256):
            try:
                return array.cast(target)
            except pa.ArrowInvalid as error:
                cause: pa.ArrowInvalid | None = error
        else:  # Arrow's cast wraps round, without an error
            cause = None
        kept = []
        for index, value in enumerate(array.to_pylist()):
            number = None if value is None else _decimal_of(value, target)
            if value is not None and number is None:
                raise _no_decimal(self.rule, self._row(index, lists), value, target) from cause
            kept.append(number)
        return pa.array(kept, target)

    def _within(self, array: Any, width: str, least: int, most: int, lists: tuple[Any, ...]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        numbers = array.view(pa.type_for_alias(width))
        ends = pc.min_max(numbers)
        low, high = ends["min"].as_py(), ends["max"].as_py()
        if low is None or (low >= least and high <= most):
            return
        for index, number in enumerate(numbers.to_pylist()):
            if number is not None and not least <= number <= most:
                shown, why = _beyond(array.type, number)
                raise refusal(self.rule, self._row(index, lists), shown, why)

    def _text(self, array: Any, lists: tuple[Any, ...]) -> None:
        import pyarrow as pa

        try:
            array.validate(full=True)
        except pa.ArrowInvalid:
            for index, value in enumerate(array.view(pa.binary()).to_pylist()):
                try:
                    (value or b"").decode()
                except UnicodeDecodeError:
                    shown = value.decode(errors="backslashreplace")
                    name = self.rule.name
                    raise NotExact(
                        f"column {name}, row {self._row(index, lists)}: {shown_value(shown)} is no UTF-8, and the "
                        "database does not say which encoding it is",
                        next_step=f"take its bytes: convert_to({name}, 'SQL_ASCII') AS {name}; or leave out the row",
                    ) from None
            raise

    def _row(self, index: int, lists: Sequence[Any]) -> int:
        """The number of the row that holds the value at ``index`` of the innermost array."""
        for around in reversed(lists):
            first, *ends = around.offsets.to_pylist()
            index = next(at for at, end in enumerate(ends) if index + first < end)
        return self.first_row + index


def _plain(array: Any) -> Any:
    """Without Arrow's extension types, which not every reader knows."""
    import pyarrow as pa

    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _has_room(array: Any, scale: int, digits: int) -> bool:
    """Whether Arrow's integer of so many digits holds each number of ``array``, as it is written and with ``scale``.

    A cast of 35000 to decimal128(37, 34) multiplies by 10³⁴, which has 39 digits, before it looks whether it fits.
    """
    import pyarrow.compute as pc

    def longest(pattern: str | None) -> int:
        kept = (
            array if pattern is None else pc.replace_substring_regex(array, pattern=pattern, replacement="")
        )
        return pc.max(pc.binary_length(kept)).as_py() or 0

    if longest(None) + scale <= digits:
        return True
    return longest("[-.]") <= digits and longest(r"^-?0*|\..*$") + scale <= digits


def _no_decimal(rule: Rule, row: int, value: str, target: Any) -> NotExact:
    """The error for a number that ``target`` has no room for, with the digits that it needs."""
    fault = refusal(rule, row, value, f"is no decimal({target.precision}, {target.scale})")
    needed = _digits_for(value, target)
    if needed is None or not rule.told:
        return fault
    return NotExact(
        fault.what,
        next_step=f"give it more digits: --decimal {rule.name}={needed[0]},{needed[1]} holds this value; or keep the "
        f"column as text: --as-text {rule.name}",
    ).for_columns(rule.name)


def _finite(value: str) -> Decimal | None:
    """The number that ``value`` writes; None of no number, NaN and infinities."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _digits_for(value: str, target: Any) -> tuple[int, int] | None:
    """Precision and scale that hold ``value`` and all that ``target`` does; None if Arrow has no such decimal."""
    number = _finite(value)
    if number is None:
        return None
    _, digits, exponent = number.as_tuple()
    scale = max(target.scale, -int(exponent))
    whole = max(target.precision - target.scale, len(digits) + int(exponent))
    return (whole + scale, scale) if whole + scale <= _DIGITS_256 else None


def _decimal_of(value: str, target: Any) -> Decimal | None:
    """The number that ``value`` writes, if ``target`` has it."""
    number = _finite(value)
    if number is None:
        return None
    sign, digits, exponent = number.as_tuple()
    significant = "".join(map(str, digits)).strip("0")
    if not significant:
        return Decimal(0)
    last = int(exponent) + len(digits) - len("".join(map(str, digits)).rstrip("0"))
    if -last > target.scale or len(significant) + last > target.precision - target.scale:
        return None
    return Decimal((sign, tuple(map(int, significant)), last))


def _beyond(kind: Any, number: int) -> tuple[str, str]:
    """How a database writes a date or time outside of what is kept, and what is wrong with it."""
    import pyarrow.types as kinds

    if kinds.is_time64(kind):
        return "24:00:00", "is no time of day that Arrow has"
    unit, moved, bits = (1, _MOVED_DAYS, 32) if kinds.is_date32(kind) else (_DAY_US, _MOVED_US, 64)
    highest = 2 ** (bits - 1) - 1
    if number in (highest, highest + moved - 2**bits):
        return "infinity", "has no equal in Arrow"
    if number in (-highest - 1, -highest - 1 + moved):
        return "-infinity", "has no equal in Arrow"
    if number // unit < _EARLIEST_DAY:  # what PostgreSQL cannot have is what the driver wrapped round
        number += 2**bits
    return day_literal(number // unit), "lies outside the years 1 to 9999, which not every reader can show"
