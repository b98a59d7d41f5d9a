"""Counts as people say them: one file, two files; the first few of many."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 file``, ``1,204 files``.

    Args:
        number: How many.
        one: The word for a single one, such as ``published commit``.
        many: The word for several, where it is not ``one`` with an ``s``, such as ``copies``.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def few(names: Sequence[str], most: int, *, noun: str = "") -> str:
    """``a, b and 3 more files``: at most so many of them, and how many more there are.

    Args:
        names: Something, and what of it there is.
        most: How many are named.
        noun: What one of them is; nothing where that has been said.
    """
    shown, left = ", ".join(names[:most]), len(names) - most
    more = counted(left, f"more {noun}") if noun else f"{left:,} more"
    return f"{shown} and {more}" if left > 0 else shown
