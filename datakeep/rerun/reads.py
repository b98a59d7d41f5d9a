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
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.rerun import asked_before, connections, openings, seccomp, strace
from datakeep.rerun.asked_before import Asked
from datakeep.rerun.attended import Listened
from datakeep.rerun.connections import Connections

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OTHER_CALLS = (
    "?rename,renameat,?renameat2,?link,linkat,chdir,fchdir"
    f",?mkdir,mkdirat,?mknod,mknodat,?rmdir,unlinkat,{connections.CALLS}"
)
_CALLS = f"{strace.OPENING_CALLS},{_OTHER_CALLS}"
_NO_READING = frozenset({"O_PATH", "O_DIRECTORY", "O_TMPFILE"})
_WRITES = frozenset({"O_WRONLY", "O_CREAT", "O_TRUNC"})
_PROBE_TIMEOUT_S = 60
#: 0: processes of the same user may be followed, 1: those that allow it, as ours does; 2 and 3: none, but for root.
_PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
_PLACE = r"(?:(?:AT_FDCWD|-?\d+)(?:<(?P<%s>(?:[^>\\]|\\.)*)>)?, )?"
_MOVED = re.compile(
    r"^(?P<call>rename|renameat|renameat2|link|linkat)\("
    + _PLACE % "folder"
    + r'"(?P<old>(?:[^"\\]|\\.)*)", '
    + _PLACE % "into"
    + r'"(?P<new>(?:[^"\\]|\\.)*)".*\)\s+= 0$'
)
#: What makes something that is no file, or takes a folder away: so that it is not taken for a file that is gone.
_NO_FILE = re.compile(
    r"^(?:(?:mkdir|mkdirat|mknod|mknodat|rmdir)\(" + _PLACE % "folder" + r'"(?P<path>(?:[^"\\]|\\.)*)".*\)'
    r"|unlinkat\(" + _PLACE % "of" + r'"(?P<taken>(?:[^"\\]|\\.)*)", AT_REMOVEDIR\))\s+= 0$'
)
_OLD_AND_NEW = (("folder", "old"), ("into", "new"))
_CHDIR = re.compile(
    r'^(?:chdir\("(?P<path>(?:[^"\\]|\\.)*)"|fchdir\(\d+<(?P<folder>(?:[^>\\]|\\.)*)>)\)\s+= 0$'
)
#: What openings that were asked for, and not seen made, stand for.
_FLAGS = {
    openings.READ: frozenset({"O_RDONLY"}),
    openings.MADE: frozenset({"O_CREAT", "O_EXCL"}),
    openings.READ_WRITE: frozenset({"O_RDWR"}),
    openings.MADE_READ_WRITE: frozenset({"O_RDWR", "O_CREAT", "O_EXCL"}),
}


