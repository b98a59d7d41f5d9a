"""Moving a clone's branch, index and files forward to a published commit, safely against kills.

What ``git merge --ff-only`` does, for the paths that differ only: with ten thousand submodules git
looks at all of them. A kill leaves a lock file and half of the new files, on which every later merge
would trip; so the files that will move are checked first, a marker says what is under way, and the
next run does the same again.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError, Locked
from datakeep.repository.command import is_object_id
from datakeep.repository.faults import os_fault
from datakeep.repository.locking import remove_stale_locks
from datakeep.repository.objects import GITLINK, resolve

if TYPE_CHECKING:
    from datakeep.repository.command import GitRunner

_OWN = ".datakeep"
_MARKER = Path(_OWN, "git-operation")
_LOCKS = ("index.lock", "HEAD.lock", "refs/heads/main.lock", "logs/HEAD.lock")
_MAIN = "refs/heads/main"
ORIGIN_MAIN = "refs/remotes/origin/main"
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_NONE = "000000"
#: So long another git is waited for that holds a lock, which takes it milliseconds on a machine that is not busy.
_LOCKED_S = 3.0
#: More paths than this are not named on a command line.
_MANY = 500


@dataclass(frozen=True, slots=True)
class _Move:
    """One path in which two commits differ; a mode of zeros means that it is not there."""

    path: str
    old_mode: str
    old_id: str
    new_mode: str
    new_id: str


@dataclass(frozen=True, slots=True)
class Tips:
    """What a clone shows, and what is published as of its last fetch; ``on_main``: it shows its branch main."""

    on_main: bool
    head: str | None
    origin: str | None


def tips(git: GitRunner) -> Tips:
    """The newest commits of a clone; by one git process, where it shows its branch main."""
    listed = git.text("for-each-ref", "--format=%(HEAD)%(refname) %(objectname)", _MAIN, ORIGIN_MAIN)
    found = dict(line.lstrip("* ").split() for line in listed.splitlines())
    origin = found.get(ORIGIN_MAIN)
    if f"*{_MAIN} " in listed:
        return Tips(on_main=True, head=found[_MAIN], origin=origin)
    branch = git.run("symbolic-ref", "--quiet", "HEAD", allow=(0, 1)).text
    return Tips(branch == _MAIN, resolve(git, "HEAD"), origin)


def follow(git: GitRunner, root: Path, commit: str) -> str | None:
    """The clone at ``root`` shows ``commit``, a descendant of its head, and keeps uncommitted changes.

    Returns:
        Why it does not show it, in one sentence with what to do; None if it does.
    """
    found = tips(git)
    head = found.head
    if head == commit:
        return None
    if not found.on_main:
        return f"{root} does not follow the keep: run git -C {root} switch main, then git pull"
    moves = _moves(git, head, commit)
    brought = (move.path for move in moves if move.new_mode != _NONE)
    if foreign := next((path for path in brought if path.partition("/")[0].casefold() == _OWN), None):
        return (
            f"{root} does not show the newest commit, which has {foreign}, where only what this clone finds itself"
            f" may lie: ask who pushed it (git -C {root} log {commit[:12]} -- {foreign})"
        )
    if in_the_way := _dirty(git, root, moves):
        return (
            f"{root} does not show the newest commit yet, because of uncommitted changes to"
            f" {', '.join(in_the_way[:3])}: commit or undo them, then run git -C {root} pull"
        )
    marker = root / _MARKER
    temporary = marker.with_suffix(".new")
    try:
        temporary.write_text(json.dumps({"from": head, "to": commit}), "ascii")
        temporary.replace(marker)
        try:
            _stage(git, moves)
        except DatakeepError:
            marker.unlink(missing_ok=True)  # nothing has moved, and the lock that stopped us is another git's
            raise
        _write(git, root, moves)
        _move_branch(git, head, commit)
    except (DatakeepError, OSError) as error:
        return f"{root} does not show the newest commit yet ({error}): run datakeep status"
    # Only now: after a failure, as after a kill, the next run brings it to its end.
    marker.unlink(missing_ok=True)
    return None


def finish_killed_move(git: GitRunner, root: Path) -> None:
    """A move that was killed is brought to its end; what the user changed elsewhere stays as it is."""
    marker = root / _MARKER
    try:
        facts = json.loads(marker.read_text("ascii"))
        head, commit = facts["from"], facts["to"]
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        head, commit = None, ""  # the marker itself was cut off, so nothing had begun
    known = is_object_id(str(commit)) and (head is None or is_object_id(str(head)))
    if known and resolve(git, "HEAD") in (head, commit):
        remove_stale_locks(Path(git.text("rev-parse", "--absolute-git-dir")), files=_LOCKS)
        try:
            # Every path was clean when the move began, so whatever differs from `commit` is the kill's work.
            moves = _moves(git, head, commit)
            _stage(git, moves)
            _write(git, root, moves)
            if resolve(git, "HEAD") != commit:
                _move_branch(git, head, commit)
        except OSError as error:
            raise os_fault(error, f"cannot write to the keep {root}", root) from error
    marker.unlink(missing_ok=True)


def _stage(git: GitRunner, moves: list[_Move]) -> None:
    """The index is that of the new commit, for the paths that move."""
    zeros = "0" * 40
    index = "".join(f"{move.new_mode} {move.new_id}\t{move.path}\0" for move in moves)
    index = index.replace(f"{_NONE} {zeros}\t", f"0 {zeros}\t")
    _run(git, "update-index", "-z", "--index-info", stdin=index.encode("utf-8", "surrogateescape"))


def _write(git: GitRunner, root: Path, moves: list[_Move]) -> None:
    """The files are those of the new commit; each step can be repeated. The branch moves last."""
    for move in moves:
        if move.new_mode == _NONE:
            _remove(root, move)
    for move in moves:
        if move.new_mode == GITLINK:
            (root / move.path).mkdir(parents=True, exist_ok=True)
    files = "".join(f"{move.path}\0" for move in moves if move.new_mode not in (_NONE, GITLINK))
    stdin = files.encode("utf-8", "surrogateescape")
    _run(git, "checkout-index", "--force", "--quiet", "-u", "-z", "--stdin", stdin=stdin)


def _move_branch(git: GitRunner, head: str | None, commit: str) -> None:
    _run(git, "update-ref", "-m", "datakeep: follow origin", _MAIN, commit, head or "0" * 40)


def _run(git: GitRunner, *arguments: str, stdin: bytes | None = None) -> None:
    """One call; another git's lock, of an editor's or the user's own, is waited for a while."""
    until = time.monotonic() + _LOCKED_S
    while True:
        try:
            git.run(*arguments, stdin=stdin)
            return
        except Locked:
            if time.monotonic() > until:
                raise
        time.sleep(0.05)


