"""Objects of a DVC repository that datakeep did not make: found where they are, and taken into our stores.

Each is read where it lies (a folder), or fetched once (a bucket), hashed in the one read that writes it to
every store, and believed only if it has the md5 that the repository says. Nothing of the place is changed.
"""

from __future__ import annotations

import contextlib
import copy
import os
import stat
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import DamagedBytes, DatakeepError, StoreMissing
from datakeep.formats.inventory import FileEntry, Inventory
from datakeep.store.faults import folder_faults, require_space
from datakeep.store.folder import FolderStore
from datakeep.store.hashing import Digests, md5_of
from datakeep.store.ingest import ingest
from datakeep.store.interface import CHUNK_BYTES
from datakeep.store.pool import work
from datakeep.store.scan import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from datakeep.core.progress import Progress
    from datakeep.store.interface import Store
    from datakeep.store.pool import Advance

#: What DVC 2 took for text: no zero byte, and few bytes but these, in the first 512 of a block.
_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"
_LOOKED_AT_BYTES = 512
_ODD_SHARE = 0.30


@dataclass(frozen=True, slots=True)
class ForeignObject:
    """An object by its name; ``legacy`` is DVC 1's and 2's layout, and their md5 of text."""

    md5: str
    legacy: bool
    is_folder: bool = False

    @property
    def key(self) -> str:
        """Where a remote or cache has it."""
        layout = "" if self.legacy else "files/md5/"
        return f"{layout}{self.md5[:2]}/{self.md5[2:]}{'.dir' if self.is_folder else ''}"


@dataclass(frozen=True, slots=True)
class _Sized:
    wanted: ForeignObject
    size_bytes: int


@dataclass(slots=True)
class _Place:
    """A remote or cache, what it was found to hold, and a folder for what is fetched from it."""

    store: Store
    scratch: Path
    held: dict[ForeignObject, int] = field(default_factory=dict)


class ForeignObjects:
    """The objects that some places have.

    Args:
        places: Asked in this order; nothing is written to them.
        unusable: Places that cannot be asked, with the reason, for messages.
        scratch: A folder for what comes from far places.
        progress: Told of the steps.
    """

    def __init__(
        self, places: Sequence[Store], unusable: Mapping[str, str], scratch: Path, progress: Progress
    ) -> None:
        self._places = [_Place(store, scratch / str(number)) for number, store in enumerate(places)]
        self._down = dict(unusable)
        self._progress = progress

    def look_for(self, objects: Iterable[ForeignObject]) -> None:
        """Find out which place has which of ``objects``; nothing is read yet."""
        wanted = [_Sized(one, 0) for one in dict.fromkeys(objects)]
        for place in list(self._places):
            store = place.store
            self._progress.stage(f"looking into {store.name}", total=len(wanted), unit="objects")
            try:
                _require_folder(store)
                job = partial(_sizes, store=store)
                for found in work(job, wanted, self._progress, connections=store.connections):
                    place.held.update(found)
            except DatakeepError as error:
                self._down[store.name] = error.what
                self._places.remove(place)

    def is_held(self, wanted: ForeignObject) -> bool:
        """Whether a place has an object of this name, right or wrong."""
        return any(wanted in place.held for place in self._places)

    def listing(self, wanted: ForeignObject, limit_bytes: int) -> bytes | str:
        """The bytes of a folder's list of files, from the first place that has it whole; else what is wrong."""
        faults = []
        for place in self._places:
            if wanted not in place.held:
                continue
            if place.held[wanted] > limit_bytes:
                faults.append(f"larger than {limit_bytes} bytes in {place.store.name}")
                continue
            try:
                with contextlib.closing(copy.copy(place.store)) as own, own.open_read(wanted.key) as chunks:
                    data = b"".join(chunks)
            except DatakeepError as error:
                faults.append(error.what)
                continue
            if md5_of(data).hex() == wanted.md5:
                return data
            faults.append(f"damaged in {place.store.name}")
        return "; ".join(faults) or self.lacking()

    def lacking(self) -> str:
        """Why an object that no place has is not to be had, in words."""
        asked = ", ".join(place.store.name for place in self._places)
        parts = [f"missing in {asked}"] if asked else ["there is no place to look for it"]
        return "; ".join([*parts, *(f"{name}: {why}" for name, why in sorted(self._down.items()))])

    def take(
        self,
        wanted: Mapping[str, ForeignObject],
        own: Sequence[SourceFile],
        stores: Sequence[Store],
        dataset: str,
        *,
        called: Mapping[str, str],
    ) -> tuple[Inventory, list[SourceFile]]:
        """Every file of ``wanted`` and of ``own`` in every store, and where each was read.

        Args:
            wanted: Path in the dataset to the object that becomes it.
            own: Files that are no objects.
            stores: Where they go.
            dataset: The dataset's name.
            called: Path in the dataset to path in the repository, for messages.

        Raises:
            DamagedBytes: Files that no place has whole; lists all of them.
            DatakeepError: As :func:`datakeep.store.ingest.ingest`.
        """
        rows: list[FileEntry] = []
        read: list[SourceFile] = []
        faults: dict[str, list[str]] = defaultdict(list)
        left = dict(wanted)
        if own:
            rows += ingest(own, stores, dataset, self._progress).files
            read += own
        for place in self._places:
            here = {path: one for path, one in left.items() if one in place.held}
            if not here:
                continue
            files = self._sources(place, here)
            for file, row in zip(files, ingest(files, stores, dataset, self._progress).files, strict=True):
                if _is(here[file.path], row, file.origin):
                    rows.append(row)
                    read.append(file)
                    del left[file.path]
                else:
                    faults[file.path].append(f"damaged in {place.store.name}")
        if left:
            raise damaged({called[path]: "; ".join(faults[path]) or self.lacking() for path in left})
        return Inventory.of(rows), sorted(read, key=lambda file: file.path)

    def _sources(self, place: _Place, here: Mapping[str, ForeignObject]) -> list[SourceFile]:
        """The objects as files of this machine, sorted by the paths that they become."""
        store = place.store
        root = store.root if isinstance(store, FolderStore) else self._download(place, set(here.values()))
        files = []
        for path, one in sorted(here.items()):
            origin = root / one.key
            with folder_faults(origin.parent, "read it"):
                found = origin.lstat()
            files.append(
                SourceFile(path, origin, found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)
            )
        return files

    def _download(self, place: _Place, objects: set[ForeignObject]) -> Path:
        items = [_Sized(one, place.held[one]) for one in sorted(objects, key=lambda one: one.key)]
        store, root = place.store, place.scratch
        with folder_faults(root.parent, "write to it"):
            root.mkdir(parents=True)
        require_space(sum(item.size_bytes for item in items), [root])
        self._progress.stage(f"fetching from {store.name}", total=len(items), unit="objects")
        job = partial(_fetch, store=store, root=root)
        for _ in work(job, items, self._progress, connections=store.connections):
            pass  # all that it does is on disk
        return root


