"""Taking the bytes of a dataset in: one read of each file gives both digests and a write to every store.

Crash-safe: objects are written under temporary names, one sync makes a batch of them durable, and only
then are they renamed. A kill leaves whole objects, that the next run reuses, and temporary files, that it
removes.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from datakeep.core.errors import NoSpace, SourceChanged, SourceUnreadable
from datakeep.formats.inventory import FileEntry, Inventory
from datakeep.store.dvc_format import object_key
from datakeep.store.faults import show_size
from datakeep.store.hashing import HashingReader, hash_chunks
from datakeep.store.pool import work

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.core.progress import Progress
    from datakeep.store.interface import Store, Writer
    from datakeep.store.pool import Advance
    from datakeep.store.scan import SourceFile

#: A file up to this size is hashed in memory, and written only where a store lacks it.
_IN_MEMORY_BYTES = 4 << 20


@dataclass(slots=True)
class _Taken:
    """What became of one batch."""

    entries: list[FileEntry] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def ingest(
    files: Sequence[SourceFile],
    stores: Sequence[Store],
    dataset: str,
    progress: Progress,
    workers: int | None = None,
) -> Inventory:
    """Every file as an object in every store, and their inventory; each file is read once.

    An object that a store already has, at equal size, is not written again; equal files are one object.
    On an error nothing refers to what was written; running it again goes on from there.

    Args:
        files: What :func:`~datakeep.store.scan.scan` found.
        stores: Where each object goes; at least one.
        dataset: The dataset's name, which prefixes all keys.
        progress: Told of each file.
        workers: How many processes or threads; by default what the machine has.

    Raises:
        SourceChanged: Files changed while they were read; lists all of them.
        SourceUnreadable: Files cannot be read; lists all of them.
        NoSpace: A store has no room for all files; found before the first is read, where it can be.
        AccessDenied: A store may not be written to.
        StoreMissing, StoreUnreachable, StoreUnmarked: A store is not there.
    """
    if not stores:
        raise ValueError("bytes need a store")
    for store in stores:
        store.check(writable=True)
        store.tidy(dataset)
    present = [_sizes_present(store, dataset, files) for store in stores]
    _check_space(files, stores, present)
    progress.stage("taking the bytes in", total=len(files))
    likely = frozenset(set.intersection(*(set(sizes) for sizes in present)))
    everything = _Taken()
    job = partial(_take_batch, stores=stores, dataset=dataset, likely_present=likely)
    for taken in work(job, files, progress, workers=workers):
        everything.entries += taken.entries
        everything.changed += taken.changed
        everything.unreadable += taken.unreadable
    _raise_if_bad(everything)
    for store in stores:
        store.sync()  # The bytes are durable since their batch; now their names are, too.
    return Inventory.of(everything.entries)


def put_bytes(data: bytes, stores: Sequence[Store], dataset: str, *, directory: bool = False) -> str:
    """``data`` as an object in every store, durable; returns its name: md5 in hex, ``.dir`` if a folder's.

    Raises:
        NoSpace, AccessDenied, StoreMissing, StoreUnreachable: A store cannot take it.
    """
    md5 = hash_chunks([data]).md5.hex() + (".dir" if directory else "")
    for store in stores:
        with contextlib.closing(copy.copy(store)) as own, _discarding(own.begin(dataset)) as writer:
            writer.write(data)
            writer.commit(object_key(dataset, md5))
            own.sync()
    return md5


@contextlib.contextmanager
def _discarding(writer: Writer) -> Iterator[Writer]:
    try:
        yield writer
    finally:
        writer.discard()


def _sizes_present(store: Store, dataset: str, files: Sequence[SourceFile]) -> Counter[int]:
    """How many objects of each size the store has, where knowing it can save a write or a refusal."""
    needed = sum(file.size_bytes for file in files)
    free = store.free_bytes()
    big = any(file.size_bytes > _IN_MEMORY_BYTES for file in files)
    if not big and (free is None or needed <= free):
        return Counter()
    return Counter(size_bytes for _, size_bytes in store.list(f"{dataset}/files/md5"))


def _check_space(
    files: Sequence[SourceFile], stores: Sequence[Store], present: Sequence[Counter[int]]
) -> None:
    needed: Counter[str] = Counter()
    for store, sizes in zip(stores, present, strict=True):
        # An object of a file's size is probably the file itself, of an earlier version or an interrupted run.
        wanted = Counter(file.size_bytes for file in files) - sizes
        needed[store.volume() or store.name] += sum(size * count for size, count in wanted.items())
        free = store.free_bytes()
        missing = needed[store.volume() or store.name] - (free or 0)
        if free is not None and missing > 0:
            raise NoSpace(
                f"need {show_size(missing)} more on {store}; {show_size(free)} are free there",
                next_step="make room there, or use another store, then run the same command again",
            )


def _take_batch(
    batch: Sequence[SourceFile],
    advance: Advance,
    *,
    stores: Sequence[Store],
    dataset: str,
    likely_present: frozenset[int],
) -> _Taken:
    with contextlib.ExitStack() as stack:
        own = [stack.enter_context(contextlib.closing(copy.copy(store))) for store in stores]
        shelves = [stack.enter_context(contextlib.closing(_Shelf(store, dataset))) for store in own]
        taken = _Taken()
        for file in batch:
            try:
                taken.entries.append(
                    _take(file, shelves, advance, hash_first=file.size_bytes in likely_present)
                )
            except SourceChanged as fault:
                taken.changed.append(fault.what)
            except SourceUnreadable as fault:
                taken.unreadable.append(fault.what)
            advance(1, 0)
        for shelf in shelves:
            shelf.commit()
    return taken


def _take(file: SourceFile, shelves: Sequence[_Shelf], advance: Advance, *, hash_first: bool) -> FileEntry:
    if file.size_bytes <= _IN_MEMORY_BYTES:
        with HashingReader(file) as reader:
            data = b"".join(reader)
        for shelf in shelves:
            shelf.add(data, reader.entry)
        advance(0, len(data))
        return reader.entry
    if hash_first:
        # Every store has an object of this size, probably this one; if not, a second read is the price.
        with HashingReader(file) as reader:
            for chunk in reader:
                advance(0, len(chunk))
        if all(shelf.has(reader.entry) for shelf in shelves):
            return reader.entry
    return _stream(file, shelves, advance)


def _stream(file: SourceFile, shelves: Sequence[_Shelf], advance: Advance) -> FileEntry:
    """A file too big for the memory goes to all stores while it is read."""
    with HashingReader(file) as reader:
        writers = [shelf.begin() for shelf in shelves]
        try:
            for chunk in reader:
                for writer in writers:
                    writer.write(chunk)
                advance(0, len(chunk))
            for shelf, writer in zip(shelves, writers, strict=True):
                shelf.keep(writer, reader.entry)
        except BaseException:
            for writer in writers:
                writer.discard()
            raise
    return reader.entry


class _Shelf:
    """The objects of one batch in one store: written, then made durable together, then given their keys."""

    def __init__(self, store: Store, dataset: str) -> None:
        self._store = store
        self._dataset = dataset
        self._writers: list[Writer] = []
        self._finished: dict[str, Writer] = {}

    def key(self, entry: FileEntry) -> str:
        """The key of a file's object."""
        return object_key(self._dataset, entry.md5.hex())

    def has(self, entry: FileEntry) -> bool:
        """Whether nothing needs to be written."""
        key = self.key(entry)
        return key in self._finished or self._store.size_of(key) == entry.size_bytes

    def begin(self) -> Writer:
        """A writer that :meth:`close` discards, if it comes to nothing."""
        writer = self._store.begin(self._dataset)
        self._writers.append(writer)
        return writer

    def add(self, data: bytes, entry: FileEntry) -> None:
        """Write ``data``, unless it is there."""
        if not self.has(entry):
            writer = self.begin()
            writer.write(data)
            self.keep(writer, entry)

    def keep(self, writer: Writer, entry: FileEntry) -> None:
        """``writer`` holds the bytes of ``entry``."""
        if self.has(entry):
            writer.discard()
            return
        writer.finish()
        self._finished[self.key(entry)] = writer

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


def _raise_if_bad(taken: _Taken) -> None:
    if taken.unreadable:
        raise SourceUnreadable(
            taken.unreadable[0]
            if len(taken.unreadable) == 1
            else f"{len(taken.unreadable)} files of the source cannot be read",
            next_step="make them readable (chmod), or leave them out, then run the same command again",
            things=sorted(taken.unreadable),
        )
    if taken.changed:
        raise SourceChanged(
            taken.changed[0]
            if len(taken.changed) == 1
            else f"{len(taken.changed)} files changed while they were read",
            next_step="re-run when the export has finished",
            things=sorted(taken.changed),
        )
