"""Data that a recorded training left is told as such when it is registered, and leads back to what that read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from world import FACTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from world import Ran, World

RAW = "$DATAKEEP_DATA_RAW/raw.csv"
ROWS = "id,name\n" + "".join(f"{one},name {one}\n" for one in range(40))


@pytest.fixture(scope="module")
def world(new_world: Callable[[], World]) -> World:
    """``prep`` reads ``raw``, and leaves a copy of it and something of its own; that is registered as ``feats``."""
    world = new_world()
    (world.aiko.cwd / "raw").mkdir()
    (world.aiko.cwd / "raw/raw.csv").write_text(ROWS)
    register(world, "raw", "raw")
    run(
        world,
        "prep",
        f"tr a-z A-Z < {RAW} > $DATAKEEP_OUT/feats.csv; cp {RAW} $DATAKEEP_OUT",
        "raw",
    )
    run(world, "other", "echo '{}' > $DATAKEEP_OUT/few.json", "raw")
    return world


def register(world: World, name: str, *sources: str) -> Ran:
    argv = ("register", name, *(world.aiko.cwd / one for one in sources), "--backend", "git", *FACTS)
    return world.aiko.datakeep(*argv, cwd=world.keep)


def run(world: World, model: str, script: str, uses: str) -> Ran:
    out = world.aiko.cwd / f"out-{model}"
    argv = ("run", "--model", model, "--uses", uses, "--out", out, "--", "bash", "-c", script)
    return world.aiko.datakeep("-C", world.keep, *argv, cwd=world.aiko.cwd)


def test_data_that_a_run_left_is_told_written_down_and_followed(world: World) -> None:
    told = register(world, "feats", "out-prep/feats.csv", "out-prep/raw.csv", "out-other/few.json").out
    (note,) = [line for line in told.splitlines() if "left by" in line]
    assert note.startswith(
        "note: 1 of its files was left by model prep@v1, which is written down; if all of it"
    )
    assert "datakeep update feats --source-kind derived --parent raw@v1 --source-command " in note
    run(world, "late", "cat $DATAKEEP_DATA_FEATS/feats.csv > $DATAKEEP_OUT/m.bin", "feats")
    aiko, keep = world.aiko, world.keep
    made = aiko.datakeep("audit", "model:late", cwd=keep).out
    assert "left by     model prep@v1 (1 file)" in made
    given = aiko.datakeep("audit", "model:late", "--json", cwd=keep).data["model"]["datasets"][0]
    assert given["entry"]["left_by"] == [{"model": "prep@v1", "files": 1}]
    assert "1 file of it left by model prep@v1" in aiko.datakeep("show", "feats", cwd=keep).out
    way = "raw → prep@v1 → feats@v1 (has files that it left) → late@v1"
    assert way in aiko.datakeep("audit", "dataset:raw", cwd=keep).out
    through = aiko.datakeep("audit", "raw:raw.csv", "--json", cwd=keep).data["models"]
    assert {one["model"]: one["file"] for one in through} == {
        "prep@v1": "read", "other@v1": "not read", "late@v1": "through others"
    }  # fmt: skip
    for form in ("prov", "cyclonedx"):
        assert "prep" in aiko.datakeep("audit", "model:late", "--format", form, cwd=keep).out


def test_the_policy_judges_a_model_by_what_left_its_data(world: World) -> None:
    aiko, keep = world.aiko, world.keep
    aiko.datakeep("update", "raw", "--retention-until", "2020-01-31", "-m", "decided", cwd=keep)
    found = aiko.datakeep("audit", "--policy", "--json", cwd=keep, code=3).data["complaints"]
    assert [one["models"] for one in found if one["kind"] == "expired"] == [["late@v1", "prep@v1"]]


def test_a_later_version_and_other_data_are_told_apart(world: World) -> None:
    aiko, keep = world.aiko, world.keep
    (aiko.cwd / "out-prep/more.csv").write_text(ROWS.replace("name", "NAME2"))
    said = aiko.datakeep("update", "feats", aiko.cwd / "out-prep", "-m", "more", cwd=keep)
    assert "left by" not in said.out + said.err
    entry = aiko.datakeep("show", "feats@v2", "--json", cwd=keep).data["entry"]
    assert entry["left_by"] == [{"model": "prep@v1", "files": 1}]
    assert "left by" not in register(world, "copy", "out-prep/raw.csv", "out-other/few.json").out
