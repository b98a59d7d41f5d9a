"""What tests look at after a call: the one error that was shown, and whether anything was lost.

And :class:`Quick`, for the many calls of which each only has to be refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from world import Person, Ran, World

_SERVER = """
import importlib, json, os, sys
import datakeep.workflows.adopt, datakeep.workflows.audit, datakeep.workflows.checkout, datakeep.workflows.register
import datakeep.workflows.reference, datakeep.workflows.update, datakeep.workflows.verify
from datakeep.cli.boundary import run

for name in sys.argv[1:]:
    importlib.import_module(name)
for line in sys.stdin:
    call = json.loads(line)
    pid = os.fork()
    if pid == 0:
        os.chdir(call["cwd"])
        for number, name in enumerate((os.devnull, call["out"], call["err"])):
            os.dup2(os.open(name, os.O_RDWR), number)
        code = run(call["argv"])
        sys.stdout.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Quick:
    """Calls datakeep as a person, each call in a process of its own that need not import it anew."""

    def __init__(self, person: Person, ran: type[Ran], *, preload: tuple[str, ...] = ()) -> None:
        self.person, self._ran = person, ran
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER, *preload],
            env=person.env,
            cwd=person.cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def datakeep(self, *args: str | Path, code: int | None = 0, cwd: Path | None = None) -> Ran:
        """As ``Person.datakeep``."""
        assert self._server.stdin
        assert self._server.stdout
        with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            call = {
                "argv": [*map(str, args)],
                "cwd": str(cwd or self.person.cwd),
                "out": out.name,
                "err": err.name,
            }
            self._server.stdin.write(json.dumps(call) + "\n")
            self._server.stdin.flush()
            answer = int(self._server.stdout.readline())
            ran = self._ran(answer, *(Path(file.name).read_text("utf-8") for file in (out, err)))
        assert code is None or ran.code == code, f"{args}\nexit {ran.code}\n{ran.out}\n{ran.err}"
        return ran

    def close(self) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait()


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
