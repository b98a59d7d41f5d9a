"""Figures of a column in one pass and bounded memory, the same for the same values whatever their order.

===============  ================================================================  ==============================
figure           while few values differ                                           once more differ
===============  ================================================================  ==============================
distinct         a table of all values                                             the k smallest hashes [1]_
top values       the same table                                                    frequent items (``frequent``)
quantiles        the same table                                                    a sample of rows [2]_
sums             exact, as integers                                                exact, as integers
===============  ================================================================  ==============================

.. [1] Bar-Yossef et al., "Counting distinct elements in a data stream" (2002). Off by 1/√k as a rule.
.. [2] The rows whose numbers have the smallest hashes: a sample without replacement that depends on nothing but how
   many rows there are. A quantile's rank is off by 1/√k at most, as a rule.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as kinds

from datakeep.extract.values import raw_bytes

_SEED = np.uint64(0x9E3779B97F4A7C15)
_BYTE_BASE = 0x100000001B3
_SPACE = 1 << 64
#: Integers whose range is less than so many times their number are dense.
_DENSE = 8


def mixed(words: Any) -> Any:
    """Each 64-bit word hashed by itself: splitmix64 (Steele et al., 2014), which maps no two words to one."""
    words = words.astype(np.uint64, copy=True)
    with np.errstate(over="ignore"):  # in place: new memory for each step takes as long as the step
        words += _SEED
        words ^= words >> np.uint64(30)
        words *= np.uint64(0xBF58476D1CE4E5B9)
        words ^= words >> np.uint64(27)
        words *= np.uint64(0x94D049BB133111EB)
        words ^= words >> np.uint64(31)
    return words


def hashes(array: Any) -> Any:
    """A 64-bit hash of each value of a plain array without nulls, as numpy's uint64."""
    if kinds.is_large_string(array.type) or kinds.is_large_binary(array.type):
        return _text_hashes(array)
    if kinds.is_decimal(array.type):
        found = np.zeros(len(array), np.uint64)
        for word in _words(array):
            found = mixed(found ^ word)
        return found
    values = array.to_numpy(zero_copy_only=False)
    if kinds.is_floating(array.type):
        return mixed(values.astype(np.float64).view(np.uint64))
    return mixed(values.astype(np.uint64))


def _text_hashes(array: Any) -> Any:
    """A polynomial of the bytes, mixed; both arithmetics are modulo 2⁶⁴."""
    if not len(array):
        return np.empty(0, np.uint64)
    raw, offsets = raw_bytes(array)
    first, lengths = int(offsets[0]), np.diff(offsets)
    longest = int(lengths.max())
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.concatenate(([1], np.full(longest, _BYTE_BASE))).astype(np.uint64))
        places = np.arange(len(raw)) - np.repeat(offsets[:-1] - first, lengths)
        terms = mixed(raw) * powers[places]
        # reduceat has no empty sums: a running sum has them.
        running = np.concatenate((np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)))
        sums = running[offsets[1:] - first] - running[offsets[:-1] - first]
    return mixed(mixed(sums) ^ lengths.astype(np.uint64))


def as_arrow(numbers: Any) -> Any:
    """Numbers or booleans of numpy as an Arrow array, without numpy's masked arrays, which Arrow's own way loads."""
    held = np.packbits(numbers, bitorder="little") if numbers.dtype == np.bool_ else numbers
    kind = pa.from_numpy_dtype(numbers.dtype)
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(held)])


def different(array: Any) -> tuple[Any, Any]:
    """The different values of a plain array but null (Arrow), and the rows of each (numpy, int64); in no order."""
    if kinds.is_boolean(array.type):
        both = np.array([array.false_count, array.true_count], np.int64)
        return as_arrow(np.array([False, True])[both > 0]), both[both > 0]
    if kinds.is_integer(array.type):
        array = array.drop_null()
        if len(array) > 1 and (found := _different_integers(array)):
            return found
    counts = array.value_counts()
    found, rows = counts.field(0), counts.field(1).to_numpy()
    if found.null_count:
        there = found.is_valid()
        return found.filter(there), rows[there.to_numpy(zero_copy_only=False)]
    return found, rows


def _different_integers(array: Any) -> tuple[Any, Any] | None:
    """The same of integers as keys and counts mostly are; None of others, for which a hash table is the way.

    Those are increasing ones, which all differ, and dense ones, which are counted in a table of their range.
    """
    numbers = array.to_numpy()
    if (numbers[1:] > numbers[:-1]).all():
        return array, np.ones(len(numbers), np.int64)
    least, greatest = int(numbers.min()), int(numbers.max())
    if greatest - least >= _DENSE * len(numbers):
        return None
    wide = np.uint64 if numbers.dtype == np.uint64 else np.int64
    rows = np.bincount(np.subtract(numbers, wide(least), dtype=wide).view(np.int64))
    there = np.nonzero(rows)[0]
    return as_arrow((there.astype(wide) + wide(least)).astype(numbers.dtype)), rows[there]


def merged(values: Any, rows: Any) -> tuple[Any, Any]:
    """Values (Arrow) of which some may be the same, and the rows of each (numpy, int64): each value once."""
    encoded = values.dictionary_encode()
    # Floats hold any number of rows exactly that there can be.
    summed = np.bincount(encoded.indices.to_numpy(), weights=rows, minlength=len(encoded.dictionary))
    return encoded.dictionary, summed.astype(np.int64)


