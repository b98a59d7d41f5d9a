"""The profile of tables: exact where it says so, near where it says so, and the same every time."""

from __future__ import annotations

import json
import math
import random
import tracemalloc
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakeep.core.decimals import shifted
from datakeep.core.errors import SourceMalformed
from datakeep.core.progress import Silent
from datakeep.extract import csv_file, jsonlines_file, parquet_file, tally
from datakeep.extract import profile as profile_module
from datakeep.extract.describe import describe
from datakeep.extract.frequent import Frequent
from datakeep.extract.profile import profile
from datakeep.extract.sketches import Distinct, RowSample, different, exact_sum, hashes
from datakeep.formats.manifest import Column

if TYPE_CHECKING:
    from datakeep.formats.profile import ColumnProfile, Profile

PENGUINS = Path(__file__).parents[3] / "datakeep/samples/penguins/penguins.csv"


def look(*files: Path, time: str | None = None) -> Profile:
    pairs = [(file.name, file) for file in files]
    seen = describe(pairs, progress=Silent())
    members = [pair for pair in pairs if pair[0] in seen.tables]
    found = profile(members, seen.columns, progress=Silent(), time=time)
    assert found is not None
    assert type(found).read(found.dump(), what="it") == found
    return found


def of(folder: Path, arrow_type: pa.DataType, values: list[Any]) -> ColumnProfile:
    """The figures of one Parquet column."""
    pq.write_table(pa.table({"v": pa.array(values, arrow_type)}), folder / "v.parquet")
    return look(folder / "v.parquet").columns[0]


def test_penguins_against_what_is_known_of_them() -> None:
    found = look(PENGUINS)
    columns = {column.name: column for column in found.columns}
    assert (found.rows, found.files, found.time) == (344, 1, None)
    assert [(one.value, one.rows) for one in columns["species"].top] == [
        ("Adelie", 152), ("Gentoo", 124), ("Chinstrap", 68),
    ]  # fmt: skip
    assert (columns["sex"].nulls, columns["sex"].longest, columns["sex"].max) == (11, 6, "male")
    bill = columns["bill_length_mm"]
    assert (bill.min, bill.max, bill.mean, bill.distinct) == ("32.1", "59.6", "43.9219298245614", 164)
    assert bill.quantiles["0.5"] == "44.4"
    assert sum(bill.histogram) == 342
    assert not any(column.approximate for column in found.columns)


def test_an_estimate_of_different_values_is_never_more_than_there_are(tmp_path: Path) -> None:
    found = of(tmp_path, pa.int64(), [*range(60_000), None])  # whose hashes look like 60,921 values
    assert (found.distinct, found.approximate[0]) == (60_000, "distinct")


NUMBERS = st.one_of(st.none(), st.floats(width=64), st.integers(-5, 5).map(float))


