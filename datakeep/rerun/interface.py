"""What a sandbox is: it runs one job to its end and leaves no process behind.

The fixed paths are those of the room as the job sees it. A sandbox that cannot move files to other
paths (``none``) says so through :meth:`Sandbox.inside`, and callers ask it instead of assuming.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Kind = Literal["bubblewrap", "none"]

ROOM = "/datakeep"
CODE = f"{ROOM}/code"
DATA = f"{ROOM}/data"
OUT = f"{ROOM}/out"
ENVIRONMENT = f"{ROOM}/environment"
TRACE = f"{ROOM}/trace"
TOOLS = f"{ROOM}/tools"
CACHE = f"{ROOM}/cache"
PYCACHE = f"{ROOM}/pycache"
HOME = "/home/datakeep"
#: How the name of a job's home begins where it cannot lie at :data:`HOME`.
HOME_PREFIX = "datakeep-home-"

#: A training that prints without end must not fill the disk.
LOG_LIMIT_BYTES = 64 * 2**20
TAIL_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the host, and the absolute path at which the job sees it."""

    source: Path
    target: str


@dataclass(frozen=True, slots=True)
class Job:
    """One program to run.

    Args:
        argv: Program and arguments, with paths as the job sees them.
        cwd: Working folder as the job sees it.
        environment: All variables that the job gets; none of the host's are added. The sandbox adds
            ``HOME`` and ``TMPDIR``.
        read_only: What the job may read.
        writable: What the job may read and write.
        network: Whether the job may reach other machines.
        timeout_s: After this the whole process tree is killed.
        log: Standard output and error go here, up to :data:`LOG_LIMIT_BYTES`.
    """

    argv: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str]
    log: Path
    timeout_s: float
    read_only: tuple[Mount, ...] = ()
    writable: tuple[Mount, ...] = ()
    network: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """How a job ended.

    Args:
        exit_code: The program's own; 128 + signal where a signal ended it, as in a shell.
        signal: The signal that ended it, or None.
        timed_out: It was killed at its time limit.
        wall_s: Seconds from start to end.
        cpu_s: CPU seconds of all its processes, user and system.
        peak_rss_bytes: The most memory that any one of its processes held; 0 if that is not known.
        output_tail: The last of what it printed, at most :data:`TAIL_BYTES`.
        output_bytes: How much it printed in all.
        left_running: How many processes still ran when the program itself had ended, and were ended.
        kernel_lacked_memory: The kernel ended some process of this machine meanwhile for lack of memory.
    """

    exit_code: int
    signal: int | None
    timed_out: bool
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    output_tail: str
    output_bytes: int = 0
    left_running: int = 0
    kernel_lacked_memory: bool = False

    @property
    def succeeded(self) -> bool:
        """The program ended by itself, with exit code 0."""
        return self.exit_code == 0 and not self.timed_out


class Sandbox(Protocol):
    """A way to run jobs."""

    @property
    def kind(self) -> Kind:
        """Its name, as in ``--sandbox`` and in proofs."""

    @property
    def version(self) -> str | None:
        """The version of the program behind it, for the proof."""

    def inside(self, mount: Mount) -> str:
        """The path at which a job sees ``mount``: its target, or the real path where nothing can be moved."""

    def run(self, job: Job) -> Finished:
        """Runs ``job`` to its end; afterwards none of its processes is alive.

        Raises:
            ProgramMissing: The sandbox itself could not start.
        """
