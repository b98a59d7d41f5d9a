"""The inventory: the list of every file of a version, as a Parquet file that any script can read.

It is what makes a file belong: whatever is not in it is stray. It is columnar, so that datasets of
millions of files are compared without a Python object per file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datakeep.core import digests, paths
from datakeep.core.errors import HostileRepository, InvalidFile, UnknownFormat
from datakeep.core.patterns import splitter
from datakeep.formats.columns import fixed, integer, integers, joined, texts, texts_or_null

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

FORMAT = "datakeep/inventory/1"
_KIND, _, _MAJOR = FORMAT.rpartition("/")
_SPLIT = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("md5", pa.binary(16), nullable=False),
        pa.field("sha256", pa.binary(32), nullable=False),
        pa.field("split", _SPLIT, nullable=True),
    ],
    metadata={"format": FORMAT},
)
#: A hostile inventory is refused before it fills the memory: no real one has more rows per byte, or in all.
_MAX_ROWS = 200_000_000
_MAX_ROWS_PER_BYTE = 4
_MAX_UNPACKED_BYTES = 16 << 30
_BATCH_ROWS = 65_536
_ROW_GROUP_ROWS = 1 << 20


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a version: ``path`` is relative to ``data/``; the digests are raw bytes."""

    path: str
    size_bytes: int
    md5: bytes
    sha256: bytes
    split: str | None = None


@dataclass(frozen=True, slots=True)
class FileChanges:
    """What became of the files between two versions; each list is sorted by the paths' bytes."""

    added: list[str]
    removed: list[str]
    changed: list[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


class Inventory:
    """Every file of a version; paths are unique, safe, and sorted by their UTF-8 bytes."""

    __slots__ = ("_content", "table")

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self._content: str | None = None

    @classmethod
    def of(cls, rows: Iterable[FileEntry]) -> Inventory:
        """The inventory of ``rows``, in any order.

        Raises:
            ValueError: Two rows have the same path.
        """
        ordered = sorted(rows, key=lambda row: row.path.encode("utf-8"))
        table = pa.table(
            [
                texts([row.path for row in ordered]),
                integers([row.size_bytes for row in ordered]),
                fixed(b"".join(row.md5 for row in ordered), len(ordered), 16),
                fixed(b"".join(row.sha256 for row in ordered), len(ordered), 32),
                texts_or_null([row.split for row in ordered]).dictionary_encode(),
            ],
            schema=SCHEMA,
        )
        if not _is_rising(table.column("path")):
            raise ValueError("two rows of an inventory have the same path")
        return cls(table)

    @classmethod
    def of_columns(
        cls, paths: Sequence[str], sizes: Sequence[int], md5: bytes | bytearray, sha256: bytes | bytearray
    ) -> Inventory:
        """The inventory of files given column by column, without splits.

        Args:
            paths: Sorted by their UTF-8 bytes, each once.
            sizes: In bytes.
            md5: 16 bytes for each file.
            sha256: 32 bytes for each file.

        Raises:
            ValueError: The paths are not sorted, or one of them is there twice.
        """
        count = len(paths)
        table = pa.table(
            [
                texts(paths),
                integers(sizes),
                fixed(md5, count, 16),
                fixed(sha256, count, 32),
                pa.nulls(count, pa.string()).dictionary_encode(),
            ],
            schema=SCHEMA,
        )
        if not _is_rising(table.column("path")):
            raise ValueError("the paths of an inventory are sorted by bytes, each once")
        return cls(table)

    @classmethod
    def from_bytes(cls, data: bytes, *, what: str) -> Inventory:
        """The inventory that :meth:`to_bytes` wrote; trusted no more than its writer.

        Args:
            data: The Parquet file.
            what: What it is, for messages: ``the inventory of orders@v3``.

        Raises:
            InvalidFile: It is damaged, not an inventory, or not sorted.
            UnknownFormat: It is of a format that this version does not know.
            HostileRepository: It names a path that could harm the machine that writes it.
        """
        table = _read(data, what)
        column = table.column("path")
        refused = [] if _is_known_plain(column) else paths.refusals(column.to_pylist())
        if refused:
            raise HostileRepository(
                f"{what} names {refused[0]}" + (f", and {len(refused) - 1} more" if len(refused) > 1 else ""),
                next_step="do not use this version; ask its owner where the inventory comes from",
                things=[str(refusal) for refusal in refused],
            )
        return cls(table)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Inventory) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]  # compared by value, and too large to be a key

    @property
    def files(self) -> Iterator[FileEntry]:
        """Every row, in order."""
        for batch in self.table.to_batches(max_chunksize=_BATCH_ROWS):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield FileEntry(*row)

    def split_of(self) -> dict[str, str | None]:
        """The split of each path, in order; cheaper than whole rows."""
        paths, splits = (self.table.column(name).to_pylist() for name in ("path", "split"))
        return dict(zip(paths, splits, strict=True))

    def by_object(self) -> Iterator[FileEntry]:
        """Every row, those of equal bytes beside each other, in the order of md5."""
        keys = [(name, "ascending") for name in ("md5", "sha256", "size_bytes")]
        return Inventory(self.table.take(pc.sort_indices(self.table, sort_keys=keys))).files

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return int(pc.sum(self.table.column("size_bytes")).as_py() or 0)

    def content_id(self) -> str:
        """The content id of the listed files: ``sha256:`` and 64 hex digits."""
        if self._content is None:
            self._content = digests.content_id_of_sorted(
                (batch.column("path").to_pylist(), joined(pa.chunked_array([batch.column("sha256")])))
                for batch in self.table.select(["path", "sha256"]).to_batches(max_chunksize=_BATCH_ROWS)
            )
        return self._content

    def with_splits(self, patterns: Mapping[str, Sequence[str]]) -> Inventory:
        """The same files, each in the split whose patterns it matches; None where it matches none.

        Args:
            patterns: For each split its globs, relative to the dataset repository: ``data/train/**``.

        Raises:
            UsageError: Two splits claim the same file, or a pattern is malformed.
        """
        if not patterns and self.table.column("split").null_count == len(self):
            return self
        split_of = splitter(patterns)
        splits = [split_of(f"data/{path}") for path in self.table.column("path").to_pylist()]
        position = self.table.schema.get_field_index("split")
        column = texts_or_null(splits).dictionary_encode()
        return Inventory(self.table.set_column(position, SCHEMA.field("split"), column))

    def to_bytes(self) -> bytes:
        """The Parquet file: the same rows give the same bytes (with the same version of pyarrow)."""
        position = self.table.schema.get_field_index("split")
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(
            sink, SCHEMA, version="2.6", compression="zstd", use_dictionary=["split"]
        ) as writer:
            # Group by group: of a million rows only one group at a time is there twice.
            for start in range(0, max(len(self), 1), _ROW_GROUP_ROWS):
                rows = self.table.slice(start, _ROW_GROUP_ROWS)
                splits = rows.column("split").cast(pa.string()).combine_chunks().dictionary_encode()
                rows = rows.set_column(position, SCHEMA.field("split"), splits)
                writer.write_table(rows.combine_chunks().cast(SCHEMA), row_group_size=_ROW_GROUP_ROWS)
        return bytes(sink.getvalue())