@settings(max_examples=40, deadline=None)
@given(st.lists(NUMBERS, max_size=60))
def test_figures_of_few_floats_are_those_of_plain_python(
    tmp_path_factory: pytest.TempPathFactory, values: list[float | None]
) -> None:
    found = of(tmp_path_factory.mktemp("v"), pa.float64(), values)
    present = [value for value in values if value is not None]
    finite = sorted(value + 0.0 for value in present if math.isfinite(value))
    assert found.nulls == values.count(None)
    assert found.nan == sum(map(math.isnan, present))
    assert found.infinite == sum(map(math.isinf, present))
    assert found.distinct == len(set(finite))
    if not finite:
        assert (found.min, found.mean, found.quantiles) == (None, None, {})
        return
    assert (float(found.min or ""), float(found.max or "")) == (finite[0], finite[-1])
    exact = sum(map(Fraction, finite)) / len(finite)
    assert abs(Fraction(found.mean or "") - exact) <= abs(exact) / 10**14
    for share, value in found.quantiles.items():
        assert float(value) == finite[math.ceil(Fraction(share) * len(finite)) - 1]
    assert sum(found.histogram) == len(finite)
    for one in found.top:
        assert one.rows == finite.count(float(one.value))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_mean_is_never_outside_of_its_range(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    """As the texts say it: a person, or a machine with decimals, compares those."""
    arrow_type, one = data.draw(
        st.sampled_from(
            [
                (pa.float32(), st.floats(width=32, allow_nan=False, allow_infinity=False)),
                (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
                (pa.uint64(), st.integers(0, 2**64 - 1)),
                (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
                (pa.decimal256(60, 20), st.decimals(-(10**39), 10**39, places=20)),
            ]
        )
    )
    few = data.draw(st.lists(one, min_size=1, max_size=3))
    found = of(tmp_path_factory.mktemp("v"), arrow_type, few * data.draw(st.integers(1, 4)))
    assert Decimal(found.min or "") <= Decimal(found.mean or "") <= Decimal(found.max or "")


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-20, 1.0, 1e300, 7e306])
def test_the_bars_of_floats_of_any_size_are_equal_steps(tmp_path: Path, scale: float) -> None:
    found = of(tmp_path, pa.float64(), [scale * step for step in (0, *range(1, 24, 2), 24)])
    assert found.histogram == [2, *[1] * 10, 2]


@pytest.mark.parametrize(
    ("arrow_type", "values", "expected"),
    [
        (pa.float32(), [0.1, 0.1], {"min": "0.1", "mean": "0.1", "max": "0.1"}),
        (pa.float32(), [0.1, 0.3], {"mean": "0.200000006705523"}),
        (pa.float64(), [1e38, 3e38], {"min": "1e+38", "mean": "2e+38", "max": "3e+38"}),
        (pa.float64(), [-1e-5, -2e-5], {"min": "-2e-05", "mean": "-1.5e-05", "max": "-1e-05"}),
        (pa.float64(), [1e15, 2e15], {"mean": "1500000000000000"}),
        (pa.float64(), [0.0, 0.0], {"mean": "0"}),
        (pa.uint64(), [2**64 - 1, 2**64 - 2], {"max": str(2**64 - 1), "mean": f"{2**64 - 2}.5"}),
        (pa.int64(), [-(2**63), -(2**63) + 1, -(2**63) + 1], {"mean": "-9223372036854775807.33"}),
        (pa.int8(), [-128, -128, 127], {"min": "-128", "mean": "-43"}),
        (pa.decimal128(38, 2), [Decimal("9" * 36 + ".99")] * 3, {"max": "9" * 36 + ".99", "mean": "9" * 36 + ".99"}),
        (pa.decimal256(70, 3), [Decimal("-1.500"), Decimal("2.500")], {"min": "-1.500", "mean": "0.5"}),
        (pa.date32(), [date(2026, 11, 1), None], {"min": "2026-11-01", "nulls": 1}),
        (pa.date64(), [date(1, 1, 1)], {"min": "0001-01-01"}),
        (pa.time64("us"), [time(9, 30, 0, 500)], {"max": "09:30:00.0005"}),
        (pa.duration("ms"), [timedelta(seconds=1.5)], {"max": "1.5 s"}),
        (pa.timestamp("ns"), [1], {"min": "1970-01-01T00:00:00.000000001"}),
        (pa.timestamp("s"), [253_402_300_800], {"min": "10000-01-01T00:00:00"}),
        (
            pa.timestamp("us", "Asia/Tokyo"),
            [datetime(2026, 11, 1, 9, tzinfo=timezone(timedelta(hours=9)))],
            {"min": "2026-11-01T00:00:00Z"},
        ),
        (pa.bool_(), [True, True, None], {"distinct": 1, "min": None}),
        (pa.binary(), [b"\xff\x00", b"", b""], {"distinct": 2, "longest": 2, "top": [], "min": None}),
        (pa.null(), [None, None], {"nulls": 2, "distinct": None}),
        (pa.list_(pa.int64()), [[1], None], {"nulls": 1, "distinct": None}),
        (pa.struct([("a", pa.int8())]), [{"a": 1}], {"nulls": 0, "distinct": None}),
        (pa.dictionary(pa.int8(), pa.string()), ["a", "b", "a"], {"distinct": 2, "max": "b"}),
        (pa.string(), [], {"nulls": 0, "distinct": 0, "longest": None}),
        (pa.int64(), [], {"min": None, "mean": None, "quantiles": {}}),
    ],
)  # fmt: skip
def test_every_type_has_figures_that_are_exact(
    tmp_path: Path, arrow_type: pa.DataType, values: list[Any], expected: dict[str, Any]
) -> None:
    found = of(tmp_path, arrow_type, values)
    assert {name: getattr(found, name) for name in expected} == expected
    assert not found.approximate


def test_long_texts_are_cut_and_still_told_apart(tmp_path: Path) -> None:
    start = "表" * 5_000
    found = of(tmp_path, pa.string(), [start + "a", start + "b", start + "a", "", None])
    assert (found.distinct, found.longest, found.min, found.nulls) == (3, 5_001, "", 1)
    assert found.top[0].value == "表" * 80 + "…"
    assert found.top[0].rows == 2
    assert max(len(one.value) for one in found.top) == 81


def test_text_that_is_not_utf8_is_counted(tmp_path: Path) -> None:
    raw = b"\xff\xfea"
    array = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(raw)]
    )
    pq.write_table(pa.table({"v": array}), tmp_path / "v.parquet")
    assert look(tmp_path / "v.parquet").columns[0].distinct == 2


