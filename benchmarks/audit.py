"""The questions over a large keep: a generated keep, real queries through the command line, medians and p95.

Usage: python benchmarks/audit.py [--datasets N] [--versions N] [--models N] [--files N] [--runs N] [--write FILE]

The keep is generated compactly by `git fast-import`: its register, its model records, and for each dataset a
repository in the clone's cache, with an inventory for each version (git backend), so that file lists are here. No
bytes of data are made. Every query is a whole process, its start included; the index is warm but for the rows that
say otherwise.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import multiprocessing
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

DATAKEEP = [str(Path(sys.executable).parent / "datakeep")]
WORDS = (
    "late",
    "bearing",
    "vibration",
    "order",
    "customer",
    "churn",
    "weather",
    "shop",
    "image",
    "label",
    "sensor",
)
NIHON = ("受注", "軸の回転数", "故障", "顧客", "天気", "画像", "売上げ", "在庫")
_WHO = b"Bench <bench@corp.example> 1767225600 +0000"

_ENTRY = """\
format: datakeep/version/1
dataset: {name}
version: v{number}
repository: /vault/git/datasets/{name}.git
commit: {commit}
content: sha256:{content}
inventory: sha256:{inventory}
files: {files}
size_bytes: {size}
stores: [main]
registered_at: 2026-01-0{day}T03:10:00Z
registered_by: aiko@corp.example
message: version {number}
manifest:
  format: datakeep/dataset/1
  name: {name}
  title: {title}
  purpose: {purpose}
  owner:
    name: Aiko Tanaka
    email: aiko@corp.example
  backend: git
  source:
    kind: {kind}
    origin: the warehouse
    extracted_at: 2026-01-01
{parents}  columns:
{columns}  annotation:
    none: nothing to label
  privacy:
    personal: "no"
  license: internal
  access:
    how: ask
"""
_COLUMN = "  - name: {name}\n    type: int64\n    meaning: {meaning}\n"


class Stream:
    """One `git fast-import` into a repository."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["git", "-C", str(folder), "fast-import", "--quiet", "--export-marks=marks"],
            stdin=subprocess.PIPE,
        )
        self._folder = folder
        self._mark = 0

    def write(self, data: bytes) -> None:
        """Hand on a piece of the stream."""
        assert self._process.stdin
        self._process.stdin.write(data)

    def commit(self, files: dict[str, bytes], *, ref: str = "refs/heads/main") -> int:
        """A commit with these files more; returns its mark."""
        write = self.write
        self._mark += 1
        write(b"commit %s\nmark :%d\ncommitter %s\ndata 0\n" % (ref.encode(), self._mark, _WHO))
        for path, data in files.items():
            write(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data))
        return self._mark

    def close(self) -> dict[int, str]:
        """The commit of each mark."""
        assert self._process.stdin
        self._process.stdin.close()
        if self._process.wait():
            raise SystemExit("git fast-import failed")
        marks = self._folder / "marks"
        lines = [line.split() for line in marks.read_text().splitlines()]
        marks.unlink()
        return {int(mark[1:]): commit for mark, commit in lines}


