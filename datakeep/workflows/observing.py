"""Watching a training on the user's machine: by strace where that works, else by Python's audit hook."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.formats.model import Observation
from datakeep.rerun import injected, reads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datakeep.rerun.reads import Reads


@dataclass(frozen=True, slots=True)
class Watch:
    """How a training is started so that it is watched.

    Attributes:
        argv: Its command, perhaps behind strace.
        environment: Its variables, perhaps with the hook.
        observed: Which of the two it is, and why.
        folder: Where what is seen is written.
        cwd: Where it starts.
        began_s: When (seconds since 1970).
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    observed: Observation
    folder: Path
    cwd: str
    began_s: float


def watch(argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> Watch:
    """How to start ``argv`` in the current folder so that what it reads is written into ``folder``.

    Args:
        argv: The program, by a path that can be run, and its arguments.
        environment: All variables that it gets.
        folder: An empty folder of absolute path.
    """
    why = reads.why_not()
    cwd = os.path.realpath(os.curdir)
    if why is None:
        observed = Observation(by="strace")
        return Watch(reads.traced(argv, folder), environment, observed, folder, cwd, time.time())
    observed = Observation(by="audit-hook", why=why)
    return Watch(tuple(argv), injected.inject(environment, folder), observed, folder, cwd, time.time())


def seen(watch: Watch) -> tuple[str, ...]:
    """The absolute paths, without links, of all files that it read and had not made itself, sorted."""
    if watch.observed.by == "strace":
        found = reads.from_strace(watch.folder, watch.cwd)
    else:
        found = reads.from_hook(watch.folder)
    for path in _standard_input():
        found.paths.setdefault(path)
    return only_read(found, watch.began_s)


def _standard_input() -> list[str]:
    """The file that it comes from, if it is one: the training was handed it open, and never opened it."""
    path = os.path.realpath("/proc/self/fd/0")
    return [path] if Path(path).is_file() else []


def only_read(found: Reads, began_s: float) -> tuple[str, ...]:
    """Those that were there before: of what it would have created, the file system tells when it was born."""
    doubtful = sorted(found.perhaps_own & found.paths.keys())
    own = reads.born_after(doubtful, began_s)
    return tuple(sorted(path for path in found.paths if path not in own))
