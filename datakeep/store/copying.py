"""Filling a store, or a checkout's DVC cache, with objects that exist already: each is hashed on the way.

An object that lies in the target is no copy until its bytes were read and found right.
"""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError, NoSpace
from datakeep.store.dvc_format import object_key
from datakeep.store.faults import show_size
from datakeep.store.hashing import Digests, hash_chunks
from datakeep.store.interface import ObjectMissing
from datakeep.store.pool import work
from datakeep.store.present import connections_to, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from datakeep.core.progress import Progress
    from datakeep.formats.inventory import FileEntry, Inventory
    from datakeep.store.interface import Store
    from datakeep.store.pool import Advance

#: Linux's ioctl for a copy that shares its blocks until one of the two changes.
#: DVC takes a cache file of this mode for checked; what is put there was.


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What became of the objects of one version.

    Attributes:
        copied: How many objects were written.
        present: How many were there before, every byte read and found right.
        size_bytes: Of those written.
        unavailable: Paths that no source had whole, each with what is wrong.
    """

    copied: int
    present: int
    size_bytes: int
    unavailable: tuple[str, ...]


@dataclass(slots=True)
class _Copied:
    copied: int = 0
    present: int = 0
    size_bytes: int = 0
    unavailable: list[str] = field(default_factory=list)


def copy_objects(
    inventory: Inventory, sources: Sequence[Store], target: Store, dataset: str, progress: Progress
) -> CopyReport:
    """Every object of a version in ``target``, each one hashed there or on its way; else it is named.

    Args:
        inventory: What the version holds.
        sources: Asked in this order.
        target: Where the objects go.
        dataset: The dataset's name, which prefixes all keys.
        progress: Told of each object.

    Raises:
        NoSpace, AccessDenied, StoreUnreachable: Of the target.
    """
    wanted = list({(entry.md5, entry.sha256): entry for entry in inventory.files}.values())
    target.tidy(dataset)
    _check_space(wanted, target, dataset)
    known = listed(target, dataset, len(wanted))
    for store in (target, *sources):
        store.close()
    connections = connections_to([target, *sources[:1]])
    shared = target.shared(min(connections or 1, len(wanted) or 1))
    progress.stage(f"copying {dataset} to {target.name}", total=len(wanted), unit="objects")
    total = _Copied()
    job = partial(_copy_batch, sources=sources, target=shared, known=known, dataset=dataset)
    for done in work(job, wanted, progress, connections=connections):
        total.copied += done.copied
        total.present += done.present
        total.size_bytes += done.size_bytes
        total.unavailable += done.unavailable
    return CopyReport(total.copied, total.present, total.size_bytes, tuple(sorted(total.unavailable)))


def _check_space(wanted: Sequence[FileEntry], target: Store, dataset: str) -> None:
    free = target.free_bytes()
    if free is None or sum(entry.size_bytes for entry in wanted) <= free:
        return
    there = dict(target.list(f"{dataset}/files/md5"))
    missing = sum(
        entry.size_bytes
        for entry in wanted
        if there.get(object_key(dataset, entry.md5.hex())) != entry.size_bytes
    )
    if missing > free:
        raise NoSpace(
            f"need {show_size(missing - free)} more on {target}: "
            f"{show_size(missing)} are needed, {show_size(free)} are free",
            next_step="make room there, or choose another place, then run the same command again",
        )


def _copy_batch(
    batch: Sequence[FileEntry],
    advance: Advance,
    *,
    sources: Sequence[Store],
    target: Store,
    known: dict[str, int] | None,
    dataset: str,
) -> _Copied:
    done = _Copied()
    with contextlib.ExitStack() as stack:
        own = stack.enter_context(contextlib.closing(copy.copy(target)))
        others = [stack.enter_context(contextlib.closing(copy.copy(source))) for source in sources]
        for entry in batch:
            if _is_whole(own, entry, dataset, known):
                done.present += 1
            elif faults := _copy(entry, others, own, dataset):
                done.unavailable.append(f"{entry.path}: {'; '.join(faults)}")
            else:
                done.copied += 1
                done.size_bytes += entry.size_bytes
            advance(1, entry.size_bytes)
        own.sync()
    return done


def _is_whole(store: Store, entry: FileEntry, dataset: str, known: dict[str, int] | None) -> bool:
    key = object_key(dataset, entry.md5.hex())
    if (store.size_of(key) if known is None else known.get(key)) != entry.size_bytes:
        return False
    with store.open_read(key) as chunks:
        return _fits(hash_chunks(chunks), entry)


def _fits(digests: Digests, entry: FileEntry) -> bool:
    return (digests.size_bytes, digests.md5, digests.sha256) == (entry.size_bytes, entry.md5, entry.sha256)


def _copy(entry: FileEntry, sources: Sequence[Store], target: Store, dataset: str) -> list[str]:
    """What was wrong with every source; nothing once the target has the object."""
    faults: list[str] = []
    key = object_key(dataset, entry.md5.hex())
    for source in sources:
        writer = target.begin(dataset, key)
        try:
            if fault := _read_into(entry, source, key, writer.write):
                faults.append(f"{source.name}: {fault}")
                continue
            writer.finish()
            writer.commit(key)
            return []
        finally:
            writer.discard()
    return faults or ["there is no other store to copy it from"]


def _read_into(entry: FileEntry, source: Store, key: str, write: Callable[[bytes], object]) -> str | None:
    """Why ``source`` does not have the object whole; None if it was written as it should be.

    What ``write`` raises is the target's fault and passes through.
    """
    digests = Digests()
    with contextlib.ExitStack() as opened:
        chunks: Iterator[bytes] | None = None
        while True:
            try:
                chunks = chunks or opened.enter_context(source.open_read(key))
                chunk = next(chunks, None)
            except ObjectMissing:
                return "missing"
            except DatakeepError as fault:
                return fault.what
            if chunk is None:
                break
            digests.update(chunk)
            if digests.size_bytes > entry.size_bytes:
                return "it is larger than registered"
            write(chunk)
    return None if _fits(digests, entry) else "its bytes are other than those that were registered"
