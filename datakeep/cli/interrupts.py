"""Ctrl-C at moments when Python itself would lose it, or answer with a traceback."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_AGAIN_AFTER_S = 0.01


def install() -> None:
    """A Ctrl-C that met a finaliser or the import system's own callbacks comes once more, a moment later.

    Python prints such an exception and goes on as if nobody had pressed anything.
    """
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


def ignore() -> None:
    """From here on the answer is given, and the process only ends, with the exit code that it has."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Python remembers a Ctrl-C that met code in a string (as dataclasses are made of), even one that was handled,
    # and would die of the signal instead of exiting with 130. Running such code once more makes it forget.
    exec("")  # noqa: S102  (a constant)
