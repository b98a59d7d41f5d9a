"""How a folder store stands: what kind of mount it lies on, how full it is, who else may write there."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.store.examination import Check, Outcome
from datakeep.store.faults import show_size

if TYPE_CHECKING:
    from collections.abc import Iterator

_NETWORK = re.compile(
    r"nfs[34]?|cifs|smb[23]?|smbfs|afs|ceph|lustre|gfs2|ocfs2|9p|virtiofs|fuse\.(sshfs|glusterfs|s3fs|rclone)"
)
_MEMORY = ("tmpfs", "ramfs")
_CONTAINER = ("overlay", "aufs")
_FULL_SHARE = 0.05
_SHOWN = 3


def examine(root: Path) -> list[Check]:
    """Every check of the folder, each with its own verdict."""
    return [_mount(root), _space(root), _writable_by_others(root)]


def _mount(root: Path) -> Check:
    device = root.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    kind = _file_system(number, Path("/proc/self/mountinfo"))
    if kind is None:
        return Check("mount", Outcome.UNKNOWN, "the system does not say what kind of mount it is")
    if kind in _MEMORY:
        return Check("mount", Outcome.BAD, f"in memory ({kind}): gone at the next start", "use a disk")
    if kind in _CONTAINER:
        what = f"in a container's own layer ({kind}): gone when the container is removed"
        return Check("mount", Outcome.BAD, what, "mount a volume of the host there")
    if _NETWORK.fullmatch(kind):
        return Check("mount", Outcome.GOOD, f"on the network ({kind})")
    if _is_removable(number, Path("/sys/dev/block")):
        what = f"a removable disk ({kind})"
        return Check("mount", Outcome.BAD, what, "keep another copy on what nobody can unplug")
    return Check("mount", Outcome.GOOD, f"a file system of this machine ({kind})")


def _file_system(number: str, mounts: Path) -> str | None:
    """The kind of file system of the device ``number``, as the kernel lists it."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        own, _, rest = line.partition(" - ")
        fields = own.split()
        if rest and len(fields) > 2 and fields[2] == number:
            return rest.split()[0]
    return None


def _is_removable(number: str, devices: Path) -> bool:
    """Whether the kernel says so of the disk, or of that which the partition is a part of."""
    place = (devices / number).resolve()
    for folder in (place, place.parent):
        try:
            return (folder / "removable").read_text().strip() == "1"
        except OSError:
            continue
    return False


def _space(root: Path) -> Check:
    space = os.statvfs(root)
    free, total = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
    share = free / total if total else 0.0
    what = f"{show_size(free)} free, {share:.0%}"
    if share >= _FULL_SHARE:
        return Check("free space", Outcome.GOOD, what)
    return Check("free space", Outcome.BAD, what, "make room there before the next version does not fit")


def _writable_by_others(root: Path) -> Check:
    found = 0
    shown: list[str] = []
    for path, mode in _modes(root):
        if mode & stat.S_IWOTH and not stat.S_ISLNK(mode):
            found += 1
            if len(shown) < _SHOWN:
                shown.append(path)
    if not found:
        return Check("rights", Outcome.GOOD, "nobody but owner and group can write")
    what = f"everybody on this machine can write {found:,} files and folders, such as {', '.join(shown)}"
    return Check("rights", Outcome.BAD, what, f"chmod -R o-w {root}")


def _modes(root: Path) -> Iterator[tuple[str, int]]:
    yield str(root), root.stat().st_mode
    folders = [str(root)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                mode = entry.stat(follow_symlinks=False).st_mode
                yield entry.path, mode
                if stat.S_ISDIR(mode):
                    folders.append(entry.path)
