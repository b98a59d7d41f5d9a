"""A repository that someone else began becomes a dataset's repository, with its history.

Their branches go into the vault as ``adopted/…``, their tags under their own names; only the branch ``main`` and
the tags of versions are datakeep's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.core.errors import Conflict
from datakeep.core.names import VERSION, next_version
from datakeep.core.secrets import strip_url
from datakeep.repository.command import check_object_id
from datakeep.repository.dataset import DatasetRepository
from datakeep.repository.vault import push

if TYPE_CHECKING:
    from pathlib import Path

_TAKEN = "refs/datakeep/adopted/"
_TAKE = (
    "+HEAD:refs/datakeep/adopted/HEAD",
    "+refs/remotes/origin/*:refs/datakeep/adopted/heads/*",
    "^refs/remotes/origin/HEAD",
    "+refs/tags/*:refs/datakeep/adopted/tags/*",
)
_GIVE = ("refs/datakeep/adopted/heads/*:refs/heads/adopted/*", "refs/datakeep/adopted/tags/*:refs/tags/*")


class AdoptedRepository(DatasetRepository):
    """A dataset's repository that begins with another repository's history."""

    def take_history(self, clone: Path) -> list[str]:
        """The cache has all commits of a clone, its branches and tags; nobody else sees them yet.

        Args:
            clone: What :func:`datakeep.repository.foreign.clone` made.

        Returns:
            Tags that are left out, because they are of no commit.
        """
        with self._alone():
            self._git.run(
                "fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules",
                "--", str(clone), *_TAKE, doing=f"cannot take the history of {clone} over",
            )  # fmt: skip
            kinds = "--format=%(objecttype) %(*objecttype) %(refname)"
            listed = self._git.text("for-each-ref", kinds, f"{_TAKEN}tags/")
            parts = [line.rsplit(" ", 1) for line in listed.splitlines()]
            odd = [name for kind, name in parts if not kind.rstrip().endswith("commit")]
            stdin = "".join(f"delete {name}\n" for name in odd)
            self._git.run("update-ref", "--stdin", stdin=stdin.encode("utf-8", "surrogateescape"))
        return [name.removeprefix(f"{_TAKEN}tags/") for name in odd]

    def free_version(self) -> str:
        """The version after the highest of which the taken history has a tag (``v2`` after their ``v1``)."""
        names = {name.partition("/")[0] for name in self._refs(f"{_TAKEN}tags/")}
        return next_version(name for name in names if VERSION.fullmatch(name))

    def publish_history(self) -> None:
        """The vault has the branches and tags that were taken over, and a ``main``.

        A hosting service takes the branch that it gets first for the default; that is to be ours.

        Raises:
            Conflict: It has others of the same names, which are never overwritten.
            AccessDenied: The right to push is missing.
        """
        with self._alone():
            main = () if self._remote_refs("refs/heads/main") else (f"{_TAKEN}HEAD:refs/heads/main",)
            if push(self._git, self.url, (*main, *_GIVE)) != "taken":
                return
        raise Conflict(
            f"{strip_url(self.url)} has branches or tags of an earlier try that differ from the repository's: "
            "its history was rewritten since",
            next_step="adopt it under another name (--name)",
        )

    def forget_history(self) -> None:
        """The cache's own names for what was published are gone."""
        with self._alone():
            names = self._refs(_TAKEN)
            stdin = "".join(f"delete {_TAKEN}{name}\n" for name in names)
            self._git.run("update-ref", "--stdin", stdin=stdin.encode("utf-8", "surrogateescape"))

    def day_of(self, commit: str) -> str:
        """The day of a commit, as ``2026-11-20``."""
        return self._git.text("log", "-1", "--format=%cs", "--end-of-options", check_object_id(commit))

    def leads_to(self, commit: str, ancestor: str) -> bool:
        """Whether ``ancestor`` is ``commit`` or one of those before it."""
        found = self._git.run(
            "merge-base",
            "--is-ancestor",
            check_object_id(ancestor),
            check_object_id(commit),
            allow=(0, 1, 128),
        )
        return found.exit_code == 0
