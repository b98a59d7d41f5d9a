"""Rows in a Parquet file by their values: row groups that cannot have them are not read.

First the statistics of each row group tell, then its Bloom filters; of the groups that are left only the columns of
the condition are read, in bounded memory. What a footer says is believed here: whether these are the bytes that were
registered is told by their sha256, which the caller knows.
"""

from __future__ import annotations

import json
import struct
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pyarrow.types as kinds

from datakeep.core.decimals import shifted
from datakeep.core.errors import SourceMalformed
from datakeep.extract.bloom import BloomFilter
from datakeep.extract.lookup import Looked, RowGroups
from datakeep.extract.matching import matches, numbers_of, says, scalars_of
from datakeep.extract.typed import CannotTell, shown_type, sought
from datakeep.extract.values import is_plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.core.conditions import Condition, Test
    from datakeep.extract.typed import Sought

_BATCH_ROWS, _LEAST_ROWS = 65_536, 64
#: Of more values at once a filter is not asked: together they are rarely ruled out.
_MOST_PROBED = 100
_BATCH_BYTES = 32 << 20
#: A footer may claim what it likes; nothing that is real has more rows in one file.
_MAX_ROWS = 1 << 36
_WAY_OUT = "get a whole copy: datakeep fsck says which store has one"


def look(shown: str, file: IO[bytes], condition: Condition) -> Looked:
    """See :func:`datakeep.extract.lookup.look_in_parts`."""
    with _faults(shown):
        metadata = pq.read_metadata(_Open(file))
        schema = metadata.schema.to_arrow_schema()
        if lacking := tuple(name for name in condition.columns if name not in schema.names):
            _check_outer(lacking, schema)
            return Looked(0, lacking, tuple(schema.names))
        _check(shown, schema, metadata, condition)
        asked, int96_unit = _asked(condition, schema), "ns"
        if any(one.is_far for one in asked):
            schema, int96_unit = _in_microseconds(metadata, schema), "us"
            asked = _asked(condition, schema)
        if never := next((one for one in asked if one.sought.impossible), None):
            type_name = shown_type(schema.field(never.column).type)
            why = never.sought.impossible
            return Looked(0, impossible=(never.column, type_name, why))
        remarks = tuple(dict.fromkeys(f"{one.column}: {remark}" for one in asked for remark in one.remarks))
        groups = list(range(metadata.num_row_groups))
        possible = _by_statistics(file, schema, asked, groups)
        left = [group for group in possible if not _is_excluded(file, metadata, group, asked)]
        told = RowGroups(len(groups), len(groups) - len(possible), len(possible) - len(left))
        rows = _rows(file, metadata, schema, left, asked, int96_unit=int96_unit)
        return Looked(rows, remarks=remarks, groups=told)


def _asked(condition: Condition, schema: Any) -> list[_Asked]:
    return [_Asked(test, _sought(test, schema.field(test.column).type)) for test in condition.tests]


def _in_microseconds(metadata: Any, schema: Any) -> Any:
    """The schema with INT96's moments in microseconds: 9999-12-31 can be one, and Arrow's nanoseconds end in 2262."""
    for place in range(len(metadata.schema)):
        column = metadata.schema.column(place)
        at = schema.get_field_index(column.path)
        if column.physical_type == "INT96" and at >= 0:
            field = schema.field(at)
            schema = schema.set(at, field.with_type(pa.timestamp("us", field.type.tz)))
    return schema


def _sought(test: Test, arrow_type: Any) -> Sought:
    try:
        return sought(test.values, arrow_type)
    except CannotTell as error:
        raise type(error)(f"{test.column}: {error}") from error


class _Open:
    """The file, whose end is not the reader's to decide: Arrow closes what it was given."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size_bytes: int = -1) -> bytes:
        return self._file.read(size_bytes)

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        """The caller does."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class _Asked:
    """A test, with its values in the file's own type."""

    def __init__(self, test: Test, found: Sought) -> None:
        self.column = test.column
        self.sought = found
        self.scalars = scalars_of(found)
        is_text = kinds.is_large_string(found.type)
        #: Numbers that texts say; what a footer or filter tells of texts tells nothing of them.
        self.numbers = numbers_of(found.values) if test.of_numbers and is_text else frozenset()

    def matches(self, array: Any) -> Any:
        """True for each value that is asked for."""
        if self.numbers:
            return says(array, set(self.sought.values), self.numbers)
        return matches(array, self.scalars)

    @property
    def remarks(self) -> tuple[str, ...]:
        """How the values were taken."""
        return (
            ("its texts are a database's numbers, and were compared as such",)
            if self.numbers
            else self.sought.remarks
        )

    @property
    def is_far(self) -> bool:
        """Whether a moment is asked for that is too far away to be counted in the column's unit."""
        return kinds.is_timestamp(self.sought.type) and len(self.scalars) < len(self.sought.values)


def _check_outer(lacking: Sequence[str], schema: Any) -> None:
    """What is asked for may lie within objects, which are not searched."""
    for name in lacking:
        at = schema.get_field_index(name.partition(".")[0])
        if at >= 0 and kinds.is_nested(schema.field(at).type):
            raise CannotTell(f"{name}: the column {schema.field(at).name} holds lists or objects")


def _check(shown: str, schema: Any, metadata: Any, condition: Condition) -> None:
    twice = [name for name in condition.columns if schema.names.count(name) > 1]
    if twice:
        raise CannotTell(f"more than one column is named {twice[0]}")
    if metadata.num_rows > _MAX_ROWS:
        raise SourceMalformed(f"{shown} claims to have {metadata.num_rows:,} rows", next_step=_WAY_OUT)


