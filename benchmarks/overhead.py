"""What ``datakeep run`` and ``datakeep.training`` cost a training: CPU seconds and time, beside the bare training.

Usage: python benchmarks/overhead.py [--files N] [--runs N] [--repeats N] [--long N]

The training opens 10,000 small files one by one and fits scikit-learn's logistic regression, for some seconds and
for half a minute. All sides read the same files, in turn (A B C A B C …), and leave a model; what counts is the
difference to the bare side of the same turn. A training that does nothing tells what does not grow with its files.
The CPU is that of all processes, those that are nobody's child by then too: this process takes them in. The
training tells what it took itself (imports, reading, computing), so that what datakeep adds is not lost in what the
computing differs by; the rest is datakeep's, strace and who answers the training's openings included.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

BIN = Path(sys.executable).parent
DATAKEEP = [sys.executable, "-m", "datakeep"]
ASKED_CPU = 1.10
ASKED_FIXED_S = 2.0
# linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36
_FACTS = (
    "--purpose", "speed", "--origin", "made here", "--extracted-at", "2026-11-20", "--no-annotation", "none",
    "--privacy", "no", "--license", "CC0-1.0", "--access", "none",
)  # fmt: skip
_TRAIN = """\
import json, os, pathlib, sys, time
began = time.process_time()
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
imported = time.process_time() - began

def train(data, out, repeats):
    began = time.process_time()
    parts = []
    for folder in sorted(os.listdir(data)):
        for name in sorted(os.listdir(f"{data}/{folder}")):
            with open(f"{data}/{folder}/{name}", "rb") as file:
                parts.append(np.frombuffer(file.read(), dtype=np.float32).reshape(-1, 33))
    read = time.process_time() - began
    rows = np.concatenate(parts)
    x, y = StandardScaler().fit_transform(rows[:, 1:]), rows[:, 0] > 0
    for number in range(repeats):
        model = LogisticRegression(C=1.0 / (number + 1), max_iter=200, tol=1e-8).fit(x, y)
    print(json.dumps({"accuracy": float(model.score(x, y))}))
    np.save(f"{out}/model.npy", model.coef_)
    with open(f"{out}/took.json", "w") as file:
        json.dump([imported, read, time.process_time() - began - read], file)
