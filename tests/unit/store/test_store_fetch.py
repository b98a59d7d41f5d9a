import hashlib
from datetime import UTC, datetime

import pytest

from datakeep.core.errors import DamagedBytes, StoreMissing, UnsafePath
from datakeep.core.progress import Silent
from datakeep.formats.inventory import FileEntry, Inventory
from datakeep.store import pool
from datakeep.store.dvc_format import object_key
from datakeep.store.fetch import fetch
from datakeep.store.folder import FolderStore
from datakeep.store.ingest import ingest, put_bytes
from datakeep.store.interface import Marker
from datakeep.store.rehash import rehash
from datakeep.store.scan import scan
from datakeep.store.verified import fetch_object, find_object

FILES = {
    "a.csv": b"1,2\n",
    "deep/er/b.bin": b"\0" * 3_000_000,
    "deep/twin": b"1,2\n",
    "empty": b"",
    "日本": b"x",
}


@pytest.fixture
def stores(tmp_path):
    made = [FolderStore(name, tmp_path / name) for name in ("main", "nas")]
    for store in made:
        store.create(Marker("vision", datetime.now(UTC)))
    return made


@pytest.fixture
def inventory(tmp_path, stores):
    for path, data in FILES.items():
        (tmp_path / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / path).write_bytes(data)
    return ingest(scan([tmp_path / "source"]).files, stores, "orders", Silent())


def files_in(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def object_of(store, path):
    return store.path_of(object_key("orders", hashlib.md5(FILES[path]).hexdigest()))


def test_every_file_is_there_and_nothing_else(inventory, stores, tmp_path):
    report = fetch(inventory, stores, "orders", tmp_path / "out", Silent())
    assert files_in(tmp_path / "out") == FILES
    assert [entry.name for entry in sorted((tmp_path / "out").iterdir())] == [
        "a.csv",
        "deep",
        "empty",
        "日本",
    ]
    assert (report.objects, report.by_store) == (4, {"main": 4})
    assert report.size_bytes == 3_000_005
    assert (report.faults, report.unavailable, report.stores_down) == ([], [], {})


@pytest.mark.parametrize("processes", [True, False])
def test_in_parallel_it_is_the_same(inventory, stores, tmp_path, monkeypatch, processes):
    monkeypatch.setattr(pool, "_BATCH_FILES", 2)
    monkeypatch.setattr(pool, "PROCESSES_FROM_FILES", 1 if processes else 10**9)
    object_of(stores[0], "日本").unlink()
    report = fetch(inventory, stores, "orders", tmp_path / "out", Silent())
    assert files_in(tmp_path / "out") == FILES
    assert report.by_store == {"main": 3, "nas": 1}
    assert rehash(tmp_path / "out", inventory, Silent()).is_whole


def test_the_next_store_is_asked_and_the_bad_copy_reported(inventory, stores, tmp_path):
    object_of(stores[0], "a.csv").write_bytes(b"1,3\n")
    report = fetch(inventory, stores, "orders", tmp_path / "out", Silent())
    assert files_in(tmp_path / "out") == FILES
    assert [(f.path, f.store, f.kind) for f in report.faults] == [
        ("a.csv", "main", "mismatched"),
        ("deep/twin", "main", "mismatched"),
    ]
    assert report.unavailable == []
    assert report.by_store == {"nas": 1, "main": 3}


def test_a_store_that_is_down_is_said_once(inventory, stores, tmp_path):
    stores[0].root.rename(tmp_path / "unmounted")
    report = fetch(inventory, stores, "orders", tmp_path / "out", Silent())
    assert files_in(tmp_path / "out") == FILES
    assert "is the share mounted" in report.stores_down["main"]
    assert report.faults == []
    with pytest.raises(StoreMissing):
        fetch(inventory, stores[:1], "orders", tmp_path / "out2", Silent())


def test_bytes_with_the_right_md5_and_the_wrong_sha256_are_refused(stores, tmp_path):
    """An md5 can be forged; the sha256 is what counts."""
    md5 = put_bytes(b"forged", stores, "orders")
    row = FileEntry("a", 6, bytes.fromhex(md5), hashlib.sha256(b"real").digest())
    report = fetch(Inventory.of([row]), stores, "orders", tmp_path / "out", Silent())
    assert report.unavailable == ["a"]
    assert {fault.kind for fault in report.faults} == {"mismatched"}
    assert files_in(tmp_path / "out") == {}


def test_an_endless_object_is_not_read_to_its_end(stores, tmp_path):
    md5 = put_bytes(b"tiny", stores, "orders")
    huge = stores[0].path_of(object_key("orders", md5))
    with huge.open("r+b") as file:
        file.truncate(2 << 40)
    row = FileEntry("a", 4, bytes.fromhex(md5), hashlib.sha256(b"tiny").digest())
    report = fetch(Inventory.of([row]), stores, "orders", tmp_path / "out", Silent())
    assert (tmp_path / "out" / "a").read_bytes() == b"tiny"
    assert report.faults[0].detail == "it has more than the registered 4 bytes"


def test_a_link_in_the_destination_is_no_way_out(inventory, stores, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "deep").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePath, match="in the way"):
        fetch(inventory, stores, "orders", tmp_path / "out", Silent())
    assert files_in(tmp_path / "elsewhere") == {}


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(inventory, stores, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "out" / "a.csv").symlink_to(tmp_path / "victim")
    fetch(inventory, stores, "orders", tmp_path / "out", Silent())
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / "out" / "a.csv").is_symlink()