def write_large(folder: Path, rows: int, row_group_size: int = 50_000) -> Path:
    numbers = random.Random(4)
    table = pa.table(
        {
            "unique": pa.array(range(rows)),
            "text": pa.array([f"name {n}" for n in range(rows)]),
            "skewed": pa.array([int(numbers.expovariate(0.001)) for _ in range(rows)]),
            "frequent": pa.array([n if n % 3 else -7 for n in range(rows)]),
        }
    )
    path = folder / f"large-{row_group_size}.parquet"
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def test_above_its_size_a_figure_is_near_and_says_so(tmp_path: Path) -> None:
    rows = 150_000
    found = look(write_large(tmp_path, rows))
    columns = {column.name: column for column in found.columns}
    for name in ("unique", "text"):
        assert "distinct" in columns[name].approximate
        assert abs((columns[name].distinct or 0) - rows) < 0.06 * rows
        assert columns[name].top == []
    unique = columns["unique"]
    assert {"quantiles", "histogram"} < set(unique.approximate)
    for share, value in unique.quantiles.items():
        assert abs(int(value) - float(share) * rows) < 0.02 * rows
    assert (unique.min, unique.max, unique.mean) == ("0", str(rows - 1), str(Decimal(rows - 1) / 2))
    assert columns["skewed"].approximate == []  # its values are many, those that differ are few
    assert columns["frequent"].top[0].value == "-7"
    assert 0.9 * rows / 3 < columns["frequent"].top[0].rows <= rows / 3
    assert "top" in columns["frequent"].approximate


def test_the_same_rows_have_the_same_profile_however_they_are_grouped(tmp_path: Path) -> None:
    first = look(write_large(tmp_path, 120_000))
    assert look(write_large(tmp_path, 120_000)).dump() == first.dump()
    other = look(write_large(tmp_path, 120_000, row_group_size=7_001))
    for one, two in zip(first.columns, other.columns, strict=True):
        assert one.model_copy(update={"top": []}) == two.model_copy(update={"top": []})


def test_memory_and_batches_do_not_grow_with_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "HELD_VALUES", 2_000)
    monkeypatch.setattr(tally, "MOST_SAMPLED", 4_096)
    monkeypatch.setattr(profile_module, "BATCH_ROWS", 5_000)
    taken: list[int] = []
    add = tally.Tally.add
    monkeypatch.setattr(
        tally.Tally, "add", lambda self, batch: (taken.append(len(batch)), add(self, batch))[1]
    )
    peaks = []
    for rows in (140_000, 420_000):  # each more than the batches that are held at once
        path = write_large(tmp_path, rows)
        seen = describe([(path.name, path)], progress=Silent())
        profile([(path.name, path)], seen.columns, progress=Silent())
        tracemalloc.start()
        profile([(path.name, path)], seen.columns, progress=Silent())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(taken) <= 5_000
    assert sum(taken) == 2 * (140_000 + 420_000)
    assert peaks[1] < 1.5 * peaks[0]


def test_each_file_is_opened_and_each_row_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("a\n3\n")
    (tmp_path / "c.jsonl").write_text('{"a": 4}\n')
    opened: list[str] = []
    for reader in (csv_file.CsvReader, parquet_file.ParquetReader, jsonlines_file.JsonLinesReader):
        real = reader.batches

        def counting(self: Any, shown: str, file: Path, text: Any, real: Any = real) -> Any:
            opened.append(shown)
            return real(self, shown, file, text)

        monkeypatch.setattr(reader, "batches", counting)
    found = look(*sorted(tmp_path.iterdir()))
    assert (found.rows, found.files, found.columns[0].mean) == (4, 3, "2.5")
    assert opened == ["a.parquet", "b.csv", "c.jsonl"]


