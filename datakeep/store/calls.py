"""Calls that threads or processes make: few in line, and safe from Ctrl-C while they begin."""

from __future__ import annotations

import signal
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import TYPE_CHECKING, Any

from datakeep.core.interrupts import ENDING, deferred

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Executor


def completed(executor: Executor, workers: int, calls: Iterable[tuple[Any, ...]]) -> Iterator[Future[Any]]:
    """The calls as they end; only a few wait in line, so that they take little memory and a fault stops them soon."""
    waiting = iter(calls)
    running = _submit(executor, islice(waiting, 3 * workers))
    while running:
        ended, running = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            yield future
            running |= _submit(executor, islice(waiting, 1))


def _submit(executor: Executor, calls: Iterable[tuple[Any, ...]]) -> set[Future[Any]]:
    """Begin ``calls``; Ctrl-C waits meanwhile, so that no worker meets it before it can ignore it."""
    # The mask is for the workers, who inherit it; of our own threads another one may take the signal.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        with deferred() as was_interrupted:
            submitted = {executor.submit(*call) for call in calls}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if was_interrupted():
        raise KeyboardInterrupt
    return submitted
