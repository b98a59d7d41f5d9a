"""JSON that a terminal and a reader can take as it is: nothing in it is obeyed, and nothing changes direction."""

from __future__ import annotations

import json
import re
from typing import Any

#: Control characters, what turns the direction of text, and odd line ends; JSON can say each of them by number.
_CONTROL = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def json_text(data: Any, *, indent: int | None = 2) -> str:
    """``data`` as JSON, with names in any script as they are; ``indent=None`` gives one line."""
    text = json.dumps(data, ensure_ascii=False, indent=indent, default=str)
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def without_empty(data: dict[str, Any]) -> dict[str, Any]:
    """``data`` without what says nothing: None, and empty texts, lists and objects."""
    return {key: value for key, value in data.items() if value is not None and value not in ("", [], {}, ())}
