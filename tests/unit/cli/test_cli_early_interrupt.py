"""A Ctrl-C before the command line stands has the exit code of every other one."""

import os
import subprocess
import sys

WHILE_LOADING = """
import sys, types

class Loading(types.ModuleType):
    def __getattr__(self, name):
        exec("import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)")

sys.modules["datakeep.cli.boundary"] = Loading("boundary")
"""


def test_an_interrupt_while_loading_is_said_and_exits_with_130(tmp_path):
    """Not by the signal itself, which Python remembers of a Ctrl-C that met code in a string."""
    (tmp_path / "sitecustomize.py").write_text(WHILE_LOADING)
    done = subprocess.run(
        [sys.executable, "-m", "datakeep", "list"], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert "error: interrupted; nothing was recorded" in done.stderr
    assert done.returncode == 130
