"""Which file the path of another process leads to: asked of the kernel, without opening the file.

The attendant imports this, started with ``-I -S``: the standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections import deque

AT_FDCWD = 0xFFFFFF9C
_OPENAT2, _IN_ROOT = 437, 0x10  # RESOLVE_IN_ROOT of openat2(2)
_MAX_LINKS = 40
#: Where each process finds itself, and not this one.
_ITSELF = ("/proc/self", "/proc/thread-self")
_GONE = " (deleted)"
_READS, _WRITES = os.R_OK, os.W_OK
#: What fails where there is anything.
_NEW = os.O_CREAT | os.O_EXCL
_UNUSUAL = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW

_libc = ctypes.CDLL(None, use_errno=True)


class Place:
    """A path, as a thread gives it to the kernel.

    Args:
        thread: The thread's number, as this process sees it.
        at: The descriptor of the thread that the path is relative to.
        path: Is one of a file, or leads to one.
        is_elsewhere: The thread has another root or other mounts than this process.
    """

    __slots__ = ("at", "is_elsewhere", "path", "thread")

    def __init__(self, thread: int, at: int, path: str, *, is_elsewhere: bool = False) -> None:
        self.thread, self.at, self.path, self.is_elsewhere = thread, at, path, is_elsewhere

    @property
    def base(self) -> str:
        """Where a relative path begins, as this process finds it."""
        return f"/proc/{self.thread}/cwd" if self.at == AT_FDCWD else f"/proc/{self.thread}/fd/{self.at}"

    @property
    def absolute(self) -> str:
        """The path from the root on."""
        return self.path if self.path.startswith("/") else f"{os.readlink(self.base)}/{self.path}"


class Found:
    """What an opening will come to.

    Args:
        path: Absolute, without links.
        is_made: The file is created or emptied; else it can be read.
    """

    __slots__ = ("is_made", "path")

    def __init__(self, path: str, *, is_made: bool) -> None:
        self.path, self.is_made = path, is_made


def found(place: Place, flags: int) -> Found | None:
    """What becomes of opening ``place`` with these flags of open(2).

    None where it fails, where it is a folder, and where the file is only written to and keeps what it holds.

    Raises:
        OSError: It cannot be known.
    """
    if not flags & _UNUSUAL and (usual := _usual(place)):
        return usual
    if not place.path:
        return None
    if not place.is_elsewhere:
        return _found(place, flags, None)
    root = os.open(f"/proc/{place.thread}/root", os.O_PATH | os.O_CLOEXEC)
    try:
        return _found(place, flags, root)
    finally:
        os.close(root)


def _usual(place: Place) -> Found | None:
    """What is asked a thousand times, and is answered at once: a file is read, by a path from the root on."""
    path = place.path
    if path[:1] != "/" or place.is_elsewhere or _is_by_hand(path):
        return None
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) or not _may(descriptor, _READS):
            return None
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        return None if path.startswith("/proc/") or path.endswith(_GONE) else Found(path, is_made=False)
    finally:
        os.close(descriptor)


def _is_by_hand(path: str) -> bool:
    """Whether a part of it may mean something else to a thread than to this process."""
    return "/proc/" in path or path.startswith("/dev/")


def _found(place: Place, flags: int, root: int | None) -> Found | None:
    is_new = flags & _NEW == _NEW
    no_follow = os.O_NOFOLLOW if is_new else flags & os.O_NOFOLLOW
    try:
        descriptor, path = _open(place, no_follow, root)
    except OSError as error:
        is_made = flags & os.O_CREAT and error.errno == errno.ENOENT
        return _created(place, no_follow, root) if is_made else None
    try:
        return None if is_new else _opened(descriptor, path, flags)
    finally:
        os.close(descriptor)


def _opened(descriptor: int, path: str, flags: int) -> Found | None:
    """What becomes of a file that is there."""
    mode = os.fstat(descriptor).st_mode
    access = flags & os.O_ACCMODE
    wants = (0 if access == os.O_WRONLY else _READS) | (0 if access == os.O_RDONLY else _WRITES)
    if stat.S_ISDIR(mode) or stat.S_ISLNK(mode) or not path.startswith("/") or not _may(descriptor, wants):
        return None
    if flags & os.O_TRUNC and wants & _WRITES:
        return Found(path, is_made=True)
    return Found(path, is_made=False) if wants & _READS else None


def _may(descriptor: int, wants: int) -> bool:
    """Whether the kernel would let us; to root it forbids no reading."""
    is_sure = wants == _READS and not os.geteuid()
    return is_sure or os.access(f"/proc/self/fd/{descriptor}", wants)


def _open(place: Place, no_follow: int, root: int | None) -> tuple[int, str]:
    """A descriptor that stands for the file and cannot read it, and its path.

    Raises:
        OSError: As the thread would get it.
    """
    if root is not None:
        return _named(_open_in(root, place, no_follow))
    if _is_by_hand(place.path):
        return _by_hand(place, no_follow)
    text = place.path if place.path.startswith("/") else f"{place.base}/{place.path}"
    try:
        descriptor, path = _named(os.open(text, os.O_PATH | os.O_CLOEXEC | no_follow))
    except FileNotFoundError:
        if os.path.islink(text):  # it may lead to the thread's own /proc/self
            return _by_hand(place, no_follow)
        raise
    if path.startswith("/") and not path.startswith(f"/proc/{os.getpid()}/"):
        return descriptor, path
    os.close(descriptor)
    return _by_hand(place, no_follow)


def _by_hand(place: Place, no_follow: int) -> tuple[int, str]:
    """The same, link by link: one of them may say "myself"."""
    text = followed(place.absolute, place.thread, last=not no_follow)
    return _named(os.open(text, os.O_PATH | os.O_CLOEXEC | no_follow))


def followed(path: str, thread: int, *, last: bool = True) -> str:
    """The absolute ``path`` without links. What /proc has open stays; /proc/self is the thread's.

    Args:
        path: May lead to nothing.
        thread: As in :class:`Place`.
        last: Whether the last part is followed too.

    Raises:
        OSError: Links lead in a circle.
    """
    done, rest, links = "", deque(path.split("/")), 0
    while rest:
        name = rest.popleft()
        here = f"{done}/{name}"
        if name in ("", "."):
            continue
        if here in _ITSELF:
            done = f"/proc/{thread}"
        elif done.startswith("/proc/"):
            done = here
        elif name == "..":
            done = done.rpartition("/")[0]
        elif (last or rest) and os.path.islink(here):
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            target = os.readlink(here)
            done = "" if target.startswith("/") else done
            rest.extendleft(reversed(target.split("/")))
        else:
            done = here
    return done or "/"


def _named(descriptor: int) -> tuple[int, str]:
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    if path.endswith(_GONE) and not os.path.lexists(path):
        path = path.removesuffix(_GONE)
    return descriptor, path


def _created(place: Place, no_follow: int, root: int | None) -> Found | None:
    """The file that will be made where none is."""
    text = place.path if place.path.startswith("/") else f"./{place.path}"
    if root is None:
        text = followed(place.absolute, place.thread, last=not no_follow)
    folder, _, name = text.rpartition("/")
    if name in ("", ".", ".."):
        return None
    try:
        descriptor, parent = _open(
            Place(place.thread, place.at, folder or "/", is_elsewhere=place.is_elsewhere), 0, root
        )
    except OSError:
        return None
    try:
        is_allowed = stat.S_ISDIR(os.fstat(descriptor).st_mode) and _may(descriptor, _WRITES | os.X_OK)
    finally:
        os.close(descriptor)
    return Found(f"{parent.rstrip('/')}/{name}", is_made=True) if is_allowed else None


def _open_in(root: int, place: Place, no_follow: int) -> int:
    """As :func:`_open` from another root on, above which nothing leads."""
    text, flags = place.absolute, os.O_PATH | os.O_CLOEXEC | no_follow
    for itself in _ITSELF:
        if text == itself or text.startswith(f"{itself}/"):
            return os.open(f"/proc/{place.thread}{text.removeprefix(itself)}", flags)
    how = ctypes.create_string_buffer(
        b"".join(part.to_bytes(8, "little") for part in (flags, 0, _IN_ROOT)), 24
    )
    descriptor = int(_libc.syscall(_OPENAT2, root, os.fsencode(text), how, 24))
    if descriptor < 0:
        reason = ctypes.get_errno()
        raise OSError(reason, os.strerror(reason))
    return descriptor


def view(thread: int | str) -> tuple[int, str]:
    """Which mounts and which root a thread has; "self" is this one."""
    return os.stat(f"/proc/{thread}/ns/mnt").st_ino, os.readlink(f"/proc/{thread}/root")
