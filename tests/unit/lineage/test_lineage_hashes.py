"""A hash finds exactly the rows that a plain dict finds, through segments, merges and prefixes."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakeep.formats.inventory import FileEntry, Inventory
from datakeep.lineage import adding, hashes, schema


def inventory(files: dict[str, tuple[bytes, bytes]]) -> Inventory:
    return Inventory.of(FileEntry(path, 1, md5, sha256) for path, (md5, sha256) in files.items())


def digests(data: bytes) -> tuple[bytes, bytes]:
    return hashlib.md5(data).digest(), hashlib.sha256(data).digest()


#: Few first bytes, so that many begin alike.
_DIGESTS = st.tuples(st.integers(0, 3), st.integers(0, 5)).map(
    lambda pair: (bytes([pair[0]]) * 8 + bytes([pair[1]]) * 8, bytes([pair[0]]) * 8 + bytes([pair[1]]) * 24)
)
_LISTS = st.dictionaries(st.sampled_from([f"d/{n}.txt" for n in range(9)]), _DIGESTS, max_size=9)


@given(lists=st.lists(_LISTS, max_size=8), merged=st.booleans(), asked=_DIGESTS, length=st.integers(8, 32))
@settings(max_examples=60, deadline=None)
def test_a_search_finds_what_a_dict_finds(lists, merged, asked, length):
    database = schema.create(None)
    expected: dict[str, set[tuple[int, str]]] = {"md5": set(), "sha256": set()}
    patched = pytest.MonkeyPatch()
    patched.setattr(adding, "_BLOCK_ROWS", 2)
    patched.setattr(adding, "_MAX_SEGMENTS", 1 if merged else 100)
    taking = adding.Adding(database, segment_rows=3)
    for number, files in enumerate(lists, 1):
        assert taking.add(f"{number}", inventory(files))
        assert not taking.add(f"{number}", inventory(files))
        for path, (md5, sha256) in files.items():
            for name, digest, wanted in (("md5", md5, asked[0]), ("sha256", sha256, asked[1])):
                if digest.hex().startswith(wanted.hex()[:length]):
                    expected[name].add((number, path))
    taking.flush()
    adding.merge(database)
    patched.undo()
    for name, wanted in (("md5", asked[0]), ("sha256", asked[1])):
        rows = list(hashes.find(database, name, wanted.hex()[:length]))
        assert len(rows) == len(set(rows))
        found = {(number, hashes.path_of(database, number, row)) for number, row in rows}
        assert found == expected[name]
    every = {sha256.hex() for files in lists for _, sha256 in files.values()} | {asked[1].hex()}
    many = list(hashes.find_many(database, "sha256", every))
    assert sorted(many) == sorted((one, at) for one in every for at in hashes.find(database, "sha256", one))
    mine, others = set(range(1, len(lists) + 1, 2)), set(range(2, len(lists) + 1, 3))
    of = {one: {sha256.hex()[:32] for _, sha256 in files.values()} for one, files in enumerate(lists, 1)}
    theirs = set().union(*(of[one] for one in others))
    shared = {one: of[one] & theirs for one in mine if of[one] & theirs}
    assert hashes.with_others(database, mine, others.__contains__) == shared
    for number, files in enumerate(lists, 1):
        for path, (_, sha256) in files.items():
            assert hashes.digest_of(database, number, path) == sha256.hex()[: 2 * hashes.KEY_BYTES]
        assert hashes.digest_of(database, number, "absent") is None
    named = hashes.paths_of(database, [at for _, at in many])
    assert named == {at: hashes.path_of(database, *at) for _, at in many}
    database.close()


def test_paths_are_found_across_chunks_and_numbers_share_a_shape():
    database = schema.create(None)
    files = {f"画像/IMG_{number:05d}.png": digests(b"%d" % number) for number in range(20_000)}
    taking = adding.Adding(database)
    taking.add("x", inventory(files))
    taking.flush()
    last = "画像/IMG_19999.png"
    assert hashes.digest_of(database, 1, last) == files[last][1].hex()[: 2 * hashes.KEY_BYTES]
    assert hashes.has_path(database, 1, "画像/IMG_00000.png")
    assert hashes.has_path(database, 1, "画像/IMG_19999.png")
    assert not hashes.has_path(database, 1, "画像/IMG_0000")
    assert hashes.paths_holding(database, 1, ("img_17001", "画像"), 5) == ["画像/IMG_17001.png"]
    assert hashes.patterns(database, ["x", "absent"]) == {"画像/IMG_0.png"}


def test_an_empty_inventory_is_known_and_finds_nothing():
    database = schema.create(None)
    taking = adding.Adding(database)
    assert taking.add("x", Inventory.of([]))
    taking.flush()
    assert list(hashes.find(database, "md5", "00" * 16)) == []
    assert not hashes.has_path(database, 1, "")


def test_no_object_is_made_for_each_row():
    count = 200_000
    raw = b"".join(number.to_bytes(32, "big") for number in range(count))
    given = Inventory.of_columns([f"{n:08d}" for n in range(count)], [1] * count, raw[: 16 * count], raw)
    database = schema.create(None)
    taking = adding.Adding(database)
    tracemalloc.start()
    taking.add("x", given)
    taking.flush()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000  # an object for each would be 16 MB at the least
    assert database.execute("SELECT count(*) FROM block").fetchone()[0] == 2 * -(-count // 2048)
