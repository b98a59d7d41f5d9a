"""A driver's calls in another thread: Ctrl-C is answered at once, and the next batch comes while one is written.

Nothing interrupts a driver's call but the thread that waits for it. ADBC's own way to notice Ctrl-C is no help: it
takes the signal for itself, cancels the query, and says that the query failed, or nothing if it was just done.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

#: So many items may lie ready; one more is in the hands of each thread.
_READY = 1
#: How long a call that was cancelled is waited for.
_CANCEL_S = 10


class Ahead(Generic[T]):
    """An iterator whose items another thread reads; what reading raises is raised where the item would have come.

    Attributes:
        finished: Whether the last item was read, or reading failed: nothing more is under way.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(_READY)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._read, name="datakeep-ahead", daemon=True)
        self.finished = False
        self._thread.start()

    def __iter__(self) -> Ahead[T]:
        """Itself."""
        return self

    def __next__(self) -> T:
        """The next item."""
        if self.finished:
            raise StopIteration
        item, error = self._ready.get()
        if item is not None:
            return item
        self.finished = True
        if error is not None:
            raise error
        raise StopIteration

    def leave(self) -> None:
        """Read no further, and wait until the thread has ended; not for ever, as the other end may be gone."""
        self._left.set()
        self.finished = True
        end = time.monotonic() + _CANCEL_S
        while self._thread.is_alive() and time.monotonic() < end:
            with _nothing_ready():
                self._ready.get(timeout=0.05)

    def _read(self) -> None:
        try:
            for item in self._items:
                self._ready.put((item, None))
                if self._left.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised in the other thread
            self._ready.put((None, error))
        else:
            self._ready.put((None, None))


def interruptible(call: Callable[[], T], cancel: Callable[[], None] | None = None) -> T:
    """What ``call`` gives or raises.

    Args:
        call: Runs in another thread.
        cancel: Called where the wait for it is interrupted; makes the call end soon. Without it, the call goes on by
            itself, and what it gives is dropped.

    Raises:
        KeyboardInterrupt: The wait was interrupted.
    """
    given: list[T] = []
    raised: list[BaseException] = []

    # Not the thread's own join: interrupted, it takes the thread for ended (https://bugs.python.org/issue45274).
    ended = threading.Event()

    def run() -> None:
        try:
            given.append(call())
        except BaseException as error:  # noqa: BLE001 - it is raised in the other thread
            raised.append(error)
        finally:
            ended.set()

    threading.Thread(target=run, name="datakeep-call", daemon=True).start()
    try:
        ended.wait()
    except BaseException:
        if cancel is not None:
            cancel()
            ended.wait(_CANCEL_S)
        raise
    if raised:
        raise raised[0]
    return given[0]


@contextmanager
def ahead(items: Iterator[T], cancel: Callable[[], None]) -> Iterator[Ahead[T]]:
    """``items``, read ahead.

    Args:
        items: Only the other thread touches them.
        cancel: Called if the block is left before the last item was read: makes a call that waits end soon.
    """
    reading = Ahead(items)
    try:
        yield reading
    finally:
        if not reading.finished:
            cancel()
            reading.leave()


@contextmanager
def _nothing_ready() -> Iterator[None]:
    try:
        yield
    except queue.Empty:
        return
