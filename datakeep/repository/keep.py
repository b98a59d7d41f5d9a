"""The keep's own repository: read at a commit, changed by transactions that reach the vault first.

A transaction makes its commit without touching the working tree, pushes it, and only then moves the
local branch forward. So what is listed locally is published, whatever is killed whenever, and two
people who register at the same time both succeed.
"""

from __future__ import annotations

import os
import random
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from datakeep.core.errors import (
    AccessDenied,
    Conflict,
    DatakeepError,
    GitFault,
    Locked,
    NotAKeep,
    StoreUnreachable,
)
from datakeep.core.interrupts import deferred
from datakeep.core.progress import Progress, Silent
from datakeep.core.secrets import strip_url
from datakeep.repository.command import GitRunner, check_object_id, check_url
from datakeep.repository.faults import os_fault
from datakeep.repository.following import ORIGIN_MAIN, finish_killed_move, follow, tips
from datakeep.repository.keep_log import LogEntry, log_of
from datakeep.repository.keep_tree import KeepTree
from datakeep.repository.locking import marked, remove_stale_locks
from datakeep.repository.objects import (
    is_ancestor,
    resolve,
    resolve_all,
)
from datakeep.repository.reading import ObjectReader
from datakeep.repository.refs import common_folder, position
from datakeep.repository.vault import base_first, push, transport_options
from datakeep.repository.writing import Plan, write_commit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from filelock import BaseFileLock

    from datakeep.repository.identity import Identity

#: The folder of caches and states in a keep; everything in it can be deleted.
PRIVATE_FOLDER = ".datakeep"
_MAIN = "refs/heads/main"
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Change:
    """What a transaction changes.

    Args:
        files: Bytes by path; None deletes the file.
        gitlinks: The pinned commit by the submodule's path; None takes the submodule away.
    """

    files: Mapping[str, bytes | None] = field(default_factory=dict)
    gitlinks: Mapping[str, str | None] = field(default_factory=dict)


