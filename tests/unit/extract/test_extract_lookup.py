"""Rows by their values, in every format and type; DuckDB judges the Bloom filters; nothing unread is "none"."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import json
import lzma
import sys
import unicodedata
import uuid
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datakeep.core.conditions import parse_condition
from datakeep.core.errors import SourceMalformed
from datakeep.extract.bloom import BloomFilter, xxh64
from datakeep.extract.lookup import is_other_table, look_in_parts, look_through, way_of
from datakeep.extract.typed import CannotTell

ROWS = 4000
UTC = dt.UTC


def moment(n):
    return dt.datetime(2026, 1, 1) + dt.timedelta(hours=n)  # noqa: DTZ001  (of no zone)


COLUMNS = {
    "i8": pa.array([n % 100 for n in range(ROWS)], pa.int8()),
    "i64": pa.array([n * 7 - 9000 for n in range(ROWS)], pa.int64()),
    "u64": pa.array([2**63 + n for n in range(ROWS)], pa.uint64()),
    "f64": pa.array([n / 10 for n in range(ROWS)], pa.float64()),
    "f32": pa.array([n / 10 for n in range(ROWS)], pa.float32()),
    "dec": pa.array([Decimal(n) / 100 for n in range(ROWS)], pa.decimal128(9, 2)),
    "big": pa.array([Decimal(n) for n in range(ROWS)], pa.decimal128(38, 0)),
    "yes": pa.array([n % 3 == 0 for n in range(ROWS)], pa.bool_()),
    "text": pa.array([f"K{n:05d}" for n in range(ROWS)], pa.string()),
    "number_text": pa.array([str(n) for n in range(ROWS)], pa.string()),
    "word": pa.array([("北", "南", None)[n % 3] for n in range(ROWS)], pa.string()),
    "long": pa.array([f"L{n % 50}" for n in range(ROWS)], pa.large_string()),
    "long_raw": pa.array([f"L{n % 50}".encode() for n in range(ROWS)], pa.large_binary()),
    "viewed": pa.array([f"L{n % 50}" for n in range(ROWS)], pa.string_view()),
    "coded": pa.array([("a", "b")[n % 2] for n in range(ROWS)]).dictionary_encode(),
    "raw": pa.array([f"b{n}".encode() for n in range(ROWS)], pa.binary()),
    "uuid": pa.array([uuid.UUID(int=n << 64).bytes for n in range(ROWS)], pa.uuid()),
    "day": pa.array([dt.date(2020, 1, 1) + dt.timedelta(n) for n in range(ROWS)], pa.date32()),
    "at": pa.array([moment(n) for n in range(ROWS)], pa.timestamp("us")),
    "zoned": pa.array([moment(n).replace(tzinfo=UTC) for n in range(ROWS)], pa.timestamp("ms", "UTC")),
    "clock": pa.array([dt.time(n % 24, n % 60) for n in range(ROWS)], pa.time64("us")),
    "void": pa.nulls(ROWS),
    "list": pa.array([[n] for n in range(ROWS)]),
    "a.b": pa.array(range(ROWS)),
}
BLOOMED = ("i8", "i64", "u64", "f64", "f32", "dec", "big", "text", "raw", "uuid", "day", "at")


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    path = tmp_path_factory.mktemp("parquet") / "t.parquet"
    pq.write_table(
        pa.table(COLUMNS), path, row_group_size=500, write_page_checksum=True,
        bloom_filter_options={name: {"ndv": 500, "fpp": 0.01} for name in BLOOMED},
    )  # fmt: skip
    return path


def look(path, condition, shown=None):
    with path.open("rb") as file:
        return look_in_parts(shown or path.name, file, parse_condition(condition))


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("i8 = 5", 40), ("i8 = 300", 0), ("i8 = '5'", 40), ("i8 = 5.0", 40), ("i8 = 5.5", 0), ("i8 = 'x'", 0),
        ("i64 = -9000", 1), ("i64 = -8999", 0), ("i64 = 1e400", 0), ("u64 = 9223372036854775808", 1),
        ("u64 = -1", 0), ("f64 = 0.1", 1), ("f64 = 0", 1), ("f64 = -0.0", 1), ("f32 = 0.1", 1), ("f64 = 0.05", 0),
        ("dec = 0.1", 1), ("dec = 0.10", 1), ("dec = 0.105", 0), ("dec = '39.99'", 1), ("dec = 123456789", 0),
        ("big = 3999", 1), ("big = 4000", 0), ("yes = true", 1334), ("yes = 'false'", 2666),
        ("text = 'K00007'", 1), ("text = 'K7'", 0), ("text = 'k00007'", 0), ("number_text = 7", 1),
        ("number_text = 7.0", 0), ("word = '南'", 1333), ("word = ''", 0), ("coded = 'b'", 2000),
        ("long = 'L7'", 80), ("long_raw = 'L7'", 80), ("viewed = 'L7'", 80), ("viewed = 'L'", 0),
        ("raw = 'b17'", 1), ("uuid = '00000000-0000-0007-0000-000000000000'", 1),
        ("uuid = '{00000000000000070000000000000000}'", 1), ("uuid = '00000000-0000-0000-0000-000000000007'", 0),
        ("day = '2020-01-02'", 1), ("day = '2020-01-02T00:00'", 1), ("day = '2020-01-02T01:00'", 0),
        ("at = '2026-01-01T01:00:00'", 1), ("at = '2026-01-01 01:00'", 1), ("at = '2026-01-01'", 1),
        ("at = '2026-01-01T01:00:00.0000001'", 0), ("zoned = '2026-01-01T10:00:00+09:00'", 1),
        ("zoned = '2026-01-01T01:00:00Z'", 1), ("clock = '05:05'", 34), ("clock = '05:05:00.0'", 34),
        ("void = 1", 0), ('"a.b" = 3', 1), ("a.b = 3", 1),
        ("i8 IN (5, 6, 1000)", 80), ("i8 = 5 AND yes = true", 13), ("i8 = 5 AND coded = 'a'", 0),
        ("i64 IN (" + ", ".join(str(n) for n in range(-9000, -8000)) + ")", 143),
    ],
)  # fmt: skip
def test_every_type_has_the_rows_that_have_the_value_and_no_other(parquet, condition, rows):
    assert look(parquet, condition).rows == rows


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("list = 3", "lists or objects"), ("at = 3", "at: .* in quotes"), ("at = '12 h'", "2026-11-01T09:00:00"),
        ("yes = 1", "true and false"),
        ("i64 = '4,711'", "without separators"), ("day = '01.02.2020'", "'2026-11-01'"),
        ("at = '2026-01-01T01:00:00Z'", "may have none"), ("zoned = '2026-01-01T01:00:00'", "needs one"),
        ("day = '2020-01-02T00:00Z'", "no zone"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_no_no(parquet, condition, why):
    with pytest.raises(CannotTell, match=why):
        look(parquet, condition)


@pytest.mark.parametrize(
    ("condition", "type_name", "why"),
    [
        ("day = '2020-02-31'", "date32[day]", "no such day"), ("day = 'x'", "date32[day]", "'2026-11-01'"),
        ("at = '2026-01-01T25:00'", "timestamp[us]", "no such time"),
        ("clock = '24:00'", "time64[us]", "no such time"),
        ("i64 = 'x'", "int64", "the value is none"), ("f64 IN ('x', 'K1')", "double", "the value is none"),
        ("yes = 'x'", "bool", "neither"), ("uuid = 'x'", "uuid", "16 bytes"),
        ("i8 = 5 AND i64 = 'x'", "int64", "none"),
    ],
)  # fmt: skip
def test_a_value_that_no_column_of_the_type_can_hold_is_told_with_the_type(
    parquet, condition, type_name, why
):
    found = look(parquet, condition)
    assert found.rows == 0
    assert found.impossible[1] == type_name
    assert why in found.impossible[2]
    assert look(parquet, "i8 IN ('x', 5)").impossible is None


def test_how_a_value_was_taken_is_said_without_it(parquet):
    assert look(parquet, "i64 = '-9000'").remarks == ("i64: a text was taken for the number that it says",)
    assert look(parquet, "number_text = 77").remarks == (
        "number_text: it was compared with texts, as it was typed",
    )
    assert look(parquet, "i8 = 300").remarks == ("i8: no int8 is the value that was asked for",)
    assert look(parquet, "i8 = 3").remarks == ()


def test_a_file_without_the_column_is_told_apart_from_one_without_the_value(parquet):
    found = look(parquet, "i9 = 3 AND i8 = 3")
    assert (found.rows, found.lacking) == (0, ("i9",))
    assert "i8" in found.columns
    assert look(parquet, "i8 = 101").lacking == ()


def test_row_groups_are_read_only_where_neither_statistics_nor_bloom_filter_rule_the_value_out(parquet):
    groups = look(parquet, "i64 = -8999").groups  # within the first one's range, and not in it
    assert (groups.count, groups.by_statistics, groups.by_bloom, groups.read) == (8, 7, 1, 0)
    groups = look(parquet, "uuid = '00000000-0000-0007-0000-000000000000'").groups  # no statistics of these
    assert groups.by_statistics == 0
    assert groups.by_bloom >= 6
    assert groups.read >= 1
    assert look(parquet, "word = '南'").groups.read == 8


@pytest.mark.parametrize("name", BLOOMED)
def test_a_bloom_filter_never_denies_what_is_there(parquet, name):
    """Every value is sought for by itself; a filter that was misread would lose rows."""
    values = COLUMNS[name].to_pylist()
    for n in range(0, ROWS, 97):
        value = values[n]
        shown = value.decode() if isinstance(value, bytes) else str(value)
        quoted = shown if isinstance(value, int | float | Decimal) else f"'{shown}'"
        assert look(parquet, f"{name} = {quoted}").rows == values.count(value), (name, value)


@pytest.mark.parametrize("name", ["i64", "text"])
def test_a_bloom_filter_says_what_duckdbs_own_reader_of_it_says(parquet, name):
    metadata = pq.read_metadata(parquet)
    place = next(n for n in range(metadata.num_columns) if metadata.schema.column(n).path == name)
    excluded = 0
    with duckdb.connect() as judge, parquet.open("rb") as file:
        for n in range(0, 20_000, 131):
            sought = str(n) if name == "i64" else f"'K{n:05d}'"
            encoded = n.to_bytes(8, "little") if name == "i64" else f"K{n:05d}".encode()
            said = judge.execute(f"FROM parquet_bloom_probe('{parquet}', '{name}', {sought})").fetchall()
            offsets = [metadata.row_group(g).column(place).bloom_filter_offset for g in range(8)]
            ours = [BloomFilter(file, offset).excludes(encoded) for offset in offsets]
            assert [row[2] for row in said] == ours
            excluded += sum(ours)
    assert excluded > 500


def test_xxh64_is_the_published_one():
    """The values of the specification's own test vectors, of each length of input that is treated apart."""
    assert xxh64(b"") == 0xEF46DB3751D8E999
    assert xxh64(b"a") == 0xD24EC4F1A98C6E5B
    assert xxh64(b"abc") == 0x44BC2CF5AD770999
    assert xxh64(b"xxhash") == 0x32DD38952C4BC720
    assert xxh64(b"Nobody inspects the spammish repetition") == 0xFBCEA83C8A378BF1


