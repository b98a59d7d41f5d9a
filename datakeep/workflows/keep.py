"""An open keep: settings, register, people, stores and dataset repositories, as every workflow needs them."""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import (
    DamagedBytes,
    DatakeepError,
    InvalidFile,
    NotAKeep,
    UnknownName,
    UsageError,
)
from datakeep.core.names import NAME, VERSION, Reference, nearest, parse_reference, version_number
from datakeep.repository import vault, working
from datakeep.repository.dataset import DatasetRepository
from datakeep.repository.keep import PRIVATE_FOLDER, KeepRepository, KeepTree
from datakeep.workflows.keep_facts import Filled, KeepFacts, facts_of, recall, remember

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from datakeep.core.progress import Progress
    from datakeep.formats.keep import KeepFile, StoreEntry
    from datakeep.formats.person import Person
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.identity import Identity
    from datakeep.store.interface import Store
    from datakeep.workflows.roster import Roster

KEEP_FILE = "keep.yaml"


def entry_path(dataset: str, version: str) -> str:
    """Where the register has a version."""
    return f"register/{dataset}/{version}.yaml"


def open_keep(folder: Path, progress: Progress) -> Keep:
    """The keep that ``folder`` lies in.

    Raises:
        NotAKeep: It lies in none.
        InvalidFile: Its keep.yaml cannot be read.
    """
    repository = KeepRepository.open(folder)
    tree = repository.at()
    text = tree.read(KEEP_FILE)
    if text is None:
        raise NotAKeep(
            f"the keep at {repository.root} has no commit with a keep.yaml",
            next_step=f"finish its creation: datakeep init {repository.root}",
        )
    keep = Keep(repository, tree, text, progress)
    keep.require_whole()
    return keep


