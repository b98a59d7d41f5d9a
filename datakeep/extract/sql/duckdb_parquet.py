"""Which values of Parquet files are others once DuckDB has read them: long decimals, and INT96's nanoseconds.

DuckDB makes a double of a decimal of more than 38 digits, and cuts INT96 at microseconds, without a word. The few
columns that may hold such are read once more with Arrow, which has both.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakeep.core.literals import float_literal, moment_literal
from datakeep.extract.sql.duckdb_json import same
from datakeep.extract.sql.interface import Guess

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_WAY_OUT = "to keep it, register the file itself: datakeep register NAME FILE"


def altered(written: str, paths: Sequence[str], read: Collection[str] | None) -> Iterator[Guess]:
    """The first value of each column that is another in DuckDB than in the files, of those on this machine.

    Args:
        written: The files, as the query names them.
        paths: Each of them.
        read: The columns that the query reads, in any case; None: it may read all.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = None if read is None else {name.lower() for name in read}
    told: set[str] = set()
    first_row = 1
    for path in filter(lambda path: Path(path).is_file(), paths):
        # What Arrow cannot read is said by DuckDB, or is nothing that it alters.
        with suppress(pa.ArrowException, OSError), pq.ParquetFile(path) as file:
            for name, kind in _doubtful(file):
                if name in told or (wanted is not None and name.lower() not in wanted):
                    continue
                if (guess := _first(file, written, name, kind, first_row)) is not None:
                    told.add(name)
                    yield guess
            first_row += file.metadata.num_rows


def _doubtful(file: Any) -> Iterator[tuple[str, str]]:
    """Columns, and what DuckDB reads them as."""
    import pyarrow.types as kinds

    int96 = {
        column.path
        for column in map(file.schema.column, range(len(file.schema.names)))
        if column.physical_type == "INT96"
    }
    for field in file.schema_arrow:
        if kinds.is_decimal256(_leaf(field.type)):
            yield field.name, "DOUBLE"
        elif field.name in int96:
            yield field.name, "TIMESTAMP"


def _leaf(kind: Any) -> Any:
    """The type within lists."""
    import pyarrow.types as kinds

    while kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        kind = kind.value_type
    return kind


def _first(file: Any, written: str, name: str, kind: str, first_row: int) -> Guess | None:
    for batch in file.iter_batches(columns=[name]):
        for row, value in enumerate(_values(batch.column(0), kind), first_row):
            for one in value if isinstance(value, list) else [value]:
                became = None if one is None else _became(one, kind)
                if became:
                    where = f"{written}: column {name}, row {row}"
                    why = f"as DuckDB reads the column as {kind}; {_WAY_OUT}"
                    return Guess(
                        f"{where}: {became[0]} became {became[1]}, {why}",
                        f"{where}: it became another, {why}",
                    )
        first_row += batch.num_rows
    return None


def _values(array: Any, kind: str) -> list[Any]:
    import pyarrow as pa

    found: list[Any] = (array.view(pa.int64()) if kind == "TIMESTAMP" else array).to_pylist()
    return found


def _became(value: Any, kind: str) -> tuple[str, str] | None:
    """The value and what DuckDB makes of it; None if nothing of it is lost."""
    if kind == "TIMESTAMP":
        cut = value // 1_000 * 1_000
        return None if cut == value else (moment_literal(value, 10**9), moment_literal(cut, 10**9))
    text = f"{value:f}"
    return None if same(text) else (text, float_literal(float(value)))
