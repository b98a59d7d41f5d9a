"""Moving a clone's branch, index and files forward to a published commit, safely against kills.

``git merge --ff-only`` keeps the user's uncommitted changes, but a kill in its middle leaves a lock
file and half of the new files, on which every later merge trips. So the files that will move are
checked first, a marker says what is under way, and the next run brings it to its end.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.repository.command import is_object_id
from datakeep.repository.locking import remove_stale_locks
from datakeep.repository.objects import resolve, walk_tree

if TYPE_CHECKING:
    from datakeep.repository.command import GitRunner

_MARKER = Path(".datakeep/git-operation")
_LOCKS = ("index.lock", "HEAD.lock", "ORIG_HEAD.lock", "refs/heads/main.lock", "logs/HEAD.lock")
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def follow(git: GitRunner, root: Path, commit: str) -> str | None:
    """The clone at ``root`` shows ``commit``, a descendant of its head, and keeps uncommitted changes.

    Returns:
        Why it does not show it, in one sentence with what to do; None if it does.
    """
    head = resolve(git, "HEAD")
    if head == commit:
        return None
    if git.run("symbolic-ref", "--quiet", "HEAD", allow=(0, 1)).text != "refs/heads/main":
        return f"{root} does not follow the keep: run git -C {root} switch main, then git pull"
    in_the_way = _dirty(git, root, _moving(git, head, commit))
    if in_the_way:
        shown = ", ".join(in_the_way[:3])
        return (
            f"{root} does not show the newest commit yet, because of uncommitted changes to {shown}:"
            " commit or undo them, then run git pull"
        )
    marker = root / _MARKER
    temporary = marker.with_suffix(".new")
    temporary.write_text(json.dumps({"from": head, "to": commit}), "ascii")
    temporary.replace(marker)
    try:
        git.run("merge", "--quiet", "--ff-only", "--no-verify", "--no-verify-signatures", "--no-stat", commit)
    except DatakeepError as error:
        return f"{root} does not show the newest commit yet ({error.what}): run git -C {root} pull"
    finally:
        marker.unlink(missing_ok=True)
    return None


def finish_killed_merge(git: GitRunner, root: Path) -> None:
    """A merge that was killed is brought to its end; what the user changed elsewhere stays as it is."""
    marker = root / _MARKER
    try:
        facts = json.loads(marker.read_text("ascii"))
        head, commit = facts["from"], facts["to"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        marker.unlink(missing_ok=True)
        return
    if is_object_id(str(commit)) and (head is None or is_object_id(str(head))):
        git_folder = Path(git.text("rev-parse", "--absolute-git-dir"))
        remove_stale_locks(git_folder, files=_LOCKS)
        if resolve(git, "HEAD") in (head, commit):
            _complete(git, root, head, commit)
    marker.unlink(missing_ok=True)


def _complete(git: GitRunner, root: Path, head: str | None, commit: str) -> None:
    moving = _moving(git, head, commit)
    stdin = "".join(f"{path}\0" for path in moving).encode("utf-8", "surrogateescape")
    # Every path was clean when the merge began, so whatever differs from `commit` is the kill's work.
    git.run("update-ref", "-m", "datakeep: finish a killed merge", "refs/heads/main", commit)
    wanted = set(moving)
    entries = [entry for entry in walk_tree(git, commit) if entry.path in wanted]
    present = {entry.path for entry in entries}
    listed = "".join(f"{entry.mode} {entry.object_id}\t{entry.path}\0" for entry in entries)
    git.run("update-index", "-z", "--force-remove", "--stdin", stdin=stdin)
    git.run("update-index", "-z", "--index-info", stdin=listed.encode("utf-8", "surrogateescape"))
    for path in moving:
        if path not in present and not (root / path).is_dir():
            (root / path).unlink(missing_ok=True)
    files = "".join(f"{path}\0" for path in moving if path in present).encode("utf-8", "surrogateescape")
    git.run("checkout-index", "--force", "--quiet", "-u", "-z", "--stdin", stdin=files, allow=(0, 1))


def _moving(git: GitRunner, head: str | None, commit: str) -> list[str]:
    """The paths in which ``head`` and ``commit`` differ."""
    listed = git.run(
        "diff-tree", "-r", "-z", "--no-renames", "--name-only", head or _EMPTY_TREE, commit
    ).stdout.decode("utf-8", "surrogateescape")
    return [path for path in listed.split("\0") if path]


def _dirty(git: GitRunner, root: Path, paths: list[str]) -> list[str]:
    """Those of ``paths`` that the user changed and did not commit, untracked ones included."""
    if not paths:
        return []
    head = resolve(git, "HEAD")
    if head is None:
        return [path for path in paths if os.path.lexists(root / path) and not (root / path).is_dir()]
    options = ("-z", "--porcelain", "--untracked-files=all", "--ignore-submodules=all", "--no-renames")
    listed = git.run("status", *options).stdout.decode("utf-8", "surrogateescape")
    moving = set(paths)
    return [record[3:] for record in listed.split("\0") if record[3:] in moving]