def differences(old: Inventory, new: Inventory) -> FileChanges:
    """Which files were added, removed, or have other bytes, from ``old`` to ``new``."""
    before, after = old.table.column("path").combine_chunks(), new.table.column("path").combine_chunks()
    position = pc.index_in(after, value_set=before)
    was = old.table.column("sha256").combine_chunks().take(position)
    other = pc.not_equal(was, new.table.column("sha256").combine_chunks())
    return FileChanges(
        added=after.filter(pc.is_null(position)).to_pylist(),
        removed=before.filter(pc.invert(pc.is_in(before, value_set=after))).to_pylist(),
        changed=after.filter(other).to_pylist(),
    )


#: One component that no machine takes for another, but for its case.
_PLAIN_PART = r"[A-Za-z0-9_][A-Za-z0-9_.=+-]*"
_PLAIN_PATH = rf"^{_PLAIN_PART}(/{_PLAIN_PART})*$"


#: The paths that were last found to be plain: from version to version most datasets keep theirs.
_LAST_PLAIN: list[pa.ChunkedArray] = []


def _is_known_plain(column: pa.ChunkedArray) -> bool:
    """As :func:`_is_plain`, which is not asked twice in a row about the same paths."""
    if any(column.equals(last) for last in _LAST_PLAIN):
        return True
    is_plain = _is_plain(column)
    if len(column) <= _BATCH_ROWS:  # more would hold memory for long
        _LAST_PLAIN[:] = [column] if is_plain else []
    return is_plain


