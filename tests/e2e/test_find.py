"""``find``, as people type it: what it finds, what it says of what it could not search, and what survives damage."""

from __future__ import annotations

import shutil
import sqlite3

import pytest
from world import FACTS, facts_without


@pytest.fixture(scope="module")
def filled(new_world):
    """Three datasets: SQL and Japanese, photographs by number, a table in git."""
    world = new_world()
    query = world.aiko.cwd / "q.sql"
    query.write_text("SELECT id, amount FROM sales.late_deliveries\n", "utf-8")
    sql = ("--source-kind", "sql", "--query", query, "--database", "postgresql://dwh.corp.example/plant")
    world.aiko.datakeep(
        "register", "orders", world.orders, "--backend", "dvc", "--title", "受注データの表", "--alias", "old-name",
        "--caveat", "棚卸の行は除く", *sql, *facts_without("--origin"), cwd=world.keep,
    )  # fmt: skip
    photos = world.aiko.cwd / "photos"
    photos.mkdir()
    for number in range(30):
        (photos / f"IMG_{number:04d}.png").write_bytes(b"%d" % number)
    world.aiko.datakeep("register", "photos", photos, "--backend", "dvc", *FACTS, cwd=world.keep)
    world.aiko.datakeep(
        "register", "tab", photos / "IMG_0001.png", "--backend", "git", *FACTS, cwd=world.keep
    )
    return world


def found(world, *words, code=0):
    data = world.aiko.datakeep("find", *words, "--json", cwd=world.keep, code=code).data
    return [(one["kind"], one["name"]) for one in data["found"]], data


@pytest.mark.parametrize(
    ("words", "first", "field"),
    [
        (["orders"], ("dataset", "orders"), "name"),
        (["old-name"], ("dataset", "orders"), "alias"),
        (["受注"], ("dataset", "orders"), "title"),
        (["棚卸"], ("dataset", "orders"), "caveat"),
        (["ordrs"], ("dataset", "orders"), "name"),
        (["late_deliveries"], ("dataset", "orders"), "SQL"),
        (["amount"], ("dataset", "orders"), "column"),
        (["tanaka", "--kind", "person"], ("person", "aiko"), "person"),
        (["IMG_0017"], ("file", "photos"), "path"),
        (["説明", "--kind", "file"], ("file", "orders"), "path"),
    ],
)
def test_it_finds_by_any_of_them_and_says_where(filled, words, first, field):
    kinds, data = found(filled, *words)
    assert kinds[0] == first
    assert data["found"][0]["where"][0]["field"] == field
    assert data["found"][0]["next"].startswith("datakeep ")
    assert data["not_searched"] == []


def test_a_file_is_the_one_that_was_asked_for(filled):
    _, data = found(filled, "img_0001", "--kind", "file")
    assert {(one["name"], where["text"]) for one in data["found"] for where in one["where"]} == {
        ("photos", "IMG_0001.png"),
        ("tab", "IMG_0001.png"),
    }
    assert found(filled, "img_0099", code=3)[0] == []


def test_nothing_is_exit_3_with_the_nearest_words(filled):
    done = filled.aiko.datakeep("find", "orders", "zzzzz", cwd=filled.keep, code=3)
    assert "nothing has all of: orders zzzzz" in done.out
    assert "orders: alone in 1 thing" in done.out
    _, data = found(filled, "deliverance", code=3)
    assert "late_deliveries" not in data["near"].get("deliverance", []) or data["found"] == []
    filled.aiko.datakeep("find", " ", cwd=filled.keep, code=2)


def test_a_word_that_only_paths_have_is_not_nowhere(filled):
    done = filled.aiko.datakeep("find", "orders", "IMG_0017", cwd=filled.keep, code=3)
    assert "img_0017: alone in 1 thing" in done.out
    assert "nowhere" not in done.out


def test_the_very_words_of_a_path_come_before_what_they_may_be_a_typo_of(filled):
    _, data = found(filled, "orders.csv")
    assert data["found"][0]["kind"] == "file"


