"""Folders for clean rooms under the keep's cache, cleared away even after a kill."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from datakeep.workflows.keep import Keep

_LOCK = "lock"


@contextmanager
def own_room(keep: Keep) -> Iterator[Path]:
    """An empty folder for the length of one run; what killed runs left is removed first."""
    rooms = keep.cache("rooms")
    rooms.mkdir(parents=True, exist_ok=True)
    for old in rooms.iterdir():
        _remove_if_dead(old)
    folder = rooms / f"{os.getpid()}-{time.time_ns()}"
    folder.mkdir()
    with FileLock(folder / _LOCK, timeout=0):
        try:
            yield folder
        finally:
            _remove(folder)


def _remove_if_dead(folder: Path) -> None:
    try:
        with FileLock(folder / _LOCK, timeout=0):
            _remove(folder)
    except Timeout:
        return  # another run is at work there
    except FileNotFoundError:
        return  # and has just ended


def _remove(folder: Path) -> None:
    """Trainings may leave folders without the right to write; they go too."""
    for root, names, _ in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)  # noqa: PTH118  (os.walk gives text)
            if not os.path.islink(path):  # noqa: PTH114
                os.chmod(path, 0o700)  # noqa: PTH101
    shutil.rmtree(folder, ignore_errors=True)
