"""Runs one program and leaves none of its descendants alive; :mod:`datakeep.rerun.process` starts it.

It is started with the interpreter's ``-I -S`` and imports the standard library only. It asks the kernel
to hand it orphans (a child subreaper), so that a daemon that the program started is found and ended, and
to be told when datakeep dies. It stands between the two also because the kernel counts the memory of
the process that forks as the child's peak: this one is small, datakeep may not be.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import time
from contextlib import suppress

TYPE_CHECKING = False  # that of typing would cost this script's start more than its work
if TYPE_CHECKING:
    from collections.abc import Callable

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_NOT_FOUND = 127
_SIGNALLED = 128
_ARGUMENTS = 4
#: What Python ignores, and other programs expect to die of.
_OF_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
#: The helpers of a program (a pool's resource tracker) notice its end and leave; they get this long.
_LEAVING_S = 1.0
#: And so much longer at the most where the machine is busy.
_BUSY_S = 30.0
#: What stands around the program for our sake, and leaves when nothing else is left.
_ATTENDANTS = ("bwrap", "strace")


class Ended(Exception):
    """The one who started us wants the program ended, or is gone."""


def descendants(root: int) -> list[int]:
    """The ids of all living processes below ``root``, as /proc tells them."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  pathlib would cost this script's start more than its work
        with suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{int(name)}/stat", encoding="utf-8", errors="replace") as source:  # noqa: PTH123  as above
                state, parent = source.read().rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(name))
    found: list[int] = []
    unseen = [root]
    while unseen:
        below = children.get(unseen.pop(), [])
        found += below
        unseen += below
    return found


def usage_of(process_ids: list[int]) -> tuple[float, int]:
    """CPU seconds of these processes together, and the peak memory in bytes of the largest."""
    ticks, peak_bytes = 0, 0
    for process_id in process_ids:
        with suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{process_id}/stat", encoding="utf-8", errors="replace") as source:  # noqa: PTH123  as above
                fields = source.read().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
            with open(f"/proc/{process_id}/status", encoding="utf-8", errors="replace") as source:  # noqa: PTH123  as above
                peaks = [line.split()[1] for line in source if line.startswith("VmHWM:")]
            peak_bytes = max([peak_bytes, *(int(peak) * 1024 for peak in peaks)])
    return ticks / os.sysconf("SC_CLK_TCK"), peak_bytes


def left_running(grace_s: float = _LEAVING_S) -> int:
    """How many processes the ended program left that did not leave by themselves within ``grace_s``."""
    return len(staying(lambda: list(filter(_is_left, descendants(os.getpid()))), grace_s))


def staying(find: Callable[[], list[int]], grace_s: float = _LEAVING_S) -> list[int]:
    """Those processes that ``find`` still finds after ``grace_s``; it returns as soon as there are none.

    The time in which a busy machine keeps them waiting for a processor does not count, up to a limit.
    """
    until, at_first = time.monotonic() + grace_s, dict[int, float]()
    while left := find():
        waited_s = {one: _waited_s(one) for one in left}
        more_s = max(
            until_now_s - at_first.setdefault(one, until_now_s) for one, until_now_s in waited_s.items()
        )
        if time.monotonic() >= until + min(more_s, _BUSY_S):
            break
        time.sleep(0.02)
    return left


def _waited_s(process_id: int) -> float:
    """For how long a process could have run and did not, since it began."""
    try:
        with open(f"/proc/{process_id}/schedstat", encoding="ascii") as source:  # noqa: PTH123  as above
            return int(source.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):  # it is gone, or the kernel does not count that
        return 0.0


def _is_left(process_id: int) -> bool:
    with suppress(OSError), open(f"/proc/{process_id}/comm", encoding="utf-8", errors="replace") as source:  # noqa: PTH123  as above
        return source.read().strip() not in _ATTENDANTS
    return False


def end_all() -> tuple[float, int]:
    """Kills every descendant, again until none is left; what those alive had used, as :func:`usage_of`.

    All are waited for, so that the kernel adds what they used to this process's children: bubblewrap's
    monitor leaves without waiting for its own.
    """
    used = usage_of(descendants(os.getpid()))
    with suppress(ChildProcessError):
        for _ in range(2000):
            for process_id in descendants(os.getpid()):
                with suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGKILL)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            time.sleep(0.005)
    return used


def _end(number: int, frame: object) -> None:
    raise Ended(number, frame)


def main(parent: int, order: int, report: int) -> int:
    """Runs the program of the order, a file descriptor with JSON: ``argv``, ``cwd``, ``environment``.

    Writes ``[exit code, CPU seconds, peak memory in bytes, processes left running]`` as JSON to the
    descriptor ``report``; the exit code is 128 + signal where a signal ended the program.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, _end)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        return 1
    os.set_inheritable(report, False)
    with os.fdopen(order, encoding="utf-8", errors="surrogateescape") as source:
        what = json.load(source)
    cpu_s, peak_bytes = 0.0, 0
    code, left = _SIGNALLED + signal.SIGKILL, 0
    try:
        code = _wait_for(_start(what["argv"], what["cwd"], what["environment"]))
        left = left_running()
    except Ended:
        pass  # what is known by now is reported
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        cpu_s, peak_bytes = end_all()
    waited = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = max(cpu_s, waited.ru_utime + waited.ru_stime)
    peak_bytes = max(peak_bytes, waited.ru_maxrss * 1024)
    with suppress(BrokenPipeError):
        os.write(report, json.dumps([code, cpu_s, peak_bytes, left]).encode())
    return 0


def _start(argv: list[str], cwd: str, environment: dict[str, str]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        for number in (signal.SIGTERM, *_OF_PYTHON):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(cwd)
        os.execvpe(argv[0], argv, environment)  # noqa: S606  no shell is the point
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode("utf-8", "surrogateescape"))
    finally:
        os._exit(_NOT_FOUND)


def _wait_for(child: int) -> int:
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else _SIGNALLED - code


if __name__ == "__main__":
    if len(sys.argv) != _ARGUMENTS:
        sys.exit("usage: supervisor.py PARENT-ID ORDER-DESCRIPTOR REPORT-DESCRIPTOR")
    sys.exit(main(*(int(argument) for argument in sys.argv[1:])))
