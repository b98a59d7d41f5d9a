"""Whether times of one training can be held against each other: those of openings, and those of the files it left.

Openings are told by this machine's clock. When a file was changed last is told by its file system, which may be
another machine's.
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: The kernel gives files the time of its last tick, which are ten milliseconds apart at the most.
_TICK_S = 0.011
#: A clock that is brought back in line slowly goes wrong by half of this at most (adjtime); one that is set, at once.
_DRIFT = 0.001


#: Where the kernel takes the times of files from (<time.h>, CLOCK_REALTIME_COARSE).
_OF_FILES = 5
#: Is looked at again so often: on a busy machine a tick may come late, another machine's clock stays what it is.
_TRIES = 5


def file_time_s() -> float:
    """Now, in seconds since 1970, as files changed from now on will say: up to a tick behind ``time.time``."""
    return time.clock_gettime_ns(_OF_FILES) // 1000 / 1e6


class Clock:
    """Begins with the training, and knows whether the machine's clock was set back since.

    Attributes:
        began_s: When that was, as :func:`file_time_s` tells it: no file that the training makes is older.
    """

    def __init__(self) -> None:
        self.began_s = file_time_s()
        self._exact_s = time.time()
        self._steady_s = time.monotonic()

    def was_set_back(self) -> bool:
        """Whether times of before and after can be in the wrong order."""
        steady_s = time.monotonic() - self._steady_s
        return time.time() - self._exact_s < steady_s * (1 - _DRIFT) - _TICK_S


def is_clock_of(folder: Path) -> bool:
    """Whether files in ``folder`` get the time of this machine: tried with some, each there for a moment."""
    try:
        return any(_has_time_of_now(folder) for _ in range(_TRIES))
    except OSError:
        return False


def _has_time_of_now(folder: Path) -> bool:
    before_s = time.time()
    with tempfile.TemporaryFile(dir=folder) as file:
        changed_s = os.fstat(file.fileno()).st_ctime
    return before_s - _TICK_S <= changed_s <= time.time()
