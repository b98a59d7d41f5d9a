"""``check-sql``: by the text alone, and with a database that answers from real data."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import contextmanager

import pytest

from datakeep.cli.boundary import run
from datakeep.core.errors import SecretFound, SourceMissing, SourceUnreadable, UsageError
from datakeep.extract.sql.faults import QueryRefused
from datakeep.extract.sql.interface import Address, Database, Session, Snapshot, Table, TableColumn
from datakeep.extract.sql.opening import open_database
from datakeep.workflows.check_sql import check_sql


class Shop(Database):
    """A database of the interface's shape, whose questions are answered by SQLite."""

    def __init__(self, dialect="sqlite"):
        super().__init__(Address(dialect, "sqlite:///shop.db", "sqlite:///shop.db"))
        self.connection = sqlite3.connect(":memory:")
        self.connection.executescript(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, day TEXT);"
            "CREATE TABLE notes (order_id INTEGER, body TEXT);"
            "INSERT INTO orders VALUES (1, 'a'), (2, 'b'); INSERT INTO notes VALUES (1, 'x'), (2, 'y');"
        )

    @contextmanager
    def session(self, *, timeout_s=None):
        yield ShopSession(self.connection)


class ShopSession(Session):
    def __init__(self, connection):
        self.connection = connection

    server = "SQLite 3"
    snapshot = Snapshot("serializable, read only")

    def run(self, statement, parameters, exactness):
        raise AssertionError("check-sql runs no query")

    def check(self, statement, parameters):
        return True

    def tables(self, names):
        known = {
            "orders": Table("main.orders", "table", (TableColumn("id", "i"), TableColumn("day", "t")), None, ("id",)),
            "notes": Table("main.notes", "table", (TableColumn("order_id", "i"), TableColumn("body", "t"))),
            "v": Table("main.v", "view", (TableColumn("id", "i"),), definition="SELECT id FROM orders"),
        }  # fmt: skip
        return {name: known[name] for name in names if name in known}

    def ask(self, sql):
        return self.connection.execute(sql).fetchall()


@pytest.fixture
def shop():
    made = Shop()
    yield made
    made.connection.close()


