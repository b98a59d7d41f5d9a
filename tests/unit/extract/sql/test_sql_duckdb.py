"""DuckDB, held against its own ``fetchall``: values, types, walls, errors, catalogue."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from unicodedata import east_asian_width
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from databases import extracted, statement
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from server_process import PATIENCE_S

from datakeep.core.errors import SourceChanged, Unsupported
from datakeep.extract.sql import duckdb_guesses, file_traits
from datakeep.extract.sql.faults import DatabaseUnreachable, NotExact, QueryFailed, QueryRefused
from datakeep.extract.sql.interface import Exactness, Parameter
from datakeep.extract.sql.lineage import trace
from datakeep.extract.sql.opening import open_database

FIRST, LAST = datetime.min, datetime.max  # noqa: DTZ901  (a column without a zone)
TYPES_PAGE = Path(__file__).parents[4] / "docs" / "types.md"


def made(file: Path, *commands: str) -> str:
    with duckdb.connect(str(file)) as connection:
        for command in commands:
            connection.execute(command)
    return f"duckdb:///{file}"


def one(expression: str, **options):
    """Arrow value and source column of one expression, as a file-less DuckDB has it."""
    table, (column,) = extracted("duckdb:", f"select {expression} as x", **options)
    return table.column("x")[0].as_py(), column


# What docs/types.md says of DuckDB, row for row: type, an extreme value, Arrow's type, the value that is kept.
KEPT = [
    ("BOOLEAN", "true", "bool", True),
    ("TINYINT", "-128", "int8", -128),
    ("UBIGINT", "18446744073709551615", "uint64", 2**64 - 1),
    ("BIGINT", "-9223372036854775808", "int64", -(2**63)),
    ("HUGEINT", "'99999999999999999999999999999999999999'", "decimal128(38, 0)", Decimal(10**38 - 1)),
    ("UHUGEINT", "'99999999999999999999999999999999999999'", "decimal128(38, 0)", Decimal(10**38 - 1)),
    ("DECIMAL(38,18)", "'12345678901234567890.000000000000000001'", "decimal128(38, 18)",
     Decimal("12345678901234567890.000000000000000001")),
    ("FLOAT", "'0.1'", "float", 0.10000000149011612),
    ("DOUBLE", "'1e-18'", "double", 1e-18),
    ("VARCHAR", "'日本 😀'", "string", "日本 😀"),
    ("BLOB", "'\\xFF\\x00'", "binary", b"\xff\x00"),
    ("DATE", "'0001-01-01'", "date32[day]", date(1, 1, 1)),
    ("TIME", "'23:59:59.999999'", "time64[us]", "23:59:59.999999"),
    ("TIME_NS", "'23:59:59.123456789'", "time64[ns]", "23:59:59.123456789"),
    ("TIMESTAMP", "'9999-12-31 23:59:59.999999'", "timestamp[us]", "9999-12-31 23:59:59.999999"),
    ("TIMESTAMP_S", "'0001-01-01 00:00:01'", "timestamp[s]", "0001-01-01 00:00:01"),
    ("TIMESTAMP_MS", "'2024-02-29 00:00:00.123'", "timestamp[ms]", "2024-02-29 00:00:00.123000"),
    ("TIMESTAMP_NS", "'2024-02-29 00:00:00.123456789'", "timestamp[ns]", "2024-02-29 00:00:00.123456789"),
    ("TIMESTAMPTZ", "'2024-01-01 00:00:00+09'", "timestamp[us, tz=UTC]", "2023-12-31 15:00:00+00:00"),
    ("ENUM('a','b')", "'b'", "dictionary<values=string, indices=uint8, ordered=0>", "b"),
    ("INTEGER[]", "[1, NULL]", "list<l: int32>", [1, None]),
    ("INTEGER[2]", "[1, 2]", "fixed_size_list<: int32>[2]", [1, 2]),
    ("STRUCT(a DATE)", "{'a': '2024-01-01'}", "struct<a: date32[day]>", {"a": date(2024, 1, 1)}),
    ("MAP(VARCHAR, INTEGER)", "map {'k': 1}", "map<string, int32>", [("k", 1)]),
    ("UUID", "'eeccb8c5-9943-b2bb-bb5e-222f4e14b687'", "string", "eeccb8c5-9943-b2bb-bb5e-222f4e14b687"),
    ("TIMETZ", "'12:34:56.123456+09:00'", "string", "12:34:56.123456+09"),
    ("INTERVAL", "'1 year 2 days 3 microseconds'", "string", "1 year 2 days 00:00:00.000003"),
    ("BIT", "'0101'", "string", "0101"),
    ("BIGNUM", "'170141183460469231731687303715884105728000000'", "string",
     "170141183460469231731687303715884105728000000"),
    ("JSON", "'{\"a\": 1e400}'", "string", '{"a": 1e400}'),
]  # fmt: skip
REFUSED = [
    ("UNION(a INTEGER, b VARCHAR)", "union_value(a := 1)", "1"),
    ("VARIANT", "1", "1"),
    ("HUGEINT[]", "[1]", "[1]"),
    ("STRUCT(a TIMETZ)", "{'a': '01:00:00+09'}", "{'a': '01:00:00+09'}"),
]


@pytest.mark.parametrize(("kind", "value", "arrow", "kept"), KEPT, ids=[kind for kind, *_ in KEPT])
def test_a_type_becomes_what_the_page_says_and_its_extremes_are_the_same(kind, value, arrow, kept, tmp_path):
    table, (column,) = extracted("duckdb:", f"select ({value})::{kind} as x union all select null")
    assert column.arrow_type == arrow
    assert (column.note or "").startswith("kept as") == (
        (arrow == "string" and kind not in {"VARCHAR", "JSON"}) or "HUGE" in kind
    )
    found = table.column("x")
    text = kind.startswith(("TIME", "TIMESTAMP")) and arrow != "string"
    # Of nanoseconds, Python's time of day has no more than six digits either.
    shown = found.cast(pa.string()) if arrow == "time64[ns]" else found
    assert (str(shown[0]) if text else found[0].as_py()) == kept
    assert found[1].as_py() is None
    pq.write_table(table, tmp_path / "kept.parquet")
    assert pq.read_table(tmp_path / "kept.parquet").column("x").to_pylist() == found.to_pylist()


@pytest.mark.parametrize(("kind", "value", "text"), REFUSED, ids=[kind for kind, *_ in REFUSED])
def test_a_type_without_an_equal_is_refused_and_text_when_told(kind, value, text):
    with pytest.raises(NotExact, match=r"column x is of type .* no exact equal") as caught:
        one(f"({value})::{kind}")
    assert "--as-text x" in caught.value.next_step
    found, column = one(f"({value})::{kind}", as_text=("x",))
    assert (found, column.arrow_type, column.note) == (text, "string", "kept as text")


def test_the_page_of_types_has_the_same_rows():
    section = TYPES_PAGE.read_text("utf-8").partition("## DuckDB\n")[2].partition("\n### ")[0]
    rows = [
        line.replace("`", "").strip("|").split("|") for line in section.splitlines() if line.startswith("| `")
    ]
    listed = {name.strip(): row[1] for row in rows for name in row[0].split(",")}
    names = {"INTEGER[]": "LIST", "INTEGER[2]": "ARRAY", "HUGEINT[]": "LIST"}
    for kind, _, arrow, _ in KEPT:
        assert re.split(r"[(<\[,]", arrow)[0] in listed[names.get(kind) or kind.partition("(")[0]], kind
    assert {kind for kind, arrow in listed.items() if "refused" in arrow} == {"UNION", "VARIANT", "GEOMETRY"}
    assert len(listed) == 38


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("'infinity'::date", "'infinity'"), ("'-infinity'::timestamp", "'-infinity'"),
        ("'infinity'::timestamptz", "infinity"),
        ("'infinity'::timestamp_ns", "infinity"), ("'0044-03-15 (BC)'::date", "'0044-03-15 BC'"),
        ("'10000-01-01'::timestamp", "'10000-01-01T00:00:00'"),
        ("time '24:00:00'", "24:00:00"), ("[date '2024-01-01', 'infinity'::date]", "infinity"),
        ("{'a': [map {'k': 'infinity'::timestamp}]}", "infinity"), ("map {'infinity'::date: 1}", "infinity"),
        ("170141183460469231731687303715884105727::hugeint", "is no decimal"),
        ("'340282366920938463463374607431768211455'::uhugeint", "is no decimal"),
    ],
)  # fmt: skip
def test_values_without_an_equal_are_refused_with_their_row(expression, shown):
    query = f"select x from (select null as x, 1 as n union all select {expression}, 2) order by n"
    with pytest.raises(NotExact, match="column x, row 2: ") as caught:
        extracted("duckdb:", query)
    assert shown in caught.value.what
    table, _ = extracted("duckdb:", query, as_text=("x",))
    assert table.column("x")[1].as_py()


def test_a_decimal_of_the_users_choice_is_exact_or_refused():
    found, column = one("1234567890123456789012345678901234567890::bignum", decimals={"x": (76, 4)})
    assert (found, column.arrow_type) == (
        Decimal("1234567890123456789012345678901234567890.0000"),
        "decimal256(76, 4)",
    )
    with pytest.raises(NotExact, match=r"column x, row 1: '1\.25' is no decimal\(5, 1\)"):
        one("1.25", decimals={"x": (5, 1)})
    with pytest.raises(QueryRefused, match="type DOUBLE, which has no decimal digits"):
        one("1.25::double", decimals={"x": (5, 2)})


ROW = some.tuples(
    some.none() | some.integers(-(2**63), 2**63 - 1),
    some.none()
    | some.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**19), max_value=10**19),
    some.none() | some.floats() | some.sampled_from([1e-18, 5e-324]),
    some.none() | some.text(some.characters(exclude_categories=["Cs"])) | some.sampled_from(["", "😀"]),
    some.none() | some.binary(),
    some.none() | some.dates() | some.sampled_from([date.min, date.max]),
    some.none() | some.datetimes() | some.sampled_from([FIRST, LAST]),
    some.none() | some.timedeltas(min_value=timedelta(0), max_value=timedelta(days=1, microseconds=-1)),
    some.none() | some.integers(-(10**38) + 1, 10**38 - 1),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=some.lists(ROW, min_size=1, max_size=20))
def test_every_value_is_the_one_that_duckdb_itself_reads(tmp_path, rows):
    file = tmp_path / "all.duckdb"
    file.unlink(missing_ok=True)
    with duckdb.connect(str(file)) as connection:
        connection.execute(
            "create table t(i bigint, d decimal(38,18), f double, s varchar, b blob, y date, ts timestamp,"
            " iv interval, h hugeint)"
        )
        connection.executemany("insert into t values (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("set TimeZone = 'UTC'")
        kept = connection.execute(
            "select i, d, f, s, b, y, ts, iv::varchar, h from t order by rowid"
        ).fetchall()
    table, _ = extracted(f"duckdb:///{file}", "select * from t order by rowid")
    found = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    assert [[str(value) for value in row] for row in found] == [[str(value) for value in row] for row in kept]


def test_megabytes_of_values_and_many_rows_come_in_their_order(tmp_path):
    url = made(
        tmp_path / "big.duckdb",
        "create table t as select (hash(range) % 1000000007)::bigint as n, '01'::bit as b from range(500000)",
        "create table blobs as select repeat('x', 1000000)::blob as x, range as n from range(12)",
    )
    table, _ = extracted(url, "select n, b from t order by n")
    assert table.num_rows == 500_000
    numbers = table.column("n").to_pylist()
    assert numbers == sorted(numbers)
    table, _ = extracted(url, "select x from blobs order by n")
    assert {len(value) for value in table.column("x").to_pylist()} == {1_000_000}


def test_memory_does_not_grow_with_the_rows():
    program = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from databases import statement
from datakeep.extract.sql.interface import Exactness
from datakeep.extract.sql.opening import open_database
peaks = []
for count in (200_000, 20_000_000):
    with open_database("duckdb:").session() as session:
        text = f"select range as n, range::varchar as s from range({count})"
        with session.run(statement(text, "duckdb"), {}, Exactness()) as result:
            assert sum(batch.num_rows for batch in result.batches()) == count
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
print(peaks[1] - peaks[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parents[3])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 60


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder in which to work, with files of three formats and one that nobody names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.csv").write_text("n,s\n1,x\n2,y\n")
    (tmp_path / "deep" / "b.csv").write_text("n,s\n3,z\n")
    (tmp_path / "deep" / "er" / "c.csv").write_text("n,s\n4,w\n")
    (tmp_path / "d.json").write_text('[{"n": 5}]')
    (tmp_path / "secret.csv").write_text("n,s\n9,secret\n")
    pq.write_table(pa.table({"n": [6, 7]}), tmp_path / "e e.parquet")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "numbers", "count"),
    [
        ("'a.csv'", [1, 2], 1),
        ("'{folder}/a.csv'", [1, 2], 1),
        ("'deep/*.csv'", [3], 1),
        ("'deep/**/*.csv'", [3, 4], 2),
        ("read_csv(['a.csv', 'deep/b.csv'], header = true)", [1, 2, 3], None),
        ("read_csv(:file)", [1, 2], 1),
        ("'d.json'", [5], 1),
        ("'e e.parquet'", [6, 7], 1),
        ("(select n from 'a.csv' union all select n from read_parquet('e*.parquet'))", [1, 2, 6, 7], None),
    ],
)
def test_files_are_read_and_recorded_with_their_digests(files, source, numbers, count):
    source = source.format(folder=files)
    given = {"file": Parameter("text", "a.csv")} if ":file" in source else {}
    named = re.findall(r"'([^']+)'", source) or ["a.csv"]
    with open_database("duckdb:").session() as session:
        query = statement(f"select n from {source} order by n", "duckdb")
        with session.run(query, given, Exactness()) as result:
            assert [value for batch in result.batches() for value in batch.column(0).to_pylist()] == numbers
        found = session.tables(named)
    assert set(found) == set(named)
    for name, table in found.items():
        assert (table.kind, table.name) == ("file", name)
        assert count is None or len(table.files) == count
        assert next(column.name for column in table.columns) == "n"
        for file in table.files:
            content = Path(file.path).read_bytes()
            assert (file.size_bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_file_is_known_before_the_query_and_the_same_after_it(files):
    with open_database("duckdb:").session() as session:
        before = session.tables(["a.csv", "missing.csv", "t"])
        assert [column.database_type for column in before["a.csv"].columns] == ["BIGINT", "VARCHAR"]
        with session.run(statement("select n from 'a.csv'", "duckdb"), {}, Exactness()) as result:
            assert sum(batch.num_rows for batch in result.batches()) == 2
        assert session.tables(["a.csv"]) == before


def test_a_file_that_changes_under_the_query_is_refused(files):
    with open_database("duckdb:").session() as session:
        with session.run(statement("select n from 'a.csv'", "duckdb"), {}, Exactness()) as result:
            list(result.batches())
        (files / "a.csv").write_text("n,s\n1,x\n2,y\n3,z\n")
        with pytest.raises(SourceChanged, match=r"a\.csv changed"):
            session.tables(["a.csv"])


@pytest.mark.parametrize(
    "query",
    [
        "copy (select 1 as n) to 'a.csv' (use_tmp_file false)",
        "copy (select 1 as n) to 'new.csv'",
        "select n from 'a.csv'; copy (select 1 as n) to 'a.csv' (use_tmp_file false)",
        "attach 'new.duckdb' as other",
        "export database 'new'",
        "create table t as select 1 as n",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "pragma enable_profiling",
        "call pragma_version()",
        "select * from read_text('sec' || 'ret.csv')",
        "select * from query('select * from ''secret.csv''')",
        "select * from query_table('secret.csv')",
        "select content from read_text((select 'secret.csv'))",
        "select * from glob('*')",
        "from secret",
    ],
)
def test_a_hostile_query_reads_and_writes_nothing_but_what_it_names(files, query):
    secret = pa.table({"n": ["a Python variable"]})  # noqa: F841  (DuckDB would find it by its name)
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    with pytest.raises((QueryRefused, QueryFailed)):
        extracted("duckdb:", query)
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before


def test_a_view_of_a_hostile_file_opens_nothing_that_the_query_does_not_name(files):
    url = made(
        files / "hostile.duckdb",
        "create view v as select * from 'secret.csv'",
        "create table t as select 1 as n",
    )
    with pytest.raises(QueryRefused, match=r"reads .*secret\.csv, which it does not name"):
        extracted(url, "select * from v")
    assert extracted(url, "select t.n from t join 'a.csv' using (n)")[0].num_rows == 1


def test_a_query_writes_nothing_into_a_file_of_duckdb_and_nothing_beside_it(files):
    url = made(
        files / "kept.duckdb", "create sequence s", "create table t as select range as n from range(3000000)"
    )
    before = sorted(path.name for path in files.iterdir())
    digest = hashlib.sha256((files / "kept.duckdb").read_bytes()).hexdigest()
    with pytest.raises((QueryRefused, QueryFailed)):
        extracted(url, "select nextval('s') as n")
    extracted(url, "select n from t order by hash(n)")
    assert sorted(path.name for path in files.iterdir()) == before
    assert hashlib.sha256((files / "kept.duckdb").read_bytes()).hexdigest() == digest


def test_far_files_that_cannot_be_read_are_said_to_be(files):
    with pytest.raises(Unsupported, match=r"https://127\.0\.0\.1:1/x\.csv cannot be read by a query"):
        extracted("duckdb:", "select * from 'https://127.0.0.1:1/x.csv'")
    with pytest.raises(QueryRefused, match=r"there is no file /.+/missing\.csv, which the query reads"):
        extracted("duckdb:", "select * from 'missing.csv'")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("selec 1", "line 1, column 1: syntax error at or near \"selec\""),
        ("select *\n  from nope", "line 2, column 8: table with name nope does not exist"),
        ("select\n  '日本' as a,\n  '日本', nope from range(3)", "line 3, column 9: referenced column \"nope\""),
        ("select :p as a,\n\tnope from range(3)", "line 2, column 2: referenced column \"nope\""),
        (f"select {', '.join(map(repr, range(200)))}, nope from range(3)", "line 1, column 898: referenced column"),
        ("select range, range from range(3)", "two columns of the name 'range'"),
        ("select 1 as a; select 2 as a", "not one SELECT, but SELECT and SELECT"),
        ("", "it is empty"),
    ],
)  # fmt: skip
def test_what_duckdb_does_not_take_is_refused_at_its_place(query, said):
    given = {"p": Parameter("integer", 2**40)} if ":p" in query else {}
    with pytest.raises(QueryRefused, match=re.escape(said)) as caught:
        extracted("duckdb:", query, given)
    if "column" in said and said.startswith("line"):
        line, mark = caught.value.things
        # The mark stands below the word on a terminal, where wide characters are two cells.
        cells = [letter for one in line for letter in (one, "")[: 1 + (east_asian_width(one) in "WF")]]
        assert "".join(cells[mark.index("^") :]).startswith(("selec", "nope"))


def test_a_table_of_duckdbs_own_is_not_taken_for_meant():
    with pytest.raises(QueryRefused) as caught:
        extracted("duckdb:", "select * from pg_seqences")
    assert caught.value.what.endswith("table with name pg_seqences does not exist")


def test_a_fault_that_only_a_row_shows_is_a_failure_of_the_query():
    with pytest.raises(QueryFailed, match="could not convert string '99999x'"):
        extracted(
            "duckdb:",
            "select (case when range = 99999 then '99999x' else range::varchar end)::int as n from range(100000)",
        )


FOREVER = "select count(*) as n from range(100000000) a, range(1000000) b where a.range + b.range = -1"


def test_a_query_that_takes_longer_than_it_may_is_ended():
    with pytest.raises(QueryFailed, match="ended after 1 s, its time limit"):
        extracted("duckdb:", FOREVER, timeout_s=1)


@pytest.mark.parametrize("query", [FOREVER, FOREVER.replace("count(*)", "a.range").replace("= -1", "<> -1")])
def test_ctrl_c_ends_a_query_while_duckdb_is_at_work(query):
    """Before its first row, and between its rows."""
    program = """
