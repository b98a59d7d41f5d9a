"""One dataset's repository, read through a bare cache that may be deleted at any time: the truth is in the vault."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from datakeep.core.errors import GitFault, HostileRepository
from datakeep.core.names import VERSION
from datakeep.core.secrets import strip_url
from datakeep.repository.command import GitRunner, check_object_id, check_url, is_object_id
from datakeep.repository.faults import git_fault, os_fault
from datakeep.repository.locking import exclusive, remove_stale_locks
from datakeep.repository.objects import (
    TreeEntry,
    changed_files,
    copy_files,
    read_blobs,
    read_files,
    resolve,
    walk_tree,
)
from datakeep.repository.vault import base_first, transport_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from datakeep.repository.command import Finished


_HELD_BYTES = 1 << 16
PENDING = "refs/datakeep/pending/"
#: Beside the caches: a question about all of them need not look at each.
_STATE = ".state"
HEAD = "refs/heads/main"
#: What git says of a refspec whose branch is not there.
_NO_MAIN = f"couldn't find remote ref {HEAD}"
_MIRROR = (f"+{HEAD}:{HEAD}", "+refs/tags/*:refs/tags/*")


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


def has_changed(folder: Path) -> None:
    """From here on :func:`state_of` says another text of ``folder``."""
    with suppress(OSError):
        (folder / _STATE).write_text(secrets.token_hex(8), "ascii")


class DatasetCache:
    """A dataset's repository in the vault, read through a bare repository at ``cache``.

    Args:
        cache: A folder for the bare repository; made, repaired and re-made as needed.
        url: The repository in the vault.

    Attributes:
        is_new: The vault's repository was made a moment ago, so that it need not be asked for versions.
    """

    def __init__(self, cache: Path, url: str) -> None:
        self.cache = cache
        self.url = check_url(url)
        self._git = GitRunner(cache, settings=("fetch.fsckObjects=true",))
        self.is_new = self._has_fetched = False
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
        self.is_new, self._has_fetched = False, True
        refs = {f"refs/{name}": commit for name, commit in self._refs("refs/").items()}
        self._forget_published(refs)
        names = "".join(f"{commit}^{{tree}}\n" for commit in {*refs.values()})
        if " missing" in self._git.text("cat-file", "--batch-check", stdin=names.encode()):
            raise GitFault(f"objects are missing in the cache {self.cache}", next_step=f"rm -r {self.cache}")
        if self._tags_stamp() != before:
            has_changed(self.cache.parent)

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
        pending = [name.removeprefix(PENDING) for name in refs if name.startswith(PENDING)]
        done = [
            version for version in pending if f"refs/tags/{version}" in refs and VERSION.fullmatch(version)
        ]
        if done:
            stdin = "".join(f"delete {PENDING}{version}\n" for version in done)
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
        if self.is_new:
            return False
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
        return resolve(self._git, HEAD) if self._is_repository() else None

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
