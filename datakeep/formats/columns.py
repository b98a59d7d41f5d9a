"""Python's values as Arrow's columns, without ``pyarrow.array`` or ``scalar``.

Those load pandas wherever it is installed, only to find out that they were not given one of its objects; that takes
longer than all that Arrow does here.
"""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_TEXT_BYTES = (1 << 31) - 1


def texts(values: Sequence[str]) -> pa.Array:
    """``values`` as a column of strings.

    Raises:
        UnicodeEncodeError: One cannot be written as UTF-8.
    """
    data = "".join(values).encode("utf-8")
    if len(data) > _MAX_TEXT_BYTES:  # more than a column's offsets reach; Arrow splits it
        return pa.array(values, pa.string())
    is_ascii = len(data) == sum(map(len, values))
    lengths = map(len, values) if is_ascii else (len(value.encode("utf-8")) for value in values)
    offsets = array("i", accumulate(lengths, initial=0))
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def texts_or_null(values: Sequence[str | None]) -> pa.Array:
    """As :func:`texts`, where None is null."""
    if "" in values:
        return pa.array(values, pa.string())
    plain = texts([value or "" for value in values])
    return pc.if_else(pc.not_equal(plain, texts([""])[0]), plain, pa.nulls(1, pa.string())[0])


def integer(value: int) -> pa.Scalar:
    """``value`` as a scalar of 64 bits, to compare a column with."""
    return integers([value])[0]


def integers(values: Sequence[int], kind: pa.DataType | None = None) -> pa.Array:
    """``values`` as a column of 64 bits, signed unless ``kind`` is ``uint64``.

    Raises:
        OverflowError: One does not fit.
    """
    kind = kind or pa.int64()
    held = array("Q" if kind == pa.uint64() else "q", values)
    return pa.Array.from_buffers(kind, len(held), [None, pa.py_buffer(held.tobytes())])


def fixed(data: bytes | bytearray, count: int, size_bytes: int) -> pa.Array:
    """``count`` values of ``size_bytes`` each, one after the other in ``data``, as a column."""
    return pa.Array.from_buffers(pa.binary(size_bytes), count, [None, pa.py_buffer(data)])


def joined(column: pa.ChunkedArray) -> bytes:
    """The values of a column of fixed size without nulls, one after the other."""
    width = column.type.byte_width
    parts = []
    for chunk in column.chunks:
        data = chunk.buffers()[1]
        parts.append(
            b"" if data is None else data.slice(chunk.offset * width, len(chunk) * width).to_pybytes()
        )
    return b"".join(parts)
