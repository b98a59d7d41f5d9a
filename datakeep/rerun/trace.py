"""What a training asked the kernel for, as strace saw it: files it read, files it missed, hosts it called.

strace runs inside the sandbox, around the training, and stops it only for the calls listed here. What
goes past these calls (io_uring, a file handed over by another process) is not seen, and a training that
wants to deceive can write to its own trace: it is a record of what an honest one did.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.rerun import strace
from datakeep.rerun.interface import HOME_PREFIX, TOOLS, TRACE, Job, Mount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from datakeep.rerun.interface import Sandbox
    from datakeep.rerun.strace import Opened

_CALLS = f"{strace.OPENING_CALLS},connect,sendto,sendmmsg"
_PROBE_TIMEOUT_S = 60

_ANY_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DNS_HEADER_BYTES = 12
_LABEL_MAX_BYTES = 63

#: Where programs and libraries look around by themselves; a miss there says nothing about the training.
_PROBED = (
    "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/proc", "/sys", "/dev", "/etc", "/run",
    "/var/run", "/var/cache", "/var/lib",
)  # fmt: skip
_PROBED_FILE = re.compile(
    r"(\.so(\.[0-9]+)*|\.py[cdo]?|\.pth|\.egg-link|\.mo|/pyvenv\.cfg|/__pycache__)$|/\.[^/]"
)


@dataclass(frozen=True, slots=True)
class Trace:
    """What was seen.

    Args:
        files_read: Paths relative to the data folder of all files of it that were opened for reading.
        missing: Absolute paths, as the training saw them, that it tried to read and could not, in order;
            without those where libraries look around by themselves.
        outside: Absolute paths that it did read, outside of all that it was given; only without a sandbox
            can there be any.
        connections: Hosts that it called or asked the address of, in words, without this machine itself.
        unanswered: Services of its own machine that it called and that did not answer at once.
        opened_s: When (seconds since 1970) each of ``files_read`` was opened first; empty if some openings are lost,
            or if what it left was open for reading and writing, and may have been changed without its time.
        is_torn: Some are: they could not be written down, or are too many to be read again.
    """

    files_read: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    connections: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    opened_s: Mapping[str, float] = field(default_factory=dict)
    is_torn: bool = False


@dataclass(slots=True)
class _Seen:
    """The trace while it is read; dictionaries keep the order and drop what is seen again."""

    data: str
    given: tuple[str, ...]
    ignored: tuple[str, ...]
    own: tuple[str, ...]
    files_read: dict[str, float | None] = field(default_factory=dict)
    missing: dict[str, None] = field(default_factory=dict)
    outside: dict[str, None] = field(default_factory=dict)
    connections: dict[str, None] = field(default_factory=dict)
    unanswered: dict[str, None] = field(default_factory=dict)
    now_s: float | None = None
    is_torn: bool = False
    is_timed: bool = True


def available(sandbox: Sandbox, scratch: Path | None = None) -> str | None:
    """Why trainings cannot be traced in ``sandbox``, in one sentence; None if they can. Tried out in ``scratch``."""
    if strace.program() is None:
        return "strace is not installed"
    with tempfile.TemporaryDirectory(prefix="datakeep-trace-", dir=scratch) as folder:
        place = Path(folder)
        argv, tool, target = wrap(("/bin/sh", "-c", "exit 0"), sandbox, place)
        job = Job(
            argv=argv,
            cwd="/",
            environment={"PATH": "/usr/bin:/bin"},
            log=place / "log",
            timeout_s=_PROBE_TIMEOUT_S,
            read_only=(tool,),
            writable=(target,),
        )
        try:
            finished = sandbox.run(job)
        except DatakeepError as error:
            return error.what
        if finished.succeeded and _trace_file(place).exists():
            return None
        said = finished.output_tail.strip().splitlines()
        return f"strace cannot follow processes here: {said[-1] if said else 'it gave no reason'}"


def wrap(argv: Sequence[str], sandbox: Sandbox, folder: Path) -> tuple[tuple[str, ...], Mount, Mount]:
    """``argv`` under strace, and the mounts that it needs: the program, and ``folder`` for what it writes."""
    program = strace.program() or Path("/usr/bin/strace")
    tool, target = Mount(program, f"{TOOLS}/strace"), Mount(_trace_file(folder).parent, TRACE)
    target.source.mkdir(exist_ok=True)
    output = f"{sandbox.inside(target)}/{strace.FILE_NAME}"
    return (
        (sandbox.inside(tool), *strace.options(_CALLS, is_timed=True), "-o", output, "--", *argv),
        tool,
        target,
    )


def _trace_file(folder: Path) -> Path:
    return folder / "trace" / strace.FILE_NAME


def read(folder: Path, *, data: str, given: Sequence[str] = (), ignored: Sequence[str] = ()) -> Trace:
    """The trace that strace left in ``folder``; what cannot be understood in it is passed over.

    Args:
        folder: As given to :func:`wrap`.
        data: The data folder as the training saw it.
        given: Other folders that it was given, as it saw them.
        ignored: Folders in which neither a read nor a miss says anything: the environment, the output.
    """
    seen = _Seen(data, tuple(given), (*_PROBED, *ignored), tuple(ignored))
    file = _trace_file(folder)
    if file.is_symlink() or not file.is_file():
        return Trace()
    for _, call, seen.now_s in strace.calls_in(file):
        if call is strace.TORN:
            seen.is_torn = True  # an earlier opening may be lost: no time is that of the first
        _take(call, seen)
    opened_s = {path: at_s for path, at_s in seen.files_read.items() if at_s is not None}
    return Trace(
        frozenset(seen.files_read),
        tuple(seen.missing),
        tuple(seen.outside),
        tuple(seen.connections),
        tuple(seen.unanswered),
        opened_s if seen.is_timed and not seen.is_torn else {},
        seen.is_torn,
    )


def _take(call: Opened | str, seen: _Seen) -> None:
    if not isinstance(call, str):
        _take_opened(call, seen)
    elif call.startswith(("connect(", "sendto(", "sendmmsg(")):
        _take_connection(call, seen)


def _take_opened(opened: Opened, seen: _Seen) -> None:
    flags = opened.flags
    if "O_RDWR" in flags and _below(opened.path, seen.own):
        seen.is_timed = False  # it may be mapped, and changed without a change of its time
    if "O_WRONLY" in flags or "O_PATH" in flags:
        return
    path = opened.path
    if opened.error:
        asked = opened.error in ("ENOENT", "EACCES", "EPERM", "ENOTDIR") and "O_CREAT" not in flags
        if asked and not _PROBED_FILE.search(path) and not _below(path, seen.ignored):
            seen.missing[path] = None
    elif "O_DIRECTORY" not in flags:
        if _below(path, (seen.data,)):
            seen.files_read.setdefault(posixpath.relpath(path, seen.data), seen.now_s)
        elif (
            path.startswith("/")
            and HOME_PREFIX not in path
            and not _below(path, (*seen.given, *seen.ignored))
        ):
            seen.outside[path] = None


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _take_connection(call: str, seen: _Seen) -> None:
    for text in _ANY_TEXT.findall(call) if call.startswith("send") else ():
        asked = _name_asked(strace.bytes_of(text))
        if asked:
            seen.connections[f"the address of {asked}"] = None
    for address, port in strace.addresses_in(call):
        shown = f"[{address}]" if address.version == 6 else str(address)
        if not address.is_loopback:
            seen.connections[f"{shown}:{port}"] = None
        elif "ECONNREFUSED" in call or "EINPROGRESS" in call:
            seen.unanswered[f"{shown}:{port}"] = None


def _name_asked(packet: bytes) -> str | None:
    """The host name of a DNS query (RFC 1035, section 4.1); None if ``packet`` is not one."""
    if packet[4:10] != b"\0\1\0\0\0\0":
        return None
    labels, at = [], _DNS_HEADER_BYTES
    while at < len(packet) and 0 < packet[at] <= _LABEL_MAX_BYTES:
        labels.append(packet[at + 1 : at + 1 + packet[at]])
        at += 1 + packet[at]
    whole = at < len(packet) and packet[at] == 0 and all(re.fullmatch(rb"[\w-]+", label) for label in labels)
    return b".".join(labels).decode("ascii") if labels and whole else None
