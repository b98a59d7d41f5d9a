"""Taking the bytes of a dataset in: one read of each file gives both digests and a write to every store.

Crash-safe: objects are written under temporary names, one sync makes a batch of them durable, and only
then are they renamed; in a bucket each is durable when its upload ends. A kill leaves whole objects, that the
next run reuses, and temporary files, that it removes.

A large file on its way to a bucket is read twice: an upload needs its key, the md5, before its first byte.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import NoSpace, SourceChanged, SourceUnreadable
from datakeep.formats.inventory import Inventory
from datakeep.store.dvc_format import object_key
from datakeep.store.faults import show_size
from datakeep.store.hashing import AGAIN, hash_chunks
from datakeep.store.interface import Capability
from datakeep.store.pool import work
from datakeep.store.present import connections_to, listed
from datakeep.store.quarantine import QUARANTINE
from datakeep.store.scan import SourceFiles
from datakeep.store.taking import IN_MEMORY_BYTES, take_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.core.progress import Progress
    from datakeep.store.interface import Store, Writer
    from datakeep.store.scan import SourceFile
    from datakeep.store.state import Trusted


def ingest(
    files: Sequence[SourceFile],
    stores: Sequence[Store],
    dataset: str,
    progress: Progress,
    workers: int | None = None,
    *,
    trusted: Trusted | None = None,
    mend: bool = False,
) -> Inventory:
    """Every file as an object in every store, and their inventory; each file is read once.

    An object that a store already has, at equal size, is not written again; equal files are one object.
    On an error nothing refers to what was written; running it again goes on from there.

    Args:
        files: What :func:`~datakeep.store.scan.scan` found.
        stores: Where each object goes; at least one.
        dataset: The dataset's name, which prefixes all keys.
        progress: Told of each file.
        workers: How many processes or threads; by default what the machine has, and for far stores what they
            take.
        trusted: Files whose digests are known; one is read all the same where a store lacks its object.
        mend: Also read the objects that the stores have, and write those anew that are damaged.

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
    columns = SourceFiles.of(files)
    progress.stage("taking the bytes in", total=len(columns))
    known = [listed(store, dataset, len(columns)) for store in stores]
    result = _Result.of(len(columns))
    if trusted is not None:
        _take_trusted(columns, stores, known, dataset, trusted, result)
        progress.advance(trusted.used)
    todo = columns.take(result.left) if trusted is not None and trusted.used else columns
    present = [_sizes_present(store, dataset, todo, keys) for store, keys in zip(stores, known, strict=True)]
    _check_space(todo, stores, present)
    mended = _take_all(todo, stores, known, dataset, present, result, progress, workers, mend=mend)
    if mended:
        progress.warn(
            f"{counted(mended, 'object')} of the stores had other bytes than their names say, and "
            f"{'was' if mended == 1 else 'were'} written anew; the bad bytes are kept in {dataset}/{QUARANTINE}"
        )
    for store in stores:
        store.sync()  # The bytes are durable since their batch; now their names are, too.
    return Inventory.of_columns(columns.paths, columns.sizes, result.md5, result.sha256)


@dataclass(slots=True)
class _Result:
    """The digests of all files, one after the other, and the files that have none yet."""

    md5: bytearray
    sha256: bytearray
    left: Sequence[int]

    @classmethod
    def of(cls, count: int) -> _Result:
        return cls(bytearray(16 * count), bytearray(32 * count), range(count))

    def put(self, at: int, md5: bytes | bytearray, sha256: bytes | bytearray) -> None:
        self.md5[16 * at : 16 * at + 16] = md5
        self.sha256[32 * at : 32 * at + 32] = sha256


def _take_trusted(
    files: SourceFiles,
    stores: Sequence[Store],
    known: Sequence[dict[str, int] | None],
    dataset: str,
    trusted: Trusted,
    result: _Result,
) -> None:
    """Write down what is trusted, as far as every store is known to have the object, at its size."""
    names = trusted.md5.hex()
    keys = [object_key(dataset, names[at : at + 32]) for at in range(0, len(names), 32)]
    wanted = [files.sizes[at] for at in trusted.positions]
    has_all = [True] * len(keys)
    for store, there in zip(stores, known, strict=True):
        sizes = store.sizes_of(keys) if there is None else map(there.get, keys)
        has_all = [yes and size == one for yes, size, one in zip(has_all, sizes, wanted, strict=True)]
    is_left = bytearray(b"\1") * len(files)
    for number, at in enumerate(trusted.positions):
        if has_all[number]:
            is_left[at] = 0
            result.md5[16 * at : 16 * at + 16] = trusted.md5[16 * number : 16 * number + 16]
            result.sha256[32 * at : 32 * at + 32] = trusted.sha256[32 * number : 32 * number + 32]
    result.left = [at for at, left in enumerate(is_left) if left]
    trusted.used = len(files) - len(result.left)


