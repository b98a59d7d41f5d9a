"""Which files a training on the user's own machine opened for reading, in the order of their first opening.

What it had written itself before is not among them: a file that it created or emptied is its own, under
whatever name it was moved to.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datakeep.rerun import strace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_CALLS = f"{strace.OPENING_CALLS},?rename,renameat,?renameat2,?link,linkat,chdir"
_PROBE_TIMEOUT_S = 20
_MOVED = re.compile(
    r"^(?:rename|renameat|renameat2|link|linkat)\("
    r"(?:(?:AT_FDCWD|-?\d+)(?:<(?P<folder>(?:[^>\\]|\\.)*)>)?, )?"
    r'"(?P<old>(?:[^"\\]|\\.)*)", '
    r"(?:(?:AT_FDCWD|-?\d+)(?:<(?P<into>(?:[^>\\]|\\.)*)>)?, )?"
    r'"(?P<new>(?:[^"\\]|\\.)*)".*\)\s+= 0$'
)
_CHDIR = re.compile(r'^chdir\("(?P<path>(?:[^"\\]|\\.)*)"\)\s+= 0$')


@dataclass(slots=True)
class Reads:
    """The openings of one training, told one after the other.

    Attributes:
        paths: Absolute paths without links, of files that were read, and not written by the training before.
        perhaps_own: Those of them that the training would have created, had they not been there.
    """

    paths: dict[str, None] = field(default_factory=dict)
    perhaps_own: set[str] = field(default_factory=set)
    _own: set[str] = field(default_factory=set)

    def opened(self, path: str, flags: frozenset[str]) -> None:
        """A file was opened."""
        if not path.startswith("/") or flags & {"O_PATH", "O_DIRECTORY", "O_TMPFILE"}:
            return
        if "O_TRUNC" in flags or {"O_CREAT", "O_EXCL"} <= flags:
            if path not in self.paths:
                self._own.add(path)
        elif path in self._own:
            return
        elif "O_CREAT" in flags and path not in self.paths:
            # What was there before, it may read now or later; what was not is its own.
            self.perhaps_own.add(path)
            if "O_WRONLY" not in flags:
                self.paths[path] = None
        elif "O_WRONLY" not in flags:
            self.paths.setdefault(path)

    def moved(self, old: str, new: str) -> None:
        """A file, or a folder with all that lies in it, got another name."""
        if old in self._own:
            self._own.add(new)
        else:  # perhaps a folder; most often a file is moved, and there may be ten thousand of them
            inside = [path for path in self._own if path.startswith(f"{old}/")]
            self._own.update(new + path.removeprefix(old) for path in inside)
        if old in self.perhaps_own:
            self.perhaps_own.add(new)


def why_not() -> str | None:
    """Why strace cannot watch a training here, in one sentence; None if it can. Tried out."""
    program = strace.program()
    if program is None:
        return "strace is not installed"
    argv = [str(program), *strace.options(_CALLS), "-o", "/dev/null", "--", "/bin/sh", "-c", "exit 0"]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"strace cannot be run here: {error}"
    if done.returncode == 0 and not done.stderr.strip():
        return None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return f"strace cannot follow processes here: {said[-1] if said else 'it gave no reason'}"


def traced(argv: Sequence[str], folder: Path) -> tuple[str, ...]:
    """``argv`` under strace, which writes into ``folder``."""
    options = strace.options(_CALLS)
    return (str(strace.program()), *options, "-o", str(folder / strace.FILE_NAME), "--", *argv)


def from_strace(folder: Path, cwd: str) -> Reads:
    """What strace saw of a training that was started in ``cwd``."""
    reads, where = Reads(), {"": cwd}
    file = folder / strace.FILE_NAME
    for pid, call in strace.calls_in(file) if file.is_file() else ():
        opened = strace.opened(call)
        if opened is None:
            _take_other(call, pid, where, reads)
            continue
        if opened.folder:
            where[pid] = opened.folder
        if opened.error is None:
            reads.opened(opened.path, frozenset(opened.flags.split(",")[0].split("|")))
    return reads


def _take_other(call: str, pid: str, where: dict[str, str], reads: Reads) -> None:
    """A name that changed, or the folder that names are relative to; strace names that with most openings."""
    here = where.get(pid, where[""])
    if found := _CHDIR.match(call):
        where[pid] = posixpath.normpath(posixpath.join(here, strace.text_of(found["path"])))
    elif found := _MOVED.match(call):
        folders = [strace.text_of(found[name]) if found[name] else here for name in ("folder", "into")]
        old, new = (
            os.path.realpath(posixpath.join(folder, strace.text_of(found[name])))
            for folder, name in zip(folders, ("old", "new"), strict=True)
        )
        reads.moved(old, new)


def from_hook(folder: Path) -> Reads:
    """What the audit hook of :mod:`datakeep.rerun.audit_hook` wrote into ``folder``, of all processes."""
    reads = Reads()
    for _, kind, *paths in sorted(_events(folder), key=lambda event: event[0]):
        if kind == "moved":
            reads.moved(*paths[:2])
        else:
            reads.opened(paths[0], frozenset(str(kind).split("|")))
    return reads


def _events(folder: Path) -> Iterator[list[str]]:
    for file in folder.glob("*.reads"):
        for line in file.read_bytes().splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue  # the last line of a process that was killed
            yield event


def born_after(paths: Sequence[str], moment_s: float) -> set[str]:
    """Those of ``paths`` that did not exist at a time (seconds since 1970), as the file system tells."""
    born: set[str] = set()
    for start in range(0, len(paths), 500):
        some = paths[start : start + 500]
        argv = ["stat", "--printf=%.9W %n\\0", "--", *some]
        try:
            done = subprocess.run(
                argv, capture_output=True, env={"LC_ALL": "C", "PATH": os.defpath}, check=False
            )
        except OSError:
            return born  # without it they count as read
        for entry in done.stdout.split(b"\0"):
            when, _, path = entry.partition(b" ")
            if when[:1].isdigit() and float(when) >= moment_s > 0:
                born.add(os.fsdecode(path))
    return born
