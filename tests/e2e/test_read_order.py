"""A test split that was read only after the model was written is no complaint; in any other order it is one."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from world import FACTS, TRAIN, World

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
import os, pathlib, time
data, out = (pathlib.Path(os.environ[name]) for name in ("DATAKEEP_DATA_ORDERS", "DATAKEEP_OUT"))
train = lambda: (data / "train/orders.csv").read_bytes()
test = lambda: (data / "test/orders.csv").read_bytes()
model = out / "model.bin"
tick = lambda: time.sleep(0.2)
here, other = pathlib.Path().resolve(), pathlib.Path(os.environ.get("DATAKEEP_DATA_OTHER", ""))
"""
#: Each training, and what is said of the order in which it did things; None: no complaint.
TRAININGS = {
    "scored": (
        "model.write_bytes(train()[:9]); tick(); test(); tick(); (out / 'metrics.json').write_text('{\"a\": 1}')",
        "test first opened after model.bin was last changed; metrics.json changed after that",
        False,
    ),
    "predicted": (
        "model.write_bytes(train()[:9]); tick(); test(); (out / 'predictions.csv').write_text('1')",
        "test first opened after model.bin was last changed",
        False,
    ),
    "concatenated": (
        "file = model.open('wb', 0); file.write(train()[:9]); file.write(test()[:9])",
        "first opened",
        True,
    ),
    "at-once": (
        "train(); model.write_bytes(b'x'); test()",
        "first opened",
        True,
    ),
    "mapped": (
        (
            "import mmap; file = model.open('w+b', 0); file.write(train().ljust(4096))\n"
            "pages = mmap.mmap(file.fileno(), 4096); tick(); pages[:9] = test()[:9]"
        ),
        "to score or to train: nobody can tell",
        True,
    ),
    "peeked": (
        "test(); tick(); model.write_bytes(train()[:9])",
        "test first opened before model.bin was",
        True,
    ),
    "held": (
        "file = model.open('wb'); train(); test(); tick(); file.write(b'learned'); file.close()",
        "test first opened before model.bin was last changed",
        True,
    ),
    "again": (
        "model.write_bytes(train()[:9]); test(); tick(); model.write_bytes(b'better')",
        "test first opened before model.bin was last changed",
        True,
    ),
    "chosen": (
        "two = out / 'two'; two.write_bytes(train()[:9]); test(); tick(); two.rename(model)",
        "test first opened before model.bin was last changed",
        True,
    ),
    "tuned": (
        "model.write_bytes(train()[:9]); test(); tick(); (out / 'tuned.bin').write_bytes(b'x')",
        "test first opened after model.bin was last changed; tuned.bin changed after that",
        True,
    ),
    "forged": (
        "test(); tick(); model.write_bytes(train()[:9]); os.utime(model, (1, 1))",
        "test first opened before model.bin was last changed",
        True,
    ),
    "boosted": (
        "(out / 'scaler.pkl').write_bytes(b'x'); test(); tick(); (out / 'model.txt').write_bytes(train()[:9])",
        "test first opened after scaler.pkl was last changed; model.txt changed after that",
        True,
    ),
    "linked": (
        "train(); (out / 'cfg.bin').write_text('x'); test(); tick(); (out / 'm').symlink_to('/etc/hosts')",
        "to score or to train: nobody can tell",
        True,
    ),
    "copied": (
        "(here / 'copy.csv').read_bytes(); model.write_bytes(train()[:9]); tick(); test()",
        "undeclared files were read too",
        True,
    ),
    "renamed": (
        "(other / 'test/orders.csv').read_bytes(); tick(); model.write_bytes(train()[:9]); tick(); test()",
        "test first opened before model.bin was last changed",
        True,
    ),
    "fed": (
        "import sys; sys.stdin.read(); tick(); model.write_bytes(train()[:9]); tick(); test()",
        "test first opened before model.bin was last changed",
        True,
    ),
    "elsewhere": (
        "os.system(f'cat {data}/test/orders.csv > /dev/null'); tick(); model.write_bytes(train()[:9])",
        "test first opened before model.bin was last changed",
        True,
    ),
}


