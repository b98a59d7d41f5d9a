"""What a question needs of ``keep.yaml``, remembered of the very text that was read whole before.

A question about one hash needs the names of the stores, not the models of all formats, whose making takes longer
than the rest of the answer. A cache under ``.datakeep/``: another text is read as ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import GitFault

if TYPE_CHECKING:
    from pathlib import Path

    from datakeep.formats.keep import KeepFile
    from datakeep.repository.keep import KeepRepository

_FILE = "keep-facts.json"
#: Of the register; more are listed in one go.
_MANY_FOLDERS = 20


@dataclass(frozen=True, slots=True)
class KeepFacts:
    """The keep's name, and of each store its name and the commit as of which it was filled, if it was."""

    name: str
    stores: tuple[tuple[str, str | None], ...]


class Filled:
    """What the register had on the day on which a store that was added later was filled: its copies of that day.

    Few folders of it are listed one by one, many together.
    """

    def __init__(self, repository: KeepRepository, facts: KeepFacts) -> None:
        self._repository = repository
        self._days = dict(facts.stores)
        self._folders: dict[str, dict[str, set[str]]] = {}

    def had(self, store: str, path: str) -> bool:
        """Whether the entry at ``path`` was there on the day of ``store``; nothing was, if it had no such day."""
        day = self._days[store]
        if day is None:
            return False
        folders = self._folders.setdefault(store, {})
        folder = "register/" if len(folders) > _MANY_FOLDERS else f"{path.rpartition('/')[0]}/"
        if folder not in folders:
            folders[folder] = set()
            with contextlib.suppress(GitFault):  # a commit that this clone does not have proves nothing
                folders[folder].update(self._repository.list(folder, at=day))
        return path in folders[folder]


def facts_of(file: KeepFile) -> KeepFacts:
    """What ``file`` says."""
    return KeepFacts(file.name, tuple((store.name, store.filled_at) for store in file.vault.stores))


def recall(folder: Path, text: bytes) -> KeepFacts | None:
    """What ``text`` was found to say before; None if it is not known to be whole."""
    try:
        data = json.loads((folder / _FILE).read_bytes())
        if data["sha256"] != _digest(text):
            return None
        return KeepFacts(data["name"], tuple((name, filled_at) for name, filled_at in data["stores"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def remember(folder: Path, text: bytes, facts: KeepFacts) -> None:
    """Keep in mind what ``text`` says, where that is possible; ``folder`` is not made for it."""
    said = {"sha256": _digest(text), "name": facts.name, "stores": facts.stores}
    temporary = folder / f"{_FILE}.{os.getpid()}.new"
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(said), "utf-8")
        temporary.replace(folder / _FILE)


def _digest(text: bytes) -> str:
    from datakeep import __version__  # another datakeep may read more, or less

    return hashlib.sha256(__version__.encode() + b"\0" + text).hexdigest()
