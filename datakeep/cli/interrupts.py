"""Ctrl-C, SIGTERM and SIGHUP: also at moments when Python itself would lose one, or answer with a traceback."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from datakeep.core.interrupts import ENDING, once_more, stop, stopped_by

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

#: What an interruption means, and what is to be typed after it, as a rule.
NOTHING, AGAIN = "interrupted; nothing was recorded", "run the same command again"


def install() -> None:
    """What asks the process to end interrupts it, and comes once more where Python or a library drops it.

    A signal that is ignored stays so (``nohup``, and Ctrl-C of what a script has put into the background); each has a
    handler of its own, so that SIGTERM ends a process in which Ctrl-C is ignored.
    """
    for ending in ENDING:
        if signal.getsignal(ending) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(ending, stop)
    if signal.getsignal(signal.SIGALRM) == signal.SIG_DFL:
        signal.signal(signal.SIGALRM, once_more)
    usual = sys.unraisablehook

    def unheard(unraisable: UnraisableHookArgs, /) -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):  # which comes once more
            usual(unraisable)

    sys.unraisablehook = unheard


def told(what: str = NOTHING) -> tuple[str, int]:
    """What is said of an interruption, and the exit code of it: another signal than Ctrl-C's is named."""
    by = stopped_by() or signal.SIGINT
    return what if by == signal.SIGINT else f"{what} (by {by.name})", 128 + by


def ignore() -> None:
    """From here on the answer is given, and the process only ends, with the exit code that it has."""
    for ending in ENDING:
        if ending == signal.SIGINT or signal.getsignal(ending) is stop:
            signal.signal(ending, signal.SIG_IGN)
    # Python puts the default back while it ends, which would kill it.
    if signal.getsignal(signal.SIGALRM) is once_more:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
    # Python remembers a Ctrl-C that met code in a string (as dataclasses are made of), even one that was handled,
    # and would die of the signal instead of exiting with 130. Running such code once more makes it forget.
    exec("")  # noqa: S102  (a constant)
