"""Git bundles: a version's commits as one file, which any store can hold and plain git can read.

A bundle holds what the versions before it do not, so that a hundred versions take no more room than their
history; reading one therefore needs those before it, oldest first.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from datakeep.core.errors import GitFault
from datakeep.repository.command import GitRunner, check_object_id, is_object_id
from datakeep.repository.faults import evidence
from datakeep.repository.objects import hash_files, is_complete, read_files, resolve
from datakeep.repository.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK_BYTES = 1 << 20


def bundle(runner: GitRunner, version: str, commit: str, since: str | None) -> Iterator[bytes]:
    """The bytes of a bundle of the tag ``version``.

    Args:
        runner: Runs in a repository that has the tag.
        version: The tag.
        commit: What the tag must be.
        since: The commit of the version before, whose bundle must be read first; None for the first.

    Raises:
        GitFault: The tag is another commit, or objects of it are missing or damaged; no bundle is whole then.
    """
    tag = f"refs/tags/{version}"
    if resolve(runner, f"{tag}^{{commit}}") != check_object_id(commit):
        raise GitFault(f"{version} is not commit {commit[:12]} in {runner.folder}", next_step="datakeep fsck")
    known = [f"^{check_object_id(since)}"] if since else []
    doing = f"cannot bundle {version}"
    with runner.process("bundle", "create", "--quiet", "-", tag, *known, doing=doing) as process:
        process.stdin.close()
        while chunk := process.stdout.read(_CHUNK_BYTES):
            yield chunk
        said = process.stderr.read().decode("utf-8", "replace")
        if process.wait() != 0:
            raise GitFault(f"{doing}: {said.strip()[:300]}", next_step="datakeep fsck")


def borrow(repository: Path, commit: str, into: Path) -> bool:
    """Copy a commit and all that it leads to from one local repository to another; whether it was there."""
    if not repository.is_dir() or not is_complete(GitRunner(repository), check_object_id(commit)):
        return False
    update = f"{commit}:refs/datakeep/borrowed/{commit}"
    GitRunner(repository).run("push", "--quiet", "--", str(into), update)
    return True


class Unbundling:
    """A repository that is thrown away, into which bundles are read one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._git = GitRunner(folder)

    def take(self, file: Path, version: str, commit: str) -> str | None:
        """Read a bundle, every object of which git hashes; what is wrong with it, None if it is whole."""
        # Not a fetch: that reads no bundle whose commits are here already.
        done = self._git.run("bundle", "unbundle", str(file), allow=(0, 1, 128))
        if done.exit_code != 0:
            return evidence(done.stderr) or "git cannot read it"
        refs = {
            name: object_id for object_id, _, name in (line.partition(" ") for line in done.text.splitlines())
        }
        tag = refs.get(f"refs/tags/{version}", "")
        if not is_object_id(tag) or resolve(self._git, f"{tag}^{{commit}}") != check_object_id(commit):
            return f"it does not hold {version}, commit {commit[:12]}"
        if not is_complete(self._git, commit):
            return "objects are missing in it"
        self._git.run("update-ref", f"refs/tags/{version}", tag)
        return None

    def borrow(self, repository: Path, commit: str) -> bool:
        """Take a commit from another repository, for the bundles that build on it; whether it was there."""
        return borrow(repository, commit, self.folder)

    def borrow_before(self, repository: Path, commit: str) -> bool:
        """Likewise, of the commit before ``commit``."""
        there = repository.is_dir()
        before = resolve(GitRunner(repository), f"{check_object_id(commit)}^") if there else None
        return before is not None and self.borrow(repository, before)

    def read(self, commit: str, path: str) -> bytes | None:
        """The bytes of a file of ``commit``; None if it has no such file."""
        return read_files(self._git, commit, [path]).get(path)

    def hash_files(self, commit: str, prefix: str) -> dict[str, bytes]:
        """Path to sha256 of every file of ``commit`` below ``prefix``, each of them read."""
        return hash_files(self._git, commit, prefix)


@contextmanager
def unbundling() -> Iterator[Unbundling]:
    """An empty repository for the length of a ``with`` block."""
    with scratch() as folder:
        path = folder / "repository.git"
        GitRunner(None).run("init", "--quiet", "--bare", "--template=", "--", str(path))
        yield Unbundling(path)