import os, sys, threading, signal
sys.path.insert(0, sys.argv[1])
from databases import statement
from datakeep.extract.sql.interface import Exactness
from datakeep.extract.sql.opening import open_database
with open_database("duckdb:").session() as session:
    try:
        threading.Timer(1, os.kill, [os.getpid(), signal.SIGINT]).start()
        with session.run(statement(sys.argv[2], "duckdb"), {}, Exactness()) as result:
            for batch in result.batches():
                pass
    except KeyboardInterrupt:
        print("ended", session.ask("select 5"))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parents[3]), query],
        capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.stdout == "ended [(5,)]\n"


def test_a_result_may_be_left_in_the_middle():
    with open_database("duckdb:").session() as session:
        query = statement("select range as n from range(100000000)", "duckdb")
        with session.run(query, {}, Exactness()) as result:
            assert next(result.batches()).num_rows > 0
        assert session.ask("select 5") == [(5,)]


def test_parameters_have_the_types_that_they_were_given_as():
    given = {
        "i": Parameter("integer", 2**62), "d": Parameter("decimal", Decimal("1.50")), "f": Parameter("double", 0.1),
        "b": Parameter("boolean", False), "y": Parameter("date", date(1, 1, 1)),
        "t": Parameter("timestamp", LAST),
        "s": Parameter("text", "a' or 1=1"), "n": Parameter("date", None),
    }  # fmt: skip
    table, columns = extracted(
        "duckdb:", "select :i i, :d d, :f f, :b b, :y y, :t t, :s s, :n n, :i = 4 again", given
    )
    assert [column.database_type for column in columns] == [
        "BIGINT", "DECIMAL(3,2)", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP", "VARCHAR", "DATE", "BOOLEAN",
    ]  # fmt: skip
    assert [*table.to_pylist()[0].values()] == [*(one.value for one in given.values()), False]


