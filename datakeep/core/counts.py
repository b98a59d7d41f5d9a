"""Counts as people say them: one file, two files."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 file``, ``1,204 files``.

    Args:
        number: How many.
        one: The word for a single one, such as ``published commit``.
        many: The word for several, where it is not ``one`` with an ``s``, such as ``copies``.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
