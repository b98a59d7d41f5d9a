"""A column in which all values differ is written without a dictionary: smaller, and read back the same by others."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakeep.core.progress import Silent
from datakeep.extract.sql.parquet_parts import write_parts

ROWS = 20_000
DELTA, DICTIONARY = "DELTA_BINARY_PACKED", "RLE_DICTIONARY"


class Rows:
    """A result of one table."""

    columns = ()

    def __init__(self, table):
        self.table, self.schema = table, table.schema

    def batches(self):
        yield from self.table.to_batches(3_000)


def written(table, folder):
    return write_parts(Rows(table), folder, progress=Silent()).files[0]


def encodings(file):
    group = pq.read_metadata(file).row_group(0)
    return {
        group.column(at).path_in_schema: set(group.column(at).encodings) for at in range(group.num_columns)
    }


def shuffled(values):
    values = list(values)
    random.Random(1).shuffle(values)
    return values


NUMBERS = shuffled(range(-10_000, 10_000))
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
STORED_AS_INTEGERS = {
    "id": pa.array(range(ROWS), pa.int64()),
    "random": pa.array([random.Random(one).getrandbits(64) - (1 << 63) for one in range(ROWS)], pa.int64()),
    "unsigned": pa.array([random.Random(one).getrandbits(64) for one in range(ROWS)], pa.uint64()),
    "short": pa.array(NUMBERS, pa.int16()),
    "at": pa.array([START + dt.timedelta(seconds=one) for one in NUMBERS], pa.timestamp("us", "UTC")),
    "seconds": pa.array(NUMBERS, pa.timestamp("s")),
    "day": pa.array(NUMBERS, pa.date32()),
    "time": pa.array(range(ROWS), pa.time64("us")),
    "took": pa.array(NUMBERS, pa.duration("ns")),
}
STORED_AS_IS = {
    "uuid": pa.array([str(uuid.UUID(int=one * 7919)) for one in range(ROWS)]),
    "large": pa.array([f"text {one}" for one in NUMBERS], pa.large_string()),
    "bytes": pa.array([one.to_bytes(8, "big", signed=True) for one in NUMBERS], pa.binary()),
    "score": pa.array([one / 7 for one in NUMBERS], pa.float64()),
    "price": pa.array([Decimal(one) / 100 for one in NUMBERS], pa.decimal128(12, 2)),
    "wide": pa.array([Decimal(one) / 100 for one in NUMBERS], pa.decimal256(60, 2)),
}
REPEATED = {
    "carrier": pa.array([f"carrier {one % 16}" for one in range(ROWS)]),
    "half": pa.array([one % (ROWS // 2) for one in range(ROWS)], pa.int64()),
    "late": pa.array([one % 2 == 0 for one in range(ROWS)]),
    "none": pa.nulls(ROWS, pa.int64()),
    "tags": pa.array([[f"tag {one}"] for one in range(ROWS)], pa.list_(pa.string())),
    "place": pa.array([{"x": one} for one in range(ROWS)], pa.struct([("x", pa.int64())])),
}


@pytest.fixture(scope="module")
def table():
    return pa.table({**STORED_AS_INTEGERS, **STORED_AS_IS, **REPEATED})


@pytest.fixture(scope="module")
def file(table, tmp_path_factory):
    return written(table, tmp_path_factory.mktemp("all"))


@pytest.mark.parametrize("name", STORED_AS_INTEGERS)
def test_integers_that_all_differ_are_differences(file, name):
    found = encodings(file)[name]
    assert DELTA in found
    assert DICTIONARY not in found


@pytest.mark.parametrize("name", STORED_AS_IS)
def test_what_else_all_differs_is_plain(file, name):
    found = encodings(file)[name]
    assert "PLAIN" in found
    assert DICTIONARY not in found


@pytest.mark.parametrize("name", ["carrier", "half", "tags.list.element", "place.x"])
def test_all_else_has_its_dictionary(file, name):
    assert DICTIONARY in encodings(file)[name]


def test_the_values_are_read_back_by_arrow_and_by_duckdb(file, table):
    assert pq.read_table(file).cast(table.schema).equals(table)
    with duckdb.connect() as other:
        for name in (
            "id",
            "random",
            "unsigned",
            "short",
            "uuid",
            "large",
            "score",
            "price",
            "half",
            "day",
            "at",
        ):
            read = other.sql(f"SELECT \"{name}\" FROM '{file}'").to_arrow_table().column(0)
            assert read.cast(table.schema.field(name).type).equals(table.column(name)), name


def test_a_key_takes_less_than_with_a_dictionary(tmp_path):
    table = pa.table({"number": pa.array(range(200_000), pa.int64())})  # one without a Bloom filter
    pq.write_table(table, tmp_path / "usual.parquet", compression="zstd")
    assert written(table, tmp_path).stat().st_size < (tmp_path / "usual.parquet").stat().st_size / 3


@pytest.mark.parametrize("rows", [0, 1, 1_023])
def test_of_few_rows_nothing_is_said(tmp_path, rows):
    file = written(pa.table({"id": pa.array(range(rows), pa.int64())}), tmp_path)
    assert DELTA not in (encodings(file)["id"] if rows else ())
    assert pq.read_table(file).num_rows == rows


def test_names_with_dots_and_of_columns_within_others(tmp_path):
    inner = pa.struct([("id", pa.int64())])
    table = pa.table(
        {
            "a.b": pa.array(range(2_000), pa.int64()),
            "a": pa.array([{"id": one % 3} for one in range(2_000)], inner),
            "zwölf \n": pa.array(range(2_000), pa.int32()),
        }
    )
    file = written(table, tmp_path)
    assert pq.read_table(file).equals(table)
    assert [DELTA in found for found in encodings(file).values()] == [True, False, True]
    assert DICTIONARY in encodings(file)["a.id"]


def test_half_of_the_values_may_be_missing_and_few_may_repeat(tmp_path):
    values = [None if one % 2 else one for one in range(20_000)]
    values[2:8:2] = [0, 0, 0]
    table = pa.table({"id": pa.array(values, pa.int64())})
    file = written(table, tmp_path)
    assert DELTA in encodings(file)["id"]
    assert pq.read_table(file).equals(table)


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_any_integers_are_read_back(tmp_path_factory, extremes, chance):
    values = list({*extremes, *range(1_300)})
    chance.shuffle(values)
    table = pa.table({"id": pa.array(values, pa.int64())})
    file = written(table, tmp_path_factory.mktemp("any"))
    assert DELTA in encodings(file)["id"]
    assert pq.read_table(file).equals(table)
    assert duckdb.sql(f"SELECT id FROM '{file}'").to_arrow_table().column(0).equals(table.column(0))
