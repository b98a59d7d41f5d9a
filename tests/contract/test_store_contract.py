"""What every store keeps to. A new kind of store passes by adding its maker to ``STORES``."""

import copy
import hashlib
import pickle
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import fsspec
import obstore
import pytest

from datakeep.core.errors import AlreadyExists, StoreMissing, StoreUnmarked
from datakeep.store.folder import FolderStore
from datakeep.store.interface import MARKER_NAME, Capability, Marker, ObjectMissing
from datakeep.store.library_server import LibraryServer
from datakeep.store.opening import open_store
from datakeep.store.server_location import ServerLocation
from datakeep.store.server_store import ServerStore

MARKER = Marker(keep="vision", created=datetime(2026, 11, 1, tzinfo=UTC))
KEY = "orders/files/md5/ab/cdef"


def make_folder_store(request):
    """A store, and one in a place that is not there."""
    folder = request.getfixturevalue("tmp_path")
    return FolderStore("main", folder / "data"), FolderStore("main", folder / "unmounted" / "data")


def make_s3_store(request):
    server = request.getfixturevalue("s3")
    options = {"endpoint_url": server.endpoint_url, "region": "us-east-1"}
    there = open_store("main", f"s3://{server.place()}", **options)
    return there, open_store("main", "s3://no-such-bucket/team/keep", **options)


def make_ssh_store(request):
    server = request.getfixturevalue("ssh")
    there = open_store("main", server.url(server.place()))
    return there, open_store("main", server.url(server.files / "unmounted" / "keep"))


def make_webdav_store(request):
    server = request.getfixturevalue("dav")
    there = open_store("main", server.url(server.place()))
    return there, open_store("main", server.url(server.files / "unmounted" / "keep"))


class MemoryServer(LibraryServer):
    """What every kind that only DVC knows is spoken to with, over a file system that needs no server."""

    def _open(self):
        return fsspec.filesystem("memory"), f"/{self.location.path}"


def make_library_store(request):
    place = f"{secrets.token_hex(8)}/keep"
    fsspec.filesystem("memory").mkdir(f"/{place.partition('/')[0]}")
    there, absent = (ServerLocation("hdfs", None, "nodes", None, path) for path in (place, f"no-{place}"))
    return tuple(ServerStore("main", one, partial(MemoryServer, one)) for one in (there, absent))


STORES = {
    "folder": make_folder_store,
    "s3": make_s3_store,
    "ssh": make_ssh_store,
    "webdav": make_webdav_store,
    "library": make_library_store,
}


@pytest.fixture(params=STORES)
def stores(request):
    return STORES[request.param](request)


@pytest.fixture
def unmade(stores):
    return stores[0]


@pytest.fixture
def store(unmade):
    unmade.create(MARKER)
    yield unmade
    unmade.close()


def read(store, key):
    with store.open_read(key) as chunks:
        return b"".join(chunks)


def test_a_store_is_never_made_by_using_it(stores):
    _, absent = stores
    with pytest.raises(StoreMissing, match="is missing"):
        absent.check()
    with pytest.raises(StoreMissing, match="is missing"):
        absent.put(KEY, [b"x"])
    with pytest.raises(StoreMissing, match="is missing"):
        absent.check(writable=True)
    with pytest.raises(StoreMissing, match="is missing"):
        absent.create(MARKER)


def test_a_place_with_other_things_is_left_alone(unmade):
    unmade.create(MARKER)
    unmade.put("thesis/chapter-1.tex", [b"x"])
    remove_marker(unmade)
    with pytest.raises(StoreUnmarked, match="has no datakeep-store"):
        unmade.check()
    with pytest.raises(AlreadyExists, match="other"):
        unmade.create(MARKER)
    assert unmade.size_of(MARKER_NAME) is None


def remove_marker(store):
    if isinstance(store, FolderStore):
        (store.root / MARKER_NAME).unlink()
    elif isinstance(store, ServerStore):
        store.server.remove(MARKER_NAME)
    else:
        obstore.delete(store._client, MARKER_NAME)


def test_two_keeps_at_once_cannot_claim_one_place(unmade):
    def claim(keep):
        try:
            copy.copy(unmade).create(Marker(keep=keep, created=MARKER.created))
        except (StoreUnmarked, AlreadyExists):
            return None
        return keep

    with ThreadPoolExecutor(6) as several:
        made = [
            keep for keep in several.map(claim, ["vision", "sound", "text", "maps", "news", "law"]) if keep
        ]
    if Capability.EXCLUSIVE in unmade.capabilities:
        assert made == [unmade.check().keep]
    else:
        assert unmade.check().keep in made


