"""Whether columns name one row each: what the rows themselves say of a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from datakeep.core.errors import NoSpace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MEMORY = "512MiB"
_THREADS = 4


class Repeated(NamedTuple):
    """Why columns are no key: combinations of values that several rows have, and rows with a NULL in one of them."""

    in_several: int
    with_null: int


def repeated(files: Sequence[Path], columns: Sequence[str], scratch: Path) -> Repeated:
    """How many combinations of values stand in more than one row, and how many rows have a NULL in them.

    Args:
        files: Parquet, of one schema.
        columns: Of the files; two values are the same as in :mod:`~datakeep.extract.comparable`.
        scratch: An empty folder for what does not fit into the memory.

    Raises:
        NoSpace: Nor does it fit into the folder.
    """
    import duckdb
    import pyarrow as pa

    batches = _keys(files, columns)
    first = next(batches)
    reader = pa.RecordBatchReader.from_batches(
        first.schema, (one for some in ([first], batches) for one in some)
    )
    names = first.schema.names
    settings: dict[str, Any] = {
        "memory_limit": _MEMORY,
        "temp_directory": str(scratch / "spilled"),
        "threads": _THREADS,
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    nulls = " OR ".join(f"{name} IS NULL" for name in names)
    by = ", ".join(names)
    try:
        with duckdb.connect(":memory:", config=settings) as database:
            database.register("keys", reader)
            found = database.execute(
                "SELECT count(*) FILTER (rows > 1 AND NOT is_null), coalesce(sum(rows) FILTER (is_null), 0)::BIGINT "
                f"FROM (SELECT count(*) AS rows, {nulls} AS is_null FROM keys GROUP BY {by})"
            ).fetchone()
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise NoSpace(
            f"whether {', '.join(columns)} is a key of the rows cannot be counted: {str(error).splitlines()[0]}",
            next_step="make room in the folder for temporary files, or set TMPDIR to one that has it",
        ) from error
    return Repeated(*found) if found else Repeated(0, 0)


def has_nulls(files: Sequence[Path], columns: Sequence[str]) -> bool:
    """Whether the files' own statistics do not rule out a NULL in one of the columns."""
    import pyarrow.parquet as pq

    for file in files:
        metadata = pq.read_metadata(file)
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            chunks = [group.column(place) for place in range(group.num_columns)]
            for chunk in chunks:
                if chunk.path_in_schema in columns and (
                    chunk.statistics is None or chunk.statistics.null_count != 0
                ):
                    return True
    return False


def _keys(files: Sequence[Path], columns: Sequence[str]) -> Iterator[Any]:
    """The columns alone, comparable, as record batches; at least one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from datakeep.extract.comparable import comparable

    for file in files:
        with pq.ParquetFile(file) as parquet:
            empty = pa.RecordBatch.from_pylist([], parquet.schema_arrow)
            batches = parquet.iter_batches(columns=list(columns)) if parquet.metadata.num_rows else [empty]
            for batch in batches:
                arrays = [comparable(batch.column(name)) for name in columns]
                yield pa.record_batch(arrays, [f"c{place}" for place in range(len(arrays))])
