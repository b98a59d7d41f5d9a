"""Which commits of a keep touched a path."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datakeep.repository.command import GitRunner


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One commit that touched a path."""

    commit: str
    when: datetime
    name: str
    email: str
    message: str


def log_of(git: GitRunner, path: str, *options: str) -> tuple[LogEntry, ...]:
    """The commits that touched ``path``, newest first; ``options`` are those of ``git log``."""
    listed = git.text(
        "log", "-z", "--no-show-signature", "--format=%H%n%at%n%an%n%ae%n%B", *options, "--", path
    )
    entries: list[LogEntry] = []
    for record in filter(None, listed.split("\0")):
        commit, seconds, name, email, message = record.split("\n", 4)
        when = datetime.fromtimestamp(int(seconds), UTC)
        entries.append(LogEntry(commit, when, name, email, message.strip()))
    return tuple(entries)
