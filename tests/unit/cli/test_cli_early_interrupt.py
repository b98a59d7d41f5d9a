"""A Ctrl-C before the command line stands has the exit code of every other one."""

import os
import signal
import subprocess
import sys

import pytest

WHILE_LOADING = """
import sys, types

class Loading(types.ModuleType):
    def __getattr__(self, name):
        exec("import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)")

sys.modules["datakeep.cli.boundary"] = Loading("boundary")
"""

#: Ctrl-C between two attributes of a class that is made: Python up to 3.11 says so with a RuntimeError.
WHILE_A_CLASS_IS_MADE = """
import sys, types

class Named:
    def __set_name__(self, owner, name):
        import os, signal, time
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

class Loading(types.ModuleType):
    def __getattr__(self, name):
        type("Keep", (), {"file": Named()})

sys.modules["MODULE"] = Loading("module")
"""

#: As C code does that tries something, and takes every failure for a no.
DROPPED = """
import sys, types

class Loading(types.ModuleType):
    def __getattr__(self, name):
        import os, signal, time
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            pass
        time.sleep(5)
        return lambda argv: 0

sys.modules["datakeep.cli.boundary"] = Loading("boundary")
"""

#: As of a call of C code that drops the interruption, and then says that it failed itself.
FAILED_INSTEAD = DROPPED.replace(
    "            pass", "            raise RuntimeError('Query interrupted') from None"
)

#: Arrow looks for it as soon as an array is made of a list, and drops whatever is raised meanwhile.
LOADED_BY_ARROW = """
import os, signal
os.kill(os.getpid(), signal.SIGINT)
class relativedelta:
    pass
"""


@pytest.mark.parametrize(
    ("name", "said", "code"),
    [("SIGINT", "", 130), ("SIGTERM", " (by SIGTERM)", 143), ("SIGHUP", " (by SIGHUP)", 129)],
)
def test_an_interrupt_while_loading_is_said_and_has_its_exit_code(tmp_path, name, said, code):
    """Not by the signal itself, which Python remembers of a Ctrl-C that met code in a string."""
    (tmp_path / "sitecustomize.py").write_text(WHILE_LOADING.replace("SIGINT", name))
    done = subprocess.run(
        [sys.executable, "-m", "datakeep", "list"], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert f"error: interrupted; nothing was recorded{said}\n" in done.stderr
    assert done.returncode == code


@pytest.mark.parametrize("module", ["datakeep.cli.boundary", "datakeep.cli.group", "datakeep.workflows.keep"])
def test_an_interrupt_within_pythons_own_code_is_an_interrupt(tmp_path, module):
    """Before the command line stands, before the command is known, and while it loads what it needs."""
    (tmp_path / "sitecustomize.py").write_text(WHILE_A_CLASS_IS_MADE.replace("MODULE", module))
    done = subprocess.run(
        [sys.executable, "-m", "datakeep", "list"], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    told = "error: interrupted; nothing was recorded\n  next: run the same command again\n"
    assert done.stderr.lstrip("\n") == told
    assert done.returncode == 130


@pytest.mark.parametrize("what", [DROPPED, FAILED_INSTEAD])
@pytest.mark.parametrize("module", ["datakeep.cli.boundary", "datakeep.cli.group", "datakeep.workflows.keep"])
def test_an_interrupt_that_somebody_drops_is_one(tmp_path, what, module):
    (tmp_path / "sitecustomize.py").write_text(what.replace("datakeep.cli.boundary", module))
    done = subprocess.run(
        [sys.executable, "-m", "datakeep", "list"], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert "error: interrupted; nothing was recorded" in done.stderr
    assert done.returncode == 130


def test_an_interrupt_waits_while_arrow_looks_for_packages(tmp_path):
    (tmp_path / "dateutil").mkdir()
    (tmp_path / "dateutil/__init__.py").touch()
    (tmp_path / "dateutil/relativedelta.py").write_text(LOADED_BY_ARROW)
    done = subprocess.run(
        [sys.executable, "-m", "datakeep", "reextract", "orders"], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 130


def test_an_interrupt_waits_while_duckdb_makes_its_own_classes(tmp_path):
    """In C++ code that may not raise: whatever is raised meanwhile aborts the process."""
    (tmp_path / "duckdb").mkdir()
    (tmp_path / "duckdb/__init__.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nprint('loaded')\n"
    )
    code = (
        "from datakeep.cli import interrupts, lean_modules; interrupts.install(); lean_modules.lean_modules()\n"
        "try:\n    import duckdb\nexcept KeyboardInterrupt:\n    print('interrupted')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout == "loaded\ninterrupted\n"


def test_an_alarm_that_is_not_ours_ends_the_process():
    """As of ``alarm`` in what started it."""
    code = "import signal; from datakeep.cli.interrupts import install; install(); signal.alarm(1); signal.pause()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGALRM


def test_nothing_comes_once_more_after_the_answer():
    """Python puts the default of SIGALRM back while it ends, which would kill it instead of exiting."""
    code = (
        "import signal, sys, time; from datakeep.cli import interrupts; interrupts.install()\n"
        "try:\n    signal.raise_signal(signal.SIGINT)\nexcept KeyboardInterrupt:\n    interrupts.ignore()\n"
        "print(signal.getsignal(signal.SIGALRM)); time.sleep(0.2)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(signal.SIG_IGN)
