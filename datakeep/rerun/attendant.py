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
import signal
import socket
import sys
from contextlib import suppress

TYPE_CHECKING = False  # typing costs as much to import as all else
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from datakeep.rerun.openings import Openings

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
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
    """Runs the program of the order, a file descriptor with JSON.

    ``argv``, ``environment``, ``stdout``, and ``listened``, which is null or another way to run the same so that its
    openings are asked of this process: the argv ``before`` it, its ``command``, the ``file`` to write them into. If
    this cannot be done here, the first way is taken.

    Writes ``[return code, CPU seconds, peak memory in bytes, could be started]`` as JSON to the descriptor
    ``report``; the return code is negative where a signal ended the program.
    """
    with os.fdopen(order, encoding="utf-8", errors="surrogateescape") as source:
        what = json.load(source)
    os.set_inheritable(report, False)
    failure_out, failure_in = os.pipe()
    child, openings = _listened(what, failure_in) if what.get("listened") else (0, None)
    child = child or _start(what, failure_in)
    _attend(child)
    os.close(failure_in)
    os.close(what["stdout"])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(child, signal.SIGTERM)
    started = not os.read(failure_out, 1)
    if openings:
        openings.attend(os.pidfd_open(child))
    _, status, used = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    said = json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, started])
    with suppress(BrokenPipeError):
        os.write(report, said.encode())
    if openings:
        openings.attend_the_rest()
    return 0


def _start(what: Mapping[str, Any], failure: int) -> int:
    """The process that is to become the program."""
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        _become(what, failure, told)
    os.write(tell, _TOO_EARLY if signal.SIGINT in signal.sigpending() else b".")
    for number in (told, tell):
        os.close(number)
    return child


def _listened(what: Mapping[str, Any], failure: int) -> tuple[int, Openings | None]:
    """The same of a program whose openings are asked of this process; 0 if that cannot be done."""
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from datakeep.rerun import filtered, openings

    given = what["listened"]
    # Only of its descendants may a process read the memory, and an orphan gets a new parent.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.set_inheritable(True)
        begins = (sys.executable, "-I", "-S", str(filtered.__file__), str(theirs.fileno()), "--")
        child = _start({**what, "argv": [*given["before"], *begins, *given["command"]]}, failure)
        begun = openings.begin(ours, os.pidfd_open(child), given["file"])
    if begun is None:
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        if ended and (ended.si_code, ended.si_status) == (os.CLD_EXITED, filtered.NOT_BEGUN):
            os.waitpid(child, 0)
            return 0, None
        return child, None
    signal.signal(signal.SIGCHLD, lambda *_: _reap(child, begun))
    return child, begun


def _reap(child: int, openings: Openings) -> None:
    """Takes leave of orphans that have ended, but not of the training; strace, which stands aside, is one too."""
    with suppress(ChildProcessError):
        while (
            ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        ) and ended.si_pid != child:
            if ended.si_code != os.CLD_EXITED and _is_strace(ended.si_pid) and not _has_ended(child):
                openings.miss()  # somebody killed it: of what only it sees, the rest is lost
            os.waitpid(ended.si_pid, os.WNOHANG)


def _is_strace(process: int) -> bool:
    # In a signal's handler, where nothing may be raised.
    with suppress(OSError), open(f"/proc/{process}/comm", encoding="utf-8", errors="replace") as name:
        return name.read().strip() == "strace"
    return True  # rather said to be missing than not


def _has_ended(process: int) -> bool:
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _become(what: Mapping[str, Any], failure: int, told: int) -> None:
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
        stdout = int(what["stdout"])
        os.set_inheritable(stdout, False)
        os.dup2(stdout, 1)
        argv, environment = list(what["argv"]), dict(what["environment"])
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
