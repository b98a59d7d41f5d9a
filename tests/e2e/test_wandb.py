"""`datakeep record --from-wandb`: run folders that the real wandb wrote offline, and what is wrong with some."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tracker_programs import python_of

from datakeep.formats.model import ModelRecord
from datakeep.tracking.faults import DamagedRun
from datakeep.tracking.wandb_run import read_run

if TYPE_CHECKING:
    from world import Ran, World

    from datakeep.tracking.told import Told

PASSWORD = "Geheim-4711"
TRAIN = """\
import sys, pathlib, wandb
orders, given = sys.argv[1:3]
config = {
    "lr": 0.1, "net": {"depth": 3}, "seed": 7, "data_dir": given, "api_key": "abcdef", "text": "\\x1b[31mred",
    "database": "postgresql://u:Geheim-4711@h/db", "long": "x" * 100_000, "many": list(range(50_000)),
}
run = wandb.init(project="churn", name="first", config=config)
whole = wandb.Artifact("whole", type="dataset"); whole.add_dir(orders); run.log_artifact(whole)
part = wandb.Artifact("part", type="dataset"); part.add_file(f"{orders}/same-a.bin"); run.log_artifact(part)
pathlib.Path("mine.csv").write_text("mine")
other = wandb.Artifact("other-v2", type="dataset"); other.add_file("mine.csv"); run.log_artifact(other)
pathlib.Path("model.bin").write_text("model")
model = wandb.Artifact("churn-model", type="model"); model.add_file("model.bin"); run.log_artifact(model)
for step in range(3):
    run.log({"loss": 1 / (step + 1), "val": {"accuracy": step}})
run.config.update({"lr": 0.2}, allow_val_change=True)
run.summary["best"] = 0.9
run.summary["broken"] = float("nan")
run.finish(exit_code=int(sys.argv[3]))
"""
#: What only a run that was online records: offline, wandb refuses `use_artifact`. The messages are wandb's own.
ONLINE = """\
import struct, sys, zlib
from wandb.proto import wandb_internal_pb2 as pb
def framed(data, at):
    out, first = b"", True
    while True:
        left = 32768 - (at + len(out)) % 32768
        if left < 7:
            out += bytes(left); continue
        part, data = data[: left - 7], data[left - 7 :]
        kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not data]
        out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
        first = False
        if not data:
            return out
run = pb.Record(run=pb.RunRecord(run_id="abc", entity="corp", project="churn"))
run.run.git.remote_url, run.run.git.commit = "https://u:Geheim-4711@git.corp.example/churn.git", "a" * 40
used = pb.Record(use_artifact=pb.UseArtifactRecord(id="1", type="dataset", name="orders:v3"))
filler = pb.Record(output_raw=pb.OutputRawRecord(line="x" * 70_000))
failed = pb.Record(exit=pb.RunExitRecord(exit_code=3))
data = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
for record in (run, filler, used, filler, failed):
    data += framed(record.SerializeToString(), len(data))