def test_a_thousand_columns(tmp_path: Path) -> None:
    table = pa.table({f"c{n}": pa.array([n, None, n + 1]) for n in range(1_000)})
    pq.write_table(table, tmp_path / "wide.parquet")
    found = look(tmp_path / "wide.parquet")
    assert len(found.columns) == 1_000
    assert (found.columns[-1].mean, found.columns[-1].nulls) == ("999.5", 1)
    assert len(found.dump().splitlines()) == 1_000 + 7


def test_encodings_and_text_files_are_read_as_what_they_are(tmp_path: Path) -> None:
    text = "日,名,額\n2026-11-01,甲,1\n2026-11-02,乙,\n"
    for encoding in ("cp932", "utf-16", "euc_jp"):
        file = tmp_path / f"{encoding}.csv"
        file.write_text(text, encoding)
        found = look(file)
        assert [column.name for column in found.columns] == ["日", "名", "額"]
        assert [one.value for one in found.columns[1].top] == []
        assert (found.columns[1].max, found.columns[2].nulls) == ("甲", 1)
        assert found.time is not None
        assert found.time.rows == {"2026-11-01": 1, "2026-11-02": 1}
    (tmp_path / "z.jsonl").write_text('{"a": "2026-11-01", "b": 1}\n{"a": "x"}\n', "utf-8")
    found = look(tmp_path / "z.jsonl")
    assert [(one.name, one.nulls, one.min) for one in found.columns] == [
        ("a", 0, "2026-11-01"),
        ("b", 1, "1"),
    ]


def test_values_of_a_large_csv_that_are_not_of_its_type_are_counted_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "HELD_BYTES", 1_000)
    monkeypatch.setattr(csv_file, "_BLOCK_BYTES", 1_000)
    rows = [f"{n},09:00:00" for n in range(1_000)]
    (tmp_path / "large.csv").write_text("n,t\n" + "\n".join([*rows, "unknown,soon", " 7 ,10:00:00"]) + "\n")
    found = look(tmp_path / "large.csv")
    number, clock = found.columns
    assert (number.type, number.other, number.nulls, number.max, number.distinct) == (
        "int64",
        1,
        0,
        "999",
        1_000,
    )
    assert (clock.type, clock.other, clock.max) == ("time32[s]", 1, "10:00:00")
    assert any("not of the type int64" in note for note in found.notes)


def test_a_fault_where_describe_did_not_look_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "HELD_BYTES", 200)
    monkeypatch.setattr(csv_file, "STREAMED_BYTES", 200)
    monkeypatch.setattr(csv_file, "_BLOCK_BYTES", 200)
    (tmp_path / "cut.csv").write_text("a,b\n" + "1,2\n" * 100 + "3\n")
    seen = describe([("cut.csv", tmp_path / "cut.csv")], progress=Silent())
    with pytest.raises(SourceMalformed, match=r"cut\.csv, line 102"):
        profile([("cut.csv", tmp_path / "cut.csv")], seen.columns, progress=Silent())


def test_files_of_other_columns_and_too_many_files_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(4):
        (tmp_path / f"{n}.csv").write_text(f"a,b\n{n},x\n")
    (tmp_path / "9.csv").write_text("other\n1\n")
    files = [(file.name, file) for file in tmp_path.iterdir()]
    columns = [Column(name="a", type="int64"), Column(name="b", type="string")]
    found = profile(files, columns, progress=Silent())
    assert found is not None
    assert (found.rows, found.files, found.left_out) == (4, 4, 1)
    monkeypatch.setattr(profile_module, "PROFILED_FILES", 2)
    found = profile(files, columns, progress=Silent())
    assert found is not None
    assert (found.files, found.left_out, found.columns[0].max) == (2, 3, "1")
    assert found.notes == ["of 5 tabular files, the first 2 by path were read"]
    missing = [(f"{n}.png", tmp_path / f"{n}.png") for n in range(50)]
    assert profile(missing, columns, progress=Silent()) is None  # what is no table is not even opened


