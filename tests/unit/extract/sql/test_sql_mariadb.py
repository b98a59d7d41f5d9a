"""MariaDB through SQLAlchemy, on a real server, held against pymysql: values, types, snapshot, errors, catalogue."""

from __future__ import annotations

import gc
import re
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from databases import extracted, statement
from hypothesis import given, settings
from hypothesis import strategies as some
from mariadb_server import PASSWORD, MariadbServer
from server_process import PATIENCE_S, surely_ended, until

from datakeep.core.errors import AccessDenied
from datakeep.extract.sql.faults import (
    DatabaseUnreachable,
    DriverMissing,
    NotExact,
    QueryFailed,
    QueryRefused,
)
from datakeep.extract.sql.interface import Exactness, Parameter
from datakeep.extract.sql.opening import open_database

EVERY_TYPE = """
create table every_type(
  n int primary key auto_increment, ti tinyint, bu bigint unsigned, d65 decimal(65,30), du decimal(12,2) unsigned,
  f float, db double, y date, dt datetime(6), ts timestamp(6) null default null, tm time(6), yr year, b9 bit(9),
  vc varchar(300), tx longtext, bl longblob, vb varbinary(5), en enum('a','b'), st set('a','b'), js json,
  fl boolean, uu uuid, l1 char(9) character set latin1
)
"""


@pytest.fixture(scope="module")
def server():
    server = MariadbServer()
    server.start()
    try:
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("create database shop")
            cursor.execute("use shop")
            cursor.execute(EVERY_TYPE)
            cursor.execute("create table t(x int)")
            cursor.execute("insert into t values (1), (2)")
            cursor.execute("create table many as select seq as n, repeat('x', 100) as s from seq_1_to_300000")
            cursor.execute("create user limited@'127.0.0.1' identified by 'other-Secret-77'")
            cursor.execute("grant select on shop.t to limited@'127.0.0.1'")
        yield server
    finally:
        server.remove()


def read_again(server, query: str) -> list[tuple]:
    """Every column as the server's own text, through a connection of pymysql that converts nothing."""
    with server.connect("shop", conv={}) as connection, connection.cursor() as cursor:
        cursor.execute("set time_zone = '+00:00'")
        cursor.execute(query)
        return list(cursor.fetchall())


COLUMNS = {
    "ti": some.integers(-128, 127),
    "bu": some.integers(0, 2**64 - 1) | some.just(2**64 - 1),
    "d65": some.decimals(min_value=-(10**34), max_value=10**34, places=30, allow_nan=False)
    | some.just(Decimal("1e-18")),
    "du": some.decimals(min_value=0, max_value=9_999_999_999, places=2),
    "f": some.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)
    | some.just(16777216.0),
    "db": some.floats(allow_nan=False, allow_infinity=False) | some.sampled_from([1e-18, 0.1 + 0.2, 5e-324]),
    "y": some.dates(date(1, 1, 1)) | some.sampled_from([date(1, 1, 1), date.max]),
    "dt": some.datetimes(datetime(1, 1, 1)) | some.just(datetime(9999, 12, 31, 23, 59, 59, 999999)),  # noqa: DTZ001
    "ts": some.datetimes(datetime(1970, 1, 2), datetime(2038, 1, 18)),  # noqa: DTZ001
    "tm": some.times(),
    "yr": some.integers(1901, 2155),
    "b9": some.integers(0, 511),
    "vc": some.text(some.characters(exclude_categories=["Cs"]), max_size=300)
    | some.sampled_from(["", "😀", "日本", "%s"]),
    "tx": some.text(some.characters(exclude_categories=["Cs"])),
    "bl": some.binary(),
    "vb": some.binary(max_size=5),
    "en": some.sampled_from("ab"),
    "st": some.sampled_from(["", "a", "b", "a,b"]),
    "js": some.sampled_from(['{"a": 1e400}', "[]", '"\\u00e9"']),
    "fl": some.booleans(),
    "uu": some.uuids(version=4).map(str),
    "l1": some.text(
        some.characters(min_codepoint=33, max_codepoint=126) | some.sampled_from("éß€"), max_size=9
    ),
}
ROW = some.fixed_dictionaries({name: some.none() | values for name, values in COLUMNS.items()})


def as_server_writes(name: str, value) -> str | bytes | None:
    """What is kept, in the server's text protocol."""
    if value is None:
        return None
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value
    if name in {"dt", "ts"}:
        return value.replace(tzinfo=None).strftime("%m-%d %H:%M:%S.%f") + f" {value.year}"
    if name == "b9":
        return value.to_bytes(2)
    return value.strftime("%H:%M:%S.%f") if name == "tm" else str(value)


