"""Re-hashing a folder: the one way in which datakeep says that bytes are whole.

Every byte is read and its sha256 compared with the inventory, unless the caller hands in what was hashed
before; whatever is not in the inventory is stray and named (L4).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from datakeep.formats.columns import integers, joined, texts
from datakeep.formats.inventory import Inventory
from datakeep.store.hashing import NO_SHA256, hash_batch
from datakeep.store.pool import work
from datakeep.store.unchanged import RehashReport, walk

if TYPE_CHECKING:
    from pathlib import Path

    from datakeep.core.progress import Progress
    from datakeep.store.scan import SourceFiles
    from datakeep.store.state import HashState
    from datakeep.store.unchanged import Seal


def rehash(
    folder: Path,
    inventory: Inventory,
    progress: Progress,
    *,
    state: HashState | None = None,
    seal: Seal | None = None,
) -> RehashReport:
    """Hold every file of ``folder`` against ``inventory``; nothing is followed or changed.

    Args:
        folder: What to read.
        inventory: What should be there.
        progress: Told of each file.
        state: What was hashed there before; files that did not change since are not read. None reads all.
        seal: Is told of a folder that is whole.

    Raises:
        DamagedBytes: The folder is not there.
        AccessDenied: A folder in it may not be listed.
    """
    began_ns = time.time_ns()
    found, other = walk(folder)
    progress.stage("re-hashing", total=len(inventory))
    listed = inventory.table.column("path").combine_chunks()
    names = texts(found.paths)
    at = pc.index_in(listed, value_set=names)
    rows = pc.indices_nonzero(pc.is_valid(at))
    expected = Inventory(inventory.table.take(rows))
    files = found.take(at.drop_null().to_pylist())
    is_right, read_bytes, trusted = _compare(files, expected, progress, state)
    missing = set(listed.filter(pc.is_null(at)).to_pylist())
    wrong = [path for path, right in zip(files.paths, is_right, strict=True) if not right]
    if state is not None and trusted != len(files):
        good = [number for number, right in enumerate(is_right) if right]
        state.save(files.take(good), Inventory(expected.table.take(integers(good))), began_ns=began_ns)
    report = RehashReport(
        matching=sum(is_right),
        missing=sorted(missing - other),
        mismatched=sorted([*wrong, *(missing & other)]),
        stray=sorted(
            [*names.filter(pc.invert(pc.is_in(names, value_set=listed))).to_pylist(), *(other - missing)]
        ),
        size_bytes=read_bytes,
        trusted=trusted,
    )
    if seal is not None and report.is_whole:
        seal.put(found, began_ns=began_ns)
    return report


def _compare(
    files: SourceFiles, expected: Inventory, progress: Progress, state: HashState | None
) -> tuple[bytearray, int, int]:
    """Which of ``files`` are as expected, how many bytes were read for it, and how many files were not."""
    sha256 = joined(expected.table.column("sha256"))
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
