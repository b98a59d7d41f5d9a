"""What every store keeps to. A new kind of store passes by adding its maker to ``STORES``."""

import copy
import pickle
from datetime import UTC, datetime

import pytest

from datakeep.core.errors import StoreMissing, StoreUnmarked
from datakeep.store.folder import FolderStore
from datakeep.store.interface import Capability, Marker, ObjectMissing

MARKER = Marker(keep="vision", created=datetime(2026, 11, 1, tzinfo=UTC))
KEY = "orders/files/md5/ab/cdef"


def make_folder_store(tmp_path):
    return FolderStore("main", tmp_path / "data")


STORES = {"folder": make_folder_store}


@pytest.fixture(params=STORES)
def unmade(request, tmp_path):
    return STORES[request.param](tmp_path)


@pytest.fixture
def store(unmade):
    unmade.create(MARKER)
    yield unmade
    unmade.close()


def read(store, key):
    with store.open_read(key) as chunks:
        return b"".join(chunks)


def test_a_store_is_never_made_by_using_it(unmade):
    with pytest.raises(StoreMissing, match="is the share mounted"):
        unmade.check()
    with pytest.raises(StoreMissing, match="is the share mounted"):
        unmade.put(KEY, [b"x"])
    with pytest.raises(StoreMissing):
        unmade.check(writable=True)


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


@pytest.mark.parametrize("chunks", [[], [b""], [b"one"], [b"a" * 3_000_000, b"b"]])
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


def test_free_space_is_known_where_it_is_promised(store):
    known = store.free_bytes()
    assert (known is not None and known > 0) == (Capability.FREE_SPACE in store.capabilities)
