"""Runs a program to its end: time limit, resource usage, bounded output. What all sandboxes share."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from datakeep.core.errors import AccessDenied, NoSpace, ProgramMissing
from datakeep.core.interrupts import uninterrupted
from datakeep.rerun import memory, supervisor
from datakeep.rerun.interface import LOG_LIMIT_BYTES, TAIL_BYTES, Finished

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_CHUNK_BYTES = 64 * 2**10
#: How long a killed tree may take to be gone.
_GRACE_S = 30.0
_SIGNALLED = 128


@dataclass(slots=True)
class _Output:
    """What the job printed: to the log up to a limit, and the end of it in memory."""

    log: IO[bytes]
    written_bytes: int = 0
    tail: deque[bytes] = field(default_factory=deque)
    tail_bytes: int = 0

    def take(self, chunk: bytes) -> None:
        room = LOG_LIMIT_BYTES - self.written_bytes
        if room > 0:
            self.log.write(chunk[:room])
        self.written_bytes += len(chunk)
        self.tail.append(chunk)
        self.tail_bytes += len(chunk)
        while self.tail_bytes - len(self.tail[0]) >= TAIL_BYTES:
            self.tail_bytes -= len(self.tail.popleft())

    def close(self) -> str:
        """The last of the output as text; the log says where it was cut."""
        last = b"".join(self.tail)[-TAIL_BYTES:]
        if self.written_bytes > LOG_LIMIT_BYTES:
            cut = self.written_bytes - LOG_LIMIT_BYTES
            self.log.write(b"\n[datakeep: %d more bytes were printed; the last of them follow]\n" % cut)
            self.log.write(last)
        return last.decode("utf-8", "replace")


def run(
    argv: Sequence[str],
    *,
    log: Path,
    timeout_s: float,
    environment: Mapping[str, str],
    cwd: str = "/",
    pass_fds: Sequence[int] = (),
) -> Finished:
    """Runs ``argv`` for at most ``timeout_s``; afterwards none of its processes is alive.

    Args:
        argv: The program and its arguments.
        log: Where the output goes.
        timeout_s: Then the whole tree is killed.
        environment: All variables that the program gets.
        cwd: Its working folder.
        pass_fds: Descriptors that it inherits.

    Raises:
        NoSpace: The log cannot be written.
        AccessDenied: The log may not be written.
    """
    order = json.dumps({"argv": list(argv), "cwd": cwd, "environment": dict(environment)})
    with _log(log) as sink, contextlib.ExitStack() as held:
        report_out, report_in = os.pipe()
        held.callback(os.close, report_out)
        # Ctrl-C is raised before the program is started or when it is known, never between.
        with _closing(memory_file(order)) as order_fd, _closing(report_in), uninterrupted():
            process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", str(Path(supervisor.__file__))),
                    *(str(os.getpid()), str(order_fd), str(report_in)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={},
                pass_fds=(*pass_fds, order_fd, report_in),
                start_new_session=True,
            )
            held.callback(_end, process)
        return _attend(process, report_out, _Output(sink), timeout_s)


def memory_file(text: str) -> int:
    """A descriptor of an unnamed file in memory that holds ``text``, to be handed to a program."""
    number = os.memfd_create("datakeep")
    with contextlib.ExitStack() as on_error:
        on_error.callback(os.close, number)
        with open(number, "wb", closefd=False) as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        os.lseek(number, 0, os.SEEK_SET)
        on_error.pop_all()
    return number


@contextlib.contextmanager
def _closing(number: int) -> Iterator[int]:
    try:
        yield number
    finally:
        os.close(number)


@contextlib.contextmanager
def _log(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("wb") as sink:
            yield sink
    except OSError as error:
        what = f"the output of the job cannot be written to {path}: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(what, next_step="free space there and run again") from error
        raise AccessDenied(what, next_step=f"check the permissions of {path.parent}") from error


def _attend(process: subprocess.Popen[bytes], report: int, output: _Output, timeout_s: float) -> Finished:
    """Reads output until the program is gone."""
    started, kills = time.monotonic(), memory.kills()
    watch = os.pidfd_open(process.pid)
    try:
        pipe = process.stdout
        if pipe is None:
            raise ProgramMissing("the job has no output", next_step="report this as a fault of datakeep")
        with pipe:
            timed_out = not _pump(pipe, watch, output, started + timeout_s)
            if timed_out:
                process.terminate()
                _pump(pipe, watch, output, time.monotonic() + _GRACE_S)
            wall_s = time.monotonic() - started
            _drain(pipe, output)
        return replace(
            _verdict(process, report, timed_out=timed_out, wall_s=wall_s, tail=output.close()),
            output_bytes=output.written_bytes,
            kernel_lacked_memory=memory.kills() > kills,
        )
    finally:
        os.close(watch)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The supervisor kills the tree and then leaves; killed itself, it could not."""
    if process.stdout is not None:
        process.stdout.close()  # nobody reads any more what is printed
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _pump(pipe: IO[bytes], watch: int, output: _Output, until: float) -> bool:
    """Moves output until the process has ended (True) or the time is up (False)."""
    poller = select.poll()
    poller.register(watch, select.POLLIN)
    poller.register(pipe, select.POLLIN)
    while (left := until - time.monotonic()) > 0:
        ready = dict(poller.poll(min(left, 1.0) * 1000 + 1))
        if pipe.fileno() in ready:
            chunk = os.read(pipe.fileno(), _CHUNK_BYTES)
            if chunk:
                output.take(chunk)
            else:
                poller.unregister(pipe)
        if watch in ready:
            return True
    return False


def _drain(pipe: IO[bytes], output: _Output) -> None:
    """Takes what is still in the pipe; nothing is waited for."""
    os.set_blocking(pipe.fileno(), False)
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(pipe.fileno(), _CHUNK_BYTES):
            output.take(chunk)


def _verdict(
    process: subprocess.Popen[bytes], report: int, *, timed_out: bool, wall_s: float, tail: str
) -> Finished:
    """What the supervisor reported; where it was itself killed, its own end stands for the program's."""
    _end(process)
    os.set_blocking(report, False)
    try:
        code, cpu_s, peak_rss_bytes, left = json.loads(os.read(report, 4096))
    except (BlockingIOError, ValueError):
        code, cpu_s, peak_rss_bytes, left = _SIGNALLED + abs(process.returncode), 0.0, 0, 0
    number = code - _SIGNALLED
    return Finished(
        exit_code=code,
        signal=number if number in {known.value for known in signal.Signals} else None,
        timed_out=timed_out,
        wall_s=wall_s,
        cpu_s=cpu_s,
        peak_rss_bytes=peak_rss_bytes,
        output_tail=tail,
        left_running=left,
    )
