"""Many facts that nobody stated, said in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def grouped(unknown: Sequence[str]) -> list[str]:
    """What nobody stated in one line, what is stated as unknown in one; the rest as it is, in its order.

    Args:
        unknown: Lines such as ``license: not stated``.
    """
    lines: dict[str, list[str]] = {}
    for line in unknown:
        name, colon, state = line.rpartition(": ")
        if colon and state in ("not stated", "unknown"):
            lines.setdefault(state, []).append(name)
        else:
            lines[line] = []
    return [f"{key}: {', '.join(names)}" if names else key for key, names in lines.items()]
