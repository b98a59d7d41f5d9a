"""Bundles: the git backend's bytes in the stores, so that they do not die with the git base.

Each version has one, which holds what the registered versions before it do not; a copy of a version is its
own bundle and all those before it.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from copy import copy
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.core.names import version_number
from datakeep.repository.bundles import unbundling
from datakeep.store.checking import Checked
from datakeep.store.interface import CHUNK_BYTES
from datakeep.store.quarantine import quarantine
from datakeep.workflows.inventories import INVENTORY, checked
from datakeep.workflows.register_entries import BUNDLED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from datakeep.formats.version import VersionEntry
    from datakeep.repository.bundles import Unbundling
    from datakeep.store.interface import Store
    from datakeep.workflows.keep import Keep

FOLDER = "datakeep/bundles"


def bundle_key(entry: VersionEntry) -> str:
    """Where each store has the bundle of a version: ``orders/datakeep/bundles/v3-4f1c….bundle``."""
    return f"{entry.dataset}/{FOLDER}/{entry.version}-{entry.commit[:12]}.bundle"


def is_bundled(entry: VersionEntry) -> bool:
    """Whether the stores hold the version as a bundle: the other backend's bytes are objects of their own."""
    return entry.manifest.get("backend") == BUNDLED


def chain(keep: Keep, dataset: str) -> list[VersionEntry]:
    """The versions of a dataset that are bundled, oldest first: the order in which they are read.

    Those whose entry cannot be read are left out: which bundle is theirs is not known.
    """
    return [entry for entry, _ in _chain(keep, dataset)]


def _chain(keep: Keep, dataset: str) -> Iterator[tuple[VersionEntry, bool]]:
    """The same, each with whether one is left out since the one before."""
    is_behind = False
    for entry in keep.entries_or_faults(dataset).values():
        if isinstance(entry, DatakeepError):
            is_behind = True
        elif is_bundled(entry):
            yield entry, is_behind
            is_behind = False


def put_bundle(keep: Keep, entry: VersionEntry, stores: Sequence[Store]) -> None:
    """Every one of ``stores`` has the bundle of a published version; one that was there is replaced.

    Raises:
        NoSpace, AccessDenied, StoreMissing, StoreUnreachable: A store cannot take it.
        GitFault: The repository in the vault is damaged.
    """
    for store in stores:
        with closing(copy(store)) as own:
            own.tidy(entry.dataset)
            own.put(bundle_key(entry), _made(keep, entry))
            own.sync()


def _made(keep: Keep, entry: VersionEntry) -> Iterator[bytes]:
    before = [one for one in chain(keep, entry.dataset) if _number(one) < _number(entry)]
    repository = keep.dataset_repository(entry.dataset)
    if repository.tags().get(entry.version) != entry.commit:
        repository.fetch()
    return repository.bundle(entry.version, entry.commit, before[-1].commit if before else None)


def check_bundles(
    keep: Keep,
    store: Store,
    dataset: str,
    *,
    deep: bool,
    repair: bool = False,
    may_go_on: Callable[[], bool] = lambda: True,
) -> tuple[Checked, set[str]]:
    """What ``store`` has of a dataset's bundles, by version; and which of them were repaired.

    Args:
        keep: The keep.
        store: The store.
        dataset: The dataset.
        deep: Read every byte; else a listing tells what is there.
        repair: Write what is missing or wrong anew, from the git base or another store.
        may_go_on: Whether there is time to read the next one.
    """
    links, found = list(_chain(keep, dataset)), Checked()
    entries = [entry for entry, _ in links]
    present = dict(store.list(f"{dataset}/{FOLDER}")) if entries else {}
    found.missing = {entry.version for entry in entries if not present.get(bundle_key(entry))}
    if not deep and not (repair and found.missing):
        found.unread = {entry.version for entry in entries} - found.missing
        return found, set()
    keep.progress.stage(f"reading the bundles of {dataset} in {store.name}", total=len(entries))
    repaired = set()
    with unbundling() as repository:
        reader = _Reader(keep, repository)
        for entry, is_behind in links:
            fault = None
            is_known = not is_behind or reader.bridge(entry)
            if entry.version not in found.missing and not (deep and may_go_on() and is_known):
                found.unread.add(entry.version)
            elif entry.version in found.missing or (fault := reader.read(store, entry)):
                if repair and reader.repair(store, entry):
                    repaired.add(entry.version)
                    fault = None
                    found.missing.discard(entry.version)
                    found.whole.add(entry.version)
                elif fault:
                    found.wrong[entry.version] = fault
            else:
                found.whole.add(entry.version)
            if entry.version not in found.whole:
                reader.skip(entry)
            keep.progress.advance(size_bytes=present.get(bundle_key(entry), 0))
    return found, repaired


