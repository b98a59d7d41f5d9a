"""What tests share that is no fixture: a person at a command line, data and code to work with, a keep with its vault.

A module of its own: each folder of tests may have a ``conftest``, and only one of them can be imported by that name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass
class Ran:
    """One finished call of the command line."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What ``--json`` printed."""
        return json.loads(self.out)


@dataclass
class Person:
    """Somebody with a home, a git identity and a place to work; calls datakeep as its users do."""

    name: str
    email: str
    home: Path
    caches: Path
    cwd: Path
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.cwd.mkdir(parents=True, exist_ok=True)
        text = f"[user]\n\tname = {self.name}\n\temail = {self.email}\n[init]\n\tdefaultBranch = main\n"
        (self.home / ".gitconfig").write_text(text, "utf-8")

    @property
    def env(self) -> dict[str, str]:
        """The environment of this person's programs."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "LANG", "TMPDIR", "CI")
            or name.startswith(("PIP_", "SSL_", "UV_", "REQUESTS_", "COVERAGE_", "PYENV_"))
            or name.lower().endswith("_proxy")
        }
        tools = str(Path(sys.executable).parent)
        return kept | {
            "PATH": f"{tools}{os.pathsep}{kept.get('PATH', os.defpath)}",
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.caches),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "PYTHONUTF8": "1",
            **self.extra,
        }

    def datakeep(
        self, *args: str | Path, code: int | None = 0, cwd: Path | None = None, stdin: str = ""
    ) -> Ran:
        """Run ``datakeep ARGS``; ``code`` is the exit code that it must have (None: any)."""
        argv = [sys.executable, "-m", "datakeep", *map(str, args)]
        done = subprocess.run(
            argv, cwd=cwd or self.cwd, env=self.env, input=stdin, capture_output=True, text=True, check=False
        )
        ran = Ran(done.returncode, done.stdout, done.stderr)
        assert code is None or ran.code == code, f"{' '.join(argv)}\nexit {ran.code}\n{ran.out}\n{ran.err}"
        return ran

    def start(self, *args: str | Path, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Begin ``datakeep ARGS`` in a process group of its own, so that a test can kill all of it."""
        argv = [sys.executable, "-m", "datakeep", *map(str, args)]
        return subprocess.Popen(
            argv, cwd=cwd or self.cwd, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *argv: str | Path, cwd: Path | None = None, code: int | None = 0) -> Ran:
        """Run any program as this person."""
        done = subprocess.run(
            list(map(str, argv)),
            cwd=cwd or self.cwd,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert code is None or done.returncode == code, (
            f"{argv}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return Ran(done.returncode, done.stdout, done.stderr)


#: Facts that satisfy the default policy, for tests that are about something else.
FACTS = (
    "--purpose", "test of datakeep", "--origin", "made by a test", "--extracted-at", "2026-11-20",
    "--no-annotation", "nothing to label", "--privacy", "no", "--license", "CC0-1.0", "--access", "it is public",
)  # fmt: skip


def facts_without(*options: str) -> tuple[str, ...]:
    """:data:`FACTS` but for these options and their values."""
    assert set(options) <= set(FACTS[::2]), options
    pairs = zip(FACTS[::2], FACTS[1::2], strict=True)
    return tuple(word for pair in pairs if pair[0] not in options for word in pair)


def write_orders(folder: Path) -> Path:
    """The data of :func:`orders`, in a new folder."""
    (folder / "train").mkdir(parents=True)
    (folder / "test").mkdir()
    rows = "".join(f"{n},{n % 3 + 1},{'yes' if n % 4 else 'no'}\n" for n in range(40))
    (folder / "train" / "orders.csv").write_text("id,amount,late\n" + rows, "utf-8")
    (folder / "test" / "orders.csv").write_text(
        "id,amount,late\n" + rows[: len(rows) // 2].rsplit("\n", 1)[0] + "\n"
    )
    (folder / "注文の説明.txt").write_text("受注データ\n", "utf-8")
    (folder / "same-a.bin").write_bytes(b"\x00\xff" * 64)
    (folder / "same-b.bin").write_bytes(b"\x00\xff" * 64)
    return folder


PYPROJECT = (
    '[project]\nname = "reference"\nversion = "1"\nrequires-python = ">=3.11"\n\n[tool.uv]\npackage = false\n'
)
LOCK = """\
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "reference"
version = "1"
source = { virtual = "." }
"""
TRAIN = '''\
"""Learns the share of late orders; the standard library is enough for that."""

import argparse, csv, json, pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=pathlib.Path)
parser.add_argument("--out", type=pathlib.Path)
options = parser.parse_args()
with (options.data / "train" / "orders.csv").open() as file:
    rows = list(csv.DictReader(file))
late = sum(row["late"] == "yes" for row in rows) / len(rows)
guess = "yes" if late >= 0.5 else "no"
(options.out / "model.json").write_text(json.dumps({"guess": guess}))
right = sum(row["late"] == guess for row in rows)
(options.out / "metrics.json").write_text(json.dumps({"accuracy": right / len(rows)}))
'''


def write_training(folder: Path) -> Path:
    """The code of :func:`training`, in a new folder."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "uv.lock").write_text(LOCK)
    (folder / "train.py").write_text(TRAIN)
    return folder


COMMAND = "python train.py --data {data} --out {out}"


@dataclass
class World:
    """Aiko's keep with its vault, Ken, and data and code to work with; shared by the tests of one module."""

    aiko: Person
    ken: Person
    keep: Path
    vault: Path
    orders: Path
    training: Path

    def register(self, name: str, backend: str = "dvc") -> None:
        """``name`` is registered with the data of ``orders``, by Aiko."""
        self.aiko.datakeep("register", name, self.orders, "--backend", backend, *FACTS, cwd=self.keep)

    def reference(self, name: str, *options: str | Path, command: str = COMMAND) -> None:
        """The next version of ``name`` states the training; options are added to, and win over, the usual ones."""
        self.aiko.datakeep(
            "reference", name, "--code", self.training, "--command", command, "--model-file", "model.json",
            "--expect", "accuracy=0.75±0.01", "--baseline", "accuracy=0.5", *options, cwd=self.keep,
        )  # fmt: skip


def commit_files(person: Person, keep: Path, files: Mapping[str, str], message: str = "records") -> None:
    """Records and other files come into a keep by git alone, behind datakeep's back."""
    for path, text in files.items():
        place = keep / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
    person.run("git", "add", "-A", "models", "register", cwd=keep)
    person.run("git", "commit", "-qm", message, cwd=keep)


def make_world(
    place: Path,
    caches: Path,
    *init: str | Path,
    environment: dict[str, str] | None = None,
    homes: Callable[[Path], object] = lambda home: None,
) -> World:
    """A fresh world in ``place``; ``init`` are options of ``datakeep init``, ``environment`` is all people's.

    ``homes`` puts into each one's home what is needed there before anything is called.
    """
    mail = "{}@corp.example".format
    aiko = Person("Aiko Tanaka", mail("aiko"), place / "aiko" / "home", caches, place / "aiko" / "work")
    ken = Person("Ken Sato", mail("ken"), place / "ken" / "home", caches, place / "ken" / "work")
    for person in (aiko, ken):
        person.extra |= environment or {}
        homes(person.home)
    aiko.datakeep("init", "keep", *init)
    keep = aiko.cwd / "keep"
    aiko.datakeep("key", "create", cwd=keep)
    orders, training = write_orders(aiko.cwd / "orders"), write_training(aiko.cwd / "training")
    return World(aiko, ken, keep, keep.with_name("keep.vault"), orders, training)