@pytest.fixture(scope="module")
def judged(world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Every training was run once, and a reference training that scores afterwards was verified."""
    manifest = world.aiko.cwd / "splits.yaml"
    manifest.write_text("splits: {train: ['data/train/**'], test: ['data/test/**']}\n", "utf-8")
    world.aiko.datakeep(
        "register", "orders", world.orders, "--backend", "git", *FACTS, "--manifest", manifest, cwd=world.keep
    )
    world.aiko.datakeep("register", "other", world.orders, "--backend", "git", *FACTS, cwd=world.keep)
    folder = tmp_path_factory.mktemp("code")
    (folder / "copy.csv").write_text("no table of ours\n", "utf-8")
    for name, (text, _, _) in TRAININGS.items():
        (folder / f"{name}.py").write_text(HEAD + text + "\n", "utf-8")
        other = ("--uses", "other@v1") if name == "renamed" else ()
        fed = "/dev/null"
        if name == "fed":
            (fed,) = world.keep.glob(".datakeep/given/orders/*/data/test/orders.csv")
        world.aiko.run(
            "bash", "-c", 'exec "${@:2}" < "$1"', "-", fed, sys.executable, "-m", "datakeep", "-C", world.keep,
            "run", "--model", name, "--uses", "orders@v1", *other, "--out", name, "--", "python", f"{name}.py",
            cwd=folder,
        )  # fmt: skip
    scores = "rows = list(csv.DictReader((options.data / 'test' / 'orders.csv').open()))\nright = sum("
    scored = TRAIN.replace("right = sum(", "import time; time.sleep(0.2)\n" + scores)
    (world.training / "train.py").write_text(scored, "utf-8")
    world.reference("orders")
    world.aiko.datakeep("verify", "orders", "--sandbox", "none", cwd=world.keep)
    return world


@pytest.fixture(scope="module")
def policy(judged: World) -> dict:
    return judged.aiko.datakeep("audit", "--policy", "--json", cwd=judged.keep, code=3).data


@pytest.mark.parametrize("name", TRAININGS)
def test_the_order_decides_and_is_said(policy: dict, name: str) -> None:
    _, said, is_complaint = TRAININGS[name]
    complaints = [
        one for one in policy["complaints"] if f"{name}@v1" in one["models"] and "test" in one["kind"]
    ]
    scored = [one for one in policy["scored_after"] if one["model"] == f"{name}@v1"]
    assert (len(complaints), len(scored)) == ((1, 0) if is_complaint else (0, 1))
    assert said in (complaints or scored)[0]["what"]


def test_a_verified_training_that_scores_afterwards_is_no_complaint(policy: dict) -> None:
    assert [one["what"] for one in policy["scored_after"] if one["model"] == "orders@v1"] == [
        "test first opened after model.json was last changed"
    ]
    assert not [one for one in policy["complaints"] if "orders@v1" in one["models"] and "test" in one["kind"]]
    assert {one["runs_reading"] for one in policy["test_splits"]} == {len(TRAININGS) + 1}


def test_it_is_told_on_the_terminal(judged: World) -> None:
    shown = judged.aiko.datakeep("audit", "--policy", cwd=judged.keep, code=3).out
    assert "read a test split only after the model was written, which is no complaint:" in shown
    assert "- scored@v1: orders@v1, test first opened after model.bin was last changed; metrics.json" in shown
    shown = judged.aiko.datakeep("audit", "model:peeked", cwd=judged.keep).out
    assert "2 of 5 files read (test 1, train 1); test first opened before model.bin was last changed" in shown


def test_without_strace_or_in_an_older_record_nothing_is_claimed(judged: World, tmp_path: Path) -> None:
    judged.aiko.run("git", "clone", "-q", judged.keep, tmp_path / "clone")
    record = tmp_path / "clone/models/scored/v1.yaml"
    lines = record.read_text("utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if "opened_s:" in line)
    old = [
        line for n, line in enumerate(lines) if "written_s" not in line and n not in range(start, start + 3)
    ]
    place = tmp_path / "clone/models/older/v1.yaml"
    place.parent.mkdir()
    place.write_text("\n".join(old).replace("model: scored", "model: older") + "\n", "utf-8")
    judged.aiko.run("git", "add", "models", cwd=tmp_path / "clone")
    judged.aiko.run("git", "commit", "-qm", "an older record", cwd=tmp_path / "clone")
    done = judged.aiko.datakeep("audit", "--policy", "--json", cwd=tmp_path / "clone", code=3)
    (found,) = [
        one
        for one in json.loads(done.out)["complaints"]
        if "older@v1" in one["models"] and "test" in one["kind"]
    ]
    assert found["what"].endswith("to score or to train: nobody can tell")
