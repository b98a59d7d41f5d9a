"""A user with a name, an empty home and no configuration of the host's; a folder vault; a keep in it."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest

from datakeep.repository.identity import Identity
from datakeep.repository.keep import Change, KeepRepository
from datakeep.repository.vault import create_bare, keep_url


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Aiko Tanaka\n\temail = aiko@corp.example\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in (
        "GIT_CONFIG_GLOBAL",
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "EMAIL",
        "SSH_AUTH_SOCK",
        "GIT_SSH_COMMAND",
    ):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def git(tmp_path):
    """Plain git, as a colleague without datakeep would type it."""

    def call(*arguments, cwd=tmp_path, stdin=None, check=True):
        done = subprocess.run(
            ["git", *map(str, arguments)], cwd=cwd, input=stdin, capture_output=True, check=False
        )
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout.decode() if check else done

    return call


@pytest.fixture
def aiko():
    return Identity("Aiko Tanaka", "aiko@corp.example")


@pytest.fixture
def now():
    return datetime(2026, 11, 20, 3, 10, tzinfo=UTC)


@pytest.fixture
def base(tmp_path):
    """The git base of a folder vault."""
    path = tmp_path / "vault" / "git"
    (path / "keeps").mkdir(parents=True)
    return path


@pytest.fixture
def keep(tmp_path, base, aiko):
    """A published keep with one commit."""
    url = keep_url(str(base), "vision")
    create_bare(url, name="vision")
    repository = KeepRepository.create(tmp_path / "keep", url)
    repository.transact(lambda tree: Change({"keep.yaml": b"format: datakeep/keep/1\n"}), "first", aiko)
    return repository
