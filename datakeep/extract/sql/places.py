"""Places in a query as a person finds them: line and column from 1, and the line itself with a caret."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

#: More of one line than this is not shown around a caret.
_WINDOW = 100
_LINE_END = re.compile(r"\r\n|\r|\n")
_TEXTS = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column, both from 1, in characters."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


def place(text: str, offset: int) -> Place:
    """Where the character at ``offset`` stands; the end of the text for one behind it."""
    before = text[: max(0, offset)]
    ends = [found.end() for found in _LINE_END.finditer(before)]
    return Place(len(ends) + 1, len(before) - (ends[-1] if ends else 0) + 1)


def shown(text: str, offset: int) -> tuple[str, str]:
    """The line of ``text`` that holds ``offset``, and a line with a caret under it; long lines are cut.

    Wide characters (Japanese) count as two, as a terminal shows them; a tab stays a tab in both.
    """
    offset = min(max(0, offset), len(text))
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    line = _LINE_END.split(text[start:], maxsplit=1)[0]
    at = offset - start
    cut = max(0, at - _WINDOW // 2)
    part = line[cut : cut + _WINDOW]
    before = "…" * bool(cut) + part[: at - cut]
    blank = "".join("\t" if one == "\t" else " " * _cells(one) for one in before)
    return "…" * bool(cut) + part + "…" * (cut + _WINDOW < len(line)), f"{blank}^"


def shown_place(text: str, offset: int) -> tuple[str, tuple[str, str]]:
    """:func:`place` in words, and what :func:`shown` shows of it."""
    return str(place(text, offset)), shown(text, offset)


def _cells(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def is_name_in(word: str, text: str) -> bool:
    """Whether ``word`` stands in a query as a name, outside its texts and comments, so that it is no secret."""
    return word.isidentifier() and re.search(rf"\b{word}\b", _TEXTS.sub(" ", text)) is not None
