"""Moments as they are shown: in one form, whoever wrote them down."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

_UTC = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)\+00:00")


def shown(value: Any) -> str:
    """A value as text; a moment in UTC as RFC 3339 writes it: ``2026-11-28T07:27:46Z``."""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return f"{found[1]}T{found[2]}Z" if (found := _UTC.fullmatch(text)) else text
