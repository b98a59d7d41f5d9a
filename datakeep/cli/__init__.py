"""The command line: one file per command, each imported only when it is called.

``process`` is the entry point. A command file turns options into one call of one workflow and renders its
answer; ``boundary`` alone turns errors into exit codes.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from gc import freeze, set_threshold  # by name: the command gc is a module of this package

#: Python looks for cycles among all that a command has imported, again and again while it imports: a tenth of the
#: processor time of a short command. So it looks more seldom (from so many new objects on) than by default (700).
COLLECTED = (200_000, 20, 100)


def process() -> None:
    """The program ``datakeep``: :func:`main` in a process of its own, which ends with it."""
    codes: list[object] = []
    atexit.register(_leave, codes)  # the first that is registered is called last
    try:
        main()
    except SystemExit as ended:
        codes.append(ended.code)
        raise


def _leave(codes: list[object]) -> None:
    """Threads have ended, and what was to be done at exit is done: memory need not be given back piece by piece."""
    for code in codes:
        with suppress(OSError, ValueError):  # Python says what cannot be written
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 1)


def _open_streams() -> None:
    """Where the caller has closed one of the three (``>&-``, cron), what is said goes nowhere, and nothing is read.

    Nor does the next file that is opened get its number, which every program that is started has as its own.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115 - it stays open
            os.set_inheritable(stream.fileno(), stream.fileno() <= 2)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def main() -> None:
    """Run the command that the process was called with, and exit with its code."""
    set_threshold(*COLLECTED)
    _open_streams()
    try:
        from datakeep.cli import interrupts

        interrupts.install()
        from datakeep.cli.lean_classes import lean_dataclasses
        from datakeep.cli.lean_modules import lean_modules

        lean_dataclasses()
        lean_modules()
        from datakeep.cli.boundary import run

        code = run(sys.argv[1:])
        interrupts.ignore()
    except BaseException as error:
        from datakeep.cli import interrupts
        from datakeep.core.interrupts import is_interruption

        if not is_interruption(error):
            raise
        interrupts.ignore()  # before the boundary stood
        what, code = interrupts.told()
        sys.stderr.write(f"error: {what}\n  next: {interrupts.AGAIN}\n")
    freeze()  # nor is anything looked for at the end: what had to be closed is closed, and atexit's calls remain
    sys.exit(code)
