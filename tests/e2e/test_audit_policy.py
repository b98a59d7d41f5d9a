"""``audit --policy``: a verdict on all models by their data; each fault is named once, with the way out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from seen import Quick
from world import FACTS, Ran, commit_files, facts_without

from datakeep.core.progress import Silent
from datakeep.workflows.audit_policy import audit_policy
from datakeep.workflows.keep import open_keep


@pytest.fixture(scope="module")
def world(new_world):
    """``good`` is proven by Ken, who is not its owner; the verification left the one model."""
    world = new_world()
    aiko, ken, keep = world.aiko, world.ken, world.keep
    world.calls = Quick(aiko, Ran, preload=("datakeep.workflows.audit_policy", "datakeep.cli.audit_policy"))
    manifest = aiko.cwd / "splits.yaml"
    manifest.write_text("splits:\n  train: [data/train/**]\n  test: [data/test/**]\n")
    aiko.datakeep(
        "register", "good", world.orders, "--backend", "git", "--manifest", manifest, *FACTS, cwd=keep
    )
    world.reference("good")
    ken.run("git", "clone", "-q", world.vault / "git" / "keeps" / "keep.git", "theirs", cwd=ken.cwd)
    ken.datakeep("key", "create", cwd=ken.cwd / "theirs")
    ken.datakeep("verify", "good", "--sandbox", "none", cwd=ken.cwd / "theirs")
    aiko.run("git", "pull", "-q", "--rebase", cwd=keep)
    yield world
    world.calls.close()


def policy(world, code=3, cwd=None):
    return world.calls.datakeep("audit", "--policy", "--json", cwd=cwd or world.keep, code=code).data


def complaints(data):
    """Kind and what it is about, to the models."""
    return {(one["kind"], one["about"]): one["models"] for one in data["complaints"]}


def commit(world, files, folder=None):
    commit_files(world.aiko, folder or world.keep, files, "changed")


def record(world, name, reference, read, **more):
    entry = world.calls.datakeep("show", reference, "--json", cwd=world.keep).data["entry"]
    given = {name: entry[name] for name in ("dataset", "version", "commit", "content")} | {"how": "observed"}
    given |= {"files_read": read} if read else {}
    return json.dumps({
        "format": "datakeep/model/1", "model": name, "version": "v1", "inputs": [given], "artifacts": [], "code": {},
        "command": ["x"], "environment": {"kind": "uv"}, "resources": {}, "origin": "run",
        "observed": {"by": "strace"}, "status": "completed", **more,
    })  # fmt: skip


def test_all_in_order_is_0_with_a_positive_verdict(world):
    data = policy(world, code=0)
    assert (data["passed"], data["models"], data["complaints"]) == (True, 1, [])
    shown = world.calls.datakeep("audit", "--policy", cwd=world.keep).out
    assert "the one model: data owned, proven, not expired, of known privacy, declared" in shown
    assert data["test_splits"][0]["dataset"] == "good"


def test_a_keep_without_models_has_nothing_to_judge(new_world):
    empty = new_world()
    done = empty.aiko.datakeep("audit", "--policy", cwd=empty.keep)
    assert "no recorded model: nothing to judge" in done.out


def test_a_proof_expires_and_so_does_what_may_be_kept_until_a_day(world):
    keep = open_keep(world.keep, Silent())
    assert not audit_policy(keep, now=datetime.now(UTC) + timedelta(days=100)).complaints
    found = audit_policy(keep, now=datetime.now(UTC) + timedelta(days=400)).complaints
    assert [(one.kind, one.about, one.models) for one in found] == [("expired", "good@v2", ("good@v1",))]
    assert found[0].next_step == "datakeep verify good@v2"


@pytest.fixture(scope="module")
def bad(world):
    """A clone with every fault there is; each has its own model."""
    aiko, keep = world.aiko, world.keep
    manifest = aiko.cwd / "kept.yaml"
    manifest.write_text("privacy: {personal: unknown, retention_until: 2020-01-01}\n")
    world.calls.datakeep(
        "register",
        "dim",
        world.orders,
        "--backend",
        "git",
        "--manifest",
        manifest,
        *facts_without("--privacy"),
        cwd=keep,
    )
    world.calls.datakeep(
        "register", "child", world.training, "--backend", "git", "--source-kind", "derived", "--parent", "dim@v1",
        "--source-command", "make", *facts_without("--origin"), cwd=keep,
    )  # fmt: skip
    train, both = {"count": 1, "splits": {"train": 1}}, {"count": 2, "splits": {"train": 1, "test": 1}}
    only = {"count": 1, "splits": {"test": 1}}
    commit(world, {
        "models/fine/v1.yaml": record(world, "fine", "good@v2", train),
        "models/evaluation/v1.yaml": record(world, "evaluation", "good@v2", only),
        "models/peeked/v1.yaml": record(world, "peeked", "good@v2", both),
        "models/learned/v1.yaml": record(
            world, "learned", "good@v2", only, artifacts=[{"path": "m.bin", "sha256": "1" * 64, "size_bytes": 3}]
        ),
        "models/scored/v1.yaml": record(
            world, "scored", "good@v2", only,
            artifacts=[
                {"path": one, "sha256": "2" * 64, "size_bytes": 300} for one in ("metrics.json", "test_score.csv")
            ],
        ),
        "models/crashed/v1.yaml": record(world, "crashed", "good@v2", both, status="failed", failure="exit code 1"),
        "models/stray/v1.yaml": record(
            world, "stray", "good@v2", train, undeclared=[{"path": "/tmp/x.csv"}], undeclared_count=3
        ),
        "models/blind/v1.yaml": record(
            world, "blind", "good@v2", None, observed={"by": "nothing", "why": "no strace"}
        ),
        "models/called/v1.yaml": record(
            world, "called", "good@v2", train, observed={"by": "strace", "connections": ["192.0.2.7:443"]}
        ),
        "models/piped/v1.yaml": record(
            world, "piped", "good@v2", train, observed={"by": "strace", "standard_input": "pipe"}
        ),
        "models/murky/v1.yaml": record(world, "murky", "dim@v1", train),
        "models/tuned/v1.yaml": record(world, "tuned", "good@v2", train, base_models=["murky@v1"]),
        "models/lost/v1.yaml": record(world, "lost", "good@v2", train, base_models=["absent@v1"]),
        "models/grandchild/v1.yaml": record(world, "grandchild", "child@v1", {"count": 3}),
        "models/torn/v1.yaml": "format: [",
    })  # fmt: skip
    other = json.loads(record(world, "other", "good@v2", train))
    other["inputs"][0]["content"] = "sha256:" + "0" * 64
    commit(world, {"models/other/v1.yaml": json.dumps(other)})
    return world


def test_each_fault_is_one_complaint_with_its_models_and_what_to_type(bad):
    data = policy(bad)
    found = complaints(data)
    assert found == {
        ("tampered", "models/other/v1.yaml"): ["other@v1"],  # once, and not as a broken entry too
        ("broken", "models/torn/v1.yaml"): [],
        ("broken", "absent@v1"): ["lost@v1"],
        ("unproven", "dim@v1"): ["murky@v1", "tuned@v1"],
        ("unproven", "child@v1"): ["grandchild@v1"],
        ("privacy", "dim@v1"): ["grandchild@v1", "murky@v1", "tuned@v1"],
        ("expired", "dim@v1"): ["grandchild@v1", "murky@v1", "tuned@v1"],
        ("undeclared", "stray@v1"): ["stray@v1"],
        ("test-split", "good@v2"): ["learned@v1"],
        ("test-read", "good@v2"): ["peeked@v1"],
    }
    assert all(one["next"] for one in data["complaints"])
    steps = {one["kind"]: one["next"] for one in data["complaints"]}
    first, all_files = steps["undeclared"].split("; ")
    assert first == "register it, and name it with --uses: datakeep register x /tmp/x.csv"
    assert all_files == "all files: datakeep audit model:stray@v1"
    assert steps["test-split"] == "train on another split; what it read: datakeep audit model:learned@v1"
    assert (data["models"], data["failed_trainings"]) == (15, 1)
    # Nobody knows what came in there, or what the file was that has no digest.
    assert data["not_observed"] == ["blind@v1", "called@v1", "piped@v1", "stray@v1"]
    assert data["files_not_known"] == ["blind@v1"]


def test_runs_that_read_the_test_split_are_counted_failed_ones_too(bad):
    (reads,) = policy(bad)["test_splits"]
    # peeked, learned, scored, crashed and evaluation; what blind read is not known.
    assert (reads["dataset"], reads["splits"], reads["runs_reading"]) == ("good", ["test"], 5)
    assert reads["runs_not_known"] == 1
    shown = bad.calls.datakeep("audit", "--policy", cwd=bad.keep, code=3).out
    for words in (
        "recorded runs that read a test split:", "good  test  read by 5 of 14 runs, and perhaps by 1 more",
        "trained on a test split:",
        "! good@v2: it read the test split (test) and no other data, and left a model",
        "read a test split beside other data: trained on it, or only scored:",
        "! good@v2: the run that made it read the test split (test) too, to score or to train: nobody can tell",
        "it read 3 files that no dataset declares, such as",
        "models: peeked@v1", "10 complaints; 8 of 15 models concerned (1 failed training left out)",
        "their data they read is not fully known: blind@v1",
    ):  # fmt: skip
        assert words in shown, words


def test_an_owner_who_has_departed_and_a_lost_entry_are_complaints(bad):
    aiko = bad.aiko
    aiko.run("git", "clone", "-q", bad.keep, "departed", cwd=aiko.cwd)
    clone = aiko.cwd / "departed"
    person = next((clone / "people").glob("aiko*.yaml"))
    text = person.read_text()
    person.write_text(text.replace("departed: null", "departed: 2026-01-31") if "departed:" in text
                      else text + "departed: 2026-01-31\n")  # fmt: skip
    (clone / "register" / "child" / "v1.yaml").write_text("format: [")
    aiko.run("git", "commit", "-qam", "departed", cwd=clone)
    found = complaints(policy(bad, cwd=clone))
    assert set(found["unowned", "good"]) >= {"fine@v1", "peeked@v1", "good@v1"}
    assert found["broken", "child@v1"] == ["grandchild@v1"]


def test_what_a_later_version_of_the_same_bytes_states_mends_it(bad):
    """Nothing has to be trained again because a fact was decided late."""
    assert ("privacy", "dim@v1") in complaints(policy(bad))
    bad.calls.datakeep("update", "dim", "--privacy", "no", "-m", "decided", cwd=bad.keep)
    found = complaints(policy(bad))
    assert ("privacy", "dim@v1") not in found
    assert ("unproven", "dim@v1") in found


def test_a_models_file_that_was_read_without_saying_so_is_to_be_declared_as_its_base(world):
    aiko = world.aiko
    aiko.run("git", "clone", "-q", world.keep, "bases", cwd=aiko.cwd)
    clone, train = aiko.cwd / "bases", {"count": 1, "splits": {"train": 1}}
    left = [{"path": "/tmp/out/model.bin", "sha256": "a1" * 32, "size_bytes": 900, "model": "first@v1"}]
    data = [{"path": "/tmp/out/x.csv", "sha256": "b2" * 32, "size_bytes": 900}]
    more = {"tuned": (left, ["first@v1"]), "mixed": (left + data, ["first@v1"]), "plain": ([], [])}
    files = {
        f"models/{name}/v1.yaml": record(
            world, name, "good@v2", train, undeclared=read, undeclared_count=len(read), base_models=bases
        )
        for name, (read, bases) in more.items()
    }
    commit(world, {**files, "models/first/v1.yaml": record(world, "first", "good@v2", train)}, clone)
    said = {one["about"]: one["next"] for one in policy(world, cwd=clone)["complaints"]}
    assert said["tuned@v1"].startswith("declare it in the next run: --base first@v1; ")
    assert said["mixed@v1"].startswith(
        "register it, and name it with --uses: datakeep register x /tmp/out/x.csv; "
    )
    lines = world.calls.datakeep("audit", "--diff", "tuned@v1", "plain@v1", cwd=clone, code=None).out
    assert "base models: first@v1 → none" in lines
    assert "undeclared inputs" not in lines


def test_a_verification_that_failed_after_its_training_perhaps_read_the_test_split(world):
    """Last: it makes another version. A failed verification leaves a proof and no record."""
    before = policy(world, code=None)["test_splits"][0]
    world.reference("good", "--expect", "accuracy=0.99±0.001")
    theirs = world.ken.cwd / "theirs"
    world.ken.run("git", "pull", "-q", "--rebase", cwd=theirs)
    world.ken.datakeep("verify", "good", "--sandbox", "none", cwd=theirs, code=3)
    world.aiko.run("git", "pull", "-q", "--rebase", cwd=world.keep)
    after = policy(world, code=None)["test_splits"][0]
    assert after["runs_reading"] == before["runs_reading"]
    assert after["runs_not_known"] == before["runs_not_known"] + 1
    assert after["runs"] == before["runs"] + 1


def test_nobody_is_told_to_register_a_file_that_is_gone_or_another_now(bad):
    train = {"count": 1, "splits": {"train": 1}}
    lost = [
        {"path": "/tmp/gone.csv", "gone": True},
        {"path": "/tmp/new.csv", "changed": True, "sha256": "3" * 64},
    ]
    commit(bad, {
        "models/lost-data/v1.yaml": record(bad, "lost-data", "good@v2", train, undeclared=lost),
        "models/half-lost/v1.yaml": record(
            bad, "half-lost", "good@v2", train, undeclared=[*lost, {"path": "/tmp/kept.csv", "sha256": "4" * 64}]
        ),
    })  # fmt: skip
    data = policy(bad)
    assert {"lost-data@v1", "half-lost@v1"} <= {*data["not_observed"]}
    steps = {one["about"]: one["next"] for one in data["complaints"] if one["kind"] == "undeclared"}
    assert steps["lost-data@v1"].startswith(
        "train again on data that stays as it is: /tmp/gone.csv is gone; "
    )
    assert "datakeep register kept /tmp/kept.csv" in steps["half-lost@v1"]