class KeepRepository:
    """A clone of a keep, at ``root``. Where it is published and what git is set to is looked up once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._git = GitRunner(root, settings=("fetch.fsckObjects=true",))
        self._reader = ObjectReader(self._git)
        self._lock: BaseFileLock | None = None

    @classmethod
    def create(cls, root: Path, url: str) -> KeepRepository:
        """An empty git repository at ``root`` with ``url`` as its origin; the first transaction fills it.

        Running it again on what a killed run left is fine.
        """
        check_url(url)
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise os_fault(error, f"cannot create {root}", root) from error
        git = GitRunner(root)
        git.run("init", "--quiet", "--initial-branch=main", doing=f"cannot create a repository in {root}")
        for key, value in (
            ("remote.origin.url", url),
            ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
            ("branch.main.remote", "origin"),
            ("branch.main.merge", _MAIN),
        ):
            git.run("config", key, value)
        return cls(root)

    @classmethod
    def open(cls, path: Path) -> KeepRepository:
        """The keep that ``path`` lies in.

        Raises:
            NotAKeep: ``path`` is no folder, neither it nor a folder above it has a ``keep.yaml``, or it is in no git.
        """
        start = path.resolve()  # the folder above `a/../b` is that of `b`, wherever `a` leads
        if not start.is_dir():
            raise NotAKeep(
                f"{start} is not a folder" if start.exists() else f"there is no folder {start}",
                next_step="name the keep's folder with -C DIR, or make a keep: datakeep init DIR",
            )
        for folder in (start, *start.parents):
            if (folder / "keep.yaml").is_file():
                if not (folder / ".git").exists():
                    raise NotAKeep(
                        f"{folder} has a keep.yaml, but is not a git repository",
                        next_step="clone the keep with git, and work in the clone",
                    )
                return cls(folder)
        raise NotAKeep(
            f"{start} is not in a keep: there is no keep.yaml in it or above it",
            next_step="name the keep's folder with -C DIR, or make a keep: datakeep init DIR",
        )

    @cached_property
    def url(self) -> str:
        """Where the keep is published: the URL of ``origin``, after this machine's own overrides."""
        finished = self._git.run("remote", "get-url", "--", "origin", allow=(0, 2, 128))
        if finished.exit_code != 0 or not finished.text:
            raise GitFault(
                f"the keep at {self.root} has no remote named origin, so it is published nowhere",
                next_step=f"git -C {self.root} remote add origin URL",
            )
        return check_url(finished.text)

    def setting(self, key: str) -> str | None:
        """A value of git's configuration, as this clone and this machine have it; None if unset."""
        return self._settings.get(key)

    @cached_property
    def _settings(self) -> dict[str, str]:
        """All settings of ours; of one that is set several times, the last counts."""
        listed = self._git.run("config", "-z", "--get-regexp", r"^datakeep\.", allow=(0, 1))
        lines = listed.stdout.decode("utf-8", "surrogateescape").split("\0")
        return {key: value for key, _, value in (line.partition("\n") for line in lines) if key}

    def head(self) -> str | None:
        """The commit that this clone shows; None before the first."""
        return position(self.root, "HEAD")

    def at(self, commit: str | None = None) -> KeepTree:
        """The files at ``commit``, or at the head."""
        return KeepTree(self._git, check_object_id(commit) if commit else self.head(), self._reader)

    def read(self, path: str, at: str | None = None) -> bytes | None:
        """The bytes of a committed file at ``at`` or the head; None if there is none."""
        return self.at(at).read(path)

    def list(self, prefix: str = "", at: str | None = None) -> list[str]:
        """The paths of all committed files below ``prefix`` at ``at`` or the head."""
        return self.at(at).list(prefix)

    def refresh(self, meanwhile: Callable[[], object] | None = None) -> str | None:
        """This clone follows what is published, as far as that is possible now.

        Args:
            meanwhile: Called while git fetches, if it comes to that.

        Returns:
            Why it may not be up to date, in one sentence; None if it is.
        """
        try:
            with self.lock():
                self._fetch(meanwhile)
                found = tips(self._git)
                head, origin = found.head, found.origin
                if origin is None or (head and self._is_ancestor(origin, head)):
                    return None
                if head and not self._is_ancestor(head, origin):
                    return f"the keep at {self.root} and its origin have gone different ways"
                return follow(self._git, self.root, origin)
        except (StoreUnreachable, AccessDenied, Locked) as error:
            return f"the keep could not be refreshed, so newer changes are not seen: {error.what}"

    def is_published(self, commit: str) -> bool:
        """Whether ``commit`` is in the vault, as of the last fetch."""
        origin = resolve(self._git, ORIGIN_MAIN)
        known = resolve(self._git, f"{check_object_id(commit)}^{{commit}}")
        return bool(origin and known) and self._is_ancestor(commit, str(origin))

    def log(self, path: str) -> tuple[LogEntry, ...]:
        """The commits that touched ``path``, newest first."""
        return log_of(self._git, path) if self.head() else ()

    def added_in(self, path: str) -> str | None:
        """The commit that added ``path`` (the last time, if it was deleted in between); None if none did."""
        if self.head() is None:
            return None
        found = log_of(self._git, path, "--diff-filter=A", "--max-count=1")
        return found[0].commit if found else None

    @contextmanager
    def lock(self, *, timeout_s: float = 30) -> Iterator[None]:
        """Alone among all datakeeps in this clone; what a killed one left is put right first.

        Raises:
            Locked: Another process holds the lock; it is named.
        """
        from filelock import FileLock, Timeout

        folder = self.private_folder()
        if self._lock is None:
            self._lock = FileLock(folder / "lock")
        lock = self._lock
        holder = folder / "lock-holder"
        try:
            lock.acquire(timeout=timeout_s)
        except Timeout as error:
            pid = holder.read_text("ascii", "replace").strip() if holder.is_file() else "unknown"
            raise Locked(
                f"another datakeep (process {pid}) is at work in the keep {self.root}",
                next_step="wait for it to end, then run the command again",
            ) from error
        except OSError as error:
            raise os_fault(error, f"cannot lock the keep {self.root}", self.root) from error
        try:
            if lock.lock_counter > 1:
                yield
                return
            git_folder = self._git_folder
            doing = f"cannot write to the keep {self.root}"
            with marked(holder, git_folder, doing=doing, text=str(os.getpid())):
                remove_stale_locks(git_folder)
                finish_killed_move(self._git, self.root)
                yield
        finally:
            lock.release()

    def require_ready(self) -> KeepTree:
        """The newest files, which a transaction could be made on now; asked before anything else is pushed.

        Raises:
            Conflict, AccessDenied, StoreUnreachable: As :meth:`transact`, whose push would be refused.
        """
        with self.lock():
            base = self._base()
            # A push of what is the newest there already is refused if it is not, and if one may not push.
            if base is None or self._try_push(base) == "taken":
                self._fetch()
                base = self._base()
                if base:
                    self._try_push(base)
            return KeepTree(self._git, base, self._reader)

    def _try_push(self, base: str) -> str:
        with base_first(self.url):
            return push(self._git, self.url, [f"{base}:{_MAIN}"], remote="origin", dry_run=True)

    def transact(
        self,
        change: Callable[[KeepTree], Change],
        message: str,
        identity: Identity,
        *,
        when: datetime | None = None,
        progress: Progress | None = None,
        ready: bool = False,
    ) -> str:
        """What ``change`` asks for is committed and published; on any failure nothing is, here or there.

        Args:
            change: Called with the newest files, perhaps several times; what it raises ends the transaction.
            message: The commit message.
            identity: The commit's author.
            when: The commit's time; now by default.
            progress: Is warned if the working tree could not follow.
            ready: :meth:`require_ready` was asked a moment ago, so that what is published is only asked for again
                if the push is refused.

        Returns:
            The published commit. If there was nothing to change, the one before.

        Raises:
            Conflict: The clone and its origin have gone different ways, or others were faster ten times.
            AccessDenied: The right to push is missing.
            StoreUnreachable: The vault does not answer.
        """
        when = when or datetime.now(UTC).astimezone()
        with self.lock():
            url = self.url
            for attempt in range(_ATTEMPTS):
                if attempt or not ready:
                    self._fetch()
                base = self._base()
                commit = self._commit(
                    base, change(KeepTree(self._git, base, self._reader)), message, identity, when
                )
                with deferred():  # what is published the clone shows, whoever interrupts meanwhile
                    published = self._publish(commit, url, progress or Silent())
                    warning = follow(self._git, self.root, commit) if published else None
                if published:
                    break
                spread = random.uniform(0.01, 0.1)  # noqa: S311  # no secret depends on it
                time.sleep(spread * (attempt + 1))
            else:
                raise Conflict(
                    f"others kept changing the keep {strip_url(url)} at the same time",
                    next_step="run the command again",
                )
            if warning:
                (progress or Silent()).warn(warning)
            return commit

    def _publish(self, commit: str, url: str, progress: Progress) -> bool:
        """Whether ``commit`` is published; a Ctrl-C that meets the push counts only if it is not."""
        with deferred() as was_interrupted:
            try:
                published = self._is_at_origin(commit) or (
                    push(self._git, url, [f"{commit}:{_MAIN}"], remote="origin") != "taken"
                )
            except DatakeepError:
                if not was_interrupted():
                    raise
                published = self._has_arrived(commit)
            if published:
                progress.recorded()
        if was_interrupted() and not published:
            raise KeyboardInterrupt
        return published

    def _has_arrived(self, commit: str) -> bool:
        """Whether a push that was interrupted had been taken; False where that cannot be found out."""
        with suppress(DatakeepError):
            self._fetch()
        return self._is_at_origin(commit)

    def _is_at_origin(self, commit: str) -> bool:
        return commit == position(self.root, ORIGIN_MAIN)

    def _fetch(self, meanwhile: Callable[[], object] | None = None) -> None:
        url = self.url
        with base_first(url):
            self._git.run(
                "fetch", "--quiet", "--prune", "--no-write-fetch-head", "--no-recurse-submodules",
                *transport_options(url, "upload-pack"), "--", "origin",
                doing=f"cannot fetch the keep from {strip_url(url)}", url=url, meanwhile=meanwhile,
            )  # fmt: skip

    def _base(self) -> str | None:
        """The newest of the local and the published branch."""
        found = tips(self._git)
        if not found.on_main:
            raise Conflict(
                f"the keep {self.root} does not have its branch main checked out",
                next_step=f"git -C {self.root} switch main",
            )
        local, origin = found.head, found.origin
        if local is None or origin is None:
            return local or origin
        if self._is_ancestor(local, origin):
            return origin
        if self._is_ancestor(origin, local):
            return local
        raise Conflict(
            f"the keep {self.root} and its origin have gone different ways",
            next_step=f"git -C {self.root} pull --rebase, then run the command again",
        )

    def _commit(
        self, base: str | None, change: Change, message: str, identity: Identity, when: datetime
    ) -> str:
        """The new commit; the base itself if ``change`` changes nothing."""
        plan = Plan(files=change.files, gitlinks=change.gitlinks)
        if not plan.files and not plan.gitlinks and base:
            return base
        commit = write_commit(
            self._git, base, plan,
            message=message, identity=identity, when=when, git_folder=self._git_folder,
        )  # fmt: skip
        return base if base and self._has_same_files(commit, base) else commit

    def _has_same_files(self, commit: str, base: str) -> bool:
        names = [f"{one}^{{tree}}" for one in (commit, base)]
        read = [self._reader.read(name) for name in names]
        trees = resolve_all(self._git, names) if None in read else read
        return trees[0] == trees[1]

    def _is_ancestor(self, older: str, newer: str) -> bool:
        return is_ancestor(self._git, older, newer)

    @cached_property
    def _git_folder(self) -> Path:
        return common_folder(self.root)

    def private_folder(self) -> Path:
        """``.datakeep/``, made if it is not there; git does not see it.

        Raises:
            AccessDenied, NoSpace: It cannot be made.
        """
        folder = self.root / PRIVATE_FOLDER
        exclude = self._git_folder / "info" / "exclude"
        try:
            folder.mkdir(exist_ok=True)
            line = f"/{PRIVATE_FOLDER}/"
            text = exclude.read_text("utf-8", "surrogateescape") if exclude.is_file() else ""
            if line not in text.splitlines():
                exclude.parent.mkdir(exist_ok=True)
                with exclude.open("a", encoding="utf-8") as file:
                    file.write(f"{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n")
        except OSError as error:
            raise os_fault(error, f"cannot write to the keep {self.root}", self.root) from error
        return folder
