"""``log``: the versions of a dataset, and what each one is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.formats.version import VersionEntry

if TYPE_CHECKING:
    from datetime import datetime

    from datakeep.workflows.keep import Keep


@dataclass(frozen=True, slots=True)
class LoggedVersion:
    """One version.

    Attributes:
        version: Its name; all else is None where ``fault`` says why its entry cannot be read.
        content_changed: None where there is nothing before it, or what is cannot be read.
        fault: Why the entry cannot be read; None if it can.
    """

    version: str
    at: datetime | None = None
    by: str | None = None
    message: str | None = None
    files: int | None = None
    size_bytes: int | None = None
    content: str | None = None
    commit: str | None = None
    content_changed: bool | None = None
    fault: str | None = None


def history(keep: Keep, name: str) -> list[LoggedVersion]:
    """The versions of a dataset, the newest first, those that cannot be read among them.

    Raises:
        UnknownName: There is no such dataset.
    """
    keep.warn_if_behind()
    dataset = keep.resolve(name).name
    before: str | None = None
    found = []
    for version, entry in keep.entries_or_faults(dataset).items():
        if not isinstance(entry, VersionEntry):
            found.append(LoggedVersion(version, fault=entry.what))
            before = None
            continue
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
