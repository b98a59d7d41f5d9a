"""What tests look at after a call: the one error that was shown, and whether anything was lost."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ran, World


@dataclass(frozen=True)
class Error:
    """The error as a person sees it."""

    what: str
    things: tuple[str, ...]
    next_step: str

    @property
    def text(self) -> str:
        return "\n".join((self.what, *self.things, self.next_step))


def error_of(ran: Ran) -> Error:
    """The one error on stderr: what, things, next; nothing else is there, and nothing on stdout."""
    assert ran.out == ""
    first, *things, last = ran.err.splitlines()
    assert first.startswith("error: ")
    assert last.startswith("  next: ")
    assert all(line.startswith(("  - ", "  … and ")) for line in things), ran.err
    return Error(first.removeprefix("error: "), tuple(things), last.removeprefix("  next: "))


def json_error_of(ran: Ran) -> dict[str, Any]:
    """The error that ``--json`` prints; it has exactly the documented fields, and says its own exit code."""
    assert set(ran.data) == {"error"}
    error = ran.data["error"]
    assert set(error) == {"id", "exit_code", "what", "things", "next"}
    assert error["exit_code"] == ran.code
    assert error["what"]
    assert error["next"]
    assert "Traceback" not in ran.err
    return error


def files_below(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Path to digest (or target, of a link) of all files below ``folder``; ``without`` are names left out."""
    found = {}
    for root, names, leaves in os.walk(folder):
        names[:] = [name for name in names if name not in without]
        for leaf in leaves:
            path = os.path.join(root, leaf)  # noqa: PTH118  (many files: os.walk and strings are fast)
            if leaf in without or leaf.endswith(".lock"):
                continue  # lock files stay where they were made, and hold nothing
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                found[os.path.relpath(path, folder)] = hashlib.sha256(file.readall()).hexdigest()
    return found


def state(world: World) -> dict[str, Any]:
    """All that must not be lost or changed by a refusal: vault, working tree, head and status of the keep."""
    git = world.aiko.run("git", "status", "--porcelain=v2", "--branch", cwd=world.keep).out
    return {
        "git": git,
        "keep": files_below(world.keep, without=(".git", ".datakeep")),
        "vault": files_below(world.vault),
    }
