"""The state: what is trusted without reading, and what never is."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from datakeep.core.progress import Silent
from datakeep.store import state as states
from datakeep.store.dvc_format import object_key
from datakeep.store.ingest import ingest
from datakeep.store.opening import create_store
from datakeep.store.rehash import rehash
from datakeep.store.scan import scan
from datakeep.store.state import HashState

LONG_AFTER_NS = 10_000_000_000


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.csv", "b.csv", "deep/c.csv"):
        (folder / name).write_text(name * 10)
    return folder


@pytest.fixture
def store(tmp_path):
    return create_store("main", str(tmp_path / "store"), keep="k", now=datetime.now(UTC))


@pytest.fixture
def known(tmp_path, source, store):
    """A state in which every file of the source was hashed long after it had changed last."""
    state = HashState(tmp_path / "state", source)
    files = scan([source]).files
    inventory = ingest(files, [store], "orders", Silent())
    state.save(files, inventory, began_ns=max(files.ctimes_ns) + LONG_AFTER_NS)
    return state


def trusted_paths(state, source):
    files = scan([source]).files
    return [files.paths[at] for at in state.trusted(files).positions]


def test_an_unchanged_file_is_known_with_its_digests(known, source):
    files = scan([source]).files
    trusted = known.trusted(files)
    assert [files.paths[at] for at in trusted.positions] == ["a.csv", "b.csv", "deep/c.csv"]
    data = (source / "b.csv").read_bytes()
    assert trusted.md5[16:32] == hashlib.md5(data).digest()
    assert trusted.sha256[32:64] == hashlib.sha256(data).digest()


def same_size(path):
    path.write_bytes(b"x" * path.stat().st_size)


def same_size_and_time(path):
    before = path.stat()
    path.write_bytes(b"x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path):
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"x" * before.st_size)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [same_size, same_size_and_time, replaced])
def test_a_file_that_may_have_changed_is_not_known(known, source, change):
    change(source / "b.csv")
    assert trusted_paths(known, source) == ["a.csv", "deep/c.csv"]


def test_a_file_that_was_young_when_it_was_hashed_is_not_known(tmp_path, source, store):
    state, files = HashState(tmp_path / "state", source), scan([source]).files
    inventory = ingest(files, [store], "orders", Silent())
    state.save(files, inventory, began_ns=max(files.ctimes_ns) + states.TICK_NS // 2)
    assert trusted_paths(state, source) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "deleted", "other"])
def test_a_damaged_state_is_none(known, source, tmp_path, damage):
    [file] = (tmp_path / "state").iterdir()
    data = bytearray(file.read_bytes())
    if damage == "deleted":
        file.unlink()
    else:
        data[len(data) // 2] ^= 0xFF
        file.write_bytes({"cut": data[:-1], "flipped": data, "emptied": b"", "other": b"text" * 50}[damage])
    assert trusted_paths(known, source) == []


def test_a_state_of_another_folder_is_none(known, source, tmp_path):
    source.rename(tmp_path / "moved")
    assert trusted_paths(HashState(tmp_path / "state", tmp_path / "moved"), tmp_path / "moved") == []


def test_two_writers_leave_one_whole(known, source, store):
    files = scan([source]).files
    inventory = ingest(files, [store], "orders", Silent())
    began_ns = max(files.ctimes_ns) + LONG_AFTER_NS
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: known.save(files, inventory, began_ns=began_ns), range(40)))
    assert len(trusted_paths(known, source)) == 3


def test_a_state_that_cannot_be_written_is_no_fault(tmp_path, source, store):
    (tmp_path / "file").write_text("in the way")
    files = scan([source]).files
    inventory = ingest(files, [store], "orders", Silent())
    HashState(tmp_path / "file" / "state", source).save(files, inventory, began_ns=0)


def test_only_what_changed_is_read_again(known, source, store):
    (source / "b.csv").write_text("new")
    files = scan([source]).files
    trusted = known.trusted(files)
    inventory = ingest(files, [store], "orders", Silent(), trusted=trusted)
    assert trusted.used == 2
    assert inventory == ingest(files, [store], "orders", Silent())


def test_a_known_file_whose_object_is_gone_is_stored_again(known, source, store):
    name = hashlib.md5((source / "a.csv").read_bytes()).hexdigest()
    lost = store.path_of(object_key("orders", name))
    lost.unlink()
    files = scan([source]).files
    trusted = known.trusted(files)
    ingest(files, [store], "orders", Silent(), trusted=trusted)
    assert trusted.used == 2
    assert lost.read_bytes() == (source / "a.csv").read_bytes()


def test_rehash_reads_what_is_not_known_and_writes_it_down(tmp_path, source, store, monkeypatch):
    inventory = ingest(scan([source]).files, [store], "orders", Silent())
    state = HashState(tmp_path / "state", source)
    monkeypatch.setattr(states, "TICK_NS", -LONG_AFTER_NS)
    first = rehash(source, inventory, Silent(), state=state)
    second = rehash(source, inventory, Silent(), state=state)
    assert (first.matching, first.trusted, second.matching, second.trusted) == (3, 0, 3, 3)
    assert (first.size_bytes, second.size_bytes) == (inventory.size_bytes, 0)
    same_size(source / "a.csv")
    third = rehash(source, inventory, Silent(), state=state)
    assert (third.matching, third.mismatched, third.trusted) == (2, ["a.csv"], 2)
    assert rehash(source, inventory, Silent()).trusted == 0
