"""Keeps and dataset repositories that were built to attack: refused with the reason; nothing runs, nothing leaks out.

The attacker may write anything into the vault: the keep, the dataset's repository, the stores. The victim
clones the keep and calls datakeep. A canary file would show that something of the attacker's was run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from seen import Quick, error_of, files_below

from datakeep.formats import yaml
from datakeep.formats.inventory import SCHEMA, FileEntry
from datakeep.store import dvc_format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from world import World

ENTRY = "register/orders/v1.yaml"
BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
GIGABYTES = 2 * 1024**3


@dataclass
class Attacker:
    """Somebody who can write to the vault, and does so past all tools."""

    vault: Path
    canary: Path

    @property
    def keep(self) -> Path:
        return self.vault / "git/keeps/keep.git"

    @property
    def dataset(self) -> Path:
        return self.vault / "git/datasets/orders.git"

    def git(self, repository: Path, *argv: str, stdin: bytes = b"") -> str:
        who = {f"GIT_{role}_{what}": "m@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        done = subprocess.run(
            ["git", "-C", repository, *argv],
            input=stdin,
            env={**os.environ, **who},
            check=True,
            capture_output=True,
        )
        return done.stdout.decode().removesuffix("\n")

    def read(self, repository: Path, path: str) -> bytes:
        return self.git(repository, "cat-file", "blob", f"main:{path}").encode() + b"\n"

    def write(self, repository: Path, files: dict[str, bytes | tuple[str, bytes] | None]) -> str:
        """A commit on main with these files changed (mode and bytes; None deletes), tagged ``v1``.

        Trees are made object by object, so that they can hold what git's index would refuse. ``CANARY`` in a
        file becomes the canary's path.
        """
        entries = {}
        for line in self.git(repository, "ls-tree", "-r", "-z", "main").split("\0")[:-1]:
            facts, _, path = line.partition("\t")
            entries[path] = (facts.split()[0], facts.split()[2])
        for path, new in files.items():
            if new is None:
                del entries[path]
                continue
            mode, data = new if isinstance(new, tuple) else ("100644", new)
            data = data.replace(b"CANARY", bytes(self.canary))
            is_commit = mode == "160000"
            made = (
                data.decode()
                if is_commit
                else self.git(repository, "hash-object", "-w", "--stdin", stdin=data)
            )
            entries[path] = (mode, made)
        tree = self._tree(repository, entries)
        commit = self.git(repository, "commit-tree", tree, "-p", "main", "-m", "all is well")
        self.git(repository, "update-ref", "refs/heads/main", commit)
        if repository == self.dataset:
            self.git(repository, "update-ref", "refs/tags/v1", commit)
        return commit

    def _tree(self, repository: Path, entries: dict[str, tuple[str, str]]) -> str:
        lines, below = [], {}
        for path, (mode, made) in entries.items():
            head, slash, rest = path.partition("/")
            if slash:
                below.setdefault(head, {})[rest] = (mode, made)
            else:
                lines.append(f"{mode} {'commit' if mode == '160000' else 'blob'} {made}\t{head}\0")
        lines += [f"040000 tree {self._tree(repository, inner)}\t{name}\0" for name, inner in below.items()]
        return self.git(repository, "mktree", "-z", "--missing", stdin="".join(lines).encode())

    def change_yaml(self, path: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Edit a YAML file of the keep."""
        data = yaml.load(self.read(self.keep, path), what=path)
        change(data)
        self.write(self.keep, {path: yaml.dump(data).encode()})

    def change_dataset(self, changes: dict[str, bytes | tuple[str, bytes] | None], **entry: Any) -> None:
        """Edit the dataset's repository; the register entry and the submodule pin follow."""
        commit = self.write(self.dataset, changes)
        self.change_yaml(ENTRY, lambda data: data.update(commit=commit, **entry))
        self.write(self.keep, {"datasets/orders": ("160000", commit.encode())})

    def change_manifest(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edit dataset.yaml, and the copy of it in the register entry."""
        data = yaml.load(self.read(self.dataset, "dataset.yaml"), what="dataset.yaml")
        change(data)
        self.change_dataset({"dataset.yaml": yaml.dump(data).encode()}, manifest=yaml.plain(data))

    def store(self, data: bytes, *, name: str | None = None, suffix: str = "") -> str:
        """An object of the store; its name is right, unless another is given."""
        md5 = name or hashlib.md5(data).hexdigest() + suffix
        place = self.vault / "data" / dvc_format.object_key("orders", md5)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return md5

    def store_huge(self, name: str) -> None:
        """An object of 2 GB that takes no space."""
        with (self.vault / "data" / dvc_format.object_key("orders", name)).open("r+b") as file:
            file.truncate(GIGABYTES)

    def rows(self) -> list[FileEntry]:
        """The registered inventory."""
        pointer = dvc_format.parse_pointer_file(self.read(self.dataset, "inventory.parquet.dvc"), what="x")
        key = dvc_format.object_key("orders", pointer.md5)
        return [FileEntry(**row) for row in pq.read_table(self.vault / "data" / key).to_pylist()]

    def list_files(self, rows: list[FileEntry], *, listed: dict[str, str] | None = None) -> None:
        """An inventory of ``rows``, and DVC's list of them (or of ``listed``), all digests of which are right."""
        rows = sorted(rows, key=lambda row: row.path.encode())
        columns = [[getattr(row, name) for row in rows] for name in SCHEMA.names]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), sink)
        inventory = bytes(sink.getvalue())
        names = listed if listed is not None else {row.path: row.md5.hex() for row in rows}
        tree = json.dumps([{"md5": md5, "relpath": path} for path, md5 in sorted(names.items())]).encode()
        size_bytes = sum(row.size_bytes for row in rows)
        lines = b"".join(row.sha256.hex().encode() + b"  " + row.path.encode() + b"\n" for row in rows)
        pointers = {
            "data.dvc": dvc_format.pointer_file(
                "data", self.store(tree, suffix=".dir"), size_bytes, len(rows)
            ),
            "inventory.parquet.dvc": dvc_format.pointer_file(
                "inventory.parquet", self.store(inventory), len(inventory)
            ),
        }
        self.change_dataset(
            {path: text.encode() for path, text in pointers.items()},
            inventory=f"sha256:{hashlib.sha256(inventory).hexdigest()}",
            content=f"sha256:{hashlib.sha256(lines).hexdigest()}",
            files=len(rows),
            size_bytes=size_bytes,
        )


