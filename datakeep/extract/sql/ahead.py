"""Reading ahead: while one batch is converted and written, the next one is on its way.

The reading thread may sit in a driver's call that nothing interrupts; the thread that waits for it can be, so Ctrl-C
is answered at once.
"""

from __future__ import annotations

import queue
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

#: So many items may lie ready; one more is in the hands of each thread.
_READY = 1


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
        """Read no further; when this returns, the thread has ended."""
        self._left.set()
        while self._thread.is_alive():
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
