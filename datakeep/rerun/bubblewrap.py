"""bubblewrap: the job sees the system's programs, what is mounted for it, and nothing else of the host.

Own namespaces for everything, no capabilities, no host variables, an empty home, no network unless
asked for. Arguments go through a file descriptor, so that no value (a proxy's password) shows in ``ps``.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import ProgramMissing
from datakeep.rerun import process
from datakeep.rerun.interface import HOME, Finished, Job, Kind, Mount

if TYPE_CHECKING:
    from collections.abc import Iterator

_USER_ID = "1000"
_SYSTEM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
#: What programs need of /etc to load libraries, check certificates and tell the time; nothing secret.
_ETC = (
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "mime.types",
    "ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "pki/tls", "pki/ca-trust", "ca-certificates",
)  # fmt: skip
_ETC_NETWORK = ("resolv.conf", "hosts", "nsswitch.conf", "gai.conf", "host.conf", "services")
_MADE = {
    "passwd": f"datakeep:x:{_USER_ID}:{_USER_ID}:datakeep:{HOME}:/bin/sh\n",
    "group": f"datakeep:x:{_USER_ID}:\n",
}
_MADE_OFFLINE = {
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


class Bubblewrap:
    """Runs jobs in bubblewrap.

    Args:
        program: The ``bwrap`` program.
        version: As ``bwrap --version`` said.
    """

    kind: Kind = "bubblewrap"

    def __init__(self, program: Path, version: str) -> None:
        self._program = program
        self.version: str | None = version

    def inside(self, mount: Mount) -> str:
        """The mount's target: inside, everything lies at fixed paths."""
        return mount.target

    def run(self, job: Job) -> Finished:
        """Runs ``job``; what its first process leaves running is counted and ended.

        Raises:
            ProgramMissing: bubblewrap could not build the room or start the program.
        """
        with contextlib.ExitStack() as held:
            files = _Descriptors(held)
            status_out, status_in = _pipe(held)
            arguments = [*_arguments(job, files), "--json-status-fd", str(status_in)]
            argv = [str(self._program), "--args", str(files.holding("\0".join(arguments))), "--", *job.argv]
            finished = process.run(
                argv,
                log=job.log,
                timeout_s=job.timeout_s,
                environment={},
                pass_fds=(*files.numbers, status_in),
            )
            if not finished.timed_out and not _program_started(status_out):
                raise ProgramMissing(
                    f"bubblewrap could not start {job.argv[0]}: {_last_line(finished.output_tail)}",
                    next_step="check that the program exists, or use --sandbox none",
                )
            return finished


class _Descriptors:
    """Files in memory that are handed to bubblewrap by number."""

    def __init__(self, held: contextlib.ExitStack) -> None:
        self._held = held
        self.numbers: list[int] = []

    def holding(self, text: str) -> int:
        number = process.memory_file(text)
        self._held.callback(os.close, number)
        self.numbers.append(number)
        return number


def _program_started(status: int) -> bool:
    """Whether bubblewrap said how the program ended; of one that it could not start, it says nothing."""
    text = b""
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(status, 4096):
            text += chunk
    return b'"exit-code"' in text


def _pipe(held: contextlib.ExitStack) -> tuple[int, int]:
    source, sink = os.pipe()
    held.callback(os.close, source)
    held.callback(os.close, sink)
    os.set_blocking(source, False)
    return source, sink


def _arguments(job: Job, files: _Descriptors) -> list[str]:
    """All options of bubblewrap for ``job``; later mounts lie over earlier ones.

    It is not told to die with its parent: the supervisor ends all of it, and first counts what was left.
    """
    return [
        *("--unshare-all", "--unshare-user", "--uid", _USER_ID, "--gid", _USER_ID, "--hostname", "datakeep"),
        *(("--share-net",) if job.network else ()),
        *("--new-session", "--cap-drop", "ALL", "--clearenv"),
        *_system(),
        *_etc(files, network=job.network),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", HOME),  # noqa: S108  a new one, inside
        *(part for mount in job.read_only for part in ("--ro-bind", str(mount.source), mount.target)),
        *(part for mount in job.writable for part in ("--bind", str(mount.source), mount.target)),
        *("--remount-ro", "/", "--chdir", job.cwd),
        *(part for name, value in _variables(job).items() for part in ("--setenv", name, value)),
    ]


def _variables(job: Job) -> dict[str, str]:
    return {"HOME": HOME, "TMPDIR": "/tmp", "USER": "datakeep", "LOGNAME": "datakeep", **job.environment}  # noqa: S108  inside


def _system() -> Iterator[str]:
    """The system's programs and libraries; merged-usr links are made again as links."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in _SYSTEM_FOLDERS:
        folder = Path("/", name)
        if folder.is_symlink():
            yield from ("--symlink", str(folder.readlink()), str(folder))
        elif folder.is_dir():
            yield from ("--ro-bind", str(folder), str(folder))


def _etc(files: _Descriptors, *, network: bool) -> Iterator[str]:
    names = (*_ETC, *_ETC_NETWORK) if network else _ETC
    for path in (Path("/etc", name) for name in names):
        if path.exists():
            yield from ("--ro-bind", str(path.resolve()), str(path))
    for name, text in {**_MADE, **({} if network else _MADE_OFFLINE)}.items():
        yield from ("--ro-bind-data", str(files.holding(text)), f"/etc/{name}")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
