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
#: What arrives here, and what the training gets for it. A terminal sends SIGINT to the three of us.
_FORWARDED = {signal.SIGTERM: signal.SIGTERM, signal.SIGHUP: signal.SIGHUP, signal.SIGUSR1: signal.SIGINT}
#: By what datakeep says that it got one.
TOLD = {signal.SIGINT: signal.SIGUSR1}
#: What is blocked when this starts, until it can be answered.
BLOCKED = (signal.SIGINT, *_FORWARDED)
_TOO_EARLY = b"!"
#: What Python ignores, and other programs expect to die of.
_OF_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def main(parent: int, order: int, report: int) -> int:
    """Runs the program of the order, a file descriptor with JSON: ``argv``, ``environment``, ``stdout``.

    Writes ``[return code, CPU seconds, peak memory in bytes, could be started]`` as JSON to the descriptor
    ``report``; the return code is negative where a signal ended the program.
    """
    with os.fdopen(order, encoding="utf-8", errors="surrogateescape") as source:
        what = json.load(source)
    os.set_inheritable(report, False)
    failure_out, failure_in = os.pipe()
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        _become(what, failure_in, told)
    os.write(tell, _TOO_EARLY if signal.SIGINT in signal.sigpending() else b".")
    _attend(child)
    os.close(failure_in)
    os.close(what["stdout"])
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


def _become(what: dict[str, object], failure: int, told: int) -> None:
    """This process is the program; where it cannot be, a byte in ``failure`` says so.

    ``told`` says whether the whole group has got a SIGINT by now. If this process has none, it was not in it yet.
    """
    code = _NOT_FOUND
    try:
        for number in _OF_PYTHON:
            signal.signal(number, signal.SIG_DFL)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        if os.read(told, 1) == _TOO_EARLY and signal.SIGINT not in signal.sigpending():
            os.kill(os.getpid(), signal.SIGINT)
        _unblock()
        stdout = int(str(what["stdout"]))
        os.set_inheritable(stdout, False)
        os.dup2(stdout, 1)
        argv, environment = list(what["argv"]), dict(what["environment"])  # type: ignore[call-overload]
        os.execvpe(argv[0], argv, environment)  # noqa: S606  no shell is the point
    except OSError as error:
        os.write(failure, b"!")
        os.write(2, f"{what['shown']}: {error.strerror}\n".encode("utf-8", "surrogateescape"))
        code = _NOT_EXECUTABLE if isinstance(error, PermissionError) else _NOT_FOUND
    finally:
        os._exit(code)


def _attend(child: int) -> None:
    """Hands on what datakeep says or others send, but no SIGINT that the whole group got, as from a terminal."""
    of_group = 0

    def forward(number: int, _frame: object) -> None:
        nonlocal of_group
        if number == signal.SIGINT:
            of_group += 1
        elif number == signal.SIGUSR1 and of_group:
            of_group -= 1
        else:
            with suppress(ProcessLookupError):
                os.kill(child, _FORWARDED[signal.Signals(number)])

    for number in BLOCKED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, forward)
    _unblock()


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)


if __name__ == "__main__":
    if len(sys.argv) != _ARGUMENTS:
        sys.exit("usage: attendant.py PARENT-ID ORDER-DESCRIPTOR REPORT-DESCRIPTOR")
    sys.exit(main(*(int(argument) for argument in sys.argv[1:])))