@settings(max_examples=30, deadline=None)
@given(rows=some.lists(ROW, min_size=1, max_size=8))
def test_every_value_is_the_one_that_the_server_has(server, rows):
    names = list(COLUMNS)
    with server.connect("shop") as connection, connection.cursor() as cursor:
        cursor.execute("set time_zone = '+00:00'")
        cursor.execute("truncate every_type")
        marks = ", ".join(["%s"] * len(names))
        for row in rows:
            values = [row[name] for name in names]
            cursor.execute(f"insert into every_type({', '.join(names)}) values ({marks})", values)
    query = f"select n, {', '.join(names)} from every_type"
    table, columns = extracted(server.url("shop"), query)
    kept = {row[0]: dict(zip(names, row[1:], strict=True)) for row in read_again(server, query)}
    exact = dict(read_again(server, "select n, cast(f as double) from every_type"))
    assert table.num_rows == len(rows)
    for row in table.to_pylist():
        server_has = kept[str(row["n"])]
        for name in names:
            found, told = as_server_writes(name, row[name]), server_has[name]
            if name in {"f", "db"}:
                told = None if told is None else float(exact[str(row["n"])] if name == "f" else told)
                assert row[name] == told, name
            elif name in {"dt", "ts"} and told is not None:
                moment = re.fullmatch(r"(\d{4})-(.*)", told)
                assert found == f"{moment[2]} {int(moment[1])}", name
            else:
                assert found == told, name
    assert [column.arrow_type for column in columns[1:]] == [
        "int8", "uint64", "decimal256(65, 30)", "decimal128(12, 2)", "float", "double", "date32[day]",
        "timestamp[us]", "timestamp[us, tz=UTC]", "time64[us]", "uint16", "uint64", "string", "string", "binary",
        "binary", "string", "string", "string", "int8", "string", "string",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("charset", "code", "way_out"),
    [("sjis", "8740", "cp932"), ("ujis", "ADA1", "eucjpms"), ("greek", "FF", None)],
)
def test_a_character_that_unicode_does_not_have_is_refused_and_a_question_mark_is_one(
    server, charset, code, way_out
):
    with server.connect("shop") as connection, connection.cursor() as cursor:
        cursor.execute("drop table if exists words")
        cursor.execute(f"create table words(n int, `w w` varchar(9) character set {charset}, u varchar(9))")
        cursor.execute("insert into words values (1, 'why?', '?'), (2, 'A', 'é'), (3, null, null)")
        query = "select n, `w w`, u from words where u <> '%' or u is null order by n"
        assert extracted(server.url("shop"), query)[0]["w w"].to_pylist() == ["why?", "A", None]
        cursor.execute(f"insert into words values (4, x'41{code}', 'x')")
    with pytest.raises(
        NotExact, match=f"column w w, row 4: x'41{code.lower()}' in the character set {charset}"
    ) as caught:
        extracted(server.url("shop"), query)
    steps = re.findall(r": (C.*?) AS `w w`", caught.value.next_step)
    assert len(steps) == 1 + (way_out is not None)
    found = [
        extracted(server.url("shop"), query.replace("`w w`", f"{step} AS x"))[0]["x"][3].as_py()
        for step in steps
    ]
    assert found == [bytes.fromhex("41" + code), "A①"][: len(steps)]


def test_what_the_server_cuts_with_a_warning_alone_is_whole_or_refused(server):
    table, _ = extracted(server.url("shop"), "select group_concat(s) as x from many")
    assert len(table["x"][0].as_py()) == 300_000 * 101 - 1
    with pytest.raises(
        NotExact, match=r"the server cut a value: Result of repeat\(\) was larger than max_allowed_packet"
    ):
        extracted(server.url("shop"), "select repeat('x', 70 * 1024 * 1024) as x from t")


def test_megabytes_in_a_row_are_kept_whole(server):
    with server.connect("shop") as connection, connection.cursor() as cursor:
        cursor.execute("create or replace table blobs(n int, b longblob, s longtext)")
        for n in range(20):
            cursor.execute(
                "insert into blobs values (%s, %s, %s)", (n, bytes([n, 255]) * (1 << 19), "é😀" * 100_000)
            )
    table, _ = extracted(server.url("shop"), "select n, b, s from blobs")
    assert sorted(table.column("n").to_pylist()) == list(range(20))
    for row in table.to_pylist():
        assert row["b"] == bytes([row["n"], 255]) * (1 << 19)
        assert row["s"] == "é😀" * 100_000


