import hashlib
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakeep.core.errors import HostileRepository, InvalidFile, UnknownFormat, UsageError
from datakeep.core.paths import refusals
from datakeep.formats.inventory import SCHEMA, FileEntry, Inventory, differences


def entry(path, content=None, split=None):
    data = (path if content is None else content).encode()
    return FileEntry(path, len(data), hashlib.md5(data).digest(), hashlib.sha256(data).digest(), split)


def parquet(table):
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


ROWS = [entry("b/x.png", split="train"), entry("a.csv", split="test"), entry("日本/é.csv"), entry("C")]


def test_rows_are_sorted_by_bytes_and_survive():
    inventory = Inventory.of(ROWS)
    assert [file.path for file in inventory.files] == ["C", "a.csv", "b/x.png", "日本/é.csv"]
    assert Inventory.from_bytes(inventory.to_bytes(), what="it") == inventory
    assert sorted(ROWS, key=lambda row: row.path.encode()) == list(inventory.files)
    assert len(inventory) == 4
    assert inventory.size_bytes == sum(row.size_bytes for row in ROWS)


def test_the_file_is_what_the_design_says():
    table = pq.read_table(io.BytesIO(Inventory.of(ROWS).to_bytes()))
    assert table.schema.equals(SCHEMA, check_metadata=True)
    assert table.schema.metadata[b"format"] == b"datakeep/inventory/1"


names = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=12)


@given(st.lists(names, max_size=12, unique=True).filter(lambda paths: not refusals(paths)), st.randoms())
def test_the_same_rows_give_the_same_bytes_in_any_order(paths, random):
    rows = [entry(path) for path in paths]
    first = Inventory.of(rows).to_bytes()
    random.shuffle(rows)
    assert Inventory.of(rows).to_bytes() == first
    assert Inventory.from_bytes(first, what="it").to_bytes() == first


def test_the_content_id_is_the_digest_of_the_sha256_listing():
    listing = f"{hashlib.sha256(b'a').hexdigest()}  a\n{hashlib.sha256(b'b').hexdigest()}  b\n"
    inventory = Inventory.of([entry("b"), entry("a")])
    assert inventory.content_id() == "sha256:" + hashlib.sha256(listing.encode()).hexdigest()


def test_the_same_path_twice_is_refused():
    with pytest.raises(ValueError, match="same path"):
        Inventory.of([entry("a"), entry("a", "other")])


def test_differences():
    old = Inventory.of([entry("a"), entry("b"), entry("c")])
    new = Inventory.of([entry("a"), entry("b", "changed"), entry("d"), entry("日本")])
    changes = differences(old, new)
    assert (changes.added, changes.removed, changes.changed) == (["d", "日本"], ["c"], ["b"])
    assert not differences(new, new)
    assert differences(Inventory.of([]), old).added == ["a", "b", "c"]
    assert differences(old, Inventory.of([])).removed == ["a", "b", "c"]


def test_splits_follow_the_manifests_patterns():
    paths = ["train/a.png", "train/deep/b.png", "test/c.png", "labels.csv", "trainer/x"]
    inventory = Inventory.of(map(entry, paths)).with_splits(
        {
            "train": ["data/train/**"],
            "test": ["data/test/*.png", "data/**/labels.csv"],
        }
    )
    assert {file.path: file.split for file in inventory.files} == {
        "train/a.png": "train",
        "train/deep/b.png": "train",
        "test/c.png": "test",
        "labels.csv": "test",
        "trainer/x": None,
    }
    assert Inventory.from_bytes(inventory.to_bytes(), what="it") == inventory


def test_two_splits_cannot_claim_one_file():
    with pytest.raises(UsageError, match="'data/a' belongs to more than one split: 'train' and 'test'"):
        Inventory.of([entry("a")]).with_splits({"train": ["data/*"], "test": ["data/a"]})


@pytest.mark.parametrize(
    "path", [".git/config", "../../x", "/etc/passwd", "a/../b", "x/.GIT/hooks/y", "a\nb"]
)
def test_a_path_that_could_do_harm_is_refused(path):
    hostile = Inventory.of([entry("fine"), entry(path)]).to_bytes()
    with pytest.raises(HostileRepository, match="the inventory of orders@v1 names"):
        Inventory.from_bytes(hostile, what="the inventory of orders@v1")


def test_damage_is_found_not_crashed_on():
    whole = Inventory.of(ROWS).to_bytes()
    for damaged in (
        b"",
        b"PAR1",
        whole[:-1],
        whole[: len(whole) // 2],
        whole[:40] + b"\xff" * 30 + whole[70:],
    ):
        with pytest.raises(InvalidFile, match="the inventory cannot be read"):
            Inventory.from_bytes(damaged, what="the inventory")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.take([1, 0, 2, 3]), "not sorted"),
        (lambda table: table.take([0, 0, 1, 2]), "not sorted"),
        (lambda table: table.drop(["sha256"]), "no column 'sha256'"),
        (lambda table: table.append_column("more", pa.array([1] * 4)), "columns are"),
        (lambda table: table.replace_schema_metadata({}), "no format"),
        (
            lambda table: table.set_column(1, "size_bytes", pa.array(["1"] * 4)),
            "'size_bytes' is string, not int64",
        ),
        (
            lambda table: table.set_column(1, SCHEMA.field("size_bytes"), pa.array([1, -1, 1, 1])),
            "negative size",
        ),
    ],
)
def test_what_is_not_an_inventory_is_refused_with_the_reason(change, message):
    with pytest.raises(InvalidFile, match=message):
        Inventory.from_bytes(parquet(change(Inventory.of(ROWS).table)), what="it")


def test_a_later_format_is_not_guessed_at():
    later = Inventory.of(ROWS).table.replace_schema_metadata({"format": "datakeep/inventory/2"})
    with pytest.raises(UnknownFormat, match="datakeep/inventory/2"):
        Inventory.from_bytes(parquet(later), what="it")


def test_a_plain_string_column_of_splits_is_read_too():
    """What other Parquet writers make of the dictionary."""
    table = Inventory.of(ROWS).table
    plain = table.set_column(4, "split", table.column("split").cast(pa.string()))
    assert Inventory.from_bytes(parquet(plain.replace_schema_metadata(SCHEMA.metadata)), what="it") == (
        Inventory.of(ROWS)
    )


def test_a_bomb_is_refused_unread():
    rows = 2_000_000
    table = pa.table(
        {
            "path": pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * 4000]),
            "size_bytes": pa.array([0] * rows, pa.int64()),
            "md5": pa.array([b"0" * 16] * rows, pa.binary(16)),
            "sha256": pa.array([b"0" * 32] * rows, pa.binary(32)),
            "split": pa.array([None] * rows, pa.string()),
        }
    )
    sink = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(SCHEMA.metadata), sink, compression="zstd", store_schema=False
    )
    assert len(sink.getvalue()) < rows  # it would unpack to 8 GB
    with pytest.raises((HostileRepository, InvalidFile)):
        Inventory.from_bytes(sink.getvalue(), what="it")