def _is_plain(column: pa.ChunkedArray) -> bool:
    """Whether nothing can be wrong with the paths, found out without a Python object for each.

    False says nothing: :func:`datakeep.core.paths.refusals` knows.
    """
    if not len(column):
        return True
    plain = pc.and_(
        pc.match_substring_regex(column, _PLAIN_PATH),
        pc.less_equal(pc.binary_length(column), integer(paths.MAX_COMPONENT_BYTES)),
    )
    if not pc.all(plain).as_py() or pc.any(pc.match_substring(column, "\n")).as_py():
        return False
    below = column.filter(pc.match_substring(column, "/"))
    folders = set(pc.unique(pc.replace_substring_regex(below, "/[^/]*$", "")).to_pylist())
    folders.update(path[:at] for path in list(folders) for at, mark in enumerate(path) if mark == "/")
    folded = pc.ascii_lower(column)
    names = {folder.lower() for folder in folders}
    return (
        len(names) == len(folders)
        and pc.count_distinct(folded).as_py() == len(column)
        and not pc.any(pc.is_in(folded, value_set=texts(sorted(names)))).as_py()
    )


def _is_rising(path: pa.ChunkedArray | pa.Array) -> bool:
    """Whether each path is greater than the one before it, by bytes (Arrow's order of strings)."""
    return len(path) < 2 or bool(pc.all(pc.less(path[:-1], path[1:])).as_py())


def _read(data: bytes, what: str) -> pa.Table:
    """The table in ``data``, its format, schema and order checked, in memory bounded by ``data``'s size."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        _check_format(file.schema_arrow.metadata or {}, what)
        _check_schema(file.schema_arrow, what)
        _check_size(file.metadata, len(data), what)
        batches: list[pa.RecordBatch] = []
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            last = batches[-1].column("path")[-1:] if batches else batch.column("path")[:0]
            if batch.column("path").null_count or not _is_rising(
                pa.chunked_array([last, batch.column("path")])
            ):
                raise _invalid(what, "its paths are not sorted by bytes, each once")
            batches.append(batch)
        table = pa.Table.from_batches(batches, schema=file.schema_arrow).cast(SCHEMA)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as fault:
        raise _invalid(
            what, f"it is damaged ({str(fault).splitlines()[0][:200] if str(fault) else fault!r})"
        ) from fault
    if pc.any(pc.less(table.column("size_bytes"), integer(0))).as_py():
        raise _invalid(what, "it has a negative size")
    return table.replace_schema_metadata(SCHEMA.metadata)


def _check_format(metadata: dict[bytes, bytes], what: str) -> None:
    found = metadata.get(b"format", b"").decode("utf-8", "replace")
    if found == FORMAT:
        return
    if not found:
        raise _invalid(what, f"its metadata has no format; {FORMAT} is expected")
    raise UnknownFormat(
        f"{what} has the format {found[:80]!r}, and this datakeep reads {FORMAT}",
        next_step="upgrade datakeep, if the format's number is higher"
        if found.startswith(_KIND)
        else "hand in an inventory",
    )


def _check_schema(schema: pa.Schema, what: str) -> None:
    for field in SCHEMA:
        position = schema.get_field_index(field.name)
        if position == -1:
            raise _invalid(what, f"it has no column {field.name!r}")
        if not _same_type(schema.field(position).type, field.type):
            raise _invalid(
                what, f"its column {field.name!r} is {schema.field(position).type}, not {field.type}"
            )
    if schema.names != SCHEMA.names:
        raise _invalid(
            what, f"its columns are {', '.join(schema.names)[:200]}, not {', '.join(SCHEMA.names)}"
        )


def _same_type(found: pa.DataType, expected: pa.DataType) -> bool:
    """Equal, or the strings that other Parquet writers make of a dictionary of strings."""
    if pa.types.is_dictionary(expected):
        return bool((found.value_type if pa.types.is_dictionary(found) else found) == pa.string())
    return bool(found == expected)


def _check_size(metadata: pq.FileMetaData, size_bytes: int, what: str) -> None:
    unpacked = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    if (
        metadata.num_rows > min(_MAX_ROWS, 1000 + _MAX_ROWS_PER_BYTE * size_bytes)
        or unpacked > _MAX_UNPACKED_BYTES
    ):
        raise HostileRepository(
            f"{what} would unpack to {metadata.num_rows} rows and {unpacked} bytes from {size_bytes} bytes",
            next_step="do not use this version; ask its owner where the inventory comes from",
        )


def _invalid(what: str, why: str) -> InvalidFile:
    return InvalidFile(
        f"{what} cannot be read: {why}", next_step="fetch it again, or ask the dataset's owner to repair it"
    )
