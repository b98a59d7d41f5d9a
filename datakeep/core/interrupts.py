"""Ctrl-C at moments that must not be cut in half: a commit on its way to the vault, a worker that is started."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Ctrl-C only takes note in the block, which can ask whether it came; a second one interrupts as usual."""
    noted: list[int] = []
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield lambda: False
        return

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            usual(number, frame)
        noted.append(number)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, usual)
