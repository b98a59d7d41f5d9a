"""Speed and memory, side by side with the peer in one run: medians of whole processes, and their ratios.

Usage: python benchmarks/run.py [--runs N] [--files N] [--big BYTES] [--many N] [--write FILE]

Each case times two commands in turn (A B A B …), so that a machine whose speed drifts treats both alike.
Timings decide no test; they are written down in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bytes import section as bytes_section
from overhead import section as overhead_section
from s3 import section as s3_section
from sql import section as sql_section
from started import ended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BIN = Path(sys.executable).parent
DATAKEEP = [str(BIN / "datakeep")]
DVC = [str(BIN / "dvc")]
NOTES = "## What the figures say"
TRAIN = "python train.py --data {data} --out {out}"


@dataclass(frozen=True)
class Run:
    """One finished run: seconds from start to end, and the most memory that one of its processes held."""

    wall_s: float
    peak_rss_bytes: int


@dataclass
class Side:
    """One of the two commands of a case."""

    name: str
    prepare: Callable[[], None]
    commands: Callable[[], Sequence[Sequence[str]]]
    cwd: Callable[[], Path]
    runs: list[Run] = field(default_factory=list)

    def once(self, env: dict[str, str]) -> None:
        self.prepare()
        cwd, commands = self.cwd(), self.commands()
        found = [ended(argv, cwd=cwd, env=env) for argv in commands]
        peak = max(int(one["peak_bytes"]) for one in found)
        self.runs.append(Run(sum(one["wall_s"] for one in found), peak))

    @property
    def wall_s(self) -> float:
        return statistics.median(run.wall_s for run in self.runs)

    @property
    def peak_mb(self) -> float:
        return statistics.median(run.peak_rss_bytes for run in self.runs) / 1e6


class Bench:
    """A temporary folder with the digits, a keep and a DVC repository, and the cases that use them."""

    def __init__(self, folder: Path) -> None:
        from datakeep.samples import SAMPLES

        self.folder = folder
        self.sample = SAMPLES["digits"]
        self.source = folder / "digits"
        self.code = folder / "training"
        self.sample.write_data(self.source)
        self.sample.write_reference(self.code)
        config = folder / "gitconfig"
        config.write_text("[user]\nname = Bench\nemail = bench@corp.example\n[init]\ndefaultBranch = main\n")
        without = ("GIT_", "DVC_", "PYTHONDONTWRITEBYTECODE")  # users' Python keeps what it compiled
        kept = {name: value for name, value in os.environ.items() if not name.startswith(without)}
        self.env = kept | {
            "GIT_CONFIG_GLOBAL": str(config),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
        }

    def fresh(self, name: str) -> Path:
        place = self.folder / name
        for old in (place, place.with_name(f"{name}.vault")):
            shutil.rmtree(old, ignore_errors=True)
        return place

    def call(self, *argv: str, cwd: Path) -> None:
        ended(argv, cwd=cwd, env=self.env)

    def new_keep(self) -> None:
        keep = self.fresh("keep")
        self.call(*DATAKEEP, "init", str(keep), cwd=self.folder)

    def new_dvc(self) -> None:
        place = self.fresh("dvc")
        place.mkdir()
        shutil.rmtree(self.folder / "remote", ignore_errors=True)
        self.call("git", "init", "-q", cwd=place)
        self.call(*DVC, "init", "-q", cwd=place)
        self.call(*DVC, "remote", "add", "-d", "main", str(self.folder / "remote"), cwd=place)
        shutil.copytree(self.source, place / "data")

    def register(self) -> list[str]:
        return [
            *DATAKEEP,
            "-C",
            "keep",
            "register",
            "digits",
            "digits",
            "--manifest",
            str(self.sample.manifest),
        ]

    def cases(self) -> list[tuple[str, Side, Side]]:
        nothing, here = lambda: None, lambda: self.folder
        keep, dvc = (lambda: self.folder / "keep"), (lambda: self.folder / "dvc")
        start = Side("datakeep --version", nothing, lambda: [[*DATAKEEP, "--version"]], here)
        click = Side(
            'python -c "import click"', nothing, lambda: [[sys.executable, "-c", "import click"]], here
        )
        register = Side("datakeep register", self.new_keep, lambda: [self.register()], here)
        add = Side(
            "dvc add + dvc push",
            self.new_dvc,
            lambda: [[*DVC, "add", "-q", "data"], [*DVC, "push", "-q"]],
            dvc,
        )
        checkout = Side(
            "datakeep checkout (every byte verified)",
            lambda: shutil.rmtree(self.folder / "got", ignore_errors=True),
            lambda: [[*DATAKEEP, "checkout", "digits", str(self.folder / "got")]],
            keep,
        )
        pull = Side("dvc pull (fresh cache)", self._forget_dvc, lambda: [[*DVC, "pull", "-q"]], dvc)
        verify = Side(
            "datakeep verify (all six layers)",
            self._referenced,
            lambda: [[*DATAKEEP, "verify", "digits"]],
            keep,
        )
        bare = Side("the bare training", self._trained, self._training, lambda: self.code)
        return [
            ("start", start, click),
            ("register the digits", register, add),
            ("get the digits", checkout, pull),
            ("verify the digits", verify, bare),
        ]

    def _forget_dvc(self) -> None:
        for place in (".dvc/cache", ".dvc/tmp", "data"):
            shutil.rmtree(self.folder / "dvc" / place, ignore_errors=True)

    def _referenced(self) -> None:
        if (self.folder / "referenced").exists():
            return
        keep = self.folder / "keep"
        self.call(*DATAKEEP, "key", "create", cwd=keep)
        self.call(
            *DATAKEEP, "reference", "digits", "--code", str(self.code), "--command", TRAIN,
            "--model-file", "model.joblib", "--measure", "1", "--accept", cwd=keep,
        )  # fmt: skip
        (self.folder / "referenced").touch()

    def _trained(self) -> None:
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        (self.folder / "out").mkdir()
        if not (self.code / ".venv").exists():
            self.call(str(BIN / "uv"), "sync", "-q", "--frozen", "--project", str(self.code), cwd=self.code)

    def _training(self) -> list[list[str]]:
        python = str(self.code / ".venv" / "bin" / "python")
        return [[python, "train.py", "--data", str(self.source), "--out", str(self.folder / "out")]]


def measure(runs: int) -> list[str]:
    """The table, one line per case."""
    lines = ["| case | datakeep | peer | time, datakeep / peer | peak memory |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="datakeep-bench-") as name:
        bench = Bench(Path(name))
        for case, ours, theirs in bench.cases():
            for number in range(runs + 1):
                for side in (ours, theirs):
                    side.once(bench.env)
                    if number == 0:
                        side.runs.clear()  # the first is a warm-up
            ratio = ours.wall_s / theirs.wall_s
            line = (
                f"| {case} | {ours.name}: {ours.wall_s:.2f} s | {theirs.name}: {theirs.wall_s:.2f} s | {ratio:.2f} "
                f"| {ours.peak_mb:.0f} MB / {theirs.peak_mb:.0f} MB |"
            )
            print(line, flush=True)
            lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each side")
    parser.add_argument("--write", type=Path, help="write the page here as well")
    parser.add_argument("--files", type=int, default=50_000, help="files of the folder store's rows")
    parser.add_argument("--many", type=int, default=1_000_000, help="files of its largest row")
    parser.add_argument("--big", type=int, default=4 << 30, help="size in bytes of its one big file")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the extractions")
    options = parser.parse_args()
    lines = measure(options.runs)
    lines += ["", *bytes_section(options.runs, files=options.files, big=options.big, many=options.many)]
    lines += ["", *s3_section(options.runs, files=options.files // 5)]
    lines += ["", *overhead_section(options.runs, files=options.files // 5)]
    lines += ["", *sql_section(options.runs, rows=options.rows, many=10 * options.rows)]
    if options.write:
        python = f"Python {platform.python_version()}"
        machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {python}"
        head = (
            "# Benchmarks\n\nMade by `make bench`: whole processes, medians of "
            f"{options.runs} runs after a warm-up, both sides in turn in one run. Machine: {machine}. Absolute times "
            "are this machine's and this day's; the ratios are what counts.\n\n"
        )
        # What people wrote about the figures stays below them.
        old = options.write.read_text("utf-8") if options.write.exists() else ""
        notes = old[old.index(NOTES) :] if NOTES in old else ""
        options.write.write_text(head + "\n".join(lines) + "\n" + ("\n" + notes if notes else ""), "utf-8")


if __name__ == "__main__":
    main()
