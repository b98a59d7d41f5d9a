"""One dataset's repository, seen and written through a bare cache that may be deleted at any time.

The truth is in the vault. What was written here but not yet published is on no branch and under no
tag, so that a kill leaves nothing that looks like a version.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from datakeep.core.errors import Conflict, GitFault, HostileRepository
from datakeep.core.names import VERSION
from datakeep.core.secrets import strip_url
from datakeep.repository.bundles import borrow, bundle
from datakeep.repository.command import GitRunner, check_object_id, check_url, is_object_id
from datakeep.repository.faults import git_fault, os_fault
from datakeep.repository.locking import exclusive, remove_stale_locks
from datakeep.repository.objects import (
    TreeEntry,
    changed_files,
    copy_files,
    is_ancestor,
    is_complete,
    read_blobs,
    read_files,
    resolve,
    resolve_all,
    walk_tree,
)
from datakeep.repository.vault import base_first, push, transport_options
from datakeep.repository.writing import Blob, Plan, write_commit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from datakeep.repository.command import Finished
    from datakeep.repository.identity import Identity

__all__ = ["Blob", "DatasetRepository", "TagInfo"]

_CLAIM_TIMEOUT_S = 3600
_HELD_BYTES = 1 << 16
_PENDING = "refs/datakeep/pending/"
#: Beside the caches: a question about all of them need not look at each.
_STATE = ".state"
_HEAD = "refs/heads/main"
#: What git says of a refspec whose branch is not there.
_NO_MAIN = f"couldn't find remote ref {_HEAD}"
_MIRROR = (f"+{_HEAD}:{_HEAD}", "+refs/tags/*:refs/tags/*")


@dataclass(frozen=True, slots=True)
class TagInfo:
    """What the tag of a version says; the tagger's e-mail is None for a light-weight tag."""

    commit: str
    tagger_email: str | None
    when: datetime
    message: str


def state_of(folder: Path) -> str:
    """What stands for all caches in ``folder``: it is another text after a version came or went in one of them."""
    try:
        return (folder / _STATE).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _has_changed(folder: Path) -> None:
    with suppress(OSError):
        (folder / _STATE).write_text(secrets.token_hex(8), "ascii")


