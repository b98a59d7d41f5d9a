"""One dataset's repository, written through the cache that it is read through: a commit, its tag, their publication.

What was written here but not yet published is on no branch and under no tag, so that a kill leaves nothing that
looks like a version.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from datakeep.core.errors import Conflict, GitFault
from datakeep.core.secrets import strip_url
from datakeep.repository.bundles import borrow, bundle
from datakeep.repository.command import check_object_id
from datakeep.repository.dataset_cache import HEAD, PENDING, DatasetCache, TagInfo, has_changed
from datakeep.repository.locking import exclusive
from datakeep.repository.objects import is_ancestor, is_complete, resolve, resolve_all
from datakeep.repository.vault import push
from datakeep.repository.writing import Blob, Plan, write_commit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from datakeep.repository.identity import Identity

__all__ = ["Blob", "DatasetRepository", "TagInfo"]

_CLAIM_TIMEOUT_S = 3600


class DatasetRepository(DatasetCache):
    """A dataset's repository in the vault, read and written through a bare repository at ``cache``."""

    def write(
        self,
        parent: str | None,
        message: str,
        identity: Identity,
        when: datetime,
        *,
        files: Mapping[str, bytes | None],
        blobs: Iterable[Blob] | None = None,
        keep: Collection[str] | None = None,
        kept_from: str | None = None,
    ) -> str:
        """A new commit on ``parent``, not yet published.

        Args:
            parent: The commit before; None for the first of the repository.
            message: The commit message.
            identity: Its author.
            when: Its time, with a zone.
            files: Small files by path; None deletes one.
            blobs: The new contents of ``data/``, each read once; None leaves the parent's ``data/``.
            keep: Files and folders that are taken over from the parent; None takes over all.
            kept_from: The commit that those of ``keep`` are taken from, in the parent's place.

        Raises:
            SourceChanged: A blob has more or fewer bytes than it was said to have. Nothing is left.
        """
        with self._alone():
            cleared: tuple[str, ...] = ("data",) if blobs is not None else ()
            kept: list[tuple[str, str, str]] = []
            if keep is not None:
                cleared, origin = ("",), kept_from or parent
                kept = [
                    facts
                    for path in sorted(keep)
                    if origin and (blobs is None or path != "data") and (facts := self._facts(origin, path))
                ]
            plan = Plan(files=files, blobs=blobs or (), cleared=cleared, kept=tuple(kept))
            return write_commit(
                self._git, parent, plan,
                message=message, identity=identity, when=when, git_folder=self.cache, alone=True,
            )  # fmt: skip

    def _facts(self, commit: str, path: str) -> tuple[str, str, str] | None:
        listed = self._git.text(
            "ls-tree", "-z", "--full-tree", "--", check_object_id(commit), path.rstrip("/")
        )
        if not listed:
            return None
        mode, _, object_id = listed.partition("\t")[0].split()
        return mode, object_id, path.rstrip("/")

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Alone in this clone from the push of a tag to its entry in the register.

        So a tag of this clone that is met here unregistered was left by a run that ended.

        Raises:
            Locked: Another run has been pushing for an hour.
        """
        with exclusive(self.cache.with_name(f"{self.cache.name}.claim"), timeout_s=_CLAIM_TIMEOUT_S):
            yield

    def tag(
        self, version: str, commit: str, message: str, identity: Identity, *, when: datetime | None = None
    ) -> str:
        """``commit`` is ready to be published as ``version``, with an annotated tag; nobody sees it yet.

        Returns:
            The tag's object.
        """
        with self._alone():
            tag = self._make_tag(version, commit, message, identity, when or datetime.now(UTC).astimezone())
            self._git.run("update-ref", f"{PENDING}{version}", tag)
            return tag

    def _make_tag(self, version: str, commit: str, message: str, identity: Identity, when: datetime) -> str:
        body = (
            f"object {check_object_id(commit)}\ntype commit\ntag {version}\n"
            f"tagger {identity.signature(when)}\n\n{message.rstrip()}\n"
        )
        return self._git.text("mktag", stdin=body.encode("utf-8"))

    def publish(
        self, version: str, *, made: tuple[str, str] | None = None
    ) -> Literal["done", "already there"]:
        """The vault has ``version`` and its commit as the newest, both or neither.

        Args:
            version: It was prepared by :meth:`tag`.
            made: The tag and commit that were prepared a moment ago; without, they are looked up.

        Returns:
            ``already there`` if the vault had this version with this very commit.

        Raises:
            Conflict: Someone else published this version, or another newest commit, first.
            AccessDenied: The right to push is missing.
        """
        with self._alone():
            pending = f"{PENDING}{version}"
            tag, commit = made or resolve_all(self._git, [pending, f"{pending}^{{commit}}"])
            if tag is None or commit is None:
                return self._published_before(version, None)
            verdict = push(self._git, self.url, [f"{commit}:{HEAD}", f"{tag}:refs/tags/{version}"])
            if verdict == "taken":
                return self._published_before(version, commit)
            updates = f"update {HEAD} {commit}\nupdate refs/tags/{version} {tag}\ndelete {PENDING}{version}\n"
            self._git.run("update-ref", "--stdin", stdin=updates.encode())
            has_changed(self.cache.parent)
            return verdict

    def _published_before(self, version: str, commit: str | None) -> Literal["already there"]:
        there = self.remote_tags().get(version)
        self._fetch()
        if there is not None and commit in (None, there):
            self._git.run("update-ref", "-d", f"{PENDING}{version}")
            return "already there"
        if there is None and commit is None:
            raise GitFault(
                f"{version} of {strip_url(self.url)} was not prepared", next_step="run the same command again"
            )
        what = f"{version} was" if there else "another version was"
        raise Conflict(
            f"{what} published to {strip_url(self.url)} by someone else at the same time",
            next_step="run the command again: it starts from what is published now",
        )

    def has(self, commit: str) -> bool:
        """Whether the vault, as of now, or this clone's cache has ``commit`` and all that it leads to."""
        self.fetch()
        return is_complete(self._git, check_object_id(commit))

    def bundle(self, version: str, commit: str, since: str | None) -> Iterator[bytes]:
        """The bytes of a bundle of a published version; see :func:`datakeep.repository.bundles.bundle`."""
        return bundle(self._git, version, commit, since)

    def restore(
        self,
        version: str,
        commit: str,
        message: str,
        identity: Identity,
        when: datetime,
        *,
        spare: Path | None,
    ) -> None:
        """The vault has ``version`` as it was registered; a tag that someone moved is kept beside it.

        Args:
            version: The version.
            commit: Its commit, as the register says.
            message: What the new tag says.
            identity: The tagger.
            when: The tag's time, with a zone.
            spare: Another repository that may have the commit, where :meth:`has` denies it.

        Raises:
            GitFault: The commit, or something of it, is nowhere.
            AccessDenied: The vault refuses.
        """
        with self._alone():
            if spare:
                borrow(spare, commit, self.cache)
            if not is_complete(self._git, commit):
                raise GitFault(
                    f"commit {commit[:12]} of {version} is neither in {strip_url(self.url)} nor here",
                    next_step="push it from a clone that has it: "
                    f"git push {strip_url(self.url)} {commit}:refs/heads/main",
                )
            updates = [f"+{self._make_tag(version, commit, message, identity, when)}:refs/tags/{version}"]
            if moved := resolve(self._git, f"refs/tags/{version}"):
                updates.append(f"{moved}:refs/datakeep/moved/{version}-{moved[:12]}")
            main = self._remote_refs(HEAD).get(HEAD)
            if main != commit and is_ancestor(self._git, main or commit, commit):
                updates.append(f"{commit}:{HEAD}")
            push(self._git, self.url, updates)
            self._fetch()