open(sys.argv[1], "wb").write(data)
"""


class Made:
    """Run folders: a whole one, one that failed, one that was killed, one that was online."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        content = world.aiko.datakeep("show", "given", "--json", cwd=world.keep).data["entry"]["content"]
        self.given = f"/x/keep/.datakeep/given/given/{content.removeprefix('sha256:')}/data"
        self.whole, self.failed = self._train("whole", "0"), self._train("failed", "5")
        self.online = folder / "run-abc"
        (self.online / "files").mkdir(parents=True)
        said = {
            "program": "/x/train.py",
            "args": ["--token=abcdef", "--lr", "0.1"],
            "gpu": "NVIDIA A100",
            "os": "Linux",
        }
        (self.online / "files" / "wandb-metadata.json").write_text(
            json.dumps(said | {"git": {"commit": "b" * 40}})
        )
        self._python("-c", ONLINE, str(self.online / "run-abc.wandb"), cwd=folder)

    def _train(self, name: str, code: str) -> Path:
        place = self.folder / name
        place.mkdir()
        (place / "train.py").write_text(TRAIN)
        self._python("train.py", str(self.world.orders), self.given, code, cwd=place)
        return place / "wandb" / "latest-run"

    def _python(self, *arguments: str, cwd: Path) -> None:
        python = python_of("wandb")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "WANDB_MODE": "offline",
            "PYTHONUTF8": "1",
        }
        done = subprocess.run(
            [str(python), *arguments],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr

    def take(self, model: str, *options: str | Path, code: int = 0) -> Ran:
        return self.world.aiko.datakeep("record", model, *options, cwd=self.world.keep, code=code)

    def record(self, model: str) -> ModelRecord:
        path = self.world.keep / "models" / model / "v1.yaml"
        return ModelRecord.read(path.read_bytes(), what=path.name)


@pytest.fixture(scope="module")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> Made:
    world.register("orders", "git")
    own = world.aiko.cwd / "own"
    own.mkdir()
    (own / "own.csv").write_text("id\n1\n")
    world.orders, orders = own, world.orders
    world.register("given", "dvc")
    world.orders = orders
    return Made(world, tmp_path_factory.mktemp("runs"))


def test_an_offline_run_becomes_a_record_by_the_bytes_that_it_names(made: Made) -> None:
    model = made.whole.parents[1] / "model.bin"
    ran = made.take("whole", model, "--from-wandb", made.whole)
    record = made.record("whole")
    because = {f"{one.dataset}@{one.version}": (one.how, str(one.because)) for one in record.inputs}
    assert set(because) == {"orders@v1", "given@v1"}
    assert because["orders@v1"] == (
        "declared",
        "W&B: its stored dataset artifact whole lists the bytes of all 5 files of this version",
    )
    assert "config data_dir lies in the folder that datakeep gave this content id" in because["given@v1"][1]
    assert any("whether whole went into the model: the run stored it" in line for line in record.unknown)
    [other] = record.undeclared
    assert (other["path"], other.get("guess")) == ("other-v2", None)
    assert record.metrics == {"loss": "0.3333333333333333", "val.accuracy": "2", "best": "0.9"}
    assert (record.parameters["lr"], record.parameters["net"], record.seeds) == (
        0.2,
        {"depth": 3},
        {"seed": "7"},
    )
    assert (record.parameters["api_key"], record.parameters["text"]) == ("(withheld)", "\\x1b[31mred")
    assert len(record.parameters["long"]) == 1000
    assert len(record.parameters["many"]) == 1000
    assert (record.origin, record.status, record.exit_code) == ("wandb", "completed", 0)
    assert record.command[1:3] == [str(made.world.orders), made.given]
    assert (record.tracked.tracker, record.tracked.name, record.tracked.experiment) == (
        "wandb",
        "first",
        "churn",
    )
    assert record.environment.python is not None
    assert record.environment.package_count > 20
    assert not any("whether model.bin is of this run" in line for line in record.unknown)  # its md5 is there
    audit = made.world.aiko.datakeep("audit", model, cwd=made.world.keep).out
    assert "declared by W&B, recorded by aiko@corp.example; nothing was observed" in audit
    history = made.world.aiko.run("git", "log", "-p", "--all", cwd=made.world.keep).out
    for text in (ran.out, ran.err, audit, history):
        assert PASSWORD not in text
        assert "\x1b" not in text


def test_a_file_of_other_bytes_is_doubted_and_a_failed_run_is_failed(made: Made, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_text("another")
    said = made.take("failed", tmp_path / "model.bin", "--from-wandb", made.failed).out
    record = made.record("failed")
    assert "model failed@v1 FAILED (exit code 5)" in said
    assert (record.status, record.exit_code) == ("failed", 5)
    assert "whether model.bin is of this run: the run has model.bin, of other bytes" in record.unknown


def test_what_an_online_run_used_is_known_by_name_only_and_so_a_guess(made: Made) -> None:
    made.take("online", "--from-wandb", made.online)
    record = made.record("online")
    assert record.inputs == []
    [used] = record.undeclared
    assert (used["path"], used["named"]) == ("orders:v3", "W&B as used dataset artifact")
    assert used["guess"].startswith("the name is like that of the dataset orders; nothing else")
    assert (record.code.url, record.code.commit) == ("https://u@git.corp.example/churn.git", "a" * 40)
    assert (record.status, record.exit_code, record.tracked.experiment) == ("failed", 3, "corp/churn")
    assert record.command == ["/x/train.py", "--token=(withheld)", "--lr", "0.1"]  # of wandb-metadata.json
    assert (record.environment.gpu, "gpu" in record.unknown) == ("NVIDIA A100", False)


def test_a_run_that_was_killed_says_that_its_end_is_missing(made: Made, tmp_path: Path) -> None:
    cut = _copy(made.whole, tmp_path)
    log = next(cut.glob("*.wandb"))
    log.write_bytes(log.read_bytes()[:-60])
    made.take("cut", "--from-wandb", cut)
    record = made.record("cut")
    assert record.status is None
    assert "how the run ended: it recorded no end" in record.unknown
    assert any("ends in the middle of a record" in line for line in record.unknown)
    assert [one.dataset for one in record.inputs] == ["orders", "given"]


def _copy(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run.resolve(), folder / run.resolve().name))


def test_damage_anywhere_is_one_clear_error_or_changes_nothing(made: Made, tmp_path: Path) -> None:
    run = _copy(made.whole, tmp_path)
    log = next(run.glob("*.wandb"))
    data, whole = log.read_bytes(), read_run(run)
    assert len(data) > 100_000  # several blocks, and records that go on in the next
    refused = 0
    for at in [*range(0, 400, 7), *range(400, len(data), len(data) // 60)]:
        log.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        refused += not _same_or_refused(run, whole)
    assert refused > 100
    for size in [*range(0, 300, 11), *range(300, len(data), len(data) // 60)]:
        log.write_bytes(data[:size])
        assert _is_refused(run) or read_run(run).unknown


def _is_refused(run: Path) -> bool:
    try:
        read_run(run)
    except DamagedRun as error:
        return str(run) in error.what
    return False


def _same_or_refused(run: Path, whole: Told) -> bool:
    """False if it was refused; damage that goes unseen must not change what is told, but for a missing end."""
    try:
        told = read_run(run)
    except DamagedRun:
        return False
    assert told.parameters == whole.parameters or told.unknown
    return True


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: None, "does not exist"),
        (lambda folder: folder.write_text("x"), "is no folder"),
        (lambda folder: folder.mkdir(), "it has no .wandb files"),
        (
            lambda folder: (folder / "offline-run-1").mkdir(parents=True),
            "is no run folder itself; it has offline-run-1",
        ),
        (
            lambda folder: (folder.mkdir(), (folder / "a.wandb").write_bytes(b"")),
            "a.wandb is empty",
        ),
        (
            lambda folder: (folder.mkdir(), (folder / "a.wandb").write_bytes(b"no log")),
            "does not begin as a .wandb file",
        ),
        (
            lambda folder: (folder.mkdir(), (folder / "a.wandb").write_bytes(b":W&B\xe1\xbe\0")),
            "its .wandb file names none",
        ),
    ],
)
def test_what_is_no_run_folder_is_refused(made: Made, tmp_path: Path, make: object, says: str) -> None:
    folder = tmp_path / "run"
    make(folder)  # type: ignore[operator]
    ran = made.take("nothing", "--from-wandb", folder, code=14)
    assert says in ran.err
    assert ran.err.count("error:") == 1
    assert not (made.world.keep / "models/nothing").exists()
