"""Which values of an Arrow array are the ones that are looked for."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from datakeep.extract.typed import Sought

_ONE_BY_ONE = 8
#: A text that a database wrote for a number; nobody writes longer ones.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,5})?")
_LONGEST = 200_000


def numbers_of(values: Iterable[str]) -> frozenset[Decimal]:
    """The numbers among these texts."""
    return frozenset(found for text in values if (found := _number(text)) is not None)


def _number(text: str) -> Decimal | None:
    plain = text.strip()
    return Decimal(plain) if len(plain) < _LONGEST and _NUMBER.fullmatch(plain) else None


def says(array: Any, texts: Collection[str], numbers: Collection[Decimal]) -> Any:
    """True for each text that is one of ``texts``, or says one of ``numbers`` in another form: 1.50 is 1.5.

    Args:
        array: Of texts, or a dictionary of them.
        texts: As they stand.
        numbers: Exactly.
    """
    held = array if kinds.is_dictionary(array.type) else array.dictionary_encode()
    same = [
        one is not None and (one in texts or _number(one) in numbers) for one in held.dictionary.to_pylist()
    ]
    return pc.fill_null(pa.array(same, pa.bool_()).take(held.indices), False)


def scalars_of(sought: Sought) -> list[Any]:
    """The values as Arrow's; one that the type cannot hold is none of the column's either."""
    found = []
    for value in sought.values:
        try:
            found.append(pa.scalar(value, sought.type))
        except (pa.ArrowException, OverflowError, ValueError):
            continue
    return found


def matches(array: Any, scalars: list[Any]) -> Any:
    """True for each value that is one of ``scalars``; a missing value is none of them.

    A dictionary's values are compared once each, and never written out: a small file may stand for more of them
    than any memory holds.
    """
    if isinstance(array, pa.ExtensionArray):
        return matches(array.storage, scalars)
    if kinds.is_dictionary(array.type):
        inner = matches(array.dictionary, scalars)
        return pc.fill_null(inner.take(array.indices), False)
    if kinds.is_run_end_encoded(array.type):
        return matches(pc.run_end_decode(array), scalars)
    if not scalars:
        return pa.array([False], pa.bool_()).take(pa.array([0] * len(array), pa.int64()))
    target = scalars[0].type
    array = array if array.type == target else array.cast(target)
    if kinds.is_float16(target):  # which Arrow does not compare
        array, scalars = array.cast(pa.float32()), [one.cast(pa.float32()) for one in scalars]
    if len(scalars) > _ONE_BY_ONE and not kinds.is_floating(target):
        return pc.is_in(array, value_set=pa.array(scalars, target))
    found = None
    for one in scalars:
        same = pc.fill_null(pc.equal(array, one), False)
        found = same if found is None else pc.or_(found, same)
    return found
