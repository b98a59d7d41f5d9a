"""What strace writes: the program itself, and its lines taken apart into whole system calls.

Both who trace a training in a sandbox (:mod:`datakeep.rerun.trace`) and who trace one on the user's own
machine (:mod:`datakeep.rerun.reads`) read these lines. What goes past the traced calls (io_uring, a file
handed over by another process) is in none of them.
"""

from __future__ import annotations

import ipaddress
import os
import posixpath
import re
import shutil
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

OPENING_CALLS = "?open,openat,?openat2,?creat"
FILE_NAME = "strace.txt"
#: Beyond this the rest of a trace is not read, which is told; about ten million opened files.
LIMIT_BYTES = 2 * 2**30
_LINE_BYTES = 64 * 2**10

_UNFINISHED = b" <unfinished ...>"
_RESUMED = re.compile(rb"^<\.\.\. \w+ resumed>(?P<rest>.*)$", re.DOTALL)
#: Nearly every line: an opening by a path relative to the current folder, in which nothing is escaped.
_USUAL = re.compile(
    rb"(?P<pid>\d+) +(?:(?P<clock>\d+\.\d+) )?"
    rb'openat\(AT_FDCWD<(?P<folder>[^<>\\]+)>, "(?P<path>[^"\\]*)", (?P<flags>[A-Z_|]+)(?:, 0[0-7]*)?\)'
    rb"\s+= (?:\d+<(?P<real>/[^<>\\]*)>|-1 (?P<error>E[A-Z]+) \([^()\n]+\))\n"
)
_OPENED = re.compile(
    r"^(?:open|openat|openat2|creat)\("
    r"(?:(?P<at>AT_FDCWD|-?\d+)(?:<(?P<folder>[^>\\]*(?:\\.[^>\\]*)*)>)?, )?"
    r'"(?P<path>[^"\\]*(?:\\.[^"\\]*)*)"(?:\.\.\.)?'
    r"(?:, (?P<flags>.*))?\)\s+= (?P<result>-?\d+)"
    r"(?:<(?P<real>[^>\\]*(?:\\.[^>\\]*)*)>)?(?: (?P<error>E[A-Z]+) .*)?$"
)
#: How a line begins; one that begins otherwise, or in which another one begins, lost a part on its way to the disk.
_BEGINS = re.compile(rb"\d+ +(?:\d+\.\d+ )?(?:\w+\(|<\.\.\. |\+\+\+ )")
_ANOTHER = re.compile(
    rb"\d+ +(?:\d+\.\d+ )?"
    rb"(?:open|creat|rename|link|unlink|chdir|mkdir|mknod|rmdir|connect|send|bind|getsockname|socket)\w*\((?:AT_FDCWD|AF_|\"|\d+<|0x|NULL)"
)
_ADDRESS = re.compile(
    r'sin6?_port=htons\((?P<port>\d+)\).*?(?:inet_addr\("|inet_pton\(AF_INET6, ")(?P<address>[0-9a-fA-F.:]+)"'
)
#: What :func:`calls_in` gives in place of calls that nobody knows: the disk was full, or the trace is too long.
TORN = "torn"
#: What creat(2) stands for, whose last argument are rights.
_CREAT = "O_WRONLY|O_CREAT|O_TRUNC"
_FLAG = re.compile(r"\bO_[A-Z_]+")
_GONE = " (deleted)"
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PLAIN = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a", b"b": b"\b"}


class Opened(NamedTuple):
    """One call that opened a file, or tried to.

    Args:
        real: The absolute path that the kernel opened; None if it did not, or strace did not say.
        asked: The path that was asked for.
        folder: The folder that the asked path was relative to; None if strace did not say.
        is_cwd: That folder was the process's current one.
        flags: As ``{"O_RDONLY", "O_CLOEXEC"}``.
        error: Why it failed, such as ``ENOENT``; None if it did not.
    """

    real: str | None
    asked: str
    folder: str | None
    is_cwd: bool
    flags: frozenset[str]
    error: str | None

    @property
    def path(self) -> str:
        """The absolute path that the kernel opened; else the one that was asked for."""
        return self.real or posixpath.normpath(posixpath.join(self.folder or "/", self.asked))


def program() -> Path | None:
    """Where strace is; None if it is not installed."""
    found = shutil.which("strace")
    return Path(found).resolve() if found else None


def options(calls: str, *, is_timed: bool = False) -> tuple[str, ...]:
    """How strace is told to follow all processes and to stop them for ``calls`` only.

    With ``is_timed`` it writes down when each was made, which costs five microseconds for each.

    It stands aside (``-D``) and is not the program's parent: else it would wait for all processes that the
    program leaves behind, and the program would end only with them.
    """
    return (
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-y",
        "-s",
        "256",
        "-e",
        "signal=none",
        "-e",
        f"trace={calls}",
        *(["-ttt"] if is_timed else []),
    )


