"""Every way from data to a model is told: by versions, files, rows, policy, page and forms, which agree."""

from __future__ import annotations

import json
import shutil

import pytest
from world import FACTS, facts_without

from datakeep.cli.audit_used import file_data, file_lines
from datakeep.core.progress import Silent
from datakeep.workflows.audit_where import audit_where
from datakeep.workflows.keep import open_keep
from datakeep.workflows.used_by import file_used_by

WEIGHTS = "w" * 100
OLD = "2020-01-01"


@pytest.fixture(scope="module")
def world(new_world):
    """The records are of real runs; each model's name says what is special about it."""
    world = new_world()
    aiko, keep = world.aiko, world.keep
    put(aiko.cwd / "orders", {"train/a.csv": "id,v\n1,a\n", "train/b.csv": "id,v\n2,b\n"})
    put(aiko.cwd / "logs", {"x.csv": "id,w\n9,z\n"})
    put(aiko.cwd / "feats", {"f.csv": "id,f\n1,0.5\n"})
    put(aiko.cwd / "pii", {"p.csv": "id,name\n5,Aiko\n"})
    put(aiko.cwd / "cfg", {"config.json": "{}\n", "settings.json": json.dumps({"layers": ["x" * 30] * 4})})
    register(world, "orders")
    register(world, "logs")
    register_personal(world)
    aiko.datakeep(
        "register", "feats", aiko.cwd / "feats", "--backend", "git", "--source-kind", "derived",
        "--parent", "orders@v1", "--source-command", "make", *facts_without("--origin"), cwd=keep,
    )  # fmt: skip
    shutil.copytree(aiko.cwd / "orders", aiko.cwd / "twin")
    register(world, "twin")
    copy = aiko.cwd / "copy.csv"
    shutil.copy(aiko.cwd / "pii/p.csv", copy)
    only_b = aiko.cwd / "only-b.csv"
    shutil.copy(aiko.cwd / "orders/train/b.csv", only_b)

    save = f"echo {WEIGHTS}$RANDOM$RANDOM$RANDOM > $DATAKEEP_OUT/m.bin"
    run(world, "base", f"cat $DATAKEEP_DATA_ORDERS/train/a.csv; {save}", "--uses", "orders")
    run(
        world,
        "tuned",
        f"cat $DATAKEEP_DATA_ORDERS/train/b.csv out-base/m.bin; {save}",
        "--uses",
        "orders",
        "--base",
        "base",
    )
    run(
        world,
        "tuned2",
        f"cat $DATAKEEP_DATA_LOGS/x.csv out-base/m.bin; {save}",
        "--uses",
        "orders",
        "--uses",
        "logs",
        "--base",
        "base",
    )
    run(world, "both2", f"cat $DATAKEEP_DATA_FEATS/f.csv; {save}", "--uses", "feats", "--uses", "orders")
    run(world, "named", f"true; {save}", "--uses", "logs", "--base", "base")
    run(world, "mixed", f"cat out-base/m.bin; {save}", "--base", "named")
    run(world, "b-alone", f"cat {only_b}; {save}")
    run(world, "p-copy", f"cat {copy}; {save}")
    run(world, "p-child", f"cat out-p-copy/m.bin; {save}", "--base", "p-copy")
    run(world, "p-ls", f"true; {save}", "--uses", "pii")
    cfg = aiko.cwd / "cfg"
    ids = json.dumps({"ids": ["5" * 40] * 3})
    left = f"cp {cfg}/*.json $DATAKEEP_OUT; echo '{ids}' > $DATAKEEP_OUT/ids.json; : > $DATAKEEP_OUT/_SUCCESS"
    run(world, "cfg-a", f"cat $DATAKEEP_DATA_PII/p.csv; {left}", "--uses", "pii")
    run(world, "cfg-b", f"cat {cfg}/config.json {cfg}/settings.json; {save}", "--uses", "logs")
    run(world, "ids", f"cat out-cfg-a/ids.json; {save}", "--uses", "logs")
    run(world, "fm-real", f"cat $DATAKEEP_DATA_PII/p.csv; {save}", "--uses", "pii")
    aiko.datakeep("record", "fm-public", aiko.cwd / "out-fm-real/m.bin", "--used", "logs@v1", cwd=keep)
    shutil.copy(aiko.cwd / "out-fm-real/m.bin", aiko.cwd / "fm.bin")
    run(world, "fm-tuned", f"cat {aiko.cwd}/fm.bin; {save}", "--uses", "logs")
    run(world, "fm-said", f"cat {aiko.cwd}/fm.bin; {save}", "--uses", "logs", "--base", "fm-public")
    aiko.datakeep("update", "orders", "--caveat", "x", "-m", "facts", cwd=keep)
    (aiko.cwd / "orders/train/c.csv").write_text("id,v\n3,c\n")
    aiko.datakeep("update", "orders", aiko.cwd / "orders", "-m", "more", cwd=keep)
    given = next(
        (keep / ".datakeep/given/orders").glob("*/data/train/b.csv")
    )  # of v1, which the runs were given
    run(world, "last-week", f"cat {given}; {save}", "--uses", "orders@v3")
    return world


