"""The program that a training is started with: found as a shell finds it, or what a shell would say of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import CommandNotExecutable, CommandNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

#: As much of a program as tells the kernel what it is, and which interpreter it names.
_BEGINNING_BYTES = 256


def program_of(name: str, environment: Mapping[str, str]) -> str:
    """The path of a program as the user's shell would find it.

    Raises:
        CommandNotFound: There is none, or the interpreter that it names is not there.
        CommandNotExecutable: It, or its interpreter, may not be executed; or it says of itself what would run it
            neither as a binary nor with a ``#!`` line.
    """
    path = environment.get("PATH", os.defpath)
    found = shutil.which(name, path=path)
    if found is None:
        if there := shutil.which(name, mode=os.F_OK, path=path):
            raise CommandNotExecutable(
                f"the training's program {name!r} is not executable",
                next_step=f"chmod +x {there}, or name what runs it: datakeep run … -- {_runs(name)} {name}",
            )
        raise CommandNotFound(
            f"the training's program {name!r} cannot be found",
            next_step="activate its environment, or name its path: datakeep run … -- /path/to/python train.py",
        )
    _check_interpreter(name, found)
    return os.path.abspath(found) if "/" in name else found  # noqa: PTH100  (a link is the program's name)


def _runs(name: str) -> str:
    return "python" if name.endswith(".py") else "bash"


def _check_interpreter(name: str, path: str) -> None:
    try:
        with Path(path).open("rb") as source:
            begins = source.read(_BEGINNING_BYTES)
    except OSError:  # that may be executed and not read
        return
    if not begins.startswith(b"#!"):
        if begins and b"\0" not in begins:
            raise CommandNotExecutable(
                f"the training's program {name!r} has no #! line that says which program runs it",
                next_step=f"name that: datakeep run … -- {_runs(name)} {name}",
            )
        return
    line = begins[2:].partition(b"\n")[0].strip(b" \t")
    interpreter = os.fsdecode(line.split(b" ")[0].split(b"\t")[0])
    correct = (
        f"correct the first line of {path}, or name what runs it: datakeep run … -- {_runs(name)} {name}"
    )
    what = f"the training's program {name!r} names an interpreter that"
    if interpreter and not Path(interpreter).exists():
        ends = ": its first line ends in CR LF" if interpreter.endswith("\r") else ""
        raise CommandNotFound(
            f"{what} is not there: {interpreter.rstrip(chr(13))}{ends}",
            next_step=correct,
        )
    if not os.access(interpreter or "/", os.X_OK) or Path(interpreter or "/").is_dir():
        raise CommandNotExecutable(
            f"{what} cannot be executed: {interpreter or 'none at all'}",
            next_step=correct,
        )
