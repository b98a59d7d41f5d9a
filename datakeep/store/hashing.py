"""One read of a file gives both digests, and notices when the file moves under the reader.

md5 is DVC's name for the bytes; sha256 is what is trusted.
"""

from __future__ import annotations

import hashlib
import os
import queue
import stat
import threading
from typing import IO, TYPE_CHECKING, Protocol, Self

from datakeep.core.errors import SourceChanged, SourceUnreadable
from datakeep.store.interface import CHUNK_BYTES
from datakeep.store.scan import SourceFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from datakeep.formats.inventory import FileEntry
    from datakeep.store.pool import Advance
    from datakeep.store.scan import SourceFile

AGAIN = "re-run when the export has finished"
#: From this size on a file's two digests are computed at the same time, each by a thread.
BIG_BYTES = 16 << 20
_WAITING_CHUNKS = 8
#: In the place of a digest that could not be had.
NO_MD5, NO_SHA256 = bytes(16), bytes(32)


def md5_of(data: bytes) -> bytes:
    """DVC's digest of ``data``, 16 raw bytes."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def sha256_of(data: bytes) -> bytes:
    """The digest of ``data`` that is trusted, 32 raw bytes."""
    return hashlib.sha256(data).digest()


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

    def close(self) -> None:
        """No more is to come; the digests can be asked for still."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


class BigDigests(Digests):
    """The same of a big file, each digest computed by a thread of its own; to be closed in the end."""

    __slots__ = ("_lines", "_threads")

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[queue.Queue[bytes]] = []
        self._threads: list[threading.Thread] = []
        for one in (self._md5, self._sha256):
            line: queue.Queue[bytes] = queue.Queue(_WAITING_CHUNKS)
            thread = threading.Thread(target=_update_all, args=(one, line), daemon=True)
            thread.start()
            self._lines.append(line)
            self._threads.append(thread)

    def update(self, chunk: bytes) -> None:
        """Count ``chunk``, which is not empty, in; waits while the digests are far behind."""
        for line in self._lines:
            line.put(chunk)
        self.size_bytes += len(chunk)

    @property
    def md5(self) -> bytes:
        """16 raw bytes."""
        self.close()
        return super().md5

    @property
    def sha256(self) -> bytes:
        """32 raw bytes."""
        self.close()
        return super().sha256

    def close(self) -> None:
        """See :meth:`Digests.close`."""
        for line, thread in zip(self._lines, self._threads, strict=True):
            line.put(b"")
            thread.join()
        self._lines, self._threads = [], []


def _update_all(one: _Hash, line: queue.Queue[bytes]) -> None:
    while chunk := line.get():
        one.update(chunk)


def digests_for(size_bytes: int) -> Digests:
    """What computes the digests of so many bytes soonest."""
    return BigDigests() if size_bytes >= BIG_BYTES else Digests()


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


def read_small(origin: str, size_bytes: int, mtime_ns: int, inode: int) -> bytes:
    """All bytes of a small source file, in as few calls as can be; the file must be the one scanned.

    Args:
        origin: Where it lies.
        size_bytes: As the scan found it, and so on.
        mtime_ns: When it was changed.
        inode: Of the file.

    Raises:
        SourceChanged: It is another one, or changed while it was read.
        SourceUnreadable: It cannot be opened or read.
    """
    expected = (size_bytes, mtime_ns, inode)
    try:
        descriptor = os.open(origin, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise OSError("it is not a regular file")
            # One byte more than there should be tells that it grew.
            data = os.read(descriptor, size_bytes + 1)
            while 0 < len(data) < size_bytes and (more := os.read(descriptor, size_bytes + 1 - len(data))):
                data += more
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise changed(origin, "vanished") from None
    except OSError as fault:
        raise _unreadable(origin, fault) from fault
    if (before.st_size, before.st_mtime_ns, before.st_ino) != expected or len(data) != size_bytes:
        raise changed(origin, "changed")
    if (after.st_size, after.st_mtime_ns, after.st_ino) != expected:
        raise changed(origin, "changed")
    return data


def hash_batch(batch: Sequence[SourceFile], advance: Advance, /) -> tuple[int, bytes]:
    """Where ``batch`` begins, and the sha256 of each of its files; zeros for one that cannot be read whole."""
    batch = SourceFiles.of(batch)
    found = bytearray()
    for origin, size_bytes in zip(batch.origins, batch.sizes, strict=True):
        try:
            found += _sha256_at(origin, size_bytes)
        except OSError:
            found += NO_SHA256
        advance(1, size_bytes)
    return batch.start, bytes(found)


def _sha256_at(origin: str, size_bytes: int) -> bytes:
    descriptor = os.open(origin, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return NO_SHA256
        # One byte more than there should be tells that it grew.
        data = os.read(descriptor, min(size_bytes, CHUNK_BYTES) + 1)
        digest, total = hashlib.sha256(data), len(data)
        while total < size_bytes and (data := os.read(descriptor, CHUNK_BYTES)):
            digest.update(data)
            total += len(data)
    finally:
        os.close(descriptor)
    return digest.digest() if total == size_bytes else NO_SHA256


def changed(origin: str | Path, how: str) -> SourceChanged:
    """The condition that the source file ``origin`` moved under its reader."""
    return SourceChanged(f"{origin} {how} while it was read", next_step=AGAIN)


def _unreadable(origin: str | Path, fault: OSError) -> SourceUnreadable:
    return SourceUnreadable(
        f"{origin} cannot be read ({fault.strerror or fault})",
        next_step="make it readable, or leave it out, then run the same command again",
    )


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
        self._digests = digests_for(source.size_bytes)
        self._complete = False

    def __enter__(self) -> Self:
        try:
            self._file = open_regular(self._source.origin)
        except FileNotFoundError:
            self._digests.close()
            raise changed(self._source.origin, "vanished") from None
        except OSError as fault:
            self._digests.close()
            raise _unreadable(self._source.origin, fault) from fault
        try:
            self._check()
        except SourceChanged:
            self._digests.close()
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._digests.close()
        if self._file is not None:
            self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        if self._file is None or self._digests.size_bytes:
            raise ValueError("a source file is read once, within its context")
        while chunk := self._read():
            self._digests.update(chunk)
            if self._digests.size_bytes > self._source.size_bytes:
                raise changed(self._source.origin, "grew")
            yield chunk
        self._check()
        if self._digests.size_bytes != self._source.size_bytes:
            raise changed(self._source.origin, "shrank")
        self._complete = True

    @property
    def entry(self) -> FileEntry:
        """The file's row of the inventory.

        Raises:
            ValueError: It was not read to its end.
        """
        # Arrow is not loaded for it: most processes that hash have no use for the inventory itself.
        from datakeep.formats.inventory import FileEntry

        md5, sha256 = self.digests
        return FileEntry(self._source.path, self._digests.size_bytes, md5, sha256)

    def _read(self) -> bytes:
        try:
            return self._file.read(CHUNK_BYTES) if self._file is not None else b""
        except OSError as fault:
            raise _unreadable(self._source.origin, fault) from fault

    def _check(self) -> None:
        found = os.fstat(self._file.fileno()) if self._file is not None else None
        expected = (self._source.size_bytes, self._source.mtime_ns, self._source.inode)
        if found is None or (found.st_size, found.st_mtime_ns, found.st_ino) != expected:
            raise changed(self._source.origin, "changed")

    @property
    def digests(self) -> tuple[bytes, bytes]:
        """md5 and sha256 of the file.

        Raises:
            ValueError: It was not read to its end.
        """
        if not self._complete:
            raise ValueError("the file was not read to its end")
        return self._digests.md5, self._digests.sha256
