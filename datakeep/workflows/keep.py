"""An open keep: settings, register, people, stores and dataset repositories, as every workflow needs them."""

from __future__ import annotations

from functools import cached_property
from shlex import quote
from typing import TYPE_CHECKING

from datakeep.core.errors import (
    HostileRepository,
    InvalidFile,
    NotAKeep,
    UnknownName,
    UsageError,
)
from datakeep.core.names import nearest
from datakeep.repository import vault
from datakeep.repository.dataset import DatasetRepository
from datakeep.repository.keep import PRIVATE_FOLDER, KeepRepository
from datakeep.workflows.keep_facts import Filled, KeepFacts, facts_of, recall, remember
from datakeep.workflows.register_entries import RegisterEntries, entry_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from datakeep.core.errors import DatakeepError
    from datakeep.core.progress import Progress
    from datakeep.formats.keep import KeepFile, StoreEntry
    from datakeep.formats.person import Person
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.identity import Identity
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.store.interface import Store
    from datakeep.workflows.roster import Roster

KEEP_FILE = "keep.yaml"


def open_keep(folder: Path, progress: Progress) -> Keep:
    """The keep that ``folder`` lies in.

    Raises:
        NotAKeep: It lies in none.
        HostileRepository: Somebody committed what lies where this clone's own caches do.
        InvalidFile: Its keep.yaml cannot be read.
    """
    repository = KeepRepository.open(folder)
    tree = repository.at()
    _refuse_foreign_caches(repository, tree)
    text = tree.read(KEEP_FILE)
    if text is None:
        raise NotAKeep(
            f"the keep at {repository.root} has no commit with a keep.yaml",
            next_step=f"finish its creation: datakeep init {repository.root}",
        )
    keep = Keep(repository, tree, text, progress)
    keep.require_whole()
    return keep


def _refuse_foreign_caches(repository: KeepRepository, tree: KeepTree) -> None:
    """What is remembered below ``.datakeep/`` is believed, so it may not come from whoever can push."""
    name = tree.named_like(PRIVATE_FOLDER)
    if name:
        git = f"git -C {quote(str(repository.root))}"
        raise HostileRepository(
            f"{name}/ is committed in the keep at {repository.root}: only what this clone finds itself may lie there,"
            " and an index from elsewhere could say anything",
            next_step=f"ask who added it ({git} log -- {name}), and take it away:"
            f" {git} rm -rfq -- {name} && {git} commit -m 'No caches of others' && {git} push",
        )