def test_files_that_cannot_be_opened_are_named(tmp_path):
    with pytest.raises(DatabaseUnreachable, match=r"missing\.duckdb is not there"):
        extracted(f"duckdb:///{tmp_path}/missing.duckdb", "select 1 as x")
    with pytest.raises(DatabaseUnreachable, match="is a folder"):
        extracted(f"duckdb:///{tmp_path}", "select 1 as x")
    (tmp_path / "text.duckdb").write_text("a,b\n" * 5000)
    with pytest.raises(DatabaseUnreachable, match="not a valid DuckDB database file"):
        extracted(f"duckdb:///{tmp_path}/text.duckdb", "select 1 as x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.duckdb"]


def test_a_file_that_another_program_writes_to_is_said_to_be_locked(tmp_path):
    url = made(tmp_path / "busy.duckdb", "create table t as select 1 as n")
    program = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "busy.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert writer.stdout.readline() == b"open\n"
        with pytest.raises(DatabaseUnreachable, match="locked by a program that writes to it"):
            extracted(url, "select n from t")
    finally:
        writer.communicate()


def test_the_catalogue_has_columns_comments_keys_and_views(tmp_path):
    url = made(
        tmp_path / "some.duckdb",
        "create schema s",
        "create table s.t(a integer, b varchar not null, c decimal(9,2), primary key (b, a), unique (c))",
        "comment on table s.t is 'what the owners wrote'",
        "comment on column s.t.c is 'in yen'",
        "create view v as select a from s.t",
    )
    with open_database(url).session() as session:
        found = session.tables(["s.t", "V", "t", "nope"])
        assert session.ask("select count(*) from s.t") == [(0,)]
        assert "read-only" in session.snapshot.isolation
        assert session.server == f"DuckDB {duckdb.__version__}"
    assert set(found) == {"s.t", "V"}
    table = found["s.t"]
    assert (table.name, table.kind, table.comment) == ("s.t", "table", "what the owners wrote")
    assert (table.primary_key, table.unique) == (("b", "a"), (("c",),))
    assert [(one.name, one.database_type, one.nullable, one.comment) for one in table.columns] == [
        ("a", "INTEGER", False, None), ("b", "VARCHAR", False, None), ("c", "DECIMAL(9,2)", True, "in yen"),
    ]  # fmt: skip
    assert found["V"].kind == "view"
    assert "SELECT a FROM s.t" in found["V"].definition


