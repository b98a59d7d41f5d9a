"""How a model record is put in words: after a run, and by an audit."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from datakeep.formats.model_words import (
    TRACKERS,
    observed_in_words,
    read_in_words,
    tracked_in_words,
    undeclared_in_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from datakeep.formats.model import ModelRecord
    from datakeep.workflows.recording import Recorded

_SHOWN_UNDECLARED = 5


def record_lines(recorded: Recorded, root: Path) -> Iterator[str]:
    """What was recorded, in a few lines, and what to type next."""
    record = recorded.record
    status = f" FAILED ({record.failure})" if record.status == "failed" else ""
    where = f"is only in {recorded.file}: {recorded.not_pushed}" if recorded.file else "is recorded"
    yield f"model {recorded.label}{status} {where}"
    for given in record.inputs:
        yield f"  {given.dataset}@{given.version}: {read_in_words(given, record)}"
        if given.because:
            yield f"    {given.because}"
    if record.tracked:
        yield f"  {tracked_in_words(record.tracked)}"
        yield from _unmatched_lines(record)
    yield from _undeclared_lines(record)
    if record.misses_reads:
        yield f"  {observed_in_words(record)}"
    if record.code.dirty:
        yield "  the code has changes that are not committed" + (
            f"; they are not kept: {record.code.withheld}" if record.code.withheld else "; they are kept"
        )
    if recorded.file:
        yield (
            f"next: hand it in, or send it to someone who may push: datakeep record "
            f"--hand-in {shlex.quote(str(recorded.file))} -C {shlex.quote(str(root))}"
        )
    else:
        yield f"next: datakeep audit model:{recorded.label}"


def _undeclared_lines(record: ModelRecord) -> Iterator[str]:
    """What was read besides, and what the keep knows of it by its bytes."""
    for entry in record.undeclared:
        if "model" in entry:
            yield f"  base model {entry['model']}: its file was read without --base: {entry['path']}"
    if record.undeclared_count:
        yield f"  undeclared inputs: {record.undeclared_count:,}"
        for entry in record.undeclared[:_SHOWN_UNDECLARED]:
            differs = f" ({entry['of']}: {entry['differs']})" if "differs" in entry and "of" in entry else ""
            gone = f", {entry['gone']}" if "gone" in entry else ""
            yield f"    ! {entry['path']}{differs}{gone}"
        if record.undeclared_count > _SHOWN_UNDECLARED:
            yield f"    … and {record.undeclared_count - _SHOWN_UNDECLARED:,} more, in the record"


def _unmatched_lines(record: ModelRecord) -> Iterator[str]:
    """What a tracker's run names, and the register does not have."""
    if record.origin in TRACKERS:
        for entry in record.undeclared[:_SHOWN_UNDECLARED]:
            yield f"    ! not in the register: {undeclared_in_words(entry)}"
        if len(record.undeclared) > _SHOWN_UNDECLARED:
            yield f"    … and {len(record.undeclared) - _SHOWN_UNDECLARED:,} more, in the record"
        if not (record.inputs or record.undeclared):
            yield "    ? it names no dataset; add what you know of it: --used NAME@V"