@pytest.fixture
def query(tmp_path):
    def write(text, name="q.sql"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


JOINED = "SELECT o.id, n.body\nFROM orders o\nLEFT JOIN notes n ON n.order_id = o.id"

NO_ORDER = (
    "no ORDER BY: the rows come in no fixed order, and the same rows in another order are other bytes; "
    "ORDER BY a key makes them the same"
)


def test_the_text_alone_says_what_was_not_looked_at(query):
    found = check_sql(query("SELECT id FROM s.orders WHERE day = :day"), None)
    assert found.advice == ()
    assert found.statement.dialect == "postgres"
    assert (found.tables, found.reads, found.joins) == (("s.orders",), None, None)
    assert found.notes == (
        "keys and joins were not looked at: --database URL asks the database for them",
        "1 parameter without a value: :day",
        NO_ORDER,
    )


def test_a_join_without_a_key_that_repeats_nothing_is_a_note(query, shop):
    found = check_sql(query(JOINED), None, database=shop)
    assert found.advice == ()
    assert found.notes == (
        NO_ORDER,
        "3:11: each of 2 values of order_id stands in one row of notes today; nothing in the database keeps it so",
    )
    assert found.statement.dialect == "sqlite"


def test_a_join_that_repeats_rows_says_how_many(query, shop):
    shop.connection.execute("INSERT INTO notes VALUES (1, 'z'), (1, 'zz')")
    found = check_sql(query(JOINED), None, database=shop)
    (one,) = found.advice
    assert (one.id, one.line, one.column) == ("join-multiplies", 3, 11)
    assert (
        "of 2 values of order_id 1 stands in more than one row of notes, the most frequent in 3" in one.what
    )
    assert found.joins[0].rows == 4


def test_views_are_followed_and_unknown_tables_said(query, shop):
    found = check_sql(query("SELECT v.id, e.a FROM v JOIN elsewhere e ON e.id = v.id"), None, database=shop)
    assert [(one.name, one.columns, one.reached_through) for one in found.reads] == [
        ("main.v", ("id",), ()),
        ("elsewhere", ("a", "id"), ()),
        ("main.orders", ("id",), ("main.v",)),
    ]
    assert "not in the database's catalogue, so that their keys are unknown: elsewhere" in found.notes


def test_another_dialect_than_the_databases_is_refused(query, shop):
    with pytest.raises(UsageError, match="--dialect postgres is not that of the database, which is sqlite"):
        check_sql(query("SELECT 1"), "postgres", database=shop)


def test_parameters_are_held_against_the_query(query):
    path = query("SELECT id FROM s.orders WHERE day = :day ORDER BY id")
    assert len(check_sql(path, None, ["day=2026-11-01"]).notes) == 1
    with pytest.raises(QueryRefused, match="was dy meant for it"):
        check_sql(path, None, ["dy=2026-11-01"])


def test_files_that_cannot_be_read_are_said(query, tmp_path):
    with pytest.raises(SourceMissing, match="there is no file"):
        check_sql(tmp_path / "nowhere.sql", None)
    with pytest.raises(SourceUnreadable, match="is not UTF-8"):
        check_sql(query("SELECT '売上'".encode("cp932")), None)
    with pytest.raises(SourceUnreadable, match="cannot be read"):
        check_sql(tmp_path, None)


def test_a_byte_order_mark_is_no_part_of_the_query(query):
    assert check_sql(query(b"\xef\xbb\xbfSELECT 1 AS a"), None).statement.text == "SELECT 1 AS a"


def test_the_command_prints_place_and_way_out_and_exits_with_3(query, capsys):
    path = query("SELECT id,\n  now() AS t\nFROM s.orders")
    assert run(["check-sql", str(path)]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}:2:3: now(): the result depends on the time of the run [clock]"
    assert lines[1].startswith("  way out: bind it as a parameter")
    assert lines[2] == f"{path}: one SELECT (postgres); it reads s.orders; 1 thing to look at"
    assert "--database URL" in lines[3]


def test_the_command_exits_with_0_and_34(query, capsys):
    assert run(["check-sql", str(query("SELECT id FROM orders ORDER BY id")), "--dialect", "sqlite"]) == 0
    assert "nothing to report" in capsys.readouterr().out
    assert run(["check-sql", str(query("SELECT 1;\nDELETE FROM orders"))]) == 34
    said = capsys.readouterr().err
    assert "line 2, column 1: a second statement begins here" in said
    assert "  - DELETE FROM orders\n  - ^\n" in said


def test_json_has_all_of_it(query, capsys):
    path = query("SELECT id FROM s.orders WHERE day = :day LIMIT 3")
    assert run(["check-sql", "--json", str(path)]) == 3
    data = json.loads(capsys.readouterr().out)
    assert data["advice"] == [
        {
            "line": 1, "column": 42, "id": "limit-unordered",
            "what": "a limit without ORDER BY: which rows are within the limit is the database's choice",
            "way_out": "sort by a key before the limit",
        }
    ]  # fmt: skip
    assert (data["derivable"], data["parameters"], data["tables"], data["reads"]) == (
        False,
        ["day"],
        ["s.orders"],
        None,
    )
    assert run(["check-sql", "--json", str(query("DROP TABLE t"))]) == 34
    assert json.loads(capsys.readouterr().out)["error"]["id"] == "query-refused"


def test_the_command_asks_a_database(query, capsys, monkeypatch, shop):
    monkeypatch.setattr(
        "datakeep.extract.sql.opening.open_database", lambda url: {"sqlite:///shop.db": shop}[url]
    )
    path = query("SELECT id, row_number() OVER (ORDER BY id) AS n FROM v")
    assert run(["check-sql", str(path), "--database", "sqlite:///shop.db"]) == 3
    out = capsys.readouterr().out
    assert "[window-unordered]" in out  # no key of a view is known
    assert "  reads view main.v: id\n  reads table main.orders through main.v: id\n" in out
    assert "--database" not in out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT id FROM s.orders", True),
        ("SELECT id FROM s.orders UNION ALL SELECT id FROM s.old", True),
        ("SELECT generate_series(1, 3) AS n", True),
        ("SELECT day, count(*) AS n FROM s.orders GROUP BY day", True),
        ("SELECT id FROM s.orders ORDER BY id", False),
        ("SELECT id FROM s.orders UNION ALL SELECT id FROM s.old ORDER BY id", False),
        ("SELECT count(*) AS n, max(day) AS day FROM s.orders", False),
        ("SELECT 1 AS n", False),
    ],
)
def test_rows_in_no_fixed_order_are_worth_a_note_and_no_more(query, text, told):
    found = check_sql(query(text), None)
    assert (NO_ORDER in found.notes) is told
    assert found.advice == ()
    assert found.derivable


def test_what_sounds_personal_or_repeats_rows_can_be_derived_again(query, shop):
    shop.connection.execute("INSERT INTO notes VALUES (1, 'z')")
    assert check_sql(query("SELECT id, email FROM s.a ORDER BY id"), None).derivable
    found = check_sql(query(JOINED), None, database=shop)
    assert [one.id for one in found.advice] == ["join-multiplies"]
    assert found.derivable
    assert not check_sql(query("SELECT id, now() AS at FROM s.a ORDER BY id"), None).derivable


