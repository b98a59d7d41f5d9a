"""The lies that DVC believes: damage in the vault that leaves `dvc pull` and `dvc status` content.

Each must end in exit code 3 at the stage bytes, with the file's path, the version and who must act.
"""

from __future__ import annotations

import json
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from world import World


def flip(file: Path) -> None:
    """One bit differs; size and time stay."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def delete(file: Path) -> None:
    file.unlink()


DAMAGES = (flip, empty, delete)


@contextmanager
def damaged(file: Path, how: Callable[[Path], None]) -> Iterator[None]:
    """``file`` is damaged within the block, and as it was after it."""
    saved = file.with_name(f"{file.name}.saved")
    shutil.copy2(file, saved)
    file.chmod(0o644)
    try:
        how(file)
        yield
    finally:
        saved.replace(file)


def pointed_to(world: World, pointer: str, store: Path) -> Path:
    """The object that a .dvc file of the newest commit points to."""
    repository = world.vault / "git" / "datasets" / "orders.git"
    text = world.aiko.run("git", "--git-dir", repository, "show", f"main:{pointer}").out
    found = re.search(r"md5: ([0-9a-f]{2})([0-9a-f]{30}\S*)", text)
    assert found
    return store / "orders" / "files" / "md5" / found[1] / found[2]


def object_of(world: World, path: str, store: Path) -> Path:
    """The object of one file of the data."""
    listing = json.loads(pointed_to(world, "data.dvc", store).read_bytes())
    md5 = next(item["md5"] for item in listing if item["relpath"] == path)
    return store / "orders" / "files" / "md5" / md5[:2] / md5[2:]


def failed_bytes(world: World, name: str) -> dict[str, Any]:
    """What the verification says, which must fail at the stage bytes and name the vault's administrator."""
    said = world.aiko.datakeep("verify", name, "--json", cwd=world.keep, code=3).data
    assert (said["result"], said["at_fault"], said["who_must_act"]) == ("failed", "bytes", "administrator")
    assert [stage["result"] for stage in said["stages"]] == ["passed", "failed", *["not run"] * 4]
    assert "restore" in said["next"]
    return said["stages"][1]


@pytest.fixture(scope="module")
def registered(world: World) -> World:
    world.register("orders", "dvc")
    return world


@pytest.mark.parametrize("how", DAMAGES)
def test_a_bad_object(registered: World, how: Callable[[Path], None]) -> None:
    with damaged(object_of(registered, "train/orders.csv", registered.vault / "data"), how):
        said = failed_bytes(registered, "orders")
        assert "orders@v1" in said["what"]
        assert "data/train/orders.csv" in said["what"]
        assert "4/5 files present and matching" in said["what"]
        assert [line for line in said["evidence"] if "train/orders.csv" in line and "store main" in line]


def test_a_bad_object_of_two_files_names_both_and_says_so_in_words(registered: World) -> None:
    with damaged(object_of(registered, "same-b.bin", registered.vault / "data"), delete):
        ran = registered.aiko.datakeep("verify", "orders", cwd=registered.keep, code=3)
    assert "FAILED orders@v1 at bytes" in ran.out
    assert "data/same-a.bin" in ran.out
    assert "data/same-b.bin" in ran.out
    assert "who must act: the vault's administrator" in ran.out


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("pointer", ["data.dvc", "inventory.parquet.dvc"])
def test_a_bad_list_of_files(registered: World, pointer: str, how: Callable[[Path], None]) -> None:
    with damaged(pointed_to(registered, pointer, registered.vault / "data"), how):
        said = failed_bytes(registered, "orders")
        assert "orders@v1" in said["what"]
        assert pointer.removesuffix(".dvc") in said["what"]
        assert [line for line in said["evidence"] if "store main" in line]


