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

if TYPE_CHECKING:
    from pathlib import Path

    from datakeep.formats.keep import KeepFile

_FILE = "keep-facts.json"


@dataclass(frozen=True, slots=True)
class KeepFacts:
    """The keep's name, and of each store its name and the commit as of which it was filled, if it was."""

    name: str
    stores: tuple[tuple[str, str | None], ...]


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