def put(folder, files):
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def register(world, name, facts=FACTS):
    world.aiko.datakeep("register", name, world.aiko.cwd / name, "--backend", "git", *facts, cwd=world.keep)


def register_personal(world):
    """``pii``, which should have been deleted long ago."""
    kept = world.aiko.cwd / "kept.yaml"
    kept.write_text(f"privacy: {{personal: 'yes', basis: consent, retention_until: {OLD}}}\n")
    register(world, "pii", facts=("--manifest", kept, *facts_without("--privacy")))


def run(world, model, script, *options):
    world.aiko.datakeep(
        "-C", world.keep, "run", "--model", model, *options, "--out", world.aiko.cwd / f"out-{model}",
        "--", "bash", "-c", script, cwd=world.aiko.cwd,
    )  # fmt: skip


def ask(world, *arguments, code=0):
    return world.aiko.datakeep("audit", *arguments, "--json", cwd=world.keep, code=code).data


def said(world, *arguments, code=0):
    return world.aiko.datakeep("audit", *arguments, cwd=world.keep, code=code).out


def names(told):
    return {one["name"].partition("@")[0] for one in told}


def verdicts(data, key="file"):
    return {one["model"].partition("@")[0]: one[key] for one in data["models"]}


def test_not_read_is_not_said_of_one_that_was_tuned_on_a_reader(world):
    for data, key in (
        (ask(world, "orders@v1:train/a.csv"), "file"),
        (ask(world, "orders@v1", "--where", "id = 1"), "files"),
    ):
        told = verdicts(data, key)
        assert (told["base"], told["tuned"]) == ("read", "through others")
        through = {one["name"]: (one["way"], one["read"]) for one in data["through"]}
        assert through["tuned@v1"] == (["orders@v1", "base@v1", "tuned@v1"], True)
        assert through["tuned2@v1"][1] is True
        assert through["both2@v1"] == (["orders@v1", "feats@v1", "both2@v1"], False)
    assert "orders@v1 → base@v1 → tuned@v1" in said(world, "orders@v1:train/a.csv")


def test_one_that_was_given_a_dataset_and_read_nothing_of_it_is_reached_through_others(world):
    data = ask(world, "dataset:orders@v1")
    assert {"tuned2@v1", "both2@v1"} <= set(data["given_unread"])
    assert {"tuned2", "both2", "named"} <= names(data["through"])
    assert "tuned2@v1 itself; it reached it through others" in said(world, "dataset:orders@v1")


def test_asking_all_datasets_finds_no_fewer_models_than_asking_one(world):
    one = ask(world, "orders@v1", "--where", "id IN (1, 9)")
    every = ask(world, "--where", "id IN (1, 9)")
    both = ask(world, "logs", "orders@v1", "--where", "id IN (1, 9)")
    found = names(one["through"]) | set(verdicts(one, "files"))
    for data in (every, both):
        assert found <= names(data["through"]) | set(verdicts(data, "files"))
        assert "tuned2" in names(data["through"])  # although it read logs itself


def test_the_same_bytes_under_another_version_or_name_are_the_same_data(world):
    for subject in ("orders@v2:train/a.csv", "twin:train/a.csv", "orders@v3:train/a.csv"):
        told = {
            one["model"]: (one["used"], one["file"], one["because"]) for one in ask(world, subject)["models"]
        }
        assert told["base@v1"][:2] == ("orders@v1", "read"), subject
        assert "the same bytes as " in told["base@v1"][2]
    for subject in ("orders@v2", "dataset:twin"):
        data = ask(world, subject)
        assert "base" in {one["model"] for one in data["models"]}
        assert data["versions_read"]["base@v1"] == ["orders@v1 (the same bytes)"]
    assert verdicts(ask(world, "orders@v2", "--where", "id = 1"), "files")["base"] == "read"
    assert "the same bytes are orders@v1, twin@v1: asked about too" in said(world, "orders@v2")


