"""Where a writer puts what is not whole yet: a folder of its own on the store, as long as its process lives.

What a killed process left is known by the lock that it no longer holds, also on a share without locks: by its age.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import secrets
import shutil
import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Of a dataset, within its folder on the store.
INCOMING = "datakeep/incoming"
_LOCK_NAME = "in-use"
#: Where a share cannot lock files, a writer is taken for dead after this long.
_DEAD_AFTER_S = 24 * 3600
#: So often others can take a folder away before it is locked; each time is a moment as short as that.
_ATTEMPTS = 100
_CANNOT_LOCK = frozenset({errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL})


class Incoming:
    """A folder of temporary files that lasts as long as its process; a lock in it says that we live."""

    def __init__(self, root: Path, incoming: Path, prefix: str) -> None:
        self.prefix = prefix
        attempts = _ATTEMPTS
        while True:
            self.folder = incoming / secrets.token_hex(8)
            try:
                make_folders(root, self.folder)
                self._lock = (self.folder / _LOCK_NAME).open("wb")
                if _lock(self._lock) and (self.folder / _LOCK_NAME).exists():
                    return
                self._lock.close()
            except (FileNotFoundError, FileExistsError):
                # Someone tidied the folder, or one above it, in the moment before it was locked. Or something else
                # lies there, such as a link to nowhere, and stays.
                attempts -= 1
                if not attempts or not root.is_dir():
                    raise

    def close(self) -> None:
        """Remove the folder."""
        _remove(self.folder)
        self._lock.close()
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()
            self.folder.parent.parent.rmdir()


def _lock(file: IO[bytes]) -> bool:
    """Whether nobody else holds ``file``; true also on a share that cannot lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as fault:
        return fault.errno in _CANNOT_LOCK
    return True


def remove_if_dead(session: Path) -> None:
    """Remove the folder ``session``, if the process that made it has ended without doing so."""
    try:
        age_s = time.time() - session.stat().st_mtime
        with (session / _LOCK_NAME).open("rb+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            except OSError:
                if age_s < _DEAD_AFTER_S:
                    return
            # The lock is held meanwhile, so that a session that is about to begin here begins elsewhere.
            _remove(session)
    except FileNotFoundError:
        # No lock: its process was killed before it made one, or while it removed the folder; or it is about to
        # make one, and begins elsewhere when the folder is gone. Either way nothing lies in it.
        with contextlib.suppress(OSError):
            session.rmdir()
        # Of a datakeep that removed the lock first.
        if session.is_dir() and age_s > _DEAD_AFTER_S:
            shutil.rmtree(session, ignore_errors=True)


def _remove(session: Path) -> None:
    """Remove a folder whose lock we hold; the lock goes when all else is gone, so that the next one finds it dead."""
    with contextlib.suppress(OSError):
        for path in list(session.iterdir()):
            if path.name != _LOCK_NAME:
                shutil.rmtree(path, ignore_errors=True)
                with contextlib.suppress(OSError):
                    path.unlink()
        if [path.name for path in session.iterdir()] == [_LOCK_NAME]:
            shutil.rmtree(session, ignore_errors=True)


def make_folders(root: Path, folder: Path) -> None:
    """``mkdir -p`` that never makes ``root`` itself: it may be the mount point of an unmounted share."""
    if folder == root:
        if not root.is_dir():
            raise FileNotFoundError(root)
        return
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        make_folders(root, folder.parent)
        folder.mkdir(exist_ok=True)
