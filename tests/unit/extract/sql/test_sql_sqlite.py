"""SQLite, held against Python's own reading of the same file: values, types, errors, catalogue."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest
from databases import extracted, statement
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from server_process import PATIENCE_S

from datakeep.core.errors import AccessDenied, UsageError
from datakeep.extract.sql import sqlite_classes
from datakeep.extract.sql.advice import advise
from datakeep.extract.sql.faults import DatabaseUnreachable, NotExact, QueryFailed, QueryRefused
from datakeep.extract.sql.interface import Exactness, Parameter
from datakeep.extract.sql.opening import open_database
from datakeep.extract.sql.statement import parse


@pytest.fixture
def file(tmp_path):
    return tmp_path / "some data.db"


def made(file: Path, *commands: str, rows=()) -> str:
    """The URL of ``file`` after ``commands``; ``rows`` are put in by the last of them."""
    with sqlite3.connect(file) as connection:
        for command in commands[: -1 if rows else None]:
            connection.execute(command)
        if rows:
            connection.executemany(commands[-1], rows)
    connection.close()
    return f"sqlite:///{file}"


def read_again(file: Path, query: str) -> list[tuple]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def rows_of(table) -> list[tuple]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True)) if table.num_rows else []


NUMBERS = some.one_of(some.integers(-(2**53), 2**53), some.floats(allow_nan=False))
COLUMN = some.sampled_from(
    [
        some.integers(-(2**63), 2**63 - 1) | some.sampled_from([2**63 - 1, -(2**63), 2**53 + 1]),
        some.floats(allow_nan=False)
        | some.sampled_from([1e-18, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, -0.0]),
        some.text()
        | some.sampled_from(["", "😀", "日本語", "a\x00b", "'", "0001-01-01", "9999-12-31", "NULL"]),
        some.binary() | some.just(b""),
        NUMBERS,
    ]
).flatmap(lambda values: some.lists(some.none() | values, min_size=1, max_size=40))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=COLUMN)
def test_every_value_of_a_column_of_one_class_or_of_numbers_is_the_one_that_sqlite_has(tmp_path, values):
    file = tmp_path / "one.db"
    file.unlink(missing_ok=True)
    url = made(file, "create table t(x)", "insert into t values (?)", rows=[(value,) for value in values])
    table, _ = extracted(url, "select x from t order by rowid")
    found, kept = (
        table.column("x").to_pylist(),
        [row[0] for row in read_again(file, "select x from t order by rowid")],
    )
    assert found == kept
    assert [str(value) for value in found if isinstance(value, float)] == [
        str(float(kept[at])) for at, value in enumerate(found) if isinstance(value, float)
    ]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example(values=[2**53 + 2, 0.5])  # a double beyond those that Arrow makes of whole numbers
@given(
    values=some.lists(
        some.none() | some.integers(-(2**63), 2**63 - 1) | some.floats(allow_nan=False) | some.text(),
        min_size=1,
    )
)
def test_a_column_of_mixed_classes_is_exact_or_refused_or_text(tmp_path, values):
    file = tmp_path / "mixed.db"
    file.unlink(missing_ok=True)
    url = made(file, "create table t(x)", "insert into t values (?)", rows=[(value,) for value in values])
    try:
        table, _ = extracted(url, "select x from t")
    except NotExact as error:
        row = int(re.search(r"column x, row (\d+): ", error.what)[1])
        assert repr(values[row - 1])[:20] in error.what  # noqa: PT017  (some are exact, and raise nothing)
        assert "--as-text x" in error.next_step  # noqa: PT017
    else:
        found = table.column("x").to_pylist()
        assert found == values
        assert all((type(a), type(b)) != (str, int) for a, b in zip(found, values, strict=True))
    text, _ = extracted(url, "select x from t", as_text=("x",))
    for value, kept in zip(values, text.column("x").to_pylist(), strict=True):
        assert kept is None if value is None else type(value)(kept) == value


def test_all_columns_that_cannot_be_kept_are_told_at_once(file):
    rows = [(1, 2, 3), ("one", 2.5, 4), (1, "two", 5)]
    url = made(file, "create table t(a, b, c)", "insert into t values (?, ?, ?)", rows=rows)
    with pytest.raises(NotExact, match="2 columns cannot be kept exactly") as caught:
        extracted(url, "select * from t")
    assert caught.value.things == (
        "column a, row 2: 'one' is text, while the values before it are integer",
        "column b, row 3: 'two' is text, while the values before it are integer",
    )
    assert caught.value.next_step.startswith("keep them as text: --as-text a --as-text b; or")
    table, _ = extracted(url, "select * from t", as_text=("a", "b"))
    assert table.column("b").to_pylist() == ["2", "2.5", "two"]


def test_a_type_that_changes_after_many_rows_is_found_before_the_first_batch_and_names_its_row(file):
    rows = [(1,)] * 40_000 + [("two",)]
    url = made(file, "create table t(x)", "insert into t values (?)", rows=rows)
    with pytest.raises(
        NotExact, match=r"column x, row 40001: 'two' is text, while the values before it are integer"
    ):
        extracted(url, "select x from t")


def test_fractions_after_many_whole_numbers_make_the_column_double_and_lose_none(file):
    rows = [(value,) for value in range(40_000)] + [(0.5,)]
    url = made(file, "create table t(x decimal(10,2))", "insert into t values (?)", rows=rows)
    table, (column,) = extracted(url, "select x from t order by rowid")
    assert (column.database_type, column.arrow_type) == ("decimal(10,2)", "double")
    assert "whole numbers and fractions" in column.note
    assert table.column("x").to_pylist() == [float(value) for (value,) in rows]


@pytest.mark.parametrize("before", [0, 40_000])
def test_a_whole_number_that_has_no_double_beside_fractions_is_refused(file, before):
    rows = [(0.5,)] * (before + 1) + [(2**53 + 1,)]
    url = made(file, "create table t(x)", "insert into t values (?)", rows=rows)
    with pytest.raises(NotExact, match=rf"column x, row {before + 2}: 9007199254740993 has no exact double"):
        extracted(url, "select x from t")


def test_late_values_of_a_column_that_begins_with_nulls_are_kept(file):
    rows = [(None, None)] * 40_000 + [("a", b"b")]
    url = made(file, "create table t(x, y)", "insert into t values (?, ?)", rows=rows)
    table, columns = extracted(url, "select x, y from t")
    assert [column.arrow_type for column in columns] == ["string", "binary"]
    assert rows_of(table.slice(40_000)) == [("a", b"b")]
    assert table.column("x").null_count == 40_000


def test_whole_numbers_beyond_64_bits_are_what_sqlite_makes_of_them_and_said_to_be_double(file):
    url = made(file, "create table t(x)")
    table, (column,) = extracted(url, "select 9223372036854775808 as x")
    assert column.arrow_type == "double"
    assert table.column("x").to_pylist() == [9.223372036854775807e18]


def test_text_that_is_no_utf_8_is_refused_with_the_way_to_its_bytes(file):
    url = made(file, "create table t(x)", "insert into t values (cast(x'ff41' as text))")
    with pytest.raises(NotExact, match="column x, row 1: the text x'ff41' is no UTF-8") as caught:
        extracted(url, "select x from t")
    assert "CAST(x AS BLOB)" in caught.value.next_step
    numbers = (
        "with recursive r(n) as (select 1 union all select n + 1 from r where n < :least) select n, 'é' x"
    )
    with pytest.raises(NotExact, match="column x, row 40001: the text x'ff41' is no UTF-8"):
        extracted(
            url, f"{numbers} from r union all select 0, x from t", {"least": Parameter("integer", 40_000)}
        )
    table, _ = extracted(url, "select CAST(x AS BLOB) AS x from t")
    assert table.column("x").to_pylist() == [b"\xffA"]


def test_a_column_without_values_goes_by_its_declared_type(file):
    url = made(file, "create table t(a integer, b varchar(3), c blob, d double, e, f datetime)")
    _, columns = extracted(url, "select a, b, c, d, e, f, null as g from t")
    assert [(column.database_type, column.arrow_type) for column in columns] == [
        ("INTEGER", "int64"), ("varchar(3)", "string"), ("BLOB", "binary"), ("double", "double"), ("null", "null"),
        ("datetime", "null"), ("null", "null"),
    ]  # fmt: skip


def test_dates_and_booleans_stay_what_sqlite_has_and_the_declared_type_is_recorded(file):
    url = made(
        file, "create table t(d date, b boolean)", "insert into t values (?, ?)", rows=[("2024-02-30", True)]
    )
    table, columns = extracted(url, "select d, b from t")
    assert rows_of(table) == [("2024-02-30", 1)]
    assert [column.database_type for column in columns] == ["date", "boolean"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM o UNION ALL SELECT id FROM o",
        "SELECT id, (SELECT count(*) FROM ci WHERE v = o.c) AS n FROM o",
        "SELECT id FROM o WHERE EXISTS (SELECT 1 FROM ci WHERE v = o.c)",
        "SELECT CASE WHEN id > 5 THEN (SELECT max(v) FROM ci) END AS m FROM o",
        "SELECT o.id, x.value FROM o, json_each('[1,2]') x",
        "SELECT o.id, x.atom FROM o, json_tree('[1,2]') x",
    ],
)
def test_what_opens_a_table_while_it_runs_or_takes_json_apart_is_read_whole(file, query):
    url = made(
        file,
        "CREATE TABLE o (id INTEGER PRIMARY KEY, c INT)",
        "CREATE TABLE ci (k TEXT PRIMARY KEY, v INT)",
        "INSERT INTO ci VALUES ('a', 1), ('b', 7)",
        "INSERT INTO o VALUES (?, ?)",
        rows=[(at, at % 3) for at in range(20)],
    )
    assert sorted(rows_of(extracted(url, query)[0]), key=repr) == sorted(read_again(file, query), key=repr)


def test_rows_of_a_megabyte_each_are_kept_whole_in_batches_that_stay_small(file):
    blobs = [(os.urandom(1 << 20),) for _ in range(40)]
    url = made(file, "create table t(x)", "insert into t values (?)", rows=blobs)
    with open_database(url).session() as session:
        with session.run(statement("select x from t", "sqlite"), {}, Exactness()) as result:
            batches = list(result.batches())
        assert [(value,) for batch in batches for value in batch.column(0).to_pylist()] == blobs
        assert len(batches) > 1


def test_no_rows_is_a_result_with_its_schema(file):
    url = made(file, "create table t(x integer)")
    table, _ = extracted(url, "select x from t;  -- nothing")
    assert (table.num_rows, str(table.schema.field("x").type)) == (0, "int64")


def test_parameters_are_bound_and_never_part_of_the_text(file):
    url = made(file, "create table t(x)", "insert into t values ('a'' or 1=1')")
    given = {
        "i": Parameter("integer", 2**63 - 1), "s": Parameter("text", "a' or 1=1"),
        "d": Parameter("decimal", Decimal("0.5")),
        "w": Parameter("decimal", Decimal(9007199254740993)), "b": Parameter("boolean", True),
        "t": Parameter("timestamp", datetime(2024, 1, 2, 3, 4, 5)),  # noqa: DTZ001
        "y": Parameter("date", date(1, 1, 1)), "n": Parameter("text", None),
    }  # fmt: skip
    table, _ = extracted(
        url, "select :i i, :s s, :d d, :w w, :t t, :y y, :b b, :n n, ':x' q from t where x = :s", given
    )
    assert rows_of(table) == [
        (2**63 - 1, "a' or 1=1", 0.5, 9007199254740993, "2024-01-02 03:04:05", "0001-01-01", 1, None, ":x")
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, r"line 2, column 4: the parameter :x has no value"),
        ({"x": Parameter("integer", 2**63)}, "larger than SQLite's 64 bits"),
        ({"x": Parameter("decimal", Decimal("0.12345678901234567890123"))}, "no exact double"),
        ({"x": Parameter("text", "a"), "z": Parameter("text", "b")}, "no placeholder :z"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(file, given, said):
    with pytest.raises(QueryRefused, match=said):
        extracted(made(file, "create table t(x)"), "select\n   :x as x", given)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("selec 1", r'line 1, column 1: near "selec": syntax error'),
        ("select *\n  from t t\n wher x = 'x'", r"line 3, column 7: near \"x\"|line 3, column 2"),
        ("select 1 from (select", "line 1, column 22: incomplete input"),
        ("select 'selec', x from t where from", r'column 32: near "from"'),
        ("select *\nfrom t, nope", "line 2, column 9: no such table: nope"),
        ("select x,\n  nope from t", "line 2, column 3: no such column: nope"),
        ("select nope(x) from t", r"column 8: no such function: nope"),
        ("select x, x from t", "two columns of the name 'x'"),
        ("select load_extension('/tmp/evil.so') as x", "not authorized|no such function"),
        (
            "select x,\n  p.name from t join pragma_table_info('t') as p",
            r"line 2, column 22: pragma_table_info is a pragma, which no query may use",
        ),
    ],
)
def test_what_sqlite_does_not_take_is_refused_at_its_place(file, query, said):
    url = made(file, "create table t(x)")
    with pytest.raises((QueryRefused, QueryFailed), match=said) as caught:
        extracted(url, query)
    if "line" in said:
        assert caught.value.things[1].endswith("^")


@pytest.mark.parametrize(
    "query",
    ["insert into t values (1)", "create table u(x)", "attach 'other.db' as o", "pragma writable_schema = on",
     "begin", "delete from t returning x", "vacuum into 'copy.db'"],
)  # fmt: skip
def test_what_does_more_than_read_is_refused_and_changes_nothing(file, query, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = made(file, "create table t(x)", "insert into t values (7)")
    before = file.read_bytes()
    with pytest.raises((QueryRefused, QueryFailed), match=r"does more than read|cannot VACUUM"):
        extracted(url, query)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_writer_in_the_middle_changes_nothing_of_what_the_session_sees(file):
    url = made(file, "pragma journal_mode = wal", "create table t(x)", "insert into t values (1)")
    with open_database(url).session() as session:
        assert session.ask("select count(*) from t") == [(1,)]
        made(file, "insert into t values (2)")
        with session.run(statement("select x from t", "sqlite"), {}, Exactness()) as result:
            assert sum(batch.num_rows for batch in result.batches()) == 1
        assert abs((datetime.now(UTC) - session.snapshot.began).total_seconds()) < 60
        assert session.server == f"SQLite {sqlite3.sqlite_version}"


FOREVER = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as n from n"


def test_a_query_that_takes_longer_than_it_may_is_ended(file):
    url = made(file, "create table t(x)")
    with pytest.raises(QueryFailed, match="ended after 1 s, its time limit"):
        extracted(url, FOREVER, timeout_s=1)


def test_ctrl_c_ends_a_query_while_sqlite_is_at_work(file):
    url = made(file, "create table t(x)")
    timer = threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  however early it comes
        timer.start()
        extracted(url, FOREVER, timeout_s=PATIENCE_S)
        timer.join()
    timer.join()


def test_a_fault_that_only_a_row_shows_is_a_failure_of_the_query(file):
    url = made(file, "create table t(x)", "insert into t values (?)", rows=[(1,)] * 50_000 + [(-(2**63),)])
    with pytest.raises(QueryFailed, match="integer overflow"):
        extracted(url, "select abs(x) as x from t")


def test_files_that_cannot_be_opened_are_named(tmp_path):
    with pytest.raises(DatabaseUnreachable, match=r"there is no SQLite file .*missing\.db"):
        extracted(f"sqlite:///{tmp_path}/missing.db", "select 1 as x")
    assert not (tmp_path / "missing.db").exists()
    with pytest.raises(DatabaseUnreachable, match="is a folder"):
        extracted(f"sqlite:///{tmp_path}", "select 1 as x")
    (tmp_path / "text.db").write_text("name,age\n" * 100)
    with pytest.raises(DatabaseUnreachable, match="no SQLite database, or an encrypted one"):
        extracted(f"sqlite:///{tmp_path}/text.db", "select 1 as x")
    (tmp_path / "empty.db").touch()
    with pytest.raises(DatabaseUnreachable, match="is empty"):
        extracted(f"sqlite:///{tmp_path}/empty.db", "select 1 as x")
    with pytest.raises(UsageError, match="in memory"):
        extracted("sqlite:///:memory:", "select 1 as x")


def test_a_file_that_may_not_be_read_is_a_denied_access(file, monkeypatch):
    url = made(file, "create table t(x)")

    def denied(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(AccessDenied, match="may not be read"):
        extracted(url, "select x from t")


def test_a_file_that_is_locked_says_so(file, monkeypatch):
    monkeypatch.setattr("datakeep.extract.sql.sqlite._BUSY_S", 0.1)
    url = made(file, "create table t(x)")
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("begin exclusive")
    try:
        with pytest.raises(DatabaseUnreachable, match="is locked by a program that writes to it"):
            extracted(url, "select x from t")
    finally:
        writer.close()


def test_a_damaged_file_is_named(file):
    url = made(file, "create table t(x)", "insert into t values (?)", rows=[("a" * 500,)] * 500)
    content = bytearray(file.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    file.write_bytes(content)
    with pytest.raises(QueryFailed, match="is damaged"):
        extracted(url, "select x from t")


def test_the_catalogue_has_columns_keys_and_the_text_of_views(file):
    url = made(
        file,
        'create table "Odd.Name"(a integer not null, b text, c as (a + 1), primary key (b, a), unique (a))',
        'create unique index some_b on "Odd.Name"(b) where a > 1',
        "create table plain(id integer primary key, x)",
        "create view seen as select id from plain",
    )
    with open_database(url).session() as session:
        found = session.tables(['"Odd.Name"', "main.PLAIN", "seen", "nope", "other.plain"])
    assert set(found) == {'"Odd.Name"', "main.PLAIN", "seen"}
    odd = found['"Odd.Name"']
    assert (odd.name, odd.kind, odd.primary_key, odd.unique) == (
        "main.Odd.Name",
        "table",
        ("b", "a"),
        (("a",),),
    )
    assert [(column.name, column.database_type, column.nullable) for column in odd.columns] == [
        ("a", "INTEGER", False), ("b", "TEXT", True), ("c", "", True),
    ]  # fmt: skip
    assert found["main.PLAIN"].primary_key == ("id",)
    assert (found["seen"].kind, found["seen"].definition) == (
        "view",
        "CREATE VIEW seen as select id from plain",
    )


@pytest.mark.parametrize(
    ("table", "may_be_null"),
    [
        ("t(id integer primary key, x, y)", False),
        ("t(id integer primary key desc, x, y)", True),
        ("t(id text primary key, x, y)", True),
        ("t(id text not null primary key, x, y)", False),
        ("t(id text, x not null default 1, y, primary key (id, x))", True),
        ("t(id text primary key, x, y) without rowid", False),
    ],
)
def test_a_primary_key_may_hold_null_unless_that_is_forbidden(file, table, may_be_null):
    """Several rows without a key have no order: SQLite keeps what an early fault of its own allowed."""
    url = made(file, f"create table {table}")
    if may_be_null:
        made(file, "insert into t(id) values (null), (null)")
    with open_database(url).session() as session:
        tables = session.tables(["t"])
    assert tables["t"].primary_key[0] == "id"
    assert tables["t"].columns[0].nullable == may_be_null
    told = [one.id for one in advise(statement("select y from t order by id, x limit 1", "sqlite"), tables)]
    assert ("limit-unordered" in told) == may_be_null


def test_a_real_database_is_read_value_for_value():
    """The films of bokeh's sample data: 25 columns, mixed and sparse."""
    [place] = find_spec("bokeh_sampledata").submodule_search_locations
    file = Path(place) / "_data" / "movies.db"
    query = "select * from omdb order by rowid"
    table, columns = extracted(f"sqlite:///{file}", query)
    assert rows_of(table) == read_again(file, query)
    assert table.num_rows > 1000
    assert any(column.database_type for column in columns)


