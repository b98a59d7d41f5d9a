"""Tells which files a Python process opens, by an audit hook; for where strace is missing or forbidden.

Copied as it is into a folder on the training's PYTHONPATH, and imported there by a ``sitecustomize``: it
must run with any Python from 3.8 on, needs the standard library only, and never breaks the training.
Each process appends lines of JSON to a file of its own: time, flags, path, and when the file was changed; or time,
``moved`` or ``linked``, two paths; or time, ``packages``, the folders that packages are imported from; or time,
``called`` or ``bound``, a host and a port. An opening is
told only of what is a file then, since it may be gone when the training ends, or the opening may fail.

It sees what Python itself opens. Libraries that open files in C or Rust, and programs that are no Python,
are not seen; docs/run.md has the list, which a test keeps.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from _thread import get_ident

try:
    from _json import encode_basestring_ascii as _text  # alone: json is of many modules, and not all need it
except ImportError:
    from json.encoder import encode_basestring_ascii as _text

TYPE_CHECKING = False  # that of typing is of many modules
if TYPE_CHECKING:
    from typing import Any

_EVENTS = frozenset(("open", "os.rename", "os.link", "sqlite3.connect", "socket.connect", "socket.bind"))
#: 0 where the system has no such flag.
_LOOK = getattr(os, "O_PATH", 0)
#: As Linux has them: the module that knows them by name is not loaded for this alone.
_INTERNET, _STREAM = (2, 10), 1
_FLAGS = ("O_CREAT", "O_EXCL", "O_TRUNC", "O_DIRECTORY", "O_PATH")


class Watch:
    """The hook of one process and of those that it forks."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.active = True
        self.busy: set[int] = set()
        self.failure: Exception | None = None
        self.pid = 0
        self.sink = -1
        self.file: os.stat_result | None = None
        self.seen: set[str] = set()
        self.kinds: dict[object, str] = {}

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """Called by Python at each audit event; whatever goes wrong in it is not the training's affair."""
        if event not in _EVENTS or not self.active:
            return
        thread = get_ident()
        if thread in self.busy:  # our own opening
            return
        self.busy.add(thread)
        try:
            self._take(event, arguments)
        except Exception as error:  # noqa: BLE001  (a training must not fail for being watched)
            self.failure = error
        finally:
            self.busy.discard(thread)

    def packages(self) -> None:
        """Write down where this process imports packages from; ``site`` has looked at them before the hook."""
        ends = ("site-packages", "dist-packages")
        places = [os.path.realpath(place) for place in sys.path if place.rstrip("/").endswith(ends)]
        if places:
            self._write("packages", *places)

    def _take(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if not isinstance(path, int):
                kind = self.kinds.get((mode, flags))
                if kind is None:
                    kind = self.kinds[(mode, flags)] = flags_of(mode, flags)
                self._opened(kind, path)
        elif event == "sqlite3.connect":
            self._opened("O_RDWR|O_CREAT", arguments[0])
        elif event in ("socket.connect", "socket.bind"):
            self._called("called" if event == "socket.connect" else "bound", *arguments)
        elif all(
            number == -1 for number in arguments[2:4]
        ):  # else the names are those of a folder that is open
            self.seen = set()  # a name may be another file's now
            self._renamed(is_link=event == "os.link", old=_named(arguments[0]), new=_named(arguments[1]))

    def _called(self, kind: str, socket: Any, address: Any) -> None:
        """Told before it happens; datagrams ask for names, and local sockets have no port."""
        if socket.family in _INTERNET and socket.type & 0xF == _STREAM:
            self._write(kind, str(address[0]), "%d" % address[1])  # noqa: UP031

    def _renamed(self, *, is_link: bool, old: str, new: str) -> None:
        """Told before it happens, which it does not where it cannot."""
        if os.path.lexists(old) and not (is_link and os.path.lexists(new)):
            self._write("linked" if is_link else "moved", old, new)

    def _opened(self, kind: str, path: object) -> None:
        real, there = _look(path)
        if there is None:
            if "O_CREAT" in kind:  # it was not there: it is the training's own
                self._write(kind + "|O_EXCL", real)
        elif stat.S_ISREG(there.st_mode) and not (
            kind == "O_RDONLY" and real in self.seen and self.pid == os.getpid()
        ):
            self._write(kind, real, "%.6f" % there.st_ctime)  # noqa: UP031
            if kind == "O_RDONLY":
                self.seen.add(real)

    def _write(self, kind: str, *told: str) -> None:
        if self.pid != os.getpid() or not self._is_ours():
            self.pid, self.seen = os.getpid(), set()
            name = os.path.join(self.folder, "%d-%d.reads" % (self.pid, time.time_ns()))  # noqa: PTH118, UP031
            self.sink = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self.file = os.fstat(self.sink)
        line = '["%020d", "%s", %s]\n' % (time.time_ns(), kind, ", ".join(map(_text, told)))  # noqa: UP031
        os.write(self.sink, line.encode("ascii"))

    def _is_ours(self) -> bool:
        """Whether the descriptor still is; a training may close all that it does not know, and get its number."""
        try:
            there = os.fstat(self.sink)
        except OSError:
            return False
        return self.file is not None and (there.st_dev, there.st_ino) == (self.file.st_dev, self.file.st_ino)


def _look(path: object) -> tuple[str, os.stat_result | None]:
    """The absolute path without links of a file, and what it is; None where there is none.

    The kernel tells both of a descriptor in a quarter of the time that a walk through the folders takes. ``O_PATH``
    opens nothing: a pipe or a tape is not touched.
    """
    if not _LOOK:
        return _look_by_name(path)
    try:
        number = os.open(path, _LOOK)  # type: ignore[arg-type]
    except OSError:
        return _look_by_name(path)
    try:
        there = os.fstat(number)
        real = os.readlink("/proc/self/fd/%d" % number)  # noqa: PTH115, UP031
    except OSError:
        return _look_by_name(path)
    finally:
        os.close(number)
    # One that is gone has a note behind its name, and one out of reach a note before it.
    return (real, there) if there.st_nlink and real.startswith("/") else _look_by_name(path)


def _look_by_name(path: object) -> tuple[str, os.stat_result | None]:
    """The same where there is no such file, no /proc, or no descriptor left."""
    real = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]  # os's functions take nothing else
    try:
        return real, os.stat(real)  # noqa: PTH116
    except OSError:
        return real, None