def test_the_types_are_recorded_as_the_server_calls_them(server):
    _, columns = extracted(server.url("shop"), "select * from every_type")
    assert [column.database_type for column in columns] == [
        "int", "tinyint", "bigint unsigned", "decimal(65,30)", "decimal(12,2) unsigned", "float", "double", "date",
        "datetime(6)", "timestamp(6)", "time(6)", "year", "bit(9)", "varchar(300)", "text", "blob", "varbinary(5)",
        "enum", "set", "text", "tinyint", "char(36)", "char(9)",
    ]  # fmt: skip


def test_a_float_has_all_its_digits_and_in_a_sorted_query_says_how_to_get_them(server):
    with server.connect("shop") as connection, connection.cursor() as cursor:
        cursor.execute("create or replace table floats(f float)")
        cursor.execute("insert into floats values (16777216), (0.1)")
    assert read_again(server, "select f from floats")[0] == ("16777200",)
    table, (column,) = extracted(server.url("shop"), "select f from floats")
    assert (table.column("f").to_pylist(), column.arrow_type) == ([16777216.0, 0.10000000149011612], "float")
    assert extracted(server.url("shop"), "select f from floats", as_text=("f",))[0].column("f").to_pylist() == [
        "16777216.0", "0.10000000149011612",
    ]  # fmt: skip
    with pytest.raises(NotExact, match="six digits only") as caught:
        extracted(server.url("shop"), "select f from floats order by f")
    assert "CAST(f AS DOUBLE)" in caught.value.what
    table, _ = extracted(server.url("shop"), "select CAST(f AS DOUBLE) AS f from floats order by f")
    assert table.column("f").to_pylist() == [0.10000000149011612, 16777216.0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("time '-838:59:59'", "row 2: '-838:59:59' is no time64"),
        ("time '24:00:00'", "row 2: '24:00:00' is no time64"),
        ("cast('0000-00-00' as date)", "row 2: '0000-00-00' is no date32"),
        ("timestamp '0000-00-00 00:00:00'", "row 2: '0000-00-00 00:00:00' is no timestamp"),
    ],
)
def test_values_that_arrow_does_not_have_are_refused_with_their_row_and_text_when_told(server, value, said):
    fine = value.replace("-838:59:59", "1:00:00").replace("24:", "1:").replace("0000-00-00", "2024-01-01")
    query = f"select {fine} as x union all select {value}"
    with server.connect("shop") as connection, connection.cursor() as cursor:
        cursor.execute("set global sql_mode = ''")
    with pytest.raises(NotExact, match=re.escape(said)):
        extracted(server.url("shop"), query)
    table, _ = extracted(server.url("shop"), query, as_text=("x",))
    assert table.column("x")[1].as_py() == re.search("'([^']+)'", value)[1]


def test_geometry_stays_the_servers_own_bytes_and_text_only_by_its_own_function(server):
    table, (column,) = extracted(server.url("shop"), "select point(1, 2) as x")
    assert table.column("x").to_pylist() == [read_again(server, "select point(1, 2)")[0][0]]
    assert "WKB" in column.note
    with pytest.raises(NotExact, match=r"ST_AsText\(x\)"):
        extracted(server.url("shop"), "select point(1, 2) as x", as_text=("x",))


def test_a_decimal_of_the_users_choice_is_exact_or_refused(server):
    table, _ = extracted(server.url("shop"), "select 1.50 as x", decimals={"x": (3, 1)})
    assert table.column("x").to_pylist() == [Decimal("1.5")]
    with pytest.raises(NotExact, match=r"column x, row 1: .*1\.25.* is no decimal128"):
        extracted(server.url("shop"), "select 1.25 as x", decimals={"x": (3, 1)})
    with pytest.raises(QueryRefused, match="type double, which has no decimal digits"):
        extracted(server.url("shop"), "select 1.25e0 as x", decimals={"x": (3, 1)})


