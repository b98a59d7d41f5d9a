"""How much memory this machine gives, and whether it ran out: what a killed training can be told from."""

from __future__ import annotations

from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
#: The limit's file, below the folder of the controller: of version 2, and of version 1.
_LIMITS = {"0": ("", "memory.max"), "memory": ("memory", "memory.limit_in_bytes")}


def kills() -> int:
    """How often the kernel has ended a process for lack of memory since it started; 0 if it does not say."""
    return _named(Path("/proc/vmstat"), "oom_kill") or 0


def limit_bytes() -> int | None:
    """The memory that our processes can have: the machine's, or what their control group allows; None if unknown."""
    total_kib = _named(Path("/proc/meminfo"), "MemTotal:")
    found = [limit for limit in (_number(file) for file in _limit_files()) if limit]
    return min([*found, *([total_kib * 1024] if total_kib else [])], default=None)


def _limit_files() -> list[Path]:
    """Of our control group and all above it; a container sees its own as the top."""
    files = []
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        number, controllers, place = line.split(":", 2)
        for key in {number, *controllers.split(",")} & _LIMITS.keys():
            controller, name = _LIMITS[key]
            top = _CGROUPS / controller
            own = top / place.lstrip("/")
            files += [folder / name for folder in (own, *own.parents) if folder.is_relative_to(top)]
    return files


def _named(file: Path, name: str) -> int | None:
    """The number after ``name`` at the start of a line."""
    for line in _text(file).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name and words[1].isdecimal():
            return int(words[1])
    return None


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdecimal() else None


def _text(file: Path) -> str:
    try:
        return file.read_text("ascii")
    except (OSError, ValueError):
        return ""