def _named(path: object) -> str:
    """Of what is moved the name itself, which may be a link."""
    whole = os.path.abspath(os.fsdecode(path))  # type: ignore[arg-type]  # noqa: PTH100
    return os.path.join(os.path.realpath(os.path.dirname(whole)), os.path.basename(whole))  # noqa: PTH118, PTH119, PTH120


def flags_of(mode: object, flags: object) -> str:
    """The flags of an opening in the words of open(2): Python tells them as a number, or only the mode."""
    if not isinstance(flags, int):
        flags = 0
    access = flags & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
    words = [{os.O_WRONLY: "O_WRONLY", os.O_RDWR: "O_RDWR"}.get(access, "O_RDONLY")]
    words += [
        name for name in _FLAGS if getattr(os, name, 0) and flags & getattr(os, name) == getattr(os, name)
    ]
    if isinstance(mode, str) and set(mode) & set("wx"):
        words += ["O_CREAT", "O_TRUNC"]
    return "|".join(words)


def install(folder: str) -> Watch:
    """From now on this process, and those that it forks, write down what they open, into ``folder``."""
    watch = Watch(folder)
    try:
        watch.packages()
    except Exception as error:  # noqa: BLE001  (a training must not fail for being watched)
        watch.failure = error
    sys.addaudithook(watch)
    return watch
