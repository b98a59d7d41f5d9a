"""The index of a keep, opened for a question; and what it knows of inventories and SQL, taken in where they are.

The register alone makes most of it. The files of a version and the text of its SQL lie in the dataset's repository
and the stores: they are taken in where this machine has them already, and fetched only when that is asked for.
What is not here is counted, so that an answer can say what was not searched.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from datakeep.core.counts import counted
from datakeep.core.errors import DatakeepError
from datakeep.lineage import schema, wanting
from datakeep.lineage.index import Index, Words, describe
from datakeep.repository.dataset import state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from datakeep.formats.version import VersionEntry
    from datakeep.lineage.adding import Adding
    from datakeep.repository.dataset import DatasetRepository
    from datakeep.store.interface import Store
    from datakeep.workflows.keep import Keep

#: Reading so many files takes long enough to say so.
_WORTH_SAYING = 200
INVENTORY = "inventory.parquet"
_POINTERS = {f"{INVENTORY}.dvc": "the inventory", "data.dvc": "the list of the files (a .dir object)"}
#: Inventories of the git backend that are read by one git process, and held in memory at once.
_READ_AT_ONCE = 20
#: Rows that one transaction takes in.
_COMMIT_ROWS = 1_500_000
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class NotSearched:
    """Versions whose file lists, or SQL, are not on this machine: an answer without them is no "no".

    Attributes:
        what: Of what: ``files`` or ``SQL``.
        count: How many versions.
        such_as: A few of them, as ``orders@v3``.
    """

    what: str
    count: int
    such_as: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.such_as) + (", …" if self.count > len(self.such_as) else "")
        lists = "file lists" if self.what == "files" else self.what
        return f"the {lists} of {counted(self.count, 'version')}, not on this machine: {shown}"


def ask(
    keep: Keep, question: Callable[[Index], _Answer], *, fetch: bool = False, files: bool = True
) -> _Answer:
    """The answer of the index to ``question``; one that turns out to be damaged is made anew first.

    Args:
        keep: The keep.
        question: Reads the index, and returns all that it wants of it.
        fetch: Get the inventories and SQL that are not here.
        files: Whether inventories and SQL matter; without, only the register is looked at.
    """
    try:
        return _asked(keep, question, fetch=fetch, files=files)
    except sqlite3.DatabaseError as error:
        if schema.is_busy(error):
            raise
        schema.remove(_path(keep))
        return _asked(keep, question, fetch=fetch, files=files)


def _asked(keep: Keep, question: Callable[[Index], _Answer], *, fetch: bool, files: bool) -> _Answer:
    index = _open(keep)
    try:
        if files:
            _Collector(keep, index, fetch=fetch).collect()
        return question(index)
    finally:
        index.close()


def _path(keep: Keep) -> Path:
    return keep.cache(f"index-{schema.FORMAT}.sqlite")


def _open(keep: Keep) -> Index:
    def starting(count: int) -> None:
        if count >= _WORTH_SAYING:
            keep.progress.stage(f"indexing {counted(count, 'file')} of the keep")

    try:
        place = keep.repository.private_folder() and _path(keep)
    except DatakeepError:
        place = None
    index = Index.open(place, keep.tree, starting=starting)
    if index.temporary:
        keep.progress.warn(f"the index is made for this question only and not kept: {index.temporary}")
    return index


def not_searched(
    index: Index, what: str = "files", dataset: str | None = None, number: int | None = None
) -> NotSearched | None:
    """The versions whose files, or SQL, the index does not know; None if it knows all.

    Args:
        index: The index.
        what: ``files`` or ``SQL``.
        dataset: Only those of one dataset.
        number: Only this version of it.
    """
    count = wanting.count(index.database, what.lower(), dataset, number)
    if not count:
        return None
    names = wanting.some(index.database, what.lower(), dataset, number)
    return NotSearched(what, count, tuple(names))


class _Collector:
    """Takes in what the repositories and stores have of the versions that the index knows no files of."""

    def __init__(self, keep: Keep, index: Index, *, fetch: bool) -> None:
        self._keep, self._index, self._fetch = keep, index, fetch
        self._database = index.database
        self._adding: Adding | None = None
        self._stores_here: list[Store] | None = None
        self._faults: list[str] = []

    def collect(self) -> None:
        """All that is here (or can be fetched, if that is asked for) is in the index."""
        seen = self._seen()
        moved = schema.meta(self._database, "seen") != seen
        if not (self._fetch or moved or wanting.fresh(self._database)):
            return
        lacking = self._lacking(moved=moved)
        try:
            with schema.transaction(self._database):
                self._take_all(lacking)
                wanting.all_seen(self._database)
                schema.set_meta(self._database, "seen", seen)
        except sqlite3.OperationalError as error:
            if not schema.is_busy(error):
                raise
        if self._faults:
            more = f" (and {len(self._faults) - 1} more)" if len(self._faults) > 1 else ""
            self._keep.progress.warn(f"not fetched: {self._faults[0]}{more}")

    def _take_all(self, lacking: Mapping[str, Sequence[str]]) -> None:
        if not lacking:
            return
        from datakeep.formats.version import VersionEntry
        from datakeep.lineage.adding import Adding, merge  # slow to import, and seldom needed

        adding = self._adding = Adding(self._database)
        for dataset, paths in lacking.items():
            entries = self._index.entries(paths)
            self._take(
                dataset, [VersionEntry.of_plain(one.data, what=one.path) for one in entries if one.data]
            )
            self._settle()
        adding.flush()
        merge(self._database)

    def _settle(self) -> None:
        """What was taken in is kept, whatever comes after."""
        if self._adding and self._adding.waiting_rows >= _COMMIT_ROWS:
            self._adding.flush()
            self._database.execute("COMMIT")
            self._database.execute("BEGIN IMMEDIATE")

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
        if not moved:
            return wanting.by_dataset(self._database, wanting.fresh(self._database))
        folder = self._keep.cache("datasets")
        here = (one.name.removesuffix(".git") for one in folder.glob("[!.]*.git")) if folder.is_dir() else ()
        return wanting.by_dataset(self._database, sorted(here))

    def _take(self, dataset: str, entries: Sequence[VersionEntry]) -> None:
        repository = self._keep.dataset_repository(dataset)
        found = 0
        for first in range(0, len(entries), _READ_AT_ONCE):
            some = entries[first : first + _READ_AT_ONCE]
            files = self._read(repository, some)
            found += sum(self._take_one(entry, files) for entry in some)
        if found:
            counts = Words(self._database)
            describe(self._database, "dataset", dataset, counts)
            counts.write()

    def _read(
        self, repository: DatasetRepository, entries: Sequence[VersionEntry]
    ) -> dict[tuple[str, str], bytes]:
        wanted = [(entry.commit, name) for entry in entries for name in _names(entry)]
        try:
            files = repository.read_here(wanted)
            if self._fetch and any(not _is_here(entry, files) for entry in entries):
                repository.fetch()
                files = repository.read_here(wanted)
            return files
        except DatakeepError as error:
            self._faults.append(error.what)
            return {}

    def _take_one(self, entry: VersionEntry, files: dict[tuple[str, str], bytes]) -> bool:
        """Whether anything of a version was there."""
        if not _is_here(entry, files):
            return False
        path = f"register/{entry.dataset}/{entry.version}.yaml"
        for table in ("query", "object"):
            self._database.execute(f"DELETE FROM {table} WHERE path = ?", (path,))  # noqa: S608  # our own names
        query = _query(entry)
        if query and (text := files.get((entry.commit, query))) is not None:
            shown = text.decode("utf-8", "replace")
            self._database.execute("INSERT INTO query VALUES (?, ?)", (path, shown))
        for name, what in _POINTERS.items():
            if md5 := _pointed(files.get((entry.commit, name)), name):
                self._database.execute("INSERT INTO object VALUES (?, ?, ?)", (md5, path, what))
        whole = self._take_inventory(entry, files)
        wanting.looked(self._database, path, whole=whole)
        return True

    def _take_inventory(self, entry: VersionEntry, files: dict[tuple[str, str], bytes]) -> bool:
        digest = entry.inventory.removeprefix("sha256:")
        known = self._database.execute("SELECT 1 FROM inventory WHERE digest = ?", (digest,)).fetchone()
        if known:
            return True
        from datakeep.workflows.inventories import checked

        data = files.get((entry.commit, INVENTORY))
        try:
            if data is None:
                data = self._from_store(entry, files.get((entry.commit, f"{INVENTORY}.dvc")))
            if data is None or self._adding is None:
                return False
            self._adding.add(digest, checked(data, entry, by_digest=True))
            wanting.listed(self._database, digest)
        except DatakeepError as error:
            if self._fetch:
                self._faults.append(error.what)
            return False
        return True

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
            sha256=bytes.fromhex(entry.inventory.removeprefix("sha256:")),
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


def _query(entry: VersionEntry) -> str | None:
    source = entry.manifest.get("source")
    path = source.get("query") if isinstance(source, dict) else None
    return path if isinstance(path, str) else None


def _names(entry: VersionEntry) -> list[str]:
    """The files of a dataset's repository that the index is interested in."""
    names = ["dataset.yaml", *([query] if (query := _query(entry)) else [])]
    return names + ([INVENTORY] if entry.manifest.get("backend") == "git" else list(_POINTERS))


def _is_here(entry: VersionEntry, files: dict[tuple[str, str], bytes]) -> bool:
    return any((entry.commit, name) in files for name in _names(entry))


def _pointed(pointer: bytes | None, what: str) -> str | None:
    """The object that a ``.dvc`` file points to; None if it is none that can be read."""
    from datakeep.store import dvc_format

    try:
        return dvc_format.parse_pointer_file(pointer, what=what).md5 if pointer is not None else None
    except DatakeepError:
        return None
