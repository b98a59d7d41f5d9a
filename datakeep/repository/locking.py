"""Taking turns in a repository, and clearing what a killed git left behind.

git locks each ref with a file that a SIGKILL leaves in place for ever, and so it leaves half-written
objects. Whoever holds *our* lock of a repository knows that no other datakeep is at work in it, and may
remove lock files once they are older than any git needs for its own. Half-written objects are removed
where a mark says that the datakeep before us never came to its end.
"""

from __future__ import annotations

import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from datakeep.core.errors import Locked
from datakeep.repository.faults import os_fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: git holds a ref's lock for milliseconds; an older one belongs to a killed process.
STALE_AFTER_S = 2.0
#: What git writes before it knows the name; ``*`` in front is the folder of a loose object.
_TEMPORARY = ("objects/pack/tmp_*", "objects/*/tmp_obj_*", "fast_import_crash_*")
#: Where a push is kept until it is found whole.
_QUARANTINES = ("objects/tmp_objdir-*", "objects/incoming-*")


@contextmanager
def exclusive(repository: Path, *, timeout_s: float = 60) -> Iterator[None]:
    """Alone, among all datakeeps of all machines that see the folder, in a bare ``repository``.

    The lock file lies beside the repository, so that it can be made before the repository is.

    Raises:
        Locked: Someone else has held the lock for ``timeout_s``.
        AccessDenied: The folder beside the repository cannot be written.
    """
    from filelock import FileLock, Timeout

    path = repository.with_name(repository.name + ".lock")
    lock = FileLock(path, timeout=timeout_s, mode=0o664)
    try:
        lock.acquire()
    except Timeout as error:
        raise Locked(
            f"another datakeep has been writing to {repository} for more than {timeout_s:g} s",
            next_step="wait for it to end, then run the command again",
        ) from error
    except OSError as error:
        raise os_fault(error, f"cannot lock {repository}", repository.parent) from error
    mark = repository.with_name(repository.name + ".busy")
    try:
        with marked(mark, repository, doing=f"cannot write beside {repository}"):
            yield
    finally:
        lock.release()


@contextmanager
def marked(mark: Path, git_folder: Path, *, doing: str, text: str = "") -> Iterator[None]:
    """``mark`` exists while the block runs, and stays if it is killed; the next one then clears up first.

    A block that fails clears up after itself. The caller holds the lock of ``git_folder``.

    Args:
        mark: The file.
        git_folder: The bare repository, or the ``.git`` of a clone, that is worked in.
        doing: What fails if the mark cannot be written.
        text: What the mark says.

    Raises:
        NoSpace, AccessDenied: The mark cannot be written.
    """
    try:
        if mark.exists():
            remove_stale_locks(git_folder, young=True)
            remove_temporary(git_folder)
        mark.write_text(text, "ascii")
    except OSError as error:
        raise os_fault(error, doing, mark.parent) from error
    try:
        yield
    except BaseException:
        remove_temporary(git_folder)
        raise
    finally:
        with suppress(OSError):  # then the next one clears up where there is nothing to clear
            mark.unlink()


def remove_temporary(git_folder: Path) -> None:
    """Half-written objects are gone. A git that is still at work on them fails, and damages nothing."""
    for pattern in _TEMPORARY:
        for left in git_folder.glob(pattern):
            with suppress(OSError):
                left.unlink()
    for pattern in _QUARANTINES:
        for left in git_folder.glob(pattern):
            # In one step, so that no push can end with only the half of its objects.
            gone = git_folder / f"datakeep-{secrets.token_hex(8)}.gone"
            with suppress(OSError):
                left.rename(gone)
    for gone in git_folder.glob("datakeep-*.gone"):
        shutil.rmtree(gone, ignore_errors=True)


def remove_stale_locks(git_folder: Path, *, young: bool = False, files: tuple[str, ...] = ()) -> None:
    """Lock files of refs that a killed git left are gone; those in use by a living one stay.

    Args:
        git_folder: The bare repository, or the ``.git`` of a clone. The caller holds its lock.
        young: Also wait for the age at which a lock is known to be stale, where there is a younger one.
        files: Lock files of other kinds (``index.lock``), which are removed at any age: only for a
            caller that knows that its own killed git left them.
    """
    for name in files:
        _unlink(git_folder / name)
    locks = [
        *git_folder.glob("refs/**/*.lock"),
        *(git_folder / name for name in ("packed-refs.lock", "config.lock")),
    ]
    if (git_folder / "HEAD").is_file() and (git_folder / "objects").is_dir() and git_folder.name != ".git":
        locks.append(git_folder / "HEAD.lock")
    for lock in locks:
        with suppress(FileNotFoundError):
            age_s = time.time() - lock.lstat().st_mtime
            if young and age_s < STALE_AFTER_S:
                time.sleep(STALE_AFTER_S - max(age_s, 0))
                age_s = STALE_AFTER_S
            if age_s >= STALE_AFTER_S:
                _unlink(lock)


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise os_fault(error, f"cannot remove the stale lock file {path}", path.parent) from error
