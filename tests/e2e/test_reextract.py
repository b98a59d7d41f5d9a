"""A recorded query, run again: as the next version, or only to learn whether the source still says the same."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from postgres_server import PASSWORD
from queries import STATED, Queries, make_queries, sqlite_file
from seen import error_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer
    from world import World

ORDERS = """\
SELECT o.id, o.amount, o.placed, c.name AS customer
FROM shop.orders AS o JOIN shop.customers AS c ON c.id = o.customer
WHERE o.placed < :until
ORDER BY o.id
"""
UNTIL = ("--param", "until=2026-11-01")
SHOP = """
CREATE SCHEMA shop;
CREATE TABLE shop.customers (id int PRIMARY KEY, name text);
CREATE TABLE shop.orders (id int PRIMARY KEY, amount numeric(9,2), placed date, customer int);
INSERT INTO shop.customers VALUES (1, '青木'), (2, 'Sato');
INSERT INTO shop.orders SELECT n, n * 1.5, date '2026-10-01' + n, n % 2 + 1 FROM generate_series(1, 60) AS n;
CREATE VIEW shop.dear AS SELECT id, amount FROM shop.orders WHERE amount > 30;
"""


@pytest.fixture(scope="module")
def queries(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queries]:
    yield from make_queries(world, tmp_path_factory.mktemp("queries"))


@pytest.fixture
def shop(postgres: PostgresServer, request: pytest.FixtureRequest) -> str:
    """The URL of a database of the test's own."""
    name = request.node.name.removeprefix("test_")[:40]
    url = postgres.create(name)
    with postgres.connect(name) as connection:
        connection.execute(SHOP)
    return url