def test_objects_of_a_bucket_are_read_without_an_extension(s3_server, monkeypatch):
    place = s3_server.place()
    bucket, _, prefix = place.partition("/")
    client = s3_server.client()
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": range(100_000)}), sink)
    contents = {
        "a.parquet": sink.getvalue().to_pybytes(),
        "deep/b.parquet": sink.getvalue().to_pybytes(),
        "c.csv": b"n\n5\n",
    }
    for name, content in contents.items():
        client.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=content)
    keys = {
        "AWS_ENDPOINT_URL": s3_server.endpoint_url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "reader-key", "AWS_SECRET_ACCESS_KEY": "reader-Secret-0123",
    }  # fmt: skip
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    with open_database("duckdb:").session() as session:
        query = statement(f"select sum(n)::bigint as n from 's3://{place}/**/*.parquet'", "duckdb")
        with session.run(query, {}, Exactness()) as result:
            assert [batch.column(0).to_pylist() for batch in result.batches()] == [[2 * 4_999_950_000]]
        [table] = session.tables([f"s3://{place}/**/*.parquet"]).values()
    assert [(file.path.removeprefix(f"s3://{place}/"), file.size_bytes) for file in table.files] == [
        ("a.parquet", len(contents["a.parquet"])), ("deep/b.parquet", len(contents["deep/b.parquet"])),
    ]  # fmt: skip
    assert all(file.version for file in table.files)
    assert extracted("duckdb:", f"select n from 's3://{place}/c.csv'")[0].to_pydict() == {"n": [5]}
    with pytest.raises(QueryRefused, match="there is no file"):
        extracted("duckdb:", f"select n from 's3://{place}/d.csv'")
    with pytest.raises(QueryRefused):
        extracted("duckdb:", f"copy (select 1 as n) to 's3://{place}/c.csv' (use_tmp_file false)")
    assert client.get_object(Bucket=bucket, Key=f"{prefix}/c.csv")["Body"].read() == b"n\n5\n"


