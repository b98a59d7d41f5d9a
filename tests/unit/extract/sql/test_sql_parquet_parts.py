"""Rows become whole Parquet files, the same for the same rows, or nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakeep.core.errors import AccessDenied, AlreadyExists, NoSpace
from datakeep.core.progress import Silent
from datakeep.extract.sql import parquet_parts
from datakeep.extract.sql.faults import QueryFailed
from datakeep.extract.sql.parquet_parts import bloom_columns, write_parts

SCHEMA = pa.schema([("customer_id", pa.int64()), ("name", pa.string()), ("amount", pa.decimal128(12, 2)),
                    ("tags", pa.list_(pa.string()))])  # fmt: skip


def table_of(rows):
    numbers = range(rows)
    return pa.table(
        [
            [number * 7919 % 1_000_003 for number in numbers],
            [None if number % 10 == 3 else f"name {number % 977}" for number in numbers],
            pa.array([f"{number}.25" for number in numbers]).cast(pa.decimal128(12, 2)),
            [["a"] * (number % 3) for number in numbers],
        ],
        schema=SCHEMA,
    )


class Rows:
    """A result of given batches; raises ``error`` behind the last one."""

    columns = ()

    def __init__(self, batches, schema=SCHEMA, error=None):
        self.given, self.schema, self.error = batches, schema, error

    def batches(self):
        yield from self.given
        if self.error:
            raise self.error


def written(folder, batches, **options):
    folder.mkdir(exist_ok=True)
    return write_parts(Rows(batches), folder, progress=Silent(), **options)


@pytest.fixture(scope="module")
def table():
    return table_of(60_000)


def test_the_rows_are_read_back_as_they_were(tmp_path, table):
    parts = written(tmp_path, table.to_batches(7_000), part_bytes=60_000, row_group_rows=5_000)
    assert len(parts.files) > 2
    assert [file.name for file in parts.files][:2] == ["part-00001.parquet", "part-00002.parquet"]
    assert sorted(tmp_path.iterdir()) == list(parts.files)
    assert (parts.rows, parts.schema) == (60_000, SCHEMA)
    assert pa.concat_tables(pq.read_table(file) for file in parts.files).equals(table)
    for file in parts.files[:-1]:
        assert 60_000 <= file.stat().st_size < 150_000


def test_a_file_ends_before_its_bloom_filters_take_much_memory(tmp_path, table, monkeypatch):
    """Arrow holds them until the file is closed: 64 KiB hold four of the filters of 10,000 values, 16 KiB each."""
    monkeypatch.setattr(parquet_parts, "_BLOOM_BYTES", 64 << 10)

    def groups(name, columns, **options):
        shown = table.select(columns)
        (tmp_path / name).mkdir()
        rows = Rows(shown.to_batches(7_000), shown.schema)
        parts = write_parts(rows, tmp_path / name, progress=Silent(), row_group_rows=10_000, **options)
        assert pa.concat_tables(pq.read_table(file) for file in parts.files).equals(shown)
        return [pq.ParquetFile(file).metadata.num_row_groups for file in parts.files]

    assert groups("one", ["customer_id", "name"]) == [4, 2]
    assert groups("none", ["name", "amount"]) == [6]
    assert groups("more", ["customer_id", "name", "amount"], keys=["name", "amount"]) == [4, 2], (
        "at least so many"
    )
    monkeypatch.setattr(parquet_parts, "_BLOOM_BYTES", 160 << 10)
    assert groups("two", ["customer_id", "name"], keys=["name"]) == [5, 1]


def test_the_filters_are_as_large_as_the_memory_that_is_reckoned_with(tmp_path, table):
    parts = written(tmp_path, table.slice(0, 10_000).to_batches(), row_group_rows=10_000)
    column = pq.ParquetFile(parts.files[0]).metadata.row_group(0).column(0)
    assert parquet_parts._part_groups(parts.bloom, 10_000) == (16 << 20) // (16 << 10)
    assert 16 << 10 < column.bloom_filter_length < (16 << 10) + 64


@given(st.lists(st.integers(1, 20_000), max_size=8), st.sampled_from([1_000, 7_777, 100_000]))
@settings(max_examples=15, deadline=None)
def test_the_same_rows_give_the_same_bytes_however_they_come(tmp_path_factory, table, cuts, row_group_rows):
    folder = tmp_path_factory.mktemp("same")
    batches, start = [], 0
    for count in [*cuts, len(table)]:
        batches += table.slice(start, count).to_batches()
        start += count
    options = {"part_bytes": 100_000, "row_group_rows": row_group_rows}
    whole = written(folder / "whole", table.to_batches(), **options)
    cut = written(folder / "cut", batches, **options)
    assert [file.read_bytes() for file in cut.files] == [file.read_bytes() for file in whole.files]


def test_long_values_make_smaller_row_groups_that_do_not_depend_on_batches(tmp_path):
    schema = pa.schema([("picture", pa.binary())])
    values = [bytes([number]) * 3_000_000 for number in range(30)]
    for size in (1, 7, 30):
        batches = pa.table([values], schema=schema).to_batches(size)
        (tmp_path / str(size)).mkdir()
        write_parts(Rows(batches, schema), tmp_path / str(size), progress=Silent())
    files = [(tmp_path / str(size) / "part-00001.parquet") for size in (1, 7, 30)]
    assert len({file.read_bytes() for file in files}) == 1
    metadata = pq.ParquetFile(files[0]).metadata
    groups = [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)]
    assert sum(groups) == 30
    assert len(groups) > 1
    assert max(groups) * 3_000_000 < 64 << 20


def test_pages_are_indexed_summed_and_compressed_and_keys_have_bloom_filters(tmp_path, table):
    parts = written(tmp_path, table.to_batches(), keys=["name"])
    assert parts.bloom == ("customer_id", "name")
    file = parts.files[0]
    group = pq.ParquetFile(file).metadata.row_group(0)
    for at in range(group.num_columns):
        column = group.column(at)
        assert column.compression == "ZSTD"
        assert column.has_column_index
        assert column.has_offset_index
        assert column.is_stats_set
    # DuckDB is the judge: it finds a filter in the file, and it excludes a value that no row has.
    with duckdb.connect() as judge:
        probe = "SELECT bloom_filter_excludes FROM parquet_bloom_probe(?, ?, ?)"
        assert judge.execute(probe, [str(file), "customer_id", 123_456_789_012]).fetchall() == [(True,)]
        assert judge.execute(probe, [str(file), "customer_id", 7919]).fetchall() == [(False,)]
        assert judge.execute(probe, [str(file), "name", "nobody of this name"]).fetchall() == [(True,)]
        assert judge.execute("SELECT count(*) FROM read_parquet(?)", [str(file)]).fetchone() == (60_000,)


def test_a_flipped_bit_of_a_page_is_noticed(tmp_path, table):
    file = written(tmp_path, table.to_batches()).files[0]
    raw = bytearray(file.read_bytes())
    raw[5_000] ^= 0xFF
    file.write_bytes(raw)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(file, page_checksum_verification=True)


def test_columns_are_told_by_their_names():
    looked_up = [
        "customer_id",
        "orderId",
        "UUID",
        "sha256",
        "userID",
        "HTTPKey",
        "id",
        "ID2",
        "顧客id",
        "tail_md5",
    ]
    others = ["valid", "keyboard", "paid", "idx", "amount", "monkey", "identity", "identifier"]
    assert list(bloom_columns(looked_up + others)) == looked_up
    assert bloom_columns(["amount", "paid"], keys={"paid"}) == ("paid",)


def test_progress_is_told_in_rows(tmp_path, table):
    told = []
    progress = SimpleNamespace(
        stage=lambda name, *, total=None, unit: told.append((name, total, unit)),
        advance=lambda count, *, size_bytes: told.append((count, size_bytes > 0)),
    )
    write_parts(Rows(table.to_batches(20_000)), tmp_path, progress=progress)
    assert told == [("extracting rows", None, "rows"), *[(20_000, True)] * 3]


@pytest.mark.parametrize(
    "error", [QueryFailed("gone", next_step="again"), KeyboardInterrupt(), OSError(5, "Input/output error")]
)
def test_after_an_error_nothing_is_left(tmp_path, table, error):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        write_parts(
            Rows(table.to_batches(5_000), error=error),
            tmp_path,
            progress=Silent(),
            part_bytes=50_000,
            row_group_rows=5_000,
        )
    assert isinstance(caught.value, OSError) is False
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_parts_that_are_there_are_not_overwritten(tmp_path, table):
    written(tmp_path, table.to_batches())
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(AlreadyExists):
        written(tmp_path, table.slice(0, 5).to_batches())
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_folder_that_is_not_there_or_not_ones_own_is_said(tmp_path, table):
    with pytest.raises(Exception, match="cannot be written to") as caught:
        write_parts(Rows(table.to_batches()), tmp_path / "nope", progress=Silent())
    assert caught.value.next_step
    if os.geteuid():
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(AccessDenied):
            write_parts(Rows(table.to_batches()), tmp_path / "closed", progress=Silent())


# Runs in a process of its own: the limit ends with it.
LIMITED = """
import json, resource, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from test_sql_parquet_parts import table_of, written
from datakeep.core.errors import DatakeepError
table, folder = table_of(60_000), Path(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
try:
    written(folder, table.to_batches(5_000), row_group_rows=int(sys.argv[3]), part_bytes=100_000_000)
except DatakeepError as error:
    print(json.dumps([type(error).__name__, error.what, sorted(path.name for path in folder.iterdir())]))
"""


@pytest.mark.parametrize("row_group_rows", [5_000, 100_000])
def test_a_disk_that_gets_full_is_one_clear_error_and_nothing_is_left(tmp_path, row_group_rows):
    argv = [
        sys.executable,
        "-c",
        LIMITED,
        json.dumps([str(Path(__file__).parent)]),
        str(tmp_path),
        str(row_group_rows),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    kind, what, left = json.loads(done.stdout)
    assert kind == NoSpace.__name__
    assert f"{tmp_path} has no room" in what
    assert left == []
    assert done.stderr == ""


MEASURED = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from test_sql_parquet_parts import table_of, written
batches = table_of(20_000).to_batches()
for times in (20, 200):
    written(Path(sys.argv[2]) / str(times), batches * times)
    # The peak of this program alone: what getrusage says begins with the one that started it.
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_memory_does_not_grow_with_the_rows(tmp_path):
    argv = [sys.executable, "-c", MEASURED, json.dumps([str(Path(__file__).parent)]), str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    few, many = (int(line) / 1024 for line in done.stdout.split())
    assert many < 350
    # On a busy machine one row group more may wait to be written; all rows would be 150 MB more.
    assert many < 1.2 * few + 40
