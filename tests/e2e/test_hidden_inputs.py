"""What a training takes from its author's machine: it runs there, fails in the clean room, and is told why."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from world import World

LIMITS = '{"limit": 3}'


@pytest.fixture(scope="module")
def asked() -> Iterator[tuple[str, list[str]]]:
    """A server of this machine that gives what the training wants, and what it was asked for."""
    requests: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(LIMITS.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/limits.json", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def author(world: World, asked: tuple[str, list[str]]) -> World:
    """Aiko has all that her trainings take from her machine."""
    world.register("orders")
    (world.aiko.home / "limits.json").write_text(LIMITS)
    (world.aiko.cwd / "limits.json").write_text(LIMITS)
    world.aiko.extra["ORDER_LIMITS"] = LIMITS
    return world


def taken_from(author: World, url: str) -> dict[str, tuple[str, str]]:
    """How each training gets its limits, and what must be said of it."""
    file = author.aiko.cwd / "limits.json"
    return {
        "home": ("pathlib.Path.home().joinpath('limits.json').read_text()", "limits.json"),
        "absolute path": (f"pathlib.Path({str(file)!r}).read_text()", str(file)),
        "variable": (
            "os.environ['ORDER_LIMITS']",
            "environment variable ORDER_LIMITS, which is set on this machine",
        ),
        "variable asked for": ("os.getenv('ORDER_LIMITS')", "environment variable ORDER_LIMITS"),
        "network": (
            f"urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open({url!r}, timeout=9).read()",
            f"the network ({url.split('/')[2]})",
        ),
    }


@pytest.mark.parametrize("kind", ["home", "absolute path", "variable", "variable asked for", "network"])
def test_a_hidden_input_is_named(
    author: World, asked: tuple[str, list[str]], tmp_path: Path, kind: str
) -> None:
    url, requests = asked
    expression, named = taken_from(author, url)[kind]
    script = author.training / "train.py"
    plain = script.read_text()
    script.write_text(
        f"import json, os, pathlib, urllib.request\nlimit = json.loads({expression})['limit']\n{plain}"
    )
    try:
        (tmp_path / "out").mkdir()
        at_home = [sys.executable, script, "--data", author.orders, "--out", tmp_path / "out"]
        author.aiko.run(*at_home, cwd=author.training)
        author.reference("orders")
    finally:
        script.write_text(plain)
    requests.clear()
    said = author.aiko.datakeep("verify", "orders", "--json", cwd=author.keep, code=3).data
    assert (said["at_fault"], said["who_must_act"]) == ("training", "giver")
    failed = said["stages"][4]
    assert named in failed["what"]
    assert "not part of the dataset or its code" in failed["what"] or kind == "network"
    assert failed["evidence"]
    assert "datakeep reference orders" in said["next"]
    assert said["stages"][5]["result"] == "not run"
    assert requests == []
    assert not (author.keep / "models").exists()


def test_a_training_that_wants_keys_is_not_to_be_trusted(author: World) -> None:
    """Nobody is told to put a key into the dataset."""
    script = author.training / "train.py"
    plain = script.read_text()
    script.write_text(f"import pathlib\npathlib.Path.home().joinpath('.ssh/id_ed25519').read_text()\n{plain}")
    try:
        author.reference("orders")
    finally:
        script.write_text(plain)
    said = author.aiko.datakeep("verify", "orders", "--json", cwd=author.keep, code=3).data
    assert "where people keep keys and passwords" in said["stages"][4]["what"]
    assert "find out what in it asks for that, and take it out" in said["next"], "it is her own"
    assert "datakeep update" not in said["next"]
