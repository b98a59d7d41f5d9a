"""Two sets of tables are compared by content; the judge is plain Python's multiset and dict."""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakeep.cli.comparing import comparison_lines, rows_lines
from datakeep.core.errors import NoSpace, SourceEmpty, SourceMalformed, UnknownName
from datakeep.core.progress import Silent
from datakeep.extract import compare as compare_module
from datakeep.extract.compare import compare
from datakeep.workflows.rows_diff import _passwords

if TYPE_CHECKING:
    from datakeep.extract.comparison import Comparison
    from datakeep.formats.version import VersionEntry

TOKYO = timezone(timedelta(hours=9))
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        ("k", pa.int64()), ("x", pa.float64()), ("d", pa.decimal128(10, 2)), ("s", pa.string()),
        ("t", pa.timestamp("us", "UTC")), ("l", pa.list_(pa.float32())),
    ]
)  # fmt: skip
VALUES = {
    "k": st.sampled_from([None, 0, 1, 2, 3]),
    "x": st.sampled_from([None, 0.0, -0.0, 1.5, math.nan, math.inf]),
    "d": st.sampled_from([None, Decimal("1.50"), Decimal("-0.01")]),
    "s": st.sampled_from([None, "", "a", "表", "a\0b"]),
    "t": st.sampled_from(
        [None, datetime(2026, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)]
    ),
    "l": st.sampled_from([None, [], [1.0, None], [math.nan], [0.0]]),
}
ROWS = st.lists(st.fixed_dictionaries(VALUES), max_size=12)