class DatasetRepository:
    """A dataset's repository in the vault, read and written through a bare repository at ``cache``.

    Args:
        cache: A folder for the bare repository; made, repaired and re-made as needed.
        url: The repository in the vault.
    """

    def __init__(self, cache: Path, url: str) -> None:
        self.cache = cache
        self.url = check_url(url)
        self._git = GitRunner(cache, settings=("fetch.fsckObjects=true",))
        self._has_fetched = False
        #: Small files that were read, or None where there is none: a commit never changes.
        self._read: dict[tuple[str, str], bytes | None] = {}

    def fetch(self) -> None:
        """The cache knows all versions in the vault, and no other. A damaged cache is made anew.

        Raises:
            RepositoryMissing: It was never pushed to the vault.
            StoreUnreachable: The vault does not answer.
            AccessDenied: It may not be read.
        """
        with self._alone():
            try:
                self._fetch()
            except (GitFault, HostileRepository):
                # Either the cache is damaged or the vault is; a cache made anew tells which.
                self._remake()

    def _remake(self) -> None:
        shutil.rmtree(self.cache, ignore_errors=True)
        self._ensure_cache()
        self._fetch()

    def _fetch(self) -> None:
        before = self._tags_stamp()
        finished = self._fetched(_MIRROR, allow=(0, 128))
        if finished.exit_code and _NO_MAIN in finished.stderr:  # nothing was pushed there yet
            finished = self._fetched(_MIRROR[1:], allow=(0, 128))
        if finished.exit_code:
            with base_first(self.url):
                raise git_fault(
                    finished.stderr, doing=f"cannot fetch from {strip_url(self.url)}", url=self.url
                )
        self._has_fetched = True
        refs = {f"refs/{name}": commit for name, commit in self._refs("refs/").items()}
        self._forget_published(refs)
        names = "".join(f"{commit}^{{tree}}\n" for commit in {*refs.values()})
        if " missing" in self._git.text("cat-file", "--batch-check", stdin=names.encode()):
            raise GitFault(f"objects are missing in the cache {self.cache}", next_step=f"rm -r {self.cache}")
        if self._tags_stamp() != before:
            _has_changed(self.cache.parent)

    def _tags_stamp(self) -> list[int]:
        places = [self.cache / "refs" / "tags", self.cache / "packed-refs"]
        return [place.stat().st_mtime_ns if place.exists() else 0 for place in places]

    def _fetched(self, refspecs: Sequence[str], *, allow: tuple[int, ...]) -> Finished:
        return self._git.run(
            "fetch", "--quiet", "--prune", "--no-write-fetch-head", "--no-recurse-submodules",
            "--update-head-ok", *transport_options(self.url, "upload-pack"), "--", self.url, *refspecs,
            allow=allow, doing=f"cannot fetch from {strip_url(self.url)}", url=self.url,
        )  # fmt: skip

    def _forget_published(self, refs: Mapping[str, str]) -> None:
        """What a run prepared and published, but was killed before it noted that, is no longer pending."""
        pending = [name.removeprefix(_PENDING) for name in refs if name.startswith(_PENDING)]
        done = [
            version for version in pending if f"refs/tags/{version}" in refs and VERSION.fullmatch(version)
        ]
        if done:
            stdin = "".join(f"delete {_PENDING}{version}\n" for version in done)
            self._git.run("update-ref", "--stdin", stdin=stdin.encode())

    def _remote_refs(self, *patterns: str) -> dict[str, str]:
        with base_first(self.url):
            finished = GitRunner(None).run(
                "ls-remote", *transport_options(self.url, "upload-pack"), "--quiet", "--", self.url, *patterns,
                doing=f"cannot fetch from {strip_url(self.url)}", url=self.url,
            )  # fmt: skip
        lines = (line.partition("\t") for line in finished.text.splitlines())
        return {name: object_id for object_id, _, name in lines}

    def _refs(self, prefix: str) -> dict[str, str]:
        """Name to commit, of the cache's refs below ``prefix``."""
        listed = self._git.text("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)", prefix)
        parts = (line.split() for line in listed.splitlines())
        return {name.removeprefix(prefix): ids[-1] for name, *ids in parts}

    def tags(self) -> dict[str, str]:
        """The commit of each published version, as of the last fetch or publish."""
        if not self._is_repository():
            return {}
        return {name: commit for name, commit in self._refs("refs/tags/").items() if VERSION.fullmatch(name)}

    def has_version(self, version: str) -> bool:
        """Whether the vault has ``version``: as of the last fetch of this object, or else as of now, by a fetch."""
        if not self._has_fetched and version in self.remote_tags():
            self.fetch()
        return version in self.tags() if self._has_fetched else False

    def remote_tags(self) -> dict[str, str]:
        """The commit of each version, as the vault says now."""
        refs = self._remote_refs("refs/tags/*")
        names = {name.removeprefix("refs/tags/").removesuffix("^{}") for name in refs}
        return {
            name: refs.get(f"refs/tags/{name}^{{}}") or refs[f"refs/tags/{name}"]
            for name in names
            if VERSION.fullmatch(name)
        }

    def head(self) -> str | None:
        """The newest published commit, as of the last fetch or publish; None of an empty repository."""
        return resolve(self._git, _HEAD) if self._is_repository() else None

    def read(self, commit: str, path: str) -> bytes | None:
        """The bytes of a file of ``commit``; None if it has no such file."""
        return self.read_many(commit, [path]).get(path)

    def read_many(self, commit: str, paths: Iterable[str]) -> dict[str, bytes]:
        """The bytes of those of ``paths`` that are files of ``commit``, at the cost of one git process."""
        asked = list(paths)
        known = {path: self._read[commit, path] for path in asked if (commit, path) in self._read}
        unread = [path for path in asked if path not in known]
        if unread:
            found = self._read_files(check_object_id(commit), unread)
            known |= {path: found.get(path) for path in unread}
            small = (path for path, data in known.items() if len(data or b"") <= _HELD_BYTES)
            self._read |= {(commit, path): known[path] for path in small}
        return {path: data for path in asked if (data := known[path]) is not None}

    def _read_files(self, commit: str, paths: Sequence[str]) -> dict[str, bytes]:
        try:
            return read_files(self._git, commit, paths)
        except GitFault:  # objects of the cache are damaged, which a fetch does not notice
            with self._alone():
                self._remake()
            return read_files(self._git, commit, paths)

    def read_here(self, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
        """The bytes of those of ``names`` (commit and path) that this clone's cache has; nobody is asked."""
        if not self._is_repository():
            return {}
        asked = {f"{check_object_id(commit)}:{path}": (commit, path) for commit, path in names}
        return {asked[name]: data for name, data in read_blobs(self._git, list(asked)).items()}

    def copies(self, commit: str, paths: Sequence[str], target: Path) -> Iterator[tuple[str, bool]]:
        """Each of ``paths`` in turn, copied to ``target`` from this clone's cache; nobody is asked.

        False is of one that is not here. Until the next is asked for, ``target`` is its copy.
        """
        if not self._is_repository():
            return iter((path, False) for path in paths)
        return copy_files(self._git, check_object_id(commit), paths, target)

    def entries(self, commit: str, prefix: str = "", *, sizes: bool = False) -> Iterator[TreeEntry]:
        """Every file, link and submodule of ``commit`` below ``prefix``."""
        return walk_tree(self._git, check_object_id(commit), prefix, sizes=sizes)

    def changed(self, old: str, new: str) -> list[str]:
        """The paths of all files that differ between two commits, sorted."""
        return sorted(changed_files(self._git, check_object_id(old), check_object_id(new), ()))

    def paths(self, commit: str, prefix: str = "") -> list[str]:
        """The paths of everything that ``commit`` has below ``prefix``."""
        return [entry.path for entry in self.entries(commit, prefix)]

    def tree_id(self, commit: str) -> str:
        """The id of the commit's tree: equal ids mean equal files, all of them."""
        return self._git.text("rev-parse", "--verify", f"{check_object_id(commit)}^{{tree}}")

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
    ) -> None:
        """``commit`` is ready to be published as ``version``, with an annotated tag; nobody sees it yet."""
        with self._alone():
            tag = self._make_tag(version, commit, message, identity, when or datetime.now(UTC).astimezone())
            self._git.run("update-ref", f"{_PENDING}{version}", tag)

    def _make_tag(self, version: str, commit: str, message: str, identity: Identity, when: datetime) -> str:
        body = (
            f"object {check_object_id(commit)}\ntype commit\ntag {version}\n"
            f"tagger {identity.signature(when)}\n\n{message.rstrip()}\n"
        )
        return self._git.text("mktag", stdin=body.encode("utf-8"))

    def publish(self, version: str) -> Literal["done", "already there"]:
        """The vault has ``version`` and its commit as the newest, both or neither.

        Returns:
            ``already there`` if the vault had this version with this very commit.

        Raises:
            Conflict: Someone else published this version, or another newest commit, first.
            AccessDenied: The right to push is missing.
        """
        with self._alone():
            pending = f"{_PENDING}{version}"
            tag, commit = resolve_all(self._git, [pending, f"{pending}^{{commit}}"])
            if tag is None or commit is None:
                return self._published_before(version, None)
            verdict = push(self._git, self.url, [f"{commit}:{_HEAD}", f"{tag}:refs/tags/{version}"])
            if verdict == "taken":
                return self._published_before(version, commit)
            updates = (
                f"update {_HEAD} {commit}\nupdate refs/tags/{version} {tag}\ndelete {_PENDING}{version}\n"
            )
            self._git.run("update-ref", "--stdin", stdin=updates.encode())
            _has_changed(self.cache.parent)
            return verdict

    def _published_before(self, version: str, commit: str | None) -> Literal["already there"]:
        there = self.remote_tags().get(version)
        self._fetch()
        if there is not None and commit in (None, there):
            self._git.run("update-ref", "-d", f"{_PENDING}{version}")
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
            main = self._remote_refs(_HEAD).get(_HEAD)
            if main != commit and is_ancestor(self._git, main or commit, commit):
                updates.append(f"{commit}:{_HEAD}")
            push(self._git, self.url, updates)
            self._fetch()

    def tag_info(self, version: str) -> TagInfo | None:
        """What the tag of a published ``version`` says; None if there is none."""
        fields = "%(*objectname)%00%(objectname)%00%(taggeremail:trim)%00%(creatordate:unix)%00%(contents)"
        listed = self._git.text("for-each-ref", f"--format={fields}", f"refs/tags/{version}")
        if not listed:
            return None
        peeled, own, email, seconds, message = listed.split("\0")
        when = datetime.fromtimestamp(int(seconds or 0), UTC)
        return TagInfo(peeled or own, email or None, when, message.strip())

    def remove(self) -> None:
        """The cache is gone, and with it what was never published."""
        with exclusive(self.cache):
            shutil.rmtree(self.cache, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self.cache.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise os_fault(error, f"cannot create {self.cache.parent}", self.cache.parent) from error
        with exclusive(self.cache):
            self._ensure_cache()
            remove_stale_locks(self.cache, young=True)
            yield

    def _is_repository(self) -> bool:
        """Whether git would take the cache for a repository, by its own rules (``is_git_directory``)."""
        try:
            head = (self.cache / "HEAD").read_text("ascii").strip()
        except (OSError, ValueError):
            return False
        named = head.removeprefix("ref:").strip() if head.startswith("ref:") else None
        is_head = named.startswith("refs/") if named is not None else is_object_id(head)
        return is_head and (self.cache / "objects").is_dir() and (self.cache / "refs").is_dir()

    def _ensure_cache(self) -> None:
        if self._is_repository():
            return
        staging = self.cache.with_name(f".{self.cache.name}.{os.getpid()}.new")
        try:
            for left in self.cache.parent.glob(f".{self.cache.name}.*.new"):
                shutil.rmtree(left)
            shutil.rmtree(self.cache, ignore_errors=True)
            GitRunner(None).run(
                "init", "--quiet", "--bare", "--initial-branch=main", "--template=", "--", str(staging),
                doing=f"cannot create the cache {self.cache}",
            )  # fmt: skip
            staging.rename(self.cache)
        except OSError as error:
            raise os_fault(error, f"cannot create the cache {self.cache}", self.cache.parent) from error
