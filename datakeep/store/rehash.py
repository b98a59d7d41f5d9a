"""Re-hashing a folder: the one way in which datakeep says that bytes are whole.

Every byte is read and its sha256 compared with the inventory, unless the caller hands in what was hashed
before; whatever is not in the inventory is stray and named (L4).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from datakeep.core.errors import DamagedBytes
from datakeep.formats.inventory import Inventory
from datakeep.store.faults import folder_faults
from datakeep.store.hashing import NO_SHA256, hash_batch
from datakeep.store.pool import work
from datakeep.store.scan import SourceFiles

if TYPE_CHECKING:
    from datakeep.core.progress import Progress
    from datakeep.store.state import HashState


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


def rehash(
    folder: Path, inventory: Inventory, progress: Progress, *, state: HashState | None = None
) -> RehashReport:
    """Hold every file of ``folder`` against ``inventory``; nothing is followed or changed.

    Args:
        folder: What to read.
        inventory: What should be there.
        progress: Told of each file.
        state: What was hashed there before; files that did not change since are not read. None reads all.

    Raises:
        DamagedBytes: The folder is not there.
        AccessDenied: A folder in it may not be listed.
    """
    began_ns = time.time_ns()
    found, other = _walk(folder)
    progress.stage("re-hashing", total=len(inventory))
    listed = inventory.table.column("path").combine_chunks()
    names = pa.array(found.paths, pa.string())
    at = pc.index_in(listed, value_set=names)
    rows = pc.indices_nonzero(pc.is_valid(at))
    expected = Inventory(inventory.table.take(rows))
    files = found.take(at.drop_null().to_pylist())
    is_right, read_bytes, trusted = _compare(files, expected, progress, state)
    missing = set(listed.filter(pc.is_null(at)).to_pylist())
    wrong = [path for path, right in zip(files.paths, is_right, strict=True) if not right]
    if state is not None and trusted != len(files):
        good = [number for number, right in enumerate(is_right) if right]
        state.save(
            files.take(good), Inventory(expected.table.take(pa.array(good, pa.int64()))), began_ns=began_ns
        )
    return RehashReport(
        matching=sum(is_right),
        missing=sorted(missing - other),
        mismatched=sorted([*wrong, *(missing & other)]),
        stray=sorted(
            [*names.filter(pc.invert(pc.is_in(names, value_set=listed))).to_pylist(), *(other - missing)]
        ),
        size_bytes=read_bytes,
        trusted=trusted,
    )


def _compare(
    files: SourceFiles, expected: Inventory, progress: Progress, state: HashState | None
) -> tuple[bytearray, int, int]:
    """Which of ``files`` are as expected, how many bytes were read for it, and how many files were not."""
    sha256 = b"".join(expected.table.column("sha256").to_pylist())
    sizes = expected.table.column("size_bytes").to_pylist()
    is_right = bytearray(len(files))
    if state is not None:
        known = state.trusted(files)
        if len(known.positions) == len(files) and known.sha256 == sha256:
            is_right = bytearray(b"\1") * len(files)
        else:
            for number, at in enumerate(known.positions):
                is_right[at] = known.sha256[32 * number : 32 * number + 32] == sha256[32 * at : 32 * at + 32]
    trusted = sum(is_right)
    progress.advance(trusted)
    rest = [at for at, right in enumerate(is_right) if not right]
    todo = files if len(rest) == len(files) else files.take(rest)
    read_bytes = 0
    for start, found in work(hash_batch, todo, progress, sizes=todo.sizes):
        for number in range(len(found) // 32):
            at = rest[start + number]
            digest = found[32 * number : 32 * number + 32]
            is_right[at] = digest == sha256[32 * at : 32 * at + 32] and files.sizes[at] == sizes[at]
            read_bytes += files.sizes[at] if digest != NO_SHA256 else 0
    return is_right, read_bytes, trusted


def _walk(folder: Path) -> tuple[SourceFiles, set[str]]:
    """Every regular file, and by its path everything else below ``folder`` that is not a folder."""
    if not folder.is_dir():
        raise DamagedBytes(f"the folder {folder} is missing", next_step="fetch the data into it first")
    regular = SourceFiles(root=str(folder))
    other: set[str] = set()
    waiting = [(str(folder), "")]
    while waiting:
        place, prefix = waiting.pop()
        with folder_faults(Path(place), "list it"), os.scandir(place) as listing:
            for entry in listing:
                path = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{path}/"))
                elif entry.is_file(follow_symlinks=False) and _is_text(entry.name):
                    found = entry.stat(follow_symlinks=False)
                    regular.add(path, None, found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)
                else:
                    other.add(path)
    return regular, other


def _is_text(name: str) -> bool:
    """Whether ``name`` is UTF-8, as every name of an inventory is."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)