@pytest.mark.parametrize(
    "junk", [b"", b"\x15", b"\x15\x80\x80\x80\x80\x80", b"\x15\x02\x1c" + bytes(40), bytes(64)]
)
def test_a_bloom_filter_that_is_not_understood_denies_nothing(tmp_path, junk):
    (tmp_path / "f").write_bytes(junk)
    with (tmp_path / "f").open("rb") as file:
        assert not BloomFilter(file, 0).excludes(b"x")


def test_what_is_cut_off_or_flipped_is_malformed_and_never_empty(parquet, tmp_path):
    data = parquet.read_bytes()
    metadata = pq.read_metadata(parquet)
    chunk = metadata.row_group(0).column(metadata.schema.names.index("text"))
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    flipped = bytearray(data)
    for at in range(start + 60, start + chunk.total_compressed_size, 97):
        flipped[at] ^= 0xFF
    for broken in (b"", data[:1000], data[:-9], data[: len(data) // 2] + data[-8:], bytes(flipped)):
        (tmp_path / "broken.parquet").write_bytes(broken)
        with pytest.raises(SourceMalformed, match=r"broken\.parquet"):
            look(tmp_path / "broken.parquet", "text = 'K00007'")


def test_a_long_text_that_stands_for_every_row_does_not_fill_the_memory(tmp_path):
    """Written out it would be a terabyte; the file has a few kilobytes of it."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 65_536, pa.int32()), pa.array(["x" * (16 << 20)]))
    path = tmp_path / "bomb.parquet"
    pq.write_table(
        pa.table({"t": texts}),
        path,
        dictionary_pagesize_limit=1 << 30,
        write_statistics=False,
        compression="zstd",
    )
    assert path.stat().st_size < 100_000
    before = pa.default_memory_pool().max_memory()
    assert look(path, "t = 'y'").rows == 0
    assert pa.default_memory_pool().max_memory() - before < 1 << 30


CSV = '番号,id,text\n1,4711,NA\n2,04711,\n3,4.711e3,x\n4, 4711.0 ,"a\nb"\n5,47110,TRUE\n6,-4711,東京\n'


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("id = 4711", 4), ("id = '4711'", 1), ("id = '04711'", 1), ("id = -4711", 1), ("id IN (4711, 47110)", 5),
        ("text = 'NA'", 1), ("text = ''", 1), ("text = 'a\nb'", 1), ("text = true", 1), ("text = '東京'", 1),
        ("番号 = 3 AND id = 4711", 1), ("番号 = 3 AND id = 4712", 0), ("id = 4711.5", 0), ("id = 0", 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.csv.bz2", "t.csv.zst", "t.tsv", "sjis.csv"])
def test_csv_is_compared_as_its_texts_stand(tmp_path, condition, rows, name):
    text = CSV.replace(",", "\t") if name == "t.tsv" else CSV
    data = text.encode("cp932" if name == "sjis.csv" else "utf-8")
    packed = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "zst": lambda data: pa.compress(data, "zstd", asbytes=True),
    }
    data = packed.get(name.rpartition(".")[2], lambda data: data)(data)
    (tmp_path / name).write_bytes(data)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = look_through(name, tmp_path / name, parse_condition(condition), scratch)
    assert found.rows == rows
    assert not list(scratch.iterdir())


SEPARATED = {
    "comma": ["3,5", "1.234,50", "1.234", "2"],
    "point": ["3.5", "1,234.50", "1,234", "2"],
    "open": ["1,234", "9", "1 000"],
    "both": ["3,5", "4.5", "1,234"],
    "words": ["2024.01.05", "10.0.0.1", "12,x", ",", "7"],
}


@pytest.mark.parametrize(
    ("name", "value", "rows"),
    [
        ("comma", "3.5", 1), ("comma", "1234.5", 1), ("comma", "1234", 1), ("comma", "1.234", 0), ("comma", "2", 1),
        ("comma", "35", 0), ("point", "3.5", 1), ("point", "1234.5", 1), ("point", "1234", 1), ("point", "1.234", 0),
        ("open", "1000", 1), ("open", "9", 1), ("open", "5", 0), ("open", "1234", None), ("open", "1.234", None),
        ("both", "3.5", 1), ("both", "4.5", 1), ("both", "1.234", None), ("words", "7", 1), ("words", "0", 0),
        ("words", "20240105", 0),
    ],
)  # fmt: skip
def test_numbers_with_separators_are_found_as_their_file_writes_them_or_it_cannot_be_told(
    tmp_path, name, value, rows
):
    (tmp_path / "t.csv").write_text("n;v\n" + "".join(f"1;{text}\n" for text in SEPARATED[name]))

    def found(condition):
        return look_through("t.csv", tmp_path / "t.csv", parse_condition(condition), tmp_path)

    if rows is None:
        with pytest.raises(CannotTell, match="two ways"):
            found(f"v = {value}")
    else:
        assert found(f"n = 1 AND v = {value}").rows == rows
        assert found(f"n = 2 AND v = {value}").rows == 0
        assert found(f"v IN ({value}, '7')").rows == rows + (name == "words" and value != "7")


LONG = "123456789012345678901234567890123456.75"
LONG_GROUPED = "123.456.789.012.345.678.901.234.567.890.123.456,75"


@pytest.mark.parametrize("digits", [LONG, "12345678901234567890123456789", "-0." + "0" * 9 + "1" * 29])
def test_every_digit_of_a_long_number_counts(tmp_path, digits):
    """A number that agrees in the first 28 digits, as many as Python's own context has, is another one."""
    other = digits[:-1] + str(int(digits[-1]) - 1)
    column = pa.array([Decimal(digits), Decimal(5)], pa.decimal256(76, 38))
    narrow = pa.array([Decimal(digits)], pa.decimal128(38, len(digits.partition(".")[2]))).take([0, 0])
    pq.write_table(
        pa.table({"wide": column, "narrow": narrow}),
        tmp_path / "t.parquet",
        bloom_filter_options={name: {"ndv": 9, "fpp": 0.01} for name in ("wide", "narrow")},
    )
    (tmp_path / "t.csv").write_text(f"v\n{digits}\n5\n")
    (tmp_path / "t.jsonl").write_text(f'{{"v": {digits}}}\n')
    for wanted, rows in (
        (digits, 1),
        (f"'{digits}'", 1),
        (f"{digits}000" if "." in digits else digits, 1),
        (other, 0),
    ):
        assert look(tmp_path / "t.parquet", f"wide = {wanted}").rows == rows
        assert look(tmp_path / "t.parquet", f"narrow = {wanted}").rows == 2 * rows
        for name in ("t.csv", "t.jsonl"):
            found = look_through(name, tmp_path / name, parse_condition(f"v = {wanted}"), tmp_path)
            assert found.rows == rows, name


def test_every_digit_of_a_long_number_with_separators_counts(tmp_path):
    (tmp_path / "t.csv").write_text(f"n;v\n1;{LONG_GROUPED}\n2;1,5\n")
    for value, rows in ((LONG, 1), (LONG[:-1] + "4", 0), (LONG[:30] + "000000.75", 0)):
        found = look_through("t.csv", tmp_path / "t.csv", parse_condition(f"v = {value}"), tmp_path)
        assert found.rows == rows


def test_numbers_and_zero_in_csv(tmp_path):
    (tmp_path / "t.csv").write_text("v\n0\n-0.0\n.0\n00\n0e5\n0.50\n.5\n5e-1\n1.0e2\n100\nx\n")
    for condition, rows in (("v = 0", 5), ("v = 0.5", 3), ("v = 100", 2), ("v = 'x'", 1), ("v = -1", 0)):
        assert look_through("t.csv", tmp_path / "t.csv", parse_condition(condition), tmp_path).rows == rows


JSON = [
    {"id": 4711, "t": "東京", "deep": {"id": 1}}, {"id": "4711"}, {"id": 4711.0, "t": None}, {"id": 0.1, "t": "a\"b"},
    {"t": "id"}, {"id": True, "t": "日本"}, {"id": 47110, "t": "x"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("id = 4711", 3), ("id = '4711'", 3), ("id = 0.1", 1), ("id = true", 1), ("id = 1", 0), ("t = '東京'", 1),
        ("t = 'a\"b'", 1), ("t = '日本'", 1), ("t = 'id'", 1), ("t = 'y'", 0), ("id = 4711 AND t = '東京'", 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("escaped", [True, False])
def test_json_lines_are_compared_by_the_types_of_json(tmp_path, condition, rows, escaped):
    lines = "".join(json.dumps(one, ensure_ascii=escaped) + "\n" for one in JSON)
    (tmp_path / "t.jsonl").write_text(lines, "utf-8")
    assert look_through("t.jsonl", tmp_path / "t.jsonl", parse_condition(condition), tmp_path).rows == rows


def test_an_empty_text_has_nothing_in_it(tmp_path):
    for name in ("t.csv", "t.jsonl"):
        (tmp_path / name).touch()
        found = look_through(name, tmp_path / name, parse_condition("id = 4711"), tmp_path)
        assert (found.rows, found.lacking) == (0, ("id",))


def test_json_lines_without_the_column_with_lists_and_that_are_none(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": {"id": 4711}}\n{"b": "id"}\n')
    assert look_through("t.jsonl", path, parse_condition("id = 4711"), tmp_path).lacking == ("id",)
    path.write_text('{"id": 1}\n{"id": [4711]}\n')
    with pytest.raises(CannotTell, match="lists or objects"):
        look_through("t.jsonl", path, parse_condition("id = 4711"), tmp_path)
    path.write_text('{"id": 1}\n{"id": 4711,\n')
    with pytest.raises(SourceMalformed, match="line 2"):
        look_through("t.jsonl", path, parse_condition("id = 4711"), tmp_path)


def test_a_text_that_unpacks_without_end_is_refused_and_leaves_nothing(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "t.csv.zst").write_bytes(pa.compress(b"a,b\n" + b"0,0\n" * 20_000_000, "zstd", asbytes=True))
    with pytest.raises(SourceMalformed, match="unpacks to more than"):
        look_through("t.csv.zst", tmp_path / "t.csv.zst", parse_condition("a = 1"), scratch)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(CSV.encode() * 100)[:-20])
    with pytest.raises(SourceMalformed, match=r"cut\.csv\.gz"):
        look_through("cut.csv.gz", tmp_path / "cut.csv.gz", parse_condition("id = 4711"), scratch)
    assert not list(scratch.iterdir())


def test_how_a_file_is_looked_through_is_told_by_its_name():
    assert {way_of(name) for name in ("a.parquet", "b/c.PQ")} == {"parts"}
    names = ("a.csv", "a.tsv.gz", "x.jsonl", "x.ndjson.zst", "a.csv.xz", "a.json")
    assert {way_of(name) for name in names} == {"whole"}
    tables = ("a.parquet.gz", "a.xlsx", "a.csv.zip", "A.ORC", "a.xls.gz", "a.json.7z")
    others = ("a", "a.txt", "a.png", "a.zip", "a.txt.gz", "csv.zip")
    assert {way_of(name) for name in (*tables, *others)} == {None}
    assert [name for name in (*tables, *others) if is_other_table(name)] == list(tables)


def through(folder, name, data, condition):
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return look_through(name, folder / name, parse_condition(condition), folder)


def test_moments_of_int96_are_found_in_any_year_and_to_the_nanosecond_in_those_that_have_them(tmp_path):
    """Spark writes moments so, and 9999-12-31 for what has no end: Arrow's nanoseconds make another year of that."""
    path = tmp_path / "t.parquet"
    far = dt.datetime(9999, 12, 31)  # noqa: DTZ001  (of no zone)
    table = pa.table({
        "far": pa.array([far, moment(0), None], pa.timestamp("us")),
        "near": pa.array([1, 2_000_000_001, None], pa.timestamp("ns")),
        "n": [1, 2, 3],
    })  # fmt: skip
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)
    for condition, rows in (
        ("far = '9999-12-31'", 1),
        ("far = '2026-01-01'", 1),
        ("far IN ('2026-01-01', '9999-12-31')", 2),
        ("far = '9999-12-30'", 0),
        ("far = '9999-12-31' AND n = 1", 1),
        ("near = '1970-01-01T00:00:02.000000001'", 1),
        ("near = '1970-01-01T00:00:02'", 0),
    ):
        assert look(path, condition).rows == rows, condition


def test_numbers_of_half_precision_are_compared_and_none_is_infinite_because_it_is_too_large(tmp_path):
    path = tmp_path / "t.parquet"
    endless = [0.1, 2.0, float("inf")]
    pq.write_table(pa.table({kind: pa.array(endless, getattr(pa, kind)()) for kind in FLOATS}), path)
    for kind in FLOATS:
        assert look(path, f"{kind} = 0.1").rows == look(path, f"{kind} = 2").rows == 1
        assert look(path, f"{kind} IN (0.1, 2)").rows == 2
        assert look(path, f"{kind} = 1e400").rows == 0


FLOATS = ("float16", "float32", "float64")


def test_what_may_lie_within_an_object_is_not_searched(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"user": [{"id": 5}], "plain": [1]}), path)
    with pytest.raises(CannotTell, match=r"user\.id: the column user holds"):
        look(path, "user.id = 5")
    assert look(path, "plain.id = 5").lacking == ("plain.id",)
    with pytest.raises(CannotTell, match=r"user\.id: user holds"):
        through(tmp_path, "t.jsonl", '{"a": 1}\n{"user": {"id": 5}}\n', "user.id = 5")
    assert through(tmp_path, "t.jsonl", '{"a": 1}\n{"user.id": 5}\n', "user.id = 5").rows == 1


def test_a_column_with_other_capitals_is_meant_too_which_is_said(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"CUSTOMER_ID": [1, 2], "a": [1, 1], "A": [2, 2]}), path)
    said = ("the column 'CUSTOMER_ID' was taken for customer_id",)
    found = look(path, "customer_id = 1 AND a = 1")
    assert (found.rows, found.remarks) == (1, said)
    for name, data in (
        ("t.csv", "x, CUSTOMER_ID\n0,1\n"),
        ("t.jsonl", '{"x": 0}\n{"CUSTOMER_ID": 1}\n'),
        ("t.json", '[{"x": 0}, {"CUSTOMER_ID": 1}]'),
    ):
        found = through(tmp_path, name, data, "customer_id = 1")
        assert found.rows == 1, name
        assert "CUSTOMER_ID' was taken for customer_id" in found.remarks[0]
    with pytest.raises(CannotTell, match="more than one of its columns can be meant: B, b"):
        through(tmp_path, "t.csv", "B,b\n1,2\n", '"B " = 1')