def test_parameters_are_bound_and_percent_signs_stay(server):
    given = {
        "i": Parameter("integer", 2**63),
        "d": Parameter("decimal", Decimal("12345678901234567890.123456789012345678")),
        "s": Parameter("text", "a'; drop table t; -- \\ %s"), "f": Parameter("double", 0.1),
        "b": Parameter("boolean", True), "y": Parameter("date", date(1, 1, 1)), "n": Parameter("text", None),
        "t": Parameter("timestamp", datetime(2024, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))),
    }  # fmt: skip
    query = (
        "select :i i, :d d, :s s, :f + 0e0 f, :b b, cast(:y as date) y, :n n, cast(:t as datetime) t,"
        " '5%' p, 7 % 4 q, ':s' r"
    )
    table, _ = extracted(server.url("shop"), query, given)
    assert [*table.to_pylist()[0].values()] == [
        2**63, given["d"].value, "a'; drop table t; -- \\ %s", 0.1, 1, date(1, 1, 1), None,
        datetime(2024, 1, 1), "5%", 3, ":s",  # noqa: DTZ001
    ]  # fmt: skip
    assert extracted(server.url("shop"), "select count(*) as n from t")[0].column("n").to_pylist() == [2]


def test_a_session_is_one_read_only_snapshot(server):
    with open_database(server.url("shop")).session() as session, server.connect("shop") as writer:
        assert session.ask("select count(*) from t") == [(2,)]
        with writer.cursor() as cursor:
            cursor.execute("insert into t values (3)")
        try:
            with session.run(statement("select x from t", "mysql"), {}, Exactness()) as result:
                assert sum(batch.num_rows for batch in result.batches()) == 2
            assert session.ask("select count(*) from t where x like '%' and 7 % 4 = 3") == [(2,)]
            with pytest.raises(QueryRefused, match="READ ONLY transaction"):
                session.ask("insert into t values (4)")
        finally:
            with writer.cursor() as cursor:
                cursor.execute("delete from t where x > 2")
        assert re.fullmatch(r"MariaDB \d+\.\d+\.\d+.*", session.server)
        assert session.snapshot.isolation == "repeatable read, read only, consistent snapshot"
        assert abs((datetime.now(UTC) - session.snapshot.began).total_seconds()) < 60


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("selec 1", "line 1, column 1: syntax error near 'selec 1'"),
        ("select *\nfrom t\n  wher x = 1", "line 3, column 8: syntax error near 'x = 1'"),
        ("select 'a'\n from t limt 5", "line 2, column 14: syntax error near '5'"),
        ("select (1", "line 1, column 10: syntax error at the end of the query"),
        ("select x,\n  nope from t", "line 2, column 3: unknown column 'nope'"),
        ("select *\nfrom t, nope", "line 2, column 9: table 'shop.nope' doesn't exist"),
        ("select nope(1) as x", "line 1, column 8: fUNCTION shop.nope does not exist"),
        ("select x, x from t", "duplicate column name 'x'"),
        ("select :p as a,\n   nope from t", "line 2, column 4: unknown column 'nope'"),
        ("delete from t", "the query does more than read"),
        ("select x into outfile '/tmp/datakeep-outfile' from t", "syntax error near"),
    ],
)
def test_what_the_server_does_not_take_is_refused_at_its_place(server, query, said):
    given = {"p": Parameter("text", "a")} if ":p" in query else {}
    with pytest.raises(QueryRefused, match=re.escape(said)) as caught:
        extracted(server.url("shop"), query, given)
    if said.startswith("line"):
        assert caught.value.things[1].endswith("^")


def test_wrong_passwords_unknown_databases_and_silent_servers_are_told_apart_and_no_secret_is_shown(server):
    port = server.port
    cases = [
        (server.url("shop", password="wrong-Secret-99"), AccessDenied, "does not let this user in"),
        (server.url("nowhere"), DatabaseUnreachable, "nknown database 'nowhere'"),
        (f"mysql://root:{PASSWORD[:9]}@127.0.0.1:9/shop", DatabaseUnreachable, "127.0.0.1:9/shop"),
        (
            f"mariadb+pymysql://root:x-Secret-1@127.0.0.1:{port}/shop",
            AccessDenied,
            "does not let this user in",
        ),
    ]
    for url, kind, said in cases:
        with pytest.raises(kind, match=said) as caught:
            extracted(url, "select 1 as x")
        told = f"{caught.value.what} {caught.value.next_step} {caught.value.__cause__} {open_database(url)!r}"
        assert "Secret" not in told
        assert PASSWORD[:9] not in told


