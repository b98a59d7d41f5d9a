"""What a person reads: which file, which database, and a way out that can be typed; and files that DuckDB reads."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from queries import STATED, Queries, make_queries, sqlite_file
from seen import error_of
from world import Ran

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from object_server import ObjectServer
    from world import World

SEALS = (
    "CREATE TABLE seal (id INTEGER PRIMARY KEY, weight REAL, sex TEXT, seen TEXT)",
    "INSERT INTO seal VALUES (1, 80.5, 'f', '2026-01-01'), (2, 95, 'm', '2026-01-20'), (3, 70, 'f', '2026-02-01')",
)
SEEN = "SELECT id, weight, sex FROM seal WHERE seen < :until ORDER BY id"


@pytest.fixture(scope="module")
def queries(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queries]:
    yield from make_queries(world, tmp_path_factory.mktemp("queries"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_file(tmp_path / "shore.db", *SEALS)


def change(url: str, *statements: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        for one in statements:
            connection.execute(one)
    connection.close()


def test_faults_name_the_file_as_it_was_given_and_the_database(queries: Queries, url: str) -> None:
    wrong = "SELECT wieght FROM seal"
    error = error_of(queries.register("faulty", wrong, url, code=34))
    file = queries.world.aiko.cwd / "faulty.sql"
    assert error.what.startswith(f"{file}, run in {url}: line 1, column 8: no such column: wieght")
    assert "source/" not in error.text
    checked = error_of(queries.run("check-sql", file, "--database", url, "--dialect", "postgres", code=2))
    assert "--dialect postgres" in checked.what
    broken = queries.write("broken.sql", "SELECT id FROM seal\nWHERE )")
    assert error_of(queries.run("check-sql", broken, code=34)).what.startswith(f"{broken}: line 2, column 7")
    duckdb = error_of(queries.register("faulty", "SELECT x FROM range(3)", "duckdb:", code=34))
    assert duckdb.what.startswith(f"{file}, run in DuckDB: line 1, column 8")
    assert "::" not in duckdb.text


def test_faults_of_a_recorded_query_do_not_ask_to_correct_it(queries: Queries, url: str) -> None:
    queries.register("seals", SEEN, url, "--param", "until=2026-02-01")
    change(url, "ALTER TABLE seal RENAME COLUMN weight TO kilos")
    for argv in (("update", "seals", "--rerun", "-m", "again"), ("reextract", "seals")):
        error = error_of(queries.run(*argv, code=34))
        assert error.what.startswith(
            f"source/seals.sql of seals@v1, run in {url}: line 1, column 12: no such column"
        )
        assert "correct" not in error.next_step
        assert "datakeep update seals --sql FILE -m WHY" in error.next_step


def test_a_day_that_is_read_as_a_number_is_doubted_with_the_way_out(queries: Queries, url: str) -> None:
    """SQLite compares a text with a number without a word: all rows, or none."""
    ran = queries.register("days", SEEN, url, "--param", "until=20260115")
    doubt = "until=20260115 is read as a whole number; if it is a date: --param until:date=2026-01-15"
    assert f"note: {doubt}" in ran.out
    fixed = shlex.split(doubt.rpartition(": ")[2])
    queries.run("update", "days", "--rerun", *fixed, "-m", "a date")
    assert [row[0] for row in queries.rows("days", "v2")] == [1]


def test_a_parameter_in_quotes_is_said_to_be_a_text(queries: Queries, url: str) -> None:
    text = SEEN.replace(":until", "':until'")
    error = error_of(queries.register("quoted", text, url, "--param", "until=2026-02-01", code=34))
    assert ":until stands in quotes" in error.what
    assert "write :until, not ':until'" in error.next_step
    column = text.index("':until'") + 1
    file = queries.world.aiko.cwd / "quoted.sql"
    said = f"{file}:1:{column}: ':until' stands in quotes: a parameter inside quotes is text, not a parameter"
    assert f"note: {said}; write :until without the quotes" in queries.register("quoted", text, url).out
    assert said in queries.run("check-sql", file, "--dialect", "sqlite", code=3).out
    within = SEEN.replace(":until", "'%:until%'")
    error = error_of(queries.register("within", within, url, "--param", "until=2026-02-01", code=34))
    assert "'…' || :until || '…'" in error.next_step
    numbered = queries.write("numbered.sql", SEEN.replace(":until", "'$1'"))
    assert "'$1' stands in quotes" in queries.run("check-sql", numbered, "--dialect", "sqlite", code=3).out


def test_a_text_that_looks_like_something_else_is_doubted_and_shown_as_a_text(
    queries: Queries, url: str
) -> None:
    text = "SELECT id, :b AS b, :c AS c, :f AS f, :e AS e, :n AS n FROM seal ORDER BY id"
    options = (
        "--param",
        "n=2026-11-01T09:00:00.123456789+09:00",
        "--param",
        "b=TRUE",
        "--param",
        "c=None",
        "--param",
        "f=1e5",
        "--param",
        "e=",
    )
    said = queries.register("odd", text, url, *options).out
    assert "note: b=TRUE is read as a text; if it is a boolean: --param b=true\n" in said
    assert (
        "note: c=None is read as a text; if no value is meant, it needs a type, such as --param c:date:null\n"
        in said
    )
    assert "note: f=1e5 is read as a text; if it is a number: --param f:double=1e5\n" in said
    assert "is read as a text; a timestamp has six digits of a second at most" in said
    assert "note: e=" not in said
    shown = queries.run("show", "odd").out
    assert "b = 'TRUE', c = 'None', f = '1e5', e = ''" in shown
    assert "  id  int64   key\n" in shown, "which columns are the key"
    entry = queries.entry("odd")
    argv = ("git", "--git-dir", entry["repository"], "show", f"{entry['commit']}:README.md")
    assert "| name | type | key | unit | meaning |\n|---|---|---|---|---|\n| id | int64 | key |  |  |\n" in (
        queries.world.aiko.run(*argv).out
    )
    day = "SELECT id, :day AS day FROM seal ORDER BY id"
    refused = queries.register("no-day", day, url, "--param", "day=2026-02-30", code=2)
    typed = error_of(refused).next_step
    assert typed.startswith("write --param day:text=2026-02-30")
    queries.register("no-day", day, url, *typed.split()[1:3])
    assert "day = '2026-02-30'" in queries.run("show", "no-day").out


def test_parameters_of_a_manifest_are_those_of_the_query(queries: Queries, url: str) -> None:
    """As they are written there, under what ``--param`` says; of a rerun, above what is recorded."""
    text = "SELECT id, :code AS code, :rate AS rate FROM seal WHERE seen < :until ORDER BY id"
    stated = "source: {kind: sql, parameters: {until: 2026-02-01, code: {type: text, value: 12}, rate: 0.10}}"
    manifest = queries.write("parameters.yaml", stated)
    queries.register("stated-too", text, url, "--manifest", manifest, "--param", "until=2026-03-01")
    assert queries.source("stated-too")["parameters"] == {
        "until": "2026-03-01", "code": {"type": "text", "value": "12"}, "rate": "0.10",
    }  # fmt: skip
    assert len(queries.rows("stated-too")) == 3
    source = {"kind": "sql", "parameters": {"code": {"type": "text", "value": "13"}}}
    facts = {**queries.entry("stated-too")["manifest"], "source": source}
    again = queries.write("again.yaml", json.dumps(facts))
    queries.run("update", "stated-too", "--rerun", "--manifest", again, "-m", "thirteen")
    assert queries.source("stated-too", "v2")["parameters"]["code"]["value"] == "13"
    assert queries.source("stated-too", "v2")["parameters"]["until"] == "2026-03-01"
    odd = queries.write("odd.yaml", "source: {kind: sql, parameters: {until: 2026-02-30}}")
    error = error_of(queries.register("odd-day", SEEN, url, "--manifest", odd, code=2))
    assert "write until: {type: text" in error.next_step


def test_a_password_in_a_value_that_a_database_complains_of_is_withheld(
    queries: Queries, tmp_path: Path
) -> None:
    file = tmp_path / "leaky.csv"
    file.write_text(f"id,dsn\n1,{'x' * 40} postgres://u:hunter2secret@h/db\n")
    for text in (f"SELECT id, dsn::INT AS d FROM '{file}'", f"SELECT id FROM '{file}' WHERE error(dsn) > 0"):
        for argv in ((), ("--json",)):
            ran = queries.register("leaky", text, "duckdb:", *argv, code=34)
            assert "hunter2" not in ran.out + ran.err
            assert "postgres://u@h/db (password withheld)" in ran.out + ran.err


def test_many_notes_of_one_kind_are_counted_and_json_has_the_notes(queries: Queries) -> None:
    columns = ", ".join(f"now() AS t{number}" for number in range(9))
    text = f"SELECT {columns} FROM range(2)"
    said = queries.register("clocks", text, "duckdb:").out
    assert said.count("the result depends on the time of the run") == 5
    assert "note: and 4 more like them [clock]: datakeep check-sql lists all\n" in said
    assert len(queries.entry("clocks")["manifest"]["source"]["extraction"]["advice"]) == 9
    assert "noted of the query" in queries.run("show", "clocks").out
    again = queries.run("update", "clocks", "--rerun", "-m", "again")
    assert "more like them" not in again.out + again.err, "it was said at the version before"
    notes = queries.register("clocks-2", text, "duckdb:", "--json").data["notes"]
    assert sum("the result depends on" in one for one in notes) == 5
    assert any("has no ORDER BY" in one for one in notes)
    other = queries.run("reextract", "clocks", code=3).out
    assert (
        "note: the query need not give the same rows in another run: 1:8: now(): the result depends" in other
    )


def test_a_column_of_people_under_another_name_is_withheld(queries: Queries, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,email\n1,hanako@corp.example\n2,ken@corp.example\n")
    text = f"WITH x AS (SELECT id, email AS k FROM '{tmp_path / 'p.csv'}') SELECT id, k AS contact FROM x ORDER BY id"
    said = queries.register("people", text, "duckdb:").out
    assert "contact (from email)" in said
    assert "the profile withholds all values of contact: the name suggests personal data" in said
    assert "hanako" not in queries.run("show", "people").out


def test_a_view_hides_no_column_of_people(queries: Queries, tmp_path: Path) -> None:
    views = sqlite_file(
        tmp_path / "people.db",
        "CREATE TABLE p (id INTEGER PRIMARY KEY, email TEXT, sex INTEGER)",
        "INSERT INTO p VALUES (1, 'hanako@corp.example', 1), (2, 'ken@corp.example', 2)",
        "CREATE VIEW v (n, c1, s) AS SELECT id, lower(email), sex FROM p",
        "CREATE VIEW w AS SELECT n, c1 AS c2, s FROM v",
    )
    said = queries.register("viewed", "SELECT n, c2 AS c3, s AS s1 FROM w ORDER BY n", views).out
    assert "c3 (from email)" in said
    assert "s1 (from sex)" in said
    assert "the profile withholds all values of c3: the name suggests personal data" in said
    assert "hanako" not in queries.run("show", "viewed").out
    file = queries.world.aiko.cwd / "viewed.sql"
    checked = queries.run("check-sql", file, "--database", views, code=3).out
    assert "c3 (from email): the name of a column suggests personal data" in checked
    kept = {one["name"]: one for one in queries.run("show", "viewed", "--json").data["profile"]["columns"]}
    assert kept["s1"]["max"] == "2"
    # A view that takes another column by the same name from now on is told of; what was said already is not.
    queries.register("turned", "SELECT n, s AS c9 FROM v ORDER BY n", views, "--privacy", "no")
    change(views, "DROP VIEW v", "CREATE VIEW v (n, c1, s) AS SELECT id, sex, lower(email) FROM p")
    turned = queries.run("update", "turned", "--rerun", "-m", "again")
    assert "stated as not personal: c9 (from email)" in turned.out + turned.err
    assert "hanako" not in queries.run("show", "turned").out
    # What is personal is stated later, without new data: what the query and the views say of the names still counts.
    queries.run("update", "viewed", "--privacy", "yes", "--privacy-basis", "consent", "-m", "they are people")
    kept = {one["name"]: one for one in queries.run("show", "viewed", "--json").data["profile"]["columns"]}
    assert kept["s1"]["withheld"] == "name"
    assert kept["n"]["withheld"] == "few"
    assert "max" not in kept["s1"]


def test_a_pivot_whose_columns_the_data_give_says_what_to_write(queries: Queries, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("g,k,v\na,x,1\n")
    text = f"SELECT * FROM (PIVOT '{tmp_path / 'p.csv'}' ON k USING max(v) GROUP BY g) ORDER BY g"
    error = error_of(queries.register("turned-round", text, "duckdb:", code=34))
    assert "takes the columns of a PIVOT from the data" in error.what
    assert "ON country IN ('DE', 'FR')" in error.next_step
    queries.register("turned-round", text.replace("ON k", "ON k IN ('x')"), "duckdb:")


def test_a_value_of_people_is_withheld_whatever_it_comes_out_of(queries: Queries, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(
        '{"id": 1, "who": {"email": "hanako@corp.example"}, "phones": ["+81-3-1"]}\n'
        '{"id": 2, "who": {"email": "ken@corp.example"}, "phones": ["+81-3-2"]}\n'
    )
    text = (
        f"SELECT q.id, q.who.email AS a, q.who->>'email' AS b, x AS c, q::text AS d, lower(a) AS e"
        f" FROM read_json('{tmp_path / 'p.json'}') q, unnest(q.phones) AS t(x) ORDER BY q.id"
    )
    said = queries.register("folk", text, "duckdb:", "--privacy", "no").out
    assert "a (from email), b (from email), c (from phones), d (from phones), e (from email)" in said
    shown = queries.run("show", "folk").out
    assert "hanako" not in shown
    assert "+81" not in shown


def test_no_rows_are_refused_unless_they_are_allowed(queries: Queries, url: str) -> None:
    before = queries.everything()
    error = error_of(queries.register("none", SEEN, url, "--param", "until=2020-01-01", code=34))
    assert "the query gives no rows" in error.what
    assert "add --allow-empty" in error.next_step
    assert queries.everything() == before
    quoted = SEEN.replace("< :until", "> ':until'")
    assert "remove the quotes" in error_of(queries.register("none", quoted, url, code=34)).next_step
    queries.register("none", SEEN, url, "--param", "until=2020-01-01", "--allow-empty")
    assert queries.rows("none") == []
    queries.run("update", "none", "--rerun", "-m", "as empty as it was")
    assert "same content" in queries.run("reextract", "none").out
    queries.register("some", SEEN, url, "--param", "until=2026-02-01")
    emptied = ("update", "some", "--rerun", "--param", "until=2020-01-01", "-m", "nothing")
    error = error_of(queries.run(*emptied, code=34))
    assert "gives no rows" in error.what
    assert error.next_step.endswith("if no rows are right: datakeep update some --rerun --allow-empty -m WHY")
    assert "2 removed" in queries.run("reextract", "some", "--param", "until=2020-01-01", code=3).out
    queries.run(*emptied, "--allow-empty")
    assert queries.rows("some", "v2") == []
    alone = queries.run("update", "some", "--allow-empty", "-m", "nothing", code=2)
    assert "--allow-empty belongs to a query" in alone.err


@pytest.mark.parametrize(
    ("name", "scheme", "content", "words", "way_out"),
    [
        ("s.x", "duckdb", "sqlite", "is an SQLite database", "sqlite:///{}"),
        ("d.x", "sqlite", "duckdb", "is a DuckDB database", "duckdb:///{}"),
        ("p.x", "sqlite", "parquet", "is a file of data, no database", "duckdb: and name the file in the query"),
        ("p.x", "duckdb", "parquet", "is a file of data, no database", "duckdb: and name the file in the query"),
        ("a.csv", "sqlite", "id\n1\n", "is a file of data, no database", "FROM '{}'"),
        ("a.csv", "duckdb", "id\n1\n", "is a file of data, no database", "FROM '{}'"),
        ("a.txt", "duckdb", "words", "not a valid DuckDB database file", "name a file that DuckDB made"),
        ("a.txt", "sqlite", "words", "is no SQLite database", "name the file that holds the tables"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_names_the_url_that_reads_it(
    queries: Queries, tmp_path: Path, name: str, scheme: str, content: str, words: str, way_out: str
) -> None:
    file = tmp_path / name
    if content == "sqlite":
        sqlite_file(file, *SEALS)
    elif content == "duckdb":
        with duckdb.connect(str(file)) as connection:
            connection.execute("CREATE TABLE t (id int)")
    elif content == "parquet":
        duckdb.sql("SELECT 1 AS id").write_parquet(str(file))
    else:
        file.write_text(content)
    error = error_of(queries.register("kind", "SELECT 1 AS id", f"{scheme}:///{file}", code=35))
    assert words in error.what
    assert way_out.format(file) in error.next_step
    assert "INSTALL" not in error.text


def test_a_value_that_a_recorded_column_cannot_hold_names_a_command_that_works(
    queries: Queries, url: str
) -> None:
    queries.register("mixed", "SELECT id, weight AS kilos, weight AS again FROM seal ORDER BY id", url)
    change(url, "UPDATE seal SET weight = 'heavy' WHERE id = 2")
    for argv in (("reextract", "mixed"), ("update", "mixed", "--rerun", "-m", "again")):
        ran = queries.run(*argv, code=34)
        error = error_of(ran)
        assert "2 columns cannot be kept exactly" in error.what
        assert "column kilos, row 2: 'heavy' is text, while the values before it are real" in ran.err
        assert "column again, row 2: 'heavy' is text, while the values before it are real" in ran.err
        typed = shlex.split(error.next_step.rpartition(": ")[2])
        wanted = ["--as-text", "kilos", "--as-text", "again", "-m", "WHY"]
        assert typed == ["datakeep", "update", "mixed", "--rerun", *wanted]
    queries.run(*typed[1:])
    assert queries.rows("mixed", "v2")[1] == (2, "heavy", "heavy")
    assert "same content" in queries.run("reextract", "mixed").out


def test_who_has_stated_that_nothing_is_personal_is_not_asked_again(queries: Queries, url: str) -> None:
    ran = queries.register("stated", SEEN, url, "--param", "until=2026-03-01")
    said = [line for line in ran.out.splitlines() if "sex" in line]
    assert said == ["note: stated as not personal: sex, though the name may sound so"]
    profile = json.loads(queries.run("show", "stated", "--json").out)["profile"]
    (sex,) = [column for column in profile["columns"] if column["name"] == "sex"]
    assert {one["value"] for one in sex["top"]} == {"f", "m"}
    again = queries.run("update", "stated", "--rerun", "--param", "until=2026-01-05", "-m", "fewer")
    assert "personal" not in again.out + again.err
    stated = [option for option in STATED if not option.startswith("--privacy")]
    asked = queries.register(
        "unstated", SEEN, url, *stated, "--privacy=unknown", "--param", "until=2026-03-01", stated=False
    )
    assert "note: sex: the name of a column suggests personal data" in asked.out


def test_notes_of_update_are_called_so_and_a_dry_run_is_one(queries: Queries, url: str) -> None:
    queries.register("dry", SEEN.replace(" ORDER BY id", ""), url, "--param", "until=2026-02-01")
    ran = queries.run("update", "dry", "--rerun", "--dry-run", "-m", "again")
    assert ran.out == "the query gives the same rows as dry@v1; a dry run: there would be no new version\n"
    ran = queries.run("update", "dry", "--rerun", "--param", "until=2026-03-01", "-m", "more")
    for noise in ("started_at", "ended_at", "snapshot"):
        assert noise not in ran.err
        assert noise not in queries.run("diff", "dry", code=3).out
    assert "source.extracted_at" in ran.err
    assert "source.extraction.ended_at" in queries.run("diff", "dry", "--json", code=3).out


def test_a_rerun_says_only_what_was_not_said_of_the_version_before(queries: Queries, url: str) -> None:
    text = "SELECT id, weight FROM seal WHERE seen < :until LIMIT 9"
    queries.register("quiet", text, url, "--param", "until=2026-01-10")
    argv = ("update", "quiet", "--rerun", "-m", "more")
    ran = queries.run(*argv, "--param", "until=2026-03-01")
    file = "source/quiet.sql of quiet@v1"
    notes = [line for line in ran.err.splitlines() if line.startswith("note:")]
    assert notes[0].startswith(f"note: {file} has no ORDER BY"), "of one row that was not worth saying"
    assert notes[1:] == ["note: 1 note as at quiet@v1, not repeated here (--json has all)"]
    change(url, "UPDATE seal SET weight = 'heavy' WHERE id = 2")
    ran = queries.run(*argv, "--as-text", "weight", "--json")
    assert any(
        f"{file.replace('v1', 'v2')}:1:49: a limit without ORDER BY" in note for note in ran.data["notes"]
    )
    assert any(note.startswith("column weight (REAL): ") for note in ran.data["notes"])
    other = queries.write("quiet.sql", text)
    ran = queries.run("update", "quiet", "--sql", other, "--param", "until=2026-01-10", "-m", "anew")
    assert f"note: {other}:1:49: a limit without ORDER BY" in ran.err, "of another query all is said"


def test_changed_values_are_told(queries: Queries, url: str) -> None:
    queries.register("weights", SEEN, url, "--param", "until=2026-03-01")
    change(url, "UPDATE seal SET weight = 81.25 WHERE id = 1", "UPDATE seal SET sex = NULL WHERE id = 3")
    said = queries.run("reextract", "weights", code=3).out
    assert "  ~ id = 1: weight 80.5 → 81.25\n" in said
    assert "  ~ id = 3: sex f → NULL\n" in said
    found = queries.run("reextract", "weights", "--json", code=3).data["comparison"]
    assert found["changes"][0] == {
        "key": {"id": "1"}, "columns": {"weight": {"old": "80.5", "new": "81.25"}}, "columns_differing": 1,
    }  # fmt: skip


def test_check_sql_calls_what_only_sounds_personal_derivable(queries: Queries, url: str) -> None:
    file = queries.write("sex.sql", "SELECT id, sex FROM seal ORDER BY id")
    found = queries.run("check-sql", file, "--database", url, "--json", code=3).data
    assert ([one["id"] for one in found["advice"]], found["derivable"]) == (["personal-column"], True)
    sums = queries.write("sums.sql", "SELECT sex, avg(weight) AS kilos FROM seal GROUP BY sex")
    found = queries.run("check-sql", sums, "--database", url, "--json", code=3).data
    assert ([one["id"] for one in found["advice"]], found["derivable"]) == (
        ["personal-column", "float-sum"],
        False,
    )
    assert any("no ORDER BY" in note for note in found["notes"])


def test_a_folder_for_temporary_files_that_is_not_there_is_not_replaced_in_silence(
    queries: Queries, url: str
) -> None:
    before = queries.everything()
    person = queries.world.aiko
    argv = ("register", "nowhere", "--sql", queries.write("nowhere.sql", SEEN), "--database", url, *STATED)
    usual = person.extra["TMPDIR"]
    person.extra["TMPDIR"] = "/no/such/folder"
    try:
        ran = person.datakeep(*argv, "--param", "until=2026-02-01", cwd=queries.world.keep, code=2)
    finally:
        person.extra["TMPDIR"] = usual
    error = error_of(ran)
    assert "TMPDIR names, /no/such/folder, is not there" in error.what
    assert "set TMPDIR" in error.next_step
    assert queries.everything() == before


# Runs in a mount namespace of its own, where it may put a small disk in the place of a store.
FULL = """
import json, subprocess, sys