@pytest.mark.parametrize("typed", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_a_text_is_the_same_in_each_form_of_unicode(tmp_path, typed, written):
    name, column = unicodedata.normalize(written, "José"), unicodedata.normalize(written, "größe")
    condition = unicodedata.normalize(typed, "größe = 'José'")
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({column: [name, "x"]}), path, bloom_filter_options={column: {"ndv": 2}})
    assert look(path, condition).rows == 1
    assert through(tmp_path, "t.csv", f"{column}\n{name}\n", condition).rows == 1
    lines = json.dumps({column: name}, ensure_ascii=False)
    assert through(tmp_path, "t.jsonl", lines, condition).rows == 1


@pytest.mark.parametrize(
    ("header", "separator"),
    [
        ('id,"grade (A; B; C; D)"', ","), ('"id","na;m;e"', ","), ('"id";"a,b,c"', ";"), ('"id","size 5"""', ","),
        ('"id",";\n;""|;"', ","), ("id;name", ";"), ('id,5"', ","), ('5"\tid', "\t"),
    ],
)  # fmt: skip
def test_what_stands_in_quotation_marks_separates_no_columns(tmp_path, header, separator):
    rows = f"4711{separator}4711\n"
    assert through(tmp_path, "t.csv", f"{header}\n{rows}", "id = 4711").rows == 1


