"""Processes that share out many small files; a worker whose parent was killed ends itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait as wait_for_end
from typing import TYPE_CHECKING, TypeVar

from datakeep.core.interrupts import ENDING
from datakeep.store.calls import completed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.core.progress import Progress
    from datakeep.store.pool import Job, Sized

    _Item = TypeVar("_Item", bound=Sized)
    _Result = TypeVar("_Result")


def in_processes(
    function: Job[_Item, _Result],
    items: Sequence[_Item],
    sizes: Sequence[int],
    batches: Sequence[slice],
    progress: Progress,
    count: int,
) -> Iterator[_Result]:
    """As :func:`datakeep.store.pool.work`, whose ``batches`` are given to ``count`` processes."""
    # Spawned, because a fork of a process with threads (Arrow's, a progress bar's) can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin_worker) as executor:
        try:
            calls = ((_numbered, number, function, items[batch]) for number, batch in enumerate(batches))
            for future in completed(executor, count, calls):
                number, result = future.result()
                done = batches[number]
                progress.advance(done.stop - done.start, size_bytes=sum(sizes[done]))
                yield result
        except BaseException:
            executor.shutdown(wait=True, cancel_futures=True)
            raise


def _numbered(number: int, function: Job[_Item, _Result], batch: Sequence[_Item]) -> tuple[int, _Result]:
    return number, function(batch, _nothing)


def _nothing(files: int, size_bytes: int, /) -> None:
    """A worker process reports by what it returns."""


def _begin_worker() -> None:
    """Ctrl-C is the parent's to handle; and when the parent is killed, this process ends too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for ending in (signal.SIGTERM, signal.SIGHUP):  # it is no datakeep that cleans up
        if signal.getsignal(ending) != signal.SIG_IGN:
            signal.signal(ending, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for_end([sentinel])
    os._exit(1)
