"""Getting a version's bytes out of its stores, believing nothing that was not hashed here.

A file gets its name only when its size, md5 and sha256 are right. A fetch that was killed goes on: the files
that it left are hashed like any other, and asked of no store again where they are right.
"""

from __future__ import annotations

import contextlib
import copy
import os
import secrets
import shutil
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError, UnsafePath
from datakeep.store.blocks import write_all
from datakeep.store.dvc_format import object_key
from datakeep.store.faults import folder_faults, require_space
from datakeep.store.hashing import Digests, digests_for, md5_of, sha256_of
from datakeep.store.interface import CHUNK_BYTES, Capability, Store
from datakeep.store.pool import work
from datakeep.store.present import connections_to
from datakeep.store.verified import Mismatch, ObjectFault, fault_of, other_bytes, read, usable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.core.progress import Progress
    from datakeep.formats.inventory import Inventory
    from datakeep.store.pool import Advance

_SCRATCH = ".datakeep-fetch-"
_ATTEMPTS = 2
#: So many objects are listed one by one in memory.
_AT_ONCE = 131_072
#: An object up to this size is verified in memory, before anything is written.
_IN_MEMORY_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What a fetch got, from where, and what was wrong on the way.

    Attributes:
        objects: How many distinct objects were got and found right.
        size_bytes: Their size.
        by_store: How many of them each store gave.
        faults: Every bad copy that was met, even where another store had a good one.
        unavailable: Paths that no store could give; empty if and only if everything is there.
        stores_down: Stores that could not be used at all, and why.
        kept: How many objects an interrupted fetch had left, and were read and found right.
        shared: How many share their blocks with a store, as clones or, where asked for, hard links.
    """

    objects: int
    size_bytes: int
    by_store: dict[str, int]
    faults: list[ObjectFault]
    unavailable: list[str]
    stores_down: dict[str, str]
    kept: int = 0
    shared: int = 0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One object, and every path that it becomes; without Arrow, which would slow the start of each worker."""

    size_bytes: int
    md5: bytes
    sha256: bytes
    paths: tuple[str, ...]


@dataclass(slots=True)
class _Got:
    """What became of one batch."""

    by_store: Counter[str] = field(default_factory=Counter)
    size_bytes: int = 0
    faults: list[ObjectFault] = field(default_factory=list)
    unavailable: list[str] = field(default_factory=list)
    kept: int = 0
    shared: int = 0


def fetch(
    inventory: Inventory,
    stores: Sequence[Store],
    dataset: str,
    destination: Path,
    progress: Progress,
    *,
    hard_links: bool = False,
) -> FetchReport:
    """Every file of ``inventory`` in ``destination``, each one verified; nothing is written outside of it.

    Args:
        inventory: What to get; its paths are safe (see :meth:`Inventory.from_bytes`).
        stores: Asked in this order.
        dataset: The dataset's name, which prefixes all keys.
        destination: A folder; made if missing. Files of the same names in it are replaced, unless they are right.
        progress: Told of each file.
        hard_links: Where a store's file system allows it, files are its very objects, read-only.

    Raises:
        StoreUnreachable, AccessDenied: No store can be used; the first one's reason.
        NoSpace: The destination has no room.
        UnsafePath: A folder on the way to a file is a symbolic link, or a file.
    """
    able, down = usable(stores)
    # The first one is asked for nearly everything.
    connections = connections_to(able[:1])
    for store in able:
        store.close()
    with folder_faults(destination, "write to it"):
        destination.mkdir(parents=True, exist_ok=True)
        for leftover in destination.glob(_SCRATCH + "*"):
            shutil.rmtree(leftover)
        resuming = any(destination.iterdir())
        if not resuming:
            require_space(inventory.size_bytes, [destination])
        scratch = destination / (_SCRATCH + secrets.token_hex(8))
        scratch.mkdir()
    try:
        progress.stage("fetching", total=len(inventory))
        job = partial(
            _fetch_batch, stores=able, dataset=dataset, destination=destination, scratch=scratch,
            resuming=resuming, hard_links=hard_links,
        )  # fmt: skip
        total = _Got()
        for wanted in _wanted(inventory):
            sizes = [one.size_bytes for one in wanted]
            for got in work(job, wanted, progress, connections=connections, sizes=sizes):
                total.by_store += got.by_store
                total.size_bytes += got.size_bytes
                total.faults += got.faults
                total.unavailable += got.unavailable
                total.kept += got.kept
                total.shared += got.shared
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return FetchReport(
        objects=total.by_store.total() + total.kept,
        size_bytes=total.size_bytes,
        by_store=dict(total.by_store),
        faults=sorted(total.faults, key=lambda fault: (fault.path, fault.store)),
        unavailable=sorted(total.unavailable),
        stores_down=down,
        kept=total.kept,
        shared=total.shared,
    )


def _wanted(inventory: Inventory) -> Iterator[list[_Wanted]]:
    """Each distinct object once, some at a time; rows that claim one md5 for different bytes stay apart.

    They come in the order of their names, in which a store's folders hold them.
    """
    rows = inventory.by_object()
    groups = groupby(rows, key=lambda row: (row.md5, row.sha256, row.size_bytes))
    wanted = (
        _Wanted(rest[0].size_bytes, rest[0].md5, rest[0].sha256, tuple(row.path for row in rest))
        for _, group in groups
        if (rest := list(group))
    )
    while part := list(islice(wanted, _AT_ONCE)):
        yield part


