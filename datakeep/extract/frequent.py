"""The values with the most rows of a column: all of them while few differ, then the frequent ones [1]_.

.. [1] Misra and Gries, "Finding repeated elements" (1982); merged as by Agarwal et al., "Mergeable summaries"
   (2012). A count is at most ``error`` too low, and no value with more rows than that is missed.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from datakeep.extract.sketches import as_arrow, merged


class Frequent:
    """The values with the most rows: all of them while at most ``size`` differ, then at most ``kept`` frequent ones.

    While all are held they are arrays, which wait until they could be too many and are then put together at once: one
    value at a time, Python takes longer for that than for everything else that is counted of a column.

    Attributes:
        exact: Whether every value is there, with all of its rows.
        error: How many rows of a value may not have been counted; 0 while exact.
    """

    def __init__(self, size: int, kept: int) -> None:
        self._size, self._kept = size, kept
        self._arrays: list[tuple[Any, Any]] = []
        self._rows: Counter[Any] = Counter()
        self.exact, self.error = True, 0

    def add(self, values: Any, counts: Any) -> None:
        """Takes in different values (an Arrow array), and how many rows (numpy, int64) each has."""
        if not self.exact:
            self._merge(*self._largest(values, counts))
            return
        before, self._arrays = self._arrays, [*self._arrays, (values, counts)]
        if sum(len(one) for _, one in self._arrays) > self._size and len(self) > self._size:
            self._arrays = before
            self._rows = self.rows
            self.exact, self._arrays = False, []
            self._merge(*((values, counts) if len(counts) <= self._size else self._largest(values, counts)))

    def __len__(self) -> int:
        """How many values are held."""
        self._put_together()
        return len(self._arrays[0][1]) if self._arrays else len(self._rows)

    @property
    def rows(self) -> Counter[Any]:
        """Value to its rows; at most ``error`` of them are missing."""
        self._put_together()
        for values, counts in self._arrays:
            return Counter(dict(zip(values.to_pylist(), counts.tolist(), strict=True)))
        return self._rows

    def most(self, count: int) -> list[tuple[Any, int]]:
        """The values with the most rows: ``count``, and all that have as many as the last; in no order.

        None that may be one of many with as few rows as ``error``; and none at all where each has one row.
        """
        self._put_together()
        for values, counts in self._arrays:
            least = int(np.partition(counts, -count)[-count]) if len(counts) > count else 1
            there = counts >= least if counts.max(initial=1) > 1 else np.zeros(len(counts), np.bool_)
            return list(zip(values.filter(as_arrow(there)).to_pylist(), counts[there].tolist(), strict=True))
        ranked = heapq.nlargest(count, (rows for rows in self._rows.values() if rows > self.error))
        if not ranked or ranked[0] == 1:
            return []
        return [(value, rows) for value, rows in self._rows.items() if rows >= ranked[-1]]

    def in_order(self) -> tuple[Any, Any]:
        """The values from the smallest on (numpy; decimals as a list), and the rows of each (numpy, int64).

        Only while exact, and of some.
        """
        self._put_together()
        ((values, counts),) = self._arrays
        order = pc.sort_indices(values)
        ordered = values.take(order)
        plain = ordered.to_pylist() if kinds.is_decimal(values.type) else ordered.to_numpy()
        return plain, counts[order.to_numpy()]

    def _put_together(self) -> None:
        """All arrays become one."""
        if len(self._arrays) < 2:
            return
        values, counts = zip(*self._arrays, strict=True)
        self._arrays = [merged(pa.concat_arrays(values), np.concatenate(counts))]

    def _merge(self, values: Any, counts: Any) -> None:
        for value, rows in zip(values.to_pylist(), counts.tolist(), strict=True):
            self._rows[value] += rows
        if len(self._rows) > self._kept:
            lost = sorted(self._rows.values(), reverse=True)[self._kept]
            self.error += lost
            self._rows = Counter({one: rows - lost for one, rows in self._rows.items() if rows > lost})

    def _largest(self, values: Any, counts: Any) -> tuple[Any, Any]:
        """At most ``kept`` of them: those with the most rows, by as many fewer as the next one has."""
        if len(counts) <= self._kept:
            return values, counts
        if np.count_nonzero(counts > 1) <= self._kept:
            lost = 1
        else:
            place = len(counts) - self._kept - 1
            lost = int(np.partition(counts, place)[place])
        self.error += lost
        there = counts > lost
        return values.filter(as_arrow(there)), counts[there] - lost
