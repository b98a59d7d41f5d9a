"""The bytes of versions, read where they are: in this clone, in stores of this machine, in checkouts of the keep.

Nobody else is asked for anything, unless fetching is. What is not here is told, with the reason, so that an answer
can say what it is an answer of.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from datakeep.core.digests import sha256_id
from datakeep.core.errors import DatakeepError
from datakeep.store import dvc_format
from datakeep.store.dvc_format import object_key
from datakeep.store.hashing import digests_for, hash_file
from datakeep.store.interface import Capability
from datakeep.store.verified import fetch_object, read
from datakeep.workflows.given_data import FOLDER as GIVEN
from datakeep.workflows.inventories import INVENTORY, checked, limit_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from datakeep.formats.inventory import FileEntry, Inventory
    from datakeep.formats.version import VersionEntry
    from datakeep.store.interface import Store
    from datakeep.workflows.keep import Keep

#: Versions whose inventories are read by one git process, and held in memory at once.
_READ_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a file's bytes.

    Attributes:
        where: In words: ``store main``.
        path: A file of this machine; None of one that is far, and read in parts.
        store: The store of such a one.
        key: Its key there.
        proven: Whether its sha256 was found to be the registered one.
    """

    where: str
    path: Path | None
    store: Store | None = None
    key: str = ""
    proven: bool = False

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """It, to be read from anywhere."""
        if self.path is not None:
            with self.path.open("rb") as file:
                yield file
        elif self.store is not None:
            with self.store.open_parts(self.key) as file:
                yield file


