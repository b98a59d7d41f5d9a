"""Ctrl-C, and what else asks a process to end: SIGTERM, and a terminal that is gone.

Each is a ``KeyboardInterrupt``, so that what was begun is cleaned up and said. Some moments must not be cut in half:
a commit on its way to the vault, a worker that is started, the cleaning up itself.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

#: What asks a process to end, and lets it say goodbye.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: After so long a signal comes again, since its KeyboardInterrupt may have been dropped.
_AGAIN_AFTER_S = 0.02
#: So long nothing that is cleaned up is cut in half by another signal; who still insists is heard.
_CLEANING_S = 5.0


class _Wish:
    """When somebody wanted the process to end, and by which signal; open until who caught it goes on (``heard``)."""

    at = float("-inf")
    by: int | None = None
    is_open = False


def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  (what a handler is given)
    """The handler of :data:`ENDING`: interrupts, but not the cleaning up after an interruption.

    Raises:
        KeyboardInterrupt: As Ctrl-C does.
    """
    if not _repeats(number):
        _Wish.is_open = True
        _again_after(_AGAIN_AFTER_S)
        raise KeyboardInterrupt


def once_more(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  (what a handler is given)
    """The handler of SIGALRM where no interruption may get lost: the last one comes again.

    Where it is still at work, :func:`stop` hears nothing new. But a finaliser, and C code that tries something and
    takes every failure for a no (as Arrow when it looks whether a package is installed), drop a KeyboardInterrupt,
    and the program would go on as if nobody had pressed anything. A generator that is closed clears up first.
    """
    if _Wish.by is None:  # nobody's but the caller's own
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGALRM)
    elif _is_closing(sys.exc_info()[1]):
        _again_after(_AGAIN_AFTER_S)
    else:
        signal.raise_signal(_Wish.by)


def _again_after(seconds: float) -> None:
    """The signal comes again, where :func:`once_more` is in force; after 0 seconds: it does not."""
    if signal.getsignal(signal.SIGALRM) is once_more:
        signal.setitimer(signal.ITIMER_REAL, seconds)


def heard() -> None:
    """Who caught a KeyboardInterrupt and goes on, on purpose, says so: it does not come again."""
    _Wish.is_open = False
    _again_after(0)


def stopped_by() -> signal.Signals | None:
    """The signal that :func:`stop` was called with last; None if none was."""
    return None if _Wish.by is None else signal.Signals(_Wish.by)


def _repeats(number: int) -> bool:
    """Whether the last one is still at work: a KeyboardInterrupt that got lost, which C code can do, is none."""
    now, error = time.monotonic(), sys.exc_info()[1]
    if now - _Wish.at < _CLEANING_S and (is_interrupted(error) or _is_closing(error)):
        return True
    _Wish.at, _Wish.by = now, number
    return False


def is_interrupted(error: BaseException | None) -> bool:
    """Whether ``error`` is, or came while handling, a KeyboardInterrupt."""
    return _came_with(error, KeyboardInterrupt)


def _is_closing(error: BaseException | None) -> bool:
    """Whether a generator is being closed: so it clears up where an interruption left the loop over it."""
    return _came_with(error, GeneratorExit)


def _came_with(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None and not isinstance(error, kind):
        error = error.__context__
    return error is not None


def interrupt_within(error: BaseException) -> KeyboardInterrupt | None:
    """The KeyboardInterrupt that became ``error`` on its way through Python's own C code; None if none did.

    Python up to 3.11 makes a RuntimeError of whatever a class attribute's ``__set_name__`` raises, and a SystemError
    of an exception that a C function let pass. Both name it as their cause, not merely as what came before.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__
    return cause


def is_interruption(error: BaseException) -> bool:
    """Whether ``error`` is an interruption, or came of one.

    C code drops a KeyboardInterrupt, and then says that its own call failed: a pattern that does not match, a query.
    So whatever fails after :func:`stop` interrupted something is taken to have failed for that.
    """
    return interrupt_within(error) is not None or (isinstance(error, Exception) and _Wish.is_open)


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Ctrl-C only takes note in the block, which can ask whether it came; who insists interrupts as usual."""
    noted: list[int] = []
    usual = {number: handler for number in ENDING if callable(handler := _deferrable(number))}
    if threading.current_thread() is not threading.main_thread() or not usual:
        yield lambda: False
        return

    def note(number: int, frame: FrameType | None) -> None:
        if _repeats(number):
            return
        if noted:
            usual[signal.Signals(number)](number, frame)
        noted.append(number)

    for number in usual:
        signal.signal(number, note)
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C comes before the block or after it, never between; who insists interrupts as usual."""
    with deferred() as interrupted:
        yield
    if interrupted():
        raise KeyboardInterrupt


def _deferrable(number: signal.Signals) -> object:
    """The handler that may be replaced for a moment: of other signals than Ctrl-C, only our own."""
    handler = signal.getsignal(number)
    return handler if number == signal.SIGINT or handler is stop else None
