"""What is printed can only be read: names and outputs come from strangers, and a terminal obeys its bytes."""

from __future__ import annotations

import re
import sys
from typing import Any

#: More of one line than this is cut off on a terminal; a pipe and ``--json`` have all of it.
LINE_CHARACTERS = 1000
#: The styles that we set ourselves: reset, bold, dim and the colours.
_STYLE = r"\x1b\[(?:[012]|3[1-6])m"
#: Control characters but tab and line feed, what turns the direction of text, and odd line ends.
_CONTROL = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
_STYLED = f"({_STYLE})|{_CONTROL}"


def printable(text: str, *, on_terminal: bool = False) -> str:
    r"""The text with what a terminal would obey shown as ``\x1b``; only our own styles are kept.

    Args:
        text: One or more lines.
        on_terminal: Cut lines that nobody would read to their end.
    """
    if on_terminal and len(text) > LINE_CHARACTERS:
        text = "\n".join(map(_bounded, text.split("\n")))
    if text.isprintable():
        return text
    safe = re.sub(_STYLED, lambda match: match[1] or _escaped(match[0]), text)
    _, styled, rest = safe.rpartition("\x1b[")
    return f"{safe}\x1b[0m" if styled and not rest.startswith("0m") else safe


def one_line(text: str) -> str:
    """The text without what would end its line: a stranger's name begins none, such as one that says ``next:``."""
    return re.sub(r"\s*\n\s*", " ", text) if "\n" in text else text


def printable_json(data: Any) -> str:
    """The data as JSON that any terminal and any encoding can take, and that says the same."""
    import json

    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = json.dumps(data, ensure_ascii=encoding.lower() != "utf-8", indent=2, default=str)
    return re.sub(_CONTROL, lambda match: f"\\u{ord(match[0]):04x}", text)


def _bounded(line: str) -> str:
    over = len(line) - LINE_CHARACTERS
    return f"{line[:LINE_CHARACTERS]} … and {over} more characters" if over > 0 else line


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
