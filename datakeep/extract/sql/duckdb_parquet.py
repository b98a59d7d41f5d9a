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
                if (guess := _first(path, written, name, kind, first_row)) is not None:
                    told.add(name)
                    yield guess
            first_row += file.metadata.num_rows


def _doubtful(file: Any) -> Iterator[tuple[str, str]]:
    """Columns, and what DuckDB reads them as."""
    import pyarrow.types as kinds

    paths = [column.path for column in _columns(file) if column.physical_type == "INT96"]
    for field in file.schema_arrow:
        leaf = _leaf(field.type)
        if kinds.is_decimal256(leaf):
            yield field.name, "DOUBLE"
        elif kinds.is_timestamp(leaf) and any(f"{path}.".startswith(f"{field.name}.") for path in paths):
            yield field.name, "TIMESTAMP"


def _columns(file: Any) -> list[Any]:
    return [file.schema.column(place) for place in range(len(file.schema.names))]


def _leaf(kind: Any) -> Any:
    """The type within lists."""
    import pyarrow.types as kinds

    while kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        kind = kind.value_type
    return kind


def _first(path: str, written: str, name: str, kind: str, first_row: int) -> Guess | None:
    batches = _moments(path, name) if kind == "TIMESTAMP" else map(_listed, _read(path, name))
    for count, rows in batches:
        for row, value in enumerate(rows, first_row):
            for one in _single(value):
                if became := _became(one, kind):
                    where = f"{written}: column {name}, first in row {row}"
                    why = f"as DuckDB reads the column as {kind}; {_WAY_OUT}"
                    return Guess(
                        f"{where}: {became[0]} became {became[1]}, {why}",
                        f"{where}: it became another, {why}",
                    )
        first_row += count
    return None


def _read(path: str, name: str, unit: str | None = None) -> Iterator[Any]:
    """The column's batches; INT96's moments as so many of that ``unit`` since 1970."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, coerce_int96_timestamp_unit=unit) as file:
        for batch in file.iter_batches(columns=[name]):
            array = batch.column(0)
            yield array.cast(_counted(array.type)) if unit else array


def _listed(array: Any) -> tuple[int, list[Any]]:
    return len(array), array.to_pylist()


def _counted(kind: Any) -> Any:
    import pyarrow as pa

    return pa.int64() if _leaf(kind) is kind else pa.large_list(_counted(kind.value_type))


def _moments(path: str, name: str) -> Iterator[tuple[int, list[list[int]]]]:
    """Of each batch its number of rows, and INT96's moments in nanoseconds; none where DuckDB loses nothing.

    Of INT96's years Arrow's nanoseconds have only 584, and are right but for a multiple of 2**64: microseconds tell
    which.
    """
    import pyarrow.compute as pc

    for exact, whole in zip(_read(path, name, "ns"), _read(path, name, "us"), strict=True):
        if not pc.any(pc.not_equal(_flat(exact), pc.multiply(_flat(whole), 1_000))).as_py():
            yield len(exact), []
            continue
        both = zip(*(map(_single, array.to_pylist()) for array in (exact, whole)), strict=True)
        yield len(exact), [[_nanoseconds(*pair) for pair in zip(*row, strict=True)] for row in both]


def _nanoseconds(wrapped: int, microseconds: int) -> int:
    return microseconds * 1_000 + (wrapped - microseconds * 1_000) % 2**64


def _flat(array: Any) -> Any:
    while _leaf(array.type) is not array.type:
        array = array.flatten()
    return array


def _single(value: Any) -> Iterator[Any]:
    """The values within lists of lists, but for NULLs."""
    if isinstance(value, list):
        for one in value:
            yield from _single(one)
    elif value is not None:
        yield value


def _became(value: Any, kind: str) -> tuple[str, str] | None:
    """The value and what DuckDB makes of it; None if nothing of it is lost."""
    if kind == "TIMESTAMP":
        cut = value // 1_000 * 1_000
        return None if cut == value else (moment_literal(value, 10**9), moment_literal(cut, 10**9))
    text = f"{value:f}"
    return None if same(text) else (text, float_literal(float(value)))
