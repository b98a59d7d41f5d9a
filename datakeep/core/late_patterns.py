"""Regular expressions that are compiled when they are first used.

A command that looks for no password in a long text need not wait for the fifty patterns of one: 12 ms.
"""

from __future__ import annotations

import re
from typing import Any, cast


def late(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """As :func:`re.compile`, of which the work is put off; also what is wrong with ``pattern`` is said then.

    It has all methods of a pattern, and is none to functions of :mod:`re` that take one.
    """
    return cast("re.Pattern[str]", LatePattern(pattern, flags))


class LatePattern:
    """What :func:`late` gives.

    Attributes:
        given: The arguments of :func:`re.compile`.
    """

    def __init__(self, pattern: str, flags: int) -> None:
        self.given = pattern, flags

    def __getattr__(self, name: str) -> Any:
        """A method or attribute of the compiled pattern, which from now on is one's own."""
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(re.compile(*self.given), name)
        setattr(self, name, found)
        return found
