"""Parquet files: columns, types and rows stand in the footer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from datakeep.core.errors import SourceMalformed
from datakeep.extract.interface import HELD_BYTES, Inspection, cannot_open, shown_type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_BATCH_ROWS, _LEAST_ROWS = 65_536, 64
_BATCH_BYTES = 32 << 20


class ParquetReader:
    """Reads Parquet."""

    def inspect(self, shown: str, file: Path) -> Inspection:
        """Columns, types and rows; the pages of a file up to 64 MB are read too, so that damage is seen."""
        return self._inspected(shown, file)

    def footer(self, shown: str, file: Path) -> Inspection:
        """The same without a look at the pages: of a file that was written a moment ago, by us."""
        return self._inspected(shown, file, pages=False)

    def _inspected(self, shown: str, file: Path, *, pages: bool = True) -> Inspection:
        with _opened(shown, file) as parquet:
            if pages and file.stat().st_size <= HELD_BYTES:
                for _ in parquet.iter_batches(_BATCH_ROWS):
                    pass
            schema = parquet.schema_arrow
            columns = tuple((field.name, shown_type(field.type)) for field in schema)
            return Inspection(columns, int(parquet.metadata.num_rows))

    def values(self, shown: str, file: Path, column: str) -> Iterator[Any]:
        """The values of a column, as text."""
        with _opened(shown, file) as parquet:
            if column in parquet.schema_arrow.names:
                if pa.types.is_nested(parquet.schema_arrow.field(column).type):
                    raise SourceMalformed(
                        f"{shown}: {column!r} holds lists or objects", next_step="name another column"
                    )
                for batch in parquet.iter_batches(_BATCH_ROWS, columns=[column]):
                    yield batch.column(0).cast(pa.string())

    def batches(self, shown: str, file: Path, text: Collection[str]) -> Iterator[Any]:  # noqa: ARG002
        """All rows, in batches of at most 65,536 rows and, by the footer's sizes, about 32 MB."""
        with _opened(shown, file) as parquet:
            yield pa.RecordBatch.from_pylist([], parquet.schema_arrow)
            yield from parquet.iter_batches(_rows_at_once(parquet.metadata))


def read_schema(schema: Any) -> Any:
    """Arrow's schema of what is written as ``schema``: an element of a list has another name."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    return pq.read_schema(pa.BufferReader(sink.getvalue()))


def rows_and_batch(shown: str, file: Path) -> tuple[int, int]:
    """How many rows a file has, and how many of them :meth:`ParquetReader.batches` gives at a time."""
    with _opened(shown, file) as parquet:
        return int(parquet.metadata.num_rows), _rows_at_once(parquet.metadata)


def _rows_at_once(metadata: Any) -> int:
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    widest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    return max(_LEAST_ROWS, min(_BATCH_ROWS, _BATCH_BYTES // max(widest, 1)))


@contextmanager
def _opened(shown: str, file: Path) -> Iterator[Any]:
    """The file, opened; damage found while it is read becomes one error that names it."""
    try:
        # What is buffered ahead is held until the end: of all batches together, that is the whole file.
        with file.open("rb") as raw, pq.ParquetFile(raw, pre_buffer=False) as parquet:
            yield parquet
    except (pa.ArrowException, OSError) as error:
        # Arrow's own I/O errors are OSErrors without a number: those speak of the file's contents.
        if isinstance(error, OSError) and error.errno is not None:
            raise cannot_open(shown, error) from error
        cause = "is empty" if file.stat().st_size == 0 else f"is not whole Parquet: {_first_line(error)}"
        raise SourceMalformed(
            f"{shown} {cause}", next_step="export it again, or rename it if it is something else"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).split(". ")[0].splitlines()[0][:120]