def damaged(faults: Mapping[str, str]) -> DamagedBytes:
    """The condition that files cannot be had as the repository says, with the reason for each."""
    paths = sorted(faults)
    shown = ", ".join(paths[:3]) + (" …" if len(paths) > 3 else "")
    return DamagedBytes(
        f"{counted(len(paths), 'file')} of the repository cannot be had whole: {shown}",
        next_step="where they can be fetched: clone it, `dvc fetch` there, and adopt that folder; else whoever has "
        "them must `dvc push`; or leave them out: name the other outputs with --data",
        things=[f"{path}: {faults[path]}" for path in paths],
    )


def _require_folder(store: Store) -> None:
    if isinstance(store, FolderStore) and not store.root.is_dir():
        raise StoreMissing(f"there is no folder {store.root}", next_step="mount it, then adopt again")


def _sizes(batch: Sequence[_Sized], advance: Advance, *, store: Store) -> dict[ForeignObject, int]:
    found = {}
    with contextlib.closing(copy.copy(store)) as own:
        for item in batch:
            size_bytes = _size(own, item.wanted.key)
            if size_bytes is not None:
                found[item.wanted] = size_bytes
            advance(1, 0)
    return found


def _size(store: Store, key: str) -> int | None:
    """The size of an object; of a folder's, only if it is a file that can be read, and no link to one."""
    if not isinstance(store, FolderStore):
        return store.size_of(key)
    origin = store.root / key
    try:
        found = origin.lstat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) and os.access(origin, os.R_OK) else None


def _fetch(batch: Sequence[_Sized], advance: Advance, *, store: Store, root: Path) -> None:
    with contextlib.closing(copy.copy(store)) as own, folder_faults(root, "write to it"):
        for item in batch:
            target = root / item.wanted.key
            target.parent.mkdir(parents=True, exist_ok=True)
            with own.open_read(item.wanted.key) as chunks, target.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
            advance(1, item.size_bytes)


def _is(wanted: ForeignObject, row: FileEntry, origin: Path) -> bool:
    """Whether the bytes that were read are those of the object's name."""
    if row.md5.hex() == wanted.md5:
        return True
    return wanted.legacy and wanted.md5 in legacy_md5s(origin)


def legacy_md5s(origin: Path) -> set[str]:
    r"""DVC 1's and 2's md5 of a file, in hex, by both of their rules: text has ``\r\n`` as ``\n``.

    Whether it is text was asked once for the file, later once for each megabyte (dvc_data, ``hash.py``).
    """
    digests = [Digests(), Digests()]
    first: bool | None = None
    with origin.open("rb") as file:
        for block in iter(lambda: file.read(CHUNK_BYTES), b""):
            is_text = _is_text(block[:_LOOKED_AT_BYTES])
            first = is_text if first is None else first
            for digest, text in zip(digests, (first, is_text), strict=True):
                digest.update(block.replace(b"\r\n", b"\n") if text else block)
    return {digest.md5.hex() for digest in digests}


def _is_text(block: bytes) -> bool:
    return b"\0" not in block and len(block.translate(None, _TEXT)) <= _ODD_SHARE * len(block)