@pytest.mark.parametrize(
    ("document", "rows"),
    [
        ('[{"id": 4711}, {"id": "4711"}, {"id": 1}]', 2),
        ('{"rows": [{"id": 4711, "x": [1]}], "more": {"a": {"id": 4711.0}}}', 2),
        ('{"id": 4711}\n{"id": 4711}\n', 2),
        ('{\n "id": 4711\n}', 1),
        ("[]", 0),
    ],
)
def test_every_object_of_a_json_document_is_a_row(tmp_path, document, rows):
    assert through(tmp_path, "t.json", document, "id = 4711").rows == rows


def test_json_that_is_none_or_holds_lists_is_no_no(tmp_path):
    with pytest.raises(SourceMalformed):
        through(tmp_path, "t.json", '[{"id": 4711}', "id = 4711")
    with pytest.raises(CannotTell, match="lists or objects"):
        through(tmp_path, "t.json", '[{"id": [4711]}]', "id = 4711")
    assert through(tmp_path, "t.json", '[{"x": 1}]', "id = 4711").lacking == ("id",)


def test_xz_is_unpacked_and_one_that_was_cut_off_is_malformed(tmp_path):
    packed = lzma.compress(b"id\n4711\n" * 100)
    assert through(tmp_path, "t.csv.xz", packed, "id = 4711").rows == 100
    for broken in (packed[:-9], b"no xz"):
        with pytest.raises(SourceMalformed, match=r"t\.csv\.xz cannot be unpacked"):
            through(tmp_path, "t.csv.xz", broken, "id = 4711")


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ("n = 1.5", 3), ("n = '1.50'", 3), ("n = 15e-1", 3), ("n = 2", 1), ("n = 'NaN'", 1), ("n IN (1.5, 2)", 4),
        ("n = 3", 0),
    ],
)  # fmt: skip
def test_texts_that_are_a_databases_numbers_are_compared_as_such(tmp_path, asked, rows):
    texts = ["1.5", "1.50", "01.500", "2.000", "NaN", None, "1.5000000000000000000000000000000000001"]
    pq.write_table(pa.table({"n": texts}), tmp_path / "t.parquet", bloom_filter_options={"n": True})
    with (tmp_path / "t.parquet").open("rb") as file:
        condition = parse_condition(asked)
        assert look_in_parts("t.parquet", file, condition.of_numbers({"n"})).rows == rows
        if rows:
            assert (
                look_in_parts("t.parquet", file, condition.of_numbers({"other"})).rows < rows
                or "NaN" in asked
            )


def test_a_python_without_xz_searches_all_else(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lzma", None)  # as where Python was built without it
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"id\n4711\n"))
    assert look_through("t.csv.gz", tmp_path / "t.csv.gz", parse_condition("id = 4711"), tmp_path).rows == 1