class Bench:
    """A generated keep, and the ways to ask it."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.options = options
        self.chance = random.Random(1)
        self.keep = folder / "keep"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        config = folder / "gitconfig"
        config.write_text("[user]\nname = Bench\nemail = bench@corp.example\n[init]\ndefaultBranch = main\n")
        self.env |= {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1"}
        self.hash = ""
        self._run(*DATAKEEP, "init", str(self.keep), cwd=folder)

    def _run(self, *argv: str, cwd: Path | None = None, codes: tuple[int, ...] = (0,)) -> int:
        """Run a program to its end; returns its peak memory in bytes."""
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(argv, cwd=cwd or self.keep, env=self.env, stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode not in codes:
                output.seek(0)
                raise SystemExit(f"{' '.join(argv)}: {process.returncode}\n{output.read().decode()[-2000:]}")
        return usage.ru_maxrss * 1024

    def generate(self) -> str:
        """Fill the keep; returns the sha256 of a file of it, empty if there are no file lists."""
        per_dataset = max(1, self.options.versions // self.options.datasets)
        rows = self.options.files // max(1, self.options.datasets * per_dataset)
        names = [
            f"{self.chance.choice(WORDS)}-{self.chance.choice(WORDS)}-{number}"
            for number in range(self.options.datasets)
        ]
        files: dict[str, bytes] = {}
        for name in names:
            for number, (commit, inventory) in enumerate(self._dataset(name, per_dataset, rows), 1):
                text = self._entry(name, number, commit, inventory, rows, names)
                files[f"register/{name}/v{number}.yaml"] = text.encode()
        for number in range(self.options.models):
            model, version = f"model-{number // 10}", number % 10 + 1
            files[f"models/{model}/v{version}.yaml"] = self._record(model, version, names, per_dataset)
        base = subprocess.check_output(["git", "-C", str(self.keep), "rev-parse", "HEAD"], text=True).strip()
        subprocess.run(["git", "-C", str(self.keep), "branch", "-q", "bench", base], check=True)
        stream = Stream(self.keep)
        stream.write(b"reset refs/heads/bench\nfrom %s\n\n" % base.encode())  # goes on from what is there
        stream.commit(files, ref="refs/heads/bench")
        stream.close()
        for argv in (["reset", "-q", "--hard", "bench"], ["push", "-q", "origin", "main"]):
            self._run("git", *argv)
        return self.hash

    def _dataset(self, name: str, versions: int, rows: int) -> list[tuple[str, str]]:
        """Commit and inventory of each version of one dataset, whose repository is in the clone's cache."""
        if not rows:
            return [
                (f"{self.chance.getrandbits(160):040x}", f"{self.chance.getrandbits(256):064x}")
            ] * versions
        from datakeep.formats.inventory import Inventory

        folder = self.keep / ".datakeep" / "datasets" / f"{name}.git"
        subprocess.run(["git", "init", "-q", "--bare", "--template=", str(folder)], check=True, env=self.env)
        stream, digests, marks = Stream(folder), [], []
        paths = [f"part-{row // 1000:05d}/IMG_{row:08d}.png" for row in range(rows)]
        for number in range(versions):
            raw = self.chance.randbytes(48 * rows)
            inventory = Inventory.of_columns(paths, [1] * rows, raw[: 16 * rows], raw[16 * rows :])
            self.hash = raw[16 * rows : 16 * rows + 32].hex()
            data = inventory.to_bytes()
            digests.append(hashlib.sha256(data).hexdigest())
            text = f"name: {name}\nnumber: {number}\n".encode()
            marks.append(stream.commit({"inventory.parquet": data, "dataset.yaml": text}))
        commits = stream.close()
        return [(commits[mark], digest) for mark, digest in zip(marks, digests, strict=True)]

    def _entry(self, name: str, number: int, commit: str, inventory: str, rows: int, names: list[str]) -> str:
        word = self.chance.choice
        columns = "".join(
            _COLUMN.format(name=f"{word(WORDS)}_{column}", meaning=f"{word(NIHON)}, {word(WORDS)} of {name}")
            for column in range(8)
        )
        derived = self.chance.random() < 0.2
        parents = f"    parents: ['{word(names)}@v1']\n" if derived else ""
        return _ENTRY.format(
            name=name, number=number, commit=commit, content=f"{self.chance.getrandbits(256):064x}",
            inventory=inventory, files=rows, size=rows, day=number % 9 + 1, columns=columns, parents=parents,
            kind="derived" if derived else "files", title=f"{word(NIHON)} {word(WORDS)} {name}",
            purpose=f"predict the {word(WORDS)} of the {word(WORDS)}",
        )  # fmt: skip

    def _record(self, model: str, version: int, names: list[str], versions: int) -> bytes:
        given = [
            {
                "dataset": self.chance.choice(names), "version": f"v{self.chance.randint(1, versions)}",
                "commit": "4f" * 20, "content": f"sha256:{'77' * 32}", "how": "observed", "files_read": {"count": 1},
            }
            for _ in range(2)
        ]  # fmt: skip
        record = {
            "format": "datakeep/model/1", "model": model, "version": f"v{version}",
            "artifacts": [
                {"path": "m.joblib", "sha256": f"{self.chance.getrandbits(256):064x}", "size_bytes": 9000 + version}
            ],
            "inputs": given, "base_models": [f"model-{self.chance.randrange(9)}@v1"] if version == 1 else [],
            "code": {}, "command": ["python", "train.py"], "environment": {"kind": "uv"}, "resources": {},
            "origin": "run",
        }  # fmt: skip
        return json.dumps(record, indent=1).encode()

    def timed(self, *argv: str, codes: tuple[int, ...] = (0, 3)) -> tuple[float, int]:
        """Seconds and peak bytes of one call."""
        started = time.perf_counter()
        peak = self._run(*DATAKEEP, *argv, codes=codes)
        return time.perf_counter() - started, peak

    def forget(self) -> None:
        """The index is gone."""
        for path in (self.keep / ".datakeep").glob("index-*"):
            path.unlink()

    def index_size(self) -> int:
        """The bytes of the index."""
        return sum(path.stat().st_size for path in (self.keep / ".datakeep").glob("index-*"))

    def new_record(self, number: int) -> None:
        """One more model record, committed."""
        path = self.keep / "models" / f"new-{number}" / "v1.yaml"
        path.parent.mkdir(parents=True)
        name = next((self.keep / "register").iterdir()).name
        path.write_bytes(self._record(f"new-{number}", 1, [name], 1))
        self._run("git", "add", str(path))
        self._run("git", "commit", "-qm", "one more")