@pytest.fixture(scope="module")
def attacked(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Path, Quick]]:
    """A world with ``orders`` (dvc) registered, a copy of its innocent vault, and Ken, the victim."""
    world.register("orders", "dvc")
    clone = world.ken.cwd / "first"
    world.ken.run("git", "clone", "--quiet", world.vault / "git/keeps/keep.git", clone)
    world.ken.datakeep("key", "create", cwd=clone)
    innocent = tmp_path_factory.mktemp("innocent") / "vault"
    shutil.copytree(world.vault, innocent)
    calls = Quick(world.ken, type(world.ken.run("true")))
    yield world, innocent, calls
    calls.close()


@pytest.fixture
def attacker(attacked: tuple[World, Path, Quick], tmp_path: Path) -> Attacker:
    """The vault as it was, open to attack."""
    world, innocent, _ = attacked
    shutil.rmtree(world.vault)
    shutil.copytree(innocent, world.vault)
    return Attacker(world.vault, tmp_path / "canary")


@dataclass
class Victim:
    """Ken, who clones the keep and calls datakeep in it."""

    calls: Quick
    clone: Path

    def refused(self, *argv: str | Path, code: int, said: str) -> None:
        """The call ends with ``code`` and gives the reason."""
        ran = self.calls.datakeep(*argv, cwd=self.clone, code=code)
        if code != 3:
            notes = ran.err.index("error: ")  # verify says what it is about to do
            assert said in error_of(replace(ran, err=ran.err[notes:])).text
        else:  # a verdict of verify
            assert said in ran.out + ran.err
            assert "who must act: " in ran.out


@pytest.fixture
def victim(
    attacked: tuple[World, Path, Quick], attacker: Attacker, tmp_path: Path
) -> Iterator[Callable[[], Victim]]:
    """Clones the attacked keep; afterwards, nothing was run, and nothing written outside of the clone."""
    world, _, calls = attacked
    place = tmp_path / "victim"
    place.mkdir()
    made = []

    def come() -> Victim:
        world.ken.run("git", "clone", "--quiet", attacker.keep, place / "clone")
        made.append((files_below(world.ken.home), own_git_files(place / "clone")))
        return Victim(calls, place / "clone")

    yield come
    assert made
    assert not attacker.canary.exists(), "something of the attacker's was run"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["victim"]
    assert [path.name for path in place.iterdir()] == ["clone"]
    assert not list((place / "clone/datasets").glob("*/*")), "files came out of a repository that was refused"
    assert (files_below(world.ken.home), own_git_files(place / "clone")) == made[0]


