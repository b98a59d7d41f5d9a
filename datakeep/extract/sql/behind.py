"""Work that another thread does behind the reading of rows: a row group is encoded while the next one comes."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from datakeep.core.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Behind(Generic[T]):
    """Does ``work`` for each item, in their order, one at a time; one item waits for nobody.

    What the work raises is raised by the next call. Memory: the item that is worked on, beside what the caller holds.
    """

    def __init__(self, work: Callable[[T], None]) -> None:
        self._work = work
        self._pool = ThreadPoolExecutor(1, "datakeep-behind")
        self._pending: Future[None] | None = None

    def put(self, item: T) -> None:
        """Begin with ``item``, when the one before it is done."""
        self.settle()
        with uninterrupted():  # never between the beginning of the work and our knowing of it
            self._pending = self._pool.submit(self._work, item)

    def settle(self) -> None:
        """Everything that was put is done."""
        if self._pending is not None:
            # Still the pending one while it is waited for: who is interrupted here must find it in ``leave``.
            self._pending.result()
            self._pending = None

    def leave(self) -> None:
        """Nothing is worked on any more; what was raised is not raised again."""
        if self._pending is not None:
            with suppress(BaseException):
                wait([self._pending])
            self._pending = None
        self._pool.shutdown(wait=False)
