"""What became of files that are written once: which of them a history changed after they came in, and who did.

Nothing here asks what a file says. A history that somebody rewrote tells nothing of it; whoever had fetched the
old one can tell, and :func:`differing` compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from datakeep.repository.command import GitRunner, check_object_id
from datakeep.repository.objects import changed_files, is_ancestor, resolve
from datakeep.repository.refs import is_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_PATHS_AT_ONCE = 200
_NO_OBJECT = "0"


@dataclass(frozen=True, slots=True)
class Step:
    """One commit that added, changed or deleted a file.

    Attributes:
        commit: Its id.
        when: Its time, as it states it.
        name: Its author.
        email: And their address.
        object_id: The file's bytes after it; None if it deleted the file.
        added: Whether there was no such file before it.
    """

    commit: str
    when: datetime
    name: str
    email: str
    object_id: str | None
    added: bool


def changed_after_adding(
    root: Path, head: str, prefixes: Sequence[str], *, since: str | None = None
) -> set[str]:
    """The files below ``prefixes`` that a commit up to ``head`` changed or deleted.

    Args:
        root: The repository.
        head: A commit.
        prefixes: Folders.
        since: A commit before it, whose own history is not looked at.

    Raises:
        GitFault: A commit is missing or damaged.
    """
    commits = f"{check_object_id(since)}..{check_object_id(head)}" if since else check_object_id(head)
    listed = GitRunner(root).run(
        "log", "-z", "-m", "--full-history", "--no-renames", "--no-show-signature", "--diff-filter=MTD",
        "--name-only", "--format=", commits, "--", *prefixes,
        doing=f"cannot look through the history of {root}",
    ).stdout  # fmt: skip
    names = listed.decode("utf-8", "surrogateescape").split("\0")
    return {name.lstrip("\n") for name in names} - {""}


def goes_on(root: Path, older: str, newer: str) -> bool:
    """Whether ``newer`` has ``older`` in its history; False where ``older`` is not here."""
    git = GitRunner(root)
    return _is_here(git, older) and is_ancestor(git, older, newer)


def differing(root: Path, old: str, new: str, prefixes: Sequence[str]) -> set[str]:
    """The files below ``prefixes`` that ``old`` has, and ``new`` has with other bytes, or has not.

    None of them where ``old`` is not here.
    """
    git = GitRunner(root)
    if not _is_here(git, old):
        return set()
    return {
        path for path, object_id in changed_files(git, new, old, prefixes).items() if object_id is not None
    }


def _is_here(git: GitRunner, commit: str) -> bool:
    return resolve(git, f"{check_object_id(commit)}^{{commit}}") is not None


def steps(root: Path, head: str, paths: Sequence[str]) -> dict[str, list[Step]]:
    """For each of ``paths`` the commits up to ``head`` that touched it, the oldest first.

    Raises:
        GitFault: A commit is missing or damaged.
    """
    found: dict[str, list[Step]] = {path: [] for path in paths}
    for first in range(0, len(paths), _PATHS_AT_ONCE):
        some = paths[first : first + _PATHS_AT_ONCE]
        listed = GitRunner(root).run(
            "log", "-z", "-m", "--full-history", "--topo-order", "--reverse", "--no-renames", "--raw",
            "--no-abbrev", "--no-show-signature", "--format=%H%x00%ct%x00%an%x00%ae",
            check_object_id(head), "--", *some,
            doing=f"cannot look through the history of {root}",
        ).stdout  # fmt: skip
        for path, step in _steps_in(listed.decode("utf-8", "surrogateescape")):
            own = found.get(path)
            # A merge is told once for each of its parents.
            if own is not None and not (own and own[-1].commit == step.commit):
                own.append(step)
    return found


def _steps_in(listed: str) -> Iterator[tuple[str, Step]]:
    parts = iter(listed.split("\0"))
    header = ("", "0", "", "")
    for part in parts:
        text = part.lstrip("\n")
        if text.startswith(":"):
            commit, seconds, name, email = header
            _, _, _, object_id, status = text.split()
            gone = not object_id.strip(_NO_OBJECT)
            step = Step(commit, _moment(seconds), name, email, None if gone else object_id, status == "A")
            yield next(parts), step
        elif text:
            header = (text, next(parts), next(parts), next(parts))


def _moment(seconds: str) -> datetime:
    """What a commit says of its time, which its author could make anything."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def is_shallow(root: Path) -> bool:
    """Whether the clone at ``root`` lacks the beginning of its history."""
    if is_plain(root / ".git"):  # what git itself looks at; it takes an empty file for none
        shallow = root / ".git" / "shallow"
        return shallow.is_file() and shallow.stat().st_size > 0
    return GitRunner(root).text("rev-parse", "--is-shallow-repository") == "true"
