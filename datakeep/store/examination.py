"""What an examination of a store says: a verdict for each thing that was looked at, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How one check ended."""

    GOOD = "good"
    BAD = "not good"
    UNSUPPORTED = "not supported by this server"
    FORBIDDEN = "not allowed to look"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it is: ``versioning``.
        outcome: How it stands.
        what: What was found, in a few words.
        advice: What to do, where it is not good.
    """

    name: str
    outcome: Outcome
    what: str = ""
    advice: str = ""