def _by_statistics(file: IO[bytes], schema: Any, asked: Sequence[_Asked], groups: list[int]) -> list[int]:
    """The row groups that may have such rows, as far as their statistics tell."""
    if any(not one.scalars for one in asked):
        return []
    tests = [
        pc.field(one.column).isin(pa.array(one.scalars, one.scalars[0].type))
        if len(one.scalars) > 1
        else pc.field(one.column) == one.scalars[0]
        for one in asked
        if not one.numbers and not isinstance(schema.field(one.column).type, pa.BaseExtensionType)
    ]
    possible = set(groups)
    fragment = ds.ParquetFileFormat().make_fragment(pa.PythonFile(_Open(file), "r"))
    for test in tests:
        try:
            possible &= {group.id for group in fragment.subset(test).row_groups}
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError):
            continue  # of this type it tells nothing
    return sorted(possible)


def _is_excluded(file: IO[bytes], metadata: Any, group: int, asked: Sequence[_Asked]) -> bool:
    """Whether a Bloom filter of the row group says that one of the tests holds for none of its rows."""
    chunks = metadata.row_group(group)
    for place in range(chunks.num_columns):
        chunk = chunks.column(place)
        offset = getattr(chunk, "bloom_filter_offset", None)
        if not offset:
            continue
        column = metadata.schema.column(place)
        for one in asked:
            if one.numbers or len(one.sought.values) > _MOST_PROBED:
                continue
            if one.column == column.path == column.name and column.max_repetition_level == 0:
                encoded = [_encoded(value, column, one.sought.type) for value in one.sought.values]
                filter_of = BloomFilter(file, offset)
                if all(value is not None and filter_of.excludes(value) for value in encoded):
                    return True
    return False


def _encoded(value: Any, column: Any, target: Any) -> bytes | None:
    """The value as Parquet's plain encoding has it in this column; None where that is not known."""
    physical = column.physical_type
    if kinds.is_decimal(target):
        return _encoded_decimal(value, column, target)
    if kinds.is_temporal(target) and not kinds.is_date32(target):
        return _encoded_moment(value, column, target)
    if isinstance(value, str):
        return value.encode("utf-8") if physical == "BYTE_ARRAY" else None
    if isinstance(value, bytes):
        return value if physical in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY") else None
    if isinstance(value, float):
        if not value:  # -0 and 0 are equal, and have other bytes
            return None
        return {"DOUBLE": struct.Struct("<d").pack, "FLOAT": struct.Struct("<f").pack}.get(
            physical, lambda _: None
        )(value)
    return _encoded_integer(value, physical)


def _encoded_integer(value: int, physical: str) -> bytes | None:
    bits = {"INT32": 32, "INT64": 64}.get(physical)
    if bits is None or isinstance(value, bool):
        return None
    return (value & ((1 << bits) - 1)).to_bytes(bits // 8, "little")


def _encoded_decimal(value: Any, column: Any, target: Any) -> bytes | None:
    unscaled = int(shifted(value, target.scale))
    if column.physical_type == "FIXED_LEN_BYTE_ARRAY":
        return unscaled.to_bytes(column.length, "big", signed=True)
    return _encoded_integer(unscaled, column.physical_type)


def _encoded_moment(value: int, column: Any, target: Any) -> bytes | None:
    """Only where the file counts in the unit of Arrow's type, as most writers do."""
    unit = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}.get(
        getattr(target, "unit", "")
    )
    try:
        said = json.loads(column.logical_type.to_json()).get("timeUnit")
    except (ValueError, AttributeError):
        return None
    return _encoded_integer(value, column.physical_type) if said and said == unit else None


def _rows(
    file: IO[bytes],
    metadata: Any,
    schema: Any,
    groups: list[int],
    asked: Sequence[_Asked],
    *,
    int96_unit: str,
) -> int:
    """How many rows of these row groups satisfy all tests."""
    if not groups:
        return 0
    names = list(dict.fromkeys(one.column for one in asked))
    # A column of one long text, repeated, is held once: written out it may fill any memory.
    texts = [name for name in names if is_plain_text(schema.field(name).type)]
    found = 0
    with pq.ParquetFile(
        _Open(file),
        metadata=metadata,
        read_dictionary=texts,
        pre_buffer=False,
        page_checksum_verification=True,
        coerce_int96_timestamp_unit=int96_unit,
    ) as parquet:
        for batch in parquet.iter_batches(
            _rows_at_once(metadata, groups, names), row_groups=groups, columns=names
        ):
            mask = None
            for one in asked:
                same = one.matches(batch.column(batch.schema.get_field_index(one.column)))
                mask = same if mask is None else pc.and_(mask, same)
            found += pc.sum(mask).as_py() or 0
    return found


def _rows_at_once(metadata: Any, groups: list[int], names: Sequence[str]) -> int:
    """So many rows that the columns of one batch are about 32 MB, by what the footer says of them."""
    widest = 1
    for group in map(metadata.row_group, groups):
        columns = (group.column(place) for place in range(group.num_columns))
        size_bytes = sum(one.total_uncompressed_size for one in columns if one.path_in_schema in names)
        widest = max(widest, size_bytes // max(group.num_rows, 1))
    return max(_LEAST_ROWS, min(_BATCH_ROWS, _BATCH_BYTES // widest))


@contextmanager
def _faults(shown: str) -> Iterator[None]:
    """Damage that is found while the file is read becomes one error that names it."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        cause = str(error).split(". ")[0].splitlines()[0][:120] if str(error) else type(error).__name__
        raise SourceMalformed(f"{shown} is not whole Parquet: {cause}", next_step=_WAY_OUT) from error
