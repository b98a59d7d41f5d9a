"""Work on many files at once: processes for small files, threads for big ones, neither for a few.

Hashing a big file lets other threads run, so threads do; thousands of small ones wait for the
interpreter's lock instead, and are given to processes. Nothing that was started outlives its caller: a
worker whose parent was killed ends itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from itertools import islice
from multiprocessing.connection import wait as wait_for_end
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Executor

    from datakeep.core.progress import Progress

#: Below this many files, starting processes costs more than it saves.
PROCESSES_FROM_FILES = 4000
_SMALL_BYTES = 1 << 20
_BATCH_FILES = 512
_BATCH_BYTES = 128 << 20
_MAX_WORKERS = 16


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
) -> Iterator[_Result]:
    """What ``function(batch, advance)`` returns for each batch of ``items``, in no order.

    Args:
        function: Picklable; calls ``advance`` as it goes, and stops when that raises.
        items: Everything to do.
        progress: Told of every ``advance``.
        workers: How many processes or threads; by default what the machine has.
    """
    count = min(workers or len(os.sched_getaffinity(0)), _MAX_WORKERS)
    batches = list(_batches(items))
    many_small = (
        len(items) >= PROCESSES_FROM_FILES
        and sum(item.size_bytes for item in items) <= len(items) * _SMALL_BYTES
    )
    if count == 1 or len(batches) == 1:
        for batch in batches:
            yield function(batch, lambda files, size_bytes: progress.advance(files, size_bytes=size_bytes))
    elif many_small:
        yield from _in_processes(function, batches, progress, count)
    else:
        yield from _in_threads(function, batches, progress, count)


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Parts of ``items`` that are worth one sync, and small enough to share out evenly."""
    start, size_bytes = 0, 0
    for position, item in enumerate(items):
        if position > start and (
            position - start >= _BATCH_FILES or size_bytes + item.size_bytes > _BATCH_BYTES
        ):
            yield items[start:position]
            start, size_bytes = position, 0
        size_bytes += item.size_bytes
    if start < len(items):
        yield items[start:]


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
            for future in _completed(executor, [(function, batch, advance) for batch in batches]):
                yield future.result()
        except BaseException:
            stopped.set()
            executor.shutdown(wait=True, cancel_futures=True)
            raise


def _in_processes(
    function: Job[_Item, _Result], batches: Sequence[Sequence[_Item]], progress: Progress, count: int
) -> Iterator[_Result]:
    # Spawned, because a fork of a process with threads (Arrow's, a progress bar's) can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin_worker) as executor:
        try:
            for future in _completed(executor, [(_counted, function, batch) for batch in batches]):
                files, size_bytes, result = future.result()
                progress.advance(files, size_bytes=size_bytes)
                yield result
        except BaseException:
            executor.shutdown(wait=True, cancel_futures=True)
            raise


def _completed(executor: Executor, calls: Sequence[tuple[Any, ...]]) -> Iterator[Future[Any]]:
    """The calls as they end; only a few wait in line, so that a fault stops the others soon."""
    waiting = iter(calls)
    running = _submit(executor, islice(waiting, 2 * _MAX_WORKERS))
    while running:
        ended, running = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            yield future
            running |= _submit(executor, islice(waiting, 1))


def _submit(executor: Executor, calls: Iterable[tuple[Any, ...]]) -> set[Future[Any]]:
    """Begin ``calls``; Ctrl-C waits meanwhile, so that no worker meets it before it can ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return {executor.submit(*call) for call in calls}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _counted(function: Job[_Item, _Result], batch: Sequence[_Item]) -> tuple[int, int, _Result]:
    return len(batch), sum(item.size_bytes for item in batch), function(batch, _nothing)


def _nothing(files: int, size_bytes: int, /) -> None:
    """A worker process reports by what it returns."""


def _begin_worker() -> None:
    """Ctrl-C is the parent's to handle; and when the parent is killed, this process ends too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for_end([sentinel])
    os._exit(1)