@dataclass(slots=True)
class Reads:
    """The openings of one training, told one after the other.

    A file that gets another name is the same file: it stands under the first name that is known of it.

    Attributes:
        paths: Absolute paths without links, of files that were read, and not written by the training before; with
            when each was opened first (seconds since 1970), if that is known.
        perhaps_own: Those of them that the training would have created, had they not been there.
        no_files: Paths that were folders or pipes at some time.
        made_folders: Those of them that the training made.
        changed_s: Of those that the audit hook saw, when they had been changed as they were opened first.
        read_write: Paths of files that were opened for reading and writing, under all names that they had: through a
            memory map they can be changed without a change of their times.
        package_folders: Where packages are installed that a Python could import.
        connections: Whom it called over the network.
        is_torn: Some openings were seen and could not be written down, or are too many to be read again.
        now_s: When what is told next happened.
    """

    paths: dict[str, float | None] = field(default_factory=dict)
    perhaps_own: set[str] = field(default_factory=set)
    no_files: set[str] = field(default_factory=set)
    made_folders: set[str] = field(default_factory=set)
    changed_s: dict[str, float] = field(default_factory=dict)
    read_write: set[str] = field(default_factory=set)
    package_folders: set[str] = field(default_factory=set)
    connections: Connections = field(default_factory=Connections)
    is_torn: bool = False
    now_s: float | None = None
    _own: set[str] = field(default_factory=set)
    _first: dict[str, str] = field(default_factory=dict)  # present name of a file or folder: its first
    _left: set[str] = field(default_factory=set)  # first names that were given up
    _hold: set[str] = field(default_factory=set)  # folders that a path of these lies in, or lay

    def opened(self, path: str, flags: frozenset[str]) -> None:
        """A file was opened."""
        if not path.startswith("/") or flags & _NO_READING:
            return
        if "O_RDWR" in flags:
            self.read_write.add(path)
            self._note(path)
        if not flags & _WRITES:  # most often; what is the same for all others comes below
            if path not in self._own:
                self.paths.setdefault(self._first_name(path), self.now_s)
            return
        self._opened_to_write(path, flags)

    def _opened_to_write(self, path: str, flags: frozenset[str]) -> None:
        """Perhaps to read it, too."""
        first = self._first_name(path)
        is_made = first == path and path.rpartition("/")[0] in self.made_folders
        if "O_TRUNC" in flags or {"O_CREAT", "O_EXCL"} <= flags or ("O_CREAT" in flags and is_made):
            if first not in self.paths:
                self._make(path)
                self._first.pop(path, None)
        elif path in self._own:
            return
        elif "O_CREAT" in flags and first not in self.paths:
            # What was there before, it may read now or later; what was not is its own.
            self.perhaps_own.add(first)
            if "O_WRONLY" not in flags:
                self.paths[first] = self.now_s
        elif "O_WRONLY" not in flags:
            self.paths.setdefault(first, self.now_s)

    def moved(self, old: str, new: str, *, stays: bool = False) -> None:
        """A file, or a folder with all that lies in it, got another name; ``stays``: it keeps the old one too."""
        if old == new:
            return
        if old in self.read_write:
            self.read_write.add(new)
            self._note(new)
        elif old in self._hold:
            inner = [path for path in self.read_write if path.startswith(f"{old}/")]
            for path in inner:
                self.read_write.add(new + path.removeprefix(old))
                self._note(new + path.removeprefix(old))
        if old in self._own:
            self._make(new)
            self._first.pop(new, None)
        else:  # most often a file, and there may be ten thousand of them; perhaps a folder
            for path in (
                [path for path in self._own if path.startswith(f"{old}/")] if old in self._hold else ()
            ):
                self._make(new + path.removeprefix(old))
            self._own.discard(new)
            self._renamed(old, new, stays=stays)
        if not stays:
            self._own.discard(old)

    def _renamed(self, old: str, new: str, *, stays: bool) -> None:
        """The same for what the training did not make."""
        first = self._first_name(old)
        for path in [path for path in self._first if path.startswith(f"{old}/")] if old in self._hold else ():
            self._call(new + path.removeprefix(old), self._first.pop(path))
        if not stays:
            self._first.pop(old, None)
            self._left.add(first)
        if new == first:
            self._left.discard(first)
            self._first.pop(new, None)
        else:
            self._call(new, first)

    def _make(self, path: str) -> None:
        self._own.add(path)
        self._note(path)

    def _call(self, path: str, first: str) -> None:
        self._first[path] = first
        self._note(path)

    def _note(self, path: str) -> None:
        """The folders above a path that may have to be moved with one of them."""
        for folder in _upwards(path.rpartition("/")[0]):
            if folder in self._hold:
                return
            self._hold.add(folder)

    def no_file(self, path: str, *, is_made: bool = False) -> None:
        """A pipe was made or a folder taken away; ``is_made``: a folder was made."""
        self.no_files |= {path, self._first_name(path)}
        if is_made:
            self.made_folders.add(path)

    def _first_name(self, path: str) -> str:
        return _by_folder(path, self._first) if self._first else path

    def moved_to(self) -> dict[str, tuple[str, ...]]:
        """For files that were read and got other names: where each may lie, the likeliest first."""
        if not self._first and not self._left:
            return {}
        names: dict[str, list[str]] = {}
        for name, first in self._first.items():
            names.setdefault(first, []).append(name)
        places: dict[str, tuple[str, ...]] = {}
        for path in self.paths:
            for folder in _upwards(path):
                if folder in names or folder in self._left:
                    found = [name + path[len(folder) :] for name in names.get(folder, ())]
                    places[path] = (*found, path) if folder in self._left else (path, *found)
                    break
        return places


def _upwards(path: str) -> Iterator[str]:
    """``path`` and all folders above it."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _by_folder(path: str, names: dict[str, str]) -> str:
    """``path`` with the name that ``names`` has for it, or for the nearest folder above it."""
    for folder in _upwards(path):
        if folder in names:
            return names[folder] + path[len(folder) :]
    return path


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
    return f"strace cannot follow processes here: {_reason(said[-1]) if said else 'it gave no reason'}"


def _reason(said: str) -> str:
    """What strace said, and who could change it where the system forbids it."""
    if "Operation not permitted" not in said:
        return said
    try:
        scope = int(_PTRACE_SCOPE.read_text("ascii"))
    except (OSError, ValueError):
        scope = 0
    if scope > 1:
        return f"kernel.yama.ptrace_scope is {scope}, and an administrator would have to make it 1 or 0"
    return "ptrace is not permitted; a container needs the option --cap-add=SYS_PTRACE for it"


def traced(argv: Sequence[str], folder: Path, *, is_timed: bool = False) -> tuple[str, ...]:
    """``argv`` under strace, which writes into ``folder``; with the times of all openings if ``is_timed``."""
    return (*_strace(_CALLS, folder, is_timed=is_timed), *argv)


def listened(argv: Sequence[str], folder: Path) -> Listened | None:
    """The same with its openings told by the kernel's own question; None where that is not known to be possible."""
    if not seccomp.is_known_here():
        return None
    before = _strace(_OTHER_CALLS, folder, is_timed=True)
    return Listened(before, tuple(argv), str(folder / openings.FILE_NAME))


