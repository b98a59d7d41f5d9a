"""Folders that last as long as one ``with`` block, and that the next one removes where a kill left them.

Each is locked as long as its process lives, so that what is not locked is dead. It gets its name only when it is
locked: nobody takes one for dead that has just been made.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import UsageError
from datakeep.core.interrupts import deferred

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = "datakeep-scratch-"
_BEING_MADE = "datakeep-new-"
#: Between its making and its locking nobody needs this long.
_MADE_S = 3600


def temporary_files() -> Path:
    """The folder for temporary files: ``TMPDIR``, or the system's own where that is not set.

    Python takes another folder, without a word, where ``TMPDIR`` cannot be used: the bytes would lie on a disk that
    nobody chose.

    Raises:
        UsageError: ``TMPDIR`` names no folder that can be written to.
    """
    named = os.environ.get("TMPDIR")
    if not named:
        return Path(tempfile.gettempdir())
    folder = Path(named).absolute()
    usable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    if not usable:
        why = "cannot be written to" if folder.is_dir() else "is not there"
        if folder.exists() and not folder.is_dir():
            why = "is no folder"
        raise UsageError(
            f"the folder for temporary files that TMPDIR names, {folder}, {why}",
            next_step="set TMPDIR to a folder that you may write to, or unset it, and run this again",
        )
    return folder


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder of our own among the temporary files; what killed processes left there goes first.

    Raises:
        UsageError: ``TMPDIR`` names no folder that can be written to.
    """
    base = temporary_files()
    _sweep(base)
    with deferred() as interrupted:
        new = Path(tempfile.mkdtemp(prefix=_BEING_MADE, dir=base))
        lock = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
        folder = new
        with suppress(OSError):  # a file system without locks: nobody will ever take it for dead
            fcntl.flock(lock, fcntl.LOCK_EX)
            folder = new.rename(base / f"{_NAME}{secrets.token_hex(8)}")
    try:
        if not interrupted():
            yield folder
    finally:
        with deferred() as late:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
        if interrupted() or late():
            raise KeyboardInterrupt


def _sweep(base: Path) -> None:
    for old in base.glob(f"{_NAME}*"):
        if _is_ours(old) and not _is_locked(old):
            shutil.rmtree(old, ignore_errors=True)
    for old in base.glob(f"{_BEING_MADE}*"):
        with suppress(OSError):
            if _is_ours(old) and time.time() - old.stat().st_mtime > _MADE_S:
                old.rmdir()


def _is_ours(folder: Path) -> bool:
    """Others may put anything there, under any name."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _is_locked(folder: Path) -> bool:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return True  # somebody else has just removed it
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
