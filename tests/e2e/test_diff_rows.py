"""`datakeep diff` tells which rows of tables were added, removed and changed: by their key where it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from world import FACTS, World, facts_without

from datakeep.core.progress import Silent
from datakeep.workflows import diff as diffs
from datakeep.workflows.keep import open_keep

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "id,city\n"
FIRST = {1: "Oslo", 2: "Bergen", 3: "Tromsø"}
SECOND = {1: "Oslo", 2: "Ålesund", 4: "Bodø", 5: "Moss"}


def write(folder: Path, rows: dict[int, str]) -> None:
    (folder / "a.csv").write_text(HEAD + "".join(f"{n},{city}\n" for n, city in rows.items()), "utf-8")


@pytest.fixture(scope="module")
def world(new_world) -> World:
    """places (with a key, public) and people (no key, personal) of two versions each; pictures have no table."""
    world = new_world()
    aiko = world.aiko
    folder = aiko.cwd / "places"
    folder.mkdir()
    (folder / "same.csv").write_text(HEAD + "9,Narvik\n")
    keyed = aiko.cwd / "keyed.yaml"
    keyed.write_text("columns: [{name: id, type: integer, key: true}, {name: city, type: text}]\n")
    private = [*facts_without("--privacy"), "--privacy", "yes"]
    for name, facts in (("places", (*FACTS, "--manifest", keyed)), ("people", private)):
        write(folder, FIRST)
        aiko.datakeep("register", name, folder, "--backend", "git", *facts, cwd=world.keep)
        write(folder, SECOND)
        aiko.datakeep("update", name, folder, "-m", "later", cwd=world.keep)
    (folder / "a.csv").unlink()
    aiko.datakeep("register", "pictures", folder, "--backend", "git", *FACTS, cwd=world.keep)
    (folder / "b.png").write_bytes(b"x")
    aiko.datakeep("update", "pictures", folder, "-m", "later", cwd=world.keep)
    return world


def test_rows_are_told_by_their_key(world: World) -> None:
    shown = world.aiko.datakeep("diff", "places@v1", "places@v2", cwd=world.keep, code=3).out
    assert "rows of the tables that changed: 3 → 4" in shown
    assert "  rows: 2 added, 1 removed, 1 changed, compared by id in 2 columns" in shown
    assert "+ id = 4" in shown
    assert "~ id = 2: city Bergen → Ålesund" in shown
    rows = world.aiko.datakeep("diff", "places", "--json", cwd=world.keep, code=3).data["rows"]
    assert (rows["by"], rows["added"], rows["removed"], rows["changed"]) == ("key", 2, 1, 1)


def test_without_a_key_whole_rows_and_no_value_of_personal_data(world: World) -> None:
    shown = world.aiko.datakeep("diff", "people", cwd=world.keep, code=3).out
    assert "rows: 3 added, 2 removed" in shown
    assert "no examples are shown: the data is personal, or may be" in shown
    assert "Bergen" not in shown
    assert "Moss" not in shown


def test_where_no_table_changed_nothing_is_said_of_rows(world: World) -> None:
    done = world.aiko.datakeep("diff", "pictures", cwd=world.keep, code=3)
    assert "rows" not in done.out
    data = world.aiko.datakeep("diff", "pictures", "--json", cwd=world.keep, code=3).data
    assert (data["rows"], data["rows_not_compared"]) == (None, None)


def test_much_is_compared_only_where_it_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = open_keep(world.keep, Silent())
    monkeypatch.setattr(diffs, "_AT_ONCE_BYTES", 10)
    found = diffs.diff(keep, ["places@v1", "places@v2"])
    assert (found.rows, found.on_demand) == (None, True)
    assert found.no_rows == "the tables that changed have 41 bytes"
    found = diffs.diff(keep, ["places@v1", "places@v2"], rows=True)
    assert found.rows is not None
    assert found.rows.added == 2
