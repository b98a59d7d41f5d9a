"""Where errors become exit codes and messages: the only place that does."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli import interrupts
from datakeep.cli.printable import printable, printable_json
from datakeep.core.errors import CommandNotExecutable, CommandNotFound, DatakeepError, NoSpace, Unsupported
from datakeep.core.interrupts import interrupt_within, is_interrupted, is_interruption

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_FAULT = 1
EXIT_USAGE = 2
EXIT_NO = 3
#: Neither yes nor no: what could not be looked at may change the answer.
EXIT_INCOMPLETE = 4
EXIT_INTERRUPTED = 130
#: What a shell says of a program that wrote into a pipe without a reader, which ends git and most others.
EXIT_READER_GONE = 141
#: By a signal: Ctrl-C, SIGTERM, a terminal that is gone.
_ENDED = frozenset({EXIT_INTERRUPTED, 128 + 15, 128 + 1})
#: Every failure of `datakeep run` itself, so that all others are the training's.
EXIT_OF_RUN = 125
#: But for these two, of which a shell says the same, as of a program within the training.
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
_OF_ITS_COMMAND = {
    CommandNotFound.id(): EXIT_NOT_FOUND,
    CommandNotExecutable.id(): EXIT_NOT_EXECUTABLE,
}
_RUN = "run"
#: More lines than this of one error are a count on the terminal; ``--json`` has all.
SHOWN_THINGS = 10
#: With one of these nothing is read or written.
_ONLY_SAYS = frozenset({"--help", "-h", "--version"})


@dataclass(frozen=True, slots=True)
class _Way:
    """How a call is answered: in JSON or not, and with which code it fails, if always the same."""

    as_json: bool
    fails_with: int | None

    def code_of(self, code: int, id: str = "") -> int:
        if self.fails_with is None or code in _ENDED:
            return code
        return _OF_ITS_COMMAND.get(id, self.fails_with)


def _way(argv: Sequence[str]) -> _Way:
    """What follows ``--`` is not for datakeep: the command line of a training."""
    own = list(argv[: argv.index("--")]) if "--" in argv else list(argv)
    words = [word for at, word in enumerate(own) if not word.startswith("-") and own[max(at - 1, 0)] != "-C"]
    return _Way("--json" in own, EXIT_OF_RUN if words[:1] == [_RUN] else None)


def run(argv: Sequence[str]) -> int:
    """Run the command line ``argv`` (without the program's name); returns the exit code."""
    way = _way(argv)
    _print_anything()
    try:
        return _run(argv, way)
    except BrokenPipeError as error:
        return _reader_gone(error, way=way)


def _run(argv: Sequence[str], way: _Way) -> int:
    from datakeep.cli.group import datakeep

    try:
        _require_utf8_names(argv)
        code = datakeep.main(args=list(argv), prog_name="datakeep", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        return _help(error, way=way)
    except click.ClickException as error:
        return _usage(error, way=way)
    except (KeyboardInterrupt, click.Abort) as stop:
        return _interrupted(stop, way=way)
    except BrokenPipeError:
        raise
    except SystemExit as stop:
        # click ends so after writing a shell's completion, and makes one of every pipe that nobody reads from.
        if any(_is_broken(stream) for stream in (sys.stdout, sys.stderr)):
            raise BrokenPipeError from None
        return stop.code if isinstance(stop.code, int) else 0
    except DatakeepError as error:
        return _report(error.id(), error.exit_code, error.what, error.next_step, error.things, way=way)
    except Exception as error:  # noqa: BLE001  (the last wall: a fault of ours is said to be one)
        return _unforeseen(error, way=way)


def _help(error: click.exceptions.NoArgsIsHelpError, *, way: _Way) -> int:
    """A group without a command: its help is the answer, with click's exit code for it."""
    if way.as_json:
        path = error.ctx.command_path if error.ctx else "datakeep"
        return _report("usage-error", EXIT_USAGE, "no command is named", f"{path} --help", way=way)
    _say(error.format_message())
    return EXIT_USAGE


def _usage(error: click.ClickException, *, way: _Way) -> int:
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx else "datakeep"
    message = error.format_message()
    what = message[:1].lower() + message[1:].rstrip(".")
    option = error.param if isinstance(error, click.MissingParameter) else None
    missing = f"{option.opts[0]} {option.metavar or 'VALUE'}" if isinstance(option, click.Option) else ""
    next_step = f"add {missing}; {path} --help" if missing else f"{path} --help"
    return _report("usage-error", EXIT_USAGE, what, next_step, way=way)


def _interrupted(stop: BaseException, *, way: _Way) -> int:
    interrupts.ignore()  # a second one would only cut the message off
    # click makes its own Abort of a KeyboardInterrupt.
    origin = stop if isinstance(stop, KeyboardInterrupt) else stop.__cause__
    said = origin.args if isinstance(origin, KeyboardInterrupt) else ()
    words, next_step = said or (interrupts.NOTHING, interrupts.AGAIN)
    what, code = interrupts.told(words)
    try:
        return _report("interrupted", code, what, next_step, way=way)
    except OSError:  # the terminal is gone, too
        _write_nowhere("stdout", "stderr")
        return code


def _no_room_for_the_answer(error: OSError, *, way: _Way) -> int:
    """What a command has said goes into a file on a full disk, or ``/dev/full``: also JSON's is said beside it."""
    _write_nowhere("stdout")
    way = replace(way, as_json=False)
    what, next_step = f"the answer cannot be written: {error.strerror}", "make room for it, and ask again"
    if is_done := getattr(error, "__notes__", ()):
        what, next_step = f"{what}; {is_done[0]}", "datakeep status"
    try:
        return _report(NoSpace.id(), NoSpace.exit_code, what, next_step, way=way)
    except OSError:  # nor is there room for this
        _write_nowhere("stderr")
        return way.code_of(NoSpace.exit_code, NoSpace.id())


def _reader_gone(error: BrokenPipeError, *, way: _Way) -> int:
    """Whoever read our output has gone (``| head``), which is no fault: as git, we end without a word."""
    gone = [name for name in ("stdout", "stderr") if _is_broken(getattr(sys, name))]
    if not gone:  # it was another pipe
        return _fault(error, way=way)
    _write_nowhere(*gone)
    return way.code_of(EXIT_READER_GONE)


def _write_nowhere(*names: str) -> None:
    """What is left in the buffers goes nowhere; Python would complain once more when it flushes at exit."""
    for name in names:
        number = getattr(sys, f"__{name}__").fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
    sys.stdout = sys.__stdout__  # click has put its own in its place


def _is_broken(stream: Any) -> bool:
    import select

    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no file at all
        return False


def _unforeseen(error: Exception, *, way: _Way) -> int:
    if is_interruption(error):
        return _interrupted(interrupt_within(error) or KeyboardInterrupt(), way=way)
    if isinstance(error, OSError) and error.errno in NoSpace.errnos and error.filename is None:
        return _no_room_for_the_answer(error, way=way)
    if isinstance(error, OSError) and is_interrupted(
        error
    ):  # nobody can be told that it ends: the terminal is gone
        return _interrupted(KeyboardInterrupt(), way=way)
    return _fault(error, way=way)


def _fault(error: Exception, *, way: _Way) -> int:
    import traceback

    lines = [line.rstrip() for line in traceback.format_exception(error)]
    what = f"a fault in datakeep: {type(error).__name__}: {error}"
    if not way.as_json:
        _say("\n".join(lines))
    next_step = "report it, with the lines above"
    return _report("fault", EXIT_FAULT, what, next_step, lines if way.as_json else (), way=way)


def _report(id: str, code: int, what: str, next_step: str, things: Sequence[str] = (), *, way: _Way) -> int:
    code = way.code_of(code, id)
    if way.as_json:
        error = {"id": id, "exit_code": code, "what": what, "things": list(things), "next": next_step}
        click.echo(printable_json({"error": error}))
        return code
    _say(click.style("error: ", fg="red", bold=True) + what)
    things = () if len(things) == 1 and things[0] in what else things  # a single one has been said
    for thing in things[:SHOWN_THINGS]:
        _say(f"  - {thing}")
    if len(things) > SHOWN_THINGS:
        _say(f"  … and {len(things) - SHOWN_THINGS} more (all with --json)")
    _say(click.style("  next: ", bold=True) + next_step)
    return code


def _say(text: str) -> None:
    click.echo(printable(text, on_terminal=sys.stderr.isatty()), err=True)


def _print_anything() -> None:
    """What the terminal's encoding lacks is shown as its code: an answer never ends in a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def _require_utf8_names(argv: Sequence[str]) -> None:
    """File names are written into inventories and git as UTF-8, so they must be read as UTF-8.

    Raises:
        Unsupported: Python would read and write them in another encoding.
    """
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8" and argv and not _ONLY_SAYS & set(argv):
        raise Unsupported(
            f"this terminal's locale makes Python use {encoding} for file names; datakeep needs UTF-8",
            next_step="run it with PYTHONUTF8=1 in the environment, or in a UTF-8 locale",
        )
