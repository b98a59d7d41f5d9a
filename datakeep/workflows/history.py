"""``log``: the versions of a dataset, and what each one is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from datakeep.workflows.keep import Keep


@dataclass(frozen=True, slots=True)
class LoggedVersion:
    """One version; ``content_changed`` is None for the first, which has nothing before it."""

    version: str
    at: datetime
    by: str
    message: str
    files: int
    size_bytes: int
    content: str
    commit: str
    content_changed: bool | None


def history(keep: Keep, name: str) -> list[LoggedVersion]:
    """The versions of a dataset, the newest first.

    Raises:
        UnknownName: There is no such dataset.
    """
    dataset = keep.resolve(name).name
    before: str | None = None
    found = []
    for entry in keep.entries(dataset):
        changed = None if before is None else entry.content != before
        before = entry.content
        found.append(
            LoggedVersion(
                entry.version,
                entry.registered_at,
                entry.registered_by,
                entry.message,
                entry.files,
                entry.size_bytes,
                entry.content,
                entry.commit,
                changed,
            )
        )
    return found[::-1]
