"""When each proof came into the keep, and the people of that commit: remembered of the very head that is asked about.

Telling it takes a walk through the whole history, at each audit of a version that has proofs. A cache under
``.datakeep/``, of one head: at another one the history is walked again, since a merge may tell it otherwise.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from datakeep.repository import working
from datakeep.repository.command import is_object_id
from datakeep.repository.working import Addition
from datakeep.workflows.remembered import remember

if TYPE_CHECKING:
    from datakeep.workflows.keep import Keep

_CACHE = "proofs-came-in.json"
_FORMAT = 1


class CameIn:
    """Which commit added which file.

    Args:
        commits: Of each commit its id, its time in seconds since 1970, and the id of its ``people/``.
        files: Path to the place of its commit in ``commits``.
    """

    def __init__(self, commits: list[tuple[str, int, str]], files: dict[str, int]) -> None:
        self._commits, self._files = commits, files
        self._people = {commit: people for commit, _, people in commits}

    def addition(self, path: str) -> Addition | None:
        """The commit that added ``path`` (the last time); None if the history does not tell."""
        place = self._files.get(path)
        if place is None:
            return None
        commit, seconds, _ = self._commits[place]
        return Addition(commit, datetime.fromtimestamp(seconds, UTC))

    def people_id(self, commit: str) -> str:
        """What is equal for two commits with the same ``people/``."""
        return self._people.get(commit, commit)


def came_in(keep: Keep, folder: str) -> CameIn:
    """When the files below ``folder`` came in, up to the keep's head."""
    head = keep.tree.commit
    if head is None:
        return CameIn([], {})
    return _recall(keep, head) or _walked(keep, folder, head)


def _walked(keep: Keep, folder: str, head: str) -> CameIn:
    found = working.additions(keep.root, folder)
    times = {one.commit: int(one.when.timestamp()) for one in found.values()}
    people = working.folder_ids(keep.root, sorted(times), "people") if times else {}
    commits = [(commit, seconds, people[commit]) for commit, seconds in times.items()]
    places = {commit: place for place, commit in enumerate(times)}
    files = {path: places[one.commit] for path, one in found.items()}
    if keep.repository.head() == head:  # what was walked is the head of this moment
        remember(keep, _CACHE, {"format": _FORMAT, "commit": head, "commits": commits, "files": files})
    return CameIn(commits, files)


def _recall(keep: Keep, head: str) -> CameIn | None:
    try:
        data: dict[str, Any] = json.loads(keep.cache(_CACHE).read_bytes())
        if data["format"] != _FORMAT or data["commit"] != head:
            return None
        commits = [(str(commit), int(seconds), str(people)) for commit, seconds, people in data["commits"]]
        files = {str(path): int(place) for path, place in data["files"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    whole = all(0 <= place < len(commits) for place in files.values())
    return CameIn(commits, files) if whole and all(is_object_id(one[0]) for one in commits) else None