class Keep:
    """A clone of a keep; read at its head, so that what is seen is what was committed."""

    def __init__(self, repository: KeepRepository, tree: KeepTree, text: bytes, progress: Progress) -> None:
        self.repository = repository
        self.progress = progress
        self.tree = tree
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
    def root(self) -> Path:
        """The folder of the clone."""
        return self.repository.root

    @property
    def name(self) -> str:
        """The keep's name."""
        return self._facts.name

    def look_again(self) -> None:
        """Forget what was read, if the head has moved."""
        now = self.repository.at()
        if self.tree.commit == now.commit:
            return
        for name in ("_versions", "_some_versions", "roster", "_filled"):
            self.__dict__.pop(name, None)
        self.tree = now
        text = self.tree.read(KEEP_FILE)
        if text is not None and text != self._text:
            self._text = text
            for name in ("file", "_facts"):
                self.__dict__.pop(name, None)
            self.require_whole()

    def refresh(self) -> None:
        """Follow what is published; if that is impossible now, a warning says so."""
        warning = self.repository.refresh()
        if warning:
            self.progress.warn(warning)
        self.look_again()

    @cached_property
    def _versions(self) -> dict[str, list[str]]:
        return _versions_in(self.tree.list("register/"))

    @cached_property
    def _some_versions(self) -> dict[str, list[str]]:
        """Of the datasets that were asked for by name: a question about one need not list all."""
        return {}

    @property
    def datasets(self) -> list[str]:
        """The names of all registered datasets."""
        return list(self._versions)

    def versions(self, dataset: str) -> list[str]:
        """The versions of a dataset, oldest first; none if it is not registered."""
        if "_versions" in self.__dict__ or not NAME.fullmatch(dataset):
            return self._versions.get(dataset, [])
        if dataset not in self._some_versions:
            found = _versions_in(self.tree.list(f"register/{dataset}/"))
            self._some_versions[dataset] = found.get(dataset, [])
        return self._some_versions[dataset]

    def resolve(self, text: str) -> Reference:
        """The version that ``orders`` or ``orders@v3`` means; an earlier name (alias) works as well.

        Raises:
            UsageError: It is malformed.
            UnknownName: There is no such dataset or version; says what is near.
        """
        wanted = parse_reference(text.removeprefix("dataset:"))
        name = wanted.name if self.versions(wanted.name) else self._by_alias(wanted.name)
        versions = self.versions(name)
        if wanted.version and wanted.version not in versions:
            said, pull = self.elsewhere()
            raise UnknownName(
                f"{name} has no version {wanted.version}; it has {', '.join(versions[-5:])}; {said}",
                next_step=pull or f"datakeep log {name}",
            )
        return Reference(name, wanted.version or versions[-1])

    def _by_alias(self, alias: str) -> str:
        if dataset := self.dataset_once_called(alias):
            return dataset
        near = nearest(alias, self.datasets)
        hint = f"; did you mean {near!r}?" if near else ""
        said, pull = self.elsewhere()
        raise UnknownName(
            f"this keep has no dataset {alias!r} ({said}){hint}", next_step=pull or "datakeep list"
        )

    def elsewhere(self) -> tuple[str, str | None]:
        """Whether what is not here may be published, as origin says now, and how to get it."""
        try:
            found = working.divergence(self.root)
        except DatakeepError as error:
            return f"whether it is published elsewhere is not known: {error.what}", None
        if not found or not found.behind:
            return "nothing newer is published", None
        commits = counted(found.behind, "published commit")
        return f"this clone of the keep lacks {commits}", f"git -C {self.root} pull --rebase"

    def warn_if_behind(self) -> None:
        """A warning, if this clone has fetched commits that it does not show; nobody is asked."""
        if behind := working.known_behind(self.root):
            commits = counted(behind, "published commit")
            self.progress.warn(f"{commits} not shown here yet: git -C {self.root} pull --rebase")

    def dataset_once_called(self, alias: str) -> str | None:
        """The dataset that has ``alias`` as an earlier name."""
        for entry in self.newest_entries(holding=("aliases", alias)):
            if alias in entry.manifest.get("aliases", []):
                return entry.dataset
        return None

    def entry(self, reference: Reference | str) -> VersionEntry:
        """The register entry of a version, the newest if none is named.

        Raises:
            UnknownName, InvalidFile: It does not exist, or cannot be read.
        """
        found = self.resolve(str(reference))
        path = entry_path(found.name, found.version or "")
        return _entry(self.tree.read(path) or b"", path)

    def readable_entry(self, reference: str) -> VersionEntry:
        """As :meth:`entry`; a name alone means the newest version that can be read, and a warning says so.

        Raises:
            UnknownName: There is no such dataset or version.
            InvalidFile, DamagedBytes: The version that is named, or any of the dataset, cannot be read.
        """
        try:
            return self.entry(reference)
        except (InvalidFile, DamagedBytes) as fault:
            older = None if "@" in reference else self._older(self.resolve(reference).name, fault)
            if older is None:
                raise
            return older

    def _older(self, dataset: str, fault: DatakeepError) -> VersionEntry | None:
        """The newest version that can be read, where the newest cannot."""
        from datakeep.formats.version import VersionEntry

        found = [one for one in self.entries_or_faults(dataset).values() if isinstance(one, VersionEntry)]
        shown = f"the newest that can be read is {found[-1].version}" if found else "no other can be read"
        self.progress.warn(f"{fault.what}; of {dataset} {shown}")
        return found[-1] if found else None

    def entries_or_faults(self, dataset: str) -> dict[str, VersionEntry | DatakeepError]:
        """Version to its entry, or to why that cannot be read; oldest first."""
        paths = {version: entry_path(dataset, version) for version in self.versions(dataset)}
        texts = self.tree.read_many(paths.values())
        found: dict[str, VersionEntry | DatakeepError] = {}
        for version, path in paths.items():
            try:
                found[version] = _entry(texts[path], path)
            except (InvalidFile, DamagedBytes) as error:
                found[version] = error
        return found

    def at_commit(self, dataset: str, commit: str) -> VersionEntry | None:
        """The version of a dataset that is this commit; None if none is that can be read."""
        texts = self.tree.read_many(entry_path(dataset, version) for version in self.versions(dataset))
        for path, text in texts.items():
            if commit.encode("ascii") in text:  # parsing all of them takes far longer
                with contextlib.suppress(InvalidFile, DamagedBytes):
                    if (entry := _entry(text, path)).commit == commit:
                        return entry
        return None

    def entries(self, dataset: str) -> list[VersionEntry]:
        """All entries of a dataset, oldest first."""
        paths = [entry_path(dataset, version) for version in self.versions(dataset)]
        texts = self.tree.read_many(paths)
        return [_entry(texts[path], path) for path in paths]

    def newest_entries(self, *, holding: Sequence[str] = ()) -> list[VersionEntry]:
        """The newest entry of each dataset that can be read; a warning names those that cannot.

        Args:
            holding: Only entries whose text has all of these; parsing ten thousand others takes a minute.
        """
        from datakeep.formats.version import VersionEntry
        from datakeep.workflows.parsed import entries_at

        needles = [text.encode("utf-8") for text in holding]
        paths = [entry_path(name, versions[-1]) for name, versions in self._versions.items()]
        if needles:
            texts = self.tree.read_many(paths)
            paths = [path for path, text in texts.items() if all(needle in text for needle in needles)]
        found = []
        for path, one in entries_at(self, paths).items():
            entry = one if isinstance(one, VersionEntry) else self._older(path.split("/")[1], one)
            if entry:
                found.append(entry)
        return found

    def parse_entry(self, text: bytes, path: str) -> VersionEntry:
        """The entry that the file at ``path`` of the register holds.

        Raises:
            InvalidFile, DamagedBytes: It cannot be read, or says that it is another version.
        """
        return _entry(text, path)

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


def _versions_in(paths: Iterable[str]) -> dict[str, list[str]]:
    """Dataset to its versions, oldest first, of paths of the register."""
    found: dict[str, list[str]] = {}
    for path in paths:
        parts = path.removesuffix(".yaml").split("/")
        if len(parts) == 3 and path.endswith(".yaml") and VERSION.fullmatch(parts[2]):
            found.setdefault(parts[1], []).append(parts[2])
    return {name: sorted(versions, key=version_number) for name, versions in sorted(found.items())}


def _entry(text: bytes, path: str) -> VersionEntry:
    from datakeep.formats.version import VersionEntry

    entry = VersionEntry.read(text, what=path)
    if path != entry_path(entry.dataset, entry.version):
        raise DamagedBytes(
            f"{path} says that it is {entry.dataset}@{entry.version}",
            next_step=f"restore it from history: git log -- {path}",
        )
    return entry
