"""The git work tree of a training's code: its commit, and what in it was not committed."""

from __future__ import annotations

import difflib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.core.secrets import strip_url
from datakeep.repository.command import GitRunner
from datakeep.repository.objects import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable

#: More than this is no change of code.
DIFF_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class WorkTree:
    """A git work tree as it is now.

    Attributes:
        root: Its top folder, without links.
        commit: The commit that it shows; None before the first.
        url: Where it is published, by its ``origin``, without a password; None if nowhere.
        tracked: The paths that git has, relative to ``root``.
    """

    root: Path
    commit: str | None
    url: str | None
    tracked: frozenset[str]


def work_tree(folder: Path) -> WorkTree | None:
    """The work tree that ``folder`` lies in; None if it lies in none, or git does not read it."""
    try:
        found = GitRunner(folder).run("rev-parse", "--show-toplevel", allow=(0, 128))
        if found.exit_code != 0 or not found.text:
            return None
        root = Path(found.text).resolve()
        git = GitRunner(root)
        url = git.run("remote", "get-url", "--", "origin", allow=(0, 2, 128))
        listed = git.run("ls-files", "-z").stdout.decode("utf-8", "surrogateescape")
    except DatakeepError:
        return None
    return WorkTree(
        root,
        resolve(git, "HEAD"),
        strip_url(url.text) if url.exit_code == 0 and url.text else None,
        frozenset(filter(None, listed.split("\0"))),
    )


def uncommitted_diff(tree: WorkTree, read: Iterable[str]) -> bytes:
    """What differs from the commit, as a patch that git can apply; empty if nothing does.

    Args:
        tree: The work tree.
        read: Paths below its root that the training read: those that git does not have are added whole.
    """
    git = GitRunner(tree.root)
    if tree.commit is None:
        changed = b""
    else:
        options = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=all")
        changed = git.run("diff", *options, tree.commit, "--").stdout
    known = tree.tracked if tree.commit is not None else frozenset()
    return changed + b"".join(
        _added(tree.root, path) for path in sorted(set(read) - known) if not path.startswith(".git/")
    )


def _added(root: Path, path: str) -> bytes:
    try:
        descriptor = os.open(root / path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as source:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return b""  # a pipe now, which nothing may ever come through
            data = source.read(DIFF_LIMIT_BYTES + 1)
    except OSError:
        return b""
    if b"\0" in data:
        return f"Binary files /dev/null and b/{path} differ\n".encode("utf-8", "surrogateescape")
    lines = data.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n"
    body = "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff([], lines, "/dev/null", f"b/{path}")
    )
    return (head + body).encode("utf-8", "surrogateescape")