def own_git_files(clone: Path) -> dict[str, str]:
    """What git obeys in a clone, and what an attacker would like to write."""
    return {
        path: digest
        for path, digest in files_below(clone / ".git").items()
        if path.startswith(("hooks", "config"))
    }


RIGHT = "../../datasets/orders.git"
#: Name, address and further lines of the entry of ``datasets/orders``; and what is said of it.
GITMODULES = {
    "url-option": ("datasets/orders", "--upload-pack=touch {canary}", "", "option of git"),
    "url-program": ("datasets/orders", "ext::sh -c touch% {canary}", "", "names a program to run"),
    "url-ssh-option": ("datasets/orders", "ssh://-oProxyCommand=touch% {canary}/x", "", "option of ssh"),
    "url-outside": ("datasets/orders", "../" * 40 + "x", "", "leads above"),
    "name-outside": ("../../x", RIGHT, "", "outside of .git/modules"),
    "name-option": ("--x", RIGHT, "", "read as an option"),
    "update-command": ("datasets/orders", RIGHT, "update = !touch {canary}", "names a program to run"),
    "stated-twice": ("datasets/orders", RIGHT, "url = -x", "twice"),
}


@pytest.mark.parametrize("attack", GITMODULES)
def test_gitmodules_of_the_keep(attacker: Attacker, victim: Callable[[], Victim], attack: str) -> None:
    name, url, more, said = GITMODULES[attack]
    text = f'[submodule "{name}"]\n\tpath = datasets/orders\n\turl = {url}\n\t{more}\n'
    attacker.write(attacker.keep, {".gitmodules": text.format(canary=attacker.canary).encode()})
    ken = victim()
    ken.refused("verify", "orders", code=3, said=said)
    if attack != "url-outside":  # a checkout takes the registered address, which a wrong one does not change
        ken.refused("checkout", "orders", code=24, said=said)
    ken.calls.datakeep("show", "orders", cwd=ken.clone)


TREES = {
    "link-onto-hooks": ({"data/hooks": ("120000", b"../.git/hooks")}, "is a symbolic link"),
    "link-outside": ({"reference": ("120000", b"/tmp")}, "is a symbolic link"),
    "git-folder": ({".git/hooks/post-checkout": ("100755", b"#!/bin/sh\ntouch CANARY\n")}, "'.git"),
    "git-alias": ({"data/GIT~1/config": b"[core]\n\tfsmonitor = touch CANARY\n"}, "'GIT~1'"),
    "submodule": (
        {
            ".gitmodules": b'[submodule "x"]\n\tpath = x\n\turl = -x\n\tupdate = !touch CANARY\n',
            "x": ("160000", b"1" * 40),
        },
        "is a submodule",
    ),
    "parents": ({"data/../../x": b"x"}, "'..'"),
}


@pytest.mark.parametrize("attack", TREES)
def test_tree_of_the_dataset(attacker: Attacker, victim: Callable[[], Victim], attack: str) -> None:
    changes, said = TREES[attack]
    attacker.change_dataset(changes)
    ken = victim()
    ran = ken.calls.datakeep("verify", "orders", cwd=ken.clone, code=3)
    assert "FAILED orders@v1 at access" in ran.out
    # git's own check of objects may be the one that refuses, before ours sees the tree
    assert said in ran.out or "git refuses as unsafe" in ran.out
    out = ken.calls.datakeep("checkout", "orders", cwd=ken.clone, code=None)
    assert out.code in (21, 24), out.err
    error_of(out)


@pytest.mark.parametrize("path", ["../../x", "/tmp/datakeep-x", "a/../../../x", ".git/hooks/post-checkout"])
def test_paths_in_the_dir_object(attacker: Attacker, victim: Callable[[], Victim], path: str) -> None:
    rows = attacker.rows()
    listed = {row.path: row.md5.hex() for row in rows} | {path: rows[0].md5.hex()}
    attacker.list_files(rows, listed=listed)
    ken = victim()
    ken.refused("verify", "orders", code=3, said=f"'{path}'")
    ken.refused("checkout", "orders", code=22, said="do not list the same files")
    assert not Path("/tmp/datakeep-x").exists()


@pytest.mark.parametrize("path", [".git/config", "../../x", "/tmp/datakeep-x", "sub/.GIT/config", "data\nx"])
def test_paths_in_the_inventory(attacker: Attacker, victim: Callable[[], Victim], path: str) -> None:
    rows = attacker.rows()
    evil = f"[core]\n\tfsmonitor = touch {attacker.canary}\n".encode()
    attacker.store(evil)
    md5, sha256 = hashlib.md5(evil).digest(), hashlib.sha256(evil).digest()
    attacker.list_files([*rows, FileEntry(path, len(evil), md5, sha256, None)])
    ken = victim()
    ken.refused("verify", "orders", code=3, said=f"{path!r}")
    ken.refused("checkout", "orders", code=24, said=f"{path!r}")
    assert not Path("/tmp/datakeep-x").exists()


