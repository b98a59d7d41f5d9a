"""What a worker does with a batch of source files: read each once, hash it, write it to every store.

It is a module of its own, apart from :mod:`datakeep.store.ingest`, because a worker process that loads no
Arrow starts in a third of the time.
"""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError, SourceChanged, SourceUnreadable
from datakeep.store.dvc_format import object_key
from datakeep.store.hashing import (
    NO_MD5,
    NO_SHA256,
    Digests,
    HashingReader,
    changed,
    md5_of,
    read_small,
    sha256_of,
)
from datakeep.store.interface import Capability
from datakeep.store.quarantine import quarantine
from datakeep.store.scan import SourceFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.store.interface import Store, Writer
    from datakeep.store.pool import Advance
    from datakeep.store.scan import SourceFile

#: A file up to this size is hashed in memory, and written only where a store lacks it.
IN_MEMORY_BYTES = 4 << 20


@dataclass(slots=True)
class Taken:
    """What became of one batch: the digests of its files, one after the other, and those that have none.

    Attributes:
        start: Where the batch begins among all files.
        md5: 16 bytes for each file of the batch.
        sha256: 32 bytes for each.
        changed: What is to be said of files that changed while they were read.
        unreadable: And of those that cannot be read.
        mended: How many damaged objects of stores were written anew.
    """

    start: int
    md5: bytearray = field(default_factory=bytearray)
    sha256: bytearray = field(default_factory=bytearray)
    changed: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    mended: int = 0


def take_batch(
    batch: Sequence[SourceFile],
    advance: Advance,
    *,
    stores: Sequence[Store],
    known: Sequence[dict[str, int] | None],
    dataset: str,
    likely_present: frozenset[int],
    mend: bool = False,
) -> Taken:
    """Every file of ``batch`` as an object in every store, durable before it has its name.

    Args:
        batch: The files.
        advance: Told of each.
        stores: Where they go.
        known: For each store its objects and their sizes, where asking for each would take too long.
        dataset: Prefix of all keys.
        likely_present: Sizes of which every store has an object already.
        mend: Read the objects that the stores have, and write those anew that are damaged.
    """
    batch = SourceFiles.of(batch)
    taken = Taken(batch.start)
    with contextlib.ExitStack() as stack:
        own = [stack.enter_context(contextlib.closing(copy.copy(store))) for store in stores]
        shelves = [
            stack.enter_context(contextlib.closing(_Shelf(store, dataset, keys, mend=mend)))
            for store, keys in zip(own, known, strict=True)
        ]
        any_key = all(Capability.ANY_KEY in store.capabilities for store in own)
        columns = zip(batch.origins, batch.sizes, batch.mtimes_ns, batch.inodes, strict=True)
        for at, (origin, size_bytes, mtime_ns, inode) in enumerate(columns):
            md5, sha256 = NO_MD5, NO_SHA256
            try:
                if size_bytes <= IN_MEMORY_BYTES:
                    data = read_small(origin, size_bytes, mtime_ns, inode)
                    md5, sha256 = md5_of(data), sha256_of(data)
                    for shelf in shelves:
                        shelf.add(data, md5)
                    advance(1, size_bytes)
                else:
                    hash_first = not any_key or size_bytes in likely_present
                    md5, sha256 = _take_big(batch[at], shelves, advance, hash_first=hash_first)
                    advance(1, 0)
            except SourceChanged as fault:
                taken.changed.append(fault.what)
            except SourceUnreadable as fault:
                taken.unreadable.append(fault.what)
            taken.md5 += md5
            taken.sha256 += sha256
        for shelf in shelves:
            shelf.commit()
            taken.mended += shelf.mended
    return taken


def _take_big(
    file: SourceFile, shelves: Sequence[_Shelf], advance: Advance, *, hash_first: bool
) -> tuple[bytes, bytes]:
    if not hash_first:
        return _stream(file, shelves, advance)
    # A store needs the key first; or every store has an object of this size, probably this one. If it is not,
    # a second read is the price.
    with HashingReader(file) as reader:
        for chunk in reader:
            advance(0, len(chunk))
        found = reader.digests
    lacking = [shelf for shelf in shelves if not shelf.has(found[0], file.size_bytes)]
    return _stream(file, lacking, advance, found) if lacking else found


