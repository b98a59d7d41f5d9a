"""What every command shares: the keep's folder, ``--json``, progress, and how an answer is shown."""

from __future__ import annotations

import functools
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli import interrupts
from datakeep.cli.group import Before, preformatted
from datakeep.cli.printable import one_line, printable, printable_json
from datakeep.core.interrupts import interrupt_within, is_interruption
from datakeep.core.sizes import size as size  # noqa: PLC0414  handed on to the commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from datakeep.cli.progress import Shown
    from datakeep.core.progress import Progress
    from datakeep.workflows.keep import Keep

#: Where a line ends, with the spaces around it; and tabs, whose width is not known.
_BREAKS = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029\t]\s*")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found out.

    Args:
        data: For ``--json``; plain JSON types.
        lines: For a person, one line each.
        code: The exit code: 0, or 3 where the answer is no.
    """

    data: dict[str, Any]
    lines: Sequence[str] = ()
    code: int = 0


@dataclass(slots=True)
class Session:
    """One call of one command."""

    keep_dir: Path
    as_json: bool
    _progress: Shown | None = field(default=None)

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked."""
        return not self.as_json and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def progress(self) -> Progress:
        """Where workflows report to: bars on a terminal, lines otherwise, only warnings with ``--json``."""
        if self._progress is None:
            from datakeep.cli.progress import Shown

            self._progress = Shown(quiet=self.as_json)
        return self._progress

    def keep(self) -> Keep:
        """The keep that the command works in.

        Raises:
            NotAKeep: There is none at this folder or above it.
        """
        from datakeep.workflows.keep import open_keep

        return open_keep(self.keep_dir, self.progress)

    def close(self) -> None:
        """Take the progress off the terminal."""
        if self._progress is not None:
            self._progress.close()

    def interrupted(self) -> tuple[str, ...]:
        """What a Ctrl-C at this point means, and what to type, where it is not that nothing was recorded."""
        if self._progress is not None and self._progress.has_recorded:
            return ("interrupted after it was recorded", "datakeep status")
        return ()

    def show(self, answer: Answer) -> int:
        """Print the answer; returns its exit code."""
        self.close()
        is_recorded = bool(self.interrupted())
        if is_recorded:
            interrupts.ignore()  # nothing is left but to say so
        try:
            self._print(answer)
        except OSError as error:
            if is_recorded:
                error.add_note("what was asked for is done and recorded")
            raise
        return answer.code

    def _print(self, answer: Answer) -> None:
        if self.as_json:
            click.echo(printable_json(answer.data))
        else:
            on_terminal = sys.stdout.isatty()
            for line in answer.lines:
                click.echo(printable(one_line(line), on_terminal=on_terminal))


def command(**settings: Any) -> Callable[[Callable[..., Answer]], click.Command]:
    """A click command whose function takes a :class:`Session` and returns an :class:`Answer`."""

    def decorate(function: Callable[..., Answer]) -> click.Command:
        def call(ctx: click.Context, /, keep_dir: Path | None, as_json: bool, **options: Any) -> int:
            before = ctx.find_object(Before) or Before()
            session = Session(keep_dir or before.keep_dir or Path(), as_json or before.as_json)
            try:
                return session.show(function(session, **options))
            except BaseException as error:
                if not is_interruption(error):
                    raise
                stop = interrupt_within(error)
                raise KeyboardInterrupt(*((stop and stop.args) or session.interrupted())) from (stop or error)
            finally:
                session.close()

        # The options that decorators put on the function belong to the command as well.
        callback: Any = click.pass_context(functools.update_wrapper(call, function))
        callback = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")(
            callback
        )
        callback = click.option("-C", "keep_dir", type=click.Path(path_type=Path), help="The keep's folder.")(
            callback
        )
        settings.setdefault(
            "context_settings", {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        )
        settings.setdefault("help", preformatted(function.__doc__))
        made: click.Command = click.command(**settings)(callback)
        return made

    return decorate


def table(rows: Iterable[Sequence[object]], *, head: Sequence[str] = ()) -> list[str]:
    """Rows as aligned columns, as wide as they need to be; wide characters count as two, and a cell is one line."""
    from rich.cells import cell_len

    shown = [[_cell(cell) for cell in row] for row in ([head] if head else [])] + [
        [_cell(cell) for cell in row] for row in rows
    ]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    lines = [
        "  ".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in shown
    ]
    return [click.style(lines[0], bold=True), *lines[1:]] if head and lines else lines


def _cell(value: object) -> str:
    """One line of what can be printed, so that its width is what will be seen."""
    text = str(value)
    return text if text.isprintable() else printable(_BREAKS.sub(" ", text))
