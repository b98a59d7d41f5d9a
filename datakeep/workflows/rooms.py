"""Folders for clean rooms under the keep's cache, cleared away even after a kill."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from datakeep.core.interrupts import uninterrupted
from datakeep.store.faults import folder_faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from datakeep.workflows.keep import Keep

_LOCK = "lock"


@contextmanager
def own_room(keep: Keep) -> Iterator[Path]:
    """An empty folder for the length of one run; what killed runs left is removed first.

    Raises:
        NoSpace, AccessDenied: The keep's cache cannot be written.
    """
    rooms = keep.cache("rooms")
    with folder_faults(rooms, "write to it"):
        rooms.mkdir(parents=True, exist_ok=True)
        # Nobody can take a room for a dead one between its making and its locking.
        with FileLock(rooms / _LOCK):
            for old in rooms.iterdir():
                if old.name != _LOCK:
                    _remove_if_dead(old)
            folder = rooms / f"{os.getpid()}-{secrets.token_hex(4)}"
            folder.mkdir()
            lock = FileLock(folder / _LOCK, timeout=0)
            lock.acquire()
    try:
        yield folder
    finally:
        with uninterrupted():
            _remove(folder)
            lock.release()


def _remove_if_dead(folder: Path) -> None:
    try:
        with FileLock(folder / _LOCK, timeout=0):
            _remove(folder)
    except Timeout:
        return  # another run is at work there
    except FileNotFoundError:
        return  # another run has just ended, and takes it away itself


def _remove(folder: Path) -> None:
    """Trainings may leave folders without the right to write; they go too."""
    for root, names, _ in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)  # noqa: PTH118  (os.walk gives text)
            if not os.path.islink(path):  # noqa: PTH114
                with suppress(FileNotFoundError):  # a killed run's training has just ended itself
                    os.chmod(path, 0o700)  # noqa: PTH101
    shutil.rmtree(folder, ignore_errors=True)