class Keep(RegisterEntries):
    """A clone of a keep; read at its head, so that what is seen is what was committed."""

    def __init__(self, repository: KeepRepository, tree: KeepTree, text: bytes, progress: Progress) -> None:
        super().__init__(repository, tree, progress)
        self._text = text
        self._repositories: dict[str, DatasetRepository] = {}

    def require_whole(self) -> None:
        """The keep's settings can be read.

        Raises:
            InvalidFile: They cannot.
        """
        _ = self._facts

    @cached_property
    def file(self) -> KeepFile:
        """The keep's settings."""
        from datakeep.formats.keep import KeepFile  # late: most questions do not need them

        return KeepFile.read(self._text, what=str(self.root / KEEP_FILE))

    @cached_property
    def _facts(self) -> KeepFacts:
        """What questions need of the settings."""
        known = recall(self.cache(), self._text)
        if known is None:
            known = facts_of(self.file)
            remember(self.cache(), self._text, known)
        return known

    @property
    def name(self) -> str:
        """The keep's name."""
        return self._facts.name

    def look_again(self) -> None:
        """Forget what was read, if the head has moved."""
        now = self.repository.at()
        if self.tree.commit == now.commit:
            return
        for name in ("roster", "_filled"):
            self.__dict__.pop(name, None)
        self.turn_to(now)
        text = self.tree.read(KEEP_FILE)
        if text is not None and text != self._text:
            self._text = text
            for name in ("file", "_facts"):
                self.__dict__.pop(name, None)
            self.require_whole()

    def refresh(self, meanwhile: Callable[[], object] | None = None) -> None:
        """Follow what is published; if that is impossible now, a warning says so.

        Args:
            meanwhile: Called while git is at it.
        """
        warning = self.repository.refresh(meanwhile)
        if warning:
            self.progress.warn(warning)
        self.look_again()

    def many_entries(self, paths: Sequence[str]) -> dict[str, VersionEntry | DatakeepError]:
        """As in the register itself, but from the index where there are many."""
        if not paths:
            return {}
        from datakeep.workflows.parsed import entries_at

        return entries_at(self, paths)

    @cached_property
    def roster(self) -> Roster:
        """Who is who, and whose files cannot be read."""
        from datakeep.workflows.roster import roster_of

        return roster_of(self.tree)

    @property
    def people(self) -> dict[str, Person]:
        """Handle to person, of those whose files can be read."""
        return self.roster.people

    def warn_of_unreadable_people(self) -> None:
        """A warning for each person whose file cannot be read."""
        for one in self.roster.unreadable:
            self.progress.warn(
                f"{one.reason}; no key of {one.handle} counts until it can be: datakeep status"
            )

    def handle_of(self, email: str) -> str | None:
        """The handle of the person with this e-mail; None if the keep does not know them."""
        return self.roster.handle_of(email)

    @cached_property
    def git_base(self) -> str:
        """The vault's git base on this machine: git's ``datakeep.vault.git`` wins over keep.yaml."""
        return self.repository.setting("datakeep.vault.git") or self.file.vault.git

    def dataset_url(self, name: str) -> str:
        """Where this machine finds a dataset's repository in the vault."""
        return vault.dataset_url(self.git_base, name)

    def recorded_url(self, name: str) -> str:
        """Where keep.yaml says that a dataset's repository is, which is what gets written down."""
        return vault.dataset_url(self.file.vault.git, name)

    @property
    def published_url(self) -> str:
        """Where keep.yaml says that the keep itself is."""
        return vault.keep_url(self.file.vault.git, self.name)

    def cache(self, *parts: str) -> Path:
        """A place under ``.datakeep/``, for what can be deleted at any time."""
        return self.root.joinpath(PRIVATE_FOLDER, *parts)

    def dataset_repository(self, name: str) -> DatasetRepository:
        """The dataset's repository in the vault, through a cache in this clone."""
        if name not in self._repositories:
            cache = self.cache("datasets", f"{name}.git")
            self._repositories[name] = DatasetRepository(cache, self.dataset_url(name))
        return self._repositories[name]

    def store_url(self, name: str, url: str) -> str:
        """The URL of a store on this machine: git's ``datakeep.store.<name>.url`` wins over keep.yaml."""
        return self.repository.setting(f"datakeep.store.{name}.url") or url

    def stores(self, names: Sequence[str] | None = None) -> list[Store]:
        """The keep's stores, or those of ``names`` that it still has; none is looked at yet."""
        return [
            self._store(store) for store in self.file.vault.stores if names is None or store.name in names
        ]

    def _store(self, entry: StoreEntry) -> Store:
        """A store as this machine has it: git's ``datakeep.store.<name>.…`` wins over keep.yaml.

        Another url is another place, which brings its own endpoint and region.
        """
        url = self.store_url(entry.name, entry.url)
        moved = url != entry.url
        connections = self.repository.setting(f"datakeep.store.{entry.name}.connections") or ""
        from datakeep.store.opening import open_store

        return open_store(
            entry.name,
            url,
            endpoint_url=None if moved else entry.endpoint_url,
            region=None if moved else entry.region,
            profile=self.repository.setting(f"datakeep.store.{entry.name}.profile"),
            connections=int(connections) if connections.isdecimal() else None,
        )

    def recorded_stores(self) -> list[Store]:
        """All stores where keep.yaml says that they are, which is what gets written down."""
        from datakeep.store.opening import open_store

        return [
            open_store(store.name, store.url, endpoint_url=store.endpoint_url, region=store.region)
            for store in self.file.vault.stores
        ]

    def holding(self, entry: VersionEntry) -> tuple[str, ...]:
        """The stores of the keep that hold a version's objects, or its bundle, as far as the register knows.

        A store that was added later was filled with all versions of its day, which their entries cannot say; and
        what an entry of a later day says was written while the keep had that store, at that place. So a name
        that was given up and taken again means the new place, rightly.
        """
        path = entry_path(entry.dataset, entry.version)
        return self.holding_at(path, entry.stores)

    def holding_at(self, path: str, stores: Sequence[str]) -> tuple[str, ...]:
        """As :meth:`holding`, of the entry at ``path`` of the register, which names ``stores``."""
        known = [name for name, _ in self._facts.stores]
        named = [name for name in stores if name in known]
        later = [name for name in known if name not in named and self._filled.had(name, path)]
        return (*named, *later)

    @cached_property
    def _filled(self) -> Filled:
        return Filled(self.repository, self._facts)

    def stores_of(self, entry: VersionEntry) -> list[Store]:
        """All stores, those that should hold the version first: the order in which to ask them for it."""
        holding = self.holding(entry)
        return sorted(self.stores(), key=lambda store: store.name not in holding)

    def require_stores(self, names: Sequence[str]) -> None:
        """The keep has stores of all these names.

        Raises:
            UnknownName: It has not; says what is near.
        """
        known = [store.name for store in self.file.vault.stores]
        for name in names:
            if name not in known:
                near = nearest(name, known)
                raise UnknownName(
                    f"this keep has no store {name!r}" + (f"; did you mean {near!r}?" if near else ""),
                    next_step="datakeep vault list",
                )

    def writable_stores(self, without: Sequence[str] = ()) -> list[Store]:
        """All stores but those of ``without``, made sure to be there, to be this keep's, and to take bytes.

        Raises:
            StoreMissing, StoreUnmarked, AccessDenied: One of them is not.
            UnknownName, UsageError: The keep has no store of one of these names, or no other.
        """
        self.require_stores(without)
        stores = [store for store in self.stores() if store.name not in without]
        if not stores:
            raise UsageError(
                "every store of the keep is left out", next_step="leave one in: the bytes must lie somewhere"
            )
        for store in stores:
            store.check(keep=self.name, writable=True)
        return stores

    def require_not_departed(self, who: Identity, now: datetime) -> None:
        """Refuse whoever has departed; whose file cannot be read is said.

        Raises:
            AccessDenied, InvalidFile: They have departed, or that cannot be told.
        """
        self.roster.require_not_departed(who, now.date(), keep=self.name)
        self.warn_of_unreadable_people()

    def require_person(self, who: Identity) -> str:
        """The handle of whoever is at work.

        Raises:
            UnknownName: The keep has no person of this e-mail.
            InvalidFile: A file that may be theirs cannot be read.
        """
        handle = self.handle_of(who.email)
        if handle is None and (broken := self.roster.perhaps(who.email)):
            raise InvalidFile(f"{broken.reason}; it names {who.email}", next_step=broken.next_step)
        if handle is None:
            raise UnknownName(
                f"the keep {self.name} does not know {who.name} <{who.email}>",
                next_step="datakeep people add",
            )
        return handle
