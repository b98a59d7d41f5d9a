"""What was hashed before: a cache that saves reading files again of which nothing has changed.

One file for each folder that was hashed, below ``.datakeep/`` of the keep. It can be deleted at any time; a
damaged one counts as none; two processes that write it at once leave one of the two whole.

A file is the one that was hashed if its size, times and inode are. That says nothing of a file that changed
twice within one tick of its file system's clock, so what was young when it was hashed is not written down
(git's rule for "racy" entries); nor does it see a disk that rots. Where a file is trusted for it, the output
says so, and ``--deep`` reads all (docs/decisions/0010).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from datakeep.formats.columns import integer, integers, joined, texts
from datakeep.store.unchanged import TICK_NS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datakeep.formats.inventory import Inventory
    from datakeep.store.scan import SourceFiles

FORMAT = "datakeep/state/1"
_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("mtime_ns", pa.int64(), nullable=False),
        pa.field("ctime_ns", pa.int64(), nullable=False),
        pa.field("inode", pa.uint64(), nullable=False),
        pa.field("md5", pa.binary(16), nullable=False),
        pa.field("sha256", pa.binary(32), nullable=False),
    ],
    metadata={"format": FORMAT},
)
_STAT = ("size_bytes", "mtime_ns", "ctime_ns", "inode")


@dataclass(slots=True)
class Trusted:
    """Files that need not be read again, because nothing of them changed since they were last hashed.

    Attributes:
        positions: Which of the files; rising.
        md5: 16 bytes for each of them.
        sha256: 32 bytes for each.
        used: How many of them were then taken as they are.
    """

    positions: Sequence[int]
    md5: bytes
    sha256: bytes
    used: int = 0


class HashState:
    """What is known of the files below one folder.

    Args:
        cache: The folder of all states.
        root: The folder that was, or will be, hashed.
    """

    def __init__(self, cache: Path, root: Path) -> None:
        self._root = str(root.resolve())
        name = hashlib.sha256(os.fsencode(self._root)).hexdigest()[:32]
        self._file = cache / f"{name}.arrow"
        self._stated: tuple[SourceFiles, pa.Table] | None = None  # asked for before and after the hashing

    def trusted(self, files: SourceFiles) -> Trusted:
        """Those of ``files`` that are still the ones that were hashed."""
        table = self._read()
        now = self._stats(files)
        at = pc.index_in(now.column("path"), value_set=table.column("path").combine_chunks())
        before = table.select(_STAT).take(at)
        same = pc.is_valid(at)
        for name in _STAT:
            same = pc.and_(same, pc.equal(now.column(name), before.column(name)))
        rows = table.select(["md5", "sha256"]).take(pc.filter(at, same))
        return Trusted(
            pc.indices_nonzero(same).to_pylist(),
            joined(rows.column("md5")),
            joined(rows.column("sha256")),
        )

    def save(self, files: SourceFiles, inventory: Inventory, *, began_ns: int) -> None:
        """Write down what was hashed; a failure to do so costs time later, and is nothing else.

        Args:
            files: As they were before they were hashed.
            inventory: Their digests, in the same order.
            began_ns: The time before the first of them was read.
        """
        table = self._stats(files)
        for name in ("md5", "sha256"):
            table = table.append_column(_SCHEMA.field(name), inventory.table.column(name))
        old = pc.less(
            pc.max_element_wise(table.column("mtime_ns"), table.column("ctime_ns")),
            integer(began_ns - TICK_NS),
        )
        table = table.filter(old).select(_SCHEMA.names).cast(_SCHEMA)
        table = table.replace_schema_metadata({**(_SCHEMA.metadata or {}), b"root": os.fsencode(self._root)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        self._write(sink.getvalue())

    def _write(self, data: pa.Buffer) -> None:
        temporary = self._file.with_name(f".{self._file.name}.{secrets.token_hex(4)}")
        with contextlib.suppress(OSError):
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                with temporary.open("xb") as file:
                    file.write(hashlib.sha256(data).digest())
                    file.write(data)
                temporary.replace(self._file)
            finally:
                temporary.unlink(missing_ok=True)

    def _read(self) -> pa.Table:
        """The rows, if all of the file is as it was written, for this folder."""
        nothing = pa.Table.from_batches([], schema=_SCHEMA)
        try:
            data = self._file.read_bytes()
            if hashlib.sha256(memoryview(data)[32:]).digest() != data[:32]:
                return nothing
            table = pa.ipc.open_file(pa.py_buffer(data).slice(32)).read_all()
        except (OSError, pa.ArrowException):
            return nothing
        metadata = table.schema.metadata or {}
        ours = metadata.get(b"format") == FORMAT.encode() and metadata.get(b"root") == os.fsencode(self._root)
        return table if ours and table.schema.equals(_SCHEMA) else nothing

    def _stats(self, files: SourceFiles) -> pa.Table:
        if self._stated is None or self._stated[0] is not files:
            self._stated = (files, _stats(files))
        return self._stated[1]


def _stats(files: SourceFiles) -> pa.Table:
    return pa.table(
        {
            "path": texts(files.paths),
            "size_bytes": integers(files.sizes),
            "mtime_ns": integers(files.mtimes_ns),
            "ctime_ns": integers(files.ctimes_ns),
            "inode": integers(files.inodes, pa.uint64()),
        }
    )
