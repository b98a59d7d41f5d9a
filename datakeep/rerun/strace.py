"""What strace writes: the program itself, and its lines taken apart into whole system calls.

Both who trace a training in a sandbox (:mod:`datakeep.rerun.trace`) and who trace one on the user's own
machine (:mod:`datakeep.rerun.reads`) read these lines. What goes past the traced calls (io_uring, a file
handed over by another process) is in none of them.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OPENING_CALLS = "?open,openat,?openat2,?creat"
FILE_NAME = "strace.txt"
#: Beyond this the rest of a trace is not read; about ten million opened files.
_LIMIT_BYTES = 2 * 2**30
_LINE_BYTES = 64 * 2**10

_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"^<\.\.\. \w+ resumed>(?P<rest>.*)$")
_TEXT = r'"(?P<path>[^"\\]*(?:\\.[^"\\]*)*)"(?:\.\.\.)?'
_OPENED = re.compile(
    r"^(?:open|openat|openat2|creat)\("
    r"(?:(?:AT_FDCWD|-?\d+)(?:<(?P<folder>[^>\\]*(?:\\.[^>\\]*)*)>)?, )?"
    + _TEXT
    + r"(?:, (?P<flags>.*))?\)\s+= (?P<result>-?\d+)"
    r"(?:<(?P<real>[^>\\]*(?:\\.[^>\\]*)*)>)?(?: (?P<error>E[A-Z]+) .*)?$"
)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PLAIN = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a", b"b": b"\b"}


@dataclass(frozen=True, slots=True)
class Opened:
    """One call that opened a file, or tried to.

    Args:
        path: The absolute path that the kernel opened; else the one that was asked for.
        folder: The folder that the asked path was relative to; None if strace did not say.
        flags: As ``O_RDONLY|O_CLOEXEC``.
        error: Why it failed, such as ``ENOENT``; None if it did not.
    """

    path: str
    folder: str | None
    flags: str
    error: str | None


def program() -> Path | None:
    """Where strace is; None if it is not installed."""
    found = shutil.which("strace")
    return Path(found).resolve() if found else None


def options(calls: str) -> tuple[str, ...]:
    """How strace is told to follow all processes and to stop them for ``calls`` only.

    It stands aside (``-D``) and is not the program's parent: else it would wait for all processes that the
    program leaves behind, and the program would end only with them.
    """
    return (
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-y",
        "-ttt",
        "-s",
        "256",
        "-e",
        "signal=none",
        "-e",
        f"trace={calls}",
    )


def calls_in(file: Path) -> Iterator[tuple[str, str, float | None]]:
    """Process id and whole system call, for each that strace wrote to ``file``, in order; and when it was made.

    The time is in seconds since 1970, before the kernel began; None where strace was not asked for it.
    """
    with file.open("rb") as source:
        yield from _whole(_lines(source))


def _lines(source: IO[bytes]) -> Iterator[str]:
    while source.tell() < _LIMIT_BYTES and (line := source.readline(_LINE_BYTES)):
        yield line.decode("utf-8", "surrogateescape").rstrip("\n")


def _whole(lines: Iterable[str]) -> Iterator[tuple[str, str, float | None]]:
    """Whole system calls; one that another process interrupted is put together again."""
    begun: dict[str, tuple[str, float | None]] = {}
    for line in lines:
        pid, _, rest = line.partition(" ")
        if not pid.isdecimal():
            continue
        rest, at_s = rest.lstrip(" "), None
        if rest[:1].isdecimal():
            clock, _, rest = rest.partition(" ")
            at_s = _seconds(clock)
        if rest.endswith(_UNFINISHED):
            begun[pid] = rest.removesuffix(_UNFINISHED), at_s
        elif rest.startswith("<") and (resumed := _RESUMED.match(rest)):
            call, at_s = begun.pop(pid, ("", None))
            yield pid, call + resumed["rest"], at_s
        else:
            yield pid, rest, at_s


def _seconds(clock: str) -> float | None:
    try:
        return float(clock)
    except ValueError:
        return None


def opened(call: str) -> Opened | None:
    """``call`` as one that opened a file; None if it is another."""
    found = _OPENED.match(call)
    if found is None:
        return None
    folder = text_of(found["folder"]) if found["folder"] else None
    if found["real"]:
        path = text_of(found["real"])
    else:
        path = posixpath.normpath(posixpath.join(folder or "/", text_of(found["path"])))
    failed = (found["error"] or "failed") if int(found["result"]) < 0 else None
    return Opened(path, folder, found["flags"] or "O_WRONLY|O_CREAT|O_TRUNC", failed)


def bytes_of(escaped: str) -> bytes:
    """What strace escaped: octal, hexadecimal and C escapes."""

    def plain(found: re.Match[bytes]) -> bytes:
        if found[1]:
            return bytes([int(found[1], 8) & 0xFF])
        return bytes([int(found[2], 16)]) if found[2] else _PLAIN.get(found[3], found[3])

    return _ESCAPE.sub(plain, escaped.encode("utf-8", "surrogateescape"))


def text_of(escaped: str) -> str:
    """A path that strace escaped, without its note that the file is gone."""
    if "\\" not in escaped:
        return escaped.removesuffix(" (deleted)")
    return bytes_of(escaped).decode("utf-8", "surrogateescape").removesuffix(" (deleted)")