def test_what_a_killed_fetch_left_is_removed(inventory, stores, tmp_path):
    (tmp_path / "out" / ".datakeep-fetch-dead").mkdir(parents=True)
    (tmp_path / "out" / ".datakeep-fetch-dead" / "half").touch()
    fetch(inventory, stores, "orders", tmp_path / "out", Silent())
    assert files_in(tmp_path / "out") == FILES


def test_what_an_interrupted_fetch_left_is_hashed_and_kept_where_it_is_right(inventory, stores, tmp_path):
    out = tmp_path / "out"
    fetch(inventory, stores, "orders", out, Silent())
    (out / "a.csv").write_bytes((out / "a.csv").read_bytes()[::-1])
    (out / "日本").unlink()
    report = fetch(inventory, stores, "orders", out, Silent())
    assert files_in(out) == FILES
    assert (report.kept, report.by_store) == (2, {"main": 2})
    assert (report.objects, report.unavailable) == (4, [])


def test_a_small_object_comes_whole_from_whoever_has_it(stores):
    md5 = put_bytes(b"[]", stores, "orders", directory=True)
    stores[0].path_of(object_key("orders", md5)).write_bytes(b"[1")
    assert fetch_object(md5, stores, "orders", limit_bytes=100) == b"[]"
    found = find_object(md5, stores, "orders", limit_bytes=100, what="the list")
    assert (found.data, found.store, found.faults[0].kind) == (b"[]", "nas", "mismatched")
    stores[1].path_of(object_key("orders", md5)).unlink()
    with pytest.raises(DamagedBytes, match="the list is in no store whole") as caught:
        fetch_object(md5, stores, "orders", limit_bytes=100, what="the list")
    assert [thing.split(":")[:2] for thing in caught.value.things] == [
        ["main", " mismatched"],
        ["nas", " missing"],
    ]


def test_a_small_object_is_bounded_and_its_sha256_counts(stores):
    md5 = put_bytes(b"0123456789", stores, "orders")
    with pytest.raises(DamagedBytes, match="larger than 9 bytes"):
        fetch_object(md5, stores, "orders", limit_bytes=9)
    with pytest.raises(DamagedBytes, match="other than"):
        fetch_object(md5, stores, "orders", limit_bytes=10, sha256=b"\0" * 32)
    sha256 = hashlib.sha256(b"0123456789").digest()
    assert fetch_object(md5, stores, "orders", limit_bytes=10, sha256=sha256) == b"0123456789"


def test_a_rehash_names_what_is_missing_other_or_stray(inventory, stores, tmp_path):
    out = tmp_path / "out"
    fetch(inventory, stores, "orders", out, Silent())
    report = rehash(out, inventory, Silent())
    assert (report.is_whole, report.matching, report.size_bytes) == (True, 5, inventory.size_bytes)
    (out / "a.csv").write_bytes(b"1,3\n")
    (out / "empty").unlink()
    (out / "日本").unlink()
    (out / "日本").symlink_to(out / "a.csv")
    (out / "deep" / "notes.txt").touch()
    (out / "link").symlink_to("/etc/passwd")
    report = rehash(out, inventory, Silent())
    assert (report.matching, report.missing) == (2, ["empty"])
    assert report.mismatched == ["a.csv", "日本"]
    assert report.stray == ["deep/notes.txt", "link"]


def test_a_folder_that_is_not_there_is_not_whole(inventory, tmp_path):
    with pytest.raises(DamagedBytes):
        rehash(tmp_path / "nowhere", inventory, Silent())
