"""Runs a training on the user's own machine, as if datakeep were not there: its terminal, signals and exit code.

Standard input and error are the user's own. Standard output is handed on as it comes, through a
pseudo-terminal where the user has a terminal, because metrics may be printed on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
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
from typing import TYPE_CHECKING

from datakeep.core.errors import ProgramMissing
from datakeep.rerun import attendant
from datakeep.rerun.gpu_use import Sampler
from datakeep.rerun.process import memory_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from datakeep.rerun.gpu_use import GpuUsed

_CHUNK_BYTES = 64 * 2**10
_SIGNALLED = 128
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: How long output is waited for that processes left behind may still print, once the training's own is handed on.
_DRAIN_S = 0.5
#: A pipe holds no more, unless an administrator wants it to: what comes after that is not the training's own.
_HELD_BYTES = 2**20
#: More of one line than this is no line of metrics.
_LINE_BYTES = 64 * 2**10


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
    """

    exit_code: int
    signal: int | None
    started: bool
    interrupted: bool
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    gpus: tuple[GpuUsed, ...] = ()


@dataclass(slots=True)
class Lines:
    """The lines of an output that may be JSON objects, of which the last value of each key is kept."""

    found: dict[str, str] = field(default_factory=dict)
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
                found = json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_nothing)
                self.found |= {key: str(value) for key, value in found.items() if isinstance(value, _Number)}


class _Number(str):
    """The digits of a number of JSON, as they were printed."""

    __slots__ = ()


def _nothing(_constant: str) -> None:
    return None


def run(
    argv: Sequence[str], *, shown: str, environment: Mapping[str, str], stdout: int, lines: Lines
) -> Ended:
    """Runs ``argv`` in the current folder, to its end.

    Args:
        argv: The program and its arguments.
        shown: What the user called it, for the message that it cannot be run.
        environment: All variables that it gets.
        stdout: Where its standard output goes: the descriptor of datakeep's own, or its error output.
        lines: Is told all that it prints on its standard output.
    """
    with contextlib.ExitStack() as held:
        ours, theirs = _channel(stdout)
        pump = _Pump(ours, stdout, lines)
        held.callback(pump.close)
        report_out, report_in = os.pipe()
        held.callback(os.close, report_out)
        order = {"argv": list(argv), "environment": dict(environment), "stdout": theirs, "shown": shown}
        order_fd = memory_file(json.dumps(order))
        with _signals() as came:
            started = time.monotonic()
            try:
                process = _start(order_fd, report_in, theirs)
            finally:
                for number in (order_fd, report_in, theirs):
                    os.close(number)
            pump.start()
            with Sampler() as sampler:
                _attend(process, ours, came)
                wall_s = time.monotonic() - started
            pump.end(came)
        lines.end()
        ended = _verdict(process, report_out, interrupted=came.interrupted, wall_s=wall_s)
        return replace(ended, gpus=sampler.used)


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

    def wait(self, other: int) -> list[signal.Signals]:
        """Those that came since; none only where ``other`` can be read, or the other end of it is closed."""
        return self.look() if self.pipe in _ready(None, self.pipe, other) else []

    def look(self) -> list[signal.Signals]:
        """Those that came since, perhaps none."""
        if not _ready(0, self.pipe):
            return []
        came = [signal.Signals(number) for number in os.read(self.pipe, _CHUNK_BYTES)]
        self.interrupted = self.interrupted or any(number in _ENDING for number in came)
        return came


@contextlib.contextmanager
def _signals() -> Iterator[_Came]:
    """In the block, signals only take note; what is ignored stays so.

    One that nobody had looked at when the block was left is still the training's: it may have ended of it.
    """
    source, sink = os.pipe()
    came = _Came(source)
    try:
        os.set_blocking(sink, False)
        ending = [number for number in _ENDING if signal.getsignal(number) not in (signal.SIG_IGN, None)]
        usual = {number: signal.getsignal(number) for number in (*ending, signal.SIGWINCH)}
        usual_sink = signal.set_wakeup_fd(sink, warn_on_full_buffer=False)
        try:
            for number in usual:
                signal.signal(number, lambda *_: None)
            yield came
        finally:
            for number, handler in usual.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(usual_sink)
        came.look()
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


class _Pump:
    """Hands on what is printed, in a thread; where nobody reads it any more, it is still read for its metrics.

    All that the training itself prints is handed on, however late its reader takes it.
    """

    def __init__(self, source: int, target: int, lines: Lines) -> None:
        self._source, self._target, self._lines = source, target, lines
        self._told, self._tell = os.pipe()
        self._done, self._doing = os.pipe()
        self._thread = threading.Thread(target=self._run, name="datakeep-output", daemon=True)
        self._given_up = False
        self._is_over, self._held_bytes = False, 0
        self._until: float | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self, came: _Came) -> None:
        """The training has ended: what it printed is handed on, unless somebody wants an end of that, too."""
        os.write(self._tell, b".")
        while self._thread.is_alive() and not self._given_up:
            self._given_up = any(number in _ENDING for number in came.wait(self._done))

    def close(self) -> None:
        """Gives the descriptors back; not those that are still read, which would soon be another file's."""
        if not self._thread.is_alive():
            for number in (self._source, self._told, self._tell, self._done, self._doing):
                with contextlib.suppress(OSError):
                    os.close(number)

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # a pseudo-terminal that nobody has open any more
            while self._has_more() and (chunk := os.read(self._source, _CHUNK_BYTES)):
                self._held_bytes += len(chunk) if self._is_over else 0
                if not self._given_up:
                    self._lines.take(chunk)
                with contextlib.suppress(OSError):
                    _write_all(self._target, chunk)
        os.write(self._doing, b".")

    def _has_more(self) -> bool:
        """Waits for more while the training runs; then takes what is there, and what comes in a moment."""
        if not self._is_over:
            self._is_over = self._told in _ready(None, self._source, self._told)
            if not self._is_over:
                return True
        if self._until is None:
            if self._held_bytes < _HELD_BYTES and _ready(0, self._source):
                return True
            self._until = time.monotonic() + _DRAIN_S
        left_s = self._until - time.monotonic()
        return left_s > 0 and bool(_ready(left_s, self._source))


def _ready(within_s: float | None, *descriptors: int) -> set[int]:
    """Those that can be read within the time, None being any, or that nobody will write to any more."""
    poller = select.poll()
    for number in descriptors:
        poller.register(number, select.POLLIN)
    return {number for number, _ in poller.poll(None if within_s is None else within_s * 1000)}


def _write_all(target: int, chunk: bytes) -> None:
    while chunk:
        try:
            chunk = chunk[os.write(target, chunk) :]
        except BlockingIOError:  # a program that has it, too, wants not to wait
            poller = select.poll()
            poller.register(target, select.POLLOUT)
            poller.poll()


def _attend(process: subprocess.Popen[bytes], ours: int, came: _Came) -> None:
    """Waits for the end, and hands on what other processes send."""
    watch = os.pidfd_open(process.pid)
    try:
        while process.poll() is None:
            for number in came.wait(watch):
                if number == signal.SIGWINCH:
                    _same_size(ours)
                elif number in _ENDING:
                    process.send_signal(attendant.TOLD.get(number, number))
        came.look()  # at what came before its end was seen: that was still the training's
    finally:
        os.close(watch)


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
