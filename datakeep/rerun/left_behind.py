"""Which processes a training on the user's own machine left running, that could still read what nobody writes down.

They are left alone, and are not found by their parents: an orphan has another one. strace tells of each process that
it follows, and the variables of a Python that is watched by the audit hook name the folder that it writes into.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.rerun import strace
from datakeep.rerun.supervisor import staying

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PROC = Path("/proc")


def followed(folder: Path) -> list[str]:
    """The names of the programs, one for each process that strace still follows for the trace in ``folder``.

    Processes that leave by themselves within a moment, such as the helpers of a pool, are none.
    """
    return _names(lambda: _followed(os.fsencode(folder / strace.FILE_NAME)))


def hooked(folder: Path) -> list[str]:
    """The same of those that were started with the audit hook that writes into ``folder``."""
    return _names(lambda: _hooked(os.fsencode(folder)))


def _names(find: Callable[[], list[int]]) -> list[str]:
    names = [_status(process_id).get("Name") for process_id in staying(find)]
    return [name for name in names if name is not None]


def _followed(trace: bytes) -> list[int]:
    by_tracer: dict[str, list[int]] = {}
    for process_id in _processes():
        status = _status(process_id)
        if status.get("TracerPid", "0") != "0" and not status.get("State", "Z").startswith("Z"):
            by_tracer.setdefault(status["TracerPid"], []).append(process_id)
    return [
        one
        for tracer, ones in by_tracer.items()
        if trace in _read(tracer, "cmdline").split(b"\0")
        for one in ones
    ]


def _hooked(folder: bytes) -> list[int]:
    return [
        process_id
        for process_id in _processes()
        if folder in _read(process_id, "environ")
        and not _status(process_id).get("State", "Z").startswith("Z")
    ]


def _processes() -> Iterator[int]:
    for place in _PROC.iterdir():
        if place.name.isdigit() and int(place.name) != os.getpid():
            yield int(place.name)


def _status(process_id: int) -> dict[str, str]:
    """What the kernel says of a process, by name; nothing of one that is gone."""
    lines = _read(process_id, "status").decode("utf-8", "replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _read(process_id: int | str, what: str) -> bytes:
    with suppress(OSError):  # it is gone, or somebody else's
        return (_PROC / str(process_id) / what).read_bytes()
    return b""
