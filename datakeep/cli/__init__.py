"""The command line: one file per command, each imported only when it is called.

``main`` is the entry point. A command file turns options into one call of one workflow and renders its
answer; ``boundary`` alone turns errors into exit codes.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the process was called with, and exit with its code."""
    try:
        from datakeep.cli import interrupts

        interrupts.install()
        from datakeep.cli.boundary import run

        code = run(sys.argv[1:])
        interrupts.ignore()
    except KeyboardInterrupt:  # before the boundary stood
        from datakeep.cli import interrupts

        interrupts.ignore()
        sys.stderr.write("error: interrupted; nothing was recorded\n  next: run the same command again\n")
        code = 130
    sys.exit(code)
