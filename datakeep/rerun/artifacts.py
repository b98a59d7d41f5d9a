"""Reads what a training left behind and trusts none of it: links are not followed, only files are opened."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_CHUNK_BYTES = 1 << 20
#: More files than this are a mistake of the training, not a result.
_MAX_FILES = 100_000
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a training wrote.

    Args:
        path: Relative to the output folder.
        sha256: In hex.
        size_bytes: Its size.
        changed_s: When its bytes, name or rights were changed last, as its file system tells, in seconds since 1970.
    """

    path: str
    sha256: str
    size_bytes: int
    changed_s: float | None = None


def collect(out: Path) -> tuple[list[Artifact], list[str]]:
    """All regular files below ``out``, sorted by path, and in words what was passed over.

    The folder may be gone, or something else by now: that is said, and no fault.
    """
    artifacts: list[Artifact] = []
    passed_over: list[str] = []
    if (why := _no_folder(out)) is not None:
        return [], [why]

    def unreadable(error: OSError) -> None:
        name = os.path.relpath(os.fsdecode(error.filename or out), out)
        passed_over.append(f"{_shown(name)}/: {error.strerror}")

    names_of = _names_of(out)
    for folder, folders, names, folder_fd in _walk(out, unreadable):
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118  bytes may not be UTF-8
        for name in sorted(names + links):
            path = os.path.relpath(os.path.join(folder, name), out)  # noqa: PTH118  as above
            shown = _shown(path)
            if len(artifacts) >= _MAX_FILES:
                return artifacts, [*passed_over, f"more than {_MAX_FILES} files; the rest was not read"]
            found = (
                _one(name, folder_fd, shown, names_of) if shown == path else f"{shown}: its name is not UTF-8"
            )
            if isinstance(found, str):
                passed_over.append(found)
            else:
                artifacts.append(found)
    return sorted(artifacts, key=lambda artifact: artifact.path.encode()), passed_over


def _walk(
    out: Path, unreadable: Callable[[OSError], None]
) -> Iterator[tuple[str, list[str], list[str], int]]:
    """As ``os.fwalk``, to the depth that Python can go down to."""
    try:
        yield from os.fwalk(out, onerror=unreadable, follow_symlinks=False)
    except RecursionError:
        unreadable(OSError(errno.ENAMETOOLONG, "folders in folders, too many of them", str(out)))


def _no_folder(out: Path) -> str | None:
    try:
        status = out.lstat()
        if stat.S_ISDIR(status.st_mode):
            os.close(os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            return None
    except (FileNotFoundError, NotADirectoryError):
        return f"all of {_shown(str(out))}, which was removed or renamed before the training ended"
    except OSError as error:
        return f"all of {_shown(str(out))}: {error.strerror}"
    what = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no folder"
    return f"all of {_shown(str(out))}, which is {what} now"


def _names_of(out: Path) -> Counter[tuple[int, int]]:
    """How many names below ``out`` each file has; a file with more than these is also somewhere else."""
    found: Counter[tuple[int, int]] = Counter()
    for _, _, names, folder_fd in _walk(out, lambda _error: None):
        for name in names:
            with suppress(OSError):  # what it left running may take files away meanwhile
                status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
                found[status.st_dev, status.st_ino] += 1
    return found


def hand_over(out: Path, destination: Path, artifacts: Sequence[Artifact]) -> None:
    """The files of ``artifacts``, as :func:`collect` found them in ``out``, are copied into ``destination``.

    Links and special files are none of them: a link may lead to a key of whoever opens it.

    Raises:
        OSError: One cannot be read or written.
    """
    destination.mkdir(parents=True, exist_ok=True)
    for artifact in artifacts:
        place = destination / artifact.path
        place.parent.mkdir(parents=True, exist_ok=True)
        with _opened(out, artifact.path) as source, place.open("xb") as target:
            shutil.copyfileobj(source, target, _CHUNK_BYTES)


def _one(name: str, folder_fd: int, path: str, names_of: Mapping[tuple[int, int], int]) -> Artifact | str:
    try:
        status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            return f"{path}: a symbolic link to {_shown(os.readlink(name, dir_fd=folder_fd))}"
        if not stat.S_ISREG(status.st_mode):
            return f"{path}: not a regular file"
        if status.st_nlink > names_of[status.st_dev, status.st_ino]:
            return f"{path}: a hard link to a file that lies somewhere else"
        with os.fdopen(os.open(name, _READ, dir_fd=folder_fd), "rb") as source:
            before = os.fstat(source.fileno())
            sha256 = hashlib.file_digest(source, "sha256").hexdigest()
            after = os.fstat(source.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                return f"{path}: it was still being written"
            return Artifact(path, sha256, after.st_size, after.st_ctime)
    except OSError as error:
        return f"{path}: {error.strerror}"


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def read_bounded(out: Path, name: str, limit_bytes: int) -> bytes | None:
    """The regular file ``name`` below ``out``; None if there is none, or a link stands in its way.

    At most ``limit_bytes`` + 1 bytes are read, so that a longer file can be told.
    """
    try:
        with _opened(out, name) as source:
            return source.read(limit_bytes + 1)
    except OSError:
        return None


@contextmanager
def _opened(out: Path, name: str) -> Iterator[IO[bytes]]:
    *folders, last = name.split("/")
    at = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            below = os.open(folder, _READ | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        if not stat.S_ISREG(os.stat(last, dir_fd=at, follow_symlinks=False).st_mode):
            raise FileNotFoundError(name)
        file = os.open(last, _READ, dir_fd=at)
    finally:
        os.close(at)
    with os.fdopen(file, "rb") as source:
        yield source
