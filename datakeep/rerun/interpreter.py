"""Finds the Python interpreter that an environment asks for; it is the receiver's own, never downloaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.rerun.environment_faults import InterpreterMissing
from datakeep.rerun.interface import Mount

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUERY = "import json, sys; print(json.dumps(['%d.%d.%d' % sys.version_info[:3], sys.base_prefix]))"
_QUERY_TIMEOUT_S = 60
#: The parts of an interpreter's prefix that it needs to run; whatever else lies there stays out of the room.
_PARTS = ("bin", "lib", "lib64", "ssl")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python of this machine.

    Args:
        executable: Without symbolic links.
        prefix: Where its standard library lies.
        version: Such as ``3.11.7``.
    """

    executable: Path
    prefix: Path
    version: str

    def mounts(self) -> tuple[Mount, ...]:
        """What a room needs beside the system's folders for this interpreter to run, at the same paths."""
        if self.prefix == Path("/") or self.prefix.is_relative_to("/usr"):
            return ()
        parts = (self.prefix / part for part in _PARTS)
        return tuple(Mount(part, str(part)) for part in parts if part.is_dir())


def find(version: str | None) -> Interpreter:
    """An interpreter of this machine of ``version`` (``3.11`` or ``3.11.7``); datakeep's own for None.

    Raises:
        InterpreterMissing: There is none.
    """
    for candidate in _candidates(version):
        found = _query(candidate)
        if found and (version is None or f"{found.version}.".startswith(f"{version}.")):
            return found
    raise InterpreterMissing(
        f"the environment needs Python {version}, which this machine does not have",
        next_step=f"install Python {version} (for example: uv python install {version}), then run this again",
    )


def _candidates(version: str | None) -> Iterator[Path]:
    """The one that runs datakeep first, then the search path, pyenv's and uv's."""
    yield Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    if version is None:
        yield Path(sys.executable)
        return
    short = ".".join(version.split(".")[:2])
    for folder in os.get_exec_path():
        yield Path(folder, f"python{short}")
        yield Path(folder, "python3")
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    yield from sorted(pyenv.glob(f"{short}*/bin/python{short}"), reverse=True)
    yield from _managed_by_uv(version)


def _managed_by_uv(version: str) -> Iterator[Path]:
    argv = [str(uv_program()), "python", "find", "--managed-python", "--no-project", "--no-config", version]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"},
            timeout=_QUERY_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode == 0:
        yield Path(done.stdout.strip())


def _query(candidate: Path) -> Interpreter | None:
    """What ``candidate`` says of itself; None if it does not run (pyenv has stand-ins that do not)."""
    if not candidate.is_file():
        return None
    executable = candidate.resolve()
    try:
        done = subprocess.run(
            [str(executable), "-I", "-S", "-c", _QUERY],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_QUERY_TIMEOUT_S,
            check=False,
        )
        version, prefix = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return Interpreter(executable, Path(prefix).resolve(), version)


def uv_program() -> Path:
    """The ``uv`` that came with datakeep, else the search path's.

    Raises:
        InterpreterMissing: There is none.
    """
    try:
        from uv import find_uv_bin

        return Path(find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        found = shutil.which("uv")
        if found:
            return Path(found)
        raise InterpreterMissing(
            "uv, which rebuilds environments, is not installed", next_step="pip install uv"
        ) from error
