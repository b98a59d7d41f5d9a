"""The questions over a large keep: a generated keep, real queries through the command line, medians and p95.

Usage: python benchmarks/audit.py [--datasets N] [--versions N] [--models N] [--files N] [--runs N] [--minutes N]
                                  [--folder DIR] [--write FILE]

The sizes that are aimed at: --datasets 10000 --versions 100000 --models 100000 --files 100000000, which takes about
15 GB below --folder. The table in --write's file grows with each question, so that a run that is interrupted, or
whose --minutes are over, leaves what it has.

What is generated, and what of it is less than real: the register and the model records lie in one commit, and no
proofs are made. A dataset's words are mostly the same in all of its versions, of a vocabulary of some thousand
words, few of which are frequent. Every version has an inventory of its own (git backend), whose paths are those of
the version before and whose digests are all new, which is the worst case: no row is shared. The datasets'
repositories, all of them in the clone's cache, borrow their objects from one store, made by one `git fast-import`;
no bytes of data are made. Every query is a whole process, its start included; the index is warm but for the rows
that say otherwise. CPU is user and system time of the process and of git's, which counts where others share the
machine.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import platform
import shutil
import signal
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from large_keep import Bench, Took


class Report:
    """The table, written as it grows, so that an interrupted run leaves what it had; and the time that is left."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._started = time.monotonic()
        self._load = os.getloadavg()[0]
        self._notes: list[str] = []
        self._rows = ["| question | median | p95 | CPU, median | peak memory |", "|---|---|---|---|---|"]
        self.write("interrupted: the keep was being generated")

    def is_over(self) -> bool:
        """Whether no further question is to be begun."""
        return time.monotonic() - self._started > self._options.minutes * 60

    def row(self, name: str, took: list[Took]) -> None:
        """One question more."""
        if not took:
            self.note(f"Not measured, since the time was over: {name}.")
            return
        times = sorted(one.wall_s for one in took)
        late = times[min(len(times) - 1, int(0.95 * len(times)))]
        cpu = statistics.median(one.cpu_s for one in took)
        peak = max(one.peak_bytes for one in took) / 1e6
        middle = statistics.median(times)
        self._rows.append(f"| {name} | {middle:.2f} s | {late:.2f} s | {cpu:.2f} s | {peak:.0f} MB |")
        print(self._rows[-1], flush=True)
        self.write("interrupted after the last row")

    def note(self, text: str) -> None:
        """A line below the table."""
        self._notes.append(text)
        print(text, flush=True)

    def write(self, unfinished: str | None = None) -> None:
        """What there is so far, in its file."""
        if not self._options.write:
            return
        size = (
            f"{self._options.datasets:,} datasets, {self._options.versions:,} versions, "
            f"{self._options.models:,} model records, {self._options.files:,} inventory rows"
        )
        machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
        head = (
            f"## Questions over a large keep\n\n{size}; {datetime.now(UTC):%Y-%m-%d}; {machine}; load average "
            f"{self._load:.1f} at the beginning, {os.getloadavg()[0]:.1f} at the end.\n\n"
        )
        notes = [*self._notes, *([f"Not whole: {unfinished}."] if unfinished else [])]
        below = "\n" + "\n".join(notes) + "\n" if notes else ""
        temporary = self._options.write.with_name(f"{self._options.write.name}.new")
        temporary.write_text(head + "\n".join(self._rows) + "\n" + below, "utf-8")
        temporary.replace(self._options.write)


def measure(bench: Bench, runs: int, report: Report) -> None:
    """Every question; the most wanted first, since the time may be over."""

    def times(*argv: str, count: int = runs) -> list[Took]:
        took: list[Took] = []
        while len(took) < count and not report.is_over():
            took.append(bench.timed(*argv))
        return took

    bench.forget()
    report.row(
        "full rebuild of the index (whatis, without one)", times("whatis", bench.hash or "0" * 64, count=1)
    )
    size = bench.index_size() / 1e6
    each = ""
    if rows := bench.options.files:
        each = f" For each row of an inventory that is {size * 1e6 / rows:.0f} bytes, the register included."
    report.note(f"The index takes {size:.0f} MB.{each}")
    name = min(one.name for one in (bench.keep / "register").iterdir())
    questions = {
        "audit of a model": ["audit", "model:model-0@v1"],
        "audit of a dataset": ["audit", f"dataset:{name}"],
        "whatis, a hash": ["whatis", bench.hash or "0" * 64],
        "find, a word": ["find", "vibration"],
        "find, two words and a typo": ["find", "vibraton", name.rsplit("-", 1)[1]],
        "find, two Japanese characters": ["find", "受注"],
        "find, a file": ["find", "IMG_00000001", "--kind", "file"],
    }
    for question, argv in questions.items():
        if not report.is_over():
            bench.timed(*argv)
        report.row(f"{question} (`{argv[0]}`)", times(*argv))
    took: list[Took] = []
    while len(took) < runs and not report.is_over():
        bench.new_record(len(took))
        took.append(bench.timed("whatis", "0" * 64))
    report.row("whatis after one new record (the index follows)", took)
    for command in ("list", "status"):
        report.row(f"`{command}`", times(command, count=min(3, runs)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", type=int, default=2000)
    parser.add_argument("--versions", type=int, default=4000, help="in all")
    parser.add_argument("--models", type=int, default=2000, help="model records in all")
    parser.add_argument(
        "--files", type=int, default=400_000, help="inventory rows in all; 0 makes no file lists"
    )
    parser.add_argument("--runs", type=int, default=11, help="counted runs of each question")
    parser.add_argument("--folder", type=Path, help="where the keep is made (default: a temporary folder)")
    parser.add_argument("--write", type=Path, help="write the table here as well")
    parser.add_argument(
        "--minutes",
        type=float,
        default=35,
        help="no further question is begun after so many, generating included",
    )
    options = parser.parse_args()
    report = Report(options)
    # Told to end, it cleans up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="datakeep-audit-", dir=options.folder))
    try:
        bench = Bench(folder, options)
        _require_space(folder, options)
        started = time.perf_counter()
        # In a process of its own: what this one holds would be counted as the memory of each child.
        with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            bench.hash = pool.submit(bench.generate).result()
        report.note(f"Generated in {time.perf_counter() - started:.0f} s.")
        measure(bench, options.runs, report)
        report.write()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _require_space(folder: Path, options: argparse.Namespace) -> None:
    """Rather now than after half an hour: repositories and index, and as much again while the index is written."""
    need = 200 * options.files + 20_000 * (options.versions + options.models) + 10_000 * options.datasets
    free = shutil.disk_usage(folder).free
    if free < need:
        raise SystemExit(f"{folder} has {free / 1e9:.0f} GB free, and about {need / 1e9:.0f} GB are needed")


if __name__ == "__main__":
    main()
