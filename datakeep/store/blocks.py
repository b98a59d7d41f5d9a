"""Files written whole, and files that share their blocks: clones where the disk has them, hard links on request."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

#: The ioctl that makes one file share the blocks of another (``FICLONE``, linux/fs.h).
_FICLONE = 0x40049409


def clone_into(sink: int, source: int) -> bool:
    """The open file ``sink`` shares the blocks of ``source`` until either changes; whether it can be."""
    try:
        fcntl.ioctl(sink, _FICLONE, source)
    except OSError:  # this file system, or pair of them, cannot share blocks
        return False
    return True


def write_all(descriptor: int, data: bytes) -> None:
    """All of ``data`` is written, also where the system takes it in parts."""
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def clone(origin: str, target: str) -> bool:
    """The new file ``target`` shares the blocks of ``origin``; else there is none afterwards."""
    with contextlib.ExitStack() as stack:
        try:
            source = os.open(origin, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            stack.callback(os.close, source)
            sink = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            stack.callback(os.close, sink)
        except OSError:  # whoever then copies it says why it cannot be read or written
            return False
        if clone_into(sink, source):
            return True
        Path(target).unlink()
        return False


def hard_link(origin: str, target: str) -> bool:
    """The new name ``target`` of the file ``origin``, which is read-only then; else there is none afterwards."""
    try:
        os.link(origin, target, follow_symlinks=False)
    except OSError:  # missing, or on another file system
        return False
    if stat.S_ISREG(os.lstat(target).st_mode):
        Path(target).chmod(0o444)
        return True
    Path(target).unlink()
    return False
