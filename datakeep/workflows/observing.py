"""Watching a training on the user's machine: by strace where that works, else by Python's audit hook."""

from __future__ import annotations

import fcntl
import os
import re
import select
import stat
import sys
import termios
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from datakeep.core.counts import counted
from datakeep.formats.model import Observation
from datakeep.formats.yaml import showable, showable_path
from datakeep.rerun import injected, left_behind, reads
from datakeep.rerun.clock import Clock, is_clock_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datakeep.rerun.attended import Listened
    from datakeep.rerun.reads import Reads

#: What may come in, and is no file whose bytes can be told.
Stream = Literal["pipe", "socket", "deleted file"]
#: More named pipes than this are not listed.
_MAX_PIPES = 20
#: And of those whom a training called over the network.
_MAX_CONNECTIONS = 100
#: Names of files that are there for a moment only, whoever made them.
_PASSING = re.compile(r"(?:-journal|-wal|-shm|[.-]lo?ck)$", re.IGNORECASE)
#: Why strace did not tell of all that it saw.
_TORN = (
    "not all that it saw could be written down and read again, as on a full disk, after millions of files, or where "
    "it was killed"
)


@dataclass(frozen=True, slots=True)
class Watch:
    """How a training is started so that it is watched.

    Attributes:
        argv: Its command, perhaps behind strace.
        environment: Its variables, perhaps with the hook.
        observed: Which of the two it is, and why.
        folder: Where what is seen is written.
        cwd: Where it starts.
        clock: Was started with it; began when it does.
        is_timed: Whether the files that it leaves get their times by the same clock.
        stream: What its standard input is, where that is no file and something may come through it.
        listened: A cheaper way to see the same, to be tried first.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    observed: Observation
    folder: Path
    cwd: str
    clock: Clock
    is_timed: bool
    stream: Stream | None = None
    listened: Listened | None = None

    @property
    def began_s(self) -> float:
        """When it began, in seconds since 1970."""
        return self.clock.began_s


def watch(
    argv: Sequence[str], environment: Mapping[str, str], folder: Path, out: Path | None = None
) -> Watch:
    """How to start ``argv`` in the current folder so that what it reads is written into ``folder``.

    Args:
        argv: The program, by a path that can be run, and its arguments.
        environment: All variables that it gets.
        folder: An empty folder of absolute path.
        out: Where it leaves its files, if the order of its reads and writes matters.
    """
    why = reads.why_not()
    cwd = os.path.realpath(os.curdir)
    if why is None:
        observed, is_timed = Observation(by="strace"), out is not None and is_clock_of(out)
        return Watch(
            reads.traced(argv, folder, is_timed=is_timed),
            environment,
            observed,
            folder,
            cwd,
            Clock(),
            is_timed,
            stream(),
            reads.listened(argv, folder),
        )
    observed = Observation(by="audit-hook", why=why)
    return Watch(
        tuple(argv),
        injected.inject(environment, folder),
        observed,
        folder,
        cwd,
        Clock(),
        is_timed=False,
        stream=stream(),
    )


def stream() -> Stream | None:
    """What this process's standard input is, where that is no file; None where nothing can come through it.

    Whether a program reads from it is not seen: to stop it at every reading would make it many times slower.
    """
    try:
        status = os.fstat(0)
        mode = status.st_mode
        if stat.S_ISREG(mode):
            return None if status.st_nlink or not status.st_size else "deleted file"
        kind: Stream | None = "pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else None
        if kind is None:
            return None
        waiting = select.poll()
        waiting.register(0, select.POLLIN | select.POLLHUP)
        came = dict(waiting.poll(0)).get(0, 0)
        left = int.from_bytes(fcntl.ioctl(0, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:
        return None
    return None if came & select.POLLHUP and not left else kind


@dataclass(frozen=True, slots=True)
class FilesSeen:
    """What a training read and had not made itself.

    Attributes:
        paths: Absolute, without links, sorted; of a renamed file the first name.
        moved: Of those that got other names during the training: where each may lie now, the likeliest first.
        doubtful: Of those that are gone, what it may have made itself.
        package_folders: Where packages are installed that a Python of the training could import.
        is_torn: Some were seen and could not be written down, or are too many to be read again.
        pipes: Named pipes that others had made, and it opened; sorted.
        connections: Whom it called over the network, with ports; sorted.
        read_write: Paths that it opened for reading and writing, under all names that they had.
        opened_s: When each was opened first (seconds since 1970); empty if that cannot be held against the times of
            the files that the training left.
    """

    paths: tuple[str, ...] = ()
    moved: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    doubtful: tuple[str, ...] = ()
    package_folders: frozenset[str] = frozenset()
    is_torn: bool = False
    pipes: tuple[str, ...] = ()
    connections: tuple[str, ...] = ()
    read_write: frozenset[str] = frozenset()
    opened_s: Mapping[str, float] = field(default_factory=dict)


def seen(watch: Watch) -> FilesSeen:
    """All files that it read and had not made itself."""
    if watch.observed.by == "strace":
        found = reads.from_strace(watch.folder, watch.cwd)
    else:
        found = reads.from_hook(watch.folder)
    for path in _standard_input():
        found.paths[path] = watch.began_s
    told = only_read(found, watch.began_s)
    if not watch.is_timed or watch.clock.was_set_back():
        return told
    opened_s = {path: at_s for path, at_s in found.paths.items() if at_s is not None}
    return replace(told, read_write=frozenset(found.read_write), opened_s=opened_s)


def _standard_input() -> list[str]:
    """The file that it comes from, if it is one: the training was handed it open, and never opened it."""
    path = os.path.realpath("/proc/self/fd/0")
    return [path] if Path(path).is_file() else []


def only_read(found: Reads, began_s: float) -> FilesSeen:
    """Those that were there before: of what it would have created, the file system tells when it was born."""
    moved = found.moved_to()
    # The hook does not see what C writes: what came into being since then may be the training's own.
    new = {path for path, changed_s in found.changed_s.items() if changed_s >= began_s}
    new = {path for path in new & found.paths.keys() if _present(path, moved) is None}
    doubtful = sorted((found.perhaps_own & found.paths.keys()) | new)
    place_of = {path: _present(path, moved) for path in doubtful}
    born = reads.born_after([place for place in place_of.values() if place], began_s)
    # A gone one cannot be asked; what SQLite and locks leave for a moment is nobody's data.
    gone = [path for path, place in place_of.items() if place is None]
    own = {path for path, place in place_of.items() if place in born} | set(gone)
    own |= {path for path in found.no_files & found.paths.keys() if not os.path.isfile(path)}  # noqa: PTH113
    return FilesSeen(
        tuple(sorted(path for path in found.paths if path not in own)),
        moved,
        tuple(path for path in gone if not _PASSING.search(path) and path not in found.no_files),
        frozenset(found.package_folders),
        found.is_torn,
        tuple(sorted(path for path in found.paths.keys() - found.no_files if _is_pipe(path))),
        found.connections.told(),
    )


def _is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:  # it is gone, or lies where nobody may look any more
        return False


def left_running(watch: Watch) -> list[str]:
    """The names of the programs of its processes that still run after its end, and do not leave within a moment."""
    is_traced = watch.observed.by == "strace"
    return left_behind.followed(watch.folder) if is_traced else left_behind.hooked(watch.folder)


def observed(watch: Watch, read: FilesSeen, left: Sequence[str] = ()) -> Observation:
    """How it is known what was read, now that the training has ended; ``left`` are the programs that run on."""
    why = [_TORN if read.is_torn else watch.observed.why, still_running(left)]
    told: dict[str, Any] = {"standard_input": watch.stream} if watch.stream else {}
    if any(why):
        told["why"] = "; ".join(filter(None, why))
    return with_streams(watch.observed.model_copy(update=told), read)


def with_streams(how: Observation, read: FilesSeen) -> Observation:
    """``how``, with what data may have come through that is no file: named pipes, connections."""
    told: dict[str, Any] = {}
    if read.pipes:
        told["pipes"] = showable([showable_path(path) for path in read.pipes[:_MAX_PIPES]])
    if read.connections:
        told["connections"] = showable([*read.connections[:_MAX_CONNECTIONS]])
    return how.model_copy(update=told) if told else how


def still_running(left: Sequence[str]) -> str:
    """Why not all is known that a training read, where it left processes; else empty."""
    if not left:
        return ""
    verb = "was" if len(left) == 1 else "were"
    return f"{counted(len(left), 'process', 'processes')} of the training {verb} still running at its end"


def _present(path: str, moved: Mapping[str, tuple[str, ...]]) -> str | None:
    """Where a file that was read is now; None if it is nowhere."""
    return next((place for place in moved.get(path, (path,)) if os.path.lexists(place)), None)