class BytesHere:
    """Inventories and files of registered versions.

    Args:
        keep: The keep.
        fetch: Ask the vault's repositories and all stores for what is not here.
        scratch: A folder for copies out of git, and for what is fetched whole; one at a time lies there.
    """

    def __init__(self, keep: Keep, *, fetch: bool, scratch: Path) -> None:
        self._keep, self._fetch, self._scratch = keep, fetch, scratch
        self._stores: dict[str, Store] = {}
        self._unusable: dict[str, str] = {}
        for store in keep.stores():
            if Capability.LOCAL in store.capabilities or fetch:
                self._look_at(store)
            else:
                self._unusable[store.name] = f"it is in store {store.name}, which is not on this machine"

    def _look_at(self, store: Store) -> None:
        try:
            store.check(keep=self._keep.name)
            self._stores[store.name] = store
        except DatakeepError as error:
            self._unusable[store.name] = error.what

    def inventories(self, entries: Sequence[VersionEntry]) -> Iterator[tuple[VersionEntry, Inventory | str]]:
        """The inventory of each of ``entries``, versions of one dataset; or why it is not here."""
        for first in range(0, len(entries), _READ_AT_ONCE):
            some = entries[first : first + _READ_AT_ONCE]
            try:
                files = self._read(some)
            except DatakeepError as error:
                yield from ((entry, error.what) for entry in some)
                continue
            for entry in some:
                try:
                    yield entry, self._inventory(entry, files)
                except DatakeepError as error:
                    yield entry, error.what

    def _read(self, entries: Sequence[VersionEntry]) -> dict[tuple[str, str], bytes]:
        repository = self._keep.dataset_repository(entries[0].dataset)
        wanted = [(entry.commit, _listed_in(entry)) for entry in entries]
        files = repository.read_here(wanted)
        if self._fetch and len(files) < len(set(wanted)):
            repository.fetch()
            files = repository.read_here(wanted)
        return files

    def _inventory(self, entry: VersionEntry, files: dict[tuple[str, str], bytes]) -> Inventory | str:
        name = _listed_in(entry)
        data = files.get((entry.commit, name))
        if (kept := self._kept(entry)) is not None:
            name, data = INVENTORY, kept
        if data is None:
            return "its repository is not on this machine"
        if name != INVENTORY:
            what = f"{name} of {entry.dataset}@{entry.version}"
            stores = self._stores_of(entry)
            if not stores:
                return next(iter(self._reasons(entry)), "its list of files is in no store of this machine")
            pointer = dvc_format.parse_pointer_file(data, what=what)
            data = fetch_object(
                pointer.md5,
                stores,
                entry.dataset,
                sha256=bytes.fromhex(entry.inventory.removeprefix("sha256:")),
                limit_bytes=limit_of(entry),
                what=f"the list of files of {entry.dataset}@{entry.version}",
            )
        return checked(data, entry, by_digest=True)

    def _kept(self, entry: VersionEntry) -> bytes | None:
        """The inventory in a checkout of the keep's own, or of an earlier run; its digest proves it."""
        digest = entry.inventory.removeprefix("sha256:")
        for place in (
            self._keep.root / "datasets" / entry.dataset / INVENTORY,
            self._keep.cache(
                GIVEN, entry.dataset, entry.content.removeprefix("sha256:"), f"{digest}.parquet"
            ),
        ):
            try:
                if place.is_file() and place.stat().st_size <= limit_of(entry):
                    data = place.read_bytes()
                    if sha256_id(data) == entry.inventory:
                        return data
            except OSError:
                continue
        return None

    def each(
        self, entry: VersionEntry, files: Sequence[FileEntry], *, in_parts: Sequence[bool]
    ) -> Iterator[tuple[FileEntry, Iterator[Copy | str]]]:
        """Each of ``files`` with its copies, the nearest first; a text says why there is none somewhere.

        Args:
            entry: The version.
            files: Of its inventory.
            in_parts: For each of them, whether a copy will be read in parts only.
        """
        if entry.manifest.get("backend") == "git":
            yield from self._from_git(entry, files)
            return
        for file, parts in zip(files, in_parts, strict=True):
            yield file, self._copies(entry, file, in_parts=parts)

    def _from_git(
        self, entry: VersionEntry, files: Sequence[FileEntry]
    ) -> Iterator[tuple[FileEntry, Iterator[Copy | str]]]:
        place = self._scratch / "blob"
        repository = self._keep.dataset_repository(entry.dataset)
        paths = [f"data/{file.path}" for file in files]
        try:
            for file, (_, found) in zip(files, repository.copies(entry.commit, paths, place), strict=True):
                yield file, iter([Copy("git", place) if found else "it is missing in git"])
        finally:
            place.unlink(missing_ok=True)

    def _copies(self, entry: VersionEntry, file: FileEntry, *, in_parts: bool) -> Iterator[Copy | str]:
        md5 = file.md5.hex()
        key = object_key(entry.dataset, md5)
        stores = self._stores_of(entry)
        for store in stores:
            if Capability.LOCAL in store.capabilities:
                path = store.local_file(key)
                yield Copy(f"store {store.name}", path) if path else f"it is missing in store {store.name}"
        for where, place in self._checkouts(entry, file):
            if place.is_file():
                yield Copy(where, place)
        for store in stores:
            if Capability.LOCAL not in store.capabilities:
                yield self._far(store, key, file, in_parts=in_parts)
        yield from self._reasons(entry)

    def _checkouts(self, entry: VersionEntry, file: FileEntry) -> Iterator[tuple[str, Path]]:
        """Where a checkout of the keep's own, or the data of an earlier run, has the file."""
        md5 = file.md5.hex()
        cache = self._keep.root / "datasets" / entry.dataset / ".dvc" / "cache" / "files" / "md5"
        yield f"the checkout datasets/{entry.dataset}", cache / md5[:2] / md5[2:]
        given = self._keep.cache(GIVEN, entry.dataset, entry.content.removeprefix("sha256:"))
        yield "the data that a run was given", given / "data" / file.path

    def whole(self, file: FileEntry, copies: Iterator[Copy | str], place: Path) -> tuple[Path | None, str]:
        """Where all of ``file`` can be read, its sha256 found right, for as long as the scratch folder is there.

        Args:
            file: The file.
            copies: Its copies, as :meth:`each` gives them.
            place: Where one goes that would be gone with the next file.

        Returns:
            The path; or None, and why there is none.
        """
        whys: list[str] = []
        for copy in copies:
            if isinstance(copy, str):
                whys.append(copy)
            elif copy.path is not None and (copy.proven or hash_file(copy.path)[2] == file.sha256):
                if copy.path.parent != self._scratch:
                    return copy.path, ""
                return copy.path.rename(place), ""
            else:
                whys.append(f"damaged in {copy.where}: other bytes than were registered")
        return None, "; ".join(dict.fromkeys(whys)) or "it is on no store of this machine"

    def _far(self, store: Store, key: str, file: FileEntry, *, in_parts: bool) -> Copy | str:
        """A copy in a store elsewhere: to be read in parts, else fetched whole and held against its sha256."""
        if in_parts and Capability.PARTS in store.capabilities:
            return Copy(f"store {store.name}", None, store, key)
        place = self._scratch / "fetched"
        digests = digests_for(file.size_bytes)
        try:
            with place.open("wb") as sink:
                read(store, key, file.size_bytes, sink.write, digests)
            if (digests.size_bytes, digests.sha256) != (file.size_bytes, file.sha256):
                return f"damaged in store {store.name}: other bytes than were registered"
        except DatakeepError as error:
            return error.what
        finally:
            digests.close()
        return Copy(f"store {store.name}", place, proven=True)

    def _stores_of(self, entry: VersionEntry) -> list[Store]:
        holding = self._keep.holding(entry)
        return sorted(self._stores.values(), key=lambda store: store.name not in holding)

    def _reasons(self, entry: VersionEntry) -> list[str]:
        """Why the stores that should hold a version were not asked."""
        return [self._unusable[name] for name in self._keep.holding(entry) if name in self._unusable]


def _listed_in(entry: VersionEntry) -> str:
    """The file of the repository that tells of the inventory."""
    return INVENTORY if entry.manifest.get("backend") == "git" else f"{INVENTORY}.dvc"