def test_what_is_put_as_new_replaces_nothing(store):
    assert store.put_new("records/a.json", b"first")
    assert not store.put_new("records/a.json", b"second")
    assert read(store, "records/a.json") == b"first"


def test_the_marker_says_whose_store_it_is(store):
    assert store.check(keep="vision", writable=True) == MARKER
    with pytest.raises(StoreUnmarked, match="belongs to the keep 'vision', not to 'sound'"):
        store.check(keep="sound")


def test_creating_again_changes_nothing_and_never_takes_another_keeps_store(store):
    store.put(KEY, [b"x"])
    store.create(Marker(keep="vision", created=datetime.now(UTC)))
    assert store.check() == MARKER
    assert read(store, KEY) == b"x"
    with pytest.raises(StoreUnmarked):
        store.create(Marker(keep="sound", created=datetime.now(UTC)))


@pytest.mark.parametrize("chunks", [[], [b""], [b"one"], [b"a" * 3_000_000, b"b"], [b"a" * 9_000_000] * 4])
def test_what_is_put_is_what_is_read(store, chunks):
    assert store.put(KEY, chunks) == len(b"".join(chunks))
    assert read(store, KEY) == b"".join(chunks)
    assert store.size_of(KEY) == len(b"".join(chunks))


def test_what_is_not_there_is_said_to_be_missing(store):
    assert store.size_of(KEY) is None
    with pytest.raises(ObjectMissing, match="missing"), store.open_read(KEY):
        pass


def test_an_object_is_whole_or_absent(store):
    def broken():
        yield b"first"
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        store.put(KEY, broken())
    assert store.size_of(KEY) is None
    writer = store.begin("orders")
    writer.write(b"half")
    assert store.size_of(KEY) is None
    writer.discard()
    store.close()
    assert list(store.list("orders")) == []


def test_putting_again_replaces(store):
    store.put(KEY, [b"old"])
    store.put(KEY, [b"new bytes"])
    assert read(store, KEY) == b"new bytes"


@pytest.mark.parametrize("size_bytes", [1000, 40_000_000])
def test_a_key_may_be_known_first_or_last(store, size_bytes):
    for number, known in enumerate((KEY, None)):
        writer = store.begin("orders", known)
        for _ in range(4):
            writer.write(bytes([number]) * (size_bytes // 4))
        writer.finish()
        writer.commit(KEY)
        assert read(store, KEY) == bytes([number]) * size_bytes


def test_a_large_object_is_whole_or_absent(store):
    writer = store.begin("orders", KEY)
    for _ in range(5):
        writer.write(b"x" * 8_000_000)
    writer.discard()
    store.close()
    assert store.size_of(KEY) is None
    assert list(store.list("orders")) == []


def test_discarding_after_the_commit_is_harmless(store):
    writer = store.begin("orders")
    writer.write(b"x")
    writer.commit(KEY)
    writer.discard()
    assert read(store, KEY) == b"x"


def test_a_listing_stays_in_its_prefix(store):
    store.put(KEY, [b"abc"])
    store.put("orders-old/files/md5/00/11", [b"x"])
    store.close()
    assert list(store.list("orders")) == [(KEY, 3)]
    assert list(store.list("nothing-here")) == []


def test_a_callers_own_fault_is_not_called_the_stores(store):
    store.put(KEY, [b"x"])
    with pytest.raises(FileExistsError), store.open_read(KEY):
        raise FileExistsError("the caller's")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "a/../../b", "a//b", "./a", "a\0b"])
def test_no_key_leads_out_of_the_store(store, key):
    with pytest.raises(ValueError, match="not a key"):
        store.size_of(key)
    with pytest.raises(ValueError, match="not a key"):
        store.put_new(key, b"x")


def test_copies_and_pickles_are_stores_of_their_own(store):
    writer = store.begin("orders")
    for other in (copy.copy(store), pickle.loads(pickle.dumps(store))):
        other.put(KEY, [b"x"])
        other.close()
    writer.write(b"still alive")
    writer.commit("orders/files/md5/ab/0000")
    assert read(store, "orders/files/md5/ab/0000") == b"still alive"


