"""``audit`` from data to models: datasets, versions and files; gaps, guesses and what the records do not tell."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
from world import FACTS, commit_files, facts_without


@pytest.fixture(scope="module")
def filled(new_world):
    """raw → derived → base → fine, and models that read all, some, unknown and listed files of raw."""
    world = new_world()
    manifest = world.aiko.cwd / "manifest.yaml"
    manifest.write_text("splits:\n  train: [data/train/**]\n  test: [data/test/**]\n")
    world.aiko.datakeep(
        "register", "raw", world.orders, "--backend", "dvc", "--manifest", manifest, *FACTS, cwd=world.keep
    )
    features = world.aiko.cwd / "features"
    shutil.copytree(world.orders, features)
    (features / "made.csv").write_text("id\n1\n")
    world.aiko.datakeep(
        "register", "features", features, "--backend", "git", "--source-kind", "derived", "--parent", "raw@v1",
        "--source-command", "make features", *facts_without("--origin"), cwd=world.keep,
    )  # fmt: skip
    lists = "train/orders.csv\n"
    digest = f"sha256:{hashlib.sha256(lists.encode()).hexdigest()}"
    commit(world, {
        "models/all/v1.yaml": record(world, "all", {"raw": {"count": 5}}),
        "models/some/v1.yaml": record(world, "some", {"raw": {"count": 1, "splits": {"train": 1}}}),
        "models/unsaid/v1.yaml": record(world, "unsaid", {"raw": None}),
        "models/listed/v1.yaml": record(world, "listed", {"raw": {"count": 1, "list": digest}}),
        "models/listed/v1.files.txt": lists,
        "models/base/v1.yaml": record(world, "base", {"features": None}),
        "models/fine/v1.yaml": record(world, "fine", {}, bases=["base@v1"]),
        "models/lost/v1.yaml": record(world, "lost", {}, bases=["absent@v1"]),
        "models/twin/v1.yaml": record(world, "twin", {}, data=b"all"),
        "models/stray/v1.yaml": record(world, "stray", {}, undeclared=[
            {"path": "/x/raw/data/train/orders.csv", "of": "raw@v1"}
        ]),
        "models/again/v1.yaml": record(world, "again", {}, recorded_at="2026-11-01", status="completed"),
        "models/again/v2.yaml": record(
            world, "again", {}, version="v2", recorded_at="2026-11-02", status="failed", undeclared=[{"path": "/x"}]
        ),
        "models/features/v2.yaml": record(world, "features", {}, version="v2"),
    })  # fmt: skip
    return world


def commit(world, files):
    commit_files(world.aiko, world.keep, files)
    world.aiko.run("git", "push", "-q", cwd=world.keep)


def record(world, name, inputs, *, bases=(), data=None, version="v1", **more):
    data = data or name.encode()
    given = []
    for dataset, read in inputs.items():
        entry = world.aiko.datakeep("show", f"{dataset}@v1", "--json", cwd=world.keep).data["entry"]
        one = {"dataset": dataset, "version": "v1", "commit": entry["commit"], "content": entry["content"]}
        given.append(one | {"how": "observed"} | ({"files_read": read} if read else {}))
    return json.dumps({
        "format": "datakeep/model/1", "model": name, "version": version, "inputs": given, "base_models": list(bases),
        "artifacts": [
            {"path": "m.bin", "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
        ],
        "code": {}, "command": ["x"], "environment": {"kind": "uv"}, "resources": {}, "origin": "run",
        **more,
    })  # fmt: skip


def ask(world, subject, code=0, cwd=None):
    return world.aiko.datakeep("audit", subject, "--json", cwd=cwd or world.keep, code=code).data


def test_a_version_leads_to_every_model_directly_and_through_others(filled):
    data = ask(filled, "raw@v1")
    assert [one["model"] for one in data["models"]] == ["all", "listed", "some", "stray", "unsaid"]
    told = [(one["name"], one["way"], one["steps"]) for one in (*data["derived"], *data["through"])]
    assert told == [
        ("features@v1", ["raw@v1", "features@v1"], ["derived"]),
        ("base@v1", ["raw@v1", "features@v1", "base@v1"], ["derived", "read"]),
        ("fine@v1", ["raw@v1", "features@v1", "base@v1", "fine@v1"], ["derived", "read", "base"]),
    ]
    assert data["unknown"] == [
        "model lost@v1 was made of the base model absent@v1, whose record is missing or broken"
    ]
    shown = filled.aiko.datakeep("audit", "dataset:raw", cwd=filled.keep).out
    assert "raw → features@v1 → base@v1 → fine@v1" in shown
    assert "absent@v1, whose record is missing" in shown


def test_a_file_leads_to_what_is_known_of_each_model_and_no_more(filled):
    def verdicts(path):
        return {one["model"]: one["file"] for one in ask(filled, f"raw@v1:{path}")["models"]}

    expected = {
        "all@v1": "read",
        "some@v1": "not known",
        "unsaid@v1": "not known",
        "listed@v1": "read",
        "stray@v1": "read",
        "base@v1": "not known",  # it used features, which has a file of the same bytes
    }
    assert verdicts("train/orders.csv") == expected
    assert verdicts("data/train/orders.csv") == expected
    other = expected | {"some@v1": "not read", "listed@v1": "not read", "stray@v1": "not read"}
    assert verdicts("test/orders.csv") == other
    shown = filled.aiko.datakeep("audit", "raw:train/orders.csv", cwd=filled.keep).out
    assert "raw:train/orders.csv is in v1" in shown
    assert "all 5 files of this version were read" in shown
    assert "whether this file did is not known" in shown


def test_a_file_that_is_in_no_version_is_exit_11_with_a_near_one(filled):
    done = filled.aiko.datakeep("audit", "raw@v1:trian/orders.csv", cwd=filled.keep, code=11)
    assert "did you mean" in done.err
    filled.aiko.datakeep("audit", "raw@v9:train/orders.csv", cwd=filled.keep, code=11)


def test_a_clone_without_the_lists_says_so_instead_of_no(filled):
    ken = filled.ken
    ken.run("git", "clone", "-q", filled.vault / "git" / "keeps" / "keep.git", "theirs", cwd=ken.cwd)
    theirs = ken.cwd / "theirs"
    done = ken.datakeep("audit", "raw@v1:train/orders.csv", cwd=theirs, code=4)
    assert "not searched: the file lists of 1 version, not on this machine: raw@v1" in done.out
    data = ken.datakeep("audit", "raw@v1:train/orders.csv", "--json", cwd=theirs, code=4).data
    verdicts = {one["model"]: one["file"] for one in data["models"]}
    assert verdicts == {
        "all@v1": "not known",
        "some@v1": "not known",
        "unsaid@v1": "not known",
        "listed@v1": "read",
        "stray@v1": "read",
    }
    # Lists of the git backend are in the dataset's repository, which is not here either.
    ken.datakeep("audit", "features@v1:train/orders.csv", cwd=theirs, code=4)
    hint = next(line for line in done.out.splitlines() if line.endswith("gets them")).split()
    assert hint[:2] == ["datakeep", "audit"]
    done = ken.datakeep(*hint[1:-2], cwd=theirs)
    assert "raw:train/orders.csv is in v1" in done.out


def test_whose_file_it_is_is_told_as_not_searched_where_the_lists_are_not_here(filled):
    ken = filled.ken
    ken.run("git", "clone", "-q", filled.vault / "git" / "keeps" / "keep.git", "bare", cwd=ken.cwd)
    file = filled.orders / "train" / "orders.csv"
    done = ken.datakeep("audit", file, cwd=ken.cwd / "bare", code=4)
    assert "was not searched in the file lists of 2 versions" in done.out
    hint = next(line for line in done.out.splitlines() if line.endswith("gets them")).split()
    assert "it is a registered dataset's own" in ken.datakeep(*hint[1:-2], cwd=ken.cwd / "bare").out


def test_a_file_of_a_dataset_is_told_to_be_one_with_the_models_that_read_it(filled):
    file = filled.aiko.cwd / "found.csv"
    file.write_bytes((filled.orders / "train" / "orders.csv").read_bytes())
    data = ask(filled, file)
    assert data["known"] is False
    found = {one["dataset"]: one for one in data["registered_files"]}
    assert set(found) == {"raw", "features"}
    assert (found["raw"]["path"], found["raw"]["versions"]) == ("train/orders.csv", ["v1"])
    assert {one["model"]: one["file"] for one in found["raw"]["models"]}["all@v1"] == "read"
    shown = filled.aiko.datakeep("audit", file, cwd=filled.keep).out
    assert "it is a registered dataset's own" in shown
    assert "raw:train/orders.csv is in v1" in shown


def test_what_was_read_of_a_checkout_without_being_declared_is_found_backwards(filled):
    data = ask(filled, "raw@v1")
    assert data["versions_read"]["stray@v1"] == ["raw@v1 (read without being declared)"]
    assert "stray@v1" not in [one["name"] for one in data["through"]]
    verdicts = {one["model"]: one["file"] for one in ask(filled, "raw@v1:same-a.bin")["models"]}
    assert verdicts["stray@v1"] == "not read"
    shown = filled.aiko.datakeep("audit", "dataset:raw", cwd=filled.keep).out
    assert "raw@v1 (read without being declared)" in shown
    page = filled.aiko.datakeep("audit", "raw@v1", "--format", "prov", cwd=filled.keep).out
    assert "stray" in page


def test_of_several_records_of_a_file_a_completed_one_answers_and_other_data_is_said_first(filled):
    file = filled.aiko.cwd / "again.bin"
    file.write_bytes(b"again")
    data = ask(filled, file)
    assert (data["model"]["record"]["version"], data["same_file"]) == ("v1", ["again@v2 (failed)"])
    assert data["differing"] == ["again@v1: no data", "again@v2 (failed): 1 undeclared file"]
    lines = filled.aiko.datakeep("audit", file, cwd=filled.keep).out.splitlines()
    assert lines[1] == "the records of this file name different data:"


def test_a_version_that_only_the_model_or_the_dataset_of_a_name_has_is_that_one(filled):
    done = filled.aiko.datakeep("audit", "features@v2", cwd=filled.keep)
    assert "model features@v2" in done.out
    assert "features@v2 is the model: the dataset features has no version v2" in done.err
    said = filled.aiko.datakeep("audit", "features@v3", cwd=filled.keep, code=11).err
    assert "the model has v2; the dataset has v1" in said


def test_a_renamed_model_is_found_its_twin_is_named_and_a_resaved_one_only_guessed(filled):
    model = filled.aiko.cwd / "renamed"
    model.write_bytes(b"all")
    data = ask(filled, model)
    names = {data["model"]["record"]["model"], *(one.split("@")[0] for one in data["same_file"])}
    assert names == {"all", "twin"}
    resaved = filled.aiko.cwd / "m.bin"
    resaved.write_bytes(b"alL")
    data = ask(filled, resaved, code=3)
    assert data["known"] is False
    assert data["guesses"][0].startswith("all@v1: the same name, 3 bytes where this file has 3")
    shown = filled.aiko.datakeep("audit", resaved, cwd=filled.keep, code=3).out
    assert "not known" in shown
    assert "a guess, no more" in shown


def test_a_keep_with_a_hundred_broken_records_still_answers(filled):
    aiko = filled.aiko
    aiko.run("git", "clone", "-q", filled.keep, "broken", cwd=aiko.cwd)
    clone = aiko.cwd / "broken"
    for number in range(100):
        place = clone / "models" / f"bad-{number}"
        place.mkdir()
        (place / "v1.yaml").write_text("format: [")
    aiko.run("git", "add", "-A", cwd=clone)
    aiko.run("git", "commit", "-qm", "broken", cwd=clone)
    data = ask(filled, "raw", cwd=clone)
    assert [one["model"] for one in data["models"]] == ["all", "listed", "some", "stray", "unsaid"]
    model = aiko.cwd / "unknown.bin"
    model.write_bytes(b"nobody knows me, and I am of another length")
    assert len(ask(filled, model, code=4, cwd=clone)["broken"]) == 100


def test_a_file_that_only_another_version_has_is_told_with_that_version(filled, tmp_path):
    (tmp_path / "new.csv").write_text("id\n1\n")
    filled.aiko.datakeep("register", "grown", tmp_path, "--backend", "git", *FACTS, cwd=filled.keep)
    (tmp_path / "later.csv").write_text("id\n2\n")
    filled.aiko.datakeep("update", "grown", tmp_path, "-m", "more", cwd=filled.keep)
    done = filled.aiko.datakeep("audit", "grown@v1:later.csv", cwd=filled.keep, code=11)
    assert "no file 'later.csv' is in grown@v1; it is in v2" in done.err
    assert "next: datakeep audit grown@v2:later.csv" in done.err
