"""How the lower floors report what they do, without knowing who watches."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A place to report to. The CLI attaches a terminal; tests and libraries attach what they like."""

    def stage(self, name: str, *, total: int | None = None, unit: str = "files") -> None:
        """A new stage begins; ``total`` is how many ``unit`` it will take, if known."""

    def advance(self, count: int = 1, *, size_bytes: int = 0) -> None:
        """``count`` more units of the stage are done, ``size_bytes`` bytes in all."""

    def note(self, text: str) -> None:
        """One line that the user should see, such as what was created."""

    def warn(self, text: str) -> None:
        """One line that the user must not overlook; it does not stop the work."""

    def recorded(self) -> None:
        """What was asked for is in the vault: an interruption no longer undoes it."""


class Silent:
    """Reports to nobody."""

    def stage(self, name: str, *, total: int | None = None, unit: str = "files") -> None:
        """Ignored."""

    def advance(self, count: int = 1, *, size_bytes: int = 0) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""

    def warn(self, text: str) -> None:
        """Ignored."""

    def recorded(self) -> None:
        """Ignored."""