def test_a_whole_list_of_other_files_is_not_believed(registered: World) -> None:
    """Every object is whole, and the commit is the registered one; only the listing swaps two files' contents."""
    file = pointed_to(registered, "data.dvc", registered.vault / "data")

    def swap(listing: Path) -> None:
        items = json.loads(listing.read_bytes())
        items[0]["md5"], items[-1]["md5"] = items[-1]["md5"], items[0]["md5"]
        listing.write_text(json.dumps(items, sort_keys=True))

    with damaged(file, swap):
        assert "data.dvc" in failed_bytes(registered, "orders")["what"]


def test_a_second_store_makes_good_and_the_bad_copy_is_named(
    new_world: Callable[..., World], tmp_path: Path
) -> None:
    stores = [tmp_path / "first", tmp_path / "second"]
    world = new_world("--vault-data", stores[0], "--vault-data", stores[1])
    world.register("orders", "dvc")
    world.reference("orders")
    bad = [
        object_of(world, "train/orders.csv", stores[0]),
        pointed_to(world, "data.dvc", stores[0]),
        pointed_to(world, "inventory.parquet.dvc", stores[0]),
    ]
    for file, how in zip(bad, DAMAGES, strict=True):
        how(file)
    said = world.aiko.datakeep("verify", "orders", "--json", cwd=world.keep).data
    assert said["result"] == "passed"
    file = YAML(typ="safe").load((world.keep / "keep.yaml").read_text("utf-8"))
    warned = [
        line
        for line in said["stages"][1]["warnings"]
        if f"store {file['vault']['stores'][0]['name']}" in line
    ]
    for path in ("train/orders.csv", "data.dvc", "inventory.parquet"):
        assert [line for line in warned if path in line], path
    assert len(warned) == 3


@pytest.fixture(scope="module")
def in_git(world: World) -> Path:
    """The repository of a dataset that is in the vault as git's own objects."""
    world.register("plain", "git")
    return world.vault / "git" / "datasets" / "plain.git"


def loose(world: World, repository: Path, path: str) -> Path:
    name = world.aiko.run("git", "--git-dir", repository, "rev-parse", f"v1:{path}").out.strip()
    return repository / "objects" / name[:2] / name[2:]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_bad_object_of_git(world: World, in_git: Path, how: Callable[[Path], None]) -> None:
    path = "data/注文の説明.txt"
    with damaged(loose(world, in_git, path), how):
        said = failed_bytes(world, "plain")
        assert "plain@v1" in said["what"]
        assert path in said["what"]
        assert len(said["evidence"]) == 1


def test_a_bad_pack_of_git(world: World, in_git: Path) -> None:
    """After `git gc` all objects are in one file; a flipped bit there still has the path of one file."""
    whole = in_git.with_name("whole")
    shutil.copytree(in_git, whole)
    try:
        world.aiko.run("git", "--git-dir", in_git, "gc", "--quiet")
        (pack,) = (in_git / "objects" / "pack").glob("*.pack")
        name = world.aiko.run("git", "--git-dir", in_git, "rev-parse", "v1:data/train/orders.csv").out.strip()
        listed = world.aiko.run("git", "--git-dir", in_git, "verify-pack", "-v", pack).out
        size, offset = next(line.split()[3:5] for line in listed.splitlines() if line.startswith(name))
        pack.chmod(0o644)
        data = bytearray(pack.read_bytes())
        data[int(offset) + int(size) - 8] ^= 1
        pack.write_bytes(data)
        said = failed_bytes(world, "plain")
        assert "plain@v1" in said["what"]
        assert "data/train/orders.csv" in said["what"]
    finally:
        shutil.rmtree(in_git)
        whole.rename(in_git)


def test_a_lost_version_of_git(world: World, in_git: Path) -> None:
    """The commit itself is gone: there is no path to name, but the version and the place are."""
    name = world.aiko.run("git", "--git-dir", in_git, "rev-parse", "v1^{commit}").out.strip()
    with damaged(in_git / "objects" / name[:2] / name[2:], delete):
        said = failed_bytes(world, "plain")
        assert "plain@v1" in said["what"]
        assert str(in_git) in said["what"]
