"""What a URL says, and what is never written down of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakeep.core.errors import UsageError
from datakeep.extract.sql.address import address_of, secrets_of
from datakeep.extract.sql.faults import DatabaseUnreachable
from datakeep.extract.sql.passwords import passwords_of
from datakeep.extract.sql.postgres_place import completed, refuse_foreign_socket

SECRET = "s3cr3t-Wort"


@pytest.mark.parametrize(("url", "dialect", "shown"), [
    (f"postgresql://aiko:{SECRET}@dwh:5432/plant", "postgres", "postgresql://aiko@dwh:5432/plant"),
    (f"postgres://dwh/plant?user=aiko&password={SECRET}", "postgres", "postgres://dwh/plant?user=aiko"),
    (f"postgresql://aiko@dwh/plant?sslmode=require&sslpassword={SECRET}&connect_timeout=3", "postgres",
     "postgresql://aiko@dwh/plant?sslmode=require&connect_timeout=3"),
    ("postgresql:///plant?host=/run/postgresql", "postgres", "postgresql:///plant?host=/run/postgresql"),
    ("postgresql://[::1]:5433/plant", "postgres", "postgresql://[::1]:5433/plant"),
    ("sqlite:///movies.db", "sqlite", f"sqlite:///{Path('movies.db').resolve()}"),
    ("sqlite:///../up/movies.db?mode=ro", "sqlite", f"sqlite:///{Path('../up/movies.db').resolve()}?mode=ro"),
    ("sqlite:///:memory:", "sqlite", "sqlite:///:memory:"),
    ("duckdb:", "duckdb", "duckdb:"),
    ("duckdb:////data/a.duckdb", "duckdb", "duckdb:////data/a.duckdb"),
    (f"snowflake://aiko:{SECRET}@account/db/schema?warehouse=w&token={SECRET}", "snowflake",
     "snowflake://aiko@account/db/schema?warehouse=w"),
    (f"snowflake://aiko@account/db?passcode={SECRET}", "snowflake", "snowflake://aiko@account/db"),
    (f"bigquery://project/dataset?auth_credentials={SECRET}", "bigquery", "bigquery://project/dataset"),
    (f"mysql+pymysql://aiko:{SECRET}@dwh/plant", "mysql", "mysql+pymysql://aiko@dwh/plant"),
    (f"oracle+oracledb://aiko:{SECRET}@dwh/?service_name=x", "oracle", "oracle+oracledb://aiko@dwh/?service_name=x"),
    (f"mssql+pymssql://aiko:{SECRET}@dwh/plant", "tsql", "mssql+pymssql://aiko@dwh/plant"),
])  # fmt: skip
def test_the_dialect_is_told_and_no_secret_shown(url, dialect, shown):
    address = address_of(url)
    assert (address.dialect, address.shown) == (dialect, shown)
    assert SECRET not in repr(address)
    if SECRET in url:
        assert SECRET in address.connect
        assert SECRET in secrets_of(address)


def test_a_secret_is_known_as_written_and_unescaped():
    assert secrets_of(address_of("postgresql://a:x%2Fy%40@h/d?sslpassword=p%20q&sslmode=require")) == (
        "x%2Fy%40", "x/y@", "p%20q", "p q",
    )  # fmt: skip


@pytest.mark.parametrize(
    "url", ["postgresql://a:p@ss@dwh/plant", "postgresql://a:p/ss@dwh/plant", "postgresql://a:p?s#s@dwh/d"]
)
def test_a_password_that_is_not_escaped_is_refused_and_not_repeated(url):
    with pytest.raises(UsageError) as caught:
        address_of(url)
    assert "write %25 for %, %40 for @" in caught.value.next_step
    assert "ss" not in caught.value.what.replace("password", "").replace("must be escaped", "")


@pytest.mark.parametrize("url", ["plant", "/data/plant", "ftp://dwh/plant", ""])
def test_what_is_no_database_is_said_with_an_example(url):
    with pytest.raises(UsageError) as caught:
        address_of(url)
    assert "postgresql://user@host/database" in caught.value.next_step


@pytest.mark.parametrize(
    ("name", "head", "meant"),
    [
        ("plant.db", None, "sqlite:///{}"),
        ("plant", b"SQLite format 3\0....", "sqlite:///{}"),
        ("plant.data", b"12345678DUCK....", "duckdb:///{}"),
        ("plant.duckdb", None, "duckdb:///{}"),
        ("orders.csv", b"id,x", "duckdb: and the file in the query: FROM '{}'"),
    ],
)
def test_a_path_in_the_place_of_a_url_is_answered_with_the_url(name, head, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if head:
        (tmp_path / name).write_bytes(head)
    with pytest.raises(UsageError, match="given as a path") as caught:
        address_of(name)
    assert caught.value.next_step == f"write it as {meant.format(tmp_path / name)}"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("postgresql:/h/d", "postgresql://h/d"),
        ("postgresql:h/d", "postgresql://h/d"),
        ("mysql:/u@h/d", "mysql://u@h/d"),
    ],
)
def test_two_slashes_come_before_a_host(url, meant):
    with pytest.raises(UsageError, match="no two slashes after") as caught:
        address_of(url)
    assert caught.value.next_step == f"write it as {meant}"
    address_of(meant)


def test_a_password_behind_one_slash_is_not_repeated():
    with pytest.raises(UsageError) as caught:
        address_of("postgresql:/aiko:very-secret@h/d")
    assert "very-secret" not in caught.value.what + caught.value.next_step


#: What is given, the environment, and the URL that is recorded; this machine is ``vm``.
PLACES = [
    ("postgresql://r@/wh?host=127.0.0.1&port=54391", {"PGPORT": "1"}, "postgresql://u@127.0.0.1:54391/wh"),
    ("postgresql://r@h:1/wh?host=other", {}, "postgresql://u@other:1/wh"),
    ("postgresql://h/wh?hostaddr=10.0.0.9", {"PGPORT": "7"}, "postgresql://u@10.0.0.9:7/wh"),
    ("postgresql://r@/wh?host=%2Ftmp%2Fsock&port=54391", {}, "postgresql://u@vm:54391/wh?host=/tmp/sock"),
    ("postgresql://r@%2Ftmp%2FSock:9/wh", {}, "postgresql://u@vm:9/wh?host=/tmp/Sock"),
    ("postgresql:///wh", {"PGHOST": "db", "PGPORT": "7"}, "postgresql://u@db:7/wh"),
    ("postgresql:///wh", {"PGHOST": "/tmp/sock"}, "postgresql://u@vm:5432/wh"),
    ("postgresql://a,b:2/wh", {}, "postgresql://u@a:5432,b:2/wh"),
    ("postgresql:///wh?host=a,b&port=1,2", {}, "postgresql://u@a:1,b:2/wh"),
    ("postgresql://[::1]/wh", {}, "postgresql://u@[::1]:5432/wh"),
    ("postgresql:///wh?service=s", {"PGHOST": "no"}, "postgresql://u@vm:5432/wh"),
    ("postgresql://h/wh?options=-c%20search_path%3Dny,b", {},
     "postgresql://u@h:5432/wh?options=-c%20search_path%3Dny,b"),
    ("postgresql://h/wh?sslmode=require", {"PGOPTIONS": "-csearch_path=ny -c app.token=abc --role=r"},
     "postgresql://u@h:5432/wh?options=-csearch_path%3Dny%20--role%3Dr"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "environment", "recorded"), PLACES)
def test_where_a_connection_went_is_read_as_libpq_reads_it(given, environment, recorded, monkeypatch):
    for name in ("PGHOST", "PGPORT", "PGHOSTADDR", "PGOPTIONS", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("socket.gethostname", lambda: "vm")
    assert completed(given, "wh", "u", None, None) == recorded
    assert completed(recorded, "wh", "u", None, None) == recorded, "what is recorded leads there again"


def test_a_socket_of_another_machine_is_not_taken_for_one_of_this(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "vm")
    refuse_foreign_socket("postgresql://u@vm:5432/wh?host=/tmp/sock")
    refuse_foreign_socket("postgresql://u@/wh?host=/tmp/sock")
    with pytest.raises(DatabaseUnreachable, match="a socket of the machine far"):
        refuse_foreign_socket("postgresql://u@far:5432/wh?host=/tmp/sock")


def test_a_password_is_known_in_the_forms_that_it_has_in_urls() -> None:
    known = passwords_of(address_of("duckdb:///x.duckdb"))
    assert known == ()
    known = passwords_of(address_of("mysql://reader:rd-Pw%257%2Fx%3Ay+z@host/plant"))
    for form in ("rd-Pw%7/x:y+z", "rd-Pw%257%2Fx%3Ay%2Bz", "rd-Pw%257%2fx%3ay%2bz", "rd-Pw%257%2Fx:y+z"):
        assert form in known, form
