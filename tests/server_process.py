"""How the tests start real servers: so that none outlives them, even where they are killed and can end nothing.

A small process watches: it knows every server that runs, and holds one end of a pipe whose other end is the test
process's. When that is gone, however it went, the servers are ended. (The kernel's own signal for that,
PR_SET_PDEATHSIG, comes already when the thread ends that started the server, which may be one of a test.)
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_WATCH = """
import os, signal, sys
def started(pid):
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return int(fields[1]), fields[19]
    except (OSError, IndexError):
        return None, None
known = {}
for line in sys.stdin:
    what, pid = line.split()
    known[int(pid)] = started(int(pid))[1] if what == "+" else None
doomed = [pid for pid, at in known.items() if at and started(pid)[1] == at]
parents = {int(name): started(name)[0] for name in os.listdir("/proc") if name.isdigit()}
for pid in doomed:
    doomed += [child for child, parent in parents.items() if parent == pid]
for pid in doomed:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""
_watcher: subprocess.Popen[str] | None = None
_lock = threading.Lock()


class Server(Protocol):
    """A real server."""

    def start(self) -> None:
        """Start it, and wait until it answers."""

    def remove(self) -> None:
        """End it, and take away what it leaves."""


_Server = TypeVar("_Server", bound=Server)


@contextlib.contextmanager
def running(server: _Server) -> Iterator[_Server]:
    """The server runs in the ``with`` block."""
    try:
        server.start()
        yield server
    finally:
        server.remove()


def start_server(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """A process that ends at the latest with this one; ``options`` are those of ``Popen``."""
    process = subprocess.Popen(list(argv), **options)
    _tell(f"+ {process.pid}\n")
    return process


def ended(process: subprocess.Popen[bytes]) -> None:
    """The server has been ended and waited for: its process id may be another's from now on."""
    _tell(f"- {process.pid}\n")


def _tell(line: str) -> None:
    global _watcher  # noqa: PLW0603  one for the process
    with _lock:
        if _watcher is None or _watcher.poll() is not None:
            _watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _WATCH],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # Ctrl-C is not meant for it
            )
        assert _watcher.stdin is not None
        _watcher.stdin.write(line)
        _watcher.stdin.flush()


def free_port() -> int:
    """A port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(
    process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path, within_s: float
) -> None:
    """Wait until a server that was started answers; its log says why it does not."""
    end = time.monotonic() + within_s
    while not answers():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def until(holds: Callable[[], object], *, within_s: float = 60, said: str = "it never was so") -> None:
    """Wait until ``holds`` is true, which a busy machine may take long for."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, said
        time.sleep(0.05)


@contextlib.contextmanager
def surely_ended(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Whatever fails in the ``with`` block, the process does not work on."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(60)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a server that has a group of its own, and all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    ended(process)
