"""Shared blocks save room, and are read and hashed like any other bytes."""

import os
from pathlib import Path

import pytest

from datakeep.core.progress import Silent
from datakeep.store import blocks
from datakeep.store.dvc_format import object_key
from datakeep.store.fetch import fetch
from datakeep.store.ingest import ingest
from datakeep.store.opening import create_store
from datakeep.store.scan import scan


@pytest.fixture
def store(tmp_path):
    return create_store("main", str(tmp_path / "store"), keep="vision")


@pytest.fixture
def inventory(store, tmp_path):
    (tmp_path / "source").mkdir()
    for number in range(5):
        (tmp_path / "source" / f"{number}.txt").write_text(f"contents of {number}\n")
    return ingest(scan([tmp_path / "source"]).files, [store], "orders", Silent())


@pytest.fixture
def cloning(monkeypatch):
    """A file system that can clone, as far as a caller can tell."""

    def clone(sink, _request, source):
        os.write(sink, os.pread(source, 1 << 20, 0))

    monkeypatch.setattr(blocks.fcntl, "ioctl", clone)


def harm(store, inventory):
    victim = next(iter(inventory.files))
    path = store.path_of(object_key("orders", victim.md5.hex()))
    path.write_bytes(bytes(victim.size_bytes))
    return victim.path


def test_clones_are_hashed_before_they_have_a_name(store, inventory, tmp_path, cloning):
    victim = harm(store, inventory)
    report = fetch(inventory, [store], "orders", tmp_path / "out", Silent())
    assert (report.shared, report.unavailable) == (4, [victim])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{n}.txt" for n in range(5)} - {victim}
    assert all(path.stat().st_nlink == 1 for path in (tmp_path / "out").iterdir())


def test_hard_links_are_the_objects_read_only_and_hashed(store, inventory, tmp_path):
    victim = harm(store, inventory)
    report = fetch(inventory, [store], "orders", tmp_path / "out", Silent(), hard_links=True)
    assert (report.shared, report.unavailable) == (4, [victim])
    for path in (tmp_path / "out").iterdir():
        assert (path.stat().st_nlink, path.stat().st_mode & 0o777) == (2, 0o444)


def test_a_bad_object_is_never_written_through_its_hard_link(store, inventory, tmp_path):
    """The next store's bytes must not go into the first store's object."""
    other = create_store("nas", str(tmp_path / "nas"), keep="vision")
    ingest(scan([tmp_path / "source"]).files, [other], "orders", Silent())
    victim = harm(store, inventory)
    report = fetch(inventory, [store, other], "orders", tmp_path / "out", Silent(), hard_links=True)
    assert report.unavailable == []
    assert (tmp_path / "out" / victim).read_bytes() == (tmp_path / "source" / victim).read_bytes()
    bad = store.path_of(object_key("orders", next(iter(inventory.files)).md5.hex()))
    assert not bad.read_bytes().strip(b"\0")


def test_a_link_or_pipe_in_the_place_of_an_object_is_not_shared(store, inventory, tmp_path):
    first, second, *_ = inventory.files
    secret = tmp_path / "secret"
    secret.write_text("mine")
    for file, make in ((first, lambda path: path.symlink_to(secret)), (second, os.mkfifo)):
        path = store.path_of(object_key("orders", file.md5.hex()))
        path.unlink()
        make(path)
    report = fetch(inventory, [store], "orders", tmp_path / "out", Silent(), hard_links=True)
    assert report.unavailable == [first.path, second.path]
    assert secret.stat().st_mode & 0o222


def test_another_file_system_gets_copies(store, inventory):
    out = Path("/dev/shm") / f"datakeep-test-{os.getpid()}"
    try:
        report = fetch(inventory, [store], "orders", out, Silent(), hard_links=True)
        assert (report.shared, report.unavailable) == (0, [])
    finally:
        for path in out.iterdir():
            path.unlink()
        out.rmdir()
