"""The machine and the software of a training on it: facts only, and never a secret."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TIMEOUT_S = 30
#: Variables that change what a training computes; no other is written down.
VARIABLES = (
    "PYTHONHASHSEED", "PYTHONOPTIMIZE", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG", "TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC", "XLA_FLAGS",
    "TOKENIZERS_PARALLELISM", "WORLD_SIZE", "RANK", "LOCAL_RANK", "LANG", "LC_ALL", "TZ",
)  # fmt: skip
#: The file that locks packages, and what wrote it.
_LOCKS = {
    "uv.lock": "uv", "poetry.lock": "poetry", "pdm.lock": "pdm", "pixi.lock": "pixi", "Pipfile.lock": "pipenv",
    "conda-lock.yml": "conda", "environment.yml": "conda", "environment.yaml": "conda", "requirements.lock": "pip",
    "requirements.txt": "pip", "renv.lock": "renv", "Manifest.toml": "julia",
}  # fmt: skip
_DISTRIBUTION = re.compile(r"^(?P<name>.+?)-(?P<version>\d[^-]*)(?:-py[\d.]+)?\.(?:dist|egg)-info$")
_PYTHON = re.compile(r"python(?:\d(?:\.\d+)?)?")
_SAYS_VERSION = "import platform; print(platform.python_implementation(), platform.python_version())"


@dataclass(frozen=True, slots=True)
class Software:
    """What a training ran with.

    Attributes:
        kind: What locked its packages, such as ``uv``; ``unlocked`` if nothing did.
        lock: ``sha256:`` of the lock; None if there is none, or it cannot be read.
        python: The version of its Python; None if that is not known, or it is no Python.
        packages: ``name==version`` of all installed packages, sorted.
    """

    kind: str
    lock: str | None
    python: str | None
    packages: tuple[str, ...]

    @property
    def packages_id(self) -> str | None:
        """``sha256:`` of the list of packages, one per line; None if there are none."""
        if not self.packages:
            return None
        return f"sha256:{hashlib.sha256(self.packages_text.encode()).hexdigest()}"

    @property
    def packages_text(self) -> str:
        """The list of packages, one per line."""
        return "".join(f"{one}\n" for one in self.packages)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a training ran on; None is not known, or not there."""

    platform: str
    cpu: str | None
    gpu: str | None
    cuda: str | None


def software(program: str, folders: Iterable[Path], package_folders: Iterable[str]) -> Software:
    """The software of a training.

    Args:
        program: What it was started with, such as ``python``.
        folders: Where a lock may lie, the likeliest first.
        package_folders: The ``site-packages`` that it used.
    """
    lock = next((folder / name for folder in folders for name in _LOCKS if _is_file(folder / name)), None)
    listed = set()
    for place in package_folders:
        try:
            names = os.listdir(place)  # noqa: PTH208  names are all that is wanted
        except OSError:
            continue
        listed |= {
            f"{found['name']}=={found['version']}" for name in names if (found := _DISTRIBUTION.match(name))
        }
    return Software(
        _LOCKS[lock.name] if lock else "unlocked",
        _digest(lock) if lock else None,
        _python(program),
        tuple(sorted(listed, key=str.lower)),
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the training closed the folder
        return False


def _digest(lock: Path) -> str | None:
    try:
        return f"sha256:{hashlib.sha256(lock.read_bytes()).hexdigest()}"
    except OSError:
        return None


def _python(program: str) -> str | None:
    if not _PYTHON.fullmatch(Path(program).name):
        return None
    said = _first_line([program, "-I", "-S", "-c", _SAYS_VERSION])
    return said.removeprefix("CPython ") if said else None


def machine() -> Machine:
    """This machine."""
    system = (
        platform.freedesktop_os_release().get("PRETTY_NAME") if Path("/etc/os-release").exists() else None
    )
    kernel = f"{platform.system()} {platform.release()} {platform.machine()}"
    gpu, cuda = _gpu()
    return Machine(f"{system}, {kernel}" if system else kernel, _cpu(), gpu, cuda)


def _cpu() -> str | None:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return None
    name = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", text, re.MULTILINE)
    cores = len(os.sched_getaffinity(0))
    return f"{name[1].strip() if name else platform.machine()}, {cores} usable"


def _gpu() -> tuple[str | None, str | None]:
    """Names and driver of NVIDIA's GPUs, and the newest CUDA that the driver takes; "none" without a GPU."""
    if shutil.which("nvidia-smi") is None:
        return ("none" if not Path("/dev/kfd").exists() else None), None
    listed = _output(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    if listed is None:
        return None, None
    cuda = re.search(r"CUDA Version\s*:\s*([\d.]+)", _output(["nvidia-smi", "-q"]) or "")
    lines = [line.strip() for line in listed.splitlines() if line.strip()]
    shown = [f"{lines.count(line)} x {line}" for line in dict.fromkeys(lines)]
    return "; ".join(shown) or "none", cuda[1] if cuda else None


def _first_line(argv: list[str]) -> str | None:
    said = _output(argv)
    return said.splitlines()[0].strip() if said and said.strip() else None


def _output(argv: list[str]) -> str | None:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Those of a training's variables that may be written down."""
    return {name: environment[name] for name in VARIABLES if name in environment}
