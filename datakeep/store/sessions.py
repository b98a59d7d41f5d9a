"""Whose temporary files are whose, on a server where nothing can be locked.

Each writer's folder is named for its process. On the same machine the system tells whether that process lives; of
another machine's, it is the time since anything in the folder was written, by the server's own clock.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: A writer on another machine is taken for dead after this long without a write.
DEAD_AFTER_S = 24 * 3600
_NAME = re.compile(r"([0-9a-f]{16})-([0-9]+)-([0-9]+)-[0-9a-f]{16}")


def session_name() -> str:
    """A new name: this machine, this process, when it began, and chance."""
    process = os.getpid()
    return f"{_machine()}-{process}-{_began(process) or 0}-{secrets.token_hex(8)}"


def is_alive(name: str) -> bool | None:
    """Whether the process that a session is named for lives; None if that cannot be told from here."""
    found = _NAME.fullmatch(name)
    if not found or found[1] != _machine():
        return None
    return _began(int(found[2])) == int(found[3])


@functools.cache
def _machine() -> str:
    """This start of this machine, and its namespace of processes: a container's process 7 is not the host's."""
    parts = []
    reads: tuple[Callable[[], object], ...] = (
        Path("/proc/sys/kernel/random/boot_id").read_text,
        Path("/proc/self/ns/pid").readlink,
    )
    for read in reads:
        try:
            parts.append(str(read()))
        except OSError:
            parts.append(secrets.token_hex(8))  # then no process of before is known here, which is safe
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _began(process: int) -> int | None:
    """When a process began, in ticks since the machine did; None if there is none."""
    try:
        text = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])
