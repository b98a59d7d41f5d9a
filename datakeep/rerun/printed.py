"""What a program printed, as evidence: its last lines as a terminal would show them, short, without passwords."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from datakeep.core.secrets import withheld

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.rerun.interface import Finished

LINES = 15
#: More of one line than this tells nobody anything.
LINE_CHARACTERS = 300

#: Colours, cursor moves and titles (ECMA-48 control sequences, and those that end with a bell).
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def last_lines(finished: Finished) -> tuple[str, ...]:
    """The last of what a program printed; a line that is too long is cut, and says by how much."""
    lines = without_secrets(_as_shown(finished.output_tail)).split("\n")
    before_bytes = finished.output_bytes - len(finished.output_tail.encode("utf-8"))
    first = _end(lines[0], before_bytes) if before_bytes > 0 else shortened(lines[0])
    shown = [first, *map(shortened, lines[1:])]
    return tuple([line for line in shown if line.strip()][-LINES:])


def shortened(line: str) -> str:
    """``line``, or its beginning and how much more there is."""
    over = len(line) - LINE_CHARACTERS
    return f"{line[:LINE_CHARACTERS]} … and {over:,} more characters" if over > 0 else line


def without_secrets(text: str, secrets: Sequence[str] = ()) -> str:
    """``text`` without what :func:`datakeep.core.secrets.withheld` sees in it, and none of ``secrets`` themselves."""
    for secret in secrets:
        text = text.replace(secret, "…")
    return withheld(text)


def _end(line: str, before_bytes: int) -> str:
    """The end of a line whose beginning is not known any more."""
    kept = line[-LINE_CHARACTERS:]
    before_bytes += len(line.removesuffix(kept).encode("utf-8"))
    return f"… after {before_bytes:,} more bytes: {kept}" if kept.strip() else ""


def _as_shown(text: str) -> str:
    """What stands on a terminal in the end: a carriage return writes over the line (a progress bar does)."""
    plain = _SEQUENCE.sub("", text)
    lines = [_last_written(line) for line in plain.split("\n")]
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), "\n".join(lines))


def _last_written(line: str) -> str:
    written = [part for part in line.split("\r") if part.strip()]
    return written[-1] if written else ""
