"""`datakeep.training`: the record of a run, from within a script."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from datakeep.formats.model import ModelRecord

if TYPE_CHECKING:
    from pathlib import Path

    from world import Ran, World

HEAD = """\
import datakeep, multiprocessing, os, subprocess, sys
READER = "import sys; open(sys.argv[1]).read()"
def read(path):
    return open(path).read()
early = open("early.csv").read()
"""


@pytest.fixture(scope="module")
def registered(world: World) -> World:
    world.register("orders", "git")
    world.aiko.datakeep("update", "orders", "--license", "MIT", "-m", "a second version", cwd=world.keep)
    return world


class Script:
    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        folder.mkdir()
        for name in ("early", "mine"):
            (folder / f"{name}.csv").write_text(f"{name}\n")

    def run(self, text: str, code: int = 0) -> Ran:
        (self.folder / "train.py").write_text(
            HEAD + text.replace("=KEEP", f"={str(self.world.keep)!r}"), "utf-8"
        )
        return self.world.aiko.run("python", "train.py", cwd=self.folder, code=code)

    def records(self) -> list[ModelRecord]:
        paths = (self.world.keep / "models/block").glob("*.yaml")
        read = [ModelRecord.read(path.read_bytes(), what=path.name) for path in paths]
        return sorted(read, key=lambda one: int(one.version[1:]))


@pytest.fixture
def script(registered: World, tmp_path: Path) -> Script:
    return Script(registered, tmp_path / "code")


def test_what_a_training_makes_at_once_is_its_own(script: Script) -> None:
    """Also what C makes, unseen: files have the time of the kernel's last tick, before the training began."""
    script.run(
        "import ctypes\n"
        "with datakeep.training(model='block', keep=KEEP) as t:\n"
        "    ctypes.CDLL(None).creat(b'made.csv', 0o644); open('made.csv').read(); os.remove('made.csv')\n"
        "    t.log(n=1)\n"
    )
    assert script.records()[-1].undeclared == []


def test_what_is_read_measured_and_saved_is_in_the_record(script: Script) -> None:
    ran = script.run(
        "import numpy\n"
        "with datakeep.training(model='block', keep=KEEP) as t:\n"
        "    data = t.use('orders@v1')\n"
        "    assert t.use('orders@v1') == data\n"
        "    open(data / 'same-a.bin', 'rb').read(); open('mine.csv').read()\n"
        "    multiprocessing.get_context('fork').Pool(2).map(read, [data / 'train/orders.csv'])\n"
        "    subprocess.run([sys.executable, '-c', READER, data / 'test/orders.csv'], check=True)\n"
        "    subprocess.run(['cat', data / 'same-b.bin'], check=True, stdout=subprocess.DEVNULL)\n"
        "    open('model.bin', 'w').write('model'); open('model.bin').read()\n"
        "    t.log(accuracy=0.1); t.log(accuracy=0.5, loss=numpy.float32(0.25), n=3)\n"
        "    t.save('model.bin')\n"
        "print(t.recorded.label, 'PYTHONPATH' in os.environ)\n"
    )
    record = script.records()[-1]
    assert ran.out == f"block@{record.version} False\n"
    assert f"model block@{record.version} is recorded" in ran.err
    assert "orders@v1: 5 files" in ran.err
    given = record.inputs[0]
    kept = script.world.keep / f"models/block/{record.version}" / str(given.files_read.kept)
    assert (given.version, given.how) == ("v1", "observed")
    assert kept.read_text() == "same-a.bin\ntest/orders.csv\ntrain/orders.csv\n"
    assert [one["path"].rpartition("/")[2] for one in record.undeclared] == ["mine.csv"]
    assert [(one.path, one.sha256) for one in record.artifacts] == [
        ("model.bin", hashlib.sha256(b"model").hexdigest())
    ]
    assert record.metrics == {"accuracy": "0.5", "loss": "0.25", "n": "3"}
    assert record.observed is not None
    assert record.observed.by == "audit-hook"
    assert "files that the program had read before the training's block began" in record.unknown
    assert record.environment.package_count
    assert record.status == "completed"


def test_a_folder_for_its_files_is_that_of_a_run(script: Script) -> None:
    """New or empty; all that lies in it at the end is in the record, each file once; programs are told of both."""
    ran = script.run(
        "with datakeep.training(model='block', keep=KEEP, out='runs/7') as t:\n"
        "    data = t.use('orders')\n"
        "    assert os.environ['DATAKEEP_DATA_ORDERS'] == str(data)\n"
        "    assert os.environ['DATAKEEP_OUT'] == str(t.out) and os.path.isabs(t.out)\n"
        "    (t.out / 'deep').mkdir()\n"
        "    for name in ('model.bin', 'deep/more.bin', 'metrics.json'):\n"
        '        (t.out / name).write_text(\'{"accuracy": 0.25, "loss": 1}\')\n'
        "    t.log(accuracy=0.5); t.save('runs/7/model.bin')\n"
        "print([name for name in os.environ if name.startswith('DATAKEEP_')])\n"
    )
    assert ran.out == "[]\n"
    record = script.records()[-1]
    assert [one.path for one in record.artifacts] == ["deep/more.bin", "metrics.json", "model.bin"]
    assert record.metrics == {"accuracy": "0.5", "loss": "1"}
    assert record.undeclared == []
    known = len(script.records())
    said = script.run("datakeep.training(model='block', keep=KEEP, out='runs/7')\n", code=1).err
    assert "runs/7 is not empty" in said
    assert len(script.records()) == known