def _fetch_batch(
    batch: Sequence[_Wanted],
    advance: Advance,
    *,
    stores: Sequence[Store],
    dataset: str,
    destination: Path,
    scratch: Path,
    resuming: bool,
    hard_links: bool,
) -> _Got:
    got, folders = _Got(), _Folders(destination)
    temporary = str(scratch / secrets.token_hex(8))
    with folder_faults(destination, "write to it"), contextlib.ExitStack() as stack:
        own = [stack.enter_context(contextlib.closing(copy.copy(store))) for store in stores]
        for wanted in batch:
            if resuming and all(_is_right(folders.ready(path), wanted) for path in wanted.paths):
                got.kept += 1
                got.size_bytes += wanted.size_bytes
            elif (store := _get(wanted, own, dataset, temporary, got, hard_links=hard_links)) is None:
                got.unavailable += wanted.paths
            else:
                got.by_store[store.name] += 1
                got.size_bytes += wanted.size_bytes
                _place(temporary, [folders.ready(path) for path in wanted.paths], scratch)
            advance(len(wanted.paths), wanted.size_bytes)
    return got


def _is_right(path: str, wanted: _Wanted) -> bool:
    """Whether the file is there, and every byte of it is right."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if os.fstat(file.fileno()).st_size != wanted.size_bytes:
                return False
            digests = Digests()
            while chunk := file.read(CHUNK_BYTES):
                digests.update(chunk)
            _compare(digests, wanted)
    except (OSError, Mismatch):
        return False
    return True


def _get(
    wanted: _Wanted, stores: Sequence[Store], dataset: str, temporary: str, got: _Got, *, hard_links: bool
) -> Store | None:
    """The store that had the object whole, which then is in ``temporary``; None if none had."""
    for store in stores:
        try:
            got.shared += _read_right(store, wanted, dataset, temporary, hard_links=hard_links)
        except (Mismatch, DatakeepError) as fault:
            got.faults += [fault_of(path, store, fault) for path in wanted.paths]
        else:
            return store
    return None


def _read_right(store: Store, entry: _Wanted, dataset: str, temporary: str, *, hard_links: bool) -> bool:
    """The object in ``temporary``, if the store has it whole; whether it shares the store's blocks.

    Bytes that came over a network and are wrong are asked for once more: perhaps only the way was bad.
    """
    if store.share(object_key(dataset, entry.md5.hex()), temporary, hard=hard_links):
        if _is_right(temporary, entry):
            return True
        Path(temporary).unlink()  # before anything is written there: it may be the object itself
    attempts = 1 if Capability.LOCAL in store.capabilities else _ATTEMPTS
    for attempt in range(attempts):
        try:
            if entry.size_bytes <= _IN_MEMORY_BYTES:
                _read_small(store, entry, dataset, temporary)
            else:
                _read_big(store, entry, dataset, temporary)
        except Mismatch:
            if attempt == attempts - 1:
                raise
        else:
            break
    return False


def _read_small(store: Store, entry: _Wanted, dataset: str, temporary: str) -> None:
    data = store.read_small(object_key(dataset, entry.md5.hex()), entry.size_bytes)
    _require(len(data), entry, md5_of(data), sha256_of(data))
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def _read_big(store: Store, entry: _Wanted, dataset: str, temporary: str) -> None:
    with open(temporary, "wb") as file, contextlib.closing(digests_for(entry.size_bytes)) as digests:
        read(store, object_key(dataset, entry.md5.hex()), entry.size_bytes, file.write, digests)
        _compare(digests, entry)


def _compare(digests: Digests, entry: _Wanted) -> None:
    _require(digests.size_bytes, entry, digests.md5, digests.sha256)


def _require(size_bytes: int, entry: _Wanted, md5: bytes, sha256: bytes) -> None:
    if size_bytes > entry.size_bytes:
        raise Mismatch(f"it has more than the registered {entry.size_bytes} bytes")
    if size_bytes != entry.size_bytes:
        raise Mismatch(f"it has {size_bytes} bytes instead of {entry.size_bytes}")
    if md5 != entry.md5 or sha256 != entry.sha256:
        raise Mismatch(other_bytes(size_bytes))


def _place(temporary: str, targets: Sequence[str], scratch: Path) -> None:
    """Move the verified file to its first path, and a copy of it to each other one."""
    for target in targets[1:]:
        twin = scratch / secrets.token_hex(8)
        shutil.copyfile(temporary, twin)
        twin.replace(target)
    os.replace(temporary, targets[0])


class _Folders:
    """The folders of the destination, each made once, and none of them a way out of it."""

    def __init__(self, destination: Path) -> None:
        self._destination = destination
        self._ready = {""}

    def ready(self, path: str) -> str:
        """Where ``path`` goes; its folder exists and no part of it is a symbolic link."""
        parent = path.rpartition("/")[0]
        if parent not in self._ready:
            for folder in reversed([parent, *map(str, PurePosixPath(parent).parents[:-1])]):
                self._make(self._destination / folder)
            self._ready.add(parent)
        return f"{self._destination}/{path}"

    def _make(self, folder: Path) -> None:
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        if folder.is_symlink() or not folder.is_dir():
            raise UnsafePath(
                f"{folder} is in the way: it is not a folder of its own",
                next_step="fetch into an empty folder",
            )