def test_rows_are_counted_per_day_of_the_time_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = datetime(2026, 11, 1, 23, 59, tzinfo=UTC)
    moments = [late + timedelta(days=n // 2, minutes=n % 2) for n in range(8)]
    pq.write_table(
        pa.table({"at": pa.array([*moments, None], pa.timestamp("us", "UTC"))}), tmp_path / "t.parquet"
    )
    found = look(tmp_path / "t.parquet").time
    assert found is not None
    assert (found.column, found.per) == ("at", "day")
    assert found.rows == {"2026-11-01": 1, "2026-11-02": 2, "2026-11-03": 2, "2026-11-04": 2, "2026-11-05": 1}
    monkeypatch.setattr(tally, "DAYS", 3)
    by_month = look(tmp_path / "t.parquet")
    assert by_month.time is not None
    assert (by_month.time.per, by_month.time.rows) == ("month", {"2026-11": 8})
    assert by_month.notes == ["at has rows on more than 3 days: they are counted per month"]
    monkeypatch.setattr(tally, "HELD_DAYS", 2)
    again = look(tmp_path / "t.parquet").time
    assert again is not None
    assert again.rows == {"2026-11": 8}


def test_which_column_is_the_time_is_stated_or_plain_or_not_guessed(tmp_path: Path) -> None:
    days = pa.array([date(2026, 11, 1)])
    pq.write_table(pa.table({"made": days, "sold": days, "n": [1]}), tmp_path / "t.parquet")
    found = look(tmp_path / "t.parquet")
    assert found.time is None
    assert "made, sold all hold dates" in found.notes[0]
    stated = look(tmp_path / "t.parquet", time="sold").time
    assert stated is not None
    assert stated.column == "sold"
    assert "holds no dates" in look(tmp_path / "t.parquet", time="n").notes[0]
    assert "is no column" in look(tmp_path / "t.parquet", time="gone").notes[0]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), max_size=40), max_size=8), st.integers(1, 8))
def test_frequent_values_are_never_missed_by_more_than_the_error(parts: list[list[int]], kept: int) -> None:
    frequent = Frequent(kept + 2, kept)
    for part in parts:
        found = pa.array(part, pa.int64()).value_counts()
        frequent.add(found.field(0), found.field(1).to_numpy())
    truth = Counter(value for part in parts for value in part)
    assert frequent.exact == (len(truth) <= kept + 2) or not frequent.exact
    if frequent.exact:
        assert dict(frequent.rows) == dict(truth)
    for value, rows in truth.items():
        assert 0 <= rows - frequent.rows.get(value, 0) <= frequent.error


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(300)), st.integers(1, 299))
def test_what_differs_is_estimated_alike_in_any_order(order: list[int], cut: int) -> None:
    distinct = Distinct(64)
    for part in (order[:cut], order[cut:], order[:cut]):
        distinct.add(hashes(pa.array([f"v{n}" for n in part], pa.large_string())))
    expected = Distinct(64)
    expected.add(hashes(pa.array([f"v{n}" for n in range(300)], pa.large_string())))
    assert distinct.estimate() == expected.estimate()
    assert 180 < distinct.estimate() < 450


def test_a_sample_depends_on_the_rows_alone() -> None:
    def drawn(batch: int) -> list[int]:
        sample = RowSample(100)
        for start in range(0, 3_000, batch):
            places = sample.draw(start, batch)
            sample.put(0, pa.array(range(start, start + batch)).take(places))
            sample.shrink()
        values = sample.values(0).to_pylist()
        assert len(values) <= 200
        return values

    assert set(drawn(1_000)) & set(drawn(30))
    assert drawn(30) == drawn(30)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 65_536)), max_size=30)
)
def test_sums_are_not_rounded(values: list[tuple[float, int]]) -> None:
    _check_sum(pa.float64(), values)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([pa.int8(), pa.int64(), pa.uint64(), pa.decimal128(38, 3), pa.decimal256(76, -2)]),
    st.data(),
)
def test_sums_of_integers_and_decimals_are_not_rounded(kind: Any, data: Any) -> None:
    if pa.types.is_decimal(kind):
        most = 10**kind.precision - 1
        unscaled = st.integers(-most, most)
        numbers = unscaled.map(lambda number: shifted(Decimal(number), -kind.scale))
    else:
        numbers = st.integers(*_INTEGERS[kind])
    _check_sum(kind, data.draw(st.lists(st.tuples(numbers, st.integers(1, 65_536)), max_size=30)))


