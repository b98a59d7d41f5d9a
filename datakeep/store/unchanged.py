"""A folder that was found whole, and did not change since: known by its listing alone, without its inventory.

What :mod:`datakeep.store.state` says of each file, this says of all of them at once, and nothing that is slow to
load is needed for it: neither Arrow nor the inventory out of the vault. The same rules hold: a file is the one
that was hashed if its size, times and inode are, and of what was young when it was hashed nothing is written down.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from datakeep.core.errors import DamagedBytes
from datakeep.store.faults import folder_faults
from datakeep.store.scan import SourceFiles, listed

_FORMAT = b"datakeep/seal/1"
#: The coarsest clock of a file system in use (FAT's).
TICK_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class RehashReport:
    """What a folder holds, held against an inventory; all lists are sorted.

    Attributes:
        matching: How many files are there with the registered bytes.
        missing: Files that are not there.
        mismatched: Files with other bytes, unreadable ones, and links or devices in their place.
        stray: What is there and does not belong.
        size_bytes: How many bytes were read and hashed.
        trusted: How many of the matching files were not read, because they did not change since they were.
    """

    matching: int
    missing: list[str]
    mismatched: list[str]
    stray: list[str]
    size_bytes: int
    trusted: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether exactly the registered files are there, with exactly the registered bytes."""
        return not (self.missing or self.mismatched or self.stray)


class Seal:
    """What is known of a whole folder: the digest of its listing when every byte of it was right.

    Args:
        cache: The folder of all states.
        folder: The one that was, or will be, found whole.
        content: The content id that its bytes had.
    """

    def __init__(self, cache: Path, folder: Path, content: str) -> None:
        self._folder = folder
        self._content = content
        root = os.fsencode(folder.resolve())
        self._about = b"\0".join((_FORMAT, root, content.encode()))
        self._file = cache / f"{hashlib.sha256(root).hexdigest()[:32]}.seal"

    def report(self) -> RehashReport | None:
        """What a look at every file would find, if none of them changed since; None if that is not known."""
        try:
            known = self._file.read_bytes()
        except OSError:
            return None
        files, other = walk(self._folder)
        if other or known != self._digest(files):
            return None
        return RehashReport(len(files), [], [], [], 0, trusted=len(files))

    def put(self, files: SourceFiles, *, began_ns: int) -> None:
        """Write down that all ``files`` were right; a failure to do so costs time later, and is nothing else.

        Args:
            files: As :func:`walk` found them, before they were hashed.
            began_ns: The time before the first of them was read.
        """
        newest = max((*files.mtimes_ns, *files.ctimes_ns), default=0)
        if newest >= began_ns - TICK_NS:
            return
        temporary = self._file.with_name(f".{self._file.name}.{secrets.token_hex(4)}")
        with contextlib.suppress(OSError):
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_bytes(self._digest(files))
                temporary.replace(self._file)
            finally:
                temporary.unlink(missing_ok=True)

    def _digest(self, files: SourceFiles) -> bytes:
        digest = hashlib.sha256(self._about)
        digest.update("\0".join(("", *files.paths, "")).encode())
        for column in (files.sizes, files.mtimes_ns, files.ctimes_ns, files.inodes):
            digest.update(column)
        return digest.digest()


def walk(folder: Path) -> tuple[SourceFiles, set[str]]:
    """Every regular file, and by its path everything else below ``folder`` that is not a folder.

    Raises:
        DamagedBytes: The folder is not there.
        AccessDenied: A folder in it may not be listed.
    """
    if not folder.is_dir():
        raise DamagedBytes(f"the folder {folder} is missing", next_step="fetch the data into it first")
    regular = SourceFiles(root=str(folder))
    other: set[str] = set()
    waiting = [(str(folder), "")]
    while waiting:
        place, prefix = waiting.pop()
        names: list[str] = []
        stats: list[os.stat_result] = []
        with folder_faults(Path(place), "list it"):
            entries = listed(place)
        for name, found in entries:
            if isinstance(found, OSError):
                with folder_faults(Path(place), "list it"):
                    raise found
            if stat.S_ISREG(found.st_mode) and _is_text(name):
                names.append(prefix + name)
                stats.append(found)
            elif stat.S_ISDIR(found.st_mode):
                waiting.append((f"{place}/{name}", f"{prefix}{name}/"))
            else:
                other.add(prefix + name)
        regular.extend(names, stats)
    return regular, other


def _is_text(name: str) -> bool:
    """Whether ``name`` is UTF-8, as every name of an inventory is."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)