keep, store, base, command = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", store], check=True)
subprocess.run(["cp", "-a", f"{store}.copy/datakeep-store.json", store], check=True)
done = subprocess.run([sys.executable, "-m", "datakeep", *command], cwd=keep, capture_output=True, text=True)
print(json.dumps({"code": done.returncode, "out": done.stdout, "err": done.stderr}))
"""


def test_a_full_store_leaves_no_repository(queries: Queries, tmp_path: Path) -> None:
    url = sqlite_file(
        tmp_path / "big.db",
        "CREATE TABLE t AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 3000) "
        "SELECT id, randomblob(1000) AS noise FROM n",
    )
    store, base = queries.world.vault / "data", queries.world.vault / "git" / "datasets"
    copy = store.with_name("data.copy")
    copy.mkdir()
    (copy / "datakeep-store.json").write_bytes((store / "datakeep-store.json").read_bytes())
    sql = queries.write("full-store.sql", "SELECT id, noise FROM t ORDER BY id")
    command = ["register", "full-store", "--sql", str(sql), "--database", url, *STATED]
    script = ("unshare", "-Urm", sys.executable, "-c", FULL)
    base.mkdir(parents=True, exist_ok=True)
    before = sorted(path.name for path in base.iterdir() if not path.name.endswith(".lock"))
    ran = queries.world.aiko.run(*script, queries.world.keep, store, base, json.dumps(command))
    found: dict[str, Any] = json.loads(ran.out)
    assert found["code"] == 19, found
    error = error_of(Ran(found["code"], found["out"], found["err"]))
    assert "are needed, " in error.what
    assert sorted(path.name for path in base.iterdir() if not path.name.endswith(".lock")) == before
    queries.run(*command)


JSON_FILES = {
    "a.json": '[{"id": 1, "where": {"lat": 1.5, "tags": ["x", "y"]}}, {"id": 2, "where": null}]',
    "b.jsonl": '{"id": 1, "where": {"lat": 1.5, "tags": ["x", "y"]}}\n{"id": 2, "where": null}\n',
}


@pytest.mark.parametrize("name", JSON_FILES)
def test_json_files(queries: Queries, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(JSON_FILES[name])
    dataset = name.replace(".", "-")
    queries.register(dataset, f"SELECT id, \"where\" FROM '{file}' ORDER BY id", "duckdb:")
    assert queries.table(dataset).to_pylist() == [
        {"id": 1, "where": {"lat": 1.5, "tags": ["x", "y"]}}, {"id": 2, "where": None},
    ]  # fmt: skip
    (table,) = queries.source(dataset)["extraction"]["tables"]
    assert (table["kind"], table["files"][0]["path"]) == ("file", str(file))
    columns = {one["name"]: one["arrow_type"] for one in queries.source(dataset)["extraction"]["columns"]}
    manifest = {one["name"]: one["type"] for one in queries.entry(dataset)["manifest"]["columns"]}
    assert columns == manifest
    assert columns["where"] == "struct<lat: double, tags: list<element: string>>"
    file.write_text(JSON_FILES[name].replace("1.5", "2.5"))
    assert f"the files of {file} have changed" in queries.run("reextract", dataset, code=3).out
    file.write_text('{"id": 1, "where": {"lat":')
    error = error_of(queries.run("reextract", dataset, code=34))
    assert name in error.what


def test_a_line_of_a_csv_that_is_not_as_the_others(queries: Queries, tmp_path: Path) -> None:
    file = tmp_path / "long.csv"
    lines = [f"{at},{at},b" for at in range(60_000)]
    file.write_text("\n".join(["id,x,y", *lines, "60000,personal words,b", ""]))
    error = error_of(queries.register("csv", f"SELECT id, x FROM '{file}' ORDER BY id", "duckdb:", code=34))
    assert f"{file}, line 60002: Error when converting column" in error.what
    assert len(error.what) < 600
    assert "b" not in error.what.split()
    assert f"read_csv('{file}', types = {{'x': 'VARCHAR'}})" in error.next_step


def test_objects_of_a_bucket(queries: Queries, s3: ObjectServer) -> None:
    """Through the command line, with a real server; no extension of DuckDB is needed, nor fetched."""
    place = s3.place()
    bucket, _, prefix = place.partition("/")
    client = s3.client()
    client.put_object(Bucket=bucket, Key=f"{prefix}/a.csv", Body=b"id,x\n1,a\n2,b\n")
    keys = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    keys |= {"AWS_ENDPOINT_URL": s3.endpoint_url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    person = queries.world.aiko
    person.extra |= keys
    try:
        sql = queries.write("bucket.sql", f"SELECT id, x FROM 's3://{place}/*.csv' ORDER BY id")
        argv = ("register", "bucket", "--sql", sql, "--database", "duckdb:", *STATED)
        person.datakeep(*argv, cwd=queries.world.keep)
        (table,) = queries.source("bucket")["extraction"]["tables"]
        assert table["files"][0]["path"] == f"s3://{place}/a.csv"
        assert table["files"][0]["version"]
        person.datakeep("reextract", "bucket", cwd=queries.world.keep)
        client.put_object(Bucket=bucket, Key=f"{prefix}/a.csv", Body=b"id,x\n1,a\n2,c\n")
        said = person.datakeep("reextract", "bucket", cwd=queries.world.keep, code=3).out
        assert "have changed" in said
        client.delete_object(Bucket=bucket, Key=f"{prefix}/a.csv")
        error = error_of(person.datakeep("reextract", "bucket", cwd=queries.world.keep, code=34))
        assert f"there is no file s3://{place}/*.csv, which the query reads" in error.what
        assert "admin-Secret" not in error.text
    finally:
        for name in keys:
            del person.extra[name]
    assert queries.rows("bucket") == [(1, "a"), (2, "b")]