def test_policy_names_who_read_the_data_and_not_who_was_only_given_it(world):
    expired = [one for one in ask(world, "--policy", code=3)["complaints"] if one["kind"] == "expired"]
    models = {one.partition("@")[0] for one in expired[0]["models"]}
    assert [one["about"] for one in expired] == ["pii@v1"]
    assert {"p-copy", "p-child", "fm-real", "fm-public", "fm-tuned", "fm-said"} <= models
    assert not {"p-ls", "cfg-b", "base"} & models
    data = ask(world, "dataset:pii")
    assert models == {one["model"] for one in data["models"]} | names(data["through"])


def test_few_bytes_and_copies_of_an_input_say_nothing_and_what_else_was_left_is_no_base_model(world):
    data = ask(world, "dataset:pii")
    assert "cfg-b" not in names(data["through"])
    assert ask(world, "model:cfg-b")["model"]["base_models"] == []
    record = ask(world, "model:ids")["model"]
    assert record["record"]["base_models"] == []
    assert [(one["how"], one["record"]["model"]) for one in record["base_models"]] == [("left", "cfg-a")]
    way = next(one for one in data["through"] if one["name"] == "ids@v1")
    assert way["steps"] == ["read", "left"]
    assert "cfg-a@v1 → ids@v1 (read a file that it left)" in said(world, "dataset:pii")
    assert "a file that cfg-a@v1 left" in said(world, "model:ids")


def test_all_records_of_a_file_are_followed_and_what_was_seen_is_named_first(world):
    assert {"fm-tuned", "fm-said", "fm-public"} <= names(ask(world, "dataset:pii")["through"])
    tuned = ask(world, "model:fm-tuned")["model"]
    assert tuned["record"]["base_models"] == ["fm-real@v1"]
    assert {one["record"]["model"]: one["how"] for one in ask(world, "model:fm-said")["model"]["base_models"]} == {
        "fm-public": "base", "fm-real": "same"
    }  # fmt: skip
    assert ask(world, "model:fm-public")["same_file"] == ["fm-real@v1"]
    assert "the same file is also recorded as fm-real@v1" in said(world, "model:fm-public")


def test_page_and_forms_know_of_the_copies(world, tmp_path):
    for model in ("p-copy", "p-child"):
        for form in ("openlineage", "prov", "cyclonedx"):
            text = said(world, f"model:{model}", "--format", form)
            assert "pii" in text, (model, form)
    events = [json.loads(line) for line in said(world, "dataset:pii", "--format", "openlineage").splitlines()]
    inputs = {one["job"]["name"]: [of["name"] for of in one["inputs"]] for one in events if "job" in one}
    assert "datasets/pii" in inputs["train/p-copy"]
    assert "models/p-copy" in inputs["train/p-child"]
    assert "models/cfg-a" in inputs["train/ids"]
    shown = said(world, "model:p-copy")
    assert "dataset pii@v1 (read without being declared)" in shown
    assert "personal" in shown
    page = tmp_path / "page.html"
    said(world, "orders@v2", "--html", page)
    assert "the same bytes" in page.read_text()


def test_one_that_read_another_file_undeclared_is_not_reached_through_others(world):
    data = ask(world, "orders@v1:train/a.csv")
    assert "b-alone" not in {*names(data["through"]), *verdicts(data)}
    assert verdicts(ask(world, "orders@v1:train/b.csv"))["b-alone"] == "read"


def test_a_base_model_of_which_no_file_was_read_is_said_to_be_one(world):
    record = ask(world, "model:named")["model"]["record"]
    assert record["unread_bases"] == ["base@v1"]
    assert "unread_bases" not in ask(world, "model:tuned")["model"]["record"]
    assert "base@v1, because --base said so; no file of it was read" in said(world, "model:named")
    assert "base@v1 → named@v1 (named it as its base, and read no file of it)" in said(world, "orders@v1")


def test_a_model_that_was_read_comes_before_one_that_is_only_named(world):
    assert ask(world, "model:mixed")["model"]["record"]["base_models"] == ["named@v1", "base@v1"]
    bases = ask(world, "model:mixed")["model"]["base_models"]
    assert [(one["record"]["model"], one["how"]) for one in bases] == [("base", "base"), ("named", "named")]


