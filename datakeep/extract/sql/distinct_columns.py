"""How Parquet is to encode columns in which all values differ: a dictionary makes those larger, and takes time.

The writer tries a dictionary first and gives it up at a megabyte: a key of a million rows is then written half twice,
in twice the time. Which columns these are depends on the rows alone, so that the same rows give the same bytes.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as kinds

if TYPE_CHECKING:
    from collections.abc import Collection

#: So many rows of the first row group are looked at, from all over it; of fewer than the least nothing is said.
_LOOKED_AT, _LEAST = 4_096, 1_024
#: Of 4,096 drawn from 400,000 values, so many differ: a dictionary of those would not hold.
_SHARE = 0.995


def encoding(group: Any, schema: Any) -> dict[str, Any]:
    """What ``ParquetWriter`` is told beside its usual: nothing where no column is such a one.

    Integers, and moments as such, are written as the difference of each from the one before, all else plainly.

    Args:
        group: The first row group of the file (an Arrow table of one chunk).
        schema: Arrow's, of the file.
    """
    if not (names := _distinct(group)):
        return {}
    return {
        "use_dictionary": [path for path in _leaves(schema) if path not in names],
        "column_encoding": {
            name: "DELTA_BINARY_PACKED" if _is_stored_as_integer(schema.field(name).type) else "PLAIN"
            for name in names
        },
    }


def _distinct(group: Any) -> Collection[str]:
    """The columns of whose values (nearly) all differ."""
    if group.num_rows < _LEAST:
        return ()
    some = pa.array(range(0, group.num_rows, -(-group.num_rows // _LOOKED_AT)))
    return [
        field.name
        for place, field in enumerate(group.schema)
        if _is_plain(field.type) and _differ(group.column(place).take(some))
    ]


def _differ(values: Any) -> bool:
    there = len(values) - values.null_count
    return bool(there >= _LEAST // 2 and pc.count_distinct(values).as_py() >= _SHARE * there)


def _is_plain(kind: Any) -> bool:
    return not (
        kinds.is_nested(kind) or kinds.is_boolean(kind) or kinds.is_null(kind) or kinds.is_dictionary(kind)
    )


def _is_stored_as_integer(kind: Any) -> bool:
    return bool(kinds.is_integer(kind) or (kinds.is_temporal(kind) and not kinds.is_interval(kind)))


def _leaves(schema: Any) -> list[str]:
    """What Parquet calls the columns, those within others too, as the writer makes them of a table without rows."""
    with io.BytesIO() as file:
        pq.write_table(schema.empty_table(), file)
        columns = pq.read_metadata(file).schema
    return [columns.column(place).path for place in range(len(columns))]
