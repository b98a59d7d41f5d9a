"""DVC's local cache beside a checkout, without which DVC calls a whole checkout "not in cache"."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from datakeep.store.blocks import clone_into, hard_link, write_all
from datakeep.store.faults import folder_faults
from datakeep.store.interface import CHUNK_BYTES
from datakeep.store.pool import work

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datakeep.core.progress import Progress
    from datakeep.formats.inventory import Inventory
    from datakeep.store.pool import Advance

#: As DVC itself makes its cache.
_MODE = 0o444


@dataclass(frozen=True, slots=True)
class _Cached:
    """A file of the checkout, and the object that it is."""

    size_bytes: int
    path: str
    name: str


def fill_cache(
    data: Path,
    inventory: Inventory,
    others: dict[str, bytes],
    cache: Path,
    progress: Progress,
    *,
    hard_links: bool = False,
) -> None:
    """DVC's local cache holds the files of ``data``, which were verified before, and the objects ``others``.

    Blocks are shared where the file system can.

    Args:
        data: The checked-out files of ``inventory``.
        inventory: Their list.
        others: Object name (md5 in hex, with ``.dir`` for a folder) to bytes.
        cache: The folder ``.dvc/cache`` of a checkout that is not in use yet: a kill may leave half of it.
        progress: Told of each object.
        hard_links: The objects are the very files, both read-only.

    Raises:
        NoSpace: There is no room for it.
    """
    objects = cache / "files" / "md5"
    unique = {file.md5: _Cached(file.size_bytes, file.path, file.md5.hex()) for file in inventory.files}
    wanted = list(unique.values())
    with folder_faults(cache, "write to it"):
        for prefix in {name[:2] for name in (*others, *(one.name for one in wanted))}:
            (objects / prefix).mkdir(parents=True, exist_ok=True)
        progress.stage("filling DVC's cache", total=len(wanted))
        job = partial(_fill, data=data, objects=objects, hard_links=hard_links)
        for _ in work(job, wanted, progress, sizes=[one.size_bytes for one in wanted]):
            pass
        for name, text in others.items():
            target = objects / name[:2] / name[2:]
            if not target.exists():
                target.write_bytes(text)
                target.chmod(_MODE)


def _fill(batch: Sequence[_Cached], advance: Advance, *, data: Path, objects: Path, hard_links: bool) -> None:
    with folder_faults(objects, "write to it"):
        for one in batch:
            origin, target = f"{data}/{one.path}", f"{objects}/{one.name[:2]}/{one.name[2:]}"
            if not (hard_links and hard_link(origin, target)):
                _copy(origin, target)
            advance(1, one.size_bytes)


def _copy(origin: str, target: str) -> None:
    with contextlib.ExitStack() as stack:
        source = os.open(origin, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, source)
        sink = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        stack.callback(os.close, sink)
        if not clone_into(sink, source):
            while chunk := os.read(source, CHUNK_BYTES):
                write_all(sink, chunk)