def test_yaml_bomb_in_the_manifest(attacker: Attacker, victim: Callable[[], Victim]) -> None:
    attacker.change_dataset({"dataset.yaml": BOMB.encode()})
    victim().refused("verify", "orders", code=3, said="YAML bomb")


def test_yaml_bomb_in_a_register_entry(attacker: Attacker, victim: Callable[[], Victim]) -> None:
    text = attacker.read(attacker.keep, ENTRY).decode()
    attacker.write(attacker.keep, {"register/bomb/v1.yaml": (text + BOMB).encode()})
    ken = victim()
    for argv in (("show", "bomb"), ("verify", "bomb"), ("checkout", "bomb")):
        ken.refused(*argv, code=14, said="YAML bomb")
    assert "YAML bomb" in ken.calls.datakeep("log", "bomb", cwd=ken.clone).out
    listed = ken.calls.datakeep("list", cwd=ken.clone)
    assert "orders" in listed.out
    assert "register/bomb/v1.yaml" in listed.err


def test_yaml_bomb_in_keep_yaml(attacker: Attacker, victim: Callable[[], Victim]) -> None:
    text = attacker.read(attacker.keep, "keep.yaml").decode()
    attacker.write(attacker.keep, {"keep.yaml": (text + BOMB).encode()})
    ken = victim()
    for argv in (("list",), ("show", "orders"), ("verify", "orders"), ("checkout", "orders")):
        ken.refused(*argv, code=14, said="YAML bomb")


def test_a_register_entry_of_another_place(attacker: Attacker, victim: Callable[[], Victim]) -> None:
    """An entry cannot pass off another dataset's version as its own, nor run through its name."""
    text = attacker.read(attacker.keep, ENTRY)
    attacker.write(
        attacker.keep,
        {"register/other/v1.yaml": text, f"register/$(touch {attacker.canary.name})/v1.yaml": text},
    )
    ken = victim()
    ken.refused("show", "other", code=22, said="says that it is orders@v1")
    assert "orders" in ken.calls.datakeep("list", cwd=ken.clone).out


ADDRESSES = {
    "option": ("--upload-pack=touch {canary}", "read as an option"),
    "program": ("ext::sh -c touch% {canary}", "names a program to run"),
    "ssh-option": ("ssh://-oProxyCommand=touch%20{canary}/x", "read as an option of ssh"),
}


@pytest.mark.parametrize("attack", ADDRESSES)
def test_address_of_the_vault(attacker: Attacker, victim: Callable[[], Victim], attack: str) -> None:
    address, said = (text.format(canary=attacker.canary) for text in ADDRESSES[attack])

    def change(data: dict[str, Any]) -> None:
        data["vault"]["git"] = address
        data["vault"]["create_command"] = ["touch", str(attacker.canary)]

    attacker.change_yaml("keep.yaml", change)
    ken = victim()
    ken.refused("verify", "orders", code=3, said=said)
    ken.refused("checkout", "orders", code=24, said=said)
    ken.calls.datakeep("list", cwd=ken.clone)


@pytest.mark.parametrize("attack", ADDRESSES)
def test_address_of_the_training_code(attacker: Attacker, victim: Callable[[], Victim], attack: str) -> None:
    address, said = (text.format(canary=attacker.canary) for text in ADDRESSES[attack])
    reference = {
        "code": {"url": address, "commit": "1" * 40},
        "environment": {"lock": "uv.lock", "python": "3.11"},
        "command": "python train.py --data {data} --out {out}",
        "metrics": "metrics.json",
        "expect": {"accuracy": {"value": 1, "tolerance": 0}},
    }
    attacker.change_manifest(lambda data: data.update(reference=reference))
    ken = victim()
    ken.refused("verify", "orders", code=3, said=said)


def test_what_show_prints_to_be_typed_is_quoted(attacker: Attacker, victim: Callable[[], Victim]) -> None:
    attacker.change_yaml(ENTRY, lambda data: data.update(repository=f"x; touch {attacker.canary}"))
    ken = victim()
    shown = ken.calls.datakeep("show", "orders", cwd=ken.clone, code=3).out
    assert "register/orders/v1.yaml was edited after it was recorded" in shown
    line = next(line for line in shown.splitlines() if "git clone" in line)
    typed = line[line.index("git clone") : line.index("; its README")]
    assert (
        subprocess.run(["bash", "-c", typed], cwd=ken.clone, check=False).returncode == 128
    )  # no such repository


