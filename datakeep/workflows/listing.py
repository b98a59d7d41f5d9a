"""``list``: the datasets of the keep, each in one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datakeep.workflows.standings import Judge, State
from datakeep.workflows.stated import NOT_STATED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.keep import Keep


@dataclass(frozen=True, slots=True)
class Listed:
    """One dataset, by its newest version.

    Attributes:
        proven_by: How many people other than the owner have proven that they can carry it on.
        failed_since: Whether it is proven, but the owner's own check has failed since.
        owner_departed: The owner's last day, if the keep knows one.
        unreadable: Newer versions, whose entries cannot be read.
    """

    name: str
    version: str
    owner: str
    files: int
    size_bytes: int
    purpose: str
    backend: str
    registered_at: datetime
    state: State
    proven_by: int
    failed_since: bool
    owner_departed: date | None
    unreadable: tuple[str, ...]


def list_datasets(keep: Keep, *, now: datetime) -> list[Listed]:
    """Every registered dataset, by name and its newest version that can be read; others are warned of."""
    keep.warn_if_behind()
    judge = Judge(keep, now)
    found = []
    for entry in keep.newest_entries():
        proofs = judge.proofs(entry)
        manifest: dict[str, Any] = entry.manifest
        found.append(
            Listed(
                entry.dataset,
                entry.version,
                str(entry.owner.get("name") or NOT_STATED),
                entry.files,
                entry.size_bytes,
                str(manifest.get("purpose") or manifest.get("title") or NOT_STATED),
                str(manifest.get("backend")),
                entry.registered_at,
                proofs.state,
                len(proofs.proven_by),
                bool(proofs.failed_since),
                keep.roster.departed_on(str(entry.owner.get("email"))),
                tuple(_newer(keep, entry)),
            )
        )
    return sorted(found, key=lambda one: one.name)


def _newer(keep: Keep, entry: VersionEntry) -> Sequence[str]:
    versions = keep.versions(entry.dataset)
    return versions[versions.index(entry.version) + 1 :]
