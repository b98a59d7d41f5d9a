"""An environment that uv rebuilt from a real index is the one that the training then runs in."""

from __future__ import annotations

import os
import subprocess

import pytest

from datakeep.core.progress import Silent
from datakeep.formats.manifest import ReferenceTraining
from datakeep.rerun import environment, interpreter, sandbox, training

PROJECT = '[project]\nname = "t"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["six==1.17.0"]\n'
SCRIPT = """
import json, pathlib, sys
import six
sys.path = [path for path in sys.path if path]
assert sys.prefix != sys.base_prefix
rows = pathlib.Path(sys.argv[1], "rows.txt").read_text().split()
pathlib.Path(sys.argv[2], "metrics.json").write_text(json.dumps({"rows": len(rows)}))
print(six.__file__)
"""


@pytest.mark.parametrize("kind", ["bubblewrap", "none"])
def test_rebuild_then_train(kind, tmp_path):
    code, data = tmp_path / "code", tmp_path / "data"
    code.mkdir()
    data.mkdir()
    (code / "pyproject.toml").write_text(PROJECT)
    (code / "train.py").write_text(SCRIPT)
    (data / "rows.txt").write_text("a b c")
    subprocess.run([interpreter.uv_program(), "lock", "-q"], cwd=code, check=True)
    box = sandbox.find(kind)
    reference = ReferenceTraining(
        environment={"lock": "uv.lock"},
        command="python train.py {data} {out}",
    )
    built = environment.rebuild(
        reference.environment,
        code,
        tmp_path / "venv",
        sandbox=box,
        cache=tmp_path / "cache",
        transport=environment.transport_of(os.environ),
        progress=Silent(),
    )
    assert built.packages == {"six": "1.17.0"}
    report = training.train(
        reference,
        code,
        data,
        tmp_path / "out",
        tmp_path / "venv",
        interpreter=built.interpreter,
        sandbox=box,
        dataset_name="rows",
        host_environment=os.environ,
        progress=Silent(),
    )
    assert report.problem is None
    assert str(report.metrics["rows"]) == "3"
    assert report.files_read == ("rows.txt",)
    assert report.files_outside == ()
    root = "/datakeep/environment" if kind == "bubblewrap" else str(tmp_path / "venv")
    assert report.finished.output_tail.startswith(root)