def test_what_is_printed_can_be_typed(filled):
    done = filled.aiko.datakeep("find", "受注", cwd=filled.keep)
    assert "title: 受注データの表" in done.out
    step = done.out.splitlines()[-1].removeprefix("next: datakeep ").split()
    assert "orders" in filled.aiko.datakeep(*step, cwd=filled.keep).out


def test_a_clone_says_what_it_could_not_search_and_fetches_it_when_asked(filled):
    ken = filled.ken
    ken.run("git", "clone", "-q", filled.vault / "git" / "keeps" / "keep.git", "theirs", cwd=ken.cwd)
    theirs = ken.cwd / "theirs"
    done = ken.datakeep("find", "IMG_0017", cwd=theirs, code=4)
    assert "not searched" in done.out
    assert "file lists of 3 versions" in done.out
    assert "datakeep find IMG_0017 --fetch" in done.out
    assert "orders" in ken.datakeep("find", "受注", cwd=theirs).out
    done = ken.datakeep("find", "IMG_0017", "--fetch", cwd=theirs)
    assert "IMG_0017.png" in done.out
    assert "not searched" not in done.out
    assert ken.run("git", "status", "--porcelain", cwd=theirs).out == ""


def test_a_deleted_or_damaged_index_and_a_keep_that_cannot_be_written_still_answer(filled):
    (index,) = (filled.keep / ".datakeep").glob("index-*.sqlite")
    expected = found(filled, "orders")
    index.unlink()
    assert found(filled, "orders") == expected
    index.write_bytes(b"\0" * 10_000)
    done = filled.aiko.datakeep("find", "orders", "--json", cwd=filled.keep)
    assert (done.data["found"], done.err) == (expected[1]["found"], "")
    private = filled.keep / ".datakeep"
    shutil.move(private, private.with_name("kept"))
    try:
        private.write_text("in the way")
        done = filled.aiko.datakeep("find", "old-name", cwd=filled.keep)
        assert "orders" in done.out
        assert done.err.count("this question only") == 1
    finally:
        private.unlink()
        shutil.move(private.with_name("kept"), private)


def test_a_hundred_broken_entries_are_counted_and_the_rest_answers(filled):
    aiko = filled.aiko
    aiko.run("git", "clone", "-q", filled.keep, "broken", cwd=aiko.cwd)
    clone = aiko.cwd / "broken"
    for number in range(100):
        place = clone / "register" / f"bad-{number}"
        place.mkdir()
        (place / "v1.yaml").write_text("format: [")
    aiko.run("git", "add", "-A", cwd=clone)
    aiko.run("git", "commit", "-qm", "broken", cwd=clone)
    done = aiko.datakeep("find", "受注", cwd=clone)
    assert "orders" in done.out
    assert "bad-0/v1.yaml" in done.out
    assert "and 90 more" in done.out


def test_what_a_query_read_is_told_by_what_it_is(filled):
    file = filled.aiko.cwd / "shore.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE seal_colony (id INTEGER PRIMARY KEY, plz TEXT)")
        connection.execute("INSERT INTO seal_colony VALUES (1, '1010')")
    connection.close()
    sql = filled.aiko.cwd / "seals.sql"
    sql.write_text("SELECT id FROM seal_colony WHERE plz > '0' ORDER BY id")
    argv = (
        "register",
        "seals",
        "--sql",
        sql,
        "--database",
        f"sqlite:///{file}",
        *facts_without("--origin", "--extracted-at"),
    )
    filled.aiko.datakeep(*argv, cwd=filled.keep)
    _, data = found(filled, "plz")
    assert [(one["field"], one["text"]) for one in data["found"][0]["where"]] == [
        ("column", "main.seal_colony.plz")
    ]
    said = filled.aiko.datakeep("find", "seal", "colony", cwd=filled.keep).out
    assert said.count("table: main.seal_colony") == 1