@pytest.mark.parametrize(
    ("option", "way_out"),
    [
        (
            "until=20260101",
            "until=20260101 is read as a whole number; if it is a date: --param until:date=2026-01-01",
        ),
        (
            "until=2026/1/31",
            "until=2026/1/31 is read as a text; if it is a date: --param until:date=2026-01-31",
        ),
        (
            "until=2026-1-1",
            "until=2026-1-1 is read as a text; if it is a date: --param until:date=2026-01-01",
        ),
        ("until:integer=20260101", None),
        ("until=2026-01-01", None),
        ("until=20261301", None),
        ("until=12345678", None),
    ],
)
def test_a_number_that_looks_like_a_day_is_doubted(query, option, way_out):
    found = check_sql(query("SELECT id FROM s.orders WHERE day < :until ORDER BY id"), None, [option])
    assert [note for note in found.notes if "read as" in note] == ([way_out] if way_out else [])


def test_a_parameter_in_quotes_is_a_text(query):
    path = query("SELECT id FROM s.orders WHERE day < ':until' AND x = 'a :until b' ORDER BY id")
    (said,) = [one for one in check_sql(path, None).advice if one.id == "quoted-parameter"]
    assert (said.line, said.column) == (1, 37)
    assert said.what.startswith("':until' stands in quotes")
    with pytest.raises(QueryRefused, match=r"q\.sql: until is no parameter.*stands in quotes") as refused:
        check_sql(path, None, ["until=2026-01-01"])
    assert refused.value.next_step == "remove the quotes in the query: write :until, not ':until'"


def test_several_parameters_that_do_not_fit_are_said_once_each(query):
    path = query("SELECT id FROM s.orders WHERE day > :since AND day < :until")
    with pytest.raises(QueryRefused) as refused:
        check_sql(path, None, ["sinse=2026-01-01", "unti=2026-01-01"])
    assert len(refused.value.things) == 2
    assert not any(thing in refused.value.what for thing in refused.value.things)


@pytest.fixture
def real(tmp_path):
    """Databases of files: an SQLite file, and a CSV for DuckDB."""
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.executescript(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, day TEXT); CREATE VIEW some AS SELECT id FROM t LIMIT 3;"
        )
    connection.close()
    (tmp_path / "t.csv").write_text("id,day\n1,2026-01-01\n")
    return {"sqlite": open_database(f"sqlite:///{tmp_path}/shop.db"), "duckdb": open_database("duckdb:")}


@pytest.mark.parametrize(("kind", "text", "said"), [
    ("sqlite", "SELECT id,\n  nope FROM t WHERE day > :day", "line 2, column 3: no such column: nope"),
    ("duckdb", "SELECT id,\n  nope FROM '{folder}/t.csv'", 'line 2, column 3: referenced column "nope" not found'),
    ("duckdb", "SELECT max(id) AS n, day FROM '{folder}/t.csv'", 'column "day" must appear in the GROUP BY clause'),
])  # fmt: skip
def test_files_databases_read_the_query_without_running_it(query, real, tmp_path, kind, text, said):
    with pytest.raises(QueryRefused, match=re.escape(said)):
        check_sql(query(text.format(folder=tmp_path)), None, database=real[kind])


def test_where_the_database_was_not_asked_that_is_said(query, real, tmp_path):
    text = f"SELECT id FROM '{tmp_path}/t.csv' WHERE id > :n ORDER BY id"
    not_asked = "the database was not asked whether it takes the query"
    assert not_asked in check_sql(query(text), None, database=real["duckdb"]).notes
    assert not_asked not in check_sql(query(text), None, ["n=0"], database=real["duckdb"]).notes


def test_a_limit_within_a_view_is_found_in_the_view(query, real):
    (found,) = check_sql(query("SELECT id FROM some ORDER BY id"), None, database=real["sqlite"]).advice
    assert (found.id, found.what.partition(":")[0]) == (
        "limit-unordered", "the view main.some has a limit without ORDER BY",
    )  # fmt: skip


def test_the_password_of_the_database_in_the_query_is_refused_as_register_does(tmp_path):
    """And before the database is asked anything: nothing listens there."""
    file = tmp_path / "q.sql"
    file.write_text("SELECT 'geheim-4711' AS a")
    database = open_database("postgresql://u:geheim-4711@127.0.0.1:9/d")
    with pytest.raises(SecretFound, match=r"q\.sql holds the password of postgresql://u@127\.0\.0\.1:9/d"):
        check_sql(file, None, (), database)
    file.write_text("SELECT :a AS a")
    with pytest.raises(SecretFound, match="--param a holds the password"):
        check_sql(file, None, ("a=geheim-4711",), database)
