"""Re-hashing a folder: the one way in which datakeep says that bytes are whole.

Every byte is read and its sha256 compared with the inventory; whatever is not in the inventory is stray
and named (L4).
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import DamagedBytes
from datakeep.store.faults import folder_faults
from datakeep.store.hashing import open_regular
from datakeep.store.interface import CHUNK_BYTES
from datakeep.store.pool import work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.core.progress import Progress
    from datakeep.formats.inventory import FileEntry, Inventory
    from datakeep.store.pool import Advance


@dataclass(frozen=True, slots=True)
class RehashReport:
    """What a folder holds, held against an inventory; all lists are sorted.

    Attributes:
        matching: How many files are there with the registered bytes.
        missing: Files that are not there.
        mismatched: Files with other bytes, unreadable ones, and links or devices in their place.
        stray: What is there and does not belong.
        size_bytes: How many bytes were read and hashed.
    """

    matching: int
    missing: list[str]
    mismatched: list[str]
    stray: list[str]
    size_bytes: int

    @property
    def is_whole(self) -> bool:
        """Whether exactly the registered files are there, with exactly the registered bytes."""
        return not (self.missing or self.mismatched or self.stray)


@dataclass(slots=True)
class _Checked:
    matching: int = 0
    mismatched: list[str] = field(default_factory=list)
    size_bytes: int = 0


def rehash(folder: Path, inventory: Inventory, progress: Progress) -> RehashReport:
    """Read every byte of ``folder`` and compare it with ``inventory``; nothing is followed or changed.

    Raises:
        DamagedBytes: The folder is not there.
        AccessDenied: A folder in it may not be listed.
    """
    regular, other = _walk(folder)
    progress.stage("re-hashing", total=len(inventory))
    present = [entry for entry in inventory.files if entry.path in regular]
    total = _Checked()
    for checked in work(partial(_check_batch, folder=folder), present, progress):
        total.matching += checked.matching
        total.mismatched += checked.mismatched
        total.size_bytes += checked.size_bytes
    listed = set(inventory.table.column("path").to_pylist())
    return RehashReport(
        matching=total.matching,
        missing=sorted(listed - regular - other),
        mismatched=sorted([*total.mismatched, *(listed & other)]),
        stray=sorted((regular | other) - listed),
        size_bytes=total.size_bytes,
    )


def _walk(folder: Path) -> tuple[set[str], set[str]]:
    """Every regular file, and everything else that is not a folder, by its path below ``folder``."""
    if not folder.is_dir():
        raise DamagedBytes(f"the folder {folder} is missing", next_step="fetch the data into it first")
    regular: set[str] = set()
    other: set[str] = set()
    waiting = [(folder, "")]
    while waiting:
        place, prefix = waiting.pop()
        with folder_faults(place, "list it"), os.scandir(place) as listing:
            for entry in listing:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((Path(entry.path), f"{prefix}{entry.name}/"))
                elif entry.is_file(follow_symlinks=False):
                    regular.add(prefix + entry.name)
                else:
                    other.add(prefix + entry.name)
    return regular, other


def _check_batch(batch: Sequence[FileEntry], advance: Advance, *, folder: Path) -> _Checked:
    checked = _Checked()
    for entry in batch:
        try:
            digest, size_bytes = _sha256(folder / entry.path)
        except OSError:
            digest, size_bytes = b"", 0
        checked.size_bytes += size_bytes
        if digest == entry.sha256 and size_bytes == entry.size_bytes:
            checked.matching += 1
        else:
            checked.mismatched.append(entry.path)
        advance(1, size_bytes)
    return checked


def _sha256(path: Path) -> tuple[bytes, int]:
    digest, size_bytes = hashlib.sha256(), 0
    with open_regular(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    return digest.digest(), size_bytes
