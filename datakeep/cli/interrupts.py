"""Ctrl-C, and what else asks a process to end: also when Python would lose it, or answer with a traceback."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType

_AGAIN_AFTER_S = 0.01
#: They end as Ctrl-C does: what was begun is cleaned up, and said.
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_ended: list[signal.Signals] = []


def install() -> None:
    """A Ctrl-C that met a finaliser or the import system's own callbacks comes once more, a moment later.

    Python prints such an exception and goes on as if nobody had pressed anything.
    """
    for ending in _ENDING:
        # A signal that is ignored (nohup) stays so.
        if signal.getsignal(ending) == signal.SIG_DFL:
            signal.signal(ending, _end)
    usual = sys.unraisablehook

    def again(unraisable: UnraisableHookArgs, /) -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            usual(unraisable)
            return
        main = threading.main_thread().ident
        timer = threading.Timer(_AGAIN_AFTER_S, signal.pthread_kill, (main, signal.SIGINT))
        timer.daemon = True
        timer.start()

    sys.unraisablehook = again


def _end(number: int, frame: FrameType | None) -> None:
    """As Ctrl-C at this moment, which may only be noted (see ``core.interrupts``), or ignored."""
    as_usual = signal.getsignal(signal.SIGINT)
    if callable(as_usual):
        _ended.append(signal.Signals(number))
        as_usual(number, frame)


def ended_by() -> signal.Signals | None:
    """The signal that asked the process to end, where it was no Ctrl-C."""
    return _ended[0] if _ended else None


def ignore() -> None:
    """From here on the answer is given, and the process only ends, with the exit code that it has."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for ending in _ENDING:
        if signal.getsignal(ending) is _end:
            signal.signal(ending, signal.SIG_IGN)
    # Python remembers a Ctrl-C that met code in a string (as dataclasses are made of), even one that was handled,
    # and would die of the signal instead of exiting with 130. Running such code once more makes it forget.
    exec("")  # noqa: S102  (a constant)
