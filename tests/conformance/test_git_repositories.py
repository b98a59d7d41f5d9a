"""Plain git judges what the room writes: clean clones, whole repositories, submodules that come when asked."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest

from datakeep.repository import Blob, Change, DatasetRepository, Identity, KeepRepository, Submodule
from datakeep.repository.submodules import add, relative_url
from datakeep.repository.vault import create_bare, dataset_url, keep_url

AIKO = Identity("Aiko Tanaka", "aiko@corp.example")
NOW = datetime(2026, 11, 20, 3, 10, tzinfo=UTC)
FILES = {
    "data/crlf.csv": b"a,b\r\n1,2\r\n",
    "data/ident.txt": b"$Id$\n",
    'data/日本語 "x" \\.txt': "あ\n".encode("utf-16"),
    "data/empty": b"",
    "data/.gitignore": b"*\n",
    "data/.gitattributes": b"* text eol=crlf ident\n",
    "data/big.bin": bytes(range(256)) * 80_000,
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / ".gitconfig").write_text('[protocol "file"]\n\tallow = always\n')


def git(*arguments, cwd):
    done = subprocess.run(["git", *map(str, arguments)], cwd=cwd, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture
def published(tmp_path):
    """A keep with one registered dataset of the git backend; the URLs of both."""
    base = str(tmp_path / "vault/git")
    urls = keep_url(base, "vision"), dataset_url(base, "orders")
    for url in urls:
        create_bare(url, name="x", make_base=True)
    orders = DatasetRepository(tmp_path / "cache/orders", urls[1])
    blobs = [Blob(path, len(data), lambda data=data: iter([data])) for path, data in FILES.items()]
    # The data's own .gitattributes loses only against .git/info/attributes, which the clone below has.
    commit = orders.write(None, "v1\n", AIKO, NOW, files={"dataset.yaml": b"name: orders\n"}, blobs=blobs)
    orders.tag("v1", commit, "v1", AIKO, when=NOW)
    orders.publish("v1")
    keep = KeepRepository.create(tmp_path / "keep", urls[0])
    entry = Submodule("orders", "datasets/orders", relative_url(*urls))
    files = {"keep.yaml": b"x\n", ".gitmodules": add("", entry).encode()}
    keep.transact(lambda tree: Change(files, {"datasets/orders": commit}), "register orders", AIKO)
    return urls


def test_a_clone_of_the_dataset_has_the_bytes_and_is_clean(published, tmp_path):
    git("clone", "-q", "--no-checkout", published[1], "clone", cwd=tmp_path)
    clone = tmp_path / "clone"
    (clone / ".git/info/attributes").write_text("* -text -filter -ident -working-tree-encoding\n")
    git("checkout", "-q", "v1", cwd=clone)
    assert {path: (clone / path).read_bytes() for path in FILES} == FILES
    assert git("status", "--porcelain", cwd=clone) == ""
    assert git("fsck", "--strict", "--no-dangling", cwd=clone) == ""
    assert git("cat-file", "-t", "v1", cwd=clone) == "tag\n"


def test_a_clone_of_the_keep_brings_its_submodules(published, tmp_path):
    git("clone", "-q", "--recurse-submodules", published[0], "clone", cwd=tmp_path)
    clone = tmp_path / "clone"
    assert (clone / "datasets/orders/dataset.yaml").read_bytes() == b"name: orders\n"
    assert git("submodule", "status", cwd=clone).startswith(" ")
    assert git("fsck", "--strict", "--no-dangling", cwd=clone) == ""
    assert git("status", "--porcelain", "--ignore-submodules=dirty", cwd=clone) == ""


def test_the_keeps_own_clone_can_initialise_them(published, tmp_path):
    keep = tmp_path / "keep"
    assert git("submodule", "status", cwd=keep).startswith("-")
    git("submodule", "update", "-q", "--init", "datasets/orders", cwd=keep)
    assert (keep / "datasets/orders/dataset.yaml").exists()
    assert git("branch", "-vv", cwd=keep).count("[origin/main]") == 1


def test_a_moved_vault_still_works(published, tmp_path):
    (tmp_path / "vault").rename(tmp_path / "elsewhere")
    moved = published[0].replace("/vault/", "/elsewhere/")
    git("clone", "-q", "--recurse-submodules", moved, "clone", cwd=tmp_path)
    assert (tmp_path / "clone/datasets/orders/dataset.yaml").exists()
