"""What the index knows of inventories and SQL: taken in where this machine has them.

The files of a version and the text of its SQL lie in the dataset's repository and the stores. They are taken in where
they are here already, and fetched only when that is asked for. While one list of files is taken in, the next is read.
"""

from __future__ import annotations

import concurrent.futures
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.lineage import schema, wanting
from datakeep.lineage.index import Words, describe
from datakeep.repository.dataset_cache import state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from datakeep.formats.inventory import Inventory
    from datakeep.formats.version import VersionEntry
    from datakeep.lineage.adding import Adding
    from datakeep.lineage.index import Index
    from datakeep.repository.dataset import DatasetRepository
    from datakeep.store.interface import Store
    from datakeep.workflows.keep import Keep

INVENTORY = "inventory.parquet"
_POINTERS = {f"{INVENTORY}.dvc": "the inventory", "data.dvc": "the list of the files (a .dir object)"}
#: Versions that are read by one process of git, and rows of their inventories; two such batches are in memory.
_READ_AT_ONCE = 20
_READ_ROWS = 200_000
#: Rows that one transaction takes in.
_COMMIT_ROWS = 1_500_000


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some versions of a dataset; the last batch of each is marked, and ``known`` are inventories not to be read."""

    dataset: str
    entries: tuple[VersionEntry, ...]
    known: frozenset[str]
    is_last: bool


@dataclass(frozen=True, slots=True)
class _Read:
    """What was there of a batch: files by commit and path, and the inventories by digest."""

    batch: _Batch
    files: dict[tuple[str, str], bytes]
    inventories: dict[str, Inventory] = field(default_factory=dict)


class Collector:
    """Takes in what the repositories and stores have of the versions that the index knows no files of."""

    def __init__(self, keep: Keep, index: Index, *, fetch: bool) -> None:
        self._keep, self._index, self._fetch = keep, index, fetch
        self._database = index.database
        self._stores_here: list[Store] | None = None
        self._faults: list[str] = []
        #: Datasets that can be found by more than before.
        self._changed: set[str] = set()

    def collect(self) -> None:
        """All that is here (or can be fetched, if that is asked for) is in the index."""
        seen = self._seen()
        moved = schema.meta(self._database, "seen") != seen
        if not (self._fetch or moved or wanting.fresh(self._database)):
            return
        lacking = self._lacking(moved=moved)
        try:
            with schema.transaction(self._database):
                if lacking:
                    self._take_all(lacking)
                wanting.all_seen(self._database)
                schema.set_meta(self._database, "seen", seen)
        except sqlite3.OperationalError as error:
            if not schema.is_busy(error):
                raise
        if self._faults:
            more = f" (and {len(self._faults) - 1} more)" if len(self._faults) > 1 else ""
            self._keep.progress.warn(f"not fetched: {self._faults[0]}{more}")

    def _seen(self) -> str:
        """What the repositories here have, in short: it changes when one of them does."""
        folder = self._keep.cache("datasets")
        try:
            return f"{state_of(folder)} {folder.stat().st_mtime_ns}"
        except OSError:
            return ""

    def _lacking(self, *, moved: bool) -> dict[str, list[str]]:
        """By dataset, the paths of the entries of versions that are not wholly known, and may be now."""
        if self._fetch:
            return wanting.by_dataset(self._database, wanting.all_datasets(self._database))
        folder = self._keep.cache("datasets")
        if not moved:
            fresh = (one for one in wanting.fresh(self._database) if (folder / f"{one}.git").is_dir())
            return wanting.by_dataset(self._database, fresh)
        here = (one.name.removesuffix(".git") for one in folder.glob("[!.]*.git")) if folder.is_dir() else ()
        return wanting.by_dataset(self._database, sorted(here))

    def _take_all(self, lacking: Mapping[str, Sequence[str]]) -> None:
        from datakeep.lineage.adding import Adding, merge  # slow to import, and seldom needed

        adding = Adding(self._database)
        for one in self._ahead(self._batches(lacking)):
            for entry in one.batch.entries:
                self._take(adding, entry, one)
            if one.batch.is_last and adding.waiting_rows >= _COMMIT_ROWS:
                self._settle(adding)  # what was taken in is kept, whatever comes after
                self._database.execute("COMMIT")
                self._database.execute("BEGIN IMMEDIATE")
        self._settle(adding)
        merge(self._database)

    def _settle(self, adding: Adding) -> None:
        """All that was taken in is in the tables, and can be found."""
        adding.flush()
        counts = Words(self._database)
        for dataset in sorted(self._changed):
            describe(self._database, "dataset", dataset, counts)
        counts.write()
        self._changed.clear()

    def _batches(self, lacking: Mapping[str, Sequence[str]]) -> Iterator[_Batch]:
        from datakeep.formats.version import VersionEntry

        for dataset, paths in lacking.items():
            some: list[VersionEntry] = []
            for one in self._index.entries(paths):
                if one.data is None:
                    continue
                entry = VersionEntry.of_plain(one.data, what=one.path)
                rows = sum(other.files for other in some) + entry.files
                if some and (len(some) >= _READ_AT_ONCE or rows > _READ_ROWS):
                    yield self._batch(dataset, some, is_last=False)
                    some = []
                some.append(entry)
            yield self._batch(dataset, some, is_last=True)

    def _batch(self, dataset: str, entries: Sequence[VersionEntry], *, is_last: bool) -> _Batch:
        known = frozenset(entry.inventory for entry in entries if self._knows(_digest(entry)))
        return _Batch(dataset, tuple(entries), known, is_last)

    def _knows(self, digest: str) -> bool:
        query = "SELECT 1 FROM inventory WHERE digest = ?"
        return self._database.execute(query, (digest,)).fetchone() is not None

    def _ahead(self, batches: Iterable[_Batch]) -> Iterator[_Read]:
        """What was there of each batch; while one is taken in, the next one is read."""
        with concurrent.futures.ThreadPoolExecutor(1) as reader:
            waiting: concurrent.futures.Future[_Read] | None = None
            for batch in batches:
                following = reader.submit(self._read, batch)
                if waiting:
                    yield waiting.result()
                waiting = following
            if waiting:
                yield waiting.result()

    def _read(self, batch: _Batch) -> _Read:
        """In a thread of its own, without the database."""
        try:
            found = _Read(batch, self._files(self._keep.dataset_repository(batch.dataset), batch.entries))
        except DatakeepError as error:
            self._faults.append(error.what)
            return _Read(batch, {})
        for entry in batch.entries:
            digest = _digest(entry)
            if (
                entry.inventory in batch.known
                or digest in found.inventories
                or not _is_here(entry, found.files)
            ):
                continue
            try:
                if (inventory := self._inventory(entry, found.files)) is not None:
                    found.inventories[digest] = inventory
            except DatakeepError as error:
                if self._fetch:
                    self._faults.append(error.what)
        return found

    def _files(
        self, repository: DatasetRepository, entries: Sequence[VersionEntry]
    ) -> dict[tuple[str, str], bytes]:
        wanted = [(entry.commit, name) for entry in entries for name in _names(entry)]
        files = repository.read_here(wanted)
        if self._fetch and any(not _is_here(entry, files) for entry in entries):
            repository.fetch()
            files = repository.read_here(wanted)
        return files

    def _inventory(self, entry: VersionEntry, files: dict[tuple[str, str], bytes]) -> Inventory | None:
        """The inventory of a version, if it is here; as bytes it is not kept."""
        from datakeep.workflows.inventories import checked

        data = files.pop((entry.commit, INVENTORY), None)
        if data is None:
            data = self._from_store(entry, files.get((entry.commit, f"{INVENTORY}.dvc")))
        return checked(data, entry, by_digest=True) if data is not None else None

    def _from_store(self, entry: VersionEntry, pointer: bytes | None) -> bytes | None:
        md5 = _pointed(pointer, f"{INVENTORY}.dvc")
        stores = self._stores()
        if md5 is None or not stores:
            return None
        from datakeep.store.verified import fetch_object
        from datakeep.workflows.inventories import limit_of

        holding = self._keep.holding(entry)
        return fetch_object(
            md5,
            sorted(stores, key=lambda store: store.name not in holding),
            entry.dataset,
            sha256=bytes.fromhex(_digest(entry)),
            limit_bytes=limit_of(entry),
            what=f"the inventory of {entry.dataset}@{entry.version}",
        )

    def _stores(self) -> list[Store]:
        """The stores that may be asked: those of this machine; all, if fetching is asked for."""
        if self._stores_here is None:
            from datakeep.store.interface import Capability

            stores = self._keep.stores()
            self._stores_here = [
                store for store in stores if self._fetch or Capability.LOCAL in store.capabilities
            ]
        return self._stores_here

    def _take(self, adding: Adding, entry: VersionEntry, read: _Read) -> None:
        """What was there of a version is in the index."""
        if not _is_here(entry, read.files, read.inventories):
            return
        self._changed.add(entry.dataset)
        path = f"register/{entry.dataset}/{entry.version}.yaml"
        for table in ("query", "object"):
            self._database.execute(f"DELETE FROM {table} WHERE path = ?", (path,))  # noqa: S608  # our own names
        query = _query(entry)
        if query and (text := read.files.get((entry.commit, query))) is not None:
            shown = text.decode("utf-8", "replace")
            self._database.execute("INSERT INTO query VALUES (?, ?)", (path, shown))
        for name, what in _POINTERS.items():
            if md5 := _pointed(read.files.get((entry.commit, name)), name):
                self._database.execute("INSERT INTO object VALUES (?, ?, ?)", (md5, path, what))
        digest = _digest(entry)
        inventory = read.inventories.get(digest)
        if inventory is not None and adding.add(digest, inventory):
            wanting.listed(self._database, digest)
            same = "SELECT DISTINCT dataset FROM version WHERE inventory = ?"
            self._changed.update(row[0] for row in self._database.execute(same, (digest,)))
        wanting.looked(self._database, path, whole=inventory is not None or self._knows(digest))


def _digest(entry: VersionEntry) -> str:
    return entry.inventory.removeprefix("sha256:")


def _query(entry: VersionEntry) -> str | None:
    source = entry.manifest.get("source")
    path = source.get("query") if isinstance(source, dict) else None
    return path if isinstance(path, str) else None


def _names(entry: VersionEntry) -> list[str]:
    """The files of a dataset's repository that the index is interested in."""
    names = ["dataset.yaml", *([query] if (query := _query(entry)) else [])]
    return names + ([INVENTORY] if entry.manifest.get("backend") == "git" else list(_POINTERS))


def _is_here(
    entry: VersionEntry,
    files: Mapping[tuple[str, str], bytes],
    inventories: Mapping[str, Inventory] | None = None,
) -> bool:
    return any((entry.commit, name) in files for name in _names(entry)) or _digest(entry) in (
        inventories or ()
    )


def _pointed(pointer: bytes | None, what: str) -> str | None:
    """The object that a ``.dvc`` file points to; None if it is none that can be read."""
    from datakeep.store import dvc_format

    try:
        return dvc_format.parse_pointer_file(pointer, what=what).md5 if pointer is not None else None
    except DatakeepError:
        return None
