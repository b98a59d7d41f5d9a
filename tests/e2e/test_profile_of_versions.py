"""The profile of a version's tables, from registering to showing, as people and machines see it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from seen import Quick

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import World

STATED = (
    "--purpose=p", "--origin=o", "--extracted-at=2026-11-20", "--no-annotation=n", "--license=CC0-1.0",
    "--access=public",
)  # fmt: skip
ROWS = "日付,区分,金額\n2026-11-01,甲,100\n2026-11-01,甲,250\n2026-11-04,乙,\n"


@pytest.fixture(scope="module")
def calls(world: World) -> Iterator[Quick]:
    quick = Quick(world.aiko, type(world.aiko.run("true")))
    yield quick
    quick.close()


@pytest.fixture
def table(world: World, request: pytest.FixtureRequest) -> Path:
    folder = world.aiko.cwd / request.node.name.replace("[", "-").rstrip("]")
    folder.mkdir()
    (folder / "売上.csv").write_text(ROWS, "cp932")
    (folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    return folder


def register(world: World, calls: Quick, name: str, source: Path, *options: str, backend: str = "dvc") -> str:
    argv = ("register", name, source, "--backend", backend, *STATED, *(options or ("--privacy=no",)))
    return calls.datakeep(*argv, cwd=world.keep).out


def stored(world: World, name: str, version: str, path: str = "profile.json") -> str | None:
    """A file of a version, as plain git has it."""
    repository = world.vault / f"git/datasets/{name}.git"
    ran = world.aiko.run("git", "-C", repository, "show", f"{version}:{path}", code=None)
    return ran.out if ran.code == 0 else None


def shown(world: World, calls: Quick, name: str) -> dict[str, Any] | None:
    return calls.datakeep("show", name, "--json", cwd=world.keep).data["profile"]


@pytest.mark.parametrize("backend", ["git", "dvc"])
def test_it_is_stored_by_default_and_shown_with_bars(
    world: World, calls: Quick, table: Path, backend: str
) -> None:
    name = f"sales-{backend}"
    register(world, calls, name, table, backend=backend)
    text = stored(world, name, "v1")
    assert text is not None
    assert shown(world, calls, name) == json.loads(text)
    assert "`profile.json` has a line for each column" in (stored(world, name, "v1", "README.md") or "")
    out = calls.datakeep("show", name, cwd=world.keep).out
    assert "\x1b" not in out
    lines = out.splitlines()
    start = lines.index("profile of 3 rows in 1 file")
    head, day, kind, amount, per_day, bars = lines[start + 1 : start + 7]
    assert "2026-11-01 … 2026-11-04" in day
    assert kind.endswith("甲 67% · 乙 33%, longest 1")
    assert "1 (33%)" in amount
    places = {
        cell_len(line[: line.index(cell)]) for line, cell in ((head, "values"), (day, "2026"), (kind, "甲"))
    }
    assert len(places) == 1  # aligned, though a Japanese character is as wide as two
    assert "rows per day of 日付, 2026-11-01 to 2026-11-04" in per_day
    assert bars == "  █··▄"
    assert "nothing is missing or wrong" in calls.datakeep("fsck", "--deep", cwd=world.keep, code=None).out


def test_of_a_wide_table_sixty_columns_are_listed_each_in_one_line(
    world: World, calls: Quick, table: Path
) -> None:
    names = [f"c{number}" for number in range(1, 70)]
    (table / "売上.csv").unlink()
    (table / "wide.csv").write_text(",".join(names) + "\n" + ",".join(["1"] * 69) + "\n", "utf-8")
    stated = table.parent / "wide.yaml"
    stated.write_text('columns: [{name: c1, meaning: "first line\\nsecond\\tline"}]\n', "utf-8")
    register(world, calls, "wide", table, "--privacy=no", f"--manifest={stated}")
    said = calls.datakeep("show", "wide", cwd=world.keep).out
    columns = said.partition("\ncolumns\n")[2].partition("\nprofile")[0].splitlines()
    assert len(columns) == 61
    assert columns[0].split("  ")[-1] == "first line second line"
    assert columns[60] == "  … and 9 more columns (--json has them)"


def test_none_is_made_where_none_is_wanted_or_nothing_is_a_table(
    world: World, calls: Quick, table: Path
) -> None:
    register(world, calls, "unwanted", table, "--privacy=no", "--no-profile")
    assert stored(world, "unwanted", "v1") is None
    assert (
        "profile: none is stored with this version" in calls.datakeep("show", "unwanted", cwd=world.keep).out
    )
    assert "profile.json" not in (stored(world, "unwanted", "v1", "README.md") or "")
    register(world, calls, "pictures", table / "photo.png")
    assert stored(world, "pictures", "v1") is None
    assert "profile" not in calls.datakeep("show", "pictures", cwd=world.keep).out


def test_what_is_withheld_is_said_and_follows_what_is_stated(world: World, calls: Quick, table: Path) -> None:
    out = register(world, calls, "private", table, "--privacy=unknown")
    assert "the profile withholds texts and frequent values of 区分: they may be somebody's" in out
    assert (
        "the profile withholds all values of 日付, 金額: there are fewer than 20, and each may be somebody's"
        in out
    )
    assert "甲" not in (stored(world, "private", "v1") or "")
    assert '"250"' not in (stored(world, "private", "v1") or "")
    calls.datakeep("update", "private", table, "--privacy", "no", "-m", "stated", cwd=world.keep)
    assert "甲" in (stored(world, "private", "v2") or "")
    calls.datakeep("update", "private", "--title", "t", "-m", "facts alone keep it", cwd=world.keep)
    assert stored(world, "private", "v3") == stored(world, "private", "v2")
    calls.datakeep("update", "private", "--privacy", "yes", "-m", "it is, after all", cwd=world.keep)
    assert "甲" not in (stored(world, "private", "v4") or "")
    assert "profile.json` has a line" in (stored(world, "private", "v4", "README.md") or "")


def test_it_makes_no_version_by_itself_unless_asked_for(world: World, calls: Quick, table: Path) -> None:
    register(world, calls, "old", table, "--privacy=no", "--no-profile")
    same = calls.datakeep("update", "old", table, "-m", "same", cwd=world.keep)
    assert "nothing differs from old@v1" in same.out
    asked = calls.datakeep("update", "old", table, "--profile", "-m", "with a profile", cwd=world.keep)
    assert "registered old@v2" in asked.out
    assert "a profile of the tables" in asked.err
    assert stored(world, "old", "v2")
    again = calls.datakeep("update", "old", table, "--profile", "-m", "again", cwd=world.keep)
    assert "nothing differs from old@v2" in again.out
    assert "profile: added" in calls.datakeep("diff", "old", cwd=world.keep, code=3).out
    gone = calls.datakeep("update", "old", table, "--no-profile", "-m", "without", cwd=world.keep)
    assert "registered old@v3" in gone.out
    assert "no profile of the tables any more" in gone.err
    assert stored(world, "old", "v3") is None
    assert "profile: removed" in calls.datakeep("diff", "old", cwd=world.keep, code=3).out


def test_without_new_data_a_profile_can_only_go(world: World, calls: Quick, table: Path) -> None:
    register(world, calls, "facts", table)
    there = calls.datakeep("update", "facts", "--profile", "-m", "there is one", cwd=world.keep)
    assert "nothing differs from facts@v1" in there.out
    calls.datakeep("update", "facts", "--no-profile", "-m", "not in git", cwd=world.keep)
    assert stored(world, "facts", "v2") is None
    asked = calls.datakeep(
        "update", "facts", "--profile", "--title", "t", "-m", "again", cwd=world.keep, code=2
    )
    assert "a profile is made of the data, and none is given" in asked.err
    assert "datakeep update facts SOURCE --profile -m WHY" in asked.err
    calls.datakeep("update", "facts", "--no-profile", "--title", "t", "-m", "still none", cwd=world.keep)
    assert stored(world, "facts", "v3") is None


def test_new_data_replace_it_and_what_changed_is_told(world: World, calls: Quick, table: Path) -> None:
    register(world, calls, "grown", table)
    (table / "売上.csv").write_text(ROWS + "2026-11-09,丙,\n", "cp932")
    updated = calls.datakeep("update", "grown", table, "-m", "more", cwd=world.keep)
    assert updated.err.count("rows") == 1, "they are told once"
    assert "contents.rows: 3 → 4" in updated.err
    assert "profile, 金額: nulls 1 → 2" in updated.err
    found = calls.datakeep("diff", "grown", cwd=world.keep, code=3)
    assert "日付: 2026-11-01 … 2026-11-04 → 2026-11-01 … 2026-11-09" in found.out
    assert (
        calls.datakeep("diff", "grown", "--json", cwd=world.keep, code=3).data["profile"][0] == "rows 3 → 4"
    )
    (table / "売上.csv").unlink()
    calls.datakeep("update", "grown", table, "-m", "pictures only", cwd=world.keep)
    assert stored(world, "grown", "v3") is None
    calls.datakeep("diff", "grown", cwd=world.keep, code=3)


def test_where_it_cannot_be_had_that_is_said_and_the_rest_shown(
    world: World, calls: Quick, table: Path
) -> None:
    register(world, calls, "far", table)
    clone = world.aiko.cwd / "clone"
    world.aiko.run("git", "clone", "--quiet", world.vault / "git/keeps/keep.git", clone)
    assert calls.datakeep("show", "far", "--json", cwd=clone).data["profile"]["rows"] == 3  # it was fetched
    shutil.rmtree(clone)
    world.aiko.run("git", "clone", "--quiet", world.vault / "git/keeps/keep.git", clone)
    repository = world.vault / "git/datasets/far.git"
    repository.rename(repository.with_name("moved.git"))
    try:
        lines = calls.datakeep("show", "far", cwd=clone).out.splitlines()
        data = calls.datakeep("show", "far", "--json", cwd=clone).data
    finally:
        repository.with_name("moved.git").rename(repository)
    assert any(line.startswith("profile: not known here: ") for line in lines)
    assert any(line.startswith("  content id") for line in lines)
    assert data["profile"] is None
    assert data["profile_fault"]


@pytest.mark.parametrize(
    "text",
    ['{"format": "datakeep/profile/9"}', '{"format": "datakeep/profile/1", "rows"', "mine"],
    ids=["later", "cut", "theirs"],
)
def test_a_file_that_is_none_harms_nothing(world: World, calls: Quick, table: Path, text: str) -> None:
    """An adopted repository may have a file of this name; a later datakeep may have written it."""
    name = f"odd-{len(text)}"
    source = world.aiko.cwd / name
    (source / "data").mkdir(parents=True)
    (source / "data/t.csv").write_text("a,b\n1,x\n")
    (source / "profile.json").write_text(text)
    for argv in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "theirs")):
        world.aiko.run("git", *argv, cwd=source)
    argv = ("adopt", source, "--name", name, "--data", "data", "--privacy=no", *STATED)
    calls.datakeep(*argv, cwd=world.keep)
    calls.datakeep("show", name, cwd=world.keep)
    kept = text if text == "mine" else None
    assert stored(world, name, "v1") == kept
    (source / "data/t.csv").write_text("a,b\n2,x\n")
    updated = calls.datakeep("update", name, source / "data", "-m", "new", cwd=world.keep)
    if kept:
        assert "profile.json is a file of the dataset's own" in updated.err
        assert stored(world, name, "v2") == "mine"
        assert "profile: none is stored" in calls.datakeep("show", name, cwd=world.keep).out
    else:
        assert '"rows": 1' in (stored(world, name, "v2") or "")


def test_a_query_that_runs_again_has_a_profile_where_it_had_one(
    world: World, calls: Quick, table: Path
) -> None:
    rows = table / "rows.csv"
    rows.write_text("day,amount\n2026-11-01,100\n")
    (sql := table / "rows.sql").write_text(f"SELECT day, amount FROM '{rows}' ORDER BY day")
    facts = [one for one in STATED if not one.startswith(("--origin", "--extracted"))]
    argv = (
        "register",
        "declined",
        "--sql",
        sql,
        "--database",
        "duckdb:",
        *facts,
        "--privacy=no",
        "--no-profile",
    )
    calls.datakeep(*argv, cwd=world.keep)
    again = ("update", "declined", "--rerun", "-m", "again")
    said = "no profile is made, as v1 has none: --profile makes one"
    with rows.open("a") as file:
        file.write("2026-11-02,250\n")
    gone = rows.rename(rows.with_name("gone.csv"))
    failed = calls.datakeep(*again, cwd=world.keep, code=None)
    assert failed.err.startswith("error: "), "nothing is said of a profile where there is no data"
    gone.rename(rows)
    why = calls.datakeep("update", "declined", "--rerun", cwd=world.keep, code=2)
    assert "next: add -m WHY; datakeep update --help" in why.err
    ran = calls.datakeep(*again, cwd=world.keep)
    assert ran.err.count(said) == 1
    assert stored(world, "declined", "v2") is None
    wanted = calls.datakeep(*again, "--profile", cwd=world.keep)
    assert "no profile is made" not in wanted.err
    assert shown(world, calls, "declined")["rows"] == 2
    with rows.open("a") as file:
        file.write("2026-11-03,75\n")
    assert "no profile is made" not in calls.datakeep(*again, cwd=world.keep).err
    assert shown(world, calls, "declined")["rows"] == 3