def test_a_bucket_that_does_not_answer_is_unreachable_soon(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    start = time.monotonic()
    with pytest.raises(DatabaseUnreachable, match=r"s3://bucket/x\.parquet cannot be read") as caught:
        extracted("duckdb:", "select * from 's3://bucket/x.parquet'")
    assert time.monotonic() - start < PATIENCE_S
    assert "very-secret" not in json.dumps([caught.value.what, caught.value.next_step])


def test_paths_in_a_url_may_be_escaped(tmp_path):
    made(tmp_path / "o d%d.duckdb", "create table t as select 1 as n")
    assert extracted(f"duckdb:///{quote(str(tmp_path / 'o d%d.duckdb'))}", "select n from t")[0].num_rows == 1
    assert os.environ.get("DUCKDB") is None


JULIAN_1970 = 2_440_588
NOON = "2024-01-01 12:00:00."
FRACTIONS = """{"v": 1.5, "n": [{"a": 1}], "s": "0.12345678901234567890"}
{"v": 0.12345678901234567890, "n": [{"a": 0.1}, {"a": 1.00000000000000000001}], "s": ""}
"""
#: A file of text, how a query reads it, and what is said of it: each of the texts, and none of those behind None.
GUESSED = {
    "types": ("a.csv", "id,v,d,s\n1,0.5,01/02/2026,x\n", "'a.csv'",
              ["delimiter ','", "a header", "dates as %d/%m/%Y", "v DOUBLE", None, "became"]),
    "digits": ("a.csv", "v\n1.5\n0.12345678901234567890\n1e400\n", "'a.csv'",
               ["row 2: 0.12345678901234567890 became 0.12345678901234568", "row 3: 1e400 became Infinity",
                "types={'v': 'VARCHAR'}"]),
    "own digits": ("a.csv", "v\n1.000000000000000056e-01\n0.10000000000000001\n0.30000000000000004\n1.50\ninf\n",
                   "'a.csv'", ["v DOUBLE", None, "became"]),
    "empty": ("a.csv", 'v,s\n1,a\n2,""\n3,\n', "'a.csv'", ['column s, first in row 2: "" became NULL']),
    "empty kept": ("a.csv", 'v,s\n1,a\n2,""\n', "read_csv('a.csv', allow_quoted_nulls=false)", [None, "became"]),
    "stated": ("a.csv", "v\n0.12345678901234567890\n", "read_csv('a.csv', types={'v': 'VARCHAR'})", [None, "became"]),
    "all stated": ("a.csv", "v\n0.12345678901234567890\n", "read_csv('a.csv', all_varchar=true)", [None, "a.csv"]),
    "one column": ("a.csv", "id,n\n", "read_csv('a.csv', delim='|')", ["became one column, 'id,n'"]),
    "json": ("a.json", '{"v": 1.5}\n{"v": 12345678901234567890123}\n', "'a.json'",
             ["v DOUBLE", "row 2: 12345678901234567890123 became 1.2345678901234568e+22"]),
    "json digits": ("a.json", FRACTIONS, "'a.json'",
                    ["v, first in row 2: 0.12345678901234567890 became 0.12345678901234568", "'DECIMAL(38,20)'",
                     "column n.a, first in row 2: 1.00000000000000000001 became 1", "read_json_objects(FILE)", None,
                     "column s"]),
    "json list": ("a.json", '[{"v": 1e400},\n {"v": -0.10000000000000000555},\n {"v": 0.30000000000000004}]',
                  "'a.json'", ["column v, first in row 1: 1e400 became Infinity", None, "row 2", "row 3"]),
    "json small": ("a.json", '{"v": 0e-500, "w": 1.5e-300}\n{"v": 1.5e-323, "w": 2}\n{"v": 1e-400, "w": 2}\n',
                   "'a.json'", ["column v, first in row 3: 1e-400 became 0", None, "row 1", "row 2", "column w"]),
    "json as text": ("a.json", '{"v": 1}\n{"v": 0.12345678901234567890}\n{"v": 123456789012345678901234567890}\n',
                     "read_json('a.json', columns={'v': 'VARCHAR'})",
                     ["row 2: 0.12345678901234567890 became", None, "row 3"]),
    "json decimal": ("a.json", '{"v": 0.12345678901234567890, "w": 0.125, "z": 0.12345678901234567891}\n',
                     "read_json('a.json', columns={'v': 'DECIMAL(38,20)', 'w': 'DECIMAL(5,2)'})",
                     ["column w, first in row 1: 0.125 became 0.13", None, "column v", "column z"]),
    "json double": ("a.json", '{"v": 0.12345678901234567890}\n', "read_json('a.json', columns={'v': 'DOUBLE'})",
                    [None, "became"]),
    "zeros": ("a.csv", "zip\n" + "1\n" * 30_000 + "00701\n", "'a.csv'",
              ["column zip, first in row 30001: 00701 became 701", "types={'zip': 'VARCHAR'}"]),
    "nanoseconds": ("a.csv", f"t,c\n{NOON}123456789,10:00:00.1234561\n{NOON}123456000,10:00:00\n", "'a.csv'",
                    [f"row 1: {NOON}123456789 became {NOON}123456", "types={'t': 'TIMESTAMP_NS'}",
                     "10:00:00.1234561 became", None, "row 2"]),
}  # fmt: skip


def test_what_becomes_another_value_of_parquet_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wide = pa.decimal256(50, 2)
    rows = {
        "long": pa.array([Decimal("1.50"), Decimal("123456789012345678.91")], wide),
        "short": pa.array([Decimal("1.50"), None], wide),
        "lists": pa.array([None, [Decimal("0.25"), Decimal("98765432109876543.21")]], pa.list_(wide)),
        "deep": pa.array(
            [[[None]], [[Decimal("0.25"), Decimal("98765432109876543.21")]]], pa.list_(pa.list_(wide))
        ),
        "n": pa.array([Decimal("123456789012345678.91")] * 2, pa.decimal128(38, 2)),
    }
    pq.write_table(pa.table(rows), "a.parquet")
    moments = pa.array([1_704_110_400_123_456_000, 1_704_110_400_123_456_789], pa.timestamp("ns"))
    pq.write_table(
        pa.table({"t": moments, "u": moments[:1].take([0, 0])}),
        "b.parquet",
        use_deprecated_int96_timestamps=True,
    )
    told = []
    for source in ("'a.parquet'", "read_parquet('b.parquet')"):
        query = statement(f"SELECT * FROM {source}", "duckdb")
        with open_database("duckdb:").session() as session:
            with session.run(query, {}, Exactness()) as result:
                list(result.batches())
            told += session.guessed(query, {})
    assert [one.told.partition(", as DuckDB")[0] for one in told] == [
        "a.parquet: column long, first in row 2: 123456789012345678.91 became 1.2345678901234568e+17",
        "a.parquet: column lists, first in row 2: 98765432109876543.21 became 9.876543210987654e+16",
        "a.parquet: column deep, first in row 2: 98765432109876543.21 became 9.876543210987654e+16",
        "b.parquet: column t, first in row 2: 2024-01-01T12:00:00.123456789 became 2024-01-01T12:00:00.123456",
    ]
    assert not any(digits in one.record for one in told for digits in ("2345678", "8765432"))


def test_int96_moments_of_any_year_are_told_only_where_their_nanoseconds_are_lost(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    days = ["0001-01-01", "1500-02-28", "1969-12-31", "2300-05-05", "9999-12-31"]
    moments = pa.array([*(datetime.fromisoformat(f"{day}T12:00:00.123456") for day in days), None])
    rows = {"whole": moments, "cut": moments, "lists": pa.array([[None], [], None, [moments[3]], [], []])}
    plain = {"use_deprecated_int96_timestamps": True, "use_dictionary": False, "compression": "none"}
    pq.write_table(pa.table(rows), "a.parquet", **plain)
    # Nothing writes INT96 with nanoseconds of such years any more: they are put into the file's own bytes.
    held = Path("a.parquet").read_bytes()
    at = struct.pack(
        "<QI", (12 * 3600 * 10**6 + 123456) * 1000, JULIAN_1970 + (date(2300, 5, 5) - date(1970, 1, 1)).days
    )
    assert held.count(at) == 3
    cut = held.index(at, held.index(at) + 1)
    with_nanoseconds = struct.pack("<Q", (12 * 3600 * 10**6 + 123456) * 1000 + 789)
    held = held[:cut] + with_nanoseconds + held[cut + 8 :].replace(at[:8], with_nanoseconds)
    Path("b.parquet").write_bytes(held)
    told = []
    for name in ("a.parquet", "b.parquet"):
        query = statement(f"SELECT * FROM '{name}'", "duckdb")
        with open_database("duckdb:").session() as session:
            with session.run(query, {}, Exactness()) as result:
                assert pa.Table.from_batches(result.batches())["cut"].to_pylist() == moments.to_pylist()
            told += [one.told.partition(", as DuckDB")[0] for one in session.guessed(query, {})]
    became = "2300-05-05T12:00:00.123456789 became 2300-05-05T12:00:00.123456"
    assert told == [
        f"b.parquet: column cut, first in row 4: {became}",
        f"b.parquet: column lists, first in row 4: {became}",
    ]


@pytest.mark.parametrize("case", GUESSED)
def test_what_is_guessed_of_a_text_file_is_told(case, tmp_path, monkeypatch):
    name, text, source, expected = GUESSED[case]
    (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    query = statement(f"SELECT * FROM {source}", "duckdb")
    with open_database("duckdb:").session() as session:
        with session.run(query, {}, Exactness()) as result:
            list(result.batches())
        guessed = session.guessed(query, {}, trace(query, session.tables))
    told = "\n".join(one.told for one in guessed)
    assert "0.1234" not in "".join(one.record or one.told for one in guessed), "a value is not written down"
    unsaid = expected.index(None) if None in expected else len(expected)
    assert [words for words in expected[:unsaid] if words not in told] == [], told
    assert [words for words in expected[unsaid + 1 :] if words in told] == [], told


def guesses(text, monkeypatch):
    """What is guessed, and how often a file was parsed once more to find what was altered."""
    asked = []
    monkeypatch.setattr(
        duckdb_guesses,
        "_question",
        lambda *given, usual=duckdb_guesses._question: asked.append(1) or usual(*given),
    )
    query = statement(text, "duckdb")
    with open_database("duckdb:").session() as session:
        with session.run(query, {}, Exactness()) as result:
            list(result.batches())
        return session.guessed(query, {}, trace(query, session.tables)), len(asked)


def test_the_types_of_several_files_are_those_that_fit_them_all(tmp_path, monkeypatch):
    """The sniffer looks at the first alone, and would tell of numbers what is text."""
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("id,v\n1,0.5\n")
    Path("b.csv").write_text("id,v\n2,abc\n")
    (told,), _ = guesses("SELECT * FROM '*.csv'", monkeypatch)
    assert "id BIGINT, v VARCHAR; to state it" in told.told


def test_only_columns_that_the_query_reads_are_told_a_few_of_them_and_all_recorded(tmp_path, monkeypatch):
    names = [f"c{at}" for at in range(20)]
    file = tmp_path / "wide.csv"
    file.write_text(",".join(names) + "\n" + ",".join(["1.5"] * 20) + "\n")
    (one,), _ = guesses(f"SELECT c3, C7 FROM '{file}'", monkeypatch)
    assert "a header, c3 DOUBLE, c7 DOUBLE; to state it" in one.told
    (one,), _ = guesses(f"SELECT * FROM '{file}'", monkeypatch)
    assert "c4 DOUBLE and 15 more columns; to state it" in one.told
    assert one.record.endswith(", ".join(f"{name} DOUBLE" for name in names))
    (one,), _ = guesses(f"SELECT count(*) AS n FROM '{file}'", monkeypatch)
    assert "a header; to state it" in one.told


@pytest.mark.parametrize(("text", "column", "parsed"), [
    ("v,s\n1.5,a\n1234567.1234567,b\n", "v, s", 0),
    ("v,s\n1.5,a\n12345678.123456789,b\n", "v, s", 1),
    ("v,s\n1.5,a\n12345678.123456789,b\n", "s", 0),
    ("v,s\n1.5,a\n1E-999,b\n", "v", 1),
    ('v,s\n1.5,a\n2.5,""\n', "s", 1),
    ('v,s\n1.5,a\n2.5,""\n', "v", 0),
    ("v;s\n1,5;a\n12345678,123456789;b\n", "v, s", 0),
])  # fmt: skip
def test_a_csv_is_parsed_again_only_where_its_bytes_may_hold_what_is_altered(
    text, column, parsed, tmp_path, monkeypatch
):
    file = tmp_path / "a.csv"
    file.write_text(text)
    assert guesses(f"SELECT {column} FROM '{file}'", monkeypatch)[1] == parsed


def test_a_packed_csv_is_always_looked_into(tmp_path, monkeypatch):
    file = tmp_path / "a.csv.gz"
    file.write_bytes(gzip.compress(b"v\n1.5\n0.12345678901234567890\n"))
    assert (
        "row 2: 0.12345678901234567890 became" in guesses(f"SELECT v FROM '{file}'", monkeypatch)[0][1].told
    )


def test_what_lies_over_the_border_of_two_reads_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(file_traits, "_CHUNK_BYTES", 8)
    for text in (b"1,1234567890123456", b"1234567,1e-400", b'1234567""', b"1234567,1e400"):
        (tmp_path / "a").write_bytes(text)
        digest, traits = file_traits.digest_and_traits(tmp_path / "a")
        assert digest == hashlib.sha256(text).hexdigest()
        assert (traits.long_numbers, traits.empty_quotes) == (
            (False, True) if b'"' in text else (True, False)
        )
