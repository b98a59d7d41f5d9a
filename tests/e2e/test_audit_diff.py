"""``audit --diff``: of two models, every thing that was changed is named, and what is not known is never "same"."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from seen import Quick
from world import FACTS, LOCK, Ran, commit_files

if TYPE_CHECKING:
    from pathlib import Path

TRAIN = """\
import argparse, csv, json, pathlib
parser = argparse.ArgumentParser()
for name in ("data", "out", "lr", "seed"):
    parser.add_argument(f"--{name}")
options = parser.parse_args()
with (pathlib.Path(options.data) / "train" / "a.csv").open() as file:
    rows = list(csv.DictReader(file))
out = pathlib.Path(options.out)
(out / "model.json").write_text(json.dumps({"rows": len(rows), "lr": options.lr, "seed": options.seed}))
(out / "metrics.json").write_text(json.dumps({"accuracy": 0.5 + len(rows) / 100 + float(options.lr)}))
"""


@dataclass
class Runs:
    """A keep, code in git, and the trainings that were run with it."""

    world: object
    calls: Quick
    code: Path

    def run(self, model, version, *, lr="0.1", seed="1", extra=None):
        """A training, recorded."""
        person = self.world.aiko
        out = person.cwd / f"out-{len(list(person.cwd.glob('out-*')))}"
        person.extra |= extra or {}
        person.datakeep(
            "run", "--model", model, "--uses", f"tab@{version}", "--out", out, "--", "python", self.code / "train.py",
            "--data", "{data}", "--out", "{out}", "--lr", lr, "--seed", seed, cwd=self.world.keep,
        )  # fmt: skip
        for name in extra or {}:
            del person.extra[name]
        return out

    def diff(self, old, new, *argv, code=3):
        return self.calls.datakeep(
            "audit", "--diff", old, new, *argv, "--json", cwd=self.world.keep, code=code
        ).data

    def shown(self, old, new, code=3):
        return self.calls.datakeep("audit", "--diff", old, new, cwd=self.world.keep, code=code).out

    def commit(self, files):
        """Put records and other files into the keep, behind its back."""
        commit_files(self.world.aiko, self.world.keep, files)

    def stored(self, reference):
        """The record of a model, as it lies in the keep."""
        return self.calls.datakeep("audit", f"model:{reference}", "--json", cwd=self.world.keep).data[
            "model"
        ]["record"]


@pytest.fixture(scope="module")
def runs(new_world):
    world = new_world()
    aiko, keep = world.aiko, world.keep
    code = aiko.cwd / "code"
    code.mkdir()
    (code / "train.py").write_text(TRAIN)
    for argv in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "one")):
        aiko.run("git", *argv, cwd=code)
    data = aiko.cwd / "tab"
    for split in ("train", "test"):
        (data / split).mkdir(parents=True)
        (data / split / "a.csv").write_text("id,amount\n1,2\n2,3\n3,4\n")
    (aiko.cwd / "m.yaml").write_text(
        "splits:\n  train: [data/train/**]\n  test: [data/test/**]\n"
        "columns: [{name: id, type: int64, key: true}, {name: amount, type: int64}]\n"
    )
    manifest = ("--manifest", aiko.cwd / "m.yaml", *FACTS)
    aiko.datakeep("register", "tab", data, "--backend", "dvc", *manifest, cwd=keep)
    (data / "test" / "a.csv").write_text("id,amount\n9,9\n")
    aiko.datakeep("update", "tab", data, "-m", "another test split", cwd=keep)
    (data / "train" / "a.csv").write_text("id,amount\n1,2\n2,30\n4,5\n5,6\n")
    aiko.datakeep("update", "tab", data, "-m", "other orders", cwd=keep)
    calls = Quick(aiko, Ran, preload=("datakeep.workflows.audit_diff", "datakeep.extract.compare"))
    found = Runs(world, calls, code)
    found.run("churn", "v1")
    found.run("churn", "v1")
    found.run("churn", "v2")
    found.run("churn", "v3")
    (code / "train.py").write_text(TRAIN + "# more\n")
    found.run("churn", "v3", lr="0.2", extra={"OMP_NUM_THREADS": "3"})
    aiko.run("git", "commit", "-qam", "two", cwd=code)
    found.run("churn", "v3", lr="0.2", seed="2")
    yield found
    calls.close()


def test_the_same_training_twice_is_0_and_says_so(runs):
    data = runs.diff("churn@v1", "model:churn@v2", code=0)
    assert (data["same"], data["changed"]) == (True, [])
    assert data["metrics"]["accuracy"] == {"old": "0.63", "new": "0.63", "difference": "0.00"}
    shown = runs.shown("churn@v1", "churn@v2", code=0)
    assert "same: nothing that is recorded differs" in shown
    assert "data: same (tab@v1; files read: 1 of 2, train 1)" in shown
    assert runs.shown("churn@v1", "model:churn@v1", code=0).splitlines()[-1] == "the same record"


def test_a_new_version_of_which_the_same_bytes_were_read_is_no_cause(runs):
    data = runs.diff("churn@v2", "churn@v3", code=0)
    assert data["changed"] == []
    assert data["sections"]["data"]["same"] == [
        "tab@v1 → tab@v2, but what was read of them has the same bytes: 1 of 2, train 1"
    ]


def test_one_thing_changed_is_told_to_the_row(runs):
    data = runs.diff("churn@v3", "churn@v4")
    assert data["changed"] == ["data"]
    (dataset,) = data["sections"]["data"]["datasets"]
    assert (dataset["old"], dataset["new"]) == (["v2"], ["v3"])
    assert dataset["files"] == {"added": 0, "removed": 0, "changed": 1}
    rows = {name: dataset["rows"][name] for name in ("by", "keys", "added", "removed", "changed")}
    assert rows == {"by": "key", "keys": ["id"], "added": 2, "removed": 1, "changed": 1}
    shown = runs.shown("churn@v3", "churn@v4")
    for words in (
        "one thing changed: data", "rows by id: 2 added, 1 removed, 1 changed", "accuracy  0.63  →  0.64  (+0.01)",
        "next: datakeep diff tab@v2 tab@v3",
    ):  # fmt: skip
        assert words in shown, words
    assert "do not tell which" not in shown


def test_three_things_changed_is_said_so(runs):
    data = runs.diff("churn@v4", "churn@v5")
    assert data["changed"] == ["code", "parameters", "environment"]
    assert data["sections"]["environment"]["OMP_NUM_THREADS"] == {"old": "not set", "new": "3"}
    assert data["sections"]["parameters"]["lr"] == {"old": "0.1", "new": "0.2"}
    shown = runs.shown("churn@v4", "churn@v5")
    assert "three things changed: code, parameters, environment" in shown
    assert "so these two do not tell which of them moved the metrics" in shown
    assert "changes that were not committed: none → models/churn/v5/uncommitted.diff" in shown
    data = runs.diff("churn@v1", "churn@v6")
    assert data["changed"] == ["data", "code", "parameters", "seeds"]
    assert data["sections"]["seeds"]["seed"] == {"old": "1", "new": "2"}


def test_a_model_is_found_by_its_file_and_an_unknown_one_is_exit_11(runs):
    out = runs.world.aiko.cwd / "out-5" / "model.json"
    assert runs.diff("churn@v4", out)["new"] == "churn@v6"
    assert runs.diff("churn@v4", out)["same_file"] == {"old": [], "new": []}
    copied = runs.world.aiko.cwd / "out-0" / "model.json"  # of three trainings, the newest of which is taken
    data = runs.diff(copied, "churn@v4")
    assert (data["old"], data["same_file"]["old"]) == ("churn@v3", ["churn@v1", "churn@v2"])
    said = "other records have the same file as churn@v3: churn@v1, churn@v2; name one of them to compare it"
    assert said in runs.shown(copied, "churn@v4")
    for wrong in ("chrn@v1", "churn@v99", "nothing.bin", runs.code / "train.py"):
        runs.calls.datakeep("audit", "--diff", "churn@v1", wrong, cwd=runs.world.keep, code=11)
    runs.calls.datakeep("audit", "--diff", "churn@v1", cwd=runs.world.keep, code=2)
    runs.calls.datakeep("audit", "--diff", "--policy", cwd=runs.world.keep, code=2)


def packages(record, names):
    text = "".join(f"{one}\n" for one in names)
    record["environment"] |= {
        "packages": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}", "package_count": len(names),
    }  # fmt: skip
    return text


def test_packages_are_compared_by_name_where_the_keep_has_their_list(runs):
    one, other, lost = (runs.stored("churn@v1") | {"model": name} for name in ("one", "other", "lost"))
    texts = [packages(one, ["numpy==1.0", "torch==2.0"]), packages(other, ["numpy==1.1", "jax==3"])]
    packages(lost, ["numpy==2.0"])
    runs.commit({
        "models/one/v1.yaml": json.dumps(one), "models/one/v1/packages.txt": texts[0],
        "models/other/v1.yaml": json.dumps(other), "models/other/v1/packages.txt": texts[1],
        "models/lost/v1.yaml": json.dumps(lost), "models/lost/v1/packages.txt": "forged==1\n",
    })  # fmt: skip
    data = runs.diff("one", "other")
    assert data["changed"] == ["environment"]
    assert data["sections"]["environment"]["packages"] == ["+ jax 3", "- torch 2.0", "~ numpy 1.0 → 1.1"]
    lines = runs.diff("one", "lost")["sections"]["environment"]["changed"]
    assert lines == ["packages: 2 → 1; which, the keep does not tell"], "a list with another digest is none"


def test_what_a_verification_was_locked_to_is_read_from_its_lock(runs):
    runs.world.register("proof")
    runs.world.reference("proof")
    entry = runs.calls.datakeep("show", "proof@v2", "--json", cwd=runs.world.keep).data["entry"]
    given = {name: entry[name] for name in ("dataset", "version", "commit", "content")} | {"how": "given"}
    lock = f"sha256:{hashlib.sha256(LOCK.encode()).hexdigest()}"
    verified = runs.stored("churn@v1") | {"origin": "verification", "inputs": [given], "model": "verified"}
    verified["environment"] = {"kind": "uv", "lock": lock}
    ran = runs.stored("churn@v1") | {"model": "ran"}
    text = packages(ran, ["numpy==1.0", "reference==1"])
    runs.commit({
        "models/verified/v1.yaml": json.dumps(verified),
        "models/ran/v1.yaml": json.dumps(ran), "models/ran/v1/packages.txt": text,
    })  # fmt: skip
    data = runs.diff("verified", "ran")
    assert data["sections"]["environment"]["packages"] == ["+ numpy 1.0"]
    assert "which files of proof verified@v1 read" not in json.dumps(data["sections"]["data"]["same"])


def test_what_is_not_known_of_one_is_said_and_never_the_same(runs):
    data = {
        name: runs.stored("churn@v1")["inputs"][0][name]
        for name in ("dataset", "version", "commit", "content")
    }
    bare = {
        "format": "datakeep/model/1", "model": "bare", "version": "v1", "inputs": [data | {"how": "declared"}],
        "artifacts": [], "code": {}, "command": [], "environment": {"kind": "unknown"}, "resources": {},
        "origin": "declared", "metrics": {"accuracy": "0.9", "auc": "high"},
    }  # fmt: skip
    runs.commit({"models/bare/v1.yaml": json.dumps(bare)})
    found = runs.diff("churn@v1", "bare")
    assert (found["same"], found["changed"]) == (False, [])
    unknown = [line for section in found["sections"].values() for line in section["unknown"]]
    for words in ("which files of tab bare@v1 read", "commit: ", "python: ", "parameters and command of bare@v1",
                  "what else bare@v1 read: nobody saw it"):  # fmt: skip
        assert any(words in line for line in unknown), words
    assert found["metrics"]["auc"] == {"old": None, "new": "high", "difference": None}
    shown = runs.shown("churn@v1", "bare")
    assert "nothing that is known of both changed, and yet the metrics differ" in shown
    assert "not known, and so perhaps changed too:" in shown
    # Of two that nobody observed, nothing is known to differ.
    runs.commit({"models/bare/v2.yaml": json.dumps(bare | {"version": "v2"})})
    found = runs.diff("bare@v1", "bare@v2", code=4)
    assert (found["same"], found["known"]) == (False, False)


def test_added_and_removed_datasets_and_base_models(runs):
    runs.world.register("other-data", "git")
    entry = runs.calls.datakeep("show", "other-data@v1", "--json", cwd=runs.world.keep).data["entry"]
    given = {name: entry[name] for name in ("dataset", "version", "commit", "content")} | {"how": "given"}
    record = runs.stored("churn@v1")
    more = record | {"model": "more", "inputs": [*record["inputs"], given], "base_models": ["churn@v1"]}
    more["undeclared"] = [{"path": "/x.csv", "sha256": "0" * 64, "size_bytes": 1}]
    runs.commit({"models/more/v1.yaml": json.dumps(more)})
    data = runs.diff("churn@v1", "more")
    assert data["changed"] == ["data", "base models"]
    assert data["sections"]["data"]["changed"] == [
        "other-data@v1 is new",
        "undeclared inputs: 1 that only more@v1 read (/x.csv), 0 that only churn@v1 did",
    ]
    assert data["sections"]["base models"]["changed"] == ["base models: none → churn@v1"]
    back = runs.diff("more", "churn@v1")["sections"]["data"]["changed"]
    assert back[0] == "other-data@v1 is no longer given"


def test_a_clone_says_what_it_cannot_compare_until_it_fetches(runs):
    ken = runs.world.ken
    runs.world.aiko.run("git", "push", "-q", cwd=runs.world.keep)
    ken.run("git", "clone", "-q", runs.world.vault / "git" / "keeps" / "keep.git", "theirs", cwd=ken.cwd)
    argv = ("audit", "--diff", "churn@v3", "churn@v4")
    data = ken.datakeep(*argv, "--json", cwd=ken.cwd / "theirs", code=3).data
    assert data["changed"] == ["data"]
    assert "not compared, its repository is not on this machine" in data["sections"]["data"]["unknown"][0]
    shown = ken.datakeep(*argv, cwd=ken.cwd / "theirs", code=3).out
    assert "next: datakeep audit --diff churn@v3 churn@v4 --fetch" in shown
    data = ken.datakeep(*argv, "--fetch", "--json", cwd=ken.cwd / "theirs", code=3).data
    assert data["sections"]["data"]["datasets"][0]["rows"]["changed"] == 1
    assert data["sections"]["data"]["unknown"] == []


def test_damaged_bytes_are_not_compared(runs):
    data = b"id,amount\n1,2\n2,30\n4,5\n5,6\n"
    md5 = hashlib.md5(data).hexdigest()
    place = runs.world.vault / "data" / "tab" / "files" / "md5" / md5[:2] / md5[2:]
    place.chmod(0o644)
    place.write_bytes(data.replace(b"30", b"31"))
    given = list((runs.world.keep / ".datakeep" / "given").rglob("a.csv"))
    for one in given:
        one.parent.chmod(0o755)
        one.unlink()
    try:
        found = runs.diff("churn@v3", "churn@v4")["sections"]["data"]
        assert found["datasets"][0]["rows"] is None
        assert "damaged in store main: other bytes than were registered" in found["unknown"][0]
    finally:
        place.write_bytes(data)


def test_the_same_folder_and_the_same_script_by_other_names_are_no_change(runs):
    aiko, keep = runs.world.aiko, runs.world.keep
    aiko.run("cp", "-r", runs.code, "elsewhere", cwd=aiko.cwd)
    aiko.datakeep(
        "run", "--model", "placed", "--uses", "tab@v3", "--out", aiko.cwd / "placed-1", "--", "python",
        runs.code / "train.py", "--data", "{data}", "--out", "{out}", "--lr", "0.2", "--seed", "2", cwd=keep,
    )  # fmt: skip
    aiko.datakeep(
        "-C", keep, "run", "--model", "placed", "--uses", "tab@v3", "--out", aiko.cwd / "placed-2", "--", "python3",
        "train.py", "--data", "{tab}", "--out", "{out}", "--lr", "0.2", "--seed", "2", cwd=aiko.cwd / "elsewhere",
    )  # fmt: skip
    data = runs.diff("placed@v1", "placed@v2", code=0)
    assert (data["same"], data["changed"]) == (True, [])
    # Another variable for the same folder; the same bytes as another dataset; undeclared files elsewhere.
    record = runs.stored("placed@v2")
    shell = {
        **record, "version": "v3", "parameters": {**record["parameters"], "data": "${DATAKEEP_DATA_TAB}"},
        "command": ["$DATAKEEP_DATA_TAB" if word == "{tab}" else word for word in record["command"]],
    }  # fmt: skip
    renamed = {
        **record,
        "version": "v4",
        "inputs": [{**record["inputs"][0], "dataset": "table", "version": "v1"}],
    }
    renamed["command"] = ["{table}" if word == "{tab}" else word for word in record["command"]]
    renamed["parameters"] = {**record["parameters"], "data": "{table}"}
    strays = [
        {**record, "version": f"v{number}", "undeclared": [{"path": f"/{folder}/a.csv", "sha256": "0" * 64}]}
        for number, folder in ((5, "one"), (6, "two"))
    ]
    runs.commit(
        {f"models/placed/{one['version']}.yaml": json.dumps(one) for one in (shell, renamed, *strays)}
    )
    assert runs.diff("placed@v2", "placed@v3")["same"]  # exit code 3: these records lack their lists
    assert runs.diff("placed@v5", "placed@v6")["same"]
    found = runs.diff("placed@v2", "placed@v4")
    assert found["changed"] == []
    assert "tab@v3 and table@v1 have the same bytes" in found["sections"]["data"]["same"]
    # A script of another name is another one.
    other = {
        **record,
        "version": "v7",
        "command": [w.replace("train.py", "tune.py") for w in record["command"]],
    }
    runs.commit({"models/placed/v7.yaml": json.dumps(other)})
    assert runs.diff("placed@v2", "placed@v7")["changed"] == ["parameters"]