def test_data_that_another_run_was_given_is_of_that_version(world):
    entry = ask(world, "model:last-week")["model"]["record"]["undeclared"][0]
    assert entry["of"] == "orders@v2"  # the newest of these bytes
    told = ask(world, "dataset:orders")["versions_read"]["last-week@v1"]
    assert told == ["orders@v2 (read without being declared)"]
    assert verdicts(ask(world, "orders@v1:train/b.csv"))["last-week"] == "read"


def test_those_that_read_it_come_first_and_many_that_did_not_are_counted(world):
    lines = said(world, "orders:train/c.csv").splitlines()
    assert lines[-1] == "next: datakeep audit model:last-week@v1"
    data = ask(world, "orders:train/b.csv")
    rank = {"read": 0, "changed copy": 1, "not known": 2, "through others": 3, "not read": 4}
    ranks = [rank[one["file"]] for one in data["models"]]
    assert ranks == sorted(ranks)
    assert data["models"][0]["file"] == "read"


def test_an_empty_file_that_a_run_left_is_nobodys(world, tmp_path):
    (tmp_path / "empty").write_text("")
    assert "not known" in said(world, tmp_path / "empty", code=3)


@pytest.mark.parametrize("limit", [1, 2])
def test_that_not_all_files_of_the_same_bytes_were_looked_at_is_told(world, monkeypatch, limit):
    """Each of the files is in two lists: one of a dataset and its twin, and one of a later version."""
    monkeypatch.setattr("datakeep.workflows.every_way._MAX_ROWS", limit)
    keep = open_keep(world.keep, Silent())
    told = ["1 more registered file of the same bytes"][: 2 - limit]
    file = file_used_by(keep, "orders@v1", "train/b.csv")
    assert list(file.not_looked_at) == file_data(file)["not_looked_at"] == told
    assert [one for one in file_lines(file, "x") if "looked at" in one] == [
        f"not looked at: {one}" for one in told
    ]
    rows = audit_where(keep, "id = 2", ["orders@v1"])
    files = len(rows.search.having[0].files)
    assert list(rows.ways.not_looked_at) == [
        one.replace("1 more registered file", f"{files} more registered files") for one in told
    ]


def test_what_was_deleted_is_told_by_every_question_that_looks_for_it(world):
    """Last: it deletes a record."""
    aiko, keep = world.aiko, world.keep
    weights = aiko.cwd / "out-fm-said/m.bin"
    aiko.run("git", "rm", "-q", "-r", "models/fm-said", cwd=keep)
    aiko.run("git", "commit", "-qm", "tidied", cwd=keep)
    told = said(world, "model:fm-said", code=3)
    assert "did you mean" not in told
    assert told.splitlines()[-1].endswith("-- models/fm-said/v1.yaml")
    for command in (("find", "fm-said"), ("whatis", weights)):
        shown = aiko.datakeep(*command, cwd=keep, code=3).out
        assert "models/fm-said/v1.yaml" in shown, command
        assert "do not trust this answer" in shown


def test_a_file_that_was_declared_under_another_name_is_told_of_the_dataset_too(new_world):
    world = new_world()
    folder = world.aiko.cwd
    rows, other = "id,name\n" + "5,Aiko\n" * 20, "id,w\n" + "9,z\n" * 30
    put(folder / "pii", {"p.csv": rows})
    put(folder / "mix", {"q.csv": rows, "o.csv": other})
    register_personal(world)
    register(world, "mix")
    save = f"echo {WEIGHTS}$RANDOM$RANDOM > $DATAKEEP_OUT/m.bin"
    run(world, "w-mix", f"cat $DATAKEEP_DATA_MIX/*.csv; {save}", "--uses", "mix")
    run(world, "w-other", f"cat $DATAKEEP_DATA_MIX/o.csv; {save}", "--uses", "mix")
    run(world, "child", f"cat out-w-mix/m.bin; {save}", "--base", "w-mix")
    for subject in ("dataset:pii", "pii@v1"):
        through = {one["name"]: one["way"] for one in ask(world, subject)["through"]}
        assert through["w-mix@v1"] == ["pii@v1", "mix@v1", "w-mix@v1"]
        assert "child@v1" in through
        assert "w-other@v1" not in through
    expired = [one for one in ask(world, "--policy", code=3)["complaints"] if one["kind"] == "expired"]
    assert [one["models"] for one in expired] == [["child@v1", "w-mix@v1"]]
    assert "mix@v1 (has files of the same bytes) → w-mix@v1" in said(world, "dataset:pii")
