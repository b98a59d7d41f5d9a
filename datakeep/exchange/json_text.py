"""JSON that a terminal and a reader can take as it is: nothing in it is obeyed, and nothing changes direction.

A record of an older or foreign program may hold a URL with a password; no such leaves the keep by a format.
"""

from __future__ import annotations

import json
import re
from typing import Any

from datakeep.core.secrets import strip_urls

#: Control characters, what turns the direction of text, and odd line ends; JSON can say each of them by number.
_CONTROL = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def json_text(data: Any, *, indent: int | None = 2) -> str:
    """``data`` as JSON, with names in any script as they are; ``indent=None`` gives one line."""
    text = json.dumps(_stripped(data), ensure_ascii=False, indent=indent, default=str)
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _stripped(value: Any) -> Any:
    if isinstance(value, str):
        return strip_urls(value) if "://" in value else value
    if isinstance(value, dict):
        return {key: _stripped(one) for key, one in value.items()}
    return [_stripped(one) for one in value] if isinstance(value, list | tuple) else value


def without_empty(data: dict[str, Any]) -> dict[str, Any]:
    """``data`` without what says nothing: None, and empty texts, lists and objects."""
    return {key: value for key, value in data.items() if value is not None and value not in ("", [], {}, ())}
