"""The way of every new version into the vault and the register, in the order that survives a kill.

Objects, then ``.dir`` and inventory, commit, tag, push, register entry, keep commit: what comes later refers
only to what is already safe. A run that was killed leaves at most things that nothing refers to; the same
command finds them and goes on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from datakeep.core.digests import sha256_id
from datakeep.core.errors import Conflict, DatakeepError, GitFault
from datakeep.core.names import next_version, version_number
from datakeep.formats import yaml
from datakeep.formats.card import CardFacts, card
from datakeep.formats.inventory import Inventory
from datakeep.formats.manifest import Manifest
from datakeep.formats.version import VersionEntry
from datakeep.repository import submodules, vault
from datakeep.repository.command import local_path
from datakeep.repository.keep import Change, KeepTree
from datakeep.repository.writing import Blob
from datakeep.store import dvc_format
from datakeep.store.faults import require_space
from datakeep.store.hashing import HashingReader
from datakeep.store.ingest import ingest, put_bytes
from datakeep.store.scan import SourceFiles
from datakeep.workflows.bundles import is_bundled, put_bundle
from datakeep.workflows.facts import check_writable
from datakeep.workflows.inventories import INVENTORY
from datakeep.workflows.keep import entry_path
from datakeep.workflows.profiling import PROFILE, is_profiled
from datakeep.workflows.sweep_marks import marks, require_unswept
from datakeep.workflows.takers import require_same_stores, say_what_lacks, takers, way_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from datakeep.repository.dataset import DatasetRepository, TagInfo
    from datakeep.repository.identity import Identity
    from datakeep.store.interface import Store
    from datakeep.store.scan import SourceFile
    from datakeep.store.state import HashState
    from datakeep.workflows.keep import Keep

MANIFEST = "dataset.yaml"
#: Longer than any run needs from its push to its register entry.
_CLAIM_HOLDS = timedelta(minutes=10)
#: Wins over whatever attributes a user has, so that every clone has the bytes that were registered.
_ATTRIBUTES = {".gitattributes": b"* -text -filter -ident -working-tree-encoding\n"}
_DVC_FILES = {
    ".dvc/.gitignore": b"/config.local\n/tmp\n/cache\n",
    ".dvcignore": b"",
    ".gitignore": b"/data\n/inventory.parquet\n",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """A version that is about to be made.

    Args:
        name: The dataset.
        version: ``v3``.
        document: The manifest's fields, with their comments.
        message: Why there is a new version.
        before: The version before, which it builds on; None for the first.
        onto: The commit that a first version builds on: the history that was adopted.
        files: Documents and code that go into the repository; None deletes one.
        source: The new data; None keeps the bytes of ``inventory``.
        inventory: The inventory of the version before, where ``source`` is None.
        state: What was hashed of the source before, if it is one folder.
        deep: Read every file of the source, whatever the state says.
        mend: Read the objects that the stores have, too, and write those anew that are damaged.
    """

    name: str
    version: str
    document: dict[str, Any]
    message: str
    before: VersionEntry | None = None
    files: Mapping[str, bytes | None] = field(default_factory=dict)
    source: Sequence[SourceFile] | None = None
    inventory: Inventory | None = None
    state: HashState | None = None
    deep: bool = False
    mend: bool = False
    onto: str | None = None

    @property
    def parent(self) -> str | None:
        """The commit of the version before, or of what was adopted."""
        return self.before.commit if self.before else self.onto

    @property
    def needs(self) -> VersionEntry | None:
        """The version before, where a store must hold that one to hold this one: but for new bytes as objects."""
        sent_whole = self.source is not None and self.manifest.backend == "dvc"
        return None if sent_whole else self.before

    @property
    def manifest(self) -> Manifest:
        """The manifest, validated."""
        return Manifest.of(self.document, what=f"the manifest of {self.name}")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A draft whose bytes are safe and whose commit exists, but which nobody can see yet."""

    draft: Draft
    repository: DatasetRepository
    commit: str
    inventory: Inventory
    inventory_id: str
    stores: tuple[str, ...]
    unread: int = 0  #: files that did not change since they were last hashed, and were not read again
    marks: Mapping[str, bytes | None] = field(default_factory=dict)  #: of ``gc``, in the stores, from before


