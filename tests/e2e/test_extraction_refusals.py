"""Queries that cannot be run, or must not: one clear error each, its exit code, and nothing left behind."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from postgres_server import PASSWORD
from queries import STATED, Queries, make_queries, sqlite_file
from seen import error_of, files_below, json_error_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer
    from world import World

TOKEN = "ghp_" + "0123456789" * 4
CLERK = "only-Kassa#88"
#: Name to query, options, exit code, words of the error, a word of the next step.
REFUSED: dict[str, tuple[str, tuple[str, ...], int, tuple[str, ...], str]] = {
    "syntax": ("SELECT id,\nFROM shop.sale", (), 34, ("syntax error", "FROM shop.sale"), "correct"),
    "unknown-table": ("SELECT id\nFROM shop.sail", (), 34, ("line 2", "shop.sail", "does not exist"), "correct"),
    "unknown-column": ("SELECT pirce FROM shop.sale", (), 34, ("pirce", "^"), "correct"),
    "two-statements": ("SELECT 1; SELECT 2", (), 34, ("line 1, column 11",), "one"),
    "nothing": ("-- nothing\n", (), 34, ("no query",), "SELECT"),
    "delete-in-a-cte": (
        "WITH d AS (DELETE FROM shop.sale RETURNING id) SELECT id FROM d",
        (),
        34,
        ("DELETE", "^"),
        "SELECT",
    ),
    "copy-to-program": ("COPY shop.sale TO PROGRAM 'cat > /tmp/x'", (), 34, ("COPY",), "SELECT"),
    "into": ("SELECT id INTO shop.copy FROM shop.sale", (), 34, ("INTO",), "leave INTO out"),
    "function-that-writes": ("SELECT shop.spend() AS n", (), 34, ("read-only transaction", '"spend"'), "leave out"),
    "no-rows": ("SELECT id FROM shop.sale WHERE id < 0", (), 34, ("gives no rows",), "--allow-empty"),
    "setval": ("SELECT setval('shop.seq', 1)", (), 34, ("setval()", "^"), "leave the call out"),
    "lo-unlink": ("SELECT lo_unlink(1)", (), 34, ("lo_unlink()", "^"), "leave the call out"),
    "terminate": ("SELECT pg_terminate_backend(1)", (), 34, ("pg_terminate_backend()", "^"), "leave the call out"),
    "dblink": ("SELECT * FROM dblink('', 'SELECT 1') AS t(a int)", (), 34, ("dblink()", "^"), "leave the call out"),
    "setval-in-a-function": ("SELECT shop.skip() AS n", (), 34, ("setval()", "read-only transaction"), "leave out"),
    "zero-columns": ("SELECT FROM shop.sale", (), 34, ("no column",), "SELECT"),
    "duplicate-columns": ("SELECT id, price AS id FROM shop.sale", (), 34, ("id",), "name of its own"),
    "parameter-missing": ("SELECT id FROM shop.sale WHERE id > :low", (), 34, (":low has no value",), "--param low="),
    "parameter-superfluous": (
        "SELECT id FROM shop.sale WHERE id > :low",
        ("--param", "low=1", "--param", "lwo=2"),
        34,
        ("lwo is not in the query; did you mean low?",),
        "--param low=",
    ),
    "parameter-of-another-type": (
        "SELECT id FROM shop.sale WHERE id > :low",
        ("--param", "low:integer=many"),
        2,
        ("'many' is not a value of type integer",),
        "--param low:text=many",
    ),
    "parameter-that-does-not-fit": (
        "SELECT id FROM shop.sale WHERE day > :low",
        ("--param", "low=Tokyo"),
        34,
        ("line 1, column 36", "operator does not exist: date > text"),
        "give :low a value that fits",
    ),
    "parameter-that-cannot-be-written-down": (
        "SELECT id FROM shop.not_there WHERE :what = ''",
        ("--param", "what=\x07"),
        14,
        ("source.parameters.what holds a control character",),
        "write plain text",
    ),
    "not-exact": ("SELECT 'infinity'::timestamp AS t", (), 34, ("column t", "row 1", "infinity"), "--as-text t"),
    "fails-on-a-row": ("SELECT 1 / (id - 2) AS x FROM shop.sale", (), 34, ("division by zero",), "correct"),
}  # fmt: skip


@pytest.fixture(scope="module")
def queries(
    world: World, tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> Iterator[Queries]:
    postgres.create("refusals")
    with postgres.connect("refusals") as connection:
        connection.execute("CREATE SCHEMA shop")
        connection.execute("CREATE TABLE shop.sale (id int PRIMARY KEY, price numeric(9,2), day date)")
        connection.execute(
            "INSERT INTO shop.sale VALUES (1, 10.5, '2026-11-01'), (2, 0, NULL), (3, -1, NULL)"
        )
        connection.execute("CREATE TABLE shop.salary AS SELECT 1 AS id")
        connection.execute(
            "CREATE FUNCTION shop.spend() RETURNS bigint LANGUAGE sql AS "
            "'WITH d AS (DELETE FROM shop.sale RETURNING 1) SELECT count(*) FROM d'"
        )
        connection.execute("CREATE SEQUENCE shop.seq")
        connection.execute(
            "CREATE FUNCTION shop.skip() RETURNS bigint LANGUAGE sql AS 'SELECT setval(''shop.seq'', 9)'"
        )
        connection.execute(f"CREATE ROLE clerk LOGIN PASSWORD '{CLERK}'")
        connection.execute("GRANT USAGE ON SCHEMA shop TO clerk")
        connection.execute("GRANT SELECT ON shop.sale TO clerk")
    yield from make_queries(world, tmp_path_factory.mktemp("queries"))


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> str:
    return postgres.url("refusals")


@pytest.mark.parametrize("name", REFUSED)
def test_a_query_is_refused_with_one_error_and_nothing_is_left(queries: Queries, url: str, name: str) -> None:
    text, options, code, words, way_out = REFUSED[name]
    before = queries.everything()
    error = error_of(queries.register(name, text, url, *options, code=code))
    for word in words:
        assert word in error.text, error
    assert way_out in error.next_step, error
    assert PASSWORD not in error.text
    assert queries.everything() == before
    assert queries.versions(name) == []


def test_the_same_as_json(queries: Queries, url: str) -> None:
    ran = queries.register("json", "SELECT id FROM shop.sail", url, "--json", code=34)
    error = json_error_of(ran)
    assert error["id"] == "query-refused"
    assert PASSWORD not in ran.out + ran.err


def test_nothing_was_changed_in_the_database(queries: Queries, postgres: PostgresServer) -> None:
    with postgres.connect("refusals") as connection:
        assert connection.execute("SELECT count(*) FROM shop.sale").fetchone() == (3,)


def test_a_table_without_permission_is_named_with_its_owner(
    queries: Queries, postgres: PostgresServer
) -> None:
    clerk = postgres.url("refusals", user="clerk", password=CLERK)
    error = error_of(queries.register("salary", "SELECT id FROM shop.salary", clerk, code=18))
    assert "shop.salary" in error.what
    assert "belongs to keeper" in error.what
    assert error.next_step == 'ask keeper for: GRANT SELECT ON shop.salary TO "clerk"'
    assert CLERK not in error.text


def test_a_wrong_password_and_a_server_that_is_not_there(queries: Queries, postgres: PostgresServer) -> None:
    wrong = postgres.url("refusals", password="not-the-Passwort")
    error = error_of(queries.register("wrong", "SELECT 1 AS a", wrong, code=18))
    assert "password authentication failed" in error.what
    assert "not-the-Passwort" not in error.text
    assert "PGPASSWORD" in error.next_step
    nowhere = f"postgresql://keeper:{PASSWORD.replace('/', '%2F').replace('@', '%40')}@127.0.0.1:9/refusals"
    error = error_of(queries.register("nowhere", "SELECT 1 AS a", nowhere, code=35))
    assert "nothing listens there" in error.what
    unknown = error_of(queries.register("nodb", "SELECT 1 AS a", postgres.url("nodb"), code=35))
    assert '"nodb" does not exist' in unknown.what


@pytest.mark.parametrize(
    ("address", "code", "words", "way_out"),
    [
        ("mango://h/d", 2, "mango: is no database", "postgresql://"),
        ("postgrsql://h/d", 2, "did you mean postgresql:", "postgresql:"),
        ("orders", 2, "without a scheme", "postgresql://"),
        ("orders.db", 2, "given as a path", "/orders.db"),
        ("postgresql:/h/d", 2, "no two slashes", "postgresql://h/d"),
        (
            "postgresql://reader:rd-Pw%7%2F@127.0.0.1:1/d",
            2,
            "a % that stands for no character",
            "write %25 for a %",
        ),
        ("postgresql://reader@127.0.0.1:1/d?service=nosuch", 2, "the service 'nosuch'", "pg_service.conf"),
        ("oracle://u@h/d", 36, "oracledb", "pip install 'datakeep[oracle]'"),
        ("mssql+pymssql://u@h/d", 36, "pymssql", "pip install 'datakeep[mssql]'"),
        ("sqlite:///no/such.db", 35, "no SQLite file", "path"),
        ("duckdb:///no/such.duckdb", 35, "no/such.duckdb", "path"),
    ],
)
def test_an_address_that_leads_nowhere(
    queries: Queries, address: str, code: int, words: str, way_out: str
) -> None:
    error = error_of(queries.register("address", "SELECT 1 AS a", address, code=code))
    assert words in error.what
    assert way_out in error.next_step
    assert "rd-Pw" not in error.text


def test_missing_facts_are_said_before_the_query_is_run(queries: Queries, url: str) -> None:
    """The table is not there: had the query been sent, it would have been the error."""
    error = error_of(queries.register("facts", "SELECT id FROM shop.not_there", url, code=13, stated=False))
    assert {"--purpose", "--license", "--privacy", "--access"} <= set(" ".join(error.things).split())
    assert not any("--extracted-at" in thing or "--database" in thing for thing in error.things)
    assert PASSWORD not in error.text
    typed = shlex.split(error.next_step)
    assert typed[:3] == ["datakeep", "register", "facts"]


def test_a_query_is_not_run_where_nothing_could_be_kept(queries: Queries, url: str, tmp_path: Path) -> None:
    """The table is not there either, which would have been the error of a query that was sent."""
    store = queries.world.vault / "data"
    store.rename(tmp_path / "data")
    try:
        error = error_of(queries.register("kept", "SELECT id FROM shop.not_there", url, code=17))
    finally:
        (tmp_path / "data").rename(store)
    assert "not there" in error.what or "missing" in error.what
    assert "not_there" not in error.text


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("register", "o", "--sql", "SQL", *STATED), "--database URL"),
        (("register", "o", "SQL", "--sql", "SQL", "--database", "duckdb:", *STATED), "not both"),
        (("register", "o", "SQL", "--param", "a=1", *STATED), "--param belongs to a query"),
        (("register", "o", "--sql", "SQL", "--database", "duckdb:", "--extracted-at", "2026-01-01"),
         "--extracted-at is recorded by datakeep"),
        (("register", "o", "--sql", "SQL", "--database", "duckdb:", "--database", "sqlite:///a.db", *STATED),
         "--database is given 2 times"),
        (("register", "o", "--sql", "SQL", "--sql", "other.sql", "--database", "duckdb:", *STATED),
         "--sql is given 2 times"),
        (("update", "o", "--rerun", "--sql", "SQL", "-m", "x"), "--rerun runs the recorded query"),
        (("check-sql", "SQL", "--database", "duckdb:", "--database", "duckdb:"), "--database is given 2 times"),
        (("reextract", "o", "--against", "duckdb:", "--against", "duckdb:"), "--against is given 2 times"),
        (("register", "o", "--sql", "SQL", "--database", "duckdb:", "--query", "SQL"), "--query is recorded"),
        (("register", "o", "--sql", "SQL", "--database", "duckdb:", "--source-kind", "files"), "is sql"),
        (("register", "o", "--sql", "SQL", "--database", "duckdb:", "--decimal", "a=x", *STATED), "PRECISION,SCALE"),
        (("register", "o", "--sql", "SQL", "--database", "duckdb:", "--query-timeout", "0"), "--query-timeout"),
    ],
)  # fmt: skip
def test_options_that_contradict_each_other(queries: Queries, argv: tuple[str, ...], words: str) -> None:
    sql = queries.write("one.sql", "SELECT 1 AS a")
    ran = queries.run(*(str(sql) if word == "SQL" else word for word in argv), code=2)
    assert words in error_of(ran).text


def test_rerun_of_what_was_never_extracted(queries: Queries) -> None:
    queries.world.register("plain")
    error = error_of(queries.run("update", "plain", "--rerun", "-m", "x", code=2))
    assert "records no query" in error.what
    assert "datakeep update plain --sql FILE --database URL" in error.next_step
    error = error_of(queries.run("reextract", "plain", code=2))
    assert "records no query" in error.what
    assert error_of(queries.run("reextract", "nobody", code=11)).what


class TestSecrets:
    """A password reaches no file and no line, wherever it comes from."""

    def test_none_of_a_postgres_password(self, queries: Queries, url: str, postgres: PostgresServer) -> None:
        bare = postgres.url("refusals", password=None)
        secrets = (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD))
        text = "SELECT id, price FROM shop.sale WHERE id < :high ORDER BY id"
        param = ("--param", "high=3")
        said = []

        def call(name: str, address: str, *options: str, code: int = 0) -> None:
            ran = queries.register(name, text, address, *options, code=code)
            said.extend((ran.out, ran.err))

        call("in-url", url, *param)
        call("in-url", url, *param, code=12)
        call("in-json", url, *param, "--json")
        call("incomplete", url, *param, "--purpose", "", code=13)
        options = bare + f"?password={quote(PASSWORD, safe='')}&application_name=x"
        call("in-options", options, *param)
        call(
            "unescaped", f"postgresql://keeper:{PASSWORD}@127.0.0.1:{postgres.port}/refusals", *param, code=2
        )
        alchemy = url.replace("postgresql:", "postgresql+psycopg:")
        call("alchemy", alchemy, *param)
        environment = {"PGPASSWORD": PASSWORD}
        ran = _with(queries, environment, "update", "in-url", "--rerun", "--param", "high=9", "-m", "more")
        said += [ran.out, ran.err]
        ran = _with(queries, environment, "reextract", "in-url")
        assert ran.code == 0, ran.err
        said += [ran.out, ran.err]
        passfile = queries.world.aiko.home / ".pgpass"
        passfile.write_text(f"127.0.0.1:{postgres.port}:*:keeper:{PASSWORD}\n")
        passfile.chmod(0o600)
        ran = _with(queries, {}, "reextract", "in-options", "--json")
        assert ran.code == 0, ran.err
        said += [ran.out, ran.err]
        assert queries.versions("in-url") == ["v1", "v2"]
        again = ("update", "in-url", "--rerun", "--param", "high=5", "-m", f"as {PASSWORD}")
        ran = _with(queries, environment, *again)
        assert ran.code == 26
        said.append(ran.err)
        assert "message holds the password of postgresql://keeper@" in said[-1]
        for line in "".join(said).splitlines():
            assert not any(secret in line for secret in secrets), line
        assert queries.traces(*secrets) == []

    def test_none_in_the_text_or_a_parameter(self, queries: Queries, url: str) -> None:
        before = queries.everything()
        inside = f"SELECT id FROM shop.sale -- run on {url}"
        link = f"SELECT id FROM dblink('postgresql://u:{CLERK}@h/d', 'SELECT 1') AS t(id int)"
        for text, options in (
            (inside, ()),
            (link, ()),
            ("SELECT :t AS t", ("--param", f"t={TOKEN}")),
            ("SELECT :t AS t", ("--param", f"t:text=postgresql://u:{CLERK}@h/d")),
            ("SELECT id FROM shop.sale", ("--caveat", f"log in with {PASSWORD}")),
            ("SELECT id FROM shop.sale", ("--purpose", f"what keeper ({quote(PASSWORD, safe='')}) sees")),
        ):
            for more in ((), ("--json",)):
                ran = queries.register("secret", text, url, *options, *more, code=26)
                for secret in (PASSWORD, TOKEN, CLERK):
                    assert secret not in ran.out + ran.err
        assert queries.everything() == before
        assert queries.traces(TOKEN, CLERK) == []

    def test_none_that_a_view_or_a_comment_holds(
        self, queries: Queries, url: str, postgres: PostgresServer
    ) -> None:
        with postgres.connect("refusals") as connection:
            connection.execute(
                f"CREATE VIEW shop.far AS SELECT id, 'postgresql://u:{CLERK}@h/d'::text AS via FROM shop.sale"
            )
            connection.execute(f"COMMENT ON COLUMN shop.sale.price IS 'log in with {TOKEN}'")
        queries.register(
            "far", "SELECT f.id, s.price FROM shop.far AS f JOIN shop.sale AS s ON s.id = f.id", url
        )
        far = next(one for one in queries.source("far")["extraction"]["tables"] if one["name"] == "shop.far")
        assert far["definition"].startswith("(withheld: it holds a password")
        with postgres.connect("refusals") as connection:
            connection.execute(f"CREATE VIEW shop.own AS SELECT '{PASSWORD}'::text AS own FROM shop.sale")
        for text in ("SELECT via::int AS n FROM shop.far", "SELECT own::int AS n FROM shop.own"):
            error = error_of(queries.register("quoted", text, url, code=34))
            assert "(password withheld)" in error.what
            assert PASSWORD not in error.text
            assert CLERK not in error.text
        assert queries.traces(TOKEN, CLERK) == []


def _with(queries: Queries, extra: dict[str, str], *argv: str):
    person = queries.world.aiko
    person.extra |= extra
    try:
        return person.datakeep(*argv, cwd=queries.world.keep, code=None)
    finally:
        for name in extra:
            del person.extra[name]


def test_sqlite_and_duckdb_refuse_in_the_same_way(queries: Queries, tmp_path: Path) -> None:
    url = sqlite_file(
        tmp_path / "s.db", "CREATE TABLE t (id INTEGER, v)", "INSERT INTO t VALUES (1, 'a'), (2, 3.5)"
    )
    before = queries.everything()
    for text, address, words in (
        ("SELECT id FROM nobody", url, "no such table: nobody"),
        ("SELECT id,\nFROM t", url, "syntax error"),
        ("DELETE FROM t", url, "DELETE"),
        ("SELECT v FROM t", url, "column v"),
        ("SELECT id, id FROM t", url, "id"),
        ("SELECT a FROM 'no-such.csv'", "duckdb:", "no-such.csv"),
        ("COPY (SELECT 1) TO 'x.csv'", "duckdb:", "COPY"),
        ("SELECT 1 AS a, 2 AS a", "duckdb:", "a"),
    ):
        assert words in error_of(queries.register("others", text, address, code=34)).text
    assert queries.everything() == before
    assert files_below(tmp_path).keys() == {"s.db"}
