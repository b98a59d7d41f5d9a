"""All DVC pointer files that any ref of a repository reaches, however old, on whatever branch."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from datakeep.core.errors import GitFault
from datakeep.core.secrets import strip_url
from datakeep.repository.command import GitRunner, check_url, local_path
from datakeep.repository.scratch import scratch
from datakeep.repository.vault import require_base, transport_options

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALL = "+refs/*:refs/*"
_GITLINK = "160000"
#: Replacements would hide what they replace.
_AS_STORED = {"GIT_NO_REPLACE_OBJECTS": "1"}


def all_refs(url: str) -> dict[str, str]:
    """Every ref of the repository at ``url``, as it is now, with the object that it names; tags peeled as well.

    Raises:
        RepositoryMissing, StoreUnreachable, AccessDenied: It cannot be read.
    """
    check_url(url)
    require_base(url)
    said = GitRunner(None).run(
        "ls-remote", *transport_options(url, "upload-pack"), "--quiet", "--", url,
        doing=f"cannot look at {strip_url(url)}", url=url,
    )  # fmt: skip
    lines = (line.partition("\t") for line in said.text.splitlines())
    return {name: object_id for object_id, _, name in lines}


def pointer_files(url: str) -> list[bytes]:
    """The bytes of every ``*.dvc`` and ``dvc.lock`` file of every commit that any ref at ``url`` reaches.

    Raises:
        GitFault: The repository is damaged, or a ref leads to something other than a commit.
        RepositoryMissing, StoreUnreachable, AccessDenied: It cannot be read.
    """
    with _opened(url) as git:
        kinds = git.text("for-each-ref", "--format=%(objecttype) %(*objecttype)").splitlines()
        if any(line.split()[-1] != "commit" for line in kinds):
            raise GitFault(
                f"a ref of {strip_url(url)} leads to something other than a commit",
                next_step="git for-each-ref shows which; delete it there, then run the command again",
            )
        blobs = _blobs(git, url)
        if not blobs:
            return []
        stdin = "".join(f"{blob}\n" for blob in blobs).encode("ascii")
        doing = f"cannot read the pointer files of {strip_url(url)}"
        return list(_split(git.run("cat-file", "--batch", stdin=stdin, doing=doing).stdout, doing))


@contextmanager
def _opened(url: str) -> Iterator[GitRunner]:
    """The repository itself where it is a folder; elsewhere all of it, fetched."""
    path = local_path(url)
    if path is not None:
        yield GitRunner(path, environment=_AS_STORED, settings=(f"safe.directory={path}",))
        return
    with scratch() as folder:
        GitRunner(None).run("init", "--quiet", "--bare", "--template=", "--", str(folder))
        git = GitRunner(folder, environment=_AS_STORED, settings=("fetch.fsckObjects=true",))
        git.run(
            "fetch", "--quiet", "--no-write-fetch-head", "--no-recurse-submodules",
            *transport_options(url, "upload-pack"), "--", url, _ALL,
            doing=f"cannot fetch from {strip_url(url)}", url=url,
        )  # fmt: skip
        yield git


def _blobs(git: GitRunner, url: str) -> list[str]:
    """The ids of all pointer files: each came in by the difference of some commit to one of its parents."""
    doing = f"cannot walk the history of {strip_url(url)}"
    commits = git.run("rev-list", "--all", doing=doing).stdout
    output = git.run(
        "diff-tree", "--stdin", "--no-commit-id", "-m", "-r", "--root", "--raw", "-z", "--no-renames",
        "--no-abbrev", stdin=commits, doing=doing,
    ).stdout  # fmt: skip
    fields = output.split(b"\0")
    found: dict[str, None] = {}
    for facts, path in zip(fields[::2], fields[1::2], strict=False):
        _, mode, _, blob, _ = facts.decode("ascii").split()
        name = path.rpartition(b"/")[2].lower()
        if (name.endswith(b".dvc") or name == b"dvc.lock") and mode != _GITLINK and blob.strip("0"):
            found[blob] = None
    return list(found)


def _split(output: bytes, doing: str) -> Iterator[bytes]:
    at = 0
    while at < len(output):
        end = output.index(b"\n", at)
        *_, kind, size = output[at:end].split()
        if kind != b"blob":
            raise GitFault(f"{doing}: objects are missing", next_step="datakeep fsck tells which")
        at = end + 1
        yield output[at : at + int(size)]
        at += int(size) + 1
