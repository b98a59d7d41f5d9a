"""How the tests start real servers: so that none outlives them, even where they are killed and can end nothing.

A small process watches: it knows every server that runs, and holds one end of a pipe whose other end is the test
process's. When that is gone, however it went, the servers are ended. (The kernel's own signal for that,
PR_SET_PDEATHSIG, comes already when the thread ends that started the server, which may be one of a test.)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
#: How long a test waits for what is sure to come, if nothing is wrong: a busy machine may take so long for it.
PATIENCE_S = 300
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


def free_port(*, twin: int = 0) -> int:
    """A port of the loopback that nobody uses now, and that no other test process is given as long as this one lives.

    Between the choice and its use there are seconds, and the workers of a test run choose at the same time.

    Args:
        twin: The port that much above it is to be free, too.
    """
    while True:
        with contextlib.ExitStack() as held:
            port = _bound(held, 0)
            if port and (not twin or _bound(held, port + twin)) and _is_ours(port, port + twin):
                return port


def _bound(held: contextlib.ExitStack, port: int) -> int | None:
    """The port, 0 being any, if nobody uses it; it is held meanwhile."""
    probe = held.enter_context(socket.socket())
    try:
        probe.bind(("127.0.0.1", port))
    except (OSError, OverflowError):
        return None
    return int(probe.getsockname()[1])


def _is_ours(*ports: int) -> bool:
    folder = Path(tempfile.gettempdir(), f"datakeep-test-ports-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    taken = []
    for port in set(ports):
        lease = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        taken.append(lease)
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            for one in taken:
                os.close(one)
            return False
    return True  # the descriptors stay open, and go with this process


def wait_until(
    process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path, within_s: float
) -> None:
    """Wait until a server that was started answers; its log says why it does not."""
    end = time.monotonic() + within_s
    while not answers():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def until(
    holds: Callable[[], object], *, within_s: float = PATIENCE_S, said: str = "it never was so"
) -> None:
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
            process.wait(PATIENCE_S)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a server that has a group of its own, and all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE_S)
    ended(process)
