"""The folder store's speed and memory, beside dvc and coreutils in one run: medians of whole processes.

Usage: python benchmarks/bytes.py [--files N] [--runs N] [--big BYTES] [--many N] [--folder DIR] [--write FILE]

The data are generated: files of 0.5 to 20 KB. Both sides of a row run in turn (A B A B …), after one uncounted
turn. A "floor" is what coreutils need for the same reading, hashing and copying without any safety.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from started import ended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BIN = Path(sys.executable).parent
HASH_ALL = "find {0} -type f -print0 | xargs -0 -P 2 -n 1000 sha256sum > hashes"
#: Files younger than this are not trusted by the state, as a user's export seldom is.
RACY_S = 3


def generate(root: Path, count: int, *, smallest: int = 500, largest: int = 20_000) -> None:
    """``count`` files, a thousand in each folder, all different, the same ones in every run."""
    chance = random.Random(1)
    pool = chance.randbytes(8 << 20)
    for number in range(count):
        folder = root / f"{number // 1000:04d}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        size = chance.randint(smallest, largest) - 8
        at = chance.randrange(len(pool) - size)
        (folder / f"{number:07d}.bin").write_bytes(number.to_bytes(8, "big") + pool[at : at + size])


@dataclass
class Side:
    """One side of a row: what it is called, what makes ready for it, and what is timed."""

    name: str
    commands: Sequence[Sequence[str]]
    prepare: Callable[[], object] = lambda: None
    times_s: list[float] = field(default_factory=list)
    peak_bytes: int = 0

    def once(self, bench: Bench) -> None:
        self.prepare()
        found = [bench.ended(*argv) for argv in self.commands]
        self.peak_bytes = max(self.peak_bytes, *(int(one["peak_bytes"]) for one in found))
        self.times_s.append(sum(one["wall_s"] for one in found))

    @property
    def median_s(self) -> float:
        return statistics.median(self.times_s)


class Bench:
    """A folder with the data, a store, a keep and a DVC repository."""

    def __init__(self, folder: Path, files: int) -> None:
        from datakeep.samples import SAMPLES

        self.folder = folder
        self.cleaned = 0
        self.data = folder / "data"
        self.count = files
        generate(self.data, files)
        config = folder / "gitconfig"
        config.write_text("[user]\nname = Bench\nemail = bench@corp.example\n[init]\ndefaultBranch = main\n")
        without = ("GIT_", "DVC_", "PYTHONDONTWRITEBYTECODE")  # users' Python keeps what it compiled
        kept = {name: value for name, value in os.environ.items() if not name.startswith(without)}
        self.env = kept | {
            "GIT_CONFIG_GLOBAL": str(config),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "DVC_NO_ANALYTICS": "1",
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        self.manifest = SAMPLES["digits"].manifest

    def run(self, *argv: str) -> int:
        """Run it to its end; the most memory that one of its processes held, in bytes."""
        return int(self.ended(*argv)["peak_bytes"])

    def ended(self, *argv: str) -> dict[str, float]:
        """Run it to its end; what it took."""
        return ended(argv, cwd=self.folder, env=self.env)

    def shell(self, text: str) -> list[str]:
        return ["sh", "-c", text.format("data")]

    def step(self, name: str, *arguments: str) -> list[str]:
        return [sys.executable, __file__, "--step", name, *arguments]

    def clean(self, *names: str) -> None:
        """Put what one turn left out of the way of the next; it is deleted in the end.

        ext4 without a journal gives inodes that were deleted in the last minutes to nobody, and passes over them one
        by one: a file made after thousands were deleted takes up to ten times as long, whoever makes it.
        """
        for name in names:
            path = self.folder / name
            if path.exists():
                self.cleaned += 1
                path.rename(self.folder / f"trash-{self.cleaned}")
        os.sync()  # what one side left to be written must not slow the other down

    def new_dvc(self) -> None:
        self.clean("dvc", "remote")
        (self.folder / "dvc").mkdir()
        dvc = ["dvc", "--cd", "dvc"]
        self.run("git", "-C", "dvc", "init", "-q")
        self.run(*dvc, "init", "-q")
        self.run(*dvc, "remote", "add", "-d", "main", str(self.folder / "remote"))
        shutil.copytree(self.data, self.folder / "dvc" / "data")
        os.sync()

    def stored(self) -> None:
        """The data are in our store."""
        if not (self.folder / "inventory").exists():
            self.run(*self.step("ingest", "data"))

    def pushed(self) -> None:
        """The data are in DVC's cache and remote."""
        if not (self.folder / "remote").exists():
            self.new_dvc()
            self.run("dvc", "--cd", "dvc", "add", "-q", "data")
            self.run("dvc", "--cd", "dvc", "push", "-q")

    def touch_some(self, root: Path) -> Callable[[], None]:
        """Change 1 % of the files; DVC's are made first."""

        def change() -> None:
            if not root.exists():
                self.pushed()
            for number in range(0, self.count, 100):
                path = root / f"{number // 1000:04d}" / f"{number:07d}.bin"
                path.write_bytes(os.urandom(path.stat().st_size))
            time.sleep(RACY_S)

        return change

    def new_keep(self) -> None:
        self.clean("keep", "keep.vault", "got")
        self.run("datakeep", "init", "keep")
        time.sleep(RACY_S)
        self.run("datakeep", "-C", "keep", "register", "digits", "data", "--manifest", str(self.manifest))
        self.run("datakeep", "-C", "keep", "checkout", "digits", "got")
        time.sleep(RACY_S)
        self.run("datakeep", "-C", "keep", "status", "digits", "--dir", "got")

    def rows(self) -> list[tuple[str, float, Side, Side]]:
        """Title, the ratio peer / datakeep that is asked for, our side, the peer."""

        def ingest() -> Side:
            return Side("ingest", [self.step("ingest", "data")], lambda: self.clean("store"))

        def fetch() -> Side:
            return Side("fetch, verified", [self.step("fetch")], lambda: (self.stored(), self.clean("got")))

        dvc = ["dvc", "--cd", "dvc"]
        keep = ["datakeep", "-C", "keep"]
        return [
            ("register's bytes", 8, ingest(),
             Side("dvc add + dvc push", [[*dvc, "add", "-q", "data"], [*dvc, "push", "-q"]], self.new_dvc)),
            ("register's bytes, the floor", 1 / 1.8, ingest(),
             Side("sha256sum × 2 + cp -r", [self.shell(HASH_ALL), self.shell("cp -r {0} copy")],
                  lambda: self.clean("copy"))),
            ("fetch", 10, fetch(),
             Side("dvc pull", [[*dvc, "pull", "-q"]],
                  lambda: (self.pushed(), self.clean("dvc/.dvc/cache", "dvc/data")))),
            ("fetch, the floor", 1 / 1.6, fetch(),
             Side("cp -r + sha256sum × 2", [self.shell("cp -r {0} copy"), self.shell(HASH_ALL)],
                  lambda: self.clean("copy"))),
            ("status, unchanged", 20, Side("datakeep status", [[*keep, "status", "digits", "--dir", "got"]]),
             Side("dvc status", [[*dvc, "status", "-q"]], self.pushed)),
            ("update, 1 % changed", 20,
             Side("datakeep update", [[*keep, "update", "digits", "data", "-m", "more"]],
                  self.touch_some(self.data)),
             Side("dvc add", [[*dvc, "add", "-q", "data"]], self.touch_some(self.folder / "dvc" / "data"))),
        ]  # fmt: skip

    def big(self, size_bytes: int) -> tuple[str, float, Side, Side]:
        (self.folder / "big").mkdir()
        self.run("sh", "-c", f"head -c {size_bytes} /dev/urandom > big/one.bin")
        ours = Side("ingest", [self.step("ingest", "big")], lambda: self.clean("store"))
        return (f"one file of {size_bytes / 1e9:.1f} GB", 1 / 1.3, ours,
                Side("md5sum", [["md5sum", "big/one.bin"]]))  # fmt: skip