@contextmanager
def unbundled(keep: Keep, entry: VersionEntry) -> Iterator[Path | None]:
    """A repository with the version, made of the bundles of a store, for a ``with`` block; None if none has it."""
    needed = [one for one in chain(keep, entry.dataset) if _number(one) <= _number(entry)]
    for store in keep.stores_of(entry) if is_bundled(entry) else ():
        with unbundling() as repository:
            reader = _Reader(keep, repository)
            if not any(reader.read(store, one) for one in needed):
                yield repository.folder
                return
    yield None


def _number(entry: VersionEntry) -> int:
    return version_number(entry.version)


class _Reader:
    """Reads the bundles of one dataset, oldest first, and holds every file against its inventory.

    Args:
        keep: The keep.
        repository: Where they are read into; one bundle at a time lies beside it.
    """

    def __init__(self, keep: Keep, repository: Unbundling) -> None:
        self._keep = keep
        self._repository = repository
        self._file = repository.folder.with_name("bundle")

    def read(self, store: Store, entry: VersionEntry) -> str | None:
        """What is wrong with the bundle in ``store``; None if it is whole, every byte of it read."""
        try:
            with closing(copy(store)) as own, own.open_read(bundle_key(entry)) as chunks:
                return self._judge(entry, chunks)
        except DatakeepError as error:
            return error.what

    def skip(self, entry: VersionEntry) -> None:
        """Take a version from this clone's cache in place of its bundle, for those that build on it."""
        self._repository.borrow(self._keep.dataset_repository(entry.dataset).cache, entry.commit)

    def bridge(self, entry: VersionEntry) -> bool:
        """Take what a version builds on from this clone, for no bundle of it is known; whether it was there."""
        return self._repository.borrow_before(
            self._keep.dataset_repository(entry.dataset).cache, entry.commit
        )

    def repair(self, store: Store, entry: VersionEntry) -> bool:
        """Whether ``store`` has a whole bundle now, made anew or from another store; the bad one is kept."""
        others = (other for other in self._keep.stores() if other.name != store.name)
        if self._make(entry) and all(self.read(other, entry) for other in others):
            return False
        key = bundle_key(entry)
        quarantine(store, entry.dataset, key, key.rpartition("/")[2])
        with closing(copy(store)) as own, self._file.open("rb") as file:
            own.tidy(entry.dataset)
            own.put(key, iter(lambda: file.read(CHUNK_BYTES), b""))
            own.sync()
        return self.read(store, entry) is None

    def _make(self, entry: VersionEntry) -> str | None:
        try:
            return self._judge(entry, _made(self._keep, entry))
        except DatakeepError as error:
            return error.what

    def _judge(self, entry: VersionEntry, chunks: Iterator[bytes]) -> str | None:
        with self._file.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
        fault = self._repository.take(self._file, entry.version, entry.commit)
        if fault:
            return fault
        inventory = checked(self._repository.read(entry.commit, INVENTORY), entry)
        found = self._repository.hash_files(entry.commit, "data")
        expected = {f"data/{file.path}": file.sha256 for file in inventory.files}
        differing = sorted(dict(found.items() ^ expected.items()))
        return f"{differing[0]} in it is not the registered one" if differing else None