def _remove(root: Path, move: _Move) -> None:
    """The file, or the empty folder of a submodule, is gone, and so are folders that it leaves empty."""
    path = root / move.path
    if path.parent.resolve() != root.resolve() / Path(move.path).parent:
        return  # a folder on the way became a symbolic link: what lies behind it is not ours
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    with suppress(OSError):  # not empty, or not there: both are fine
        for folder in (path, *path.parents):
            if folder == root:
                break
            if folder.is_dir():
                folder.rmdir()


def _moves(git: GitRunner, head: str | None, commit: str) -> list[_Move]:
    """The paths in which ``head`` and ``commit`` differ."""
    listed = git.run("diff-tree", "-r", "-z", "--no-renames", "--raw", head or _EMPTY_TREE, commit).stdout
    fields = listed.decode("utf-8", "surrogateescape").split("\0")
    moves = []
    for facts, path in zip(fields[0::2], fields[1::2], strict=False):
        old_mode, new_mode, old_id, new_id, _status = facts.removeprefix(":").split()
        moves.append(_Move(path, old_mode, old_id, new_mode, new_id))
    return moves


def _dirty(git: GitRunner, root: Path, moves: list[_Move]) -> list[str]:
    """The paths of those ``moves`` that the user changed and did not commit, untracked files included."""
    paths = [move.path for move in moves] if len(moves) <= _MANY else []
    listed = git.run("ls-files", "--stage", "-z", "--", *paths).stdout.decode("utf-8", "surrogateescape")
    staged = {
        path: facts.split()[:2]
        for record in listed.split("\0")
        for facts, _, path in [record.partition("\t")]
    }
    dirty = []
    clean_if: list[_Move] = []
    for move in moves:
        expected = None if move.old_mode == _NONE else [move.old_mode, move.old_id]
        there = os.path.lexists(root / move.path)
        folder = there and (root / move.path).is_dir() and not (root / move.path).is_symlink()
        if staged.get(move.path) != expected:
            dirty.append(move.path)
        elif GITLINK in (move.old_mode, move.new_mode) and (folder or not there):
            continue
        elif expected is None:
            dirty += [move.path] if there else []
        elif (root / move.path).is_file() and not (root / move.path).is_symlink():
            clean_if.append(move)
        else:
            dirty.append(move.path)
    stdin = "".join(f"{move.path}\n" for move in clean_if).encode("utf-8", "surrogateescape")
    ids = git.text("hash-object", "--stdin-paths", stdin=stdin).split() if clean_if else []
    return sorted(
        dirty + [move.path for move, found in zip(clean_if, ids, strict=True) if found != move.old_id]
    )
