"""Opening a database by its URL: kinds, misspelt schemes, missing drivers, laziness, secrets."""

from __future__ import annotations

import subprocess
import sys

import pytest
from databases import extracted

from datakeep.core.errors import UsageError
from datakeep.extract.sql.alchemy import AlchemyDatabase
from datakeep.extract.sql.alchemy_kinds import kind_of
from datakeep.extract.sql.bigquery import BigqueryDatabase
from datakeep.extract.sql.duckdb_file import DuckdbDatabase
from datakeep.extract.sql.faults import DatabaseUnreachable, DriverMissing
from datakeep.extract.sql.opening import load_driver, open_database
from datakeep.extract.sql.postgres import PostgresDatabase
from datakeep.extract.sql.snowflake import SnowflakeDatabase
from datakeep.extract.sql.sqlite import SqliteDatabase


@pytest.mark.parametrize(
    ("url", "kind", "dialect"),
    [
        ("postgresql://h/d", PostgresDatabase, "postgres"),
        ("sqlite:///a.db", SqliteDatabase, "sqlite"),
        ("duckdb:", DuckdbDatabase, "duckdb"),
        ("duckdb:///a.duckdb", DuckdbDatabase, "duckdb"),
        ("snowflake://account/d", SnowflakeDatabase, "snowflake"),
        ("bigquery://project/d", BigqueryDatabase, "bigquery"),
        ("mysql://h/d", AlchemyDatabase, "mysql"),
        ("mariadb+pymysql://h/d", AlchemyDatabase, "mysql"),
        ("oracle://h/d", AlchemyDatabase, "oracle"),
        ("mssql+pymssql://h/d", AlchemyDatabase, "tsql"),
    ],
)
def test_each_scheme_opens_its_kind_and_connects_to_nothing(url, kind, dialect):
    database = open_database(url)
    assert (type(database), database.address.dialect) == (kind, dialect)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "postgre://aiko:Secret-1@h/d",
            "postgre: is no database that datakeep knows; did you mean postgres:",
        ),
        ("sqllite:///a.db", "did you mean sqlite:"),
        ("duckbd:", "did you mean duckdb:"),
        ("mongodb://h/d", "mongodb: is no database that datakeep knows"),
        ("a.db", "given as a path"),
        ("a", "without a scheme"),
        ("", "without a scheme"),
    ],
)
def test_a_misspelt_scheme_is_told_what_was_meant(url, said):
    with pytest.raises(UsageError, match=said) as caught:
        open_database(url)
    assert "Secret" not in caught.value.what + caught.value.next_step


def test_no_driver_is_imported_before_its_database_is_asked_for():
    program = """
import sys
from datakeep.extract.sql.opening import open_database
for url in ("sqlite:///a.db", "duckdb:", "mysql://h/d", "snowflake://a/d", "bigquery://p/d"):
    open_database(url)
    drivers = ("duckdb", "sqlalchemy", "pymysql", "adbc_driver_snowflake", "adbc_driver_bigquery", "pyarrow",
               "fsspec")
    print(*(name for name in drivers if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("snowflake://account/d", "adbc_driver_snowflake", "snowflake"),
        ("bigquery://project/d", "adbc_driver_bigquery", "bigquery"),
        ("mysql://h/d", "sqlalchemy", "mysql"),
        ("oracle://h/d", "oracledb", "oracle"),
        ("mssql://h/d", "pymssql", "mssql"),
        ("trino://h/d", "trino", "sqlalchemy"),
        ("clickhouse://h/d", "clickhouse", "sqlalchemy"),
    ],
)
def test_a_missing_driver_names_the_extra_that_brings_it(url, package, extra, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DriverMissing) as caught:
        extracted(url, "select 1 as x")
    assert package in caught.value.what
    assert f"pip install 'datakeep[{extra}]'" in caught.value.next_step


def test_a_plain_sqlalchemy_database_goes_by_its_values():
    """Through SQLAlchemy's own SQLite: the way of every database of which nothing special is known."""
    from databases import statement

    from datakeep.extract.sql.faults import NotExact
    from datakeep.extract.sql.interface import Address, Exactness, Parameter

    database = AlchemyDatabase(Address("sqlite", "sqlite://", "sqlite://"))
    with database.session() as session:
        query = statement("select 1 as i, 0.5 as f, 'a%' as s, x'ff' as b, null as n, :p as p", "sqlite")
        with session.run(query, {"p": Parameter("text", "it's")}, Exactness()) as result:
            [batch] = result.batches()
        assert batch.to_pylist() == [{"i": 1, "f": 0.5, "s": "a%", "b": b"\xff", "n": None, "p": "it's"}]
        assert [column.arrow_type for column in result.columns] == [
            "int64", "double", "string", "binary", "null", "string",
        ]  # fmt: skip
        rows = "with recursive r(n) as (select 1 union all select n + 1 from r where n < 40000)"
        query = statement(f"{rows} select case when n = 30000 then 'late' else n end as x from r", "sqlite")
        with (
            pytest.raises(NotExact, match="column x, row 30000: 'late' is no int64"),
            session.run(query, {}, Exactness()) as result,
        ):
            list(result.batches())
    with database.session() as session:
        query = statement("select 1 as x union all select 'a'", "sqlite")
        with pytest.raises(NotExact, match="int and str"), session.run(query, {}, Exactness()):
            pass


def test_an_unreachable_server_behind_sqlalchemy_is_said_to_be():
    with pytest.raises(DatabaseUnreachable, match=r"mysql://aiko@127.0.0.1:9/d") as caught:
        extracted("mysql://aiko:Secret-1@127.0.0.1:9/d", "select 1 as x")
    assert "Secret" not in str(caught.value)


def test_what_is_missing_for_a_dialect_of_sqlalchemy_can_be_installed_as_it_is_printed():
    with pytest.raises(DriverMissing) as caught:
        extracted("trino://h/d", "select 1 as x")
    assert caught.value.next_step == "type: pip install 'datakeep[sqlalchemy]' 'trino[sqlalchemy]'"
    assert "package trino, which" in caught.value.what


def test_what_pymssql_says_in_bytes_and_twice_is_said_in_words_and_once():
    said = b"DB-Lib error message 20009, severity 9:\nUnable to connect: no server (127.0.0.1)\n"
    fault = kind_of("tsql").unreachable(RuntimeError(20009, said + said), "mssql://u@127.0.0.1:9/x")
    assert fault.what.endswith("does not answer: Unable to connect: no server (127.0.0.1)")


@pytest.mark.parametrize(
    ("url", "there", "elsewhere"),
    [
        ("duckdb:///a.duckdb", "duckdb", "adbc_driver_postgresql"),
        ("postgresql://h/d", "adbc_driver_postgresql", "duckdb"),
        ("nothing known://h", "sqlglot", "duckdb"),
    ],
)
def test_a_driver_is_loaded_before_it_is_needed_and_no_other(url, there, elsewhere):
    program = (
        "import sys; from datakeep.extract.sql.opening import load_driver; load_driver(sys.argv[1]); "
        "print(*(name in sys.modules for name in ('sqlglot', *sys.argv[2:])))"
    )
    argv = [sys.executable, "-c", program, url, there, elsewhere]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "False"]


def test_a_driver_that_is_not_there_is_told_when_it_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    load_driver("duckdb:")
    load_driver(None)
    with pytest.raises(DriverMissing, match="duckdb"):
        extracted("duckdb:", "select 1 as x")
