"""What every tabular format can be asked, so that callers never ask which one it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from datakeep.core.errors import SourceFault, SourceMissing, SourceUnreadable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

#: The most bytes of one file that are held in memory at once.
HELD_BYTES = 64 << 20
#: The most bytes of one file that are read to the end, only to describe it.
STREAMED_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Inspection:
    """What one tabular file holds.

    Attributes:
        columns: Name and type of each column, in order; the type is None where no value tells it.
        rows: How many rows, without the header; None where the file is too large to be counted.
        encoding: Python's name of the text encoding.
        notes: What a person should know of how this was found, one sentence each.
    """

    columns: tuple[tuple[str, str | None], ...]
    rows: int | None
    encoding: str = "utf-8"
    notes: tuple[str, ...] = ()


class TabularReader(Protocol):
    """One tabular format. Files are read in bounded memory."""

    def inspect(self, shown: str, file: Path) -> Inspection:
        """What ``file`` holds; ``shown`` is its name in messages.

        Raises:
            SourceMalformed: It is not what its name says; names the line where that can be known.
        """

    def values(self, shown: str, file: Path, column: str) -> Iterator[Any]:
        """The values of ``column`` as Arrow arrays of strings; nothing if the file has no such column.

        Raises:
            SourceMalformed: It is not what its name says, or the column holds no single values.
        """

    def batches(self, shown: str, file: Path, text: Collection[str]) -> Iterator[Any]:
        """All rows as Arrow record batches of bounded size; of a table without rows, one without rows.

        Args:
            shown: Its name in messages.
            file: Where it is.
            text: Columns that are wanted as the text that the file has, where the format is one of text.

        Raises:
            SourceMalformed: It is not what its name says; names the line where that can be known.
        """


def shown_type(arrow_type: Any) -> str | None:
    """Arrow's name of a type, as the manifest states it; None of a column without a value."""
    import pyarrow.types as kinds

    if kinds.is_null(arrow_type):
        return None
    if kinds.is_dictionary(arrow_type):
        return shown_type(arrow_type.value_type)
    if kinds.is_large_string(arrow_type) or kinds.is_string_view(arrow_type):
        return "string"
    return str(arrow_type)


def merged_type(one: str | None, other: str | None) -> str | None:
    """The narrowest type that holds values of both; ``string`` holds anything."""
    if one == other or other is None:
        return one
    if one is None:
        return other
    pair = {one, other}
    if pair <= {"int8", "int16", "int32", "int64", "float", "double"}:
        return "double" if pair & {"float", "double"} else "int64"
    days = "date32[day]"
    if days in pair and next(iter(pair - {days})).startswith("timestamp["):
        return next(iter(pair - {days}))
    return "string"


def cannot_open(shown: str, error: OSError) -> SourceFault:
    """The error to raise for a file that the operating system does not let us read."""
    if isinstance(error, FileNotFoundError):
        return SourceMissing(f"{shown} is not there any more", next_step="put it back, and run this again")
    reason = error.strerror or type(error).__name__
    return SourceUnreadable(
        f"{shown} cannot be read: {reason}", next_step="make it readable to you, and run this again"
    )