def _strace(calls: str, folder: Path, *, is_timed: bool) -> tuple[str, ...]:
    options = strace.options(calls, is_timed=is_timed)
    return (str(strace.program()), *options, "-o", str(folder / strace.FILE_NAME), "--")


def from_strace(folder: Path, cwd: str) -> Reads:
    """What strace saw of a training that was started in ``cwd``, and what that asked before it opened files."""
    reads, where = Reads(), {"": cwd}
    file, asked = folder / strace.FILE_NAME, folder / openings.FILE_NAME
    calls = strace.calls_in(file) if file.is_file() else iter(())
    for pid, call, reads.now_s in asked_before.merged(calls, asked) if asked.is_file() else calls:
        if call is strace.TORN:
            reads.is_torn = True
        elif isinstance(call, Asked):
            if call.kind == openings.FOLDER:
                where[pid] = call.path
            else:
                reads.opened(call.path, _FLAGS[call.kind])
        elif isinstance(call, str):
            _take_other(call, pid, where, reads)
        else:
            if call.is_cwd and call.folder:  # else it is any folder that is open
                where[pid] = call.folder
            if call.error is None:
                reads.opened(call.path, call.flags)
    return reads


def _take_other(call: str, pid: str, where: dict[str, str], reads: Reads) -> None:
    """A name that changed, or the folder that names are relative to; strace names that with most openings."""
    here = where.get(pid, where[""])
    if found := _CHDIR.match(call):
        where[pid] = posixpath.normpath(
            posixpath.join(here, strace.text_of(found["path"] or found["folder"]))
        )
    elif found := _MOVED.match(call):
        old, new = (_named(found[place] or "", found[name], here) for place, name in _OLD_AND_NEW)
        if not old.startswith("/proc/"):  # an unnamed file, by its descriptor
            reads.moved(old, new, stays=found["call"].startswith("link"))
    elif found := _NO_FILE.match(call):
        folder = found["folder"] or found["of"] or ""
        path = _named(folder, found["path"] or found["taken"], here)
        reads.no_file(path, is_made=call.startswith("mkdir"))
    else:
        reads.connections.take(call)


def _named(folder: str, path: str, here: str) -> str:
    """The absolute path of a name itself: what lies there may be a link, or gone."""
    whole = posixpath.normpath(posixpath.join(strace.text_of(folder) or here, strace.text_of(path)))
    parent, _, name = whole.rpartition("/")
    return posixpath.join(os.path.realpath(parent or "/"), name)


def from_hook(folder: Path) -> Reads:
    """What the audit hook of :mod:`datakeep.rerun.audit_hook` wrote into ``folder``, of all processes."""
    reads = Reads()
    flags: dict[str, frozenset[str]] = {}
    for _, kind, *paths in sorted(_events(folder), key=itemgetter(0)):
        if kind in ("moved", "linked"):
            reads.moved(paths[0], paths[1], stays=kind == "linked")
        elif kind == "packages":
            reads.package_folders.update(paths)
        elif kind == "called":
            reads.connections.called(paths[0], int(paths[1]))
        elif kind == "bound":
            reads.connections.had(paths[0], int(paths[1]))
        else:
            words = flags.get(kind)
            if words is None:
                words = flags[kind] = frozenset(kind.split("|"))
            reads.opened(paths[0], words)
            if len(paths) > 1:
                reads.changed_s.setdefault(paths[0], float(paths[1]))
    return reads


def _events(folder: Path) -> Iterator[list[str]]:
    for file in folder.glob("*.reads"):
        lines = file.read_bytes().splitlines()
        try:
            yield from json.loads(b"[%s]" % b",".join(lines))  # at once, in a third of the time
        except ValueError:
            yield from _whole_ones(lines)


def _whole_ones(lines: Sequence[bytes]) -> Iterator[list[str]]:
    for line in lines:
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