@dataclass(frozen=True, slots=True)
class Published:
    """The register's entry of a version; not ``is_new`` where another run entered the same a moment before."""

    entry: VersionEntry
    is_new: bool


class Publisher:
    """Makes versions in a keep, in the name of one person.

    Args:
        keep: The keep.
        who: Author of the commits.
        now: The time that is written down.
        without: Stores that are left out; each must be filled later.
    """

    def __init__(self, keep: Keep, who: Identity, now: datetime, *, without: Sequence[str] = ()) -> None:
        self.keep = keep
        self.who = who
        self.now = now
        self.without = without

    def prepare(self, draft: Draft, *, dry_run: bool = False) -> Prepared:
        """The draft's bytes in every store and its commit in a cache; nothing refers to either yet.

        Args:
            draft: What is prepared.
            dry_run: Only look: the bytes are hashed, and no store is written to. Not to be published.

        Raises:
            SourceChanged, SourceUnreadable: Files of the source; lists them.
            NoSpace, AccessDenied, StoreUnreachable: Of a store; says how to do without it.
            UnknownName, UsageError: A store that is left out is not there, or none is left.
            SecretFound, InvalidFile: Something of the draft must not, or cannot, be written down.
        """
        check_writable({**draft.document, "message": draft.message})
        manifest = draft.manifest
        repository = self.keep.dataset_repository(draft.name)
        prepare = self._prepare_git if manifest.backend == "git" else self._prepare_dvc
        with way_out(self.keep, self.without):
            stores = [] if dry_run else takers(self.keep, draft.needs, self.without)
            before = marks(stores)
            return replace(prepare(draft, manifest, repository, stores), marks=before)

    def _prepare_git(
        self, draft: Draft, manifest: Manifest, repository: DatasetRepository, stores: Sequence[Store]
    ) -> Prepared:
        made: list[Inventory] = []

        def late(inventory: Inventory) -> dict[str, bytes]:
            made.append(inventory)
            return {INVENTORY: inventory.to_bytes(), **self._texts(draft, manifest, inventory, ())}

        files: dict[str, bytes | None] = {**_ATTRIBUTES, **draft.files}
        blobs = None
        if draft.source is not None:
            base = local_path(self.keep.git_base)
            # Git may make them smaller; what it cannot be sure of is not begun.
            needed = sum(file.size_bytes for file in draft.source)
            require_space(needed, [self.keep.root, *([base] if base else [])])
            self.keep.progress.stage("taking the bytes in", total=len(draft.source))
            blobs = self._git_blobs(draft.source, manifest, late)
        else:
            files |= late(_with_splits(_required(draft), manifest))
        commit = repository.write(draft.parent, draft.message, self.who, self.now, files=files, blobs=blobs)
        inventory = made[0]
        names = tuple(store.name for store in stores)
        return Prepared(draft, repository, commit, inventory, sha256_id(inventory.to_bytes()), names)

    def _git_blobs(
        self,
        source: Sequence[SourceFile],
        manifest: Manifest,
        late: Callable[[Inventory], Mapping[str, bytes]],
    ) -> Iterator[Blob]:
        """The data, each file read once and hashed as git takes it; then what is known only afterwards."""
        rows = []
        for file in source:
            reader = HashingReader(file)

            def chunks(reader: HashingReader = reader) -> Iterator[bytes]:
                with reader:
                    yield from reader

            yield Blob(f"data/{file.path}", file.size_bytes, chunks)
            rows.append(reader.entry)
            self.keep.progress.advance(size_bytes=file.size_bytes)
        for path, data in late(_with_splits(Inventory.of(rows), manifest)).items():
            yield Blob(path, len(data), lambda data=data: iter([data]))  # type: ignore[misc]  # bound per turn

    def _prepare_dvc(
        self, draft: Draft, manifest: Manifest, repository: DatasetRepository, stores: Sequence[Store]
    ) -> Prepared:
        unread = 0
        if draft.source is None:
            inventory = _required(draft)
        elif stores:
            inventory, unread = self._taken(draft, draft.source, stores)
        else:
            inventory = self._hashed(draft.source)
        inventory = _with_splits(inventory, manifest)
        data = inventory.to_bytes()
        files = {**self._dvc_pointers(draft, inventory, data, stores), **draft.files}
        files |= self._texts(draft, manifest, inventory, self._listed([store.name for store in stores]))
        commit = repository.write(draft.parent, draft.message, self.who, self.now, files=files)
        return Prepared(
            draft,
            repository,
            commit,
            inventory,
            sha256_id(data),
            tuple(store.name for store in stores),
            unread,
        )

    def _taken(
        self, draft: Draft, source: Sequence[SourceFile], stores: Sequence[Store]
    ) -> tuple[Inventory, int]:
        """The source's inventory, its bytes in the stores; and how many files needed no reading for it."""
        began_ns, files = time.time_ns(), SourceFiles.of(source)
        trusted = draft.state.trusted(files) if draft.state and not draft.deep else None
        inventory = ingest(files, stores, draft.name, self.keep.progress, trusted=trusted, mend=draft.mend)
        if draft.state:
            draft.state.save(files, inventory, began_ns=began_ns)
        return inventory, trusted.used if trusted else 0

    def _hashed(self, source: Sequence[SourceFile]) -> Inventory:
        self.keep.progress.stage("hashing", total=len(source))
        rows = []
        for file in source:
            with HashingReader(file) as reader:
                for _ in reader:
                    pass
            rows.append(reader.entry)
            self.keep.progress.advance(size_bytes=file.size_bytes)
        return Inventory.of(rows)

    def _dvc_pointers(
        self, draft: Draft, inventory: Inventory, data: bytes, stores: Sequence[Store]
    ) -> dict[str, bytes | None]:
        listing = put_bytes(dvc_format.tree_object(inventory), stores, draft.name, directory=True)
        listed = put_bytes(data, stores, draft.name)
        pointer = dvc_format.pointer_file("data", listing, inventory.size_bytes, len(inventory))
        return {
            **_ATTRIBUTES,
            **_DVC_FILES,
            "data.dvc": pointer.encode(),
            f"{INVENTORY}.dvc": dvc_format.pointer_file(INVENTORY, listed, len(data)).encode(),
            ".dvc/config": self._dvc_config(draft.name, [store.name for store in stores]).encode(),
        }

    def _dvc_config(self, name: str, taken: Sequence[str]) -> str:
        """All stores as DVC's remotes; the default, which is the first, is one that took this version."""
        recorded = sorted(self.keep.recorded_stores(), key=lambda store: store.name not in taken)
        return dvc_format.dvc_config(recorded, name)

    def _listed(self, taken: Sequence[str]) -> list[tuple[str, str]]:
        """Name and URL of all stores, those that took this version first."""
        stores = sorted(self.keep.file.vault.stores, key=lambda store: store.name not in taken)
        return [(store.name, store.url) for store in stores]

    def _texts(
        self, draft: Draft, manifest: Manifest, inventory: Inventory, stores: Sequence[tuple[str, str]]
    ) -> dict[str, bytes]:
        facts = CardFacts(
            version=draft.version,
            content=inventory.content_id(),
            files=len(inventory),
            size_bytes=inventory.size_bytes,
            formats=manifest.contents.formats if manifest.contents else {},
            repository=self.keep.recorded_url(draft.name),
            keep=self.keep.published_url,
            stores=stores,
            profiled=self._is_profiled(draft),
        )
        return {
            MANIFEST: yaml.dump(draft.document).encode("utf-8"),
            "README.md": card(manifest, facts).encode("utf-8"),
        }

    def _is_profiled(self, draft: Draft) -> bool:
        """Whether the version has a profile of its own, or keeps that of the version before."""
        if PROFILE in draft.files:
            return draft.files[PROFILE] is not None
        repository = self.keep.dataset_repository(draft.name)
        return draft.before is not None and is_profiled(repository, draft.before.commit)

    def publish(self, prepared: Prepared) -> Published:
        """The version is in the vault and in the register, by this run or by one with the same contents.

        Where its number was pushed before with other contents, and never registered, it gets the next one.

        Raises:
            Conflict: Someone else made this version at the same time; or the clone of the keep is not on its
                branch main, or went another way than its origin. Then nothing was pushed.
            Conflict: The register has it by now, with other contents.
        """
        with prepared.repository.claiming():
            newest = self.keep.repository.require_ready()
            require_same_stores(self.keep, newest, prepared.stores)
            while True:
                there, is_ours = self._push(prepared)
                if is_ours:
                    break
                if equal := self._equal(prepared, there, newest):
                    return Published(equal, is_new=False)
                prepared = self._after(prepared, there, newest)
            with way_out(self.keep, self.without):
                require_unswept(self.keep.stores(prepared.stores), prepared.marks)
            entry = self.entry_of(prepared, there.commit)
            if is_bundled(entry):
                with way_out(self.keep, self.without):
                    put_bundle(self.keep, entry, self.keep.stores(prepared.stores))
            equals: list[VersionEntry] = []
            self.keep.repository.transact(
                lambda tree: self._registered(tree, entry, prepared, equals),
                f"{entry.dataset}@{entry.version}: {prepared.draft.message}",
                self.who,
                when=self.now,
                progress=self.keep.progress,
                ready=True,
            )
        self.keep.look_again()
        if equals:
            return Published(equals[-1], is_new=False)
        say_what_lacks(self.keep, entry)
        return Published(entry, is_new=True)

    def _push(self, prepared: Prepared) -> tuple[TagInfo, bool]:
        """What the tag of this version in the vault says, and whether it is ours.

        Ours is also an equal one of our own run that was killed.
        """
        draft, repository = prepared.draft, prepared.repository
        if not repository.has_version(draft.version):
            repository.tag(draft.version, prepared.commit, draft.message, self.who)
            try:
                repository.publish(draft.version)
            except Conflict:
                if draft.version not in repository.tags():
                    raise
        info = repository.tag_info(draft.version)
        if info is None:
            raise GitFault(
                f"{draft.version} of {draft.name} was pushed and is not there any more",
                next_step="run the same command again",
            )
        if info.commit == prepared.commit:
            return info, True
        same = repository.tree_id(info.commit) == repository.tree_id(prepared.commit)
        return info, same and info.tagger_email == self.who.email

    def _after(self, prepared: Prepared, there: TagInfo, newest: KeepTree) -> Prepared:
        """The same contents under the next number, after all that was pushed.

        Raises:
            Conflict: The other one is registered by now.
            Conflict: It may be about to be.
        """
        draft, repository = prepared.draft, prepared.repository
        path = entry_path(draft.name, draft.version)
        if text := newest.read(path):
            raise _taken(VersionEntry.read(text, what=path), draft)
        by = f"{draft.version} of {draft.name} was pushed by {there.tagger_email or 'someone'}"
        skipped_from = there.when + _CLAIM_HOLDS
        if there.tagger_email != self.who.email and datetime.now(UTC) < skipped_from:
            raise Conflict(
                f"{by} with other contents, and is not registered (yet): another datakeep is at work, or one "
                "was interrupted",
                next_step="wait a minute and run it again; if it is still not registered at "
                f"{skipped_from:%Y-%m-%d %H:%M:%S} UTC, {draft.version} is skipped from then on",
            )
        after = replace(draft, version=next_version([draft.version]))
        self.keep.progress.warn(
            f"{by} at {there.when:%Y-%m-%d %H:%M} UTC with other contents, and was never registered: it is "
            f"skipped, and this becomes {after.version}"
        )
        inventory = prepared.inventory
        in_git = draft.manifest.backend == "git"
        names = [] if in_git else self._listed(prepared.stores)
        texts = self._texts(after, draft.manifest, inventory, names)
        commit = repository.write(
            repository.head(), draft.message, self.who, self.now, files=texts,
            keep={path.partition("/")[0] for path in repository.paths(prepared.commit)},
            kept_from=prepared.commit,
        )  # fmt: skip
        return replace(prepared, draft=after, commit=commit)

    def entry_of(self, prepared: Prepared, commit: str) -> VersionEntry:
        """The register entry that the prepared version gets."""
        draft, inventory = prepared.draft, prepared.inventory
        fields = {
            "format": VersionEntry.format_line(),
            "dataset": draft.name,
            "version": draft.version,
            "repository": self.keep.recorded_url(draft.name),
            "commit": commit,
            "content": inventory.content_id(),
            "inventory": prepared.inventory_id,
            "files": len(inventory),
            "size_bytes": inventory.size_bytes,
            "stores": list(prepared.stores),
            "registered_at": self.now.isoformat(timespec="seconds"),
            "registered_by": self.who.email,
            "message": draft.message,
            "manifest": yaml.plain(draft.document),
        }
        return VersionEntry.of(fields, what=f"the entry of {draft.name}@{draft.version}")

    def _equal(self, prepared: Prepared, there: TagInfo, newest: KeepTree) -> VersionEntry | None:
        """The entry of a version that somebody else registered with the same contents; None if there is none."""
        path = entry_path(prepared.draft.name, prepared.draft.version)
        trees = {prepared.repository.tree_id(one) for one in (there.commit, prepared.commit)}
        text = newest.read(path) if len(trees) == 1 else None
        return VersionEntry.read(text, what=path) if text else None

    def _registered(
        self, tree: KeepTree, entry: VersionEntry, prepared: Prepared, equals: list[VersionEntry]
    ) -> Change:
        """What enters the version; nothing where it is there, which ``equals`` is told."""
        require_same_stores(self.keep, tree, prepared.stores)
        path = entry_path(entry.dataset, entry.version)
        old = tree.read(path)
        if old is not None:
            before = VersionEntry.read(old, what=path)
            if before.commit == entry.commit:
                equals.append(before)
                return Change()
            raise _taken(before, prepared.draft)
        files: dict[str, bytes | None] = {path: entry.dump().encode("utf-8")}
        place = f"datasets/{entry.dataset}"
        if tree.gitlink(place) is None:
            modules = (tree.read(".gitmodules") or b"").decode("utf-8")
            url = submodules.relative_url(self.keep.published_url, entry.repository)
            module = submodules.Submodule(name=place, path=place, url=url or entry.repository)
            files[".gitmodules"] = submodules.add(modules, module).encode("utf-8")
        later = [name for name in tree.list(f"register/{entry.dataset}/") if _is_later(name, entry.version)]
        # A run that was held up for long may come after one that skipped its version.
        return Change(files=files, gitlinks={} if later else {place: entry.commit})

    def first(self, draft: Draft) -> Published:
        """The draft of a new dataset, published; where its bytes find no room, no empty repository stays.

        Raises:
            DatakeepError: As :meth:`prepare` and :meth:`publish`.
        """
        made = self.make_repository(draft.name)
        try:
            prepared = self.prepare(draft)
        except (DatakeepError, KeyboardInterrupt):
            if made:
                vault.drop_empty(self.keep.dataset_url(draft.name))
            raise
        return self.publish(prepared)

    def make_repository(self, name: str) -> bool:
        """Whether it was made now: the vault has a repository for the dataset, perhaps an empty one.

        None is made where a store refuses.

        Raises:
            AccessDenied, StoreUnreachable: Of a store, or of the git base.
        """
        with way_out(self.keep, self.without):
            takers(self.keep, None, self.without)
        return vault.create_bare(self.keep.dataset_url(name), self.keep.file.vault.create_command, name=name)


def _taken(before: VersionEntry, ours: Draft) -> Conflict:
    is_query = (ours.document.get("source") or {}).get("extraction") is not None
    return Conflict(
        f"{before.dataset}@{before.version} was registered at the same time by {before.registered_by}",
        next_step=f"datakeep show {before.dataset}; then make yours the next version: "
        f"datakeep update {before.dataset} {'--sql FILE --database URL' if is_query else 'SOURCE'} -m WHY",
    )


def _is_later(path: str, version: str) -> bool:
    return version_number(path.rpartition("/")[2].removesuffix(".yaml")) > version_number(version)


def _required(draft: Draft) -> Inventory:
    if draft.inventory is None:
        raise ValueError("a draft without a source needs the inventory of the version before")
    return draft.inventory


def _with_splits(inventory: Inventory, manifest: Manifest) -> Inventory:
    """The inventory with the split that the manifest's patterns give each file."""
    return inventory.with_splits(manifest.splits.patterns if manifest.splits else {})
