"""How much of the GPUs is in use while a training runs, asked of ``nvidia-smi`` now and then.

It tells of whole GPUs, whoever uses them: in containers it does not tell what belongs to which process. Asking costs
a process each time, so it is done more and more rarely: after a half, one, two … and then every ten seconds. Where
there is no ``nvidia-smi``, or it does not answer, nothing is told.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from typing import Self

_FIRST_S = 0.5
_INTERVAL_S = 10.0
_TIMEOUT_S = 10.0
_QUERY = ("--query-gpu=index,name,memory.used,utilization.gpu", "--format=csv,noheader,nounits")
_MIB = 1 << 20
_FIELDS = 4


@dataclass(frozen=True, slots=True)
class GpuUsed:
    """The use of one GPU, by whomever.

    Attributes:
        index: Its number, as ``nvidia-smi`` counts.
        name: What it is.
        memory_before_bytes: What was in use when the training began; None if that is not told.
        peak_memory_bytes: The most that was seen in use; None likewise.
        utilisation_percent: The mean of how busy it was, of 100; None likewise.
        samples: How often it was asked, the time before the beginning apart.
    """

    index: int
    name: str
    memory_before_bytes: int | None
    peak_memory_bytes: int | None
    utilisation_percent: float | None
    samples: int


@dataclass(slots=True)
class _Gpu:
    name: str
    before: int | None = None
    memory: list[int] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    samples: int = 0


class Sampler:
    """Asks from the beginning of its ``with`` block to the end of it; :attr:`used` tells then."""

    def __init__(self) -> None:
        self._program = shutil.which("nvidia-smi")
        self._gpus: dict[int, _Gpu] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def thread_id(self) -> int | None:
        """The thread that asks; None if none does."""
        return self._thread.ident if self._thread else None

    def __enter__(self) -> Self:
        if self._program:
            self._thread = threading.Thread(target=self._run, name="datakeep-gpu", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()
        if self._thread is not None:
            self._thread.join(_TIMEOUT_S)

    @property
    def used(self) -> tuple[GpuUsed, ...]:
        """What was seen of each GPU, by their numbers."""
        return tuple(
            GpuUsed(
                index,
                gpu.name,
                gpu.before,
                max([*gpu.memory, *([] if gpu.before is None else [gpu.before])], default=None),
                sum(gpu.busy) / len(gpu.busy) if gpu.busy else None,
                gpu.samples,
            )
            for index, gpu in sorted(self._gpus.items())
        )

    def _run(self) -> None:
        if not self._ask(before=True):
            return
        wait_s = _FIRST_S
        while not self._ended.wait(wait_s):
            if not self._ask():
                return
            wait_s = min(2 * wait_s, _INTERVAL_S)

    def _ask(self, *, before: bool = False) -> bool:
        """One look; whether it is worth asking again."""
        if self._ended.is_set():
            return False
        try:
            self._process = subprocess.Popen(
                [str(self._program), *_QUERY],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            return False
        with self._process as process:
            try:
                said, _ = process.communicate(timeout=_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                return False
        if process.returncode:
            return False
        for line in said.decode("utf-8", "replace").splitlines():
            self._take(line, before=before)
        return bool(self._gpus)

    def _take(self, line: str, *, before: bool) -> None:
        parts = [part.strip() for part in line.split(",")]
        if len(parts) < _FIELDS or not parts[0].isdecimal():
            return
        gpu = self._gpus.setdefault(int(parts[0]), _Gpu(",".join(parts[1:-2])))
        memory, busy = _number(parts[-2]), _number(parts[-1])
        if before:
            gpu.before = None if memory is None else int(memory * _MIB)
            return
        gpu.samples += 1
        gpu.memory += [] if memory is None else [int(memory * _MIB)]
        gpu.busy += [] if busy is None else [busy]


def _number(text: str) -> float | None:
    """A number of ``nvidia-smi``; None where it says ``[N/A]`` or the like."""
    try:
        return float(text)
    except ValueError:
        return None