def measure(bench: Bench, row: tuple[str, float, Side, Side], runs: int) -> str:
    title, wanted, ours, theirs = row
    for number in range(runs + 1):
        for side in (ours, theirs):
            side.once(bench)
            if number == 0:
                side.times_s.clear()
    ratio = theirs.median_s / ours.median_s
    asked = f"{wanted:.0f} × faster" if wanted >= 1 else f"within {1 / wanted:.2f} ×"
    found = f"{ratio:.1f} × faster" if wanted >= 1 else f"{1 / ratio:.2f} ×"
    line = (
        f"| {title} | {ours.name}: {ours.median_s:.2f} s | {theirs.name}: {theirs.median_s:.2f} s | {asked} "
        f"| {found}{'' if ratio >= wanted else ' (missed)'} "
        f"| {ours.peak_bytes / 1e6:.0f} MB / {theirs.peak_bytes / 1e6:.0f} MB |"
    )
    print(line, flush=True)
    return line


def many(bench: Bench, count: int) -> list[str]:
    """Time per file and peak memory, of few and of many files."""
    lines = []
    for number in (count // 20, count):
        bench.clean("many", "store")
        generate(bench.folder / "many", number, smallest=100, largest=200)
        started = time.perf_counter()
        peak = bench.run(*bench.step("ingest", "many"))
        per_file = (time.perf_counter() - started) / number
        lines.append(f"| {number:,} | {per_file * 1e6:.0f} µs | {peak / 1e6:.0f} MB |")
        print(lines[-1], flush=True)
    bench.clean("many")
    return lines


def step(name: str, arguments: Sequence[str]) -> None:
    """What a timed process of ours does: only the bytes' part of a command."""
    from datakeep.core.progress import Silent
    from datakeep.formats.inventory import Inventory
    from datakeep.store.fetch import fetch
    from datakeep.store.ingest import ingest
    from datakeep.store.opening import create_store, open_store
    from datakeep.store.scan import scan

    place, listed = os.environ.get("BENCH_STORE") or str(Path("store").absolute()), Path("inventory")
    if name == "ingest":
        store = create_store("main", place, keep="bench", now=datetime.now(UTC))
        inventory = ingest(scan([Path(arguments[0])]).files, [store], "bench", Silent())
        listed.write_bytes(inventory.to_bytes())
    else:
        inventory = Inventory.from_bytes(listed.read_bytes(), what="the inventory")
        report = fetch(inventory, [open_store("main", place)], "bench", Path("got"), Silent())
        if report.unavailable:
            raise SystemExit(f"{len(report.unavailable)} files could not be fetched")
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"peak of one process: {peak / 1e3:.0f} MB")


