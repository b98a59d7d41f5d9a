"""A Ctrl-C before the command line stands has the exit code of every other one."""

import subprocess
import sys

INTERRUPTED_WHILE_LOADING = """
import sys, types

class Loading(types.ModuleType):
    def __getattr__(self, name):
        exec("import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)")

sys.modules["datakeep.cli.boundary"] = Loading("boundary")
from datakeep.cli import main
main()
"""


def test_an_interrupt_while_loading_is_said_and_exits_with_130():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_LOADING], capture_output=True, text=True, check=False
    )
    assert "error: interrupted; nothing was recorded" in done.stderr
    assert done.returncode == 130, "and not by the signal itself, which Python remembers of code in a string"