def judged(value: object) -> object:
    """A value so that Python's == says what equality means here."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else (value, math.copysign(1, value))
    if isinstance(value, list):
        return tuple(map(judged, value))
    return value


def whole(row: dict) -> tuple:
    return tuple(judged(row[name]) for name in VALUES)


def write(path: Path, rows: list[dict], schema: pa.Schema = SCHEMA, **options: object) -> tuple[str, Path]:
    pq.write_table(pa.Table.from_pylist(rows, schema), path, **options)
    return path.name, path


def schema(*names: str, **types: pa.DataType) -> pa.Schema:
    """Integers, and columns of other types."""
    return pa.schema([*((name, pa.int64()) for name in names), *types.items()])


def of(old: list, new: list, *keys: str, **options: object) -> Comparison:
    return compare(old, new, keys=keys, progress=Silent(), **{"personal": False, **options})


@st.composite
def two_sides(draw: st.DrawFn) -> tuple[list[dict], list[list[dict]]]:
    """Rows, and the parts of others that are made of them: permuted, dropped, doubled, split into files."""
    old = draw(ROWS)
    new = draw(st.one_of(st.permutations(old), ROWS, st.permutations(old + draw(ROWS))))
    cut = draw(st.integers(0, len(new)))
    return old, [new[:cut], new[cut:]]


def test_a_zero_with_a_sign_is_another_value(tmp_path: Path) -> None:
    """Its bytes are others, so that a rerun makes a version: the rows that it comes from are named."""
    columns = schema("k", x=pa.float64())
    old = write(tmp_path / "a.parquet", [{"k": 1, "x": 0.0}, {"k": 2, "x": 1.0}], columns)
    new = write(tmp_path / "b.parquet", [{"k": 1, "x": -0.0}, {"k": 2, "x": 1.0}], columns)
    found = of([old], [new], "k")
    assert (found.same, found.changed) == (False, 1)
    assert found.examples["changed"] == ({"k": "1"},)


def test_examples_are_written_as_sql_and_json_have_them(tmp_path: Path) -> None:
    fields = [("k", pa.int64()), ("n", pa.float64()), ("b", pa.binary()), ("d", pa.date32()),
              ("l", pa.list_(pa.float32())),
              ("s", pa.struct([("t", pa.string()), ("b", pa.list_(pa.binary())), ("d", pa.date32())])),
              ("m", pa.map_(pa.string(), pa.timestamp("us", "UTC"))), ("w", pa.decimal256(50, 2)),
              ("z", pa.list_(pa.time64("us")))]  # fmt: skip
    row = {"k": 1, "n": math.nan, "b": b"\x00\xff", "d": -735160, "l": [0.1, None, math.inf], "w": Decimal("1.50"),
           "s": {"t": "a\n", "b": [b"a"], "d": 0}, "m": [("k", NEW_YEAR)], "z": [time(1, 2)]}  # fmt: skip
    empty = {"k": 1} | dict.fromkeys(list(row)[1:])
    arrays = [pa.array([row[name]], pa.int32()).view(kind) if name == "d" else pa.array([row[name]], kind)
              for name, kind in fields]  # fmt: skip
    pq.write_table(pa.table(arrays, schema=pa.schema(fields)), tmp_path / "b.parquet")
    old, new = (
        write(tmp_path / "a.parquet", [empty], pa.schema(fields)),
        ("b.parquet", tmp_path / "b.parquet"),
    )
    shown = {name: pair[1] for name, pair in of([old], [new], "k").changes[0].columns.items()}
    assert shown == {
        "n": "NaN", "b": "x'00ff'", "d": "0044-03-15 BC", "l": "[0.1, null, Infinity]", "w": "1.50",
        "s": r"""{"t": "a\n", "b": [x'61'], "d": "1970-01-01"}""", "m": '{"k": "2026-01-01T00:00:00Z"}',
        "z": '["01:02:00"]',
    }  # fmt: skip
    # By text, too, where another type of the same column leaves nothing else.
    other = write(tmp_path / "c.parquet", [{"k": 1, "l": ["x"]}], schema("k", l=pa.list_(pa.string())))
    assert of([new], [other], "k").changes[0].columns["l"] == ("[0.1, null, Infinity]", '["x"]')


@settings(max_examples=15, deadline=None)
@given(two_sides())
def test_rows_are_a_multiset_whatever_their_files_and_order(
    sides: tuple[list[dict], list[list[dict]]],
) -> None:
    old, parts = sides
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [write(folder / f"{n}.parquet", part, row_group_size=2) for n, part in enumerate(parts)]
        found = of([write(folder / "old.parquet", old, compression="gzip")], files)
    before, after = Counter(map(whole, old)), Counter(whole(row) for part in parts for row in part)
    assert (found.added, found.removed) == ((after - before).total(), (before - after).total())
    assert found.same == (before == after)
    assert (found.old_rows, found.new_rows, found.changed) == (before.total(), after.total(), 0)


@settings(max_examples=15, deadline=None)
@given(two_sides())
def test_rows_of_a_unique_key_are_a_dict(sides: tuple[list[dict], list[list[dict]]]) -> None:
    old, parts = sides
    new = [row for part in parts for row in part]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = of([write(folder / "a.parquet", old)], [write(folder / "b.parquet", new)], "k")
    before, after = {row["k"]: row for row in old}, {row["k"]: row for row in new}
    if len(before) < len(old) or len(after) < len(new):
        assert found.by == "row"
        assert "k is not unique" in (found.why_by_row or "")
        return
    both = before.keys() & after.keys()
    assert found.by == "key"
    assert found.added == len(after.keys() - before.keys())
    assert found.removed == len(before.keys() - after.keys())
    assert found.changed == sum(whole(before[key]) != whole(after[key]) for key in both)
    differing = {
        name: sum(judged(before[key][name]) != judged(after[key][name]) for key in both) for name in VALUES
    }
    assert found.differing == {name: count for name, count in differing.items() if count}
    told = {kind: {row["k"] for row in rows} for kind, rows in found.examples.items()}
    assert told.get("added", set()) <= {
        None if key is None else str(key) for key in after.keys() - before.keys()
    }


def one(folder: Path, name: str, arrow_type: pa.DataType, values: list) -> tuple[str, Path]:
    return write(
        folder / f"{name}.parquet",
        [{"k": n, "v": value} for n, value in enumerate(values)],
        pa.schema([("k", pa.int64()), ("v", arrow_type)]),
    )


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ((pa.timestamp("us", "UTC"), NEW_YEAR), (pa.timestamp("ms", "Asia/Tokyo"), NEW_YEAR.astimezone(TOKYO)), 0),
        ((pa.timestamp("us"), 0), (pa.timestamp("us", "UTC"), 0), 1),
        ((pa.int32(), 5), (pa.int64(), 5), 0),
        ((pa.int64(), 2**53 + 1), (pa.float64(), float(2**53)), 1),
        ((pa.decimal128(10, 2), Decimal("1.50")), (pa.decimal128(10, 3), Decimal("1.500")), 0),
        ((pa.decimal128(10, 2), Decimal("1.50")), (pa.decimal128(10, 3), Decimal("1.501")), 1),
        ((pa.decimal128(10, 2), Decimal("-100.00")), (pa.int64(), -100), 0),
        ((pa.decimal128(10, 2), Decimal("100.00")), (pa.decimal128(10, 0), Decimal(1)), 1),
        ((pa.decimal128(10, 3), Decimal("0.050")), (pa.decimal256(60, 2), Decimal("0.05")), 0),
        ((pa.decimal256(60, 2), Decimal("1.50")), (pa.decimal128(10, 2), Decimal("1.50")), 0),
        ((pa.float64(), 1.5), (pa.decimal128(10, 2), Decimal("1.50")), 0),
        ((pa.float64(), 0.1), (pa.decimal128(10, 3), Decimal("0.100")), 0),
        ((pa.float64(), 1.005), (pa.decimal128(10, 2), Decimal("1.01")), 1),
        ((pa.float64(), -0.0), (pa.decimal128(10, 2), Decimal("0.00")), 0),
        ((pa.float32(), 0.1), (pa.decimal128(10, 2), Decimal("0.10")), 0),
        ((pa.decimal256(60, 2), Decimal(10) ** 22), (pa.float64(), 1e22), 0),
        ((pa.float64(), 1e-7), (pa.decimal128(20, 9), Decimal("0.0000001")), 0),
        ((pa.int64(), 10**16), (pa.float64(), 1e16), 0),
        ((pa.int64(), 10**16), (pa.float64(), math.inf), 1),
        ((pa.float32(), 0.1), (pa.float64(), 0.1), 0),
        ((pa.string(), "a"), (pa.dictionary(pa.int8(), pa.string()), "a"), 0),
        ((pa.string(), "a"), (pa.large_string(), "a"), 0),
        ((pa.binary(), b"\xff"), (pa.binary(1), b"\xff"), 0),
    ],
)  # fmt: skip
def test_types_that_differ_are_told_and_their_values_compared_exactly(
    tmp_path: Path, old: tuple, new: tuple, changed: int
) -> None:
    found = of([one(tmp_path, "a", old[0], [old[1]])], [one(tmp_path, "b", new[0], [new[1]])], "k")
    assert found.changed == changed
    is_text = pa.types.is_string(old[0])
    assert bool(found.types_changed) is not is_text
    assert found.same is (is_text and not changed)


def test_a_column_without_a_value_has_any_type(tmp_path: Path) -> None:
    old, new = one(tmp_path, "a", pa.null(), [None]), one(tmp_path, "b", pa.int64(), [None])
    assert of([old], [new], "k").same
    assert of([old], [one(tmp_path, "c", pa.int64(), [1])]).removed == 1


def test_maps_structs_and_text_that_is_not_utf8(tmp_path: Path) -> None:
    nested = pa.struct([("m", pa.map_(pa.string(), pa.timestamp("ns"))), ("f", pa.list_(pa.float64(), 2))])
    values = [{"m": [("a", 1)], "f": [1.0, math.nan]}, None, {"m": None, "f": None}]
    old = one(tmp_path, "a", nested, values)
    assert of([old], [one(tmp_path, "b", nested, values)], "k").same
    values[0] = {"m": [("a", 2)], "f": [1.0, math.nan]}
    assert of([old], [one(tmp_path, "c", nested, values)], "k").changed == 1
    broken = [pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(raw)])
              for raw in (b"\xff", b"\xfe")]  # fmt: skip
    for name, array in zip("de", broken, strict=True):
        pq.write_table(pa.table({"s": array}), tmp_path / f"{name}.parquet")
    files = [(f"{name}.parquet", tmp_path / f"{name}.parquet") for name in "de"]
    assert of(files[:1], files[:1]).same
    assert of(files[:1], files[1:]).added == 1


def test_columns_that_came_and_went_and_their_order(tmp_path: Path) -> None:
    old = write(tmp_path / "a.parquet", [{"k": 1, "gone": 2, "ID": 3}], schema("k", "gone", "ID"))
    new = write(tmp_path / "b.parquet", [{"ID": 3, "k": 1, "id": "x"}], schema("ID", "k", id=pa.string()))
    found = of([old], [new], "k")
    assert found.columns_added == (("id", "string"),)
    assert found.columns_removed == (("gone", "int64"),)
    assert found.reordered
    assert (found.compared, found.added, found.removed, found.changed, found.same) == (2, 0, 0, 0, False)
    assert of([old], [new], "id").why_by_row == "the old rows have no column id"
    with pytest.raises(UnknownName, match="did you mean 'id'"):
        of([old], [new], "idd")
    nothing = write(tmp_path / "c.parquet", [{"other": 1}, {"other": 1}], schema("other"))
    apart = of([old], [nothing])
    assert (apart.compared, apart.added, apart.removed) == (0, 1, 0)


def test_csv_and_json_lines_are_compared_by_their_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("k,v\n1,甲\n2,\n", "cp932")
    (tmp_path / "b.csv").write_text("k;v\n2;\n1;甲\n", "utf-16")
    (tmp_path / "c.csv").write_text("k,v\n01,甲\n2,\n")
    a, b, c = ((f"{name}.csv", tmp_path / f"{name}.csv") for name in "abc")
    assert of([a], [b], "k").same
    assert of([a], [c]).added == 1
    (tmp_path / "n.csv").write_text("k,v\n1,甲\n2,NA\n", "utf-8")
    (change,) = of([a], [("n.csv", tmp_path / "n.csv")], "k").changes
    assert change.columns == {"v": ("", "NA")}
    (tmp_path / "d.jsonl").write_text('{"k": 1, "v": "甲"}\n{"k": 2}\n', "utf-8")
    assert of([("d.jsonl", tmp_path / "d.jsonl")], [a], "k").same
    (tmp_path / "e.jsonl").write_text('{"v": null, "k": 2}\n{"k": 1, "v": "乙"}\n', "utf-8")
    both = [(name, tmp_path / name) for name in ("d.jsonl", "e.jsonl")]
    found = of(both[:1], both[1:], "k")
    assert (found.changed, found.differing) == (1, {"v": 1})
    rows = [{"k": 2, "v": None}, {"k": 1, "v": "甲"}]
    parquet = write(tmp_path / "f.parquet", rows, schema("k", v=pa.string()))
    assert of([parquet], [a], "k").same


def test_no_files_other_columns_and_what_is_no_table_are_refused_by_name(tmp_path: Path) -> None:
    a = write(tmp_path / "a.parquet", [{"k": 1}], schema("k"))
    b = write(tmp_path / "b.parquet", [{"j": 1}], schema("j"))
    with pytest.raises(SourceMalformed, match=r"b\.parquet has other columns"):
        of([a, b], [a])
    with pytest.raises(SourceEmpty):
        of([], [a])
    with pytest.raises(SourceMalformed, match=r"x\.png is no table"):
        of([a], [("x.png", tmp_path / "x.png")])


def test_examples_are_few_told_as_text_and_withheld_when_personal(tmp_path: Path) -> None:
    at = pa.timestamp("us", "UTC")
    old = one(tmp_path, "a", at, [datetime(2026, 1, 1, tzinfo=UTC)] * 1)
    new = one(tmp_path, "b", at, [datetime(2026, 1, 1, tzinfo=UTC)] * 9)
    found = of([old], [new], "k", "v")
    assert len(found.examples["added"]) == 5
    assert found.examples["added"][0] == {"k": "1", "v": "2026-01-01T00:00:00Z"}
    assert json.loads(json.dumps(found.to_dict()))["examples"]["added"][0]["k"] == "1"
    hidden = of([old], [new], "k", personal=True)
    assert hidden.examples == {}
    assert hidden.withheld
    assert "2026" not in str(hidden.to_dict())
    lines = list(comparison_lines(hidden, "t@v1", "now"))
    assert any("no examples" in line for line in lines)


def test_of_rows_without_a_key_the_columns_that_tell_the_nearest_apart_are_shown(tmp_path: Path) -> None:
    names = "abcdefgh"
    rows = [dict.fromkeys(names, "1") | {"a": str(number)} for number in range(4)]
    other = [*rows[:2], rows[2] | {"h": "e\u0301"}, rows[3] | {"g": "1 ", "h": "x" * 90 + "y"}]
    rows[3]["h"] = "x" * 90 + "z"
    kinds = schema(**dict.fromkeys(names, pa.string()))
    found = of([write(tmp_path / "a.parquet", rows, kinds)], [write(tmp_path / "b.parquet", other, kinds)])
    lines = [line for line in comparison_lines(found, "t@v1", "now") if line.startswith(("  +", "  -"))]
    same = "b = 1, c = 1, d = 1"
    tail = "x" * 20
    assert sorted(lines) == [
        f"  + a = 2, {same}, e = 1, h = 'e\\u0301', …",
        f"  + a = 3, {same}, g = '1 ', h = …{tail}y, …",
        f"  - a = 2, {same}, e = 1, h = 1, …",
        f"  - a = 3, {same}, g = 1, h = …{tail}z, …",
    ]


def test_changed_rows_are_told_with_old_and_new_values(tmp_path: Path) -> None:
    kinds = schema("k", s=pa.string(), d=pa.decimal128(10, 2), x=pa.float64())
    rows = [{"k": k, "s": "a", "d": Decimal("1.50"), "x": 0.1} for k in range(9)]
    other = [dict(row) for row in rows]
    other[2] |= {"d": Decimal("0.00"), "x": None}
    other[5]["s"] = "表" * 100
    old, new = write(tmp_path / "a.parquet", rows, kinds), write(tmp_path / "b.parquet", other[::-1], kinds)
    found = of([old], [new], "k")
    assert [(one.key, one.differing) for one in found.changes] == [({"k": "2"}, 2), ({"k": "5"}, 1)]
    assert found.changes[0].columns == {"d": ("1.50", "0.00"), "x": ("0.1", None)}
    assert found.changes[1].columns == {"s": ("a", "表" * 80 + "…")}
    assert json.loads(json.dumps(found.to_dict()))["changes"][0] == {
        "key": {"k": "2"},
        "columns": {"d": {"old": "1.50", "new": "0.00"}, "x": {"old": "0.1", "new": None}},
        "columns_differing": 2,
    }
    assert "  ~ k = 2: d 1.50 → 0.00, x 0.1 → NULL" in list(comparison_lines(found, "t@v1", "now"))
    hidden = of([old], [new], "k", personal=True)
    assert (hidden.changes, hidden.changed, hidden.withheld) == ((), 2, True)


def test_of_many_changed_rows_and_columns_a_few_are_told(tmp_path: Path) -> None:
    names = [f"c{at:02}" for at in range(30)]
    rows = [{"k": k, **dict.fromkeys(names, 0)} for k in range(20)]
    changed = [{"k": row["k"], **dict.fromkeys(names, 1)} for row in rows]
    old = write(tmp_path / "a.parquet", rows, schema("k", *names))
    found = of([old], [write(tmp_path / "b.parquet", changed, schema("k", *names))], "k")
    assert [one.key for one in found.changes] == [{"k": str(k)} for k in range(5)]
    assert (len(found.changes[0].columns), found.changes[0].differing) == (20, 30)
    (line, _) = [line for line in comparison_lines(found, "t@v1", "now") if line.startswith("  ~")]
    assert line == "  ~ k = 0: c00 0 → 1, c01 0 → 1, c02 0 → 1, c03 0 → 1, c04 0 → 1 and 25 more columns"


def test_the_folder_is_gone_afterwards_and_a_full_one_is_said_to_be_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    a = one(tmp_path, "a", pa.string(), ["x" * 100] * 300_000)
    assert of([a], [a], "k", scratch=scratch).same
    assert list(scratch.iterdir()) == []
    database = compare_module.duckdb.connect

    def small(*args: object, config: dict, **options: object) -> object:
        return database(*args, config={**config, "max_temp_directory_size": "1MB"}, **options)

    monkeypatch.setattr(compare_module.duckdb, "connect", small)
    with pytest.raises(NoSpace, match="does not fit"):
        of([a], [a], memory_bytes=20 << 20, scratch=scratch)
    assert list(scratch.iterdir()) == []


def test_the_database_cannot_read_files(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with (
        compare_module._database(64 << 20, tmp_path) as database,
        pytest.raises(compare_module.duckdb.PermissionException),
    ):
        database.execute(f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')")
    with (
        compare_module._database(64 << 20, tmp_path) as database,
        pytest.raises(compare_module.duckdb.Error, match="lock"),
    ):
        database.execute("SET enable_external_access = true")


def test_what_is_printed_is_short_and_says_same(tmp_path: Path) -> None:
    names, later = [f"c{n}" for n in range(50)], [f"n{n}" for n in range(30)]
    other = schema("k", *later, **dict.fromkeys(names[:25], pa.string()))
    before = [{"k": n, **dict.fromkeys(names, n)} for n in range(20)]
    after = [{"k": n + 10, **dict.fromkeys(names[:25], "x")} for n in range(20)]
    old = write(tmp_path / "a.parquet", before, schema("k", *names))
    new = write(tmp_path / "b.parquet", after, other)
    found = of([old], [new], "k")
    lines = list(comparison_lines(found, "t@v1", "extracted now"))
    assert len(lines) <= 32
    assert lines[0] == "the content differs: t@v1 has 20 rows, extracted now 20"
    assert "10 added, 10 removed, 10 changed" in "\n".join(lines)
    assert "~ c0: int64 → string" in "\n".join(lines)
    same = list(comparison_lines(of([old], [old], "k"), "t@v1", "extracted now"))
    assert same == ["same content: t@v1 and extracted now have the same 20 rows, compared by k in 51 columns"]
    scales = [
        write(
            tmp_path / f"{scale}.parquet",
            [{"k": 1, "d": Decimal("1.5")}],
            schema("k", d=pa.decimal128(9, scale)),
        )
        for scale in (2, 3)
    ]
    lines = list(comparison_lines(of(scales[:1], scales[1:], "k"), "t@v1", "now"))
    assert lines[0] == "the types differ in 1 column, and no value does: t@v1 and now have the same 1 row"
    assert lines[-1] == "  rows: same values, compared by k in 2 columns"


def test_tables_without_a_column_in_both_are_not_said_to_have_no_row_in_common(tmp_path: Path) -> None:
    old = write(tmp_path / "a.parquet", [{"k": 1}], schema("k"))
    new = write(tmp_path / "b.parquet", [{"n": 1}], schema("n"))
    for lines in (rows_lines, lambda found: comparison_lines(found, "t@v1", "t@v2")):
        told = [*lines(of([old], [new]))]
        assert "  columns: 1 added, 1 removed, 0 of another type; none is in both" in told
        assert told[-1] == "  rows: not comparable"
    assert "    + n (int64)" in rows_lines(of([old], [new]))
    assert "    + n (int64)" not in rows_lines(of([old], [new]), named=False)


def test_the_databases_own_password_is_in_no_example(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "rd-Pw%7/x:y")
    manifest = {"source": {"database": "postgresql://reader@host/plant"}}
    known = _passwords(*[cast("VersionEntry", SimpleNamespace(manifest=manifest))] * 2)
    sides = []
    for name, k in (("old", "is rd-Pw%7/x:y"), ("new", "none")):
        pq.write_table(pa.table({"id": [1], "k": [k]}), tmp_path / f"{name}.parquet")
        sides.append([(f"{name}.parquet", tmp_path / f"{name}.parquet")])
    for keys in ([], ["id"], ["k"]):
        found = compare(*sides, keys=keys, personal=False, progress=Silent())
        assert "rd-Pw" in str(found)
        assert "rd-Pw" not in str(found.without_passwords(known))


def test_a_float_that_became_a_double_is_the_same_number(tmp_path: Path) -> None:
    """Whether the database widened it, or reads the same decimal again; another double is another number."""
    floats = pa.array([0.1, 1 / 3, 2.5, float("nan"), None, -0.0], pa.float32())
    widened, read_again = floats.cast(pa.float64()), pa.array([0.1, 0.33333334, 2.5, math.nan, None, -0.0])
    paths = []
    exact = pa.array([0.1, 1 / 3, 2.5, math.nan, None, -0.0])
    for name, values in (("f", floats), ("w", widened), ("r", read_again), ("o", exact)):
        pq.write_table(pa.table({"k": range(6), "x": values}), tmp_path / f"{name}.parquet")
        paths.append((f"{name}.parquet", tmp_path / f"{name}.parquet"))
    for other in paths[1:3]:
        for pair in ((paths[0], other), (other, paths[0])):
            found = of([pair[0]], [pair[1]], "k")
            assert (found.changed, [one[0] for one in found.types_changed]) == (0, ["x"])
    found = of([paths[0]], [paths[3]], "k")
    assert (found.changed, dict(found.changes[0].columns)) == (1, {"x": ("0.33333334", "0.3333333333333333")})
