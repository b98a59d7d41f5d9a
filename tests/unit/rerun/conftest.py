"""Both sandboxes, and the small folders of a training."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from datakeep.core.progress import Silent
from datakeep.formats.manifest import Environment, ReferenceTraining
from datakeep.rerun import interpreter, sandbox, training

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["bubblewrap", "none"])
def any_sandbox(request):
    return sandbox.find(request.param)


@pytest.fixture
def bubblewrap():
    return sandbox.find("bubblewrap")


@pytest.fixture
def bare():
    return sandbox.find("none")


@pytest.fixture(scope="session")
def python():
    return interpreter.find(None)


@pytest.fixture(scope="session")
def environment(tmp_path_factory, python):
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([python.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder


@dataclass
class Case:
    """A training of one script, over a dataset of two files."""

    folder: Path
    environment: Path
    python: interpreter.Interpreter

    def run(self, script, *, box, command="python train.py {data} {out}", host=None, files=None, **fields):
        code, data = self.folder / "code", self.folder / "data"
        code.mkdir(exist_ok=True)
        (data / "日本").mkdir(parents=True, exist_ok=True)
        (data / "a.csv").write_text("x\n1\n")
        (data / "日本" / "b c.csv").write_text("x\n2\n")
        (code / "train.py").write_text(script)
        for name, text in (files or {}).items():
            (code / name).write_text(text)
        reference = ReferenceTraining(
            environment=Environment(requirements="requirements.txt"), command=command, **fields
        )
        return training.train(
            reference,
            code,
            data,
            self.folder / "out",
            self.environment,
            interpreter=self.python,
            sandbox=box,
            dataset_name="pump-bearings",
            host_environment=host or {},
            progress=Silent(),
        )


@pytest.fixture
def case(tmp_path, environment, python):
    return Case(tmp_path, environment, python)