def _take_all(
    files: SourceFiles,
    stores: Sequence[Store],
    known: Sequence[dict[str, int] | None],
    dataset: str,
    present: Sequence[Counter[int]],
    result: _Result,
    progress: Progress,
    workers: int | None,
    *,
    mend: bool,
) -> int:
    """How many damaged objects were written anew."""
    connections = connections_to(stores)
    users = min(connections or 1, len(files) or 1)
    for store in stores:
        store.close()
    job = partial(
        take_batch,
        stores=[store.shared(users) for store in stores],
        known=known,
        dataset=dataset,
        likely_present=frozenset(set.intersection(*(set(sizes) for sizes in present))),
        mend=mend,
    )
    mended = 0
    changed: list[str] = []
    unreadable: list[str] = []
    for taken in work(job, files, progress, workers=workers, connections=connections, sizes=files.sizes):
        changed += taken.changed
        unreadable += taken.unreadable
        mended += taken.mended
        for number in range(len(taken.md5) // 16):
            result.put(
                result.left[taken.start + number],
                taken.md5[16 * number : 16 * number + 16],
                taken.sha256[32 * number : 32 * number + 32],
            )
    _raise_if_bad(changed, unreadable)
    return mended


def put_bytes(data: bytes, stores: Sequence[Store], dataset: str, *, directory: bool = False) -> str:
    """``data`` as an object in every store, durable; returns its name: md5 in hex, ``.dir`` if a folder's.

    Raises:
        NoSpace, AccessDenied, StoreMissing, StoreUnreachable: A store cannot take it.
    """
    md5 = hash_chunks([data]).md5.hex() + (".dir" if directory else "")
    for store in stores:
        key = object_key(dataset, md5)
        with contextlib.closing(copy.copy(store)) as own, _discarding(own.begin(dataset, key)) as writer:
            writer.write(data)
            writer.commit(key)
            own.sync()
    return md5


@contextlib.contextmanager
def _discarding(writer: Writer) -> Iterator[Writer]:
    try:
        yield writer
    finally:
        writer.discard()


def _sizes_present(
    store: Store, dataset: str, files: SourceFiles, keys: dict[str, int] | None
) -> Counter[int]:
    """How many objects of each size the store has, where knowing it can save a write or a refusal."""
    if Capability.LOCAL not in store.capabilities:
        return Counter((keys or {}).values())
    needed = sum(files.sizes)
    free = store.free_bytes()
    big = max(files.sizes, default=0) > IN_MEMORY_BYTES
    if not big and (free is None or needed <= free):
        return Counter()
    return Counter(size_bytes for _, size_bytes in store.list(f"{dataset}/files/md5"))


def _check_space(files: SourceFiles, stores: Sequence[Store], present: Sequence[Counter[int]]) -> None:
    needed: Counter[str] = Counter()
    for store, sizes in zip(stores, present, strict=True):
        # An object of a file's size is probably the file itself, of an earlier version or an interrupted run.
        wanted = Counter(files.sizes) - sizes
        needed[store.volume() or store.name] += sum(size * count for size, count in wanted.items())
        free = store.free_bytes()
        asked = needed[store.volume() or store.name]
        if free is not None and asked > free:
            raise NoSpace(
                f"need {show_size(asked - free)} more on {store}: "
                f"{show_size(asked)} are needed, {show_size(free)} are free",
                next_step="make room there, or use another store, then run the same command again",
            )


def _raise_if_bad(changed: Sequence[str], unreadable: Sequence[str]) -> None:
    if unreadable:
        raise SourceUnreadable(
            unreadable[0]
            if len(unreadable) == 1
            else f"{len(unreadable)} files of the source cannot be read",
            next_step="make them readable (chmod), or leave them out, then run the same command again",
            things=sorted(unreadable),
        )
    if changed:
        raise SourceChanged(
            changed[0] if len(changed) == 1 else f"{len(changed)} files changed while they were read",
            next_step=AGAIN,
            things=sorted(changed),
        )
