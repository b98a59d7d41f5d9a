"""What the last looks of ``fsck`` found wrong, for ``status``: the checks of every night are read in the morning.

A cache under ``.datakeep/``. The law: what was found by reading is forgotten only when the same was read again,
so a quick run never hides what a deep one found.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.fsck_report import Fsck, InStore
    from datakeep.workflows.keep import Keep

_FILE = "last-fsck.json"


@dataclass(frozen=True, slots=True)
class BadInStore:
    """A version that was not whole in a store.

    Attributes:
        at: When it was found, in seconds since 1970.
        deep: Whether it was found by reading.
        objects: How many of its objects were missing or wrong.
        lost: How many of its files were whole in no store.
        next_step: What to do about those.
    """

    version: str
    store: str
    at: float
    deep: bool
    objects: int
    lost: int = 0
    next_step: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A complaint of a git repository, a pointer or an inventory; ``about`` is a dataset, version or the keep."""

    about: str
    at: float
    what: str
    next_step: str | None


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is not superseded yet."""

    bad: tuple[BadInStore, ...] = ()
    said: tuple[Said, ...] = ()


def recall(keep: Keep) -> Remembered:
    """What was found wrong; nothing, if nothing can be read."""
    try:
        data: dict[str, Any] = json.loads(_path(keep).read_bytes())
        return Remembered(
            tuple(BadInStore(**one) for one in data["bad"]), tuple(Said(**one) for one in data["said"])
        )
    except (OSError, ValueError, TypeError, KeyError):
        return Remembered()


def remember(keep: Keep, found: Fsck, entries: Sequence[VersionEntry], *, at: float) -> None:
    """Keep in mind what is wrong, in place of what was known of the same.

    Args:
        keep: The keep.
        found: What the run found.
        entries: The versions that it looked at.
        at: When it ran, in seconds since 1970.
    """
    before = recall(keep)
    known = {(one.version, one.store): one for one in before.bad}
    for state in found.versions:
        old = known.get((state.version, state.store))
        if old is None or not old.deep or not state.unread:
            known.pop((state.version, state.store), None)
            if state.is_bad:
                known[state.version, state.store] = _bad(state, found, at)
    looked_at = {"the keep", *(entry.dataset for entry in entries)}
    looked_at |= {f"{entry.dataset}@{entry.version}" for entry in entries}
    said = [one for one in before.said if one.about not in looked_at]
    said += [
        Said(one.about, at, one.what, one.next_step)
        for one in found.complaints
        if one.about in looked_at  # a store that does not answer is looked at by status itself
    ]
    try:
        _write(_path(keep), Remembered(tuple(known.values()), tuple(said)))
    except OSError as error:
        keep.progress.warn(f"what was found is not kept for datakeep status: {error.strerror}")


def _bad(state: InStore, found: Fsck, at: float) -> BadInStore:
    lost = next((one for one in found.lost if one.version == state.version), None)
    return BadInStore(
        state.version,
        state.store,
        at,
        found.deep,
        len(state.missing) + len(state.wrong),
        len(lost.files) if lost else 0,
        lost.next_step if lost else None,
    )


def _path(keep: Keep) -> Path:
    return keep.cache(_FILE)


def _write(path: Path, known: Remembered) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(known), ensure_ascii=False), "utf-8")
    temporary.replace(path)