def test_a_missing_right_names_the_table(server):
    url = server.url("shop", user="limited", password="other-Secret-77")
    assert extracted(url, "select x from t")[0].num_rows == 2
    with pytest.raises(AccessDenied, match="many") as caught:
        extracted(url, "select n from many")
    assert "GRANT SELECT ON" in caught.value.next_step
    assert "many" in caught.value.next_step
    with open_database(url).session() as session:
        assert set(session.tables(["t", "many"])) == {"t"}


def test_a_query_that_takes_longer_than_it_may_is_ended(server):
    with pytest.raises(QueryFailed, match="ended after 1 s, its time limit"):
        extracted(
            server.url("shop"), "select count(*) as n from many a, many b where a.n + b.n = -1", timeout_s=1
        )


def test_a_fault_that_only_a_row_shows_is_a_failure_of_the_query(server):
    query = "select (select x from t where x < n) as x from (select seq as n from seq_1_to_5) q"
    with pytest.raises(QueryFailed, match="more than 1 row"):
        extracted(server.url("shop"), query)


def test_memory_does_not_grow_with_the_rows_and_a_result_may_be_left_in_the_middle(server):
    with open_database(server.url("shop")).session() as session:
        with session.run(statement("select n, s from many", "mysql"), {}, Exactness()) as result:
            batches = result.batches()
            assert next(batches).num_rows < 300_000
        assert session.ask("select 5") == [(5,)]


def left_in_the_middle(server, then):
    """The rest of the rows of a large result, after ``then`` was called behind the first ones."""
    query = statement("select n, s from many", "mysql")
    with (
        open_database(server.url("shop")).session() as session,
        session.run(query, {}, Exactness()) as result,
    ):
        batches = result.batches()
        next(batches)
        then()
        return list(batches)


def test_an_error_of_the_caller_leaves_the_result_at_once_and_is_raised_as_it_is(server, recwarn):
    def fail():
        raise RuntimeError("of the caller's own")

    gc.collect()
    recwarn.clear()  # of what other tests left
    with pytest.raises(RuntimeError, match="of the caller's own"):
        left_in_the_middle(server, then=fail)
    gc.collect()
    assert not [str(one.message) for one in recwarn.list]


def test_a_server_that_dies_while_rows_are_on_their_way_is_unreachable(server):
    try:
        with pytest.raises(DatabaseUnreachable, match="connection to the server ended"):
            left_in_the_middle(server, then=server.kill)
    finally:
        server.start()


def test_the_catalogue_has_columns_comments_keys_and_views(server):
    with server.connect("shop") as connection, connection.cursor() as cursor:
        cursor.execute(
            "create or replace table `od.d`(a int, b varchar(20) not null comment 'in yen', c decimal(9,2),"
            " primary key (b, a), unique (c)) comment 'what the owners wrote'"
        )
        cursor.execute("create or replace view seen as select a from `od.d`")
    with open_database(server.url("shop")).session() as session:
        found = session.tables(["`od.d`", "shop.t", "seen", "nope", "nowhere.t"])
    assert set(found) == {"`od.d`", "shop.t", "seen"}
    table = found["`od.d`"]
    assert (table.name, table.kind, table.comment) == ("shop.od.d", "table", "what the owners wrote")
    assert (table.primary_key, table.unique) == (("b", "a"), (("c",),))
    assert [(one.name, one.database_type, one.nullable, one.comment) for one in table.columns] == [
        ("a", "INTEGER(11)", False, None), ("b", "VARCHAR(20)", False, "in yen"), ("c", "DECIMAL(9, 2)", True, None),
    ]  # fmt: skip
    assert found["seen"].kind == "view"
    assert "od.d" in found["seen"].definition


def test_a_missing_driver_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(DriverMissing, match="MySQL needs the Python package pymysql") as caught:
        extracted("mysql://root@127.0.0.1:9/shop", "select 1 as x")
    assert caught.value.next_step == "type: pip install 'datakeep[mysql]'"


def test_ctrl_c_ends_a_query_while_the_server_is_at_work(server):
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from databases import extracted
try:
    extracted(sys.argv[2], "select count(*) as n from many a, many b where a.n + b.n = -1")
except KeyboardInterrupt:
    print("ended")
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(Path(__file__).parents[3]), server.url("shop")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    asked = (
        "select 1 from information_schema.processlist where info like '%b.n = -1%' and id <> connection_id()"
    )
    with surely_ended(process), server.connect() as other, other.cursor() as cursor:
        until(lambda: cursor.execute(asked) or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE_S) == ("ended\n", "")
        until(lambda: not cursor.execute(asked), said="the server works on")
