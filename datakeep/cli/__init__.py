"""The command line: one file per command, each imported only when it is called.

``main`` is the entry point. A command file turns options into one call of one workflow and renders its
answer; ``boundary`` alone turns errors into exit codes.
"""

from __future__ import annotations

import sys
from gc import freeze, set_threshold  # by name: the command gc is a module of this package

#: Python looks for cycles among all that a command has imported, again and again while it imports: a tenth of the
#: processor time of a short command. So it looks more seldom (from so many new objects on) than by default (700).
COLLECTED = (200_000, 20, 100)


def main() -> None:
    """Run the command that the process was called with, and exit with its code."""
    set_threshold(*COLLECTED)
    try:
        from datakeep.cli import interrupts

        interrupts.install()
        from datakeep.cli.boundary import run

        code = run(sys.argv[1:])
        interrupts.ignore()
    except BaseException as error:
        from datakeep.cli import interrupts
        from datakeep.core.interrupts import interrupt_within

        if interrupt_within(error) is None:
            raise
        interrupts.ignore()  # before the boundary stood
        sys.stderr.write("error: interrupted; nothing was recorded\n  next: run the same command again\n")
        code = 130
    freeze()  # nor is anything looked for at the end: what had to be closed is closed, and atexit's calls remain
    sys.exit(code)
