"""Bytes that were read without being declared are known by their digest, wherever they lay when they were read."""

from __future__ import annotations

import json
import shutil

import pytest
from world import FACTS, commit_files

READ = "import sys\nfor path in sys.argv[1:]:\n    open(path, 'rb').read()\n"


@pytest.fixture(scope="module")
def copied(new_world):
    """orders, of two versions, and trainings that read copies, changed copies and a recorded model's file."""
    world = new_world()
    aiko, keep = world.aiko, world.keep
    folder = aiko.cwd / "files"
    for path, text in {
        "train/a.csv": "id\n1\n", "train/c.csv": "id\n3\n", "test/t.csv": "id\n9\n", "train/none.bin": ""
    }.items():  # fmt: skip
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    manifest = aiko.cwd / "manifest.yaml"
    manifest.write_text("splits:\n  train: [data/train/**]\n  test: [data/test/**]\n")
    given = ("--backend", "git", *FACTS, "--manifest", manifest)
    aiko.datakeep("register", "orders", folder, *given, cwd=keep)
    shutil.copytree(folder, aiko.cwd / "copy")
    (folder / "train/a.csv").write_text("id\n1\n2\n")
    aiko.datakeep("update", "orders", folder, "-m", "a week later", cwd=keep)
    code = aiko.cwd / "code"
    code.mkdir()
    (code / "train.py").write_text(READ)
    (code / "empty.csv").write_text("")
    copy = aiko.cwd / "copy"
    run(world, "copies", copy / "train/a.csv", copy / "train/c.csv", code / "empty.csv", uses="orders")
    run(world, "alone", copy / "test/t.csv")
    aiko.datakeep("checkout", "orders@v1", aiko.cwd / "out", cwd=keep)
    (aiko.cwd / "out/data/train/a.csv").chmod(0o644)
    (aiko.cwd / "out/data/train/a.csv").write_text("id\n1\nx\n")
    (aiko.cwd / "out/data/train/new.csv").write_text("id\n7\n")
    files = ("train/a.csv", "train/c.csv", "train/new.csv")
    run(world, "changed", *(aiko.cwd / "out/data" / one for one in files))
    weights = aiko.cwd / "weights.bin"
    weights.write_bytes(b"weights" * 10)
    aiko.datakeep("record", "resnet", weights, "--used", "orders@v1", cwd=keep)
    run(world, "tuned", weights)
    return world


def run(world, model, *files, uses=None):
    given = ("--uses", uses) if uses else ()
    world.aiko.datakeep(
        "-C", world.keep, "run", "--model", model, *given, "--out", world.aiko.cwd / f"out-{model}",
        "--", "python", "train.py", *files, cwd=world.aiko.cwd / "code",
    )  # fmt: skip


def ask(world, *arguments, code=0):
    return world.aiko.datakeep("audit", *arguments, "--json", cwd=world.keep, code=code).data


def verdicts(data):
    return {one["model"]: (one["used"], one.get("file") or one["files"]) for one in data["models"]}


def entries(world, model):
    record = ask(world, f"model:{model}")["model"]["record"]
    return {one["path"].rpartition("/")[2]: one for one in record["undeclared"]}, record


def test_a_copy_is_answered_for_by_file_version_and_dataset(copied):
    data = ask(copied, "orders@v2:train/c.csv")
    assert verdicts(data) == {
        "copies@v1": ("orders@v2", "read"),
        "changed@v1": ("orders@v1", "read"),
        "resnet@v1": ("orders@v1", "not known"),
    }
    because = {one["model"]: one["because"] for one in data["models"]}
    assert because["copies@v1"].startswith(
        "read, without being declared: the same bytes as orders@v2:train/c.csv, at "
    )
    assert verdicts(ask(copied, "orders@v2:train/a.csv")) == {"copies@v1": ("orders@v2", "not read")}
    names = [one["model"] for one in ask(copied, "orders@v2")["models"]]
    assert names == ["alone", "changed", "copies"]
    same = ask(copied, "dataset:orders@v1")["undeclared"]["same_bytes"]
    assert ("alone@v1", "orders@v1:test/t.csv") in {(one["model"], one["file"]) for one in same}
    said = copied.aiko.datakeep("audit", "dataset:orders", cwd=copied.keep).out
    assert "alone@v1 read orders@v2:test/t.csv, at " in said


