"""What is bad is kept before it is mended; a store that is away for a moment loses none of it."""

from __future__ import annotations

import contextlib

import pytest

from datakeep.core.errors import StoreUnreachable
from datakeep.store.folder import FolderStore
from datakeep.store.opening import create_store
from datakeep.store.quarantine import quarantine

KEY = "orders/files/md5/ab/cd"
KEPT = "orders/datakeep/quarantine/abcd"


class Shaky(FolderStore):
    """A folder that fails to be read a few times, and after that may be away for good."""

    failures, away = 0, False

    @contextlib.contextmanager
    def open_read(self, key):
        if Shaky.failures:
            Shaky.failures -= 1
            raise StoreUnreachable("it does not answer", next_step="wait")
        with super().open_read(key) as chunks:
            yield chunks

    def size_of(self, key):
        if Shaky.away:
            raise StoreUnreachable("it does not answer", next_step="wait")
        return super().size_of(key)


@pytest.fixture
def store(tmp_path):
    made = create_store("main", str(tmp_path / "store"), keep="vision")
    made.put(KEY, [b"bad bytes"])
    shaky = Shaky(made.name, tmp_path / "store")
    Shaky.failures, Shaky.away = 0, False
    return shaky


def kept(store):
    if store.size_of(KEPT) is None:
        return None
    with store.open_read(KEPT) as chunks:
        return b"".join(chunks)


def test_bad_bytes_are_kept_though_the_store_was_away_for_a_moment(store):
    Shaky.failures = 1
    quarantine(store, "orders", KEY, "abcd")
    assert kept(store) == b"bad bytes"


def test_what_cannot_be_read_at_all_is_not_waited_for(store):
    Shaky.failures = 2
    quarantine(store, "orders", KEY, "abcd")
    assert (Shaky.failures, kept(store)) == (0, None)


def test_a_store_that_is_away_is_an_error_before_anything_is_written_over(store):
    Shaky.failures, Shaky.away = 1, True
    with pytest.raises(StoreUnreachable):
        quarantine(store, "orders", KEY, "abcd")


def test_of_what_is_missing_nothing_is_kept(store):
    quarantine(store, "orders", "orders/files/md5/ab/none", "abcd")
    assert kept(store) is None
