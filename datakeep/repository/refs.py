"""Where a branch stands, read from git's own files: a question needs no process of git to know that nothing moved.

Only the plain case is answered here (a repository of its own, with loose or packed refs); everything else is
left to git, which knows all of them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.repository.command import GitRunner
from datakeep.repository.objects import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\n?")
_BRANCH = re.compile(r"ref: (refs/heads/[A-Za-z0-9_.-]+)\n?")


def position(root: Path, ref: str) -> str | None:
    """The object id that ``ref`` (``HEAD``, or a full name) stands for in the clone at ``root``; None if none.

    Raises:
        GitFault: git cannot be asked.
    """
    known = _plain(root / ".git", ref)
    return known or resolve(GitRunner(root), ref)


def common_folder(root: Path) -> Path:
    """Git's folder of the clone at ``root``, which all of its working trees share."""
    folder = root / ".git"
    if is_plain(folder):
        return folder
    return Path(GitRunner(root).text("rev-parse", "--path-format=absolute", "--git-common-dir"))


def is_plain(folder: Path) -> bool:
    """Whether ``folder`` is git's folder of a repository of its own, with one working tree."""
    return (folder / "HEAD").is_file() and not (folder / "commondir").exists()


def _plain(folder: Path, ref: str) -> str | None:
    """The id, where git's files say it plainly; None says nothing."""
    try:
        if not is_plain(folder) or (folder / "reftable").exists():
            return None
        if ref == "HEAD":
            text = (folder / "HEAD").read_text("ascii")
            if _ID.fullmatch(text):
                return text.strip()
            found = _BRANCH.fullmatch(text)
            if found is None:
                return None
            ref = found[1]
        return _loose(folder / ref) or _packed(folder / "packed-refs", ref)
    except (OSError, UnicodeDecodeError):
        return None


def _loose(path: Path) -> str | None:
    try:
        text = path.read_text("ascii")
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not _ID.fullmatch(text):
        raise OSError("a symbolic or damaged ref")
    return text.strip()


def _packed(path: Path, ref: str) -> str | None:
    for line in _lines(path):
        object_id, _, name = line.partition(" ")
        if name == ref and _ID.fullmatch(object_id):
            return object_id
    return None


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="ascii") as file:
        yield from (line.rstrip("\n") for line in file)
