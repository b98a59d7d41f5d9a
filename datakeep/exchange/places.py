"""URLs and moments as the exchange formats want them: absolute URIs, times with a zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from urllib.parse import quote

from datakeep.core.secrets import strip_url

_SCP_LIKE = re.compile(r"(?P<host>(?:[^@/\s:]+@)?[^@/\s:]+):(?!/)(?P<path>.+)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_SAFE = "/:?#[]@!$&'()*+,;=%~-._"


def uri(place: str | None) -> str | None:
    """A repository's or database's place as a URI without secrets; None where it is none that others can read."""
    if not place:
        return None
    if _SCHEME.match(place):
        return quote(strip_url(place), safe=_SAFE)
    if place.startswith("/"):
        return f"file://{quote(place)}"
    found = _SCP_LIKE.fullmatch(place)
    return f"ssh://{quote(found['host'], safe='@.-_')}/{quote(found['path'])}" if found else None


def moment(value: datetime | date | str | None) -> str | None:
    """A moment in ISO form, in UTC where it named no zone; None for what is not one, such as ``unknown``."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if value is None:
        return None
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()


def slug(name: str) -> str:
    """``name`` as a part of a URI."""
    return quote(name, safe="@.-_~")
