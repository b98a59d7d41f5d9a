"""Data that a recorded training left is told as such when it is registered, and leads back to what that read."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from world import commit_files, facts_without

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from world import Ran, World

RAW = "$DATAKEEP_DATA_RAW/raw.csv"
ROWS = "id,name\n" + "".join(f"{one},name {one}\n" for one in range(40))


@pytest.fixture(scope="module")
def world(new_world: Callable[[], World]) -> World:
    """``prep`` reads ``raw``, and leaves a copy of it and something of its own; that is registered as ``feats``."""
    world = new_world()
    (world.aiko.cwd / "raw").mkdir()
    (world.aiko.cwd / "raw/raw.csv").write_text(ROWS)
    register(world, "raw", "raw", privacy="pseudonymised")
    run(
        world,
        "prep",
        f"tr a-z A-Z < {RAW} > $DATAKEEP_OUT/feats.csv; cp {RAW} $DATAKEEP_OUT",
        "raw",
    )
    run(world, "other", "echo '{}' > $DATAKEEP_OUT/few.json", "raw")
    return world


def register(world: World, name: str, *sources: str, privacy: str = "no", more: Sequence[str] = ()) -> Ran:
    facts = (*facts_without("--privacy"), "--privacy", privacy, *more)
    argv = ("register", name, *(world.aiko.cwd / one for one in sources), "--backend", "git", *facts)
    return world.aiko.datakeep(*argv, cwd=world.keep)


def run(world: World, model: str, script: str, *uses: str) -> Ran:
    out = world.aiko.cwd / f"out-{model}"
    given = [word for name in uses for word in ("--uses", name)]
    argv = ("run", "--model", model, *given, "--out", out, "--", "bash", "-c", script)
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


def test_the_data_behind_a_file_that_a_run_left_is_told_with_its_facts(world: World) -> None:
    aiko, keep = world.aiko, world.keep
    told = aiko.datakeep("audit", "model:late", cwd=keep).out
    behind = told.partition("files of it were left by:")[2]
    assert "dataset raw@v1 (observed)" in behind
    assert re.search(r"personal data +pseudonymised", behind)
    (given,) = aiko.datakeep("audit", "model:late", "--json", cwd=keep).data["model"]["datasets"]
    (left,) = given["left_by"]
    assert (left["model"], left["files"]) == ("prep@v1", 1)
    assert [one["given"]["dataset"] for one in left["made_of"]["datasets"]] == ["raw"]
    bill = aiko.datakeep("audit", "model:late", "--format", "cyclonedx", cwd=keep).data
    refs = {one["bom-ref"] for one in bill["components"]}
    cards = [one["modelCard"] for one in bill["components"] if "modelCard" in one]
    assert {one["ref"] for card in cards for one in card["modelParameters"]["datasets"]} == {"dataset:raw@v1"}
    assert {"dataset:raw@v1", "model:prep@v1"} <= refs
    assert {"ref": "model:prep@v1", "dependsOn": ["dataset:raw@v1"]} in bill["dependencies"]
    prov = aiko.datakeep("audit", "model:late", "--format", "prov", cwd=keep).data
    assert ["keep:runs/prep@v1", "keep:datasets/raw@v1"] in [
        [one["prov:activity"], one["prov:entity"]] for one in prov["used"].values()
    ]
    events = aiko.datakeep("audit", "dataset:raw", "--format", "openlineage", cwd=keep).out.splitlines()
    made = [json.loads(one) for one in events if '"name":"derive/feats"' in one.replace(": ", ":")]
    assert [one["name"] for event in made for one in event["inputs"]] == ["models/prep"]
    aiko.datakeep("audit", "model:late", "--html", aiko.cwd / "late.html", cwd=keep)
    assert "raw@v1" in (aiko.cwd / "late.html").read_text()


def test_who_takes_away_that_a_run_left_the_data_is_told_from_both_sides(world: World) -> None:
    aiko = world.aiko
    keep = aiko.cwd / "edited"
    aiko.run("git", "clone", "-q", world.keep, keep)
    entry = (keep / "register/feats/v1.yaml").read_text()
    edited = re.sub(r"(?m)^left_by:\n(?:[ -].*\n)+", "", entry)
    assert edited != entry
    commit_files(aiko, keep, {"register/feats/v1.yaml": edited})
    for asked in (("dataset:raw",), ("raw@v1:raw.csv", "--fetch")):
        said = aiko.datakeep("audit", *asked, cwd=keep, code=3).out
        assert "register/feats/v1.yaml was edited after it was recorded" in said
    commit_files(aiko, keep, {"register/feats/v1.yaml": entry})
    (keep / "models/prep/v1.yaml").unlink()
    commit_files(aiko, keep, {})
    for asked, code in (("dataset:raw", 4), ("model:late", 3)):  # who read it is not known without the record
        said = aiko.datakeep("audit", asked, cwd=keep, code=code).out
        assert "models/prep/v1.yaml was deleted after it was recorded" in said
    assert (
        "what the model prep@v1, which left files of it, was made of: the keep has no usable record" in said
    )
    said = aiko.datakeep("audit", "--policy", cwd=keep, code=3).out
    assert "the model prep@v1, which left files of its data, has no record that can be read" in said
    circle = (keep / "models/late/v1.yaml").read_text().replace("model: late", "model: prep")
    commit_files(aiko, keep, {"models/prep/v1.yaml": circle})
    assert aiko.datakeep("audit", "model:late", cwd=keep, code=3).out.count("files of it were left by") == 1


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
    said = register(world, "copy", "out-prep/raw.csv", "out-other/few.json").out
    assert "left by" not in said
    assert (
        "it has files of raw@v2, which states --privacy pseudonymised (here no), --retention-until 2020-01-31 "
        "(here not stated); if it is the same data: "
        "datakeep update copy --privacy pseudonymised --retention-until 2020-01-31 "
    ) in said


def test_what_is_to_be_stated_is_what_was_read_and_what_contradicts_it_is_named(world: World) -> None:
    aiko, keep = world.aiko, world.keep
    (aiko.cwd / "side.csv").write_text(ROWS.replace("name", "side"))
    register(world, "side", "side.csv")
    run(world, "both", f"tr a-m A-M < {RAW} > $DATAKEEP_OUT/both.csv", "raw@v1", "side")
    stated = ("--source-kind", "derived", "--parent", "side@v1", "--source-command", "x")
    (aiko.cwd / "night.csv").write_text(ROWS.replace("name", "night"))
    register(world, "nightly", "night.csv", more=stated)
    said = aiko.datakeep("update", "nightly", aiko.cwd / "out-both/both.csv", "-m", "next", cwd=keep)
    (note,) = [line for line in (said.out + said.err).splitlines() if "left by" in line]
    assert "it states the parents side@v1, taken over from v1, but both@v1 read raw@v1; if all of it" in note
    assert "--source-kind derived --parent raw@v1 --source-command " in note
    (aiko.cwd / "ext.csv").write_text(ROWS.replace("name", "ext"))
    aiko.datakeep("record", "ext", aiko.cwd / "ext.csv", "--used", "raw@v1", cwd=keep)
    said = register(world, "extd", "ext.csv").out
    assert "--source-command TEXT -m 'made by ext@v1', where TEXT is the command that made it" in said
    ran = run(world, "again", f"sed s/name/side/ {RAW} > $DATAKEEP_OUT/made.csv", "raw@v1")
    told = "is a file of side@v1, which is registered already: no way leads there from raw@v1; if this run made it"
    assert (
        f"made.csv {told}, state that: datakeep update side --source-kind derived --parent raw@v1 " in ran.err
    )
    said = aiko.datakeep("record", "sure", aiko.cwd / "side.csv", "--used", "raw@v1", cwd=keep)
    assert f"side.csv {told}" in said.err
    said = aiko.datakeep("audit", aiko.cwd / "side.csv", cwd=keep).out
    assert "own file too: side@v1, registered before a training was recorded to have left it" in said
    said = aiko.datakeep("audit", aiko.cwd / "ext.csv", cwd=keep).out
    assert "own file too: extd@v1, registered after a training was recorded to have left it" in said


def test_a_file_that_a_query_read_is_known_by_its_bytes_too(world: World) -> None:
    aiko, keep = world.aiko, world.keep
    (aiko.cwd / "q.sql").write_text(f"SELECT id FROM '{aiko.cwd}/raw/raw.csv' ORDER BY id")
    facts = ("--database", "duckdb:", *facts_without("--extracted-at", "--origin"))
    told = aiko.datakeep("register", "ids", "--sql", aiko.cwd / "q.sql", *facts, cwd=keep).out
    step = "datakeep update ids --parent raw@v2 -m 'made of it'"
    assert f"/raw/raw.csv, which is a file of raw@v2, feats@v2, copy@v1; state that: {step}" in told
    aiko.datakeep("update", "ids", "--parent", "raw@v2", "-m", "made of it", cwd=keep)
    assert "raw → ids@v2" in aiko.datakeep("audit", "dataset:raw", cwd=keep, code=None).out
