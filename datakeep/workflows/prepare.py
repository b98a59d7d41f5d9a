"""A version's bytes into the stores and its commit into a cache, before anybody can see either."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from datakeep.core.digests import sha256_id
from datakeep.formats import yaml
from datakeep.formats.card import CardFacts, card
from datakeep.formats.inventory import Inventory
from datakeep.formats.manifest import Manifest
from datakeep.repository.command import local_path
from datakeep.repository.writing import Blob
from datakeep.store import dvc_format
from datakeep.store.faults import require_space
from datakeep.store.hashing import HashingReader
from datakeep.store.ingest import ingest, put_bytes
from datakeep.store.scan import SourceFiles
from datakeep.workflows.facts import check_writable
from datakeep.workflows.inventories import INVENTORY
from datakeep.workflows.profiling import PROFILE, is_profiled
from datakeep.workflows.splits import in_two_splits
from datakeep.workflows.sweep_marks import marks
from datakeep.workflows.takers import takers, way_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from datakeep.formats.version import VersionEntry
    from datakeep.repository.dataset import DatasetRepository
    from datakeep.repository.identity import Identity
    from datakeep.store.interface import Store
    from datakeep.store.scan import SourceFile
    from datakeep.store.state import HashState
    from datakeep.workflows.keep import Keep

MANIFEST = "dataset.yaml"
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


class Preparer:
    """Prepares versions of a keep, in the name of one person.

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
        made: list[tuple[Inventory, bytes]] = []

        def late(inventory: Inventory) -> dict[str, bytes]:
            made.append((inventory, inventory.to_bytes()))
            self._tell_same_bytes(draft, inventory)
            return {INVENTORY: made[0][1], **self.texts(draft, manifest, inventory, ())}

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
        [(inventory, data)] = made
        names = tuple(store.name for store in stores)
        return Prepared(draft, repository, commit, inventory, sha256_id(data), names)

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
        self._tell_same_bytes(draft, inventory)
        data = inventory.to_bytes()
        files = {**self._dvc_pointers(draft, inventory, data, stores), **draft.files}
        files |= self.texts(draft, manifest, inventory, self.listed([store.name for store in stores]))
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

    def listed(self, taken: Sequence[str]) -> list[tuple[str, str]]:
        """Name and URL of all stores, those that took this version first."""
        stores = sorted(self.keep.file.vault.stores, key=lambda store: store.name not in taken)
        return [(store.name, store.url) for store in stores]

    def texts(
        self, draft: Draft, manifest: Manifest, inventory: Inventory, stores: Sequence[tuple[str, str]]
    ) -> dict[str, bytes]:
        """The manifest and the card of the draft, as files of its repository; ``stores`` are names and URLs."""
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

    def _tell_same_bytes(self, draft: Draft, inventory: Inventory) -> None:
        before = draft.before.manifest.get("splits") if draft.before else None
        said = in_two_splits(inventory) if draft.source or draft.document.get("splits") != before else None
        if said:
            self.keep.progress.warn(said)

    def _is_profiled(self, draft: Draft) -> bool:
        """Whether the version has a profile of its own, or keeps that of the version before."""
        if PROFILE in draft.files:
            return draft.files[PROFILE] is not None
        repository = self.keep.dataset_repository(draft.name)
        return draft.before is not None and is_profiled(repository, draft.before.commit)


def _required(draft: Draft) -> Inventory:
    if draft.inventory is None:
        raise ValueError("a draft without a source needs the inventory of the version before")
    return draft.inventory


def _with_splits(inventory: Inventory, manifest: Manifest) -> Inventory:
    """The inventory with the split that the manifest's patterns give each file."""
    return inventory.with_splits(manifest.splits.patterns if manifest.splits else {})