def test_tidying_leaves_the_living_alone(store):
    writer = store.begin("orders")
    writer.write(b"alive")
    copy.copy(store).tidy("orders")
    writer.commit(KEY)
    assert read(store, KEY) == b"alive"


def test_names_of_all_kinds_are_keys(store):
    keys = [
        "orders/a b",
        "orders/100%25",
        "orders/ü/é",
        "orders/a+b",
        "orders/~!$'()*,=@",
    ]
    odd = ["orders/q?x=1", "orders/y#z", "orders/a;b"]
    if Capability.ANY_NAME in store.capabilities:
        keys += odd
    else:
        for key in odd:
            with pytest.raises(ValueError, match="cannot be a key"):
                store.put(key, [b"x"])
            assert store.size_of(key) is None
    for key in keys:
        store.put(key, [key.encode()])
        assert read(store, key) == key.encode()
    assert {key for key, _ in store.list("orders")} >= set(keys)


def test_dvc_is_told_where_it_is_and_no_secret(store):
    remote = store.dvc_remote("orders")
    assert remote["url"].endswith("/orders")
    assert not set(remote) - {"url", "endpointurl", "region"}


def test_free_space_is_known_where_it_is_promised(store):
    known = store.free_bytes()
    assert (known is not None and known > 0) == (Capability.FREE_SPACE in store.capabilities)


def test_an_examination_changes_nothing_and_gives_each_verdict_a_name(store):
    store.put(KEY, [b"x"])
    before = sorted(store.list(""))
    checks = store.examine()
    assert len({check.name for check in checks}) == len(checks) > 2
    assert all(check.advice for check in checks if check.outcome == "not good")
    assert sorted(store.list("")) == before


def test_a_listing_knows_when_each_object_was_last_written(store):
    store.put(KEY, [b"first"])
    store.close()
    first = {found.key: found for found in store.list_dated("")}
    assert set(first) == {KEY, MARKER_NAME}
    assert (first[KEY].size_bytes, abs(first[KEY].modified_s - time.time()) < 3600) == (5, True)
    store.put("orders/files/md5/ab/later", [b"x"])
    store.put(KEY, [b"again"])
    again = {found.key: found.modified_s for found in store.list_dated("orders")}
    assert again[KEY] >= first[KEY].modified_s
    assert again[KEY] >= again["orders/files/md5/ab/later"]


def test_a_checksum_is_that_of_the_bytes_or_none_and_no_object_is_passed_over(store):
    known = Capability.CHECKSUMS in store.capabilities
    large = "orders/files/md5/ab/large"
    store.put(KEY, [b"one"])
    store.put(large, [b"a" * 9_000_000] * 3)
    told = dict(store.checksums([KEY, large, "orders/not-there"]))
    assert told[KEY] == (hashlib.sha256(b"one").digest() if known else None)
    assert told == {KEY: told[KEY], large: None, "orders/not-there": None}, "of parts, and of nothing, none"


def test_parts_are_read_from_anywhere_where_that_is_promised(store):
    if Capability.PARTS not in store.capabilities:
        with pytest.raises(NotImplementedError), store.open_parts(KEY):
            pass
        return
    data = secrets.token_bytes(300_000)
    store.put(KEY, [data])
    with store.open_parts(KEY) as file:
        assert file.seek(-8, 2) == len(data) - 8
        assert file.read(100) == data[-8:]
        assert file.read(1) == b""
        for place in (0, 250_000, 65_536, 299_999, 7):
            file.seek(place)
            assert (file.read(70_000), file.tell()) == (data[place:][:70_000], min(place + 70_000, len(data)))
    with pytest.raises(ObjectMissing), store.open_parts(f"{KEY}0") as file:
        file.read(1)


def test_the_file_of_an_object_is_on_this_machine_or_there_is_none(store):
    store.put(KEY, [b"here"])
    found = store.local_file(KEY)
    assert (found is not None) == (Capability.LOCAL in store.capabilities)
    assert found is None or found.read_bytes() == b"here"
    assert store.local_file(f"{KEY}0") is None


def test_a_removed_object_is_gone_and_no_other(store):
    store.put(KEY, [b"x"])
    store.put(KEY + "0", [b"y"])
    assert store.locked([KEY]) == set()
    store.remove(KEY)
    store.remove(KEY)
    assert store.size_of(KEY) is None
    assert read(store, KEY + "0") == b"y"
    with pytest.raises(ValueError, match="not a key"):
        store.remove("orders/../" + MARKER_NAME)