def test_terminal_codes_in_a_register_entry(attacker: Attacker, victim: Callable[[], Victim]) -> None:
    attacker.change_yaml(ENTRY, lambda data: data["manifest"].update(purpose="\x1b]0;owned\x07"))
    ken = victim()
    ken.refused("show", "orders", code=14, said="a control character")
    assert "\x1b]" not in ken.calls.datakeep("list", cwd=ken.clone, code=3).out


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "\x00" * 100, '{"payload": "e30=", "payloadType": "x", "signatures": []}']
)
def test_a_proof_that_is_none(attacker: Attacker, victim: Callable[[], Victim], text: str) -> None:
    attacker.write(attacker.keep, {"proofs/orders/v1/2026-11-23T070411Z-ken.dsse.json": text.encode()})
    ken = victim()
    shown = ken.calls.datakeep("show", "orders", cwd=ken.clone, code=3)
    assert "proves nothing: malformed" in shown.out
    assert "- invalid" in shown.out


def test_two_gigabytes_in_the_place_of_an_inventory(attacker: Attacker, victim: Callable[[], Victim]) -> None:
    pointer = dvc_format.parse_pointer_file(
        attacker.read(attacker.dataset, "inventory.parquet.dvc"), what="x"
    )
    attacker.store_huge(pointer.md5)
    ken = victim()
    ken.refused("verify", "orders", code=3, said="it is larger than 1.1 MB")
    ken.refused("checkout", "orders", code=22, said="it is larger than 1.1 MB")


def test_two_gigabytes_in_the_place_of_a_dir_object(attacker: Attacker, victim: Callable[[], Victim]) -> None:
    pointer = dvc_format.parse_pointer_file(attacker.read(attacker.dataset, "data.dvc"), what="x")
    attacker.store_huge(pointer.md5)
    victim().refused("verify", "orders", code=3, said="it is larger than 1.1 MB")


def test_two_gigabytes_in_the_place_of_a_small_file(attacker: Attacker, victim: Callable[[], Victim]) -> None:
    row = attacker.rows()[0]
    attacker.store_huge(row.md5.hex())
    ken = victim()
    ken.refused("verify", "orders", code=3, said=f"it has more than the registered {row.size_bytes} bytes")
    ken.refused("checkout", "orders", code=22, said=row.path)


def test_two_gigabytes_declared_for_a_small_file(attacker: Attacker, victim: Callable[[], Victim]) -> None:
    first, *rows = attacker.rows()
    large = FileEntry(first.path, GIGABYTES, first.md5, first.sha256, None)
    attacker.list_files([large, *rows])
    ken = victim()
    ken.refused("verify", "orders", code=3, said=f"it has {first.size_bytes} bytes instead of {GIGABYTES}")


def test_two_gigabytes_declared_in_the_register_alone(
    attacker: Attacker, victim: Callable[[], Victim]
) -> None:
    attacker.change_yaml(ENTRY, lambda data: data.update(size_bytes=GIGABYTES))
    ken = victim()
    ken.refused("verify", "orders", code=3, said=f"its register entry says 5 files of {GIGABYTES:,} bytes")
    ken.refused("checkout", "orders", code=22, said=f"its register entry says 5 files of {GIGABYTES:,} bytes")


@pytest.mark.long
def test_two_gigabytes_of_zeros_in_a_small_pack(
    attacker: Attacker, victim: Callable[[], Victim], tmp_path: Path
) -> None:
    zeros = tmp_path / "victim" / "zeros"
    with zeros.open("wb") as file:
        file.truncate(GIGABYTES)
    made = attacker.git(attacker.dataset, "hash-object", "-w", str(zeros))
    zeros.unlink()
    before = attacker.git(attacker.dataset, "ls-tree", "main")
    tree = attacker.git(attacker.dataset, "mktree", stdin=f"{before}\n100644 blob {made}\tzeros\n".encode())
    commit = attacker.git(attacker.dataset, "commit-tree", tree, "-p", "main", "-m", "x")
    for name in ("heads/main", "tags/v1"):
        attacker.git(attacker.dataset, "update-ref", f"refs/{name}", commit)
    attacker.change_yaml(ENTRY, lambda data: data.update(commit=commit))
    ken = victim()
    ken.refused("verify", "orders", code=3, said="are allowed")
    ken.refused("checkout", "orders", code=24, said="are allowed")
