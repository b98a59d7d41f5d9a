import hashlib
from datetime import UTC, datetime

import pytest

from datakeep.core.errors import NoSpace, SourceChanged, StoreMissing
from datakeep.core.progress import Silent
from datakeep.store import pool
from datakeep.store.dvc_format import object_key
from datakeep.store.folder import FolderStore
from datakeep.store.ingest import ingest, put_bytes
from datakeep.store.interface import Marker
from datakeep.store.scan import scan

FILES = {
    "a.csv": b"1,2\n",
    "deep/b.bin": b"\0" * 9_000_000,
    "deep/twin": b"1,2\n",
    "empty": b"",
    "日本": "語".encode(),
}


class Counting(Silent):
    def __init__(self):
        self.files = self.size_bytes = 0

    def advance(self, count=1, *, size_bytes=0):
        self.files += count
        self.size_bytes += size_bytes


@pytest.fixture
def source(tmp_path):
    for path, data in FILES.items():
        (tmp_path / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / path).write_bytes(data)
    return tmp_path / "source"


@pytest.fixture
def stores(tmp_path):
    made = [FolderStore(name, tmp_path / name) for name in ("main", "nas")]
    for store in made:
        store.create(Marker("vision", datetime.now(UTC)))
    return made


def md5(data):
    return hashlib.md5(data).hexdigest()


def everything_in(store):
    """Every file of the store but its marker: bytes by key."""
    return {
        path.relative_to(store.root).as_posix(): path.read_bytes()
        for path in store.root.rglob("*")
        if path.is_file() and path.name != "datakeep-store.json"
    }


EXPECTED = {f"orders/files/md5/{md5(data)[:2]}/{md5(data)[2:]}": data for data in FILES.values()}


def test_every_store_gets_every_object_once_and_nothing_else(source, stores):
    progress = Counting()
    inventory = ingest(scan([source]).files, stores, "orders", progress)
    assert everything_in(stores[0]) == everything_in(stores[1]) == EXPECTED
    assert {row.path: row.sha256 for row in inventory.files} == {
        path: hashlib.sha256(data).digest() for path, data in FILES.items()
    }
    assert (progress.files, progress.size_bytes) == (len(FILES), sum(map(len, FILES.values())))


@pytest.mark.parametrize("processes", [True, False])
def test_many_files_in_parallel_are_the_same(source, stores, monkeypatch, processes):
    monkeypatch.setattr(pool, "_BATCH_FILES", 5)
    monkeypatch.setattr(pool, "PROCESSES_FROM_FILES", 1 if processes else 10**9)
    monkeypatch.setattr(pool, "_SMALL_BYTES", 1 << 30)
    for number in range(20):
        (source / f"{number}.txt").write_text(str(number % 15))
    progress = Counting()
    inventory = ingest(scan([source]).files, stores, "orders", progress, workers=2)
    assert len(inventory) == progress.files == len(FILES) + 20
    assert everything_in(stores[1]) == EXPECTED | {
        object_key("orders", md5(str(n).encode())): str(n).encode() for n in range(15)
    }


def test_objects_are_readable_by_everyone_and_removable_by_dvc(source, stores):
    ingest(scan([source]).files, stores, "orders", Silent())
    modes = {path.stat().st_mode & 0o777 for path in stores[0].root.rglob("files/md5/*/*")}
    assert modes == {0o644}


@pytest.mark.parametrize("path", ["a.csv", "deep/b.bin"])
def test_what_is_there_is_not_written_again_but_a_cut_object_is(source, stores, path):
    ingest(scan([source]).files, stores, "orders", Silent())
    key = object_key("orders", md5(FILES[path]))
    before = {store.name: store.path_of(key).stat().st_ino for store in stores}
    ingest(scan([source]).files, stores, "orders", Silent())
    assert {store.name: store.path_of(key).stat().st_ino for store in stores} == before
    stores[1].path_of(key).write_bytes(b"")
    ingest(scan([source]).files, stores, "orders", Silent())
    assert everything_in(stores[0]) == everything_in(stores[1]) == EXPECTED


def test_a_big_file_of_equal_size_and_other_bytes_is_stored(source, stores):
    ingest(scan([source]).files, stores, "orders", Silent())
    (source / "deep/b.bin").write_bytes(b"\1" * 9_000_000)
    ingest(scan([source]).files, stores, "orders", Silent())
    other = object_key("orders", md5(b"\1" * 9_000_000))
    assert everything_in(stores[0]) == EXPECTED | {other: b"\1" * 9_000_000}


def test_all_changed_files_are_named_and_nothing_temporary_is_left(source, stores):
    files = scan([source]).files
    (source / "a.csv").write_bytes(b"grown")
    (source / "deep/b.bin").write_bytes(b"cut")
    with pytest.raises(SourceChanged, match="2 files changed") as caught:
        ingest(files, stores, "orders", Silent())
    assert all(name in "".join(caught.value.things) for name in ("a.csv", "deep/b.bin"))
    assert set(everything_in(stores[0])) <= set(EXPECTED)


def test_a_missing_store_is_found_before_anything_is_written(source, stores, tmp_path):
    with pytest.raises(StoreMissing, match="store 'gone'"):
        ingest(scan([source]).files, [*stores, FolderStore("gone", tmp_path / "gone")], "orders", Silent())
    assert everything_in(stores[0]) == {}
    assert not (tmp_path / "gone").exists()


class Small(FolderStore):
    """A store with room for one million bytes more, by its own account."""

    def free_bytes(self):
        return 1_000_000


def test_space_is_counted_before_the_first_byte(source, stores):
    small = Small("small", stores[0].root)
    with pytest.raises(
        NoSpace, match=r"need 8\.1 MB more on store 'small' .*: 9\.1 MB are needed, 1\.0 MB are free"
    ) as caught:
        ingest(scan([source]).files, [small], "orders", Silent())
    assert caught.value.next_step.startswith("make room")
    assert everything_in(small) == {}


def test_space_is_not_asked_for_what_is_already_there(source, stores):
    ingest(scan([source]).files, stores, "orders", Silent())
    (source / "new").write_bytes(b"new")
    inventory = ingest(scan([source]).files, [Small("small", stores[0].root)], "orders", Silent())
    assert len(inventory) == len(FILES) + 1


def test_two_stores_on_one_disk_share_its_room(source, stores, monkeypatch):
    total = sum(map(len, FILES.values()))
    monkeypatch.setattr(Small, "free_bytes", lambda self: int(total * 1.5))
    with pytest.raises(NoSpace, match="store 'second'"):
        ingest(
            scan([source]).files,
            [Small("first", stores[0].root), Small("second", stores[1].root)],
            "orders",
            Silent(),
        )


def test_put_bytes_names_them_by_their_md5(stores):
    assert put_bytes(b"[]", stores, "orders", directory=True) == md5(b"[]") + ".dir"
    assert put_bytes(b"x", stores, "orders") == md5(b"x")
    for store in stores:
        assert everything_in(store) == {
            object_key("orders", md5(b"[]") + ".dir"): b"[]",
            object_key("orders", md5(b"x")): b"x",
        }


def test_bytes_are_durable_before_they_have_a_name_and_names_before_it_returns(source, stores, monkeypatch):
    named_at_sync = []
    monkeypatch.setattr(
        FolderStore,
        "sync",
        lambda self: named_at_sync.append((self.name, len(list(self.list("orders/files"))))),
    )
    ingest(scan([source]).files, stores, "orders", Silent(), workers=1)
    assert named_at_sync == [("main", 0), ("nas", 0), ("main", len(EXPECTED)), ("nas", len(EXPECTED))]