def change(url: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for one in statements:
            connection.execute(one)


def rerun(queries: Queries, name: str, url: str, *options: str | Path, code: int = 0) -> str:
    ran = queries.run("update", name, "--rerun", "--database", url, "-m", "again", *options, code=code)
    assert PASSWORD not in ran.out + ran.err
    return ran.out + ran.err


def reextract(queries: Queries, reference: str, url: str, code: int, *options: str) -> str:
    ran = queries.run("reextract", reference, "--against", url, *options, code=code)
    assert PASSWORD not in ran.out + ran.err
    return ran.out


def test_the_next_version(queries: Queries, shop: str) -> None:
    """As it is: no version. With other parameters, other rows, or another query: one, which says what differs."""
    queries.register("orders", ORDERS, shop, *UNTIL)
    assert "the query gives the same rows as orders@v1; no version was made" in rerun(queries, "orders", shop)
    assert queries.versions("orders") == ["v1"]

    said = rerun(queries, "orders", shop, "--param", "until=2026-12-01")
    assert "registered orders@v2: again" in said
    assert "2026-12-01" in said
    assert queries.source("orders", "v2")["parameters"] == {"until": "2026-12-01"}
    assert queries.source("orders", "v1")["parameters"] == {"until": "2026-11-01"}
    assert (len(queries.rows("orders")), len(queries.rows("orders", "v2"))) == (30, 60)

    change(shop, "UPDATE shop.orders SET amount = 0 WHERE id = 7")
    rerun(queries, "orders", shop)
    assert [row[1] for row in queries.rows("orders", "v3") if row[0] == 7] == [0]
    assert queries.source("orders", "v3")["parameters"] == {"until": "2026-12-01"}, "as it was before"

    other = queries.write("other.sql", "SELECT id, amount FROM shop.orders WHERE id < :below ORDER BY id")
    argv = ("update", "orders", "--sql", other, "--database", shop, "--param", "below=10", "-m", "fewer")
    queries.run(*argv)
    source = queries.source("orders", "v4")
    assert (source["query"], source["parameters"], source["rows"]) == ("source/other.sql", {"below": 10}, 9)
    entry = queries.entry("orders", "v4")
    tree = ("git", "--git-dir", entry["repository"], "ls-tree", "-r", "--name-only", entry["commit"])
    assert [one for one in queries.world.aiko.run(*tree).out.split() if one.startswith("source/")] == [
        "source/other.sql"
    ]
    assert queries.run("diff", "orders@v3", "orders@v4", code=3).out
    assert "0" in reextract(queries, "orders@v4", shop, 0)


def test_a_view_that_changed_is_worth_a_version_though_its_rows_are_the_same(
    queries: Queries, shop: str
) -> None:
    queries.register("dear", "SELECT id, amount FROM shop.dear ORDER BY id", shop)
    assert "same rows as dear@v1" in rerun(queries, "dear", shop)
    change(
        shop, "CREATE OR REPLACE VIEW shop.dear AS SELECT id, amount FROM shop.orders WHERE amount >= 31.5"
    )
    said = reextract(queries, "dear", shop, 3)
    assert "the definition of shop.dear has changed: …" in said
    assert "amount > (30)::numeric" in said
    assert "amount >= 31.5" in said
    rerun(queries, "dear", shop)
    first, second = (queries.entry("dear", version) for version in ("v1", "v2"))
    assert first["content"] == second["content"]
    assert reextract(queries, "dear", shop, 0)
    assert "definition" in reextract(queries, "dear@v1", shop, 3)


def test_what_the_database_says_of_columns_is_refreshed_and_what_a_person_stated_stays(
    queries: Queries, shop: str
) -> None:
    """A comment that changed alone is worth a version; a key that is gone goes; a person's own words stay."""
    change(
        shop,
        "COMMENT ON COLUMN shop.orders.amount IS 'in EUR'",
        "COMMENT ON COLUMN shop.orders.placed IS 'day'",
    )
    queries.register("words", "SELECT id, amount, placed FROM shop.orders ORDER BY id", shop)

    def columns(version: str) -> dict[str, tuple[Any, Any]]:
        found = queries.entry("words", version)["manifest"]["columns"]
        return {one["name"]: (one.get("meaning"), one.get("key")) for one in found}

    assert columns("v1") == {"id": (None, True), "amount": ("in EUR", None), "placed": ("day", None)}
    change(shop, "COMMENT ON COLUMN shop.orders.amount IS 'in USD'")
    assert "the comment on amount was 'in EUR', and is 'in USD'" in reextract(queries, "words", shop, 3)
    change(shop, "COMMENT ON TABLE shop.orders IS 'since 2018'")
    assert "the comment on the table shop.orders was none, and is 'since 2018'" in reextract(
        queries, "words", shop, 3
    )
    said = rerun(queries, "words", shop)
    assert "in EUR" in said
    assert "in USD" in said
    assert "shop.orders (3 columns): since 2018" in queries.run("show", "words").out
    assert columns("v2")["amount"] == ("in USD", None)
    assert reextract(queries, "words", shop, 0)

    manifest = queries.entry("words", "v2")["manifest"]
    next(one for one in manifest["columns"] if one["name"] == "amount")["meaning"] = "net, in USD"
    folder = queries.world.aiko.cwd / "stated"
    (folder / "source").mkdir(parents=True)
    shutil.copy(folder.parent / "words.sql", folder / "source")
    stated = queries.write("stated/stated.yaml", json.dumps(manifest))
    queries.run("update", "words", "--manifest", stated, "-m", "said by hand")
    assert "same rows as words@v3" in rerun(queries, "words", shop)

    change(
        shop,
        "COMMENT ON COLUMN shop.orders.amount IS 'in JPY'",
        "COMMENT ON COLUMN shop.orders.placed IS NULL",
    )
    change(shop, "ALTER TABLE shop.orders DROP CONSTRAINT orders_pkey")
    assert "the database says 'in JPY' of it now; its meaning stays 'net, in USD'" in rerun(
        queries, "words", shop
    )
    assert columns("v4") == {"id": (None, None), "amount": ("net, in USD", None), "placed": (None, None)}


def test_a_session_that_the_url_sets_up_is_set_up_again(queries: Queries, shop: str) -> None:
    """Where a table is found by the search path of the URL's options, the recorded URL has it, too."""
    name = shop.rpartition("/")[2]
    where = shop.partition("@")[2].partition("/")[0]
    host, _, port = where.partition(":")
    user = shop.removeprefix("postgresql://").partition("@")[0]
    url = f"postgresql://{user}@/{name}?host={host}&port={port}&options=-c%20search_path%3Dshop%20-c%20x.token%3Dabc"
    queries.register("path", "SELECT id FROM orders ORDER BY id", url)
    assert queries.source("path")["database"] == (
        f"postgresql://keeper@{where}/{name}?options=-c%20search_path%3Dshop"
    )
    recorded = queries.source("path")["database"]
    assert "same content" in reextract(
        queries, "path", recorded.replace("//", f"//{user}@", 1).replace("@keeper@", "@"), 0
    )


def test_what_happened_to_the_source_is_said(queries: Queries, shop: str) -> None:
    queries.register("sales", ORDERS, shop, *UNTIL, "--backend", "git")
    before = queries.everything()
    columns = {one["name"]: one for one in queries.entry("sales")["manifest"]["columns"]}
    assert columns["id"]["key"] is True
    assert "same content: sales@v1 and run now have the same 30 rows, compared by id" in reextract(
        queries, "sales", shop, 0
    )

    change(shop, "INSERT INTO shop.orders VALUES (99, 1, '2026-10-15', 1)")
    late = reextract(queries, "sales", shop, 3)
    assert "rows: 1 added, 0 removed, 0 changed" in late
    assert "+ id = 99" in late
    assert "… and" not in late

    change(
        shop,
        "DELETE FROM shop.orders WHERE id IN (3, 99)",
        "UPDATE shop.customers SET name = 'Itō' WHERE id = 2",
    )
    moved = reextract(queries, "sales", shop, 3)
    assert "rows: 0 added, 1 removed, 14 changed" in moved
    assert "customer: 14" in moved
    assert "    … and 12 more changed\n" in moved
    assert "next: datakeep update sales --rerun --database postgresql://" in moved
    assert PASSWORD not in moved
    data = queries.run("reextract", "sales", "--against", shop, "--json", code=3).data
    assert (data["same"], data["moved"], data["comparison"]["removed"]) == (False, [], 1)
    assert data["comparison"]["differing"] == {"customer": 14}
    assert PASSWORD not in str(data)
    assert queries.everything() == before, "a question changes nothing"


def test_what_a_later_version_keeps_as_text_is_compared_with_that_one(queries: Queries, shop: str) -> None:
    """Where it would be recorded once more, and then asked for once more, nobody would come further."""
    queries.register("nan", ORDERS, shop, *UNTIL)
    change(shop, "UPDATE shop.orders SET amount = 'NaN' WHERE id = 4")
    ran = queries.run("reextract", "nan", "--against", shop, code=34)
    assert "--rerun --as-text amount" in ran.err
    rerun(queries, "nan", shop, "--as-text", "amount")
    ran = queries.run("reextract", "nan@v1", "--against", shop, code=34)
    assert "NaN" in ran.err
    assert "so the rows are not those of v1 any more" in ran.err
    assert "next: compare with nan@v2, which keeps the column as text: datakeep reextract nan@v2" in ran.err
    assert "have the same 30 rows" in reextract(queries, "nan@v2", shop, 0)


def test_another_product_does_not_ask_for_another_query(queries: Queries, shop: str, tmp_path: Path) -> None:
    other = sqlite_file(tmp_path / "a.db", "CREATE TABLE orders (id)")
    queries.register("product", "SELECT id, amount::text AS amount FROM shop.orders ORDER BY id", shop)
    ran = queries.run("reextract", "product", "--against", other, code=34)
    assert "next: the query was written for another product: name a database of that one" in ran.err
    assert "--sql" not in ran.err


def test_a_type_that_changed_is_said(queries: Queries, shop: str) -> None:
    queries.register("typed", ORDERS, shop, *UNTIL)
    change(shop, "ALTER TABLE shop.customers ALTER name TYPE varchar(40)")
    text = reextract(queries, "typed", shop, 3)
    assert "the type of customer was text, and is character varying(40)" in text
    change(shop, "DROP VIEW shop.dear", "ALTER TABLE shop.orders ALTER amount TYPE numeric(11,3)")
    text = reextract(queries, "typed", shop, 3)
    assert "amount: decimal128(9, 2) → decimal128(11, 3)" in text
    assert "the type of amount" not in text, "which is told above"
    assert "rows: same" in text


def test_another_database(queries: Queries, shop: str, postgres: PostgresServer) -> None:
    queries.register("copied", ORDERS, shop, *UNTIL)
    replica = postgres.create("replica")
    change(replica, SHOP)
    assert "run now in postgresql://keeper@127.0.0.1" in reextract(queries, "copied", replica, 0)
    change(replica, "DELETE FROM shop.orders WHERE id < 3")
    assert "0 added, 2 removed" in reextract(queries, "copied", replica, 3)
    assert "same content" in reextract(queries, "copied", shop, 0)
    with_other = reextract(queries, "copied", shop, 3, "--param", "until=2026-10-20")
    assert "removed" in with_other


def test_without_a_key_rows_are_counted_as_wholes(queries: Queries, tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    url = sqlite_file(
        path, "CREATE TABLE log (what TEXT, n INTEGER)", "INSERT INTO log VALUES ('a', 1), ('a', 1)"
    )
    queries.register("log", "SELECT what, n FROM log", url)
    assert "same content" in reextract(queries, "log", url, 0)
    sqlite_file(path, "INSERT INTO log VALUES ('a', 1)")
    text = reextract(queries, "log", url, 3)
    assert "rows: 1 added, 0 removed" in text
    assert "changed" not in text.partition("rows:")[2].splitlines()[0]


def test_passwords_in_values_are_in_no_example(queries: Queries, tmp_path: Path) -> None:
    path = tmp_path / "dsn.db"
    rows = "INSERT INTO dsn VALUES (1, 'postgres://u:hunter2secret@h/db')"
    url = sqlite_file(path, "CREATE TABLE dsn (id INTEGER PRIMARY KEY, k TEXT)", rows)
    queries.register("dsn", "SELECT id, k FROM dsn ORDER BY id", url)
    sqlite_file(path, "UPDATE dsn SET k = 'postgres://u:hunter3secret@h/db2'")
    texts = [reextract(queries, "dsn", url, 3)]
    queries.run("update", "dsn", "--rerun", "-m", "again")
    for more in ((), ("--json",)):
        texts.append(queries.run("diff", "dsn@v1", "dsn@v2", *more, code=3).out)
    for text in texts:
        assert "secret" not in text
        assert "postgres://u@h/db2 (password withheld)" in text


def test_files_that_were_written_anew(queries: Queries, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,v\n1,x\n2,y\n")
    text = f"SELECT id, v FROM '{file}' ORDER BY id"
    queries.register("files", text, "duckdb:")
    assert "same content" in reextract(queries, "files", "duckdb:", 0)
    file.write_text('"id","v"\n1,"x"\n2,"y"\n')
    said = reextract(queries, "files", "duckdb:", 3)
    was, now = (hashlib.sha256(text).hexdigest()[:12] for text in (b"id,v\n1,x\n2,y\n", file.read_bytes()))
    assert f"the files of {file} have changed: its sha256 was {was}…, and is {now}…" in said
    assert "same content" in said
    now = hashlib.sha256(b"id;name\n1;x\n").hexdigest()[:12]
    file.write_bytes(b"id;name\n1;x\n")
    for argv in (("reextract", "files"), ("update", "files", "--rerun", "-m", "again")):
        error = error_of(queries.run(*argv, code=34))
        assert f"{file} has changed since: its sha256 was {was}…, and is {now}…" in error.what
        assert "datakeep update files --sql FILE -m WHY" in error.next_step
    file.write_bytes(bytes(range(256)) * 9)
    error = error_of(queries.run("reextract", "files", code=34))
    assert "has changed since" in error.what
    assert "cannot tell how this CSV is written" in error.what
    assert "Delimiter" not in error.text
    file.unlink()
    error = error_of(queries.run("reextract", "files", code=34))
    assert error.what.endswith(f"there is no file {file}, which the query reads; its sha256 was {was}…")
    assert error.next_step.startswith("put the file back, or record a query of another: ")


def test_names_of_files_that_are_values_are_the_same_again(queries: Queries) -> None:
    """Where they begin in the same folder; from elsewhere they are found by their whole paths."""
    folder = queries.world.keep / "named"
    folder.mkdir()
    (folder / "a.csv").write_text("id\n1\n")
    text = "SELECT id, filename FROM read_csv('named/*.csv', filename=true) ORDER BY id"
    queries.register("filenames", text, "duckdb:")
    assert queries.rows("filenames") == [(1, "named/a.csv")]
    assert "same content" in queries.run("reextract", "filenames").out
    shutil.rmtree(folder)


def test_of_a_source_without_rows_the_next_step_takes_none(queries: Queries, tmp_path: Path) -> None:
    file = tmp_path / "shrunk.csv"
    file.write_text("id,v\n1,x\n")
    queries.register("shrunk", f"SELECT id, v FROM '{file}' ORDER BY id", "duckdb:")
    assert "source, parameters  none\n" in queries.run("show", "shrunk").out
    file.write_text("id,v\n")
    said = queries.run("reextract", "shrunk", code=3).out.splitlines()[-1]
    assert said.startswith("next: datakeep update shrunk --rerun --allow-empty -m WHY")


def test_a_relative_name_begins_where_it_began_also_if_the_file_is_gone(
    queries: Queries, tmp_path: Path
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder in (here, elsewhere):
        folder.mkdir()
        (folder / "a.csv").write_text("id,d\n1,03/02/2026\n")
    argv = ("--database", "duckdb:", *STATED)
    for name, source in (("named", "'a.csv'"), ("read", "read_csv('a.csv')"), ("glob", "'*.csv'")):
        sql = queries.write(f"{name}.sql", f"SELECT id, d FROM {source} ORDER BY id")
        queries.calls.datakeep("-C", queries.world.keep, "register", name, "--sql", sql, *argv, cwd=here)
    (here / "0.csv").write_text("id,d\n2,12/25/2026\n")
    said = queries.calls.datakeep("-C", queries.world.keep, "reextract", "glob", cwd=elsewhere, code=3).out
    assert f"the files of *.csv have changed: {here / '0.csv'} is new\n" in said
    assert "note: DuckDB guessed otherwise how *.csv is written: …" in said
    assert "dates as %d/%m/%Y, id BIGINT, d DATE → …" in said
    (here / "a.csv").unlink()
    for name in ("named", "read"):
        ran = queries.calls.datakeep("-C", queries.world.keep, "reextract", name, cwd=elsewhere, code=34)
        assert (
            f"there is no file {here / 'a.csv'}, which the query reads; its sha256 was " in error_of(ran).what
        )


def test_who_sees_other_rows_is_not_told_that_the_source_has_lost_them(
    queries: Queries, shop: str, postgres: PostgresServer
) -> None:
    """Under row-level security; and of a key that names no row it is said what to do."""
    change(
        shop,
        f"CREATE ROLE seer LOGIN PASSWORD '{PASSWORD}'",
        "GRANT USAGE ON SCHEMA shop TO seer; GRANT SELECT ON shop.orders TO seer",
        "ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY few ON shop.orders TO seer USING (id > 2)",
        "CREATE TABLE shop.twice AS SELECT id, amount FROM shop.orders",
    )
    queries.register("secured", "SELECT id, amount FROM shop.orders ORDER BY id", shop)
    seer = postgres.url(shop.rpartition("/")[2], user="seer")
    said = reextract(queries, "secured", seer, 3)
    assert "0 added, 2 removed" in said
    assert (
        "note: shop.orders: row-level security shows each user other rows; the query ran as keeper, and now as seer"
    ) in said
    assert "update" not in said
    where = seer.rpartition("@")[2]
    assert said.endswith(
        "next: run it as keeper, as it was run for secured@v1: datakeep reextract secured@v1 --against "
        f"postgresql://keeper@{where}\n"
    )

    manifest = queries.world.aiko.cwd / "keyed.yaml"
    manifest.write_text("columns: [{name: id, key: true}]\n")
    queries.register("keyed", "SELECT id, amount FROM shop.twice ORDER BY id", shop, "--manifest", manifest)
    change(shop, "INSERT INTO shop.twice SELECT id, amount + 1 FROM shop.twice WHERE id = 1")
    said = reextract(queries, "keyed", shop, 3)
    assert "id is not unique in the new rows" in said
    assert (
        "by key, if the rows have one, state it as columns[].key in the manifest: datakeep update keyed --manifest"
        in said
    )


def test_the_database_is_remembered_but_not_its_password(
    queries: Queries, shop: str, postgres: PostgresServer
) -> None:
    queries.register("known", ORDERS, shop, *UNTIL)
    refused = queries.run("reextract", "known", code=18)
    assert "wants a password" in refused.err
    assert "PGPASSWORD" in refused.err
    queries.world.aiko.extra["PGPASSWORD"] = PASSWORD
    try:
        ran: Any = queries.world.aiko.datakeep("reextract", "known", cwd=queries.world.keep)
    finally:
        del queries.world.aiko.extra["PGPASSWORD"]
    assert "same content" in ran.out


def test_the_record_is_only_of_what_datakeep_ran(queries: Queries, tmp_path: Path) -> None:
    """Other data, or another statement of the query, end it; nobody can write it by hand."""
    url = sqlite_file(tmp_path / "own.db", "CREATE TABLE t (id INTEGER)", "INSERT INTO t VALUES (1)")
    queries.register("own", "SELECT id FROM t", url)
    queries.run("update", "own", "--caveat", "one row", "-m", "a caveat")
    assert "extraction" in queries.source("own", "v2"), "the bytes are the same"
    entry = queries.entry("own", "v2")
    show = ("git", "--git-dir", entry["repository"], "show", f"{entry['commit']}:dataset.yaml")
    text = queries.world.aiko.run(*show).out
    (queries.world.aiko.cwd / "source").mkdir()
    queries.write("source/own.sql", "SELECT id FROM t")
    edited = queries.write("edited.yaml", text.replace("test of datakeep", "another purpose"))
    queries.run("update", "own", "--manifest", edited, "-m", "purpose")
    assert "extraction" in queries.source("own", "v3"), "an edited copy of the manifest has it as it was"
    forged = queries.write(
        "forged.yaml", text.replace("server: SQLite", "server: Oracle").replace("name: own\n", "")
    )
    for argv in (
        ("update", "own", "--manifest", forged, "-m", "x"),
        ("register", "own-too", forged, "--manifest", forged, "--backend", "git"),
    ):
        ran = queries.run(*argv, code=None)
        assert ran.code == 14
        assert "only datakeep writes" in ran.err
    queries.write("source/own.sql", "SELECT id FROM t WHERE id > 0")
    queries.run("update", "own", "--manifest", edited, "-m", "another text")
    assert "extraction" not in queries.source("own", "v4")
    queries.run("update", "own", "--rerun", "-m", "run")
    assert "extraction" in queries.source("own", "v5")
    other = queries.write("other.csv", "id\n2\n")
    asked = queries.run("update", "own", other, "-m", "files", code=13).err
    assert "--origin" in asked, "nothing is known of files that come in the place of rows"
    assert "--extracted-at" in asked
    known = ("--origin", "a colleague", "--extracted-at", "2026-11-20")
    queries.run("update", "own", other, *known, "-m", "files")
    assert set(queries.source("own", "v6")) == {"kind", "origin", "extracted_at"}