def test_an_empty_file_is_nobodys(copied):
    assert verdicts(ask(copied, "orders@v2:train/none.bin")) == {"copies@v1": ("orders@v2", "not read")}


def test_rows_and_policy_and_the_page_know_of_copies(copied, tmp_path):
    found = verdicts(ask(copied, "orders@v1", "--where", "id = 1"))
    assert found == {
        "copies@v1": ("orders@v1", "read"),
        "changed@v1": ("orders@v1", "changed copy"),
        "resnet@v1": ("orders@v1", "not known"),
    }
    data = ask(copied, "--policy", code=3)
    assert [one["models"] for one in data["complaints"] if one["kind"] == "test-split"] == []
    assert {"alone@v1"} == {
        model for one in data["complaints"] if one["kind"] == "test-read" for model in one["models"]
    }
    assert [one["runs_reading"] for one in data["test_splits"]] == [1]
    (told,) = [
        one for one in data["complaints"] if (one["kind"], one["about"]) == ("undeclared", "copies@v1")
    ]
    assert told["next"].startswith("declare it in the next run: --uses orders@v1; ")
    assert "has the bytes of orders@v1:" in told["what"]
    page = tmp_path / "page.html"
    copied.aiko.datakeep("audit", "orders@v2:test/t.csv", "--html", page, cwd=copied.keep)
    assert "the same bytes as orders@v2:test/t.csv" in page.read_text()


def test_an_audit_of_the_model_says_whose_bytes_they_are(copied):
    said = copied.aiko.datakeep("audit", "model:copies", cwd=copied.keep).out
    assert "copy/train/c.csv is orders@v2:train/c.csv (and in v1)" in said
    assert "empty.csv is" not in said


def test_a_changed_file_of_a_checkout_is_not_the_registered_one(copied):
    found, _ = entries(copied, "changed")
    assert {name: one.get("differs") for name, one in found.items()} == {
        "a.csv": "its bytes are not those of this version",
        "c.csv": None,
        "new.csv": "this version has no such file",
    }
    data = verdicts(ask(copied, "orders@v1:train/a.csv"))
    assert data["changed@v1"] == ("orders@v1", "changed copy")
    assert data["copies@v1"] == ("orders@v1", "read")


def test_a_recorded_models_file_makes_it_a_base_model(copied):
    found, record = entries(copied, "tuned")
    assert record["base_models"] == ["resnet@v1"]
    assert found["weights.bin"]["model"] == "resnet@v1"
    assert "tuned@v1" in [one["name"] for one in ask(copied, "orders@v1")["through"]]


def test_a_file_that_was_read_undeclared_is_known(copied):
    new = copied.aiko.cwd / "out/data/train/new.csv"
    said = copied.aiko.datakeep("audit", new, cwd=copied.keep).out
    assert "read, undeclared, by changed@v1, at " in said
    meanings = copied.aiko.datakeep("whatis", new, "--json", cwd=copied.keep).data["meanings"]
    assert [(one["what"], one["name"]) for one in meanings] == [
        ("read, undeclared, by the training", "changed")
    ]


def test_a_registered_file_has_a_page_and_what_has_no_graph_is_refused(copied, tmp_path):
    file, page = copied.aiko.cwd / "copy/train/c.csv", tmp_path / "c.html"
    said = copied.aiko.datakeep("audit", file, "--html", page, cwd=copied.keep).out
    assert f"wrote {page}" in said
    text = page.read_text("utf-8")
    assert "What train/c.csv of orders went into" in text
    assert "the file train/c.csv: read, because read, without being declared" in text
    for form in ("prov", "openlineage", "cyclonedx"):
        refused = copied.aiko.datakeep(
            "audit", file, "--format", form, "-o", tmp_path / "x", cwd=copied.keep, code=31
        )
        assert "datakeep audit" in refused.err
    new = copied.aiko.cwd / "out/data/train/new.csv"  # read undeclared, and no registered file
    refused = copied.aiko.datakeep("audit", new, "--html", tmp_path / "x", cwd=copied.keep, code=31)
    assert "nothing was written: of " in refused.err
    assert [one.name for one in tmp_path.iterdir()] == ["c.html"]


