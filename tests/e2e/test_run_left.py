"""What a training leaves running and calls over the network: what it gave or read is said to be not known."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from server_process import until
from world import FACTS, Ran, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Reads on as soon as the file ``go`` is there, as a daemon does: of another parent, session and group.
DAEMON = """\
import os, time
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open("/dev/null", os.O_RDWR)
    [os.dup2(null, one) for one in (0, 1, 2)]
    while not os.path.exists("go"):
        time.sleep(0.02)
    open(os.environ["DATAKEEP_DATA_TAB"] + "/a.csv").read()
    os._exit(0)
os.wait()
"""
#: Its helpers (a pool's workers, the tracker of resources) leave by themselves, a moment later.
POOL = """\
import multiprocessing
from multiprocessing import shared_memory
if __name__ == "__main__":
    multiprocessing.get_context("spawn").Pool(2).map(len, ["a"])
    shared_memory.SharedMemory(create=True, size=10).unlink()
"""


class Place:
    """A keep with ``tab``, and a folder in which trainings are run."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        data = world.aiko.cwd / "tab"
        data.mkdir()
        (data / "a.csv").write_text("id,amount\n1,2\n")
        world.aiko.datakeep("register", "tab", data, "--backend", "git", *FACTS, cwd=world.keep)
        folder.mkdir()

    def run(self, model: str, text: str) -> tuple[Ran, dict[str, Any]]:
        """A training of this text of Python, and its record."""
        (self.folder / "train.py").write_text(text)
        argv = (
            "-C",
            self.world.keep,
            "run",
            "--json",
            "--model",
            model,
            "--uses",
            "tab",
            "--",
            "python",
            "train.py",
        )
        with (self.folder / "err").open(
            "w"
        ) as err:  # no pipe: strace has it as long as what was left running
            done = subprocess.run(
                [sys.executable, "-m", "datakeep", *argv], cwd=self.folder, env=self.world.aiko.env,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True, check=True,
            )  # fmt: skip
        ran = Ran(done.returncode, done.stdout, (self.folder / "err").read_text())
        return ran, ran.data["record"]

    def audit(self, *argv: str) -> str:
        return self.world.aiko.datakeep("-C", self.world.keep, "audit", *argv, cwd=self.folder).out


@pytest.fixture(scope="module")
def place(new_world: Callable[[], World], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(new_world(), tmp_path_factory.mktemp("left") / "code")
    yield place
    (place.folder / "go").touch()


@pytest.fixture(params=["strace", "hook"])
def watcher(
    place: Place, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Who watches the trainings of a test."""
    if request.param == "hook":
        (tmp_path / "strace").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "strace").chmod(0o755)
        monkeypatch.setitem(place.world.aiko.extra, "PATH", f"{tmp_path}:{place.world.aiko.env['PATH']}")
    return str(request.param)


def test_what_is_left_running_may_read_on_and_that_is_not_known(place: Place, watcher: str) -> None:
    ran, record = place.run("left", DAEMON)
    why = "1 process of the training was still running at its end"
    assert ran.err.count("warning: ") == 1
    assert f"warning: {why} (python): what is read after that is not known" in ran.err
    assert record["observed"]["why"].endswith(why)
    assert any(why in line for line in record["unknown"])
    shown = place.audit(f"model:left@{record['version']}")
    assert why in shown
    assert "every file opened was seen" not in shown
    asked = json.loads(place.audit("tab", "--json"))
    assert f"left@{record['version']}" not in json.dumps(asked["given_unread"])


def test_helpers_that_leave_by_themselves_are_no_gap(place: Place, watcher: str) -> None:
    ran, record = place.run("pool", POOL)
    assert "warning" not in ran.err
    assert "still running" not in json.dumps(record)
    assert ("why" in record["observed"]) == (watcher == "hook")


CALLER = """\
import socket, urllib.request
urllib.request.urlopen("http://localhost:PORT/").read()
own = socket.create_server(("127.0.0.1", 0))
try:
    socket.create_connection(own.getsockname()).close()
    socket.create_connection(("127.0.0.1", 9))
except OSError:
    pass
"""


class Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


@pytest.fixture(scope="module")
def service() -> Iterator[int]:
    """A server of this machine that the training has not begun."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_what_came_over_the_network_is_not_known(place: Place, watcher: str, service: int) -> None:
    _, record = place.run("caller", CALLER.replace("PORT", str(service)))
    at = f"127.0.0.1:{service}"
    if watcher == "strace":
        assert record["observed"] == {"by": "strace", "connections": [at]}
        assert f"what came over the network from {at}" in record["unknown"]
    assert at in record["observed"]["connections"]
    shown = place.audit(f"model:caller@{record['version']}")
    assert shown.count(at) == 2
    assert "connections were opened or tried (" in shown
    assert "what came over the network from" in shown


def test_what_is_said_after_ctrl_c_makes_the_same_command_possible(place: Place) -> None:
    text = "import os, time\nopen(os.environ['DATAKEEP_OUT'] + '/half', 'w').close()\n"
    (place.folder / "train.py").write_text(text + "time.sleep(300)\n")
    (place.folder / "my out.interrupted").mkdir()
    argv = (
        "-C",
        place.world.keep,
        "run",
        "--json",
        "--model",
        "cut",
        "--out",
        "my out",
        "--",
        "python",
        "train.py",
    )
    for name in ("my out.interrupted2", "my out.interrupted3"):
        process = place.world.aiko.start(*argv, cwd=place.folder)
        until((place.folder / "my out/half").exists)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=300)
        said = json.loads(out)["next_step"]
        assert said.startswith("run the same command again, after what the training left is set aside: mv ")
        subprocess.run(shlex.split(said.partition("aside: ")[2]), cwd=place.folder, check=True)
        assert (place.folder / name / "half").exists()
    (place.folder / "train.py").write_text(text)
    place.world.aiko.datakeep(*argv, cwd=place.folder)
