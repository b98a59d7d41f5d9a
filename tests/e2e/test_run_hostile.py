"""`datakeep run`: whatever a training prints, leaves and does to its own inputs, its record is made, and is true."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from world import World

HEAD = """\
import json, os, sys
DATA, OUT = os.environ["DATAKEEP_DATA_ORDERS"], os.environ["DATAKEEP_OUT"]
"""


class Code:
    """A folder of code in git, in which trainings are run."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder, self.count = world, folder, 0
        folder.mkdir()
        world.aiko.run("git", "init", "-q", cwd=folder)

    def run(self, text: str, *command: str, code: int = 0) -> dict[str, Any]:
        """The record of a training of this text, which is committed; or of another command."""
        self.count += 1
        (self.folder / "train.py").write_text(HEAD + text, "utf-8")
        self.world.aiko.run("git", "add", "train.py", cwd=self.folder)
        self.world.aiko.run("git", "commit", "-qm", "code", "--allow-empty", cwd=self.folder)
        argv = ("run", "--json", "--model", "m", "--uses", "orders", "--out", f"out{self.count}", "--")
        ran = self.world.aiko.datakeep(
            "-C", self.world.keep, *argv, *(command or ("python", "train.py")), cwd=self.folder, code=code
        )
        record: dict[str, Any] = ran.data["record"]
        return record


@pytest.fixture(scope="module")
def registered(world: World) -> World:
    world.register("orders", "git")
    return world


@pytest.fixture
def code(registered: World, tmp_path: Path) -> Code:
    return Code(registered, tmp_path / "code")


def test_what_is_no_measurement_is_not_known_and_no_earlier_number_stands_for_it(code: Code) -> None:
    record = code.run(
        'print(\'{"loss": 0.5, "auc": 0.7}\'); print(\'{"loss": NaN}\'); print(\'{"auc": 0.8, "mse": 1e999}\')\n'
        "open(OUT + '/metrics.json', 'w').write('{\"auc\": 1e99999999999999999999}')\n"
    )
    assert record["metrics"] == {"auc": "0.8"}
    assert [line for line in record["unknown"] if line.startswith("metrics")] == [
        "metrics: metrics.json has 'auc', which is too large or too small to be a measurement",
        "metrics: the last loss that was printed is NaN, which is no measurement",
        "metrics: the last mse that was printed is 1e999, which is no measurement",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 5000 + "]" * 5000, "cannot be read (maximum recursion depth"),
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "is too large to be kept"),
        ('{"a": [' + "1," * 250_000 + "1]}", "is too large to be kept"),
    ],
    ids=["very deep", "deep", "many values"],
)
def test_parameters_that_no_record_can_hold_are_not_known(code: Code, text: str, said: str) -> None:
    (code.folder / "params.json").write_text(text)
    record = code.run("open('params.json').read()")
    assert "params.json" not in record["parameters"]
    assert any(line.startswith(f"the parameters in params.json, which {said}") for line in record["unknown"])


def test_a_pipe_in_the_place_of_parameters_or_code_is_not_waited_for(code: Code) -> None:
    os.mkfifo(code.folder / "params.yaml")
    writer = threading.Thread(target=(code.folder / "params.yaml").write_text, args=("rate: 1\n",))
    writer.start()
    (code.folder / "more.py").write_text("x = 1\n")
    record = code.run(
        "open('params.yaml').read(); open('more.py').read(); os.remove('more.py'); os.mkfifo('more.py')"
    )
    writer.join()
    assert record["parameters"] == {}
    assert any(line.startswith("what was read of") and "params.yaml" in line for line in record["unknown"])


def test_code_that_changed_since_it_was_read_is_told(code: Code) -> None:
    (code.folder / "gone.py").write_text("x = 1\n")
    (code.folder / "same.py").write_text("x = 1\n")
    record = code.run(
        "open('gone.py').read(); open('same.py').read(); os.remove('gone.py')\n"
        "with open('train.py', 'a') as mine: mine.write('# not what ran')\n"
    )
    assert [line for line in record["unknown"] if line.startswith("what the code")] == [
        "what the code in train.py was: it changed during the training or since",
        "what the code in gone.py was: removed or renamed before the training ended",
    ]


def test_an_old_file_in_the_place_of_one_that_was_read_is_not_taken_for_it(
    code: Code, tmp_path: Path
) -> None:
    for name in ("read", "old", "same"):
        (tmp_path / f"{name}.csv").write_text(name)
        os.utime(tmp_path / f"{name}.csv", (1e9, 1e9))
    record = code.run(
        f"here = {str(tmp_path)!r}\n"
        "open(here + '/read.csv').read(); open(here + '/same.csv').read()\n"
        "os.replace(here + '/old.csv', here + '/read.csv')\n"
    )
    assert {Path(one["path"]).name: "changed" in one for one in record["undeclared"]} == {
        "read.csv": True,
        "same.csv": False,
    }


def test_folders_that_are_opened_as_files_are_no_files_of_the_data(code: Code) -> None:
    record = code.run("print(len([*os.fwalk(DATA)])); os.close(os.open(DATA, os.O_RDONLY))")
    assert record["inputs"][0]["files_read"]["count"] == 0
    assert record["undeclared"] == []
    assert not any("not of this version" in line for line in record["unknown"])


def test_a_text_for_bash_that_ends_like_a_script_is_none(code: Code) -> None:
    long = f"X='{'x' * 300}' true; exit"
    assert code.run("", "bash", "-c", f"{long} 0 # train.py")["status"] == "completed"
    assert code.run("", "bash", "-lc", f"{long} 3 # train.py", code=3)["exit_code"] == 3
