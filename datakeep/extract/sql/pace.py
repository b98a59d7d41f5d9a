"""How many rows to ask for at a time, so that memory stays the same for thin rows and for fat ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_FIRST_ROWS = 16
_MOST_ROWS = 16_384
_AIM_BYTES = 8 << 20
_GATHERED_BYTES = 4 << 20
#: What a number or a NULL counts for.
_SMALL_BYTES = 16


@dataclass
class Pace:
    """Rows of the next batch; it starts small and grows until a batch has some 8 MiB, or 16,384 rows."""

    rows: int = _FIRST_ROWS

    def saw(self, batch: Sequence[Sequence[Any]]) -> None:
        """Learn from the rows that came."""
        if not batch:
            return
        each = max(1, weight(batch) // len(batch))
        self.rows = max(1, min(_MOST_ROWS, self.rows * 8, _AIM_BYTES // each))


def gathered(batches: Iterable[Any]) -> Iterator[Any]:
    """Arrow record batches, the small ones put together: what is done with a batch costs as much as 1,000 rows do.

    A batch that comes out has at most 16,384 rows, or some 4 MiB, unless it came so large.
    """
    held: list[Any] = []
    rows = size_bytes = 0
    for batch in batches:
        if held and (rows + batch.num_rows > _MOST_ROWS or size_bytes >= _GATHERED_BYTES):
            yield _one(held)
            held, rows, size_bytes = [], 0, 0
        held.append(batch)
        rows += batch.num_rows
        size_bytes += batch.nbytes
    if held:
        yield _one(held)


def _one(held: Sequence[Any]) -> Any:
    import pyarrow as pa

    if len(held) == 1 or not any(batch.num_rows for batch in held):
        return held[0]
    return pa.Table.from_batches(held).combine_chunks().to_batches()[0]


def weight(rows: Sequence[Sequence[Any]]) -> int:
    """About how many bytes the values of ``rows`` take; for many rows, by a sample of them."""
    step = max(1, len(rows) // 64)
    sample = rows[::step]
    total = sum(
        len(value) if isinstance(value, (str, bytes)) else _SMALL_BYTES for row in sample for value in row
    )
    return total * len(rows) // len(sample) if sample else 0