def calls_in(file: Path) -> Iterator[tuple[str, Opened | str, float | None]]:
    """Process id and whole system call, for each that strace wrote to ``file``, in order; openings taken apart.

    The third is when the call was made, in seconds since 1970, before the kernel began; None where strace was not
    asked for it. Where lines are torn, :data:`TORN` stands for all that was lost there; at the end, for all beyond
    the limit.
    """
    with file.open("rb") as source:
        begun: dict[bytes, tuple[bytes, float | None]] = {}
        for line in _lines(source):
            usual = _USUAL.fullmatch(line)
            if usual:
                pid, clock, folder, path, flags, real, error = usual.groups()
                if real is None or not real.endswith(b")"):  # else it may be a note that the file is gone
                    yield (
                        _text(pid),
                        Opened(
                            real.decode("utf-8", "surrogateescape") if real else None,
                            path.decode("utf-8", "surrogateescape"),
                            _text(folder),
                            True,
                            _words(flags),
                            _text(error) if error else None,
                        ),
                        float(clock) if clock else None,
                    )
                    continue
            if _is_torn(line):
                yield "", TORN, None
            whole = _whole(line, begun)
            if whole:
                pid_text, call = (part.decode("utf-8", "surrogateescape") for part in whole[:2])
                yield pid_text, _opened(call) or call, whole[2]
        if source.read(1):
            yield "", TORN, None


def _lines(source: IO[bytes]) -> Iterator[bytes]:
    left = LIMIT_BYTES
    while left > 0 and (line := source.readline(_LINE_BYTES)):
        left -= len(line)
        yield line


def _is_torn(line: bytes) -> bool:
    begins = _BEGINS.match(line)
    return not begins or not line.endswith(b"\n") or _ANOTHER.search(line, begins.end()) is not None


def _whole(
    line: bytes, begun: dict[bytes, tuple[bytes, float | None]]
) -> tuple[bytes, bytes, float | None] | None:
    """Process, call, time; what another process interrupted is put together again from what is in ``begun``."""
    pid, _, rest = line.rstrip(b"\n").partition(b" ")
    if not pid.isdigit():
        return None
    rest, at_s = rest.lstrip(b" "), None
    if rest[:1].isdigit():
        clock, _, rest = rest.partition(b" ")
        at_s = _seconds(clock)
    if rest.endswith(_UNFINISHED):
        begun[pid] = rest.removesuffix(_UNFINISHED), at_s
        return None
    if rest.startswith(b"<") and (resumed := _RESUMED.match(rest)):
        call, at_s = begun.pop(pid, (b"", None))
        return pid, call + resumed["rest"], at_s
    return pid, rest, at_s


def _seconds(clock: bytes) -> float | None:
    try:
        return float(clock)
    except ValueError:
        return None


def _opened(call: str) -> Opened | None:
    """``call`` as one that opened a file; None if it is another."""
    found = _OPENED.match(call)
    if found is None:
        return None
    failed = (found["error"] or "failed") if int(found["result"]) < 0 else None
    flags = _CREAT if call.startswith("creat(") else found["flags"] or ""
    return Opened(
        text_of(found["real"]) if found["real"] else None,
        text_of(found["path"]),
        text_of(found["folder"]) if found["folder"] else None,
        found["at"] == "AT_FDCWD",
        _words(flags.encode("utf-8", "surrogateescape")),
        failed,
    )


@lru_cache(maxsize=256)
def _words(flags: bytes) -> frozenset[str]:
    return frozenset(_FLAG.findall(flags.decode("ascii", "replace")))


@lru_cache(maxsize=256)
def _text(few: bytes) -> str:
    """Of what is the same in most lines: the process, the current folder."""
    return few.decode("utf-8", "surrogateescape")


def addresses_in(call: str) -> Iterator[tuple[Address, int]]:
    """The addresses of the internet with their ports that a call names."""
    for found in _ADDRESS.finditer(call):
        try:
            yield ipaddress.ip_address(found["address"]), int(found["port"])
        except ValueError:
            continue


def bytes_of(escaped: str) -> bytes:
    """What strace escaped: octal, hexadecimal and C escapes."""

    def plain(found: re.Match[bytes]) -> bytes:
        if found[1]:
            return bytes([int(found[1], 8) & 0xFF])
        return bytes([int(found[2], 16)]) if found[2] else _PLAIN.get(found[3], found[3])

    return _ESCAPE.sub(plain, escaped.encode("utf-8", "surrogateescape"))


def text_of(escaped: str) -> str:
    """A path that strace escaped, without the note of older ones that the file is gone; a file may be called so."""
    text = bytes_of(escaped).decode("utf-8", "surrogateescape") if "\\" in escaped else escaped
    return text if not text.endswith(_GONE) or os.path.lexists(text) else text.removesuffix(_GONE)
