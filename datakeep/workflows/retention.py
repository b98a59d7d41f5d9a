"""Until when a version's data may be kept, as its manifest says."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from datakeep.workflows.facts import get

if TYPE_CHECKING:
    from datakeep.formats.version import VersionEntry


def kept_until(entry: VersionEntry) -> date | None:
    """The last day on which it may be kept; None where none is stated, or what is stated is no day."""
    stated = get(entry.manifest, "privacy.retention_until")
    try:
        return date.fromisoformat(str(stated)[:10]) if stated else None
    except ValueError:
        return None
