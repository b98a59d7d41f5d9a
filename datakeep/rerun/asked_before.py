"""What a training asked before it opened files (:mod:`datakeep.rerun.openings`), among the calls that strace saw."""

from __future__ import annotations

import heapq
from typing import IO, TYPE_CHECKING, NamedTuple

from datakeep.rerun import openings, strace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from datakeep.rerun.strace import Opened

_CHUNK_BYTES = 2**20


class Asked(NamedTuple):
    """A record of :mod:`datakeep.rerun.openings`."""

    kind: bytes
    path: str


_Event = tuple[str, "Opened | Asked | str", float | None]


def merged(calls: Iterable[_Event], asked: Path) -> Iterator[_Event]:
    """Both in the order of their times, which are by the same clock."""
    # strace writes a call down when it ends, and says when it began.
    return heapq.merge(sorted(calls, key=_time), _asked_in(asked), key=_time)


def _time(event: _Event) -> float:
    return event[2] or 0.0


def _asked_in(file: Path) -> Iterator[_Event]:
    """The records in the file; what was lost is told as with strace."""
    with file.open("rb") as source:
        records = _records(source)
        if next(records, b"") != openings.COMPLETE:
            yield "", strace.TORN, None
        for record in records:
            try:
                yield _event(record)
            except ValueError:  # half of one, on a full disk
                yield "", strace.TORN, None
        if source.read(1):
            yield "", strace.TORN, None


def _event(record: bytes) -> _Event:
    clock, kind, path = record.split(b" ", 2)
    if kind not in openings.KINDS:
        raise ValueError(kind)
    pid = b""
    if kind == openings.FOLDER:
        pid, _, path = path.partition(b" ")
    return pid.decode(), Asked(kind, path.decode("utf-8", "surrogateescape")), float(clock)


def _records(source: IO[bytes]) -> Iterator[bytes]:
    """Those that are whole, up to the limit."""
    rest, left = b"", strace.LIMIT_BYTES
    while left > 0 and (chunk := source.read(min(left, _CHUNK_BYTES))):
        left -= len(chunk)
        *whole, rest = (rest + chunk).split(openings.RECORD_END)
        yield from whole