def _check_sum(kind: Any, values: list[tuple[Any, int]]) -> None:
    numbers, rows = [one for one, _ in values], np.array([rows for _, rows in values], np.int64)
    assert exact_sum(pa.array(numbers, kind), rows) == sum(Fraction(one) * rows for one, rows in values)


_INTEGERS = {
    **{getattr(pa, f"int{bits}")(): (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{getattr(pa, f"uint{bits}")(): (0, 2**bits - 1) for bits in (8, 64)},
}


@given(st.sampled_from([*_INTEGERS]), st.data())
def test_integers_are_counted_alike_be_they_dense_or_in_order_or_neither(kind: Any, data: Any) -> None:
    low, high = _INTEGERS[kind]
    start = data.draw(st.integers(low, high))
    near = st.integers(max(low, start - 9), min(high, start + 9))
    numbers = data.draw(
        st.lists(st.one_of(near, st.integers(low, high)), max_size=40) | st.lists(near, max_size=40)
    )
    for given_order in (numbers, sorted(set(numbers)), [*numbers, None, *numbers]):
        found, rows = different(pa.array(given_order, kind))
        expected = Counter(one for one in given_order if one is not None)
        assert dict(zip(found.to_pylist(), rows.tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.string(), ["b", "", "b", "a"]),
        (pa.large_binary(), [b"b", b"", b"b"]),
        (pa.float32(), [1.5, 0.5, 1.5]),
        (pa.decimal128(5, 1), [Decimal("1.5"), Decimal("-2.0"), Decimal("1.5")]),
        (pa.bool_(), [True, False, True]),
        (pa.bool_(), [True]),
    ],
)
def test_a_null_is_no_value_that_differs(kind: Any, values: list[Any]) -> None:
    for cut in (pa.array([None, *values, None], kind), pa.array([values[0], None, *values], kind).slice(1)):
        found, rows = different(cut)
        assert dict(zip(found.to_pylist(), rows.tolist(), strict=True)) == Counter(values)
    found, rows = different(pa.array([None, None], kind))
    assert (len(found), len(rows)) == (0, 0)


def test_both_zeros_of_floats_are_one_value(tmp_path: Path) -> None:
    nan, infinite = float("nan"), float("inf")
    found = of(tmp_path, pa.float64(), [0.0, None, -0.0, nan, infinite, -infinite, 0.0, 2.0, nan])
    assert (found.nulls, found.nan, found.infinite, found.distinct) == (1, 2, 2, 2)
    assert [(one.value, one.rows) for one in found.top] == [("0", 3), ("2", 1)]
    assert (found.min, found.mean) == ("0", "0.5")


def test_text_that_is_the_same_once_it_is_readable_is_one_value(tmp_path: Path) -> None:
    raw = pa.array([b"caf\xe9", b"caf\xe8", "caf\u00e9".encode(), b"caf\xe9"], pa.binary())
    path = tmp_path / "v.parquet"
    pq.write_table(pa.table({"v": pa.Array.from_buffers(pa.string(), 4, raw.buffers())}), path)
    (found,) = look(path).columns
    assert found.distinct == 2
    assert [(one.value, one.rows) for one in found.top] == [("caf\ufffd", 3), ("caf\u00e9", 1)]


def test_a_quantile_that_is_minus_zero_is_zero_in_a_sample_too(tmp_path: Path) -> None:
    values = [float(number) for number in range(-60_000, 60_000)]
    found = of(tmp_path, pa.float64(), [-0.0 if value == 0 else value for value in values])
    assert found.quantiles
    assert (found.quantiles["0.5"], "distinct" in (found.approximate or ())) == ("-1", True)
    few = of(tmp_path, pa.float64(), [*values[:59_000], *[-0.0] * 70_000])
    assert few.quantiles
    assert few.quantiles["0.75"] == "0"


def test_the_file_is_the_same_whatever_the_json_library(tmp_path: Path) -> None:
    found = of(tmp_path, pa.string(), ["\x1b[31m", "\u202e", "\x1b[31m"])
    assert found.top[0].value == "\x1b[31m"
    text = look(tmp_path / "v.parquet").dump()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert json.loads(text)["columns"][0]["top"][0]["value"] == "\x1b[31m"
