"""Progress as a person sees it: a live line on a terminal, plain lines for what must be seen elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from datakeep.cli.printable import one_line, printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class Shown:
    """Reports to stderr: stages as live bars on a terminal, notes and warnings as lines.

    Args:
        quiet: Show warnings only, as for ``--json``.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._size_bytes = 0
        self._total: int | None = None
        self._unit, self._count = "files", 0
        #: Whether something was recorded by now.
        self.has_recorded = False

    def stage(self, name: str, *, total: int | None = None, unit: str = "files") -> None:
        """A new live line; nothing in a pipe."""
        if not self._live:
            return
        bars = self._start()
        if self._task is not None:
            bars.remove_task(self._task)
        self._size_bytes = 0
        self._total, self._unit, self._count = total, unit, 0
        self._task = bars.add_task(printable(name), total=total, done=self._done(), rate="")

    def advance(self, count: int = 1, *, size_bytes: int = 0) -> None:
        """The live line moves on."""
        if self._bars is None or self._task is None:
            return
        self._size_bytes += size_bytes
        self._count += count
        rate = self._rate(self._bars.tasks[-1].elapsed or 0)
        self._bars.update(self._task, advance=count, done=self._done(), rate=rate)

    def _rate(self, elapsed_s: float) -> str:
        """How fast it goes; rows are counted too, since nobody knows how many bytes one has."""
        if not elapsed_s:
            return ""
        rows = [f"{self._count / elapsed_s:,.0f} rows/s"] if self._unit == "rows" and self._count else []
        return ", ".join(
            [*rows, *([f"{self._size_bytes / elapsed_s / 1e6:.1f} MB/s"] if self._size_bytes else [])]
        )

    def _done(self) -> str:
        """``3/10 files``; where it is not known how many there will be, what is done, if anything."""
        if self._total is not None:
            return f"{self._count:,}/{self._total:,} {self._unit}"
        return f"{self._count:,} {self._unit}" if self._count else ""

    def note(self, text: str) -> None:
        """A line, unless only the answer is wanted."""
        if not self._quiet:
            self._line(text)

    def warn(self, text: str) -> None:
        """A line, always."""
        self._line(click.style("warning: ", fg="yellow", bold=True) + text)

    def recorded(self) -> None:
        """Remembered, for what a later Ctrl-C is answered."""
        self.has_recorded = True

    def close(self) -> None:
        """The live line goes away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = self._task = None

    def _line(self, text: str) -> None:
        text = printable(one_line(text), on_terminal=sys.stderr.isatty())
        if self._bars is not None:
            # click's escape codes pass through; rich must not read the text as its own markup.
            self._bars.console.out(click.unstyle(text), highlight=False)
        else:
            click.echo(text, err=True)

    def _start(self) -> Bars:
        if self._bars is None:
            from rich import progress
            from rich.console import Console

            columns = (
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TextColumn("{task.fields[done]} {task.fields[rate]}"),
                progress.TimeElapsedColumn(),
            )
            self._bars = progress.Progress(*columns, console=Console(stderr=True), transient=True)
            self._bars.start()
        return self._bars