"""
_SCRIPT = f"{_TRAIN}\ntrain(sys.argv[1], sys.argv[2], int(sys.argv[3]))\n"
_BLOCK = (
    f"{_TRAIN}\nimport datakeep\n"
    "with datakeep.training(model='block', keep=sys.argv[1], out=sys.argv[2]) as t:\n"
    "    train(t.use('many'), t.out, int(sys.argv[3]))\n"
)


@dataclass(frozen=True)
class Took:
    """One run, in seconds of CPU (user and system) and of time.

    Args:
        cpu: Of all processes.
        parts: What the training tells of itself: imports, reading, computing; nothing if it tells nothing.
        wall: Of time.
    """

    cpu: float
    parts: tuple[float, ...]
    wall: float


@dataclass
class Side:
    """One way to run it, and what each run took."""

    name: str
    argv: Callable[[Path], list[str]]
    took: list[Took] = field(default_factory=list)

    def more(self, bare: Side, value: Callable[[Took], float]) -> list[float]:
        """How much more it took than the bare side, turn by turn."""
        return [value(ours) - value(theirs) for ours, theirs in zip(self.took, bare.took, strict=True)]


class Bench:
    """A keep with a dataset of many small files, and the trainings."""

    def __init__(self, folder: Path, files: int) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.folder, self.keep, self.code = folder, folder / "keep", folder / "code"
        home = folder / "home"
        home.mkdir()
        (home / ".gitconfig").write_text("[user]\nname = Bench\nemail = bench@corp.example\n")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GIT_", "DATAKEEP_", "PYTHONDONTWRITEBYTECODE"))
        }
        self.env = kept | {
            "HOME": str(home),
            "PATH": f"{BIN}{os.pathsep}{kept['PATH']}",
            "OMP_NUM_THREADS": "1",
        }
        self.outs = 0
        self._call(*DATAKEEP, "init", "keep", cwd=folder)
        source = folder / "many"
        random = np.random.default_rng(0)
        for number in range(files):
            part = source / f"part-{number // 1000:03d}"
            part.mkdir(parents=True, exist_ok=True)
            rows = random.normal(size=(4, 33)).astype(np.float32)
            rows[:, 0] = np.sign(rows[:, 1] + rows[:, 2] * 0.3 + rows[:, 3] * 0.5)
            (part / f"{number:06d}.f32").write_bytes(rows.tobytes())
        self._call(*DATAKEEP, "register", "many", str(source), "--backend", "dvc", *_FACTS, cwd=self.keep)
        self.code.mkdir()
        for name, text in (("train.py", _SCRIPT), ("block.py", _BLOCK), ("nothing.py", "")):
            (self.code / name).write_text(text)
        for argv in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "code"]):
            self._call("git", *argv, cwd=self.code)

    def _call(self, *argv: str, cwd: Path) -> float:
        """CPU seconds of all processes."""
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                argv, cwd=cwd, env=self.env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            cpu = 0.0
            with contextlib.suppress(ChildProcessError):
                while True:
                    pid, status, used = os.wait4(-1, 0)
                    cpu += used.ru_utime + used.ru_stime
                    if pid == process.pid and status:
                        output.seek(0)
                        raise SystemExit(
                            f"{' '.join(argv)}: {os.waitstatus_to_exitcode(status)}\n{output.read()}"
                        )
            process.returncode = 0
            return cpu

    def once(self, side: Side) -> None:
        """Run it, and note what it took."""
        self.outs += 1
        out = self.folder / f"out-{self.outs}"
        started = time.perf_counter()
        cpu = self._call(*side.argv(out), cwd=self.code)
        wall = time.perf_counter() - started
        told = out / "took.json"
        side.took.append(Took(cpu, tuple(json.loads(told.read_text())) if told.is_file() else (), wall))

    def run(self, *command: str, out: Path, uses: bool = True) -> list[str]:
        """``datakeep run`` of a command."""
        given = ["--uses", "many"] if uses else []
        return [
            *DATAKEEP,
            "-C",
            str(self.keep),
            "run",
            "--model",
            "m",
            *given,
            "--out",
            str(out),
            "--",
            *command,
        ]

    def opening(self, repeats: int) -> list[Side]:
        """Of a training that opens every file, the bare side first."""
        python, times = sys.executable, str(repeats)
        data = str(self.folder / "many")

        def bare(out: Path) -> list[str]:
            out.mkdir()
            return [python, "train.py", data, str(out), times]

        return [
            Side("bare", bare),
            Side(
                "datakeep run (strace)",
                lambda out: self.run(python, "train.py", "{many}", "{out}", times, out=out),
            ),
            Side(
                "datakeep.training (audit hook)",
                lambda out: [python, "block.py", str(self.keep), str(out), times],
            ),
        ]

    def idle(self) -> list[Side]:
        """Of a training that does nothing, the bare side first."""
        python = sys.executable
        return [
            Side("bare", lambda _: [python, "nothing.py"]),
            Side("datakeep run, no data", lambda out: self.run(python, "nothing.py", out=out, uses=False)),
            Side("datakeep run, given the files", lambda out: self.run(python, "nothing.py", out=out)),
        ]


def measure(files: int, runs: int, repeats: int, many_repeats: int) -> list[str]:
    """The table, one line for each side."""
    lines = [
        (
            "| training | side | CPU | more CPU than bare "
            "| of it imports and reading | computing | datakeep | time |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory(prefix="datakeep-overhead-") as name:
        bench = Bench(Path(name), files)
        for title, sides, warm_up in (
            ("opens every file", bench.opening(repeats), 1),
            *(
                [("opens every file, computes longer", bench.opening(many_repeats), 0)]
                if many_repeats
                else []
            ),
            ("does nothing", bench.idle(), 1),
        ):
            for number in range(runs + warm_up):
                for side in sides:
                    bench.once(side)
                    if number < warm_up:
                        side.took.clear()
            for side in sides:
                lines.append(line(title, side, sides[0]))
                print(lines[-1], flush=True)
    return lines


def line(title: str, side: Side, bare: Side) -> str:
    """One side: the medians, and of what it took more also the least and the most."""
    cpu, wall = (
        statistics.median(value) for value in zip(*((one.cpu, one.wall) for one in side.took), strict=True)
    )
    more = cells = ""
    if side is not bare:
        differences = side.more(bare, lambda took: took.cpu)
        median = statistics.median(differences)
        share = median / statistics.median(took.cpu for took in bare.took)
        more = f"{median:.2f} s ({min(differences):.2f} to {max(differences):.2f})"
        more += f", {share:.1%}" if bare.took[0].parts else ""
        parts = [
            lambda took: sum(took.parts[:2]),
            lambda took: sum(took.parts[2:]),
            lambda took: took.cpu - sum(took.parts),
        ]
        cells = " | ".join(f"{statistics.median(side.more(bare, part)):.2f} s" for part in parts)
    return f"| {title} | {side.name} | {cpu:.2f} s | {more} | {cells or ' | | '} | {wall:.2f} s |"


def section(runs: int = 5, *, files: int = 10_000, repeats: int = 60, many_repeats: int = 500) -> list[str]:
    """The page's section, for benchmarks/run.py."""
    asked = f"asked: at most {ASKED_CPU - 1:.0%} more CPU, and {ASKED_FIXED_S:g} s that do not grow"
    head = ["## What watching a training costs", "", f"scikit-learn, {files:,} files opened; {asked}.", ""]
    return [*head, *measure(files, runs, repeats, many_repeats)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each side")
    parser.add_argument("--repeats", type=int, default=60, help="how often the model is fitted")
    parser.add_argument(
        "--long",
        type=int,
        default=500,
        help="the same for the training that computes longer; 0 leaves it out",
    )
    options = parser.parse_args()
    measure(options.files, options.runs, options.repeats, options.long)


if __name__ == "__main__":
    main()
