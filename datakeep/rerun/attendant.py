"""Stands between datakeep and a training on the user's own machine; :mod:`datakeep.rerun.attended` starts it.

It is started with the interpreter's ``-I -S`` and imports the standard library only. It is small, because
the kernel counts the memory of the process that forks as the child's peak; and it is told when datakeep
dies, so that a training does not run on for a record that nobody will write. What a training leaves running
is left alone: this is the user's machine, no clean room.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from contextlib import suppress

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_ARGUMENTS = 4
#: What arrives here, and what the training gets for it. A terminal sends its own SIGINT to both.
_FORWARDED = {signal.SIGTERM: signal.SIGTERM, signal.SIGHUP: signal.SIGHUP, signal.SIGUSR1: signal.SIGINT}


def main(parent: int, order: int, report: int) -> int:
    """Runs the program of the order, a file descriptor with JSON: ``argv``, ``environment``, ``stdout``.

    Writes ``[return code, CPU seconds, peak memory in bytes, could be started]`` as JSON to the descriptor
    ``report``; the return code is negative where a signal ended the program.
    """
    with os.fdopen(order, encoding="utf-8", errors="surrogateescape") as source:
        what = json.load(source)
    os.set_inheritable(report, False)
    failure_out, failure_in = os.pipe()
    child = os.fork()
    if not child:
        _become(what, failure_in)
    os.close(failure_in)
    os.close(what["stdout"])
    _attend(child)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(child, signal.SIGTERM)
    started = not os.read(failure_out, 1)
    _, status = os.waitpid(child, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = os.waitstatus_to_exitcode(status)
    said = json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, started])
    with suppress(BrokenPipeError):
        os.write(report, said.encode())
    return 0


def _become(what: dict[str, object], failure: int) -> None:
    """This process is the program; where it cannot be, a byte in ``failure`` says so."""
    code = _NOT_FOUND
    try:
        os.dup2(int(str(what["stdout"])), 1)
        argv, environment = list(what["argv"]), dict(what["environment"])  # type: ignore[call-overload]
        os.execvpe(argv[0], argv, environment)  # noqa: S606  no shell is the point
    except OSError as error:
        os.write(failure, b"!")
        os.write(2, f"{what['shown']}: {error.strerror}\n".encode("utf-8", "surrogateescape"))
        code = _NOT_EXECUTABLE if isinstance(error, PermissionError) else _NOT_FOUND
    finally:
        os._exit(code)


def _attend(child: int) -> None:
    def forward(number: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, _FORWARDED[signal.Signals(number)])

    for number in _FORWARDED:
        signal.signal(number, forward)
    signal.signal(signal.SIGINT, lambda *_: None)


if __name__ == "__main__":
    if len(sys.argv) != _ARGUMENTS:
        sys.exit("usage: attendant.py PARENT-ID ORDER-DESCRIPTOR REPORT-DESCRIPTOR")
    sys.exit(main(*(int(argument) for argument in sys.argv[1:])))
