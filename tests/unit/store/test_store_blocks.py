"""Shared blocks save room, and are read and hashed like any other bytes."""

import errno
import fcntl
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


def test_the_kernel_is_asked_to_clone_the_object_into_the_new_file(store, inventory, tmp_path, monkeypatch):
    """``ioctl(target, FICLONE, object)``, for each object and in this order: the other way round would harm it."""
    asked = []

    def refuse(sink, request, source):
        way = [fcntl.fcntl(one, fcntl.F_GETFL) & os.O_ACCMODE for one in (sink, source)]
        asked.append((request, way, str(Path(f"/proc/self/fd/{source}").readlink()), os.fstat(sink).st_size))
        os.write(sink, os.pread(source, 1 << 20, 0))

    monkeypatch.setattr(blocks.fcntl, "ioctl", refuse)
    assert fetch(inventory, [store], "orders", tmp_path / "out", Silent()).shared == 5
    request = (1 << 30) | (4 << 16) | (0x94 << 8) | 9  # _IOW(0x94, 9, int) of linux/fs.h
    places = {str(store.path_of(object_key("orders", file.md5.hex()))) for file in inventory.files}
    assert {one[:1] + tuple(one[1]) for one in asked} == {(request, os.O_WRONLY, os.O_RDONLY)}
    assert {place for _, _, place, _ in asked} == places
    assert {size for *_, size in asked} == {0}


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EPERM])
def test_a_disk_that_cannot_clone_gets_copies_and_is_asked_once(
    store, inventory, tmp_path, monkeypatch, number
):
    asked = []

    def refuse(sink, _request, _source):
        asked.append(sink)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(blocks.fcntl, "ioctl", refuse)
    report = fetch(inventory, [store], "orders", tmp_path / "out", Silent())
    assert (report.shared, report.unavailable, len(asked)) == (0, [], 1)
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found == {path.name: path.read_bytes() for path in (tmp_path / "source").iterdir()}


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
