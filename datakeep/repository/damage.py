"""Which files of a damaged repository cannot be had any more.

git gives up at the first object that it cannot read, and names it by its hash, if at all. Here everything
but the files is fetched first; then the files are asked for, in ever smaller groups, until the bad ones are known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from datakeep.core.errors import GitFault
from datakeep.repository.objects import GITLINK, walk_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.repository.command import GitRunner

_MAX_NAMED = 20


def damaged_files(git: GitRunner, commit: str, refspecs: Sequence[str], *, limit: int) -> list[str] | None:
    """The paths of ``commit`` that the remote ``origin`` cannot give, at least the first of them.

    Args:
        git: Runs in a repository that is thrown away afterwards.
        commit: Its trees must be whole.
        refspecs: What leads to the commit.
        limit: How many files the commit may have.

    Returns:
        The paths; none if the damage is in other commits. None if it cannot be told.
    """
    try:
        _fetch(git, *refspecs, options=("--filter=blob:none",))
        paths: dict[str, list[str]] = {}
        for entry in walk_tree(git, commit, limit=limit):
            if entry.mode != GITLINK:
                paths.setdefault(entry.object_id, []).append(entry.path)
    except GitFault:
        return None
    bad: list[str] = []
    groups = [list(paths)]
    while groups and len(bad) < _MAX_NAMED:
        group = groups.pop()
        if not group or _can_give(git, group):
            continue
        if len(group) == 1:
            bad += group
        else:
            middle = len(group) // 2
            groups += [group[middle:], group[:middle]]
    return sorted(path for object_id in bad for path in paths[object_id])


def _can_give(git: GitRunner, object_ids: Sequence[str]) -> bool:
    try:
        _fetch(git, options=("--filter=blob:none", "--stdin"), stdin="\n".join([*object_ids, ""]).encode())
    except GitFault:
        return False
    return True


def _fetch(git: GitRunner, *refspecs: str, options: Sequence[str], stdin: bytes | None = None) -> None:
    # Without the setting the other end is told which commits are here, and takes their files to be here too.
    replace(git, settings=(*git.settings, "fetch.negotiationAlgorithm=noop")).run(
        "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", *options, "--",
        "origin", *refspecs, stdin=stdin,
    )  # fmt: skip