def test_an_error_in_the_block_leaves_a_failed_record_and_is_raised(script: Script) -> None:
    before = len(script.records())
    ran = script.run(
        "with datakeep.training(model='block', keep=KEEP) as t:\n"
        "    read(t.use('orders') / 'train/orders.csv')\n"
        "    raise ValueError('the loss is not a number')\n",
        code=1,
    )
    assert ran.err.rstrip().endswith("ValueError: the loss is not a number")
    record = script.records()[-1]
    assert len(script.records()) == before + 1
    assert (record.status, record.failure) == ("failed", "ValueError: the loss is not a number")
    assert record.inputs[0].version == "v2"
    script.run(
        "with datakeep.training(model='block', keep=KEEP) as t:\n    raise KeyboardInterrupt\n", code=-2
    )
    assert len(script.records()) == before + 1


def test_a_fork_records_nothing_and_files_of_one_name_are_both_saved(script: Script, tmp_path: Path) -> None:
    before = len(script.records())
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.bin").write_text(name)
    script.run(
        "with datakeep.training(model='block', keep=KEEP) as t:\n"
        "    if not os.fork():\n"
        "        sys.exit(0)\n"
        "    os.wait()\n"
        f"    [t.save({str(tmp_path)!r} + '/' + name + '/model.bin') for name in 'ab']\n"
    )
    assert len(script.records()) == before + 1
    saved = {one.path for one in script.records()[-1].artifacts}
    assert saved == {"model.bin", f"{tmp_path}/b/model.bin"}


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ("t.use('orderz')", "UnknownName", "did you mean 'orders'"),
        ("t.use('orders@v1'); t.use('orders@v2')", "UsageError", "orders@v1 is in use"),
        ("t.log(accuracy=[1, 2])", "UsageError", "not a number"),
        ("t.save('nothing.bin')", "SourceMissing", "there is no file nothing.bin"),
        ("datakeep.training(model='other', keep=KEEP)", "UsageError", "still open"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_so(script: Script, line: str, error: str, said: str) -> None:
    ran = script.run(
        "with datakeep.training(model='errors', keep=KEEP) as t:\n"
        f"    try:\n        {line}\n"
        f"    except datakeep.errors.{error} as error:\n        print(error.what); raise KeyboardInterrupt\n",
        code=-2,
    )
    assert said in ran.out


@pytest.mark.parametrize(
    ("line", "error", "is_recorded"),
    [
        ("t.use('orderz')", "UnknownName", False),
        ("t.use(3)", "UsageError", False),
        ("t.log(accuracy='x')", "UsageError", False),
        ("t.log(loss=0.5); t.log(accuracy='x')", "UsageError", True),
        ("t.log(accuracy=float('nan')); t.log(accuracy='x')", "UsageError", True),
    ],
)
def test_a_typo_before_anything_was_trained_leaves_no_record(
    script: Script, line: str, error: str, is_recorded: bool
) -> None:
    before = len(script.records())
    ran = script.run(f"with datakeep.training(model='block', keep=KEEP) as t:\n    {line}\n", code=1)
    assert error in ran.err
    assert ("nothing was recorded" in ran.err) is not is_recorded
    assert len(script.records()) == before + is_recorded


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ("model='No'", "UsageError", "cannot be a model name"),
        ("model='o', base=['resnet']", "UnknownName", "no record of a base model"),
    ],
)
def test_what_cannot_be_trained_is_an_error_before_the_block(
    script: Script, arguments: str, error: str, said: str
) -> None:
    ran = script.run(f"datakeep.training({arguments}, keep=KEEP)\n", code=1)
    assert f"{error}: " in ran.err
    assert said in ran.err


def test_an_error_that_the_code_goes_on_after_leaves_no_trace(script: Script) -> None:
    """Neither a failed record, nor half of what was logged, nor files that the refused one read."""
    script.run(
        "def refused(call):\n"
        "    try:\n        call()\n"
        "    except datakeep.errors.DatakeepError:\n        return\n"
        "    raise SystemExit(7)\n"
        "def nested():\n"
        "    with datakeep.training(model='inner', keep=KEEP, out='inner'):\n        pass\n"
        "with datakeep.training(model='block', keep=KEEP) as t:\n"
        "    refused(lambda: t.save('nope'))\n"
        "    refused(lambda: t.log(half=1, a='high'))\n"
        "    refused(nested)\n"
        "    t.log(accuracy=0.5)\n"
    )
    record = script.records()[-1]
    assert (record.status, record.failure) == ("completed", None)
    assert record.metrics == {"accuracy": "0.5"}
    assert record.undeclared == []
    assert not (script.folder / "inner").exists()


def test_a_metric_that_is_no_measurement_is_not_known(script: Script) -> None:
    """As in a run: no earlier number stands for it, nor that of metrics.json; a later one counts."""
    script.run(
        "with datakeep.training(model='block', keep=KEEP, out='runs/nan') as t:\n"
        "    (t.out / 'metrics.json').write_text('{\"loss\": 1}')\n"
        "    t.log(loss=0.5, again=float('inf')); t.log(loss=float('nan'), again=3)\n"
    )
    record = script.records()[-1]
    assert record.status == "completed"
    assert record.metrics == {"again": "3"}
    assert "metrics: the last loss that was logged is NaN, which is no measurement" in record.unknown
