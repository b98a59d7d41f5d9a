"""Small batches are put together, and no value of them moves."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from datakeep.extract.sql.pace import gathered

ROWS = 60_000
TABLE = pa.table(
    {
        "number": range(ROWS),
        "text": [None if number % 7 == 0 else f"t{number % 91}" for number in range(ROWS)],
        "kind": pa.array([f"k{number % 3}" for number in range(ROWS)]).dictionary_encode(),
        "list": pa.array([[number] * (number % 3) for number in range(ROWS)], pa.list_(pa.int32())),
    }
)


@given(st.lists(st.integers(0, 30_000), max_size=30))
@settings(max_examples=25, deadline=None)
def test_the_rows_are_the_same_in_larger_batches(cuts: list[int]) -> None:
    batches, start = [], 0
    for rows in cuts:
        batches += TABLE.slice(start, rows).to_batches() or [pa.RecordBatch.from_pylist([], TABLE.schema)]
        start += rows
    found = list(gathered(iter(batches)))
    assert pa.Table.from_batches(found, TABLE.schema).equals(TABLE.slice(0, start))
    given_rows = [batch.num_rows for batch in batches]
    assert all(batch.num_rows <= 16_384 or batch.num_rows in given_rows for batch in found)
    assert all(one.num_rows + other.num_rows > 16_384 for one, other in pairwise(found))


def test_large_values_are_not_put_together() -> None:
    texts = pa.record_batch({"text": ["x" * 1_000_000] * 5})
    assert [batch.num_rows for batch in gathered([texts] * 3)] == [5, 5, 5]
    assert list(gathered([])) == []
