"""The way of every new version into the vault and the register, in the order that survives a kill.

Objects, then ``.dir`` and inventory, commit, tag, push, register entry, keep commit: what comes later refers
only to what is already safe. A run that was killed leaves at most things that nothing refers to; the same
command finds them and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from datakeep.core.errors import Conflict, DatakeepError, GitFault
from datakeep.core.interrupts import deferred, heard
from datakeep.core.names import next_version, version_number
from datakeep.formats import yaml
from datakeep.formats.version import VersionEntry
from datakeep.repository import submodules, vault
from datakeep.repository.dataset import TagInfo
from datakeep.repository.keep import Change
from datakeep.workflows.bundles import is_bundled, put_bundle
from datakeep.workflows.left_by import left_by
from datakeep.workflows.prepare import Draft, Prepared, Preparer
from datakeep.workflows.register_entries import entry_path
from datakeep.workflows.sweep_marks import require_unswept
from datakeep.workflows.takers import require_same_stores, say_what_lacks, takers, way_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from datakeep.formats.inventory import Inventory
    from datakeep.repository.keep_tree import KeepTree

T = TypeVar("T")

#: Longer than any run needs from its push to its register entry.
_CLAIM_HOLDS = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Published:
    """The register's entry of a version; not ``is_new`` where another run entered the same a moment before."""

    entry: VersionEntry
    is_new: bool
    inventory: Inventory


class Publisher(Preparer):
    """Makes versions in a keep: prepares them, and publishes what was prepared."""

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
            equals: list[VersionEntry] = []
            # A tag that was pushed and never registered would take its number with it: from here on there is no way
            # back but for who insists.
            with deferred() as is_unwanted:
                while True:
                    there, is_ours = _through(partial(self._push, prepared), is_unwanted)
                    if is_ours:
                        break
                    if equal := self._equal(prepared, there, newest):
                        return Published(equal, False, prepared.inventory)
                    prepared = self._after(prepared, there, newest)
                entry = _through(partial(self._enter, prepared, there.commit, equals), is_unwanted)
        self.keep.look_again()
        if equals:
            return Published(equals[-1], False, prepared.inventory)
        say_what_lacks(self.keep, entry)
        return Published(entry, True, prepared.inventory)

    def _enter(self, prepared: Prepared, commit: str, equals: list[VersionEntry]) -> VersionEntry:
        """The version that was pushed is in the register; ``equals`` is told where it was there."""
        with way_out(self.keep, self.without):
            require_unswept(self.keep.stores(prepared.stores), prepared.marks)
        entry = self.entry_of(prepared, commit)
        if is_bundled(entry):
            with way_out(self.keep, self.without):
                put_bundle(self.keep, entry, self.keep.stores(prepared.stores))
        self.keep.repository.transact(
            lambda tree: self._registered(tree, entry, prepared, equals),
            f"{entry.dataset}@{entry.version}: {prepared.draft.message}",
            self.who,
            when=self.now,
            progress=self.keep.progress,
            ready=True,
        )
        return entry

    def _push(self, prepared: Prepared) -> tuple[TagInfo, bool]:
        """What the tag of this version in the vault says, and whether it is ours.

        Ours is also an equal one of our own run that was killed.
        """
        draft, repository = prepared.draft, prepared.repository
        if not repository.has_version(draft.version):
            tag = repository.tag(draft.version, prepared.commit, draft.message, self.who)
            try:
                if repository.publish(draft.version, made=(tag, prepared.commit)) == "done":
                    return TagInfo(prepared.commit, self.who.email, self.now, draft.message), True
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
        names = [] if in_git else self.listed(prepared.stores)
        texts = self.texts(after, draft.manifest, inventory, names)
        commit = repository.write(
            repository.head(), draft.message, self.who, self.now, files=texts,
            keep={path.partition("/")[0] for path in repository.paths(prepared.commit)},
            kept_from=prepared.commit,
        )  # fmt: skip
        return replace(prepared, draft=after, commit=commit)

    def entry_of(self, prepared: Prepared, commit: str) -> VersionEntry:
        """The register entry that the prepared version gets."""
        draft, inventory = prepared.draft, prepared.inventory
        left = [one.to_dict() for one in left_by(self.keep, inventory)]
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
            **({"left_by": left} if left else {}),
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
        self.keep.dataset_repository(draft.name).is_new = made
        try:
            return self.publish(self.prepare(draft))
        except (DatakeepError, KeyboardInterrupt):
            if made:
                vault.drop_empty(self.keep.dataset_url(draft.name))
            raise

    def make_repository(self, name: str) -> bool:
        """Whether it was made now: the vault has a repository for the dataset, perhaps an empty one.

        None is made where a store refuses.

        Raises:
            AccessDenied, StoreUnreachable: Of a store, or of the git base.
        """
        with way_out(self.keep, self.without):
            takers(self.keep, None, self.without)
        return vault.create_bare(self.keep.dataset_url(name), self.keep.file.vault.create_command, name=name)


def _through(work: Callable[[], T], is_unwanted: Callable[[], bool]) -> T:
    """What ``work`` gives, whoever interrupts: Ctrl-C ends the git that is at it, too, and it begins once more."""
    try:
        return work()
    except KeyboardInterrupt:
        heard()
        return work()
    except DatakeepError:
        if not is_unwanted():
            raise
        return work()


def _taken(before: VersionEntry, ours: Draft) -> Conflict:
    name, again = before.dataset, f"datakeep update {before.dataset} SOURCE -m WHY"
    if (ours.document.get("source") or {}).get("extraction") is not None:
        again = f"datakeep update {name} --sql FILE --database URL -m WHY"
        again = f"datakeep update {name} --rerun -m WHY; or another query: {again}" if ours.before else again
    return Conflict(
        f"{name}@{before.version} was registered at the same time by {before.registered_by}",
        next_step=f"datakeep show {name}; then make yours the next version: {again}",
    )


def _is_later(path: str, version: str) -> bool:
    return version_number(path.rpartition("/")[2].removesuffix(".yaml")) > version_number(version)