def _stream(
    file: SourceFile,
    shelves: Sequence[_Shelf],
    advance: Advance,
    expected: tuple[bytes, bytes] | None = None,
) -> tuple[bytes, bytes]:
    """A file too big for the memory goes to all stores while it is read."""
    with HashingReader(file) as reader:
        writers = [shelf.begin(expected and expected[0]) for shelf in shelves]
        try:
            for chunk in reader:
                for writer in writers:
                    writer.write(chunk)
                advance(0, 0 if expected else len(chunk))
            found = reader.digests
            _require_same(found, expected, file)
            for shelf, writer in zip(shelves, writers, strict=True):
                shelf.keep(writer, found[0], file.size_bytes)
        except BaseException:
            for writer in writers:
                writer.discard()
            raise
    return found


def _require_same(found: tuple[bytes, bytes], expected: tuple[bytes, bytes] | None, file: SourceFile) -> None:
    if expected not in (None, found):
        raise changed(file.origin, "changed")


class _Shelf:
    """The objects of one batch in one store: written, then made durable together, then given their keys.

    Where there is nothing to be gained by it, each is given its key at once.
    """

    def __init__(
        self, store: Store, dataset: str, known: dict[str, int] | None, *, mend: bool = False
    ) -> None:
        self._mend = mend
        self._found_whole: set[str] = set()
        self._found_bad: set[str] = set()
        self._store = store
        self._dataset = dataset
        self._known = known
        self._syncs = Capability.SYNC in store.capabilities
        self._writers: list[Writer] = []
        self._finished: dict[str, Writer] = {}

    @property
    def mended(self) -> int:
        """How many damaged objects were written anew."""
        return len(self._found_bad)

    def key(self, md5: bytes) -> str:
        """The key of the object ``md5``."""
        return object_key(self._dataset, md5.hex())

    def has(self, md5: bytes, size_bytes: int) -> bool:
        """Whether nothing needs to be written."""
        return self._has(self.key(md5), md5, size_bytes)

    def _has(self, key: str, md5: bytes, size_bytes: int) -> bool:
        if key in self._finished:
            return True
        there = self._store.size_of(key) if self._known is None else self._known.get(key)
        return there == size_bytes and (not self._mend or self._is_whole(key, md5))

    def _is_whole(self, key: str, md5: bytes) -> bool:
        """Whether the object has the bytes of its name; a damaged one is kept elsewhere, and to be written anew."""
        if key in self._found_whole or key in self._found_bad:
            return key in self._found_whole
        digests = Digests()
        try:
            with self._store.open_read(key) as chunks:
                for chunk in chunks:
                    digests.update(chunk)
        except DatakeepError:  # what cannot be read is as good as lost
            digests = Digests()
        if digests.md5 == md5:
            self._found_whole.add(key)
            return True
        quarantine(self._store, self._dataset, key, md5.hex())
        self._found_bad.add(key)
        return False

    def begin(self, md5: bytes | None = None) -> Writer:
        """A writer that :meth:`close` discards, if it comes to nothing."""
        writer = self._store.begin(self._dataset, None if md5 is None else self.key(md5))
        self._writers.append(writer)
        return writer

    def add(self, data: bytes, md5: bytes) -> None:
        """Write ``data``, unless it is there."""
        key = self.key(md5)
        if not self._has(key, md5, len(data)):
            writer = self._store.begin_with(self._dataset, key, data)
            self._writers.append(writer)
            self._settle(writer, key, len(data))

    def keep(self, writer: Writer, md5: bytes, size_bytes: int) -> None:
        """``writer`` holds the bytes of the object ``md5``."""
        if self.has(md5, size_bytes):
            writer.discard()
        else:
            writer.finish()
            self._settle(writer, self.key(md5), size_bytes)

    def _settle(self, writer: Writer, key: str, size_bytes: int) -> None:
        if self._syncs:
            self._finished[key] = writer
            return
        writer.commit(key)
        if self._known is not None:
            self._known[key] = size_bytes

    def commit(self) -> None:
        """Make all objects durable and visible."""
        if self._finished:
            self._store.sync()
        for key, writer in self._finished.items():
            writer.commit(key)

    def close(self) -> None:
        """Discard what was not committed."""
        for writer in self._writers:
            writer.discard()
