"""The keep that benchmarks/audit.py asks: generated there, and what of it is less than real is said there."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from started import ended

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

DATAKEEP = [str(Path(sys.executable).parent / "datakeep")]
_SYLLABLES = (
    "ba",
    "cor",
    "den",
    "fil",
    "gra",
    "hem",
    "jun",
    "kel",
    "lor",
    "mit",
    "nos",
    "pra",
    "quin",
    "ros",
    "tel",
    "vex",
)
#: A few words that are asked for, and thousands that nobody asks for; the first ones are frequent.
WORDS = (
    "vibration",
    "bearing",
    "order",
    "customer",
    "churn",
    "weather",
    "shop",
    "image",
    "label",
    "sensor",
    *(a + b + c for a in _SYLLABLES for b in _SYLLABLES for c in _SYLLABLES),
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
            [
                "git",
                "-C",
                str(folder),
                "-c",
                "core.compression=1",
                "fast-import",
                "--quiet",
                "--depth=0",
                "--export-marks=marks",
            ],
            stdin=subprocess.PIPE,
        )
        self._folder = folder
        self._mark = 0

    def write(self, data: bytes) -> None:
        """Hand on a piece of the stream."""
        assert self._process.stdin
        self._process.stdin.write(data)

    def begin(self, ref: str, parent: str | None = None) -> int:
        """A commit, whose files follow; returns its mark. Without ``parent`` it goes on from the one before."""
        self._mark += 1
        self.write(b"commit %s\nmark :%d\ncommitter %s\ndata 0\n" % (ref.encode(), self._mark, _WHO))
        if parent:
            self.write(b"from %s\n" % parent.encode())
        return self._mark

    def file(self, path: str, data: bytes) -> None:
        """A file of the commit that was begun."""
        self.write(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data))

    def commit(self, files: dict[str, bytes], *, ref: str) -> int:
        """A commit with these files more; returns its mark."""
        mark = self.begin(ref)
        for path, data in files.items():
            self.file(path, data)
        return mark

    def close(self) -> dict[int, str]:
        """The commit of each mark."""
        assert self._process.stdin
        self._process.stdin.close()
        if self._process.wait():
            raise SystemExit("git fast-import failed")
        marks = next(
            path for path in (self._folder / "marks", self._folder / ".git" / "marks") if path.exists()
        )
        lines = [line.split() for line in marks.read_text().splitlines()]
        marks.unlink()
        return {int(mark[1:]): commit for mark, commit in lines}


class Took(NamedTuple):
    """What one process took, git's processes included; the memory is that of the largest."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


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

    def _run(self, *argv: str, cwd: Path | None = None, codes: tuple[int, ...] = (0,)) -> Took:
        """Run a program to its end."""
        found = ended(argv, cwd=cwd or self.keep, env=self.env, codes=codes)
        return Took(found["wall_s"], found["cpu_s"], int(found["peak_bytes"]))

    def generate(self) -> str:
        """Fill the keep; returns the sha256 of a file of it, empty if there are no file lists."""
        per_dataset = max(1, self.options.versions // self.options.datasets)
        rows = self.options.files // max(1, self.options.datasets * per_dataset)
        names = [f"{self._word()}-{self._word()}-{number}" for number in range(self.options.datasets)]
        facts = self._datasets(names, per_dataset, rows)
        base = subprocess.check_output(["git", "-C", str(self.keep), "rev-parse", "HEAD"], text=True).strip()
        stream = Stream(self.keep)
        stream.begin("refs/heads/bench", base)
        for name in names:
            for path, text in self._entries(name, facts[name], rows, names):
                stream.file(path, text)
        for number in range(self.options.models):
            model, version = f"model-{number // 10}", number % 10 + 1
            stream.file(f"models/{model}/v{version}.yaml", self._record(model, version, names, per_dataset))
        stream.close()
        for argv in (["reset", "-q", "--hard", "bench"], ["push", "-q", "origin", "main"]):
            self._run("git", *argv)
        return self.hash

    def _word(self) -> str:
        """Few words are frequent, most are rare."""
        return WORDS[min(len(WORDS) - 1, int(self.chance.paretovariate(0.6)) - 1)]

    def _datasets(self, names: list[str], versions: int, rows: int) -> dict[str, list[tuple[str, str]]]:
        """Commit and inventory of each version of each dataset, whose repository is in the clone's cache."""
        if not rows:
            return {
                name: [
                    (f"{self.chance.getrandbits(160):040x}", f"{self.chance.getrandbits(256):064x}")
                    for _ in range(versions)
                ]
                for name in names
            }
        objects = self.keep.parent / "objects.git"
        subprocess.run(["git", "init", "-q", "--bare", "--template=", str(objects)], check=True, env=self.env)
        stream = Stream(objects)
        made: dict[str, list[tuple[int, str]]] = {}
        for number, name in enumerate(names):
            made[name] = [
                (stream.commit(files, ref=f"refs/heads/d{number}"), digest)
                for files, digest in self._inventories(name, versions, rows)
            ]
        commits = stream.close()
        found = {}
        for name, marks in made.items():
            found[name] = [(commits[mark], digest) for mark, digest in marks]
            self._repository(self.keep / ".datakeep" / "datasets" / f"{name}.git", objects, found[name])
        return found

    def _inventories(self, name: str, versions: int, rows: int) -> Iterator[tuple[dict[str, bytes], str]]:
        from datakeep.formats.inventory import Inventory

        paths = [f"part-{row // 1000:05d}/IMG_{row:08d}.png" for row in range(rows)]
        for number in range(versions):
            raw = self.chance.randbytes(48 * rows)
            inventory = Inventory.of_columns(paths, [1] * rows, raw[: 16 * rows], raw[16 * rows :])
            self.hash = raw[16 * rows : 16 * rows + 32].hex()
            data = inventory.to_bytes()
            text = f"name: {name}\nnumber: {number}\n".encode()
            yield {"inventory.parquet": data, "dataset.yaml": text}, hashlib.sha256(data).hexdigest()

    def _repository(self, folder: Path, objects: Path, versions: list[tuple[str, str]]) -> None:
        """A bare repository as datakeep has one, which borrows its objects."""
        (folder / "objects" / "info").mkdir(parents=True)
        (folder / "refs" / "tags").mkdir(parents=True)
        (folder / "HEAD").write_text("ref: refs/heads/main\n")
        (folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
        (folder / "objects" / "info" / "alternates").write_text(f"{objects / 'objects'}\n")
        refs = [f"{versions[-1][0]} refs/heads/main"]
        refs += sorted(f"{commit} refs/tags/v{number}" for number, (commit, _) in enumerate(versions, 1))
        (folder / "packed-refs").write_text("\n".join(refs) + "\n")

    def _entries(
        self, name: str, versions: list[tuple[str, str]], rows: int, names: list[str]
    ) -> Iterator[tuple[str, bytes]]:
        columns = [
            _COLUMN.format(name=f"{self._word()}_{column}", meaning=self._meaning(name))
            for column in range(8)
        ]
        title, purpose = self._title(name), f"predict the {self._word()} of the {self._word()}"
        derived = self.chance.random() < 0.2
        parents = f"    parents: ['{self.chance.choice(names)}@v1']\n" if derived else ""
        for number, (commit, inventory) in enumerate(versions, 1):
            if self.chance.random() < 0.2:
                title = self._title(name)
                columns[self.chance.randrange(8)] = _COLUMN.format(
                    name=f"{self._word()}_new", meaning=self._meaning(name)
                )
            text = _ENTRY.format(
                name=name, number=number, commit=commit, content=f"{self.chance.getrandbits(256):064x}",
                inventory=inventory, files=rows, size=rows, day=number % 9 + 1, columns="".join(columns),
                parents=parents, kind="derived" if derived else "files", title=title, purpose=purpose,
            )  # fmt: skip
            yield f"register/{name}/v{number}.yaml", text.encode()

    def _meaning(self, name: str) -> str:
        return f"{self.chance.choice(NIHON)}, {self._word()} of {name}"

    def _title(self, name: str) -> str:
        return f"{self.chance.choice(NIHON)} {self._word()} {name}"

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

    def timed(self, *argv: str, codes: tuple[int, ...] = (0, 3)) -> Took:
        """What one call takes."""
        return self._run(*DATAKEEP, *argv, codes=codes)

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
