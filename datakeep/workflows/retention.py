"""Until when a version's data may be kept, as its manifest says."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from datakeep.workflows.facts import get

if TYPE_CHECKING:
    from datakeep.formats.version import VersionEntry


def kept_until(entry: VersionEntry) -> date | None:
    """The last day on which it may be kept; None where none is stated, or what is stated is neither day nor year."""
    stated = str(get(entry.manifest, "privacy.retention_until") or "")
    if re.fullmatch(r"[12][0-9]{3}", stated):  # refused where it is stated, and was not always
        return date(int(stated), 12, 31)
    try:
        return date.fromisoformat(stated[:10]) if stated else None
    except ValueError:
        return None
