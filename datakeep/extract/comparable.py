"""Arrow's arrays in a form in which equal means equal: NaN to NaN, an instant to the same instant in another zone.

A database that compares for us must not bring rules of its own, so it gets only what it cannot misread: floats as the
integer of their bits, moments, days and times as integers, text and bytes as they are, lists and structs of these.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from datakeep.extract.readable import readable_text
from datakeep.extract.values import decoded, kind_of, plain, text_of

_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_NAN = {32: 0x7FC00000, 64: 0x7FF8000000000000}
_INTEGERS = {32: pa.int32(), 64: pa.int64()}


def comparable(array: Any) -> Any:
    """The array, so that two values of one type are equal if and only if their comparable values are.

    -0 is not 0, as its bytes are others. Two decimals of one type have one scale; text is equal if its bytes are.
    """
    array = decoded(array)
    if kinds.is_struct(array.type):
        return _struct(array)
    if kinds.is_map(array.type):
        return _map(array)
    if _is_list(array.type):
        return _list(array)
    if kinds.is_null(array.type):
        return array.cast(pa.bool_())
    array = plain(array)
    if kinds.is_floating(array.type):
        return _bits(array)
    if kinds.is_decimal256(array.type) or kinds.is_interval(array.type):
        return as_text(array)
    return _raw(array)


def _raw(array: Any) -> Any:
    """Text as its bytes: some programs write what is not UTF-8 into a column of text."""
    return array.cast(pa.large_binary()) if kinds.is_large_string(array.type) else array


def as_text(array: Any) -> Any:
    """Each value as the bytes of its exact text, where the types of the two sides differ: ``1.50`` is not ``1.5``."""
    array = decoded(array)
    arrow_type = array.type
    kind = kind_of(arrow_type)
    if kind == "text":
        return _raw(array)
    if kind == "binary":
        return _texts([None if one is None else one.hex() for one in array.to_pylist()])
    if kind == "other":
        if kinds.is_interval(arrow_type):
            return _texts([None if one is None else str(one) for one in array.to_pylist()])
        parts = comparable(array).to_pylist()
        return _texts([None if one is None else readable_text(one, arrow_type) for one in parts])
    # Each different value is written once.
    encoded = plain(array).dictionary_encode()
    written = _texts([text_of(value, arrow_type) for value in encoded.dictionary.to_pylist()])
    return written.take(encoded.indices)


def _texts(values: list[str | None]) -> Any:
    return _raw(pa.array(values, pa.large_string()))


def as_number(array: Any) -> Any:
    """Decimals of any scale, integers and floats as the bytes of their number: ``1.50`` is ``1.5`` is 1.5.

    Of a float that is the shortest decimal that stands for it, as databases write it where it becomes a decimal.
    """
    texts = as_text(array).cast(pa.large_string())
    if kinds.is_floating(array.type):
        encoded = texts.dictionary_encode()
        written = pa.array(map(_without_exponent, encoded.dictionary.to_pylist()), pa.large_string())
        texts = written.take(encoded.indices)
    return _raw(pc.replace_substring_regex(texts, r"\.0+$|(\.[0-9]*[1-9])0+$", r"\1"))


def as_float(array: Any) -> Any:
    """Floats of any width as the bytes of their text: a double that is a narrower float's number has that one's.

    So ``real`` 0.1 is the double that it became, 0.10000000149011612, and 0.1 as well.
    """
    if array.type.bit_width < 64:
        return as_text(array)
    array = plain(decoded(array))
    narrow = array.cast(pa.float32(), safe=False)
    is_exact = pc.fill_null(pc.equal(narrow.cast(pa.float64()), array), False)
    return pc.if_else(is_exact, as_text(narrow), as_text(array))


def _without_exponent(text: str) -> str:
    number = Decimal(text)
    return f"{number or abs(number):f}" if number.is_finite() else text


def as_instant(array: Any) -> Any:
    """Moments as nanoseconds since 1970, of any unit and zone; none is too far for that."""
    array = decoded(array)
    if not kinds.is_timestamp(array.type):
        return array.cast(pa.decimal128(38, 0))
    counts = plain(array).cast(pa.decimal128(19, 0))
    factor = pa.scalar(Decimal(_NANOSECONDS[array.type.unit]), pa.decimal128(10, 0))
    return pc.multiply(counts, factor).cast(pa.decimal128(38, 0))


def _bits(array: Any) -> Any:
    """A float's bits as an integer, of one NaN."""
    bits = array.type.bit_width
    integers = array.view(_INTEGERS[bits])
    return pc.if_else(pc.is_nan(array), pa.scalar(_NAN[bits], _INTEGERS[bits]), integers)


def _is_list(arrow_type: Any) -> bool:
    return bool(
        kinds.is_list(arrow_type)
        or kinds.is_large_list(arrow_type)
        or kinds.is_fixed_size_list(arrow_type)
        or kinds.is_list_view(arrow_type)
        or kinds.is_large_list_view(arrow_type)
    )


def _struct(array: Any) -> Any:
    names = [array.type.field(place).name for place in range(array.type.num_fields)]
    # A struct without fields has nothing to differ in but whether it is there.
    if not names:
        return array.is_valid()
    parts = [comparable(part) for part in array.flatten()]
    return pa.StructArray.from_arrays(parts, names=names, mask=array.is_null())


def _list(array: Any) -> Any:
    """A list in which the items are comparable, whatever it was a part of."""
    lengths = pc.fill_null(pc.list_value_length(array).cast(pa.int64()), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])
    return pa.LargeListArray.from_arrays(offsets, comparable(array.flatten()), mask=array.is_null())


def _map(array: Any) -> Any:
    """A map as the list of its pairs, in their order."""
    array = array.take(pa.array(range(len(array)), pa.int64()))
    pairs = pa.StructArray.from_arrays(
        [comparable(array.keys), comparable(array.items)], names=["key", "value"]
    )
    return pa.LargeListArray.from_arrays(array.offsets.cast(pa.int64()), pairs, mask=array.is_null())
