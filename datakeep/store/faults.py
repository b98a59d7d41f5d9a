"""What a failed system call means to a person: missing, read-only, full and forbidden are different words."""

from __future__ import annotations

import contextlib
import errno
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, NoSpace, StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM})
_IN_THE_WAY = frozenset({errno.EEXIST, errno.ENOTDIR, errno.ELOOP})


def explained(fault: OSError, *, place: str, action: str) -> NoSpace | AccessDenied | StoreUnreachable:
    """The condition that ``fault`` is.

    Args:
        fault: What the system said.
        place: The thing, at the beginning of a sentence: ``store 'nas' (/mnt/nas)``.
        action: What was tried: ``write orders/files/…``.
    """
    why = fault.strerror or str(fault) or type(fault).__name__
    if fault.errno in _FULL:
        return NoSpace(
            f"{place} is full: cannot {action} ({why})",
            next_step="make room there, then run the same command again",
        )
    if fault.errno == errno.EROFS:
        return AccessDenied(
            f"{place} is read-only: cannot {action}",
            next_step="mount it writable or ask its administrator, then run the same command again",
        )
    if fault.errno in _DENIED:
        return AccessDenied(
            f"{place}: no right to {action} ({why})",
            next_step="ask its administrator for access, then run the same command again",
        )
    if fault.errno in _IN_THE_WAY and fault.filename:
        path = Path(os.fsdecode(fault.filename))
        there = next((one for one in (path, *path.parents) if os.path.lexists(one)), path)
        return StoreUnreachable(
            f"{place}: cannot {action}: {there} is in the way ({why})",
            next_step="look at what lies there; where it is a file or a link to nothing, move it away, then run the "
            "same command again",
        )
    return StoreUnreachable(
        f"{place}: cannot {action} ({why})",
        next_step="check that it is mounted and answers, then run the same command again",
    )


@contextlib.contextmanager
def folder_faults(folder: Path, action: str) -> Iterator[None]:
    """A block that works in ``folder`` (not a store), whose :class:`OSError` leaves it as what it means."""
    try:
        yield
    except OSError as fault:
        raise explained(fault, place=f"the folder {folder}", action=action) from fault


def require_space(size_bytes: int, folders: Sequence[Path]) -> None:
    """Each of ``folders`` has room for ``size_bytes`` more; those on one disk, for all of theirs.

    Raises:
        NoSpace: One has not; says how much is needed, and how much free.
    """
    wanted: Counter[int] = Counter()
    for folder in folders:
        with folder_faults(folder, "read its free space"):
            space, device = os.statvfs(folder), folder.stat().st_dev
        free = space.f_bavail * space.f_frsize
        wanted[device] += size_bytes
        if wanted[device] > free:
            raise NoSpace(
                f"need {show_size(wanted[device] - free)} more on {folder}: "
                f"{show_size(wanted[device])} are needed, {show_size(free)} are free",
                next_step="make room there, then run the same command again",
            )


def show_size(size_bytes: int) -> str:
    """A size as people read it: ``812 bytes``, ``1.4 MB``; decimal units, rounded up, so that it suffices."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    power = min((len(str(size_bytes)) - 1) // 3, 5)
    tenths = -(-size_bytes * 10 // 1000**power)
    return f"{tenths // 10}.{tenths % 10} {('', 'kB', 'MB', 'GB', 'TB', 'PB')[power]}"