class Distinct:
    """How many different hashes there were, from the ``size`` smallest of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._smallest = np.empty(0, np.uint64)

    def add(self, found: Any) -> None:
        """Takes in hashes, each any number of times."""
        if len(self._smallest) == self._size:
            found = found[found < self._smallest[-1]]
        if len(found):
            merged = np.sort(np.concatenate((self._smallest, found)))
            first = np.concatenate(([True], merged[1:] != merged[:-1]))
            self._smallest = merged[first][: self._size]

    def estimate(self) -> int:
        """How many; exact below ``size``."""
        if len(self._smallest) < self._size:
            return len(self._smallest)
        return (self._size - 1) * _SPACE // (int(self._smallest[-1]) + 1)


class RowSample:
    """Rows drawn by the hash of their number, the same for each column; at most ``2 * size`` are held.

    Args:
        size: How many rows it comes down to.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._hashes = np.empty(0, np.uint64)
        self._limit = _SPACE - 1
        self._values: dict[int, list[Any]] = {}

    @property
    def whole(self) -> bool:
        """Whether it holds every row that there was."""
        return self._limit == _SPACE - 1

    def draw(self, first: int, rows: int) -> Any:
        """Which of the rows from number ``first`` on are in the sample, by their place (Arrow, int64)."""
        found = mixed(np.arange(first, first + rows, dtype=np.uint64))
        places = np.nonzero(found <= np.uint64(self._limit))[0]
        self._hashes = np.concatenate((self._hashes, found[places]))
        return as_arrow(places)

    def put(self, column: int, values: Any) -> None:
        """The values of a column in the rows that were last drawn."""
        self._values.setdefault(column, []).append(values)

    def shrink(self) -> None:
        """After each batch: comes down to the smallest hashes, if there are too many."""
        if len(self._hashes) <= 2 * self._size:
            return
        self._limit = int(np.partition(self._hashes, self._size - 1)[self._size - 1])
        kept = np.flatnonzero(self._hashes <= np.uint64(self._limit))
        self._hashes = self._hashes[kept]
        places = as_arrow(kept)  # faster than a mask: three times where a third is kept
        for column, parts in self._values.items():
            self._values[column] = [pa.concat_arrays(parts).take(places)]

    def values(self, column: int) -> Any:
        """What is held of a column, nulls included; None if nothing was put."""
        parts = self._values.get(column)
        return pa.concat_arrays(parts) if parts else None


def exact_sum(array: Any, rows: Any) -> Fraction:
    """The sum of numbers, each times its rows; not rounded.

    Args:
        array: Plain, without nulls, NaN and infinities.
        rows: Of each (numpy, int64); less than 2³¹ together, and less than 2²⁶ of floats.
    """
    if kinds.is_decimal(array.type):
        *low, high = _words(array)
        total: int = sum(_integer_sum(word, rows) << (64 * place) for place, word in enumerate(low))
        total += _integer_sum(high.view(np.int64), rows) << (64 * len(low))
        return Fraction(total) * Fraction(1, 10) ** int(array.type.scale)
    values = array.to_numpy(zero_copy_only=False)
    if kinds.is_floating(array.type):
        return _float_sum(values.astype(np.float64), rows)
    return Fraction(_integer_sum(values.astype(np.uint64 if values.dtype == np.uint64 else np.int64), rows))


def _words(decimals: Any) -> list[Any]:
    """The 64-bit words of decimals' unscaled integers, the lowest first, each as an array."""
    words = np.frombuffer(decimals.buffers()[1], np.uint64).reshape(-1, decimals.type.bit_width // 64)
    words = words[decimals.offset : decimals.offset + len(decimals)]
    return [words[:, place] for place in range(words.shape[1])]


def _integer_sum(values: Any, rows: Any) -> int:
    """Where 64 bits do not hold it, halves are added by themselves."""
    if not len(values):
        return 0
    rows = rows.astype(values.dtype)
    if max(-int(values.min()), int(values.max())) * int(rows.sum()) < _SPACE // 2:
        return int(np.dot(values, rows))
    half = values.dtype.type(32)
    mask = values.dtype.type(0xFFFFFFFF)
    return (int(np.dot(values >> half, rows)) << 32) + int(np.dot(values & mask, rows))


def _float_sum(values: Any, rows: Any) -> Fraction:
    """Each float is an integer times a power of two; integers of one power are added, which rounds nothing."""
    if not len(values):
        return Fraction()
    parts, powers = np.frexp(values)
    whole = (parts * (1 << 53)).astype(np.int64)
    least = int(powers.min())
    # Of 26 bits and a sign, and of 27: times their rows, and added, floats hold them exactly.
    high = np.bincount(powers - least, weights=((whole >> 27) * rows).astype(np.float64))
    low = np.bincount(powers - least, weights=((whole & ((1 << 27) - 1)) * rows).astype(np.float64))
    total = Fraction()
    for place in np.nonzero((high != 0) | (low != 0))[0]:
        integer = (int(high[place]) << 27) + int(low[place])
        total += integer * Fraction(2) ** (int(place) + least - 53)
    return total
