"""``vault``: the stores of the vault, and one more of them.

A new store enters ``keep.yaml`` only when every object of every registered version lies in it and was
hashed there; until then nobody counts on it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, AlreadyExists, DamagedBytes, DatakeepError
from datakeep.formats import yaml
from datakeep.formats.keep import KeepFile, StoreEntry
from datakeep.repository import vault
from datakeep.repository.keep import Change
from datakeep.store import dvc_format
from datakeep.store.copying import CopyReport, copy_objects
from datakeep.store.ingest import put_bytes
from datakeep.store.opening import create_store, open_store
from datakeep.store.verified import fetch_object
from datakeep.workflows.apart import require_apart
from datakeep.workflows.bundles import check_bundles, is_bundled
from datakeep.workflows.facts import check_writable
from datakeep.workflows.init import store_fields
from datakeep.workflows.inventories import INVENTORY, checked, limit_of
from datakeep.workflows.keep import KEEP_FILE
from datakeep.workflows.register_entries import entry_path

if TYPE_CHECKING:
    from datetime import datetime

    from datakeep.formats.version import VersionEntry
    from datakeep.repository.identity import Identity
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.store.interface import Store
    from datakeep.workflows.keep import Keep

#: So often someone may register while a store is being filled, before it is given up.
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Place:
    """One place of the vault: the git base or a store; ``fault`` says why it cannot be used now.

    ``writable`` is None of the git base, which says so only when something is pushed.
    """

    name: str
    url: str
    free_bytes: int | None
    fault: str | None
    writable: bool | None = None


@dataclass(frozen=True, slots=True)
class StoreAdded:
    """A store that holds everything.

    Attributes:
        created: False where the keep had it before, and it was only made sure that it holds everything.
        versions: How many versions it holds.
        copied: How many objects were written now.
        present: How many were there before, every byte read and found right.
    """

    name: str
    url: str
    created: bool
    versions: int
    copied: int
    present: int
    size_bytes: int


def places(keep: Keep) -> list[Place]:
    """The git base and every store, each asked whether it can be used now."""
    base = keep.git_base
    try:
        fault = (
            None if vault.exists(vault.keep_url(base, keep.name)) else "the keep's repository is not there"
        )
    except DatakeepError as error:
        fault = error.what
    return [Place("git", base, None, fault), *(_place(keep, store) for store in keep.stores())]


def _place(keep: Keep, store: Store) -> Place:
    try:
        store.check(keep=keep.name)
        return Place(store.name, store.url, store.free_bytes(), None, _takes_bytes(keep, store))
    except DatakeepError as error:
        return Place(store.name, store.url, None, error.what)


def _takes_bytes(keep: Keep, store: Store) -> bool:
    try:
        store.check(keep=keep.name, writable=True)
    except AccessDenied:
        return False
    return True


def add_store(keep: Keep, name: str, url: str, *, who: Identity, now: datetime) -> StoreAdded:
    """The keep has one store more, which holds all registered bytes; every object was hashed on its way.

    Running it again after an interruption goes on; on a store that the keep has it fills what is missing.

    Args:
        keep: The keep.
        name: What the keep calls the store.
        url: Where it is; a folder is made if its parent is there, a bucket must exist. That of an object store
            may end in ``?endpoint_url=…&region=…``.
        who: Author of the commit.
        now: The time that is written down.

    Raises:
        AlreadyExists: Another store has the name, or the place is a store of this keep under another name.
        DamagedBytes: No store has some object whole; lists the files. The store is not added.
        StoreUnreachable, AccessDenied, NoSpace: Of the new store.
        SecretFound: The address holds a password.
        UsageError: The place lies in, or around, the keep, its git base or another of its stores.
    """
    check_writable({"url": url})
    fields = store_fields(name, url)
    keep.refresh()
    created = _require_free(keep, fields, url)
    if created:
        require_apart(_opened(fields), keep.root, keep.git_base, keep.stores())
    profile = keep.repository.setting(f"datakeep.store.{name}.profile")
    store = create_store(**fields, keep=keep.name, now=now, profile=profile)
    filling = _Filling(keep, store)
    for _ in range(_ATTEMPTS):
        filling.fill()
        if _enter(keep, filling, fields, who, now):
            break
        keep.look_again()
    else:
        raise AlreadyExists(
            "versions kept being registered while the store was filled",
            next_step=f"run it again: datakeep vault add {name} {url}",
        )
    keep.look_again()
    report = filling.report
    return StoreAdded(
        name, fields["url"], created, len(filling.done), report.copied, report.present, report.size_bytes
    )


def _opened(fields: dict[str, str]) -> Store:
    return open_store(
        fields["name"],
        fields["url"],
        endpoint_url=fields.get("endpoint_url"),
        region=fields.get("region"),
    )


def _require_free(keep: Keep, fields: dict[str, str], url: str) -> bool:
    """Whether the store is new to the keep; ``url`` is as it was written."""
    name, wanted = fields["name"], _place_of(StoreEntry(**fields))
    for store in keep.file.vault.stores:
        if store.name == name and _place_of(store) != wanted:
            raise AlreadyExists(
                f"the keep has a store {name!r} already, at {store.url}",
                next_step="choose another name; `datakeep vault list` shows those that are taken",
            )
        if store.name != name and _place_of(store) == wanted:
            raise AlreadyExists(
                f"{url} is already the keep's store {store.name!r}",
                next_step=f"choose another place, or fill that one up: datakeep vault add {store.name} {url}",
            )
    return all(store.name != name for store in keep.file.vault.stores)


def _place_of(store: StoreEntry) -> tuple[str, str | None]:
    return store.url, store.endpoint_url


class _Filling:
    """A store on its way to hold everything."""

    def __init__(self, keep: Keep, store: Store) -> None:
        self.store = store
        self.done: set[str] = set()
        self.seen: set[str] = set()
        self.report = CopyReport(0, 0, 0, ())
        self._keep = keep

    def fill(self) -> None:
        """Copy every version that is in the register and not yet done."""
        self.seen.update(self._keep.tree.list("register/"))
        for name in self._keep.datasets:
            todo = {entry_path(name, entry.version): entry for entry in self._keep.entries(name)}
            todo = {path: entry for path, entry in todo.items() if path not in self.done}
            if any(is_bundled(entry) for entry in todo.values()):
                self._bundle(name)
            for entry in todo.values():
                if not is_bundled(entry):
                    self._copy(entry)
            self.done |= todo.keys()

    def _bundle(self, dataset: str) -> None:
        checked, made = check_bundles(self._keep, self.store, dataset, deep=True, repair=True)
        if bad := sorted(checked.missing | checked.wrong.keys()):
            raise DamagedBytes(
                f"{len(bad)} versions of {dataset} cannot be had whole, so {self.store} was not added",
                next_step="datakeep fsck tells what is wrong in the git base",
                things=[f"{dataset}@{version}" for version in bad],
            )
        self._count(CopyReport(len(made), len(checked.whole) - len(made), 0, ()))

    def is_news(self, tree: KeepTree) -> bool:
        """Whether the keep does not say yet that this store holds everything."""
        stores = KeepFile.read(tree.read(KEEP_FILE) or b"", what=KEEP_FILE).vault.stores
        if all(store.name != self.store.name for store in stores):
            return True
        entries = [entry for name in self._keep.datasets for entry in self._keep.entries(name)]
        return any(self.store.name not in self._keep.holding(entry) for entry in entries)

    def _copy(self, entry: VersionEntry) -> None:
        what = f"{entry.dataset}@{entry.version}"
        sources = [store for store in self._keep.stores_of(entry) if store.name != self.store.name]
        pointers = self._pointers(entry)
        wanted = bytes.fromhex(entry.inventory.removeprefix("sha256:"))
        listed = fetch_object(
            pointers[1], [*sources, self.store], entry.dataset, sha256=wanted, limit_bytes=limit_of(entry),
            what=f"the inventory of {what}",
        )  # fmt: skip
        inventory = checked(listed, entry)
        report = copy_objects(inventory, sources, self.store, entry.dataset, self._keep.progress)
        if report.unavailable:
            raise DamagedBytes(
                f"{len(report.unavailable)} files of {what} are whole in no store, so {self.store} was not added",
                next_step="restore them first: the owner can run "
                f"datakeep update {entry.dataset} SOURCE --deep -m WHY",
                things=report.unavailable,
            )
        listing = dvc_format.tree_object(inventory)
        if f"{hashlib.md5(listing, usedforsecurity=False).hexdigest()}.dir" != pointers[0]:
            raise DamagedBytes(
                f"data.dvc and the inventory of {what} do not list the same files",
                next_step=f"datakeep verify {what} tells who must act",
            )
        put_bytes(listing, [self.store], entry.dataset, directory=True)
        put_bytes(listed, [self.store], entry.dataset)
        self._count(report)

    def _count(self, report: CopyReport) -> None:
        self.report = CopyReport(
            self.report.copied + report.copied,
            self.report.present + report.present,
            self.report.size_bytes + report.size_bytes,
            (),
        )

    def _pointers(self, entry: VersionEntry) -> tuple[str, str]:
        """The names of the ``.dir`` object and of the inventory's."""
        repository = self._keep.dataset_repository(entry.dataset)
        if entry.commit not in repository.tags().values():
            repository.fetch()
        names = []
        for path in ("data.dvc", f"{INVENTORY}.dvc"):
            what = f"{path} of {entry.dataset}@{entry.version}"
            text = repository.read(entry.commit, path)
            if text is None:
                raise DamagedBytes(
                    f"{what} is missing", next_step=f"datakeep verify {entry.dataset} tells who must act"
                )
            names.append(dvc_format.parse_pointer_file(text, what=what).md5)
        return names[0], names[1]


def _enter(keep: Keep, filling: _Filling, fields: dict[str, str], who: Identity, now: datetime) -> bool:
    """Write the store into keep.yaml; False if versions were registered that it does not hold yet."""
    entered = True

    def change(tree: KeepTree) -> Change:
        nonlocal entered
        entered = filling.seen.issuperset(tree.list("register/"))
        if not entered or not filling.is_news(tree):
            return Change()
        return Change(files={KEEP_FILE: _with_store(tree, fields)})

    message = f"vault: store {filling.store.name}"
    keep.repository.transact(change, message, who, when=now, progress=keep.progress)
    return entered


def _with_store(tree: KeepTree, fields: dict[str, str]) -> bytes:
    """keep.yaml with the store, its comments kept."""
    document = yaml.load(tree.read(KEEP_FILE) or b"", what=KEEP_FILE)
    stores = document["vault"]["stores"]
    found = next((store for store in stores if store.get("name") == fields["name"]), None)
    if found is None:
        stores.append({**fields, "filled_at": tree.commit})
    else:
        found["filled_at"] = tree.commit
    text = yaml.dump(document).encode("utf-8")
    KeepFile.read(text, what=KEEP_FILE)
    return text
