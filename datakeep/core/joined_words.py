"""Where a value ends that is put together: quotes of a shell side by side, what a command writes, literals."""

from __future__ import annotations

import re

#: What a shell joins to a value in quotes, and what joins literals of a program.
_JOINED = re.compile(r"""(?:"(?:[^"\\]|\\.){0,4000}"|'[^']{0,4000}'|\\.|[^\s"'`;,:}\])&|<>\\])*""", re.DOTALL)
_CODE_JOINED = re.compile(
    r"""(?:\s{0,8}\+?\s{0,8}[rbuRBU]{0,2}(?:"(?:[^"\\\n]|\\.){0,4000}"|'(?:[^'\\\n]|\\.){0,4000}'))*""",
    re.DOTALL,
)
_LOOKED_BACK = 4000


def with_joined(
    shown: tuple[int, int, str], value: re.Match[str], text: str, *, is_code: bool
) -> tuple[int, int, str]:
    """``shown`` with what is joined to a value: ``'a'"b"``, and the rest of ``$(echo a b)``.

    Args:
        shown: Where the value stands in ``text``, and what is shown instead.
        value: What was found there, by the kind of its quotes.
        text: The whole text.
        is_code: Whether it is a program's text in a language such as Python, and not a shell's.
    """
    start, end, instead = shown
    kind = value.lastgroup
    if kind not in ("double", "single", "bare"):
        return shown
    if not is_code and kind != "single" and "$(" in text[start:end]:
        end = _end_of_substitution(text, text.index("$(", start) + 2)
        return start, found_or_end(text, '"', end) if kind == "double" else end, instead
    if kind == "bare":
        return shown
    behind = value.end()
    is_inside = behind < len(text) and text.count(text[behind], max(0, start - _LOOKED_BACK), start - 1) % 2
    joined = (_CODE_JOINED if is_code else _JOINED).match(text, behind)
    if joined is None or not joined[0] or (is_inside and text[behind] in "\"'"):
        return shown
    return start, joined.end(), f"{instead}{text[behind - 1]}"


def _end_of_substitution(text: str, at: int) -> int:
    """Where what a shell's ``$(`` began ends; the end of the text where it does not."""
    depth = 1
    for bracket in re.compile(r"[()]").finditer(text, at):
        depth += 1 if bracket[0] == "(" else -1
        if depth == 0:
            return bracket.end()
    return len(text)


def found_or_end(text: str, mark: str, at: int) -> int:
    """Where ``mark`` stands in ``text`` from ``at`` on; the end of the text where it does not."""
    found = text.find(mark, at)
    return len(text) if found < 0 else found