@pytest.mark.parametrize("most", [4_096, 3])
def test_the_classes_of_all_values_are_found_in_either_way(most, monkeypatch):
    """By the rows that are alike, or, where too many are not, column by column."""
    monkeypatch.setattr(sqlite_classes, "_MOST_ALIKE", most)
    rows = [
        (
            at,
            None if at & 1 else "x",
            None if at & 2 else 0.5,
            None if at & 4 else b"b",
            None,
            1 if at < 60 else 0.5,
        )
        for at in range(64)
    ]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("create table t(a, b, c, d, e, f)")
        connection.executemany("insert into t values (?, ?, ?, ?, ?, ?)", rows)
        found = sqlite_classes.classes_of_all(connection, "select * from t where a >= :low", {"low": 0}, 6)
        none = sqlite_classes.classes_of_all(connection, "select * from t where a < 0", {}, 6)
    assert found == [{"integer"}, {"text"}, {"real"}, {"blob"}, set(), {"integer", "real"}]
    assert none == [set()] * 6


@pytest.mark.parametrize("query", ["SELECT 1 AS a WHERE 1 > $x", "SELECT $1 AS a", "SELECT :x AS a, $x AS b"])
def test_a_variable_of_sqlites_own_is_refused(query):
    """Which the driver would bind by its name, or ask for."""
    with pytest.raises(QueryRefused, match="a parameter or variable whose value nobody can see"):
        parse(query, "sqlite")
    parse('SELECT "$x" FROM t', "sqlite")
    parse("SELECT a$x FROM t", "sqlite")
