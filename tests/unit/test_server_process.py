"""The servers of the tests end with the tests, even with those that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import server_process
from server_process import PATIENCE_S

if TYPE_CHECKING:
    import pytest

TESTS = Path(__file__).parents[1]
STARTS = """
import sys, threading, time
sys.path.insert(0, sys.argv[1])
from server_process import ended, start_server
sleep = [sys.executable, "-c", "import subprocess, time; subprocess.Popen(['sleep', '999']); time.sleep(999)"]
removed = start_server(["true"])
removed.wait()
ended(removed)
thread = threading.Thread(target=lambda: print(start_server(sleep, start_new_session=True).pid, flush=True))
thread.start()
thread.join()
time.sleep(999)
"""


def children_of(process_id: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


def is_alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_server_ends_with_a_test_run_that_is_killed_and_not_with_the_thread_that_started_it() -> None:
    tests = subprocess.Popen([sys.executable, "-c", STARTS, TESTS], stdout=subprocess.PIPE, text=True)
    try:
        assert tests.stdout is not None
        server = int(tests.stdout.readline())
        deadline = time.monotonic() + PATIENCE_S
        while not (below := children_of(server)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert is_alive(server)
    finally:
        tests.kill()
        tests.communicate()
    try:
        while is_alive(server) or is_alive(below[0]):
            assert time.monotonic() < deadline, "it has outlived the tests"
            time.sleep(0.05)
    finally:
        for one in (server, *below):
            if is_alive(one):
                os.kill(one, signal.SIGKILL)


ASKS = """
import sys
sys.path.insert(0, sys.argv[1])
import server_process
offered = iter(map(int, sys.argv[2:]))
server_process._bound = lambda held, port: next(offered)
print(server_process.free_port())
"""


def test_a_port_is_given_to_one_test_process_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its server does not listen yet: the next who asks, in any process, is given another."""
    first = server_process.free_port()
    offered = iter([first, first + 1])
    monkeypatch.setattr(server_process, "_bound", lambda held, port: next(offered))
    assert server_process.free_port() == first + 1
    argv = [sys.executable, "-c", ASKS, TESTS, *(str(first + more) for more in (0, 1, 2))]
    assert int(subprocess.run(argv, capture_output=True, check=True).stdout) == first + 2
