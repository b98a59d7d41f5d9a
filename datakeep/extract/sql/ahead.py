"""A driver's calls in another thread: Ctrl-C is answered at once, and the next batch comes while one is written.

Nothing interrupts a driver's call but the thread that waits for it. ADBC's own way to notice Ctrl-C is no help: it
takes the signal for itself, cancels the query, and says that the query failed, or nothing if it was just done.

What a driver works on must not be closed under it: whoever stops waiting cancels the call and waits for its end. A
call that does not end either is *abandoned*, and nothing of it may be touched any more.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from datakeep.core.interrupts import deferred, uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

#: So many items may lie ready; one more is in the hands of each thread.
_READY = 1
#: How long a call that was cancelled is waited for, and how often it is told so.
_CANCEL_S, _AGAIN_S = 10.0, 1.0
#: A call that nobody wants any more is waited for so long.
_MOMENT_S = 1.0
_LOOK_S = 0.1


class _Work:
    """One piece of work in a thread of its own."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self.begun = False
        # Not the thread's own join: interrupted, it takes the thread for ended (https://bugs.python.org/issue45274).
        self.done = threading.Event()
        self.left = threading.Event()

    def start(self) -> None:
        """Ctrl-C is raised before the thread begins or after it has begun, never between."""
        with uninterrupted():
            self.begun = True
            threading.Thread(target=self._run, name="datakeep-driver", daemon=True).start()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self.done.set()

    def end(self, cancel: Callable[[], None]) -> bool:
        """Whether it is over; it is cancelled until it is, for a while. A second Ctrl-C does not hurry that."""
        self.left.set()
        with deferred():
            end = time.monotonic() + _CANCEL_S
            while self.begun and not self.done.is_set() and time.monotonic() < end:
                cancel()
                self.done.wait(_AGAIN_S)
        return not self.begun or self.done.is_set()


class Begun(Generic[T]):
    """A call in another thread, whose outcome is waited for later; or by nobody."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._given: list[T] = []
        self._raised: list[BaseException] = []
        self._unwanted: Callable[[T], None] | None = None
        self._settling = threading.Lock()
        self._work = _Work(self._run)

    def start(self) -> Begun[T]:
        """Begin, once; returns itself."""
        if not self._work.begun:
            self._work.start()
        return self

    def _run(self) -> None:
        try:
            given = self._call()
        except BaseException as error:  # noqa: BLE001 - it is raised in the other thread
            self._raised.append(error)
            return
        with self._settling:
            self._given.append(given)
            unwanted = self._unwanted
        if unwanted is not None:
            unwanted(given)

    def outcome(self, cancel: Callable[[], None] | None, abandon: Callable[[], None] = lambda: None) -> T:
        """What the call gives or raises; begun now, if it is not. Arguments and errors: :func:`interruptible`."""
        try:
            self.start()
            self._work.done.wait()
        except BaseException:
            over = False
            try:
                over = cancel is not None and self._work.end(cancel)
            finally:  # also where somebody insists
                if not over:
                    abandon()
            raise
        if self._raised:
            raise self._raised[0]
        return self._given[0]

    def leave(self, unwanted: Callable[[T], None]) -> None:
        """Nobody waits for it: what it gives is handed to ``unwanted``, now or when it comes.

        It is waited for a moment, so that a process does not end in the midst of what a driver is about to do.
        """
        with deferred():
            self._work.done.wait(_MOMENT_S)
        with self._settling:
            self._unwanted = unwanted
            given = tuple(self._given)
        for one in given:
            unwanted(one)


def interruptible(
    call: Callable[[], T], cancel: Callable[[], None] | None, abandon: Callable[[], None] = lambda: None
) -> T:
    """What ``call`` gives or raises.

    Args:
        call: Runs in another thread.
        cancel: Called where the wait for it is interrupted; makes the call end soon. None: nothing does, and it is
            abandoned at once.
        abandon: Called where it did not end.

    Raises:
        KeyboardInterrupt: The wait was interrupted.
    """
    return Begun(call).outcome(cancel, abandon)


class Ahead(Generic[T]):
    """An iterator whose items another thread reads; what reading raises is raised where the item would have come.

    Attributes:
        finished: Whether the last item was read, or reading failed, or it was left: nothing more will come.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(_READY)
        self._work = _Work(self._read)
        self.finished = False

    def start(self) -> None:
        """Begin to read."""
        self._work.start()

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
        self._work.done.wait()
        if error is not None:
            raise error
        raise StopIteration

    def leave(self, cancel: Callable[[], None]) -> bool:
        """Whether the reading is over; it is cancelled, unless it was at its end."""
        self.finished = True
        return self._work.end(cancel)

    def _read(self) -> None:
        try:
            for item in self._items:
                self._put(item, None)
                if self._work.left.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised in the other thread
            self._put(None, error)
        else:
            self._put(None, None)

    def _put(self, item: T | None, error: BaseException | None) -> None:
        while not self._work.left.is_set():
            with suppress(queue.Full):
                self._ready.put((item, error), timeout=_LOOK_S)
                return


@contextmanager
def ahead(
    items: Iterator[T], cancel: Callable[[], None], abandon: Callable[[], None] = lambda: None
) -> Iterator[Ahead[T]]:
    """``items``, read ahead.

    Args:
        items: Only the other thread touches them.
        cancel: Called if the block is left before the last item was read: makes a call that waits end soon.
        abandon: Called where it did not end.
    """
    reading = Ahead(items)
    try:
        reading.start()
        yield reading
    finally:
        over = False
        try:
            over = reading.leave(cancel)
        finally:
            if not over:
                abandon()
