"""Runs a training on the user's own machine, as if datakeep were not there: its terminal, signals and exit code.

Standard input and error are the user's own. Standard output is handed on as it comes, through a
pseudo-terminal where the user has a terminal, because metrics may be printed on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from datakeep.core.errors import ProgramMissing
from datakeep.rerun import attendant, metrics
from datakeep.rerun.gpu_use import Sampler
from datakeep.rerun.process import memory_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from datakeep.rerun.gpu_use import GpuUsed

_CHUNK_BYTES = 64 * 2**10
_SIGNALLED = 128
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: How long output is waited for that processes left behind may still print, and how much of it.
_DRAIN_S = 0.5
_DRAIN_BYTES = 2 * 2**20
#: More of one line, of a name or of the digits of a number than this is none of metrics.
_LINE_BYTES = 64 * 2**10
_NAME_CHARACTERS, _DIGITS = 250, 500


@dataclass(frozen=True, slots=True)
class Ended:
    """How a training ended.

    Args:
        exit_code: Its own; 128 + signal where a signal ended it, as in a shell.
        signal: The signal that ended it, or None.
        started: False where its program could not be run at all.
        interrupted: Somebody told it to stop: Ctrl-C, or a signal to datakeep.
        wall_s: Seconds from start to end.
        cpu_s: CPU seconds of it and of all processes that it waited for, user and system.
        peak_rss_bytes: The most memory that any one of them held.
        gpus: How the GPUs were used meanwhile, if there are any.
        not_written: Why some of its standard output could not be handed on; empty if all was, or nobody reads it.
    """

    exit_code: int
    signal: int | None
    started: bool
    interrupted: bool
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    gpus: tuple[GpuUsed, ...] = ()
    not_written: str = ""


class Listened(NamedTuple):
    """A training that asks before it opens a file (:mod:`datakeep.rerun.openings`).

    Args:
        before: The argv of what stands around it.
        command: Its own, by a path that can be run.
        file: Where what it opens is written; not made where nobody could listen.
    """

    before: tuple[str, ...]
    command: tuple[str, ...]
    file: str


@dataclass(slots=True)
class Lines:
    """The lines of an output that may be JSON objects, of which the last value of each key is kept.

    Attributes:
        found: The numbers, by name; at most :data:`metrics.MAX_COUNT`.
        no_measurements: Of names whose last value is none (NaN, infinite, 1e999), that value; an earlier number does
            not stand for it.
        is_cut: There were more names.
    """

    found: dict[str, str] = field(default_factory=dict)
    no_measurements: dict[str, str] = field(default_factory=dict)
    is_cut: bool = False
    _rest: bytes = b""
    _skips: bool = False

    def take(self, chunk: bytes) -> None:
        """More of the output."""
        *whole, rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            if not self._skips:
                self._look_at(line)
            self._skips = False
        self._skips = self._skips or len(rest) > _LINE_BYTES
        self._rest = b"" if self._skips else rest

    def end(self) -> None:
        """The output has ended, perhaps without a last line end."""
        if not self._skips:
            self._look_at(self._rest)
        self._rest = b""

    def _look_at(self, line: bytes) -> None:
        text = line.strip()
        if text.startswith(b"{") and text.endswith(b"}"):
            with contextlib.suppress(ValueError, RecursionError):
                found = json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
                for name, value in found.items():
                    if isinstance(value, _Number) and len(name) <= _NAME_CHARACTERS:
                        self._measured(name, value)

    def _measured(self, name: str, value: _Number) -> None:
        is_one = len(value) <= _DIGITS and metrics.is_measurement(metrics.number_of(value))
        mine, other = (self.found, self.no_measurements) if is_one else (self.no_measurements, self.found)
        if name not in mine and len(mine) >= metrics.MAX_COUNT:
            self.is_cut = True
            return
        mine[name] = str(value)
        other.pop(name, None)


class _Number(str):
    """A number of JSON as it was printed, digit by digit; NaN and infinities too, which Python takes for such."""

    __slots__ = ()


def run(
    argv: Sequence[str],
    *,
    shown: str,
    environment: Mapping[str, str],
    stdout: int,
    lines: Lines,
    listened: Listened | None = None,
) -> Ended:
    """Runs ``argv`` in the current folder, to its end.

    Args:
        argv: The program and its arguments.
        shown: What the user called it, for the message that it cannot be run.
        environment: All variables that it gets.
        stdout: Where its standard output goes: the descriptor of datakeep's own, or its error output.
        lines: Is told all that it prints on its standard output.
        listened: The same with its openings asked of a listener, which is tried first.
    """
    with contextlib.ExitStack() as held:
        ours, theirs = _channel(stdout)
        output = _Output(ours, stdout, lines)
        held.callback(output.close)
        report_out, report_in = os.pipe()
        held.callback(os.close, report_out)
        order = {
            "argv": list(argv),
            "environment": dict(environment),
            "stdout": theirs,
            "shown": shown,
            "listened": listened and listened._asdict(),
        }
        order_fd = memory_file(json.dumps(order))
        with _signals() as came:
            started = time.monotonic()
            try:
                process = _start(order_fd, report_in, theirs)
            finally:
                for number in (order_fd, report_in, theirs):
                    os.close(number)
            output.thread.start()
            with Sampler() as sampler:
                _attend(process, ours, came)
                wall_s = time.monotonic() - started
            ended = _verdict(process, report_out, interrupted=came.interrupted, wall_s=wall_s)
            output.end(came, waits=not (ended.interrupted and ended.exit_code))
        return replace(ended, gpus=sampler.used, not_written=output.failure)


def _start(order: int, report: int, stdout: int) -> subprocess.Popen[bytes]:
    # It inherits the mask, and takes it off when it can answer signals.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, attendant.BLOCKED)
    try:
        return subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(Path(attendant.__file__))),
                *(str(os.getpid()), str(order), str(report)),
            ],
            env={},
            pass_fds=(order, report, stdout),
        )
    except OSError as error:
        raise ProgramMissing(
            f"the training could not be started: {error.strerror}", next_step="run it again"
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(slots=True)
class _Came:
    """The signals that reach this process, whichever of its threads the kernel chose for them.

    A mask would be no help: libraries have threads of their own that do not know of it (Arrow's, for one).
    """

    pipe: int
    interrupted: bool = False

    def look(self) -> list[signal.Signals]:
        """Those that came since, perhaps none."""
        return self.wait() if _ready(0, self.pipe) else []

    def wait(self) -> list[signal.Signals]:
        """Those that came since, at least one."""
        came = [signal.Signals(number) for number in os.read(self.pipe, _CHUNK_BYTES)]
        self.interrupted = self.interrupted or any(number in _ENDING for number in came)
        return came


@contextlib.contextmanager
def _signals() -> Iterator[_Came]:
    """In the block, signals only take note; what is ignored stays so."""
    source, sink = os.pipe()
    came = _Came(source)
    try:
        os.set_blocking(sink, False)
        ending = [number for number in _ENDING if signal.getsignal(number) not in (signal.SIG_IGN, None)]
        usual = {number: signal.getsignal(number) for number in (*ending, signal.SIGCHLD, signal.SIGWINCH)}
        usual_sink = signal.set_wakeup_fd(sink, warn_on_full_buffer=False)
        try:
            for number in usual:
                signal.signal(number, lambda *_: None)
            yield came
        finally:
            for number, handler in usual.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(usual_sink)
    finally:
        os.close(source)
        os.close(sink)


def _channel(stdout: int) -> tuple[int, int]:
    """Two ends for the output; a terminal that looks like the user's where there is one."""
    if not os.isatty(stdout):
        return os.pipe()
    ours, theirs = pty.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST  # the user's terminal does that once
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    _same_size(ours)
    return ours, theirs


def _same_size(ours: int) -> None:
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(1, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(ours, termios.TIOCSWINSZ, size)


class _Output:
    """Hands on what is printed, by a thread; where nobody takes it any more, it is still read for its metrics.

    Args:
        source: What the training prints comes from there. It is closed with this.
        target: Where it goes to.
        lines: Is told all of it.
    """

    def __init__(self, source: int, target: int, lines: Lines) -> None:
        self._source, self._target, self._lines = source, target, lines
        self._ended, self._done = os.eventfd(0), os.eventfd(0)
        self._given_up = False
        self.failure = ""
        self.thread = threading.Thread(target=self._pump, name="datakeep-output", daemon=True)

    def end(self, came: _Came, *, waits: bool) -> None:
        """The training has ended: what it printed is handed on to the last byte, however slowly that is read.

        Without ``waits`` only for a moment: nobody will ask for it; and until somebody wants an end of that, too.
        """
        os.eventfd_write(self._ended, 1)
        within_s = None if waits else 2 * _DRAIN_S
        while came.pipe in (ready := _ready(within_s, self._done, came.pipe)) and self._done not in ready:
            if any(number in _ENDING for number in came.wait()):
                break
        self._given_up = self._done not in ready
        if not self._given_up:
            self.thread.join()
            self._lines.end()

    def close(self) -> None:
        """Its descriptors are closed, unless it is still at work with them."""
        if not self.thread.is_alive():
            for number in (self._source, self._ended, self._done):
                os.close(number)

    def _pump(self) -> None:
        with contextlib.suppress(OSError):  # a pseudo-terminal that nobody has open any more
            for chunk in self._printed():
                if not self._given_up:
                    self._lines.take(chunk)
                self._hand_on(chunk)
        os.eventfd_write(self._done, 1)

    def _printed(self) -> Iterator[bytes]:
        """All until it is closed; after the end, what is there, and what else comes within a moment."""
        until_s, left_bytes = math.inf, _DRAIN_BYTES
        waiting = select.poll()
        for number in (self._source, self._ended):
            waiting.register(number, select.POLLIN)
        while True:
            left_s = max(until_s - time.monotonic(), 0)
            ready = dict(waiting.poll(None if left_s == math.inf else left_s * 1000))
            if self._ended in ready:
                waiting.unregister(self._ended)
                until_s = time.monotonic() + _DRAIN_S
            elif self._source not in ready or (not left_s and left_bytes <= 0):
                return
            elif chunk := os.read(self._source, _CHUNK_BYTES):
                left_bytes -= 0 if until_s == math.inf else len(chunk)
                yield chunk
            else:
                return

    def _hand_on(self, chunk: bytes) -> None:
        try:
            while chunk:
                try:
                    chunk = chunk[os.write(self._target, chunk) :]
                except BlockingIOError:  # another program that has it made it so
                    room = select.poll()
                    room.register(self._target, select.POLLOUT)
                    room.poll()
        except BrokenPipeError:
            pass
        except OSError as error:  # a full disk, a terminal that is gone
            self.failure = error.strerror or str(error)


def _ready(within_s: float | None, *descriptors: int) -> set[int]:
    """Those that can be read within the time, None being any, or that nobody will write to any more."""
    poller = select.poll()
    for number in descriptors:
        poller.register(number, select.POLLIN)
    return {number for number, _ in poller.poll(None if within_s is None else within_s * 1000)}


def _attend(process: subprocess.Popen[bytes], ours: int, came: _Came) -> None:
    """Waits for the end, and hands on what other processes send."""
    while process.poll() is None:
        for number in came.wait():
            if number == signal.SIGWINCH:
                _same_size(ours)
            elif number in _ENDING:
                process.send_signal(attendant.TOLD.get(number, number))
    came.look()  # at what came before its end was seen: that was still the training's, which may have ended of it


def _verdict(process: subprocess.Popen[bytes], report: int, *, interrupted: bool, wall_s: float) -> Ended:
    """What the attendant reported; where it was itself killed, its own end stands for the training's."""
    os.set_blocking(report, False)
    try:
        code, cpu_s, peak_rss_bytes, started = json.loads(os.read(report, 4096))
    except (BlockingIOError, ValueError):
        code, cpu_s, peak_rss_bytes, started = process.returncode, 0.0, 0, True
    return Ended(
        exit_code=code if code >= 0 else _SIGNALLED - code,
        signal=-code if code < 0 else None,
        started=started,
        interrupted=interrupted,
        wall_s=wall_s,
        cpu_s=cpu_s,
        peak_rss_bytes=peak_rss_bytes,
    )
