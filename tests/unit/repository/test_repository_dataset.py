"""A dataset's repository: bytes as given, versions that are whole, a cache that may break."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from datakeep.core.errors import Conflict, GitFault, HostileRepository, SourceChanged, StoreMissing
from datakeep.repository.dataset import Blob, DatasetRepository
from datakeep.repository.faults import RepositoryMissing
from datakeep.repository.vault import create_bare, dataset_url, fsck


@pytest.fixture
def url(base):
    url = dataset_url(str(base), "orders")
    create_bare(url, name="orders")
    return url


@pytest.fixture
def orders(tmp_path, url):
    repository = DatasetRepository(tmp_path / "cache/orders.git", url)
    repository.fetch()
    return repository


def blob(path, data):
    return Blob(path, len(data), lambda: iter([data[:2], data[2:]]))


def publish(repository, version, aiko, now, *, parent=None, files=None, blobs=None, keep=None):
    commit = repository.write(parent, f"{version}\n", aiko, now, files=files or {}, blobs=blobs, keep=keep)
    repository.tag(version, commit, f"{version}: why", aiko, when=now)
    assert repository.publish(version) == "done"
    return commit


def test_an_empty_repository_has_nothing(orders):
    assert orders.tags() == orders.remote_tags() == {}
    assert orders.head() is None
    assert orders.tag_info("v1") is None


def test_a_version_is_what_was_written(orders, url, aiko, now, git):
    names = [
        "data/a.csv",
        'data/with "quotes" \\ and spaces.csv',
        "data/日本語.txt",
        "data/ leading",
        "data/-x",
    ]
    commit = publish(
        orders,
        "v1",
        aiko,
        now,
        files={"dataset.yaml": b"a: 1\r\n"},
        blobs=[blob(n, n.encode()) for n in names],
    )
    assert orders.tags() == orders.remote_tags() == {"v1": commit}
    assert orders.head() == commit
    assert sorted(orders.paths(commit)) == sorted([*names, "dataset.yaml"])
    assert orders.paths(commit, "dataset.yaml") == ["dataset.yaml"]
    assert {name: orders.read(commit, name) for name in names} == {name: name.encode() for name in names}
    assert orders.read(commit, "dataset.yaml") == b"a: 1\r\n"
    assert orders.read(commit, "nope") is None
    assert orders.read(commit, "data") is None
    assert {
        (entry.mode, entry.size_bytes) for entry in orders.entries(commit, "dataset.yaml", sizes=True)
    } == {("100644", 6)}
    info = orders.tag_info("v1")
    assert (info.commit, info.tagger_email, info.when, info.message) == (
        commit,
        "aiko@corp.example",
        now,
        "v1: why",
    )
    assert fsck(url) == []
    assert (
        git("-C", url, "log", "-1", "--format=%an %ae %at", "v1").strip()
        == "Aiko Tanaka aiko@corp.example 1795144200"
    )


def test_nothing_shows_before_it_is_published(orders, url, aiko, now):
    commit = orders.write(None, "one", aiko, now, files={"a": b"1"})
    orders.tag("v1", commit, "one", aiko)
    assert orders.tags() == orders.remote_tags() == {}
    assert orders.head() is None


def test_new_data_replaces_old_and_folders_are_kept(orders, aiko, now):
    one = publish(
        orders, "v1", aiko, now, files={"r/train.py": b"1", "old": b"1"}, blobs=[blob("data/a", b"aaa")]
    )
    two = publish(orders, "v2", aiko, now, parent=one, files={"x": b"2"}, blobs=[blob("data/b", b"bbb")])
    assert orders.paths(two) == ["data/b", "old", "r/train.py", "x"]
    three = publish(orders, "v3", aiko, now, parent=two, files={"old": None})
    assert orders.paths(three) == ["data/b", "r/train.py", "x"]
    four = publish(orders, "v4", aiko, now, parent=three, files={"y": b"4"}, keep={"data", "r/", "none"})
    assert orders.paths(four) == ["data/b", "r/train.py", "y"]
    assert orders.tree_id(four) != orders.tree_id(three)
    again = orders.write(four, "same", aiko, now, files={"y": b"4"})
    assert orders.tree_id(again) == orders.tree_id(four)


@pytest.mark.parametrize("chunks", [[b"ab"], [b"ab", b"cd"], []])
def test_a_file_that_changes_is_refused_and_leaves_nothing(orders, tmp_path, aiko, now, chunks):
    moving = Blob("data/moving.csv", 3, lambda: iter(chunks))
    with pytest.raises(SourceChanged, match=r"data/moving\.csv"):
        orders.write(None, "x", aiko, now, files={}, blobs=[blob("data/big", os.urandom(200_000)), moving])
    files = [path for path in (tmp_path / "cache/orders.git").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["HEAD", "config"]


def test_an_unreadable_source_leaves_nothing(orders, aiko, now):
    def fail():
        raise PermissionError("data/a")
        yield b""

    with pytest.raises(PermissionError):
        orders.write(None, "x", aiko, now, files={}, blobs=[Blob("data/a", 3, fail)])
    assert orders.write(None, "x", aiko, now, files={}, blobs=[blob("data/a", b"aaa")])


def test_what_a_killed_run_had_published_is_no_longer_pending_after_a_fetch(orders, aiko, now, git):
    publish(orders, "v1", aiko, now, files={"dataset.yaml": b"name: orders\n"})
    # As a kill after the push leaves it; and one that nobody published.
    git("update-ref", "refs/datakeep/pending/v1", "refs/tags/v1", cwd=orders.cache)
    git("update-ref", "refs/datakeep/pending/v2", "refs/tags/v1", cwd=orders.cache)
    orders.fetch()
    assert git("for-each-ref", "--format=%(refname)", "refs/datakeep/", cwd=orders.cache).split() == [
        "refs/datakeep/pending/v2"
    ]


@pytest.mark.parametrize("lock", ["refs/datakeep/writing/ab.lock", "packed-refs.lock"])
def test_an_interrupt_stays_one_where_git_left_its_lock(orders, aiko, now, git, lock):
    """A Ctrl-C ends git too, in the middle of removing the ref of an unfinished commit."""
    commit = orders.write(None, "one\n", aiko, now, files={"a": b"1"})

    def interrupted():
        git("-C", orders.cache, "update-ref", "refs/datakeep/writing/ab", commit)
        (orders.cache / lock).touch()
        raise KeyboardInterrupt
        yield b""

    with pytest.raises(KeyboardInterrupt):
        orders.write(None, "two\n", aiko, now, files={}, blobs=[Blob("data/b", 1, interrupted)])
    (orders.cache / "packed-refs.lock").unlink(missing_ok=True)
    orders.write(None, "two\n", aiko, now, files={"b": b"2"})
    assert git("-C", orders.cache, "for-each-ref", "refs/datakeep/writing/") == ""


def test_publishing_twice_says_so(orders, url, tmp_path, aiko, now):
    publish(orders, "v1", aiko, now, files={"a": b"1"})
    assert orders.publish("v1") == "already there"
    # Killed between push and record: the cache does not know, but the vault has this very commit.
    commit = orders.write(orders.head(), "two", aiko, now, files={"a": b"2"})
    orders.tag("v2", commit, "two", aiko, when=now)
    shutil.copytree(orders.cache, tmp_path / "copy")
    assert orders.publish("v2") == "done"
    other = DatasetRepository(tmp_path / "copy", url)
    assert other.publish("v2") == "already there"
    assert other.tags() == orders.tags()
    with pytest.raises(GitFault, match="v9"):
        orders.publish("v9")


def test_someone_elses_version_is_a_conflict(orders, url, tmp_path, aiko, now):
    other = DatasetRepository(tmp_path / "other", url)
    other.fetch()
    for repository, text in ((orders, b"mine"), (other, b"theirs")):
        commit = repository.write(None, "one", aiko, now, files={"a": text})
        repository.tag("v1", commit, "one", aiko)
    assert other.publish("v1") == "done"
    with pytest.raises(Conflict, match="v1 was published"):
        orders.publish("v1")
    assert orders.tags() == other.tags()
    assert orders.read(orders.tags()["v1"], "a") == b"theirs"
    assert fsck(url) == []


@pytest.mark.parametrize("damage", ["HEAD", "config", "objects", "refs", "stale lock", "all"])
def test_a_damaged_cache_is_made_anew(orders, aiko, now, damage):
    commit = publish(orders, "v1", aiko, now, files={"a": b"1"})
    if damage == "stale lock":
        lock = orders.cache / "refs/heads/main.lock"
        lock.touch()
        os.utime(lock, (time.time() - 9,) * 2)
    elif damage == "all":
        shutil.rmtree(orders.cache)
    elif (orders.cache / damage).is_dir():
        shutil.rmtree(orders.cache / damage)
        (orders.cache / damage).mkdir()
    else:
        (orders.cache / damage).write_text("garbage")
    orders.fetch()
    assert orders.tags() == {"v1": commit}
    assert orders.read(commit, "a") == b"1"


def test_a_damaged_file_in_the_cache_is_fetched_again(orders, git, aiko, now):
    commit = publish(orders, "v1", aiko, now, files={"a": b"1"})
    object_id = git("-C", orders.cache, "rev-parse", f"{commit}:a").strip()
    for path in orders.cache.glob("objects/pack/*"):
        path.unlink()
    (orders.cache / "objects" / object_id[:2] / object_id[2:]).unlink(missing_ok=True)
    assert orders.read(commit, "a") == b"1"


def test_missing_places_are_told_apart(tmp_path, base):
    with pytest.raises(RepositoryMissing):
        DatasetRepository(tmp_path / "c", dataset_url(str(base), "never")).fetch()
    with pytest.raises((StoreMissing, RepositoryMissing)):
        DatasetRepository(tmp_path / "c", dataset_url(str(base / "gone"), "never")).fetch()
    with pytest.raises(HostileRepository):
        DatasetRepository(tmp_path / "c", "--upload-pack=x")


def test_options_in_place_of_commits_are_refused(orders):
    for call in (orders.read, orders.paths):
        with pytest.raises(HostileRepository):
            call("--output=/tmp/x", "a")
