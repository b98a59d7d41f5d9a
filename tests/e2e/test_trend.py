"""``trend``: a real training on each version; spoiled labels are flagged, growth and chance are not (L26)."""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from world import FACTS

import datakeep

if TYPE_CHECKING:
    from collections.abc import Callable

    from world import World

SVG = "{http://www.w3.org/2000/svg}"
TRAIN = '''\
"""A random forest on all parts of the training split, measured on the test split."""

import argparse, csv, json, os, pathlib

from sklearn.ensemble import RandomForestClassifier

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=pathlib.Path)
parser.add_argument("--out", type=pathlib.Path)
options = parser.parse_args()


def read(pattern):
    rows = [row for file in sorted(options.data.glob(pattern)) for row in csv.DictReader(file.open())]
    return [[float(row["x"]), float(row["y"])] for row in rows], [row["late"] for row in rows]


seed = int(os.environ.get("DATAKEEP_SEED", "0"))
forest = RandomForestClassifier(n_estimators=25, max_depth=6, random_state=seed).fit(*read("train/*.csv"))
metrics = {"accuracy": forest.score(*read("test/*.csv"))}
(options.out / "model.json").write_text("{}")
(options.out / "metrics.json").write_text(json.dumps(metrics))
'''


def write_part(file: Path, count: int, seed: int, *, wrong: float) -> None:
    """Rows of two classes that lie in different places; of a share of them the label is wrong."""
    chance = random.Random(seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as target:
        rows = csv.writer(target)
        rows.writerow(["x", "y", "late"])
        for _ in range(count):
            late = chance.random() < 0.5
            x, y = chance.gauss(1.2 if late else 0, 1), chance.gauss(1.2 if late else 0, 1)
            told = late != (chance.random() < wrong)
            rows.writerow([f"{x:.4f}", f"{y:.4f}", "yes" if told else "no"])


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    """v1 and v2 (which states the training) have the same data, v3 more of it, v4 as much again with wrong labels."""
    world = new_world()
    aiko, data = world.aiko, world.aiko.cwd / "points"
    code = world.training
    sample = Path(datakeep.__file__).parent / "samples" / "penguins" / "reference"
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(sample / name, code / name)
    (code / "train.py").write_text(TRAIN)
    write_part(data / "train" / "part-1.csv", 150, 1, wrong=0.02)
    write_part(data / "test" / "all.csv", 400, 2, wrong=0)
    manifest = aiko.cwd / "splits.yaml"
    manifest.write_text("splits: {train: [data/train/**], test: [data/test/**]}\n")
    task = ("--target", "late", "--metric", "accuracy", "--manifest", manifest)
    aiko.datakeep("register", "points", data, "--backend", "git", *task, *FACTS, cwd=world.keep)
    aiko.datakeep(
        "reference", "points", "--code", code, "--command", "python train.py --data {data} --out {out}",
        "--expect", "accuracy=0.8±0.02", "--baseline", "accuracy=0.5", cwd=world.keep,
    )  # fmt: skip
    write_part(data / "train" / "part-2.csv", 150, 3, wrong=0.02)
    aiko.datakeep("update", "points", data, "-m", "October added", cwd=world.keep)
    write_part(data / "train" / "part-3.csv", 320, 4, wrong=0.9)
    aiko.datakeep("update", "points", data, "-m", "labels by the new vendor", cwd=world.keep)
    return world


def asked(world: World, *args: str | Path, code: int = 0) -> dict[str, Any]:
    return world.aiko.datakeep("trend", *args, "--json", cwd=world.keep, code=code).data


def test_a_version_with_spoiled_labels_is_flagged_with_what_changed(world: World, tmp_path: Path) -> None:
    before = world.aiko.run("git", "rev-parse", "HEAD", cwd=world.keep).out
    ran = world.aiko.datakeep("trend", "points", "--plot", tmp_path / "p.svg", cwd=world.keep, code=3)
    assert "DROP at v4" in ran.out
    for said in (
        "its message: labels by the new vendor", "since v3: 1 file added", "+ train/part-3.csv",
        "rows, as wholes (no key is stated): 320 added, 0 removed",
        "split train: 2 → 3 files", "next: datakeep diff points@v3 points@v4", "same data as v1",
    ):  # fmt: skip
        assert said in ran.out, said
    assert ran.out.count("DROP at") == 1
    assert world.aiko.run("git", "rev-parse", "HEAD", cwd=world.keep).out == before
    assert world.aiko.run("git", "status", "--porcelain", cwd=world.keep).out == ""
    texts = [one.text for one in ET.parse(tmp_path / "p.svg").iter(f"{SVG}text")]
    assert {"v1", "v3", "v4", "version", "size of the data", "trivial model"} <= set(texts)
    assert any(text and text.startswith("DROP ") for text in texts)

    again = asked(world, "points", code=3)
    assert (again["trained"], again["drops"], again["metric"]) == (0, ["v4"], "accuracy")
    assert again["noise_runs"] == 3
    v1, v2, v3, v4 = again["versions"]
    assert (v2["same_data_as"], v2["value"], v2["content"]) == ("v1", v1["value"], v1["content"])
    assert float(v4["value"]) < float(v4["limit"]) <= min(float(v1["value"]), float(v3["value"]))
    assert float(v4["trivial"]) == pytest.approx(0.5, abs=0.1)
    assert v4["changed"]["files"]["added"] == ["train/part-3.csv"]
    assert v4["changed"]["by_row"] == "rows, as wholes (no key is stated): 320 added, 0 removed"
    assert v4["changed"]["splits"] == {"train": [2, 3]}
    assert [len(one["runs"]) for one in again["versions"]] == [1, 1, 1, 3]


def test_growth_and_chance_are_no_drop(world: World, tmp_path: Path) -> None:
    found = asked(world, "points@v3", "--repeat", "1", "--plot", tmp_path / "p.png")
    assert (found["drops"], found["reference"], len(found["versions"])) == ([], "v3", 3)
    assert found["noise"] is None  # nothing was repeated, and it says so
    with Image.open(tmp_path / "p.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1350, 630))
        assert len(picture.convert("RGB").getcolors(2**20)) > 50
    assert all(one["limit"] is None or not one["drop"] for one in found["versions"])


# ---- everything else, on a training that costs nothing


PLAIN = '''\
"""The share of rows that are late, as if it were a score; waits where the data says so."""

import argparse, csv, json, pathlib, time

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=pathlib.Path)
parser.add_argument("--out", type=pathlib.Path)
options = parser.parse_args()
if (options.data / "wait").exists():
    time.sleep(300)
with (options.data / "train" / "orders.csv").open() as file:
    late = [row["late"] == "yes" for row in csv.DictReader(file)]
metrics = {"score": sum(late) / len(late), "rmse": 1 - sum(late) / len(late)}
(options.out / "model.json").write_text("{}")
(options.out / "metrics.json").write_text(json.dumps(metrics))
'''


@pytest.fixture(scope="module")
def plain(new_world: Callable[..., World]) -> World:
    """v1 and v2 have the same data, v3 better labels, v4 worse ones, v5 cannot be read, v6 takes for ever."""
    world = new_world()
    aiko, rows = world.aiko, world.orders / "train" / "orders.csv"
    (world.training / "train.py").write_text(PLAIN)
    world.register("orders", "git")
    world.reference("orders", "--expect", "score=0.75±0.01", "--baseline", "score=0.5")

    def update(why: str) -> None:
        aiko.datakeep("update", "orders", world.orders, "-m", why, cwd=world.keep)

    text = rows.read_text()
    rows.write_text(text.replace("no", "yes", 2))
    update("two labels corrected")
    rows.write_text(text.replace("yes", "no", 15))
    update("labels by the new vendor")
    rows.write_text(text.replace("late", "too_late"))
    update("another column name")
    rows.write_text(text)
    (world.orders / "wait").write_text("")
    update("a file more")
    return world


def test_a_metric_that_is_not_reported_is_refused_at_once(plain: World) -> None:
    def said(metric: str) -> str:
        args = ("trend", "orders@v4", "--metric", metric, "--versions", "v3..")
        return plain.aiko.datakeep(*args, cwd=plain.keep, code=2).err

    refused = said("scor")
    assert "did you mean 'score'? It states accuracy, score" in refused
    assert "training on" not in refused
    stopped = said("f1")
    assert "it reports score, rmse" in stopped
    assert stopped.count("training on") == 1
    shutil.rmtree(plain.keep / ".datakeep" / "trend")


def test_which_versions_and_which_metric(plain: World) -> None:
    found = asked(plain, "orders@v4", code=3)
    assert (found["metric"], found["drops"], float(found["noise"])) == ("score", ["v4"], 0)
    assert found["noise_runs"] == 2  # the second run, with another seed, gave exactly the same: no third
    assert found["trained"] == 4
    for args, drops in (
        (("--metric", "rmse"), ["v4"]), (("--metric", "rmse", "--higher-is-better"), ["v3"]),
        (("--margin", "0.9"), []), (("--versions", "v4.."), []), (("--versions", "v1,v3", "--repeat", "1"), []),
    ):  # fmt: skip
        again = asked(plain, "orders@v4", *args, code=3 if drops else 0)
        assert (again["drops"], again["trained"]) == (drops, 0), args
    said = plain.aiko.datakeep("trend", "orders@v4", "--metric", "f1", cwd=plain.keep, code=2).err
    assert "it reports score, rmse" in said
    said = plain.aiko.datakeep("trend", "orders@v4", "--versions", "v2..v9", cwd=plain.keep, code=2).err
    assert "orders has no version v9 up to v4; it has v1, v2, v3, v4" in said
    for options in (("--versions", "v9"), ("--versions", "1-3"), ("--margin", "much"), ("--plot", "x.gif")):
        plain.aiko.datakeep("trend", "orders@v4", *options, cwd=plain.keep, code=2)


def test_a_version_that_cannot_be_trained_is_a_row_of_its_own(plain: World) -> None:
    ran = plain.aiko.datakeep("trend", "orders@v5", cwd=plain.keep, code=3)
    assert "v5 could not be trained: " in ran.out
    assert "DROP at v4" in ran.out
    found = asked(plain, "orders@v5", "--versions", "v1..v3,v5", code=3)
    assert (found["drops"], found["noise"], found["versions"][-1]["value"]) == ([], None, None)
    assert "exit code 1" in found["versions"][-1]["failed"]
    shown = plain.aiko.datakeep("trend", "orders@v5", "--versions", "v3,v5", cwd=plain.keep, code=3).out
    assert "next: datakeep verify orders@v5" in shown


def test_interrupted_it_keeps_what_it_has_trained(plain: World) -> None:
    kept = plain.keep / ".datakeep" / "trend"
    shutil.rmtree(kept)
    process = plain.aiko.start("trend", "orders", "--versions", "v3,v6", cwd=plain.keep)
    while not (kept.is_dir() and list(kept.glob("*.json"))):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "what was trained to its end is kept" in error
    assert asked(plain, "orders", "--versions", "v3", "--repeat", "1")["trained"] == 0


def test_a_spoiled_result_that_was_kept_is_trained_again(plain: World) -> None:
    for file in (plain.keep / ".datakeep" / "trend").glob("*.json"):
        file.write_text('{"metrics": {"score": "NaN"}, "trivial": {}}')
    assert asked(plain, "orders", "--versions", "v3", "--repeat", "1")["trained"] == 1


def test_without_a_training_there_is_no_trend(plain: World) -> None:
    plain.register("bare", "git")
    said = plain.aiko.datakeep("trend", "bare", cwd=plain.keep, code=13).err
    assert "datakeep reference bare" in said
    plain.aiko.datakeep("trend", "nothing", cwd=plain.keep, code=11)
    (plain.training / "train.py").write_text("raise SystemExit(4)\n")
    plain.reference("bare")
    said = plain.aiko.datakeep("trend", "bare", cwd=plain.keep, code=30).err
    assert "no version of bare could be trained" in said
    assert "datakeep verify bare@v2" in said
