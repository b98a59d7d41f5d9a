"""The rows of a query as Parquet files: in constant memory, and whole or not at all.

The same rows give the same bytes, however the driver cut them into batches: row groups are cut by rows, or by the
bytes of rows where those are large, and nothing of the day or the machine is written.
"""

from __future__ import annotations

import errno
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import AccessDenied, AlreadyExists, DatakeepError, NoSpace, SourceFault
from datakeep.core.interrupts import deferred
from datakeep.extract.sql.behind import Behind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from datakeep.core.progress import Progress
    from datakeep.extract.counting import Counting
    from datakeep.extract.sql.interface import Result

PART_BYTES = 256 << 20
ROW_GROUP_ROWS = 262_144
#: A row group of long values is cut earlier, so that one never takes much more memory than this.
_ROW_GROUP_BYTES = 48 << 20
_FALSE_POSITIVES = 0.01
#: Arrow holds a file's Bloom filters until the file is closed: so a file ends where they take so much, but never
#: before it has a few row groups.
_BLOOM_BYTES = 16 << 20
_LEAST_GROUPS = 4
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
#: What columns that rows are looked up by are called, as words of a name in snake or camel case.
_ID_WORDS = re.compile(
    r"ids?|uuid|guid|key|[pf]k|hash|md5|sha(1|256|512)|email|isbn|ean|sku|vin|imei|iban|serial|barcode|tailnum"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+[0-9]*|[0-9]+|[^\W\dA-Za-z_]+")


@dataclass(frozen=True, slots=True)
class Parts:
    """The files of one result.

    Attributes:
        files: In the order of the rows.
        rows: Of all.
        size_bytes: Of all.
        schema: Arrow's, of each.
        bloom: The columns that have Bloom filters.
    """

    files: tuple[Path, ...]
    rows: int
    size_bytes: int
    schema: Any
    bloom: tuple[str, ...] = ()


def write_parts(
    result: Result,
    folder: Path,
    *,
    name: str = "part",
    progress: Progress,
    keys: Collection[str] = (),
    part_bytes: int = PART_BYTES,
    row_group_rows: int = ROW_GROUP_ROWS,
    shown: Path | None = None,
    watch: Callable[[Any], None] | None = None,
    counting: Counting | None = None,
) -> Parts:
    """Write every row of ``result`` to ``folder/NAME-00001.parquet`` and, above ``part_bytes`` each, further ones.

    A file with Bloom filters ends earlier where those would take too much memory: 8.4 million rows with one of them.

    zstd, with statistics and an index of pages, Bloom filters for ``keys`` and columns that look like one
    (:func:`bloom_columns`), and a dictionary for each column but those in which all values differ. No row at all is
    one file without rows.

    Args:
        result: Read once, to its end.
        folder: Is there already. After any error, and after Ctrl-C, nothing of this call is left in it.
        name: Of the files.
        progress: Told of a stage ``extracting rows``, in rows and their bytes in memory.
        keys: Columns that are known to be keys.
        part_bytes: A file ends with the row group that brings it to this size, if not before.
        row_group_rows: At most so many rows lie in one row group.
        shown: What the folder is called in messages: one that is taken away again says nothing to anybody.
        watch: Called with each batch of rows, in their order.
        counting: Counts the rows meanwhile, for a profile; it is of no use after an error.

    Raises:
        NoSpace: The disk is full.
        AccessDenied: The folder cannot be written to.
        AlreadyExists: A part of this name is there already.
        SourceFault: The folder fails in another way.
        DatakeepError: What reading the rows raises, as it is.
    """
    import pyarrow as pa

    if any(folder.glob(f"{name}-*.parquet")):
        raise AlreadyExists(
            f"{folder} has files of the name {name} already", next_step="choose an empty folder"
        )
    bloom = bloom_columns([field.name for field in result.schema if _can_bloom(field.type)], keys)
    progress.stage("extracting rows", unit="rows")
    # Between row groups: what was freed lies in pieces, which would be more with every group.
    give_back = pa.default_memory_pool().release_unused
    part_groups = _part_groups(bloom, row_group_rows)
    writer = _Writer(folder, name, result.schema, bloom, part_bytes, row_group_rows, part_groups)
    writing = Behind(writer.write)
    profiling: Behind[Callable[[], None]] = Behind(lambda call: call())
    if counting:
        counting.begin(result.schema)
    try:
        for group in _groups(_told(result, progress, watch), result.schema, row_group_rows):
            writing.settle()
            give_back()
            if counting:
                profiling.put(partial(counting.add, group, new_file=writer.is_between))
            writing.put(group)
            del group  # the next one is collected while this one is written, and goes when it is
        if counting:
            profiling.put(counting.end)
        writing.settle()
        profiling.settle()
        return writer.finished()
    except OSError as error:
        raise _disk_fault(error, shown or folder) from error
    finally:
        with deferred():  # a second Ctrl-C does not take the files from under the thread that writes
            writing.leave()
            profiling.leave()
        writer.discard()


def bloom_columns(columns: Sequence[str], keys: Collection[str] = ()) -> tuple[str, ...]:
    """Those of ``columns`` by which rows are looked up: the ``keys``, and all that are called like one.

    ``customer_id``, ``orderId``, ``UUID`` and ``sha256`` are; ``valid`` and ``keyboard`` are not.
    """
    return tuple(
        column for column in columns if column in keys or any(map(_ID_WORDS.fullmatch, _words(column)))
    )


def _part_groups(bloom: Sequence[str], row_group_rows: int) -> int | None:
    """At most so many row groups may lie in one file; None is any number."""
    if not bloom:
        return None
    # By the format's specification, and rounded up to a power of two.
    bits = -8 * row_group_rows / math.log(1 - _FALSE_POSITIVES ** (1 / 8))
    filter_bytes = 1 << max(5, math.ceil(math.log2(bits / 8)))
    return max(_LEAST_GROUPS, _BLOOM_BYTES // (filter_bytes * len(bloom)))


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _can_bloom(kind: Any) -> bool:
    """Nested values and booleans have no Bloom filter in Parquet."""
    import pyarrow.types as kinds

    return not (kinds.is_nested(kind) or kinds.is_boolean(kind) or kinds.is_null(kind))


def _told(result: Result, progress: Progress, watch: Callable[[Any], None] | None) -> Iterator[Any]:
    for batch in result.batches():
        if watch is not None:
            watch(batch)
        yield batch
        progress.advance(batch.num_rows, size_bytes=batch.nbytes)


def _groups(batches: Iterator[Any], schema: Any, most_rows: int) -> Iterator[Any]:
    """The rows of all ``batches`` as one table for each row group; the cuts depend on the rows alone."""
    import pyarrow as pa

    held: list[Any] = []
    rows = size_bytes = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        size_bytes += batch.nbytes
        while rows >= most_rows or size_bytes >= _ROW_GROUP_BYTES:
            table = pa.Table.from_batches(held, schema)
            group = [table.slice(0, most_rows).combine_chunks()]
            if (
                rows < most_rows and group[0].nbytes < _ROW_GROUP_BYTES
            ):  # together they take less than one by one
                held, size_bytes = group[0].to_batches(), group[0].nbytes
                break
            count = _rows_within(group[0], most_rows)
            rest = table.slice(count)
            held, rows, size_bytes = rest.to_batches(), rest.num_rows, rest.nbytes
            del table, rest
            group = [group.pop().slice(0, count)]
            yield group.pop()  # nothing here holds a row group that was written
    if rows:
        yield pa.Table.from_batches(held, schema).combine_chunks()


def _rows_within(table: Any, most_rows: int) -> int:
    """How many of the first rows fill a row group: so many, or as have so many bytes; at least one."""
    high: int = min(table.num_rows, most_rows)
    if table.slice(0, high).nbytes < _ROW_GROUP_BYTES:
        return high
    low = 1
    while low < high:
        middle = (low + high) // 2
        if table.slice(0, middle).nbytes >= _ROW_GROUP_BYTES:
            high = middle
        else:
            low = middle + 1
    return low


@dataclass
class _Writer:
    """Writes row groups into files with temporary names, which all get their own at the end."""

    folder: Path
    name: str
    schema: Any
    bloom: tuple[str, ...]
    part_bytes: int
    row_group_rows: int
    part_groups: int | None
    rows: int = 0
    _groups: int = 0
    _open: Any = None
    _sink: Any = None
    _written: list[Path] = field(default_factory=list)
    _named: list[Path] = field(default_factory=list)

    @property
    def is_between(self) -> bool:
        """Whether the next row group begins a file."""
        return self._open is None

    def write(self, group: Any) -> None:
        if self._open is None:
            self._begin(group)
        self._open.write_table(group, row_group_size=self.row_group_rows)
        self.rows += group.num_rows
        self._groups += 1
        if self._sink.tell() >= self.part_bytes or self._groups == self.part_groups:
            self._end()

    def finished(self) -> Parts:
        if not self._written:
            self._begin(self.schema.empty_table())
        self._end()
        size_bytes = sum(path.stat().st_size for path in self._written)
        with deferred() as interrupted:
            for number, path in enumerate(self._written, 1):
                self._named.append(self.folder / f"{self.name}-{number:05d}.parquet")
                path.rename(self._named[-1])
            if interrupted():
                raise KeyboardInterrupt
            files = tuple(self._named)
            self._written, self._named = [], []
        return Parts(files, self.rows, size_bytes, self.schema, self.bloom)

    def discard(self) -> None:
        """Remove what is not finished; nothing after :meth:`finished`."""
        import pyarrow as pa

        with deferred():
            with suppress(OSError, pa.ArrowException):  # the disk may still be full; the file goes anyway
                self._end()
            for path in (*self._written, *self._named):
                path.unlink(missing_ok=True)
            self._written, self._named = [], []

    def _begin(self, group: Any) -> None:
        import pyarrow.parquet as pq

        from datakeep.extract.sql.distinct_columns import encoding

        path = self.folder / f".datakeep-{self.name}-{len(self._written) + 1:05d}.parquet"
        self._written.append(path)
        self._groups = 0
        self._sink = path.open("wb")
        self._open = pq.ParquetWriter(
            self._sink,
            self.schema,
            compression="zstd",
            write_page_index=True,
            write_page_checksum=True,
            bloom_filter_options={
                column: {"ndv": self.row_group_rows, "fpp": _FALSE_POSITIVES} for column in self.bloom
            }
            or None,
            **encoding(group, self.schema),
        )

    def _end(self) -> None:
        writer, sink, self._open, self._sink = self._open, self._sink, None, None
        try:
            if writer is not None:
                writer.close()
        finally:
            if sink is not None:
                sink.close()


def _disk_fault(error: OSError, folder: Path) -> DatakeepError:
    why = error.strerror or str(error)
    if error.errno in NoSpace.errnos:
        return NoSpace(
            f"{folder} has no room for the rows of the query ({why}); nothing of them was left there",
            next_step="make room there, or name another folder for temporary files in TMPDIR, and run it again",
        )
    if error.errno in _DENIED:
        return AccessDenied(
            f"the rows of the query cannot be written to {folder}: {why}",
            next_step="make the folder writable to you, and run it again",
        )
    return SourceFault(
        f"the rows of the query cannot be written to {folder}: {why}",
        next_step="check the disk, and run it again",
    )