def test_where_lists_are_not_here_it_is_not_known(copied):
    """A clone that has none of the dataset's lists."""
    clone = copied.aiko.cwd / "clone"
    copied.aiko.run("git", "clone", "-q", copied.keep, clone)
    ran = copied.aiko.datakeep("audit", "dataset:orders@v2", "--json", cwd=clone, code=4)
    assert ran.data["models"] == []
    assert ran.data["undeclared"]["not_searched"]


def test_a_list_that_was_cut_is_no_no(copied):
    record = ask(copied, "model:copies")["model"]["record"]
    cut = record | {"model": "cut", "undeclared": [], "undeclared_count": 2000}
    commit_files(copied.aiko, copied.keep, {"models/cut/v1.yaml": json.dumps(cut)})
    data = ask(copied, "orders@v2:train/c.csv")
    assert verdicts(data)["cut@v1"] == ("orders@v2", "not known")
    assert any("cut@v1" in one for one in data["unknown"])


def test_a_secret_is_perhaps_only_a_file_of_its_size(copied):
    """Last: its trainings are in no other test's answer."""
    code = copied.aiko.cwd / "code"
    for model, secret in (
        ("small", "K=1\n"),
        ("alike", "K=12\n"),
    ):  # of 4 bytes, and of 5 as train/c.csv and test/t.csv
        (code / f".env-{model}").write_text(secret)
        run(copied, model, "{orders}/train/a.csv", code / f".env-{model}", uses="orders@v2")
    found = ask(copied, "orders@v2:train/c.csv")["models"]
    told = {one["model"]: (one["file"], one["because"]) for one in found}
    assert told["small@v1"][0] == "not read"
    assert (
        "/.env-small was read too, its digest is not known, and the size is another (observed)"
        in told["small@v1"][1]
    )
    assert told["alike@v1"][0] == "not known"
    assert (
        "/.env-alike was read too, its digest is not known, and the size is the same" in told["alike@v1"][1]
    )
    assert verdicts(ask(copied, "orders@v2:train/a.csv"))["alike@v1"] == ("orders@v2", "read")
    rows = verdicts(ask(copied, "orders@v2", "--where", "id = 3"))
    assert (rows["small@v1"][1], rows["alike@v1"][1]) == ("not read", "not known")


def test_find_knows_the_names_of_undeclared_files(copied):
    """Last: it adds a record."""
    _, record = entries(copied, "copies")
    secret = {"path": "/code/.env-hidden", "size_bytes": 4, "withheld": "it may hold a secret"}
    hidden = record | {"model": "hidden", "undeclared": [secret], "undeclared_count": 1}
    commit_files(copied.aiko, copied.keep, {"models/hidden/v1.yaml": json.dumps(hidden)})

    def found(*words):
        done = copied.aiko.datakeep("find", *words, "--json", cwd=copied.keep, code=None)
        told = [one for one in done.data["found"] if one["kind"] == "model"]
        return {
            (one["name"], one["version"]): {where["text"].rpartition("/")[2] for where in one["where"]}
            for one in told
        }

    assert found("NEW.csv") == {("changed", "v1"): {"new.csv"}}
    assert found("copy/test", "t.csv")[("alone", "v1")] == {"t.csv"}
    assert ("hidden", "v1") in found(".env-hidden")  # what is withheld is its digest, not its place
    assert found("new.csv", "t.csv") == {}
    shown = copied.aiko.datakeep("find", "new.csv", "--kind", "model", cwd=copied.keep).out
    assert "read undeclared: " in shown
    assert "next: datakeep audit model:changed@v1" in shown
    assert (
        "model" not in copied.aiko.datakeep("find", "new.csv", "--kind", "file", cwd=copied.keep, code=3).out
    )
