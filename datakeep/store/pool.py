"""Work on many files at once: processes for small files, threads for big ones, neither for a few.

Hashing a big file lets other threads run, so threads do; thousands of small ones wait for the
interpreter's lock instead, and are given to processes. Where each object is a round trip to a server, threads
wait for the answers. Nothing that was started outlives its caller: a worker whose parent was killed ends itself.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

from datakeep.store.calls import completed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.core.progress import Progress

#: Below this many files, starting processes costs more than it saves.
PROCESSES_FROM_FILES = 4000
_SMALL_BYTES = 1 << 20
#: A batch costs one sync of a file system, which all writers wait for; and it is what a kill loses.
_BATCH_FILES = 512
_BATCH_FILES_OF_PROCESS = 8192
_BATCHES_PER_PROCESS = 6
_BATCH_BYTES = 128 << 20
_MAX_WORKERS = 16
#: To a server, smaller batches: nothing is synced at their end, and all threads are to end together.
_REMOTE_BATCH_FILES = 64
_REMOTE_BATCH_BYTES = 32 << 20


class Sized(Protocol):
    """Anything with a size, such as a source file or an inventory's row."""

    @property
    def size_bytes(self) -> int:
        """In bytes."""


class Advance(Protocol):
    """Told that so many files, or bytes of one, are done; raises when the work is to stop."""

    def __call__(self, files: int, size_bytes: int, /) -> None:
        """Tell it."""


_Item = TypeVar("_Item", bound=Sized)
_Item_contra = TypeVar("_Item_contra", bound=Sized, contravariant=True)
_Result = TypeVar("_Result")
_Result_co = TypeVar("_Result_co", covariant=True)


class Job(Protocol[_Item_contra, _Result_co]):
    """A function of one batch."""

    def __call__(self, batch: Sequence[_Item_contra], advance: Advance, /) -> _Result_co:
        """Do the batch, telling ``advance`` of each file."""


def work(
    function: Job[_Item, _Result],
    items: Sequence[_Item],
    progress: Progress,
    *,
    workers: int | None = None,
    connections: int | None = None,
    sizes: Sequence[int] | None = None,
) -> Iterator[_Result]:
    """What ``function(batch, advance)`` returns for each batch of ``items``, in no order.

    Args:
        function: Picklable; calls ``advance`` as it goes, and stops when that raises.
        items: Everything to do.
        progress: Told of every ``advance``.
        workers: How many processes or threads; by default what the machine has.
        connections: Each batch waits for a server, and so many may do so at once; ``workers`` does not matter.
        sizes: The items' sizes in bytes, where they are at hand without looking at each item.
    """
    if sizes is None:
        sizes = [item.size_bytes for item in items]
    if connections is not None:
        yield from _in_connections(function, items, sizes, progress, connections)
        return
    count = min(workers or len(os.sched_getaffinity(0)), _MAX_WORKERS)
    many_small = len(items) >= PROCESSES_FROM_FILES and sum(sizes) <= len(items) * _SMALL_BYTES
    batches = list(_batches(sizes, _batch_files(len(items), count) if many_small else _BATCH_FILES))
    if count == 1 or len(batches) == 1:
        for batch in batches:
            yield function(
                items[batch], lambda files, size_bytes: progress.advance(files, size_bytes=size_bytes)
            )
    elif many_small:
        from datakeep.store.processes import in_processes  # late: most work is of few files

        yield from in_processes(function, items, sizes, batches, progress, count)
    else:
        yield from _in_threads(function, [items[batch] for batch in batches], progress, count)


def _in_connections(
    function: Job[_Item, _Result],
    items: Sequence[_Item],
    sizes: Sequence[int],
    progress: Progress,
    connections: int,
) -> Iterator[_Result]:
    files = max(1, min(_REMOTE_BATCH_FILES, -(-len(items) // connections)))
    batches = [items[batch] for batch in _batches(sizes, files, _REMOTE_BATCH_BYTES)]
    yield from _in_threads(function, batches, progress, max(1, min(connections, len(batches))))


def _batch_files(count: int, workers: int) -> int:
    """How many files make a batch, so that every worker gets several, and the last ones end together."""
    return min(max(_BATCH_FILES, -(-count // (workers * _BATCHES_PER_PROCESS))), _BATCH_FILES_OF_PROCESS)


def _batches(sizes: Sequence[int], max_files: int, max_bytes: int = _BATCH_BYTES) -> Iterator[slice]:
    """Parts that are worth one sync, and small enough to share out evenly."""
    start, total = 0, 0
    for position, size_bytes in enumerate(sizes):
        if position > start and (position - start >= max_files or total + size_bytes > max_bytes):
            yield slice(start, position)
            start, total = position, 0
        total += size_bytes
    if start < len(sizes):
        yield slice(start, len(sizes))


def _in_threads(
    function: Job[_Item, _Result], batches: Sequence[Sequence[_Item]], progress: Progress, count: int
) -> Iterator[_Result]:
    lock, stopped = threading.Lock(), threading.Event()

    def advance(files: int, size_bytes: int) -> None:
        if stopped.is_set():
            raise CancelledError
        with lock:
            progress.advance(files, size_bytes=size_bytes)

    with ThreadPoolExecutor(count, thread_name_prefix="datakeep") as executor:
        try:
            for future in completed(executor, count, [(function, batch, advance) for batch in batches]):
                yield future.result()
        except BaseException:
            stopped.set()
            executor.shutdown(wait=True, cancel_futures=True)
            raise
