"""What a rerun says again of its query: only what is new; what was said at the version before is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from datakeep.core.progress import Progress
    from datakeep.workflows.query_words import Note


@dataclass
class Notes:
    """The notes of one update, told as they come.

    Args:
        progress: Told of what is new.
        said: What was said at the version before, as :class:`Note` has it as key.

    Attributes:
        all: Every note, also those that are not told once more.
    """

    progress: Progress
    said: Collection[str] = ()
    all: list[str] = field(default_factory=list)
    _repeated: int = 0

    def tell(self, notes: Iterable[Note | str]) -> None:
        """Say those that are new; a plain text is its own key."""
        for one in notes:
            text, key = (one, one) if isinstance(one, str) else (one.text, one.key)
            self.all.append(text)
            if key in self.said:
                self._repeated += 1
            else:
                self.progress.note(f"note: {text}")

    def end(self, version: str) -> None:
        """One line for all that was said at ``version`` already."""
        if self._repeated:
            count = counted(self._repeated, "note")
            self.progress.note(f"note: {count} as at {version}, not repeated here (--json has all)")