def measure(bench: Bench, runs: int) -> list[str]:
    """The table, one line per question."""
    lines = ["| question | median | p95 | peak memory |", "|---|---|---|---|"]

    def row(name: str, took: list[tuple[float, int]]) -> None:
        times = sorted(one[0] for one in took)
        late = times[min(len(times) - 1, int(0.95 * len(times)))]
        peak = max(one[1] for one in took) / 1e6
        lines.append(f"| {name} | {statistics.median(times):.2f} s | {late:.2f} s | {peak:.0f} MB |")
        print(lines[-1], flush=True)

    bench.forget()
    row("full rebuild of the index (whatis, without one)", [bench.timed("whatis", bench.hash or "0" * 64)])
    size = bench.index_size() / 1e6
    took = []
    for number in range(runs):
        bench.new_record(number)
        took.append(bench.timed("whatis", "0" * 64))
    row("whatis after one new record (the index follows)", took)
    name = min(one.name for one in (bench.keep / "register").iterdir())
    questions = {
        "find, a word": ["find", "vibration"],
        "find, two words and a typo": ["find", "vibraton", name.rsplit("-", 1)[1]],
        "find, two Japanese characters": ["find", "受注"],
        "find, a file": ["find", "IMG_00000001", "--kind", "file"],
        "whatis, a hash": ["whatis", bench.hash or "0" * 64],
        "audit of a dataset": ["audit", f"dataset:{name}"],
        "audit of a model": ["audit", "model:model-0@v1"],
        "list": ["list"],
        "status": ["status"],
    }
    for question, argv in questions.items():
        bench.timed(*argv)
        row(f"{question} (`{argv[0]}`)", [bench.timed(*argv) for _ in range(runs)])
    lines.append(f"\nThe index takes {size:.0f} MB.")
    return lines


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
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each question")
    parser.add_argument("--folder", type=Path, help="where the keep is made (default: a temporary folder)")
    parser.add_argument("--write", type=Path, help="write the table here as well")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="datakeep-audit-", dir=options.folder))
    try:
        bench = Bench(folder, options)
        started = time.perf_counter()
        # In a process of its own: what this one holds would be counted as the memory of each child.
        with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            bench.hash = pool.submit(bench.generate).result()
        print(f"generated in {time.perf_counter() - started:.0f} s", flush=True)
        lines = measure(bench, options.runs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.write:
        machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
        size = (
            f"{options.datasets:,} datasets, {options.versions:,} versions, {options.models:,} model records, "
            f"{options.files:,} inventory rows"
        )
        head = f"## Questions over a large keep\n\n{size}; {datetime.now(UTC):%Y-%m-%d}; {machine}.\n\n"
        options.write.write_text(head + "\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