def tables(options: argparse.Namespace, folder: Path) -> list[str]:
    bench = Bench(folder, options.files)
    lines = ["| row | datakeep | peer | asked | found | peak memory |", "|---|---|---|---|---|---|"]
    rows = [row for row in bench.rows() if options.only in row[0]]
    for row in rows:
        if row[2].name.startswith("datakeep ") and not (folder / "keep").exists():
            bench.new_keep()
        lines.append(measure(bench, row, options.runs))
    if options.big:
        lines.append(measure(bench, bench.big(options.big), options.runs))
    if options.many:
        lines += ["", "| files | time for each | peak memory |", "|---|---|---|", *many(bench, options.many)]
    return lines


def section(runs: int = 5, *, files: int = 50_000, big: int = 4 << 30, many: int = 1_000_000) -> list[str]:
    """The page's section, for benchmarks/run.py."""
    options = argparse.Namespace(files=files, runs=runs, big=big, many=many, only="")
    with tempfile.TemporaryDirectory(prefix="datakeep-bytes-") as folder:
        return [
            f"## Bytes: {files:,} files of 0.5 to 20 KB, folder store",
            "",
            *tables(options, Path(folder)),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each side")
    parser.add_argument("--big", type=int, default=4 << 30, help="size of the one big file; 0 leaves it out")
    parser.add_argument(
        "--many", type=int, default=1_000_000, help="files of the last table; 0 leaves it out"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only the rows whose title holds TEXT")
    parser.add_argument("--folder", type=Path, help="where to work; by default a temporary folder")
    parser.add_argument("--write", type=Path, help="write the tables here as well")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step(options.step[0], options.step[1:])
        return
    with tempfile.TemporaryDirectory(prefix="datakeep-bytes-", dir=options.folder) as folder:
        lines = tables(options, Path(folder))
    head = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    if options.write:
        options.write.write_text("\n".join([head, "", *lines]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
