"""What ``datakeep run`` and ``datakeep.training`` cost a training: CPU seconds and time, beside the bare training.

Usage: python benchmarks/overhead.py [--files N] [--runs N] [--repeats N]

The training opens 10,000 small files one by one and fits scikit-learn's logistic regression. All sides read the same
files, in turn (A B C A B C …), and leave a model. A training that does nothing tells what does not grow with its
files. The CPU is that of all processes, strace's too, which is nobody's child by then: this process takes it in.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import resource
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
import json, os, pathlib, sys
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

def train(data, out, repeats):
    parts = []
    for folder in sorted(os.listdir(data)):
        for name in sorted(os.listdir(f"{data}/{folder}")):
            with open(f"{data}/{folder}/{name}", "rb") as file:
                parts.append(np.frombuffer(file.read(), dtype=np.float32).reshape(-1, 33))
    rows = np.concatenate(parts)
    x, y = StandardScaler().fit_transform(rows[:, 1:]), rows[:, 0] > 0
    for number in range(repeats):
        model = LogisticRegression(C=1.0 / (number + 1), max_iter=200, tol=1e-8).fit(x, y)
    print(json.dumps({"accuracy": float(model.score(x, y))}))
    np.save(f"{out}/model.npy", model.coef_)
"""
_SCRIPT = f"{_TRAIN}\ntrain(sys.argv[1], sys.argv[2], int(sys.argv[3]))\n"
_BLOCK = (
    f"{_TRAIN}\nimport datakeep\n"
    "with datakeep.training(model='block', keep=sys.argv[1], out=sys.argv[2]) as t:\n"
    "    train(t.use('many'), t.out, int(sys.argv[3]))\n"
)


@dataclass
class Side:
    """One way to run it: CPU seconds (user and system, of all processes) and seconds of each run."""

    name: str
    argv: Callable[[Path], list[str]]
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    @property
    def cpu_s(self) -> float:
        """The median."""
        return statistics.median(self.cpu)

    @property
    def wall_s(self) -> float:
        """The median."""
        return statistics.median(self.wall)


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

    def _call(self, *argv: str, cwd: Path) -> None:
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                argv,
                cwd=cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
            if done.returncode:
                output.seek(0)
                raise SystemExit(f"{' '.join(argv)}: {done.returncode}\n{output.read()}")
            with contextlib.suppress(ChildProcessError):
                while True:
                    os.wait()

    def once(self, side: Side) -> None:
        """Run it, and note what it took."""
        self.outs += 1
        out = self.folder / f"out-{self.outs}"
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        self._call(*side.argv(out), cwd=self.code)
        side.wall.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        side.cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

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

    def sides(self, repeats: int) -> list[tuple[str, list[Side]]]:
        """Title, and the bare side before the others."""
        python, times = sys.executable, str(repeats)
        data = str(self.folder / "many")

        def bare(out: Path) -> list[str]:
            out.mkdir()
            return [python, "train.py", data, str(out), times]

        return [
            (
                "opens every file",
                [
                    Side("bare", bare),
                    Side(
                        "datakeep run (strace)",
                        lambda out: self.run(python, "train.py", "{many}", "{out}", times, out=out),
                    ),
                    Side(
                        "datakeep.training (audit hook)",
                        lambda out: [python, "block.py", str(self.keep), str(out), times],
                    ),
                ],
            ),
            (
                "does nothing",
                [
                    Side("bare", lambda _: [python, "nothing.py"]),
                    Side(
                        "datakeep run, no data",
                        lambda out: self.run(python, "nothing.py", out=out, uses=False),
                    ),
                    Side(
                        "datakeep run, given the files", lambda out: self.run(python, "nothing.py", out=out)
                    ),
                ],
            ),
        ]


def measure(files: int, runs: int, repeats: int) -> list[str]:
    """The table, one line for each side."""
    lines = [
        "| training | side | CPU | more CPU than bare | time | more time than bare |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory(prefix="datakeep-overhead-") as name:
        bench = Bench(Path(name), files)
        for title, sides in bench.sides(repeats):
            for number in range(runs + 1):
                for side in sides:
                    bench.once(side)
                    if not number:
                        side.cpu.clear()
                        side.wall.clear()
            bare = sides[0]
            for side in sides:
                more, later = side.cpu_s - bare.cpu_s, side.wall_s - bare.wall_s
                share = f" ({more / bare.cpu_s:.1%})" if title.startswith("opens") else ""
                lines.append(
                    f"| {title} | {side.name} | {side.cpu_s:.2f} s | {more:.2f} s{share} | {side.wall_s:.2f} s "
                    f"| {later:.2f} s |"
                )
                print(lines[-1], flush=True)
    return lines


def section(runs: int = 5, *, files: int = 10_000, repeats: int = 60) -> list[str]:
    """The page's section, for benchmarks/run.py."""
    asked = f"asked: at most {ASKED_CPU - 1:.0%} more CPU, and {ASKED_FIXED_S:g} s that do not grow"
    head = ["## What watching a training costs", "", f"scikit-learn, {files:,} files opened; {asked}.", ""]
    return [*head, *measure(files, runs, repeats)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each side")
    parser.add_argument("--repeats", type=int, default=60, help="how often the model is fitted")
    options = parser.parse_args()
    measure(options.files, options.runs, options.repeats)


if __name__ == "__main__":
    main()
