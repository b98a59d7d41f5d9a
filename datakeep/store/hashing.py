"""One read of a file gives both digests, and notices when the file moves under the reader.

md5 is DVC's name for the bytes; sha256 is what is trusted.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import IO, TYPE_CHECKING, Self

from datakeep.core.errors import SourceChanged, SourceUnreadable
from datakeep.formats.inventory import FileEntry
from datakeep.store.interface import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

    from datakeep.store.scan import SourceFile

_AGAIN = "re-run when the export has finished"


class Digests:
    """md5, sha256 and size of the bytes shown to it so far."""

    __slots__ = ("_md5", "_sha256", "size_bytes")

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0

    def update(self, chunk: bytes) -> None:
        """Count ``chunk`` in."""
        self._md5.update(chunk)
        self._sha256.update(chunk)
        self.size_bytes += len(chunk)

    @property
    def md5(self) -> bytes:
        """16 raw bytes."""
        return self._md5.digest()

    @property
    def sha256(self) -> bytes:
        """32 raw bytes."""
        return self._sha256.digest()


def hash_chunks(chunks: Iterable[bytes]) -> Digests:
    """The digests of all ``chunks`` together."""
    digests = Digests()
    for chunk in chunks:
        digests.update(chunk)
    return digests


def hash_file(path: Path) -> tuple[int, bytes, bytes]:
    """Size in bytes, md5 and sha256 of the regular file ``path``; a symbolic link is not followed.

    Raises:
        OSError: It cannot be read, or is not a regular file.
    """
    with open_regular(path) as file:
        digests = hash_chunks(iter(lambda: file.read(CHUNK_BYTES), b""))
    return digests.size_bytes, digests.md5, digests.sha256


def open_regular(path: Path) -> IO[bytes]:
    """``path`` opened for reading, if it is a regular file: no link is followed, no pipe waited for.

    Raises:
        OSError: It is not, or cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb", buffering=0)


class HashingReader:
    """The bytes of one source file, each read exactly once, with the digests of exactly those bytes.

    Use it as a context manager, iterate over it once, then take :attr:`entry`. The file must be, before
    and after, the one that was scanned (size, time of change, inode).

    Raises:
        SourceChanged: It is not.
        SourceUnreadable: It cannot be opened or read.
    """

    def __init__(self, source: SourceFile) -> None:
        self._source = source
        self._file: IO[bytes] | None = None
        self._digests = Digests()
        self._complete = False

    def __enter__(self) -> Self:
        try:
            self._file = open_regular(self._source.origin)
        except FileNotFoundError:
            raise self._changed("is gone") from None
        except OSError as fault:
            raise self._unreadable(fault) from fault
        try:
            self._check()
        except SourceChanged:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        if self._file is None or self._digests.size_bytes:
            raise ValueError("a source file is read once, within its context")
        while chunk := self._read():
            self._digests.update(chunk)
            if self._digests.size_bytes > self._source.size_bytes:
                raise self._changed("grew")
            yield chunk
        self._check()
        if self._digests.size_bytes != self._source.size_bytes:
            raise self._changed("shrank")
        self._complete = True

    @property
    def entry(self) -> FileEntry:
        """The file's row of the inventory.

        Raises:
            ValueError: It was not read to its end.
        """
        if not self._complete:
            raise ValueError("the file was not read to its end")
        return FileEntry(self._source.path, self._digests.size_bytes, self._digests.md5, self._digests.sha256)

    def _read(self) -> bytes:
        try:
            return self._file.read(CHUNK_BYTES) if self._file is not None else b""
        except OSError as fault:
            raise self._unreadable(fault) from fault

    def _check(self) -> None:
        found = os.fstat(self._file.fileno()) if self._file is not None else None
        expected = (self._source.size_bytes, self._source.mtime_ns, self._source.inode)
        if found is None or (found.st_size, found.st_mtime_ns, found.st_ino) != expected:
            raise self._changed("changed")

    def _changed(self, how: str) -> SourceChanged:
        return SourceChanged(f"{self._source.origin} {how} while it was read", next_step=_AGAIN)

    def _unreadable(self, fault: OSError) -> SourceUnreadable:
        return SourceUnreadable(
            f"{self._source.origin} cannot be read ({fault.strerror or fault})",
            next_step="make it readable, or leave it out, then run the same command again",
        )
