"""What is recorded of a query's rows is true of them: key, order, types of parameters; no password."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import duckdb
import pytest
from queries import STATED, Queries, make_queries
from seen import error_of
from server_process import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import PostgresServer
    from world import World

#: Of a role; as in real ones, each form of it in a URL is another.
OPENS = "rd-Pw%7/x:y"
SCHEMA = f"""
CREATE ROLE teller LOGIN PASSWORD '{OPENS}';
CREATE SCHEMA sales; GRANT USAGE ON SCHEMA sales TO teller;
CREATE TABLE sales.customers (customer_id int PRIMARY KEY, country text);
CREATE TABLE sales.orders (order_id int PRIMARY KEY, customer_id int, total numeric(9,2));
CREATE TABLE sales.items (order_id int, line int, sku text, PRIMARY KEY (order_id, line));
INSERT INTO sales.customers VALUES (1, 'JP'), (2, 'JP'), (3, 'DE');
INSERT INTO sales.orders SELECT n, n % 2 + 1, n FROM generate_series(1, 6) n;
INSERT INTO sales.items SELECT n, k, 'sku' || k FROM generate_series(1, 6) n, generate_series(1, 3) k;
CREATE TABLE sales.settings (id int PRIMARY KEY, k text, raw bytea, long text);
INSERT INTO sales.settings VALUES (1, 'colour', 'x', 'y'), (2, '{OPENS}', '{OPENS}', repeat('z', 75) || '{OPENS}');
GRANT SELECT ON ALL TABLES IN SCHEMA sales TO teller;
"""
#: A query, and the columns that are recorded as the key of its rows.
KEYS = {
    "plain": ("SELECT order_id, total FROM sales.orders ORDER BY order_id", ["order_id"]),
    "union": (
        ("SELECT order_id, total FROM sales.orders WHERE order_id < 3 UNION ALL SELECT order_id, total "
        "FROM sales.orders WHERE order_id < 3"),
        [],
    ),
    "disjoint": (
        ("SELECT order_id, total FROM sales.orders WHERE order_id < 3 UNION ALL SELECT order_id, total "
        "FROM sales.orders WHERE order_id >= 3"),
        ["order_id"],
    ),
    "series": ("SELECT o.order_id, g FROM sales.orders o, generate_series(1, 2) g", []),
    "unnested": ("SELECT order_id, unnest(ARRAY[1, 1]) AS x FROM sales.orders", []),
    "joined": (
        ("SELECT c.customer_id, o.total FROM sales.customers c LEFT JOIN sales.orders o "
        "ON o.customer_id = c.customer_id"),
        [],
    ),
    "looked-up": (
        "SELECT o.order_id, c.country FROM sales.orders o JOIN sales.customers c ON c.customer_id = o.customer_id",
        ["order_id"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def queries(
    world: World, tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> Iterator[Queries]:
    postgres.create("truth")
    with postgres.connect("truth") as connection:
        connection.execute(SCHEMA)
    yield from make_queries(world, tmp_path_factory.mktemp("queries"))


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> str:
    return postgres.url("truth")


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_recorded_only_if_it_is_one_of_the_rows(queries: Queries, url: str, name: str) -> None:
    text, key = KEYS[name]
    ran = queries.register(name, text, url)
    columns = queries.entry(name)["manifest"]["columns"]
    assert [column["name"] for column in columns if column.get("key")] == key
    dictionary = queries.source(name)["extraction"]["dictionary"]
    assert [column for column, known in dictionary.items() if known.get("key")] == key
    assert ("and none of these rows: " in ran.out) is (not key)
    assert "same content" in queries.run("reextract", name, "--against", url).out


def test_a_key_that_rows_lose_and_get_again_is_recorded_so(
    queries: Queries, url: str, postgres: PostgresServer
) -> None:
    text = (
        "SELECT o.order_id, c.country FROM sales.orders o JOIN sales.both c ON c.customer_id = o.customer_id"
    )
    with postgres.connect("truth") as connection:
        connection.execute("CREATE TABLE sales.both AS SELECT * FROM sales.customers")
        queries.register("moving", text, url)
        connection.execute("INSERT INTO sales.both VALUES (1, 'FR')")
        ran = queries.run("update", "moving", "--rerun", "--database", url, "-m", "twice")
        assert "order_id: a key of the table that it comes from, and none of these rows: 3 values" in ran.err
        again = queries.run("update", "moving", "--rerun", "--database", url, "-m", "twice")
        assert "a key of the table" not in again.out + again.err
        connection.execute("DELETE FROM sales.both WHERE country = 'FR'")
        queries.run("update", "moving", "--rerun", "--database", url, "-m", "once")
    keyed = [
        [
            column["name"]
            for column in queries.entry("moving", version)["manifest"]["columns"]
            if column.get("key")
        ]
        for version in ("v1", "v2", "v3")
    ]
    assert keyed == [["order_id"], [], ["order_id"]]


def test_rows_that_tie_are_said_once(queries: Queries, url: str, tmp_path: Path) -> None:
    told = "rows tie under its ORDER BY customer_id"
    text = "SELECT order_id, customer_id FROM sales.orders ORDER BY customer_id"
    assert told in queries.register("ties", text, url).out
    again = queries.run("update", "ties", "--rerun", "--database", url, "-m", "x")
    assert "ORDER BY" not in again.out + again.err
    assert "ORDER BY" not in queries.register("noties", f"{text}, order_id", url).out
    lower = "SELECT order_id, total FROM sales.orders ORDER BY round(total / 10)"
    assert "its ORDER BY is not known to leave no ties" in queries.register("unknown", lower, url).out
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,y\n")
    of_file = queries.register("file", f"SELECT a, b FROM '{tmp_path / 't.csv'}' ORDER BY a", "duckdb:")
    assert "ORDER BY" not in of_file.out
    checked = queries.run("check-sql", queries.write("ties.sql", text), "--database", url)
    assert "the ORDER BY is not known to leave no ties" in checked.out
    assert json.loads(
        queries.run("check-sql", "--json", queries.write("t.sql", text), "--database", url).out
    )["derivable"]


#: What makes the rows, what is kept of them, and what is said of their order.
WIDER = {
    "numeric": (
        "CREATE TABLE w.t AS SELECT 1 AS id, 1.0 AS n UNION ALL SELECT 2, 1.00",
        "id, n",
        "values of n",
    ),
    "alone": ("CREATE TABLE w.t AS SELECT 1.0 AS n UNION ALL SELECT 1.00", "n", "values of n"),
    "interval": (
        "CREATE TABLE w.t AS SELECT 1 AS id, interval '1 day' AS n UNION ALL SELECT 2, interval '24:00'",
        "id, n",
        "values of n",
    ),
    "collation": (
        (
            "CREATE COLLATION w.nd (provider = icu, locale = 'und-u-ks-level2', deterministic = false); "
            "CREATE TABLE w.t (id int, n text COLLATE w.nd); INSERT INTO w.t VALUES (1, 'a'), (2, 'A')"
        ),
        "id, n",
        "texts that differ",
    ),
    "digits": (
        "CREATE TABLE w.t (id int, n numeric(5, 2), s text); INSERT INTO w.t VALUES (1, 1.0, 'a'), (2, 2.00, 'b')",
        "id, n, s",
        None,
    ),
}


@pytest.mark.parametrize("name", WIDER)
def test_rows_that_are_equal_to_the_database_only_are_not_taken_for_ordered(
    queries: Queries, url: str, postgres: PostgresServer, name: str
) -> None:
    made, columns, doubt = WIDER[name]
    with postgres.connect("truth") as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS w CASCADE; CREATE SCHEMA w; {made}")
    out = queries.register(f"wide-{name}", f"SELECT {columns} FROM w.t ORDER BY n", url).out
    with postgres.connect("truth") as connection:
        connection.execute("DROP SCHEMA w CASCADE")
    if doubt is None:
        assert "ORDER BY" not in out
    else:
        assert f"its ORDER BY is not known to leave no ties ({doubt}" in " ".join(out.split())


def test_a_collation_of_a_file_s_columns_or_of_the_query_leaves_ties(
    queries: Queries, tmp_path: Path
) -> None:
    rows = "INSERT INTO t VALUES (1, 'a'), (2, 'A')"
    with closing(sqlite3.connect(tmp_path / "c.db")) as connection:
        connection.executescript(f"CREATE TABLE t (id INTEGER, g TEXT COLLATE NOCASE); {rows}")
    duckdb.connect(tmp_path / "c.duckdb").execute(f"CREATE TABLE t (id INTEGER, g TEXT); {rows}").close()
    sqlite, plain = f"sqlite:///{tmp_path / 'c.db'}", f"duckdb:///{tmp_path / 'c.duckdb'}"
    for at, (url, order) in enumerate(((sqlite, "g"), (plain, "g COLLATE NOCASE"))):
        said = queries.register(f"collated-{at}", f"SELECT id, g FROM t ORDER BY {order}", url).out
        assert "its ORDER BY is not known to leave no ties" in " ".join(said.split())
    assert "ORDER BY" not in queries.register("binary", "SELECT id, g FROM t ORDER BY g", plain).out


def test_what_is_collected_in_no_order_is_not_derivable(
    queries: Queries, url: str, postgres: PostgresServer
) -> None:
    text = "SELECT order_id, json_agg(sku)::text AS x FROM sales.items GROUP BY order_id ORDER BY order_id"
    path = queries.write("collected.sql", text)
    checked = json.loads(queries.run("check-sql", path, "--database", url, "--json", code=3).out)
    assert checked["derivable"] is False
    assert [one["id"] for one in checked["advice"]] == ["aggregate-unordered"]
    assert "[aggregate-unordered]" in queries.register("collected", text, url).out
    with postgres.connect(
        "truth"
    ) as connection:  # the values stay what they were, and one row lies elsewhere
        for sku in ("other", "sku1"):
            connection.execute("UPDATE sales.items SET sku = %s WHERE line = 1 AND order_id = 1", [sku])
    assert "order_id" in queries.run("reextract", "collected", "--against", url, code=3).out


def test_a_parameter_keeps_its_type_in_a_rerun(queries: Queries, tmp_path: Path) -> None:
    database = tmp_path / "t.duckdb"
    with duckdb.connect(database) as connection:
        connection.execute("CREATE TABLE t AS SELECT * FROM (VALUES ('007'), ('7'), ('12')) v(code)")
    queries.register(
        "codes", "SELECT code FROM t WHERE code = :code", f"duckdb:///{database}", "--param", "code:text=7"
    )
    assert queries.rows("codes") == [("7",)]
    same = queries.run("update", "codes", "--rerun", "--param", "code=7", "-m", "x")
    assert "no version was made" in same.out
    queries.run("update", "codes", "--rerun", "--param", "code=12", "-m", "twelve")
    assert queries.rows("codes", "v2") == [("12",)]
    assert queries.source("codes", "v2")["parameters"] == {"code": {"type": "text", "value": "12"}}
    queries.run("update", "codes", "--rerun", "--param", "code:integer=7", "-m", "a number")
    assert sorted(queries.rows("codes", "v3")) == [("007",), ("7",)]
    wrong = error_of(queries.run("reextract", "codes", "--param", "code=seven", code=2))
    assert "code: 'seven' is not a value of type integer" in wrong.what
    assert "--param code:text=seven" in wrong.next_step


def test_the_password_that_opens_the_database_stays_out_of_the_profile(
    queries: Queries, postgres: PostgresServer
) -> None:
    url = postgres.url("truth", user="teller", password=OPENS)
    ran = queries.register("leaky", "SELECT id, k, raw, long FROM sales.settings ORDER BY id", url)
    assert "the profile withholds all values of k, long" in ran.out
    profile = json.loads(queries.run("show", "leaky", "--json").out)["profile"]
    assert [column.get("withheld") for column in profile["columns"]] == [None, "secret", None, "secret"]
    found = queries.traces(OPENS, OPENS.encode().hex(), OPENS[:5])
    assert not [place for place in found if "/files/md5/" not in place]
    assert queries.rows("leaky")[1][1] == OPENS  # what the query gives is the data, and stays


def test_the_password_in_the_options_of_the_url_is_refused(
    queries: Queries, postgres: PostgresServer
) -> None:
    url = postgres.url("truth", user="teller", password=OPENS)
    before = queries.everything()
    for value in (OPENS, quote(OPENS, safe="")):
        options = quote(f"-c my.pw={value}", safe="")
        text = "SELECT order_id FROM sales.orders ORDER BY order_id"
        error = error_of(queries.register("opts", text, f"{url}?options={options}", code=26))
        assert "the password of the database" in error.what
        assert OPENS not in error.text
    assert queries.everything() == before


def test_what_a_query_read_is_found_under_the_name_of_what_it_is(queries: Queries, url: str) -> None:
    queries.register(
        "parts", "SELECT order_id, line, sku AS part FROM sales.items ORDER BY order_id, line", url
    )
    said = queries.run("find", "sku", "--kind", "dataset").out
    assert "dataset parts@v1\n  column: sales.items.sku\n" in said
    assert "table: sku" not in said
    both = queries.run("find", "sales", "items", "--kind", "dataset").out
    assert "dataset parts@v1\n  table: sales.items\n" in both
    assert "table: sales.items\n  table: sales.items\n" not in both


def test_a_kill_leaves_nothing_that_the_next_run_does_not_remove(queries: Queries) -> None:
    folder = Path(queries.world.aiko.env["TMPDIR"])
    sql = queries.write("killed.sql", "SELECT i AS id, md5(i::text) AS h FROM range(1000000000) t(i)")
    argv = ("register", "killed", "--sql", sql, "--database", "duckdb:", *STATED, "--no-profile")
    process = queries.world.aiko.start(*argv, cwd=queries.world.keep)
    try:
        # once rows are written, all is open that can be
        until(lambda: any(folder.rglob("*.parquet")) or process.poll() is not None)
        assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert any(folder.iterdir())
    queries.register("after", "SELECT 1 AS one", "duckdb:")
    assert not any(folder.iterdir())


def test_a_function_that_is_made_anew_is_told(queries: Queries, postgres: PostgresServer) -> None:
    url = postgres.url("truth", user="teller", password=OPENS)
    made = "CREATE OR REPLACE FUNCTION sales.{} RETURNS int STABLE LANGUAGE sql AS 'SELECT {}'"
    with postgres.connect("truth") as connection:
        for name, body in (
            ("score(x int)", "x"),
            ("score(x text)", "2"),
            ("inner_score(x int)", "x"),
            ("other()", "1"),
        ):
            connection.execute(made.format(name, body))
        connection.execute(f"ALTER FUNCTION sales.score(text) SET my.pw = '{OPENS}'")
        connection.execute(
            "CREATE VIEW sales.scored AS SELECT order_id, sales.inner_score(line) AS s FROM sales.items"
        )
        connection.execute("GRANT SELECT ON sales.scored TO teller")
    text = "SELECT order_id, sales.score(s) AS t, upper('x') AS u FROM sales.scored ORDER BY 1, 2"
    queries.register("scored", text, url)
    found = {one["name"]: one["definition"] for one in queries.source("scored")["extraction"]["functions"]}
    assert [*found] == ["sales.score(x integer)", "sales.score(x text)", "sales.inner_score(x integer)"]
    assert found["sales.score(x text)"] == "(withheld: it holds the password of the database)"
    assert "SELECT x" in found["sales.inner_score(x integer)"]
    shown = queries.run("show", "scored").out
    assert re.search(r"functions called +sales\.score\(x integer\) \(of [\w-]+\)\n", shown)
    told = queries.run("reextract", "scored", "--against", url).out
    assert "same content" in told
    assert "not compared, as it is withheld: the definition of the function sales.score(x text)" in told
    with postgres.connect("truth") as connection:
        connection.execute(made.format("inner_score(x int)", "x + 0"))
        connection.execute("DROP FUNCTION sales.score(text)")
    moved = json.loads(queries.run("reextract", "scored", "--against", url, "--json", code=3).out)["moved"]
    assert moved == [
        "the function sales.score(x text) is no longer called, or gone",
        (
            "the definition of the function sales.inner_score(x integer) has changed: "
            "…S $function$SELECT x$function$ → …S $function$SELECT x + 0$function$"
        ),
    ]


def test_an_aggregate_is_recorded_and_what_an_operator_may_call_is_not_known(
    queries: Queries, url: str, postgres: PostgresServer
) -> None:
    made = "CREATE AGGREGATE sales.mysum(int) (SFUNC = int4pl, STYPE = int, INITCOND = '{}')"
    with postgres.connect("truth") as connection:
        connection.execute(made.format(0))
    queries.register("mysum", "SELECT sales.mysum(line) AS x FROM sales.items", url)
    queries.register("none", "SELECT sum(line) AS x FROM sales.items", url)
    assert queries.source("none")["extraction"]["functions"] == []
    with postgres.connect("truth") as connection:
        connection.execute("DROP AGGREGATE sales.mysum(int)")
        connection.execute(made.format(5))
    moved = json.loads(queries.run("reextract", "mysum", "--against", url, "--json", code=3).out)["moved"]
    assert len(moved) == 1
    assert moved[0].startswith("the definition of the function sales.mysum(integer) has changed: ")
    with postgres.connect("truth") as connection:
        connection.execute("CREATE OPERATOR sales.|#| (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl)")
    queries.register(
        "operated", "SELECT line OPERATOR(sales.|#|) 1 AS x FROM sales.items ORDER BY order_id, line", url
    )
    with postgres.connect("truth") as connection:
        connection.execute("DROP OPERATOR sales.|#| (int, int); DROP AGGREGATE sales.mysum(int)")
    assert queries.source("operated")["extraction"].get("functions") is None


def test_a_table_that_others_inherit_has_no_certain_key(
    queries: Queries, url: str, postgres: PostgresServer
) -> None:
    with postgres.connect("truth") as connection:
        connection.execute("CREATE TABLE sales.old (LIKE sales.customers) INHERITS (sales.customers)")
        connection.execute("INSERT INTO sales.old VALUES (1, 'FR')")
        try:
            ran = queries.register("heirs", "SELECT customer_id, country FROM sales.customers", url)
        finally:
            connection.execute("DROP TABLE sales.old")
    assert "customer_id: a key of the table that it comes from, and none of these rows: 1 value" in ran.out
