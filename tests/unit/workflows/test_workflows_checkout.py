"""A checkout is whole or not there, and nobody's changes are lost by one."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from datakeep.core.errors import AlreadyExists, DamagedBytes, DatakeepError, UnknownName
from datakeep.workflows import checkout as module
from datakeep.workflows.checkout import checkout


def git(folder, *arguments):
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.rstrip("\n")


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def object_of(bench, name="orders", text=b"alpha"):
    return next(path for path in bench.objects(name).files if path.read_bytes() == text)


@pytest.fixture(params=["git", "dvc"])
def backend(request):
    return request.param


def test_the_default_place_is_a_submodule_that_git_is_content_with(bench, backend):
    entry = bench.register(backend=backend)
    done = checkout(bench.keep, "orders")
    place = bench.keep.root / "datasets" / "orders"
    assert (done.path, done.files, done.created, done.submodule) == (place, 3, True, True)
    assert files(place / "data") == files(bench.source)
    assert git(bench.keep.root, "submodule", "status") == f" {entry.commit} datasets/orders (v1)"
    assert git(bench.keep.root, "status", "--porcelain") == ""
    assert git(place, "status", "--porcelain") == ""
    assert git(place, "remote", "get-url", "origin") == entry.repository
    assert git(place, "describe", "--tags") == "v1"
    assert (place / "inventory.parquet").is_file()
    assert not list(bench.keep.cache("checkout").iterdir())
    assert checkout(bench.keep, "orders").created is False


def test_another_folder_gets_a_working_copy_of_its_own(bench, backend):
    bench.register(backend=backend)
    place = bench.folder / "elsewhere" / "注文"
    assert checkout(bench.keep, "orders@v1", place).submodule is False
    assert files(place / "data") == files(bench.source)
    assert git(place, "status", "--porcelain") == ""
    assert [path.name for path in place.parent.iterdir()] == ["注文"]
    git(place, "fetch", "origin")
    assert not (bench.keep.root / "datasets" / "orders" / ".git").exists()


def test_plain_dvc_is_content_with_it(bench):
    bench.register()
    place = bench.folder / "copy"
    checkout(bench.keep, "orders", place)
    dvc = [str(Path(sys.executable).with_name("dvc"))]
    said = subprocess.run([*dvc, "status"], cwd=place, check=True, capture_output=True, text=True).stdout
    assert said.strip() == "Data and pipelines are up to date."
    before = files(place / "data")
    subprocess.run([*dvc, "pull"], cwd=place, check=True, capture_output=True)
    assert files(place / "data") == before
    assert git(place, "status", "--porcelain") == ""


@pytest.mark.parametrize("what", ["a file", "a full folder", "a link", "in a dataset", "in the keep"])
def test_a_place_that_is_taken_is_refused_and_left_as_it_is(bench, what):
    bench.register(backend="git")
    place = bench.folder / "copy"
    if what == "a file":
        place.write_text("mine")
    elif what == "a full folder":
        place.mkdir()
        (place / "mine").write_text("mine")
    elif what == "a link":
        place.symlink_to(bench.source)
    elif what == "in a dataset":
        checkout(bench.keep, "orders", place)
        place = place / "data" / "inner"
    else:
        place = bench.keep.root / "mine"
    before = files(bench.folder / "copy") if (bench.folder / "copy").is_dir() else None
    with pytest.raises(AlreadyExists):
        checkout(bench.keep, "orders", place)
    assert before is None or files(bench.folder / "copy") == before


def test_an_empty_folder_will_do_and_an_unknown_name_makes_none(bench):
    bench.register(backend="git")
    place = bench.folder / "copy"
    place.mkdir()
    assert checkout(bench.keep, "orders", place).created
    with pytest.raises(UnknownName):
        checkout(bench.keep, "orders@v9", bench.folder / "other")
    assert not (bench.folder / "other").exists()


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
@pytest.mark.parametrize("submodule", [True, False])
def test_bytes_that_are_whole_in_no_store_leave_nothing_and_are_named(bench, damage, submodule):
    bench.register()
    path = object_of(bench)
    data = path.read_bytes()
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "truncate" else bytes([data[0] ^ 0xFF]) + data[1:])
    place = None if submodule else bench.folder / "copy"
    with pytest.raises(DamagedBytes) as caught:
        checkout(bench.keep, "orders", place)
    error = caught.value
    assert "orders@v1" in error.what
    assert "a.txt" in error.what
    assert "main" in error.what
    assert {thing.partition(":")[0] for thing in error.things} == {"a.txt", "same.txt"}
    assert "aiko@corp.example" in error.next_step
    assert "administrator" in error.next_step
    assert not (bench.folder / "copy").exists()
    assert not (bench.keep.root / "datasets" / "orders" / ".git").exists()
    assert not list(bench.keep.cache().glob("checkout/.*"))


def test_a_damaged_inventory_is_named_too(bench):
    entry = bench.register()
    wanted = entry.inventory.removeprefix("sha256:")
    path = next(
        one for one in bench.objects().files if hashlib.sha256(one.read_bytes()).hexdigest() == wanted
    )
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(DamagedBytes, match="inventory"):
        checkout(bench.keep, "orders", bench.folder / "copy")
    assert not (bench.folder / "copy").exists()


def test_another_version_takes_the_place_of_an_unchanged_one(bench, backend):
    bench.register(backend=backend)
    checkout(bench.keep, "orders")
    (bench.source / "new.txt").write_text("new")
    newer = bench.update(source=bench.source)
    place = bench.keep.root / "datasets" / "orders"
    checkout(bench.keep, "orders")
    assert git(place, "rev-parse", "HEAD") == newer.commit
    assert (place / "data" / "new.txt").read_text() == "new"
    assert git(bench.keep.root, "status", "--porcelain") == ""
    checkout(bench.keep, "orders@v1")
    assert not (place / "data" / "new.txt").exists()
    assert git(place, "status", "--porcelain") == ""
    assert git(place, "fsck") == ""


@pytest.mark.parametrize("change", ["data", "stray", "document", "ignored", "commit"])
def test_changes_in_the_submodule_are_never_lost(bench, change):
    bench.register()
    checkout(bench.keep, "orders")
    place = bench.keep.root / "datasets" / "orders"
    (bench.source / "new.txt").write_text("new")
    bench.update(source=bench.source)
    mine = {"data": "data/a.txt", "stray": "data/mine.txt", "document": "notes.md", "ignored": "mine.log"}
    if change == "commit":
        git(place, "commit", "--allow-empty", "-m", "mine")
    else:
        path = place / mine[change]
        path.write_text("mine")
        if change == "ignored":
            exclude = Path(git(place, "rev-parse", "--path-format=absolute", "--git-path", "info/exclude"))
            exclude.parent.mkdir(exist_ok=True)
            exclude.write_text("*.log\n")
    head = git(place, "rev-parse", "HEAD")
    with pytest.raises(AlreadyExists):
        checkout(bench.keep, "orders")
    assert git(place, "rev-parse", "HEAD") == head
    assert change == "commit" or path.read_text() == "mine"


def test_missing_data_of_a_plain_submodule_is_filled_in(bench):
    bench.register()
    git(
        bench.keep.root,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "update",
        "--init",
        "datasets/orders",
    )
    place = bench.keep.root / "datasets" / "orders"
    assert not (place / "data").exists()
    assert checkout(bench.keep, "orders").created
    assert files(place / "data") == files(bench.source)
    assert git(bench.keep.root, "status", "--porcelain") == ""


def test_what_a_killed_checkout_left_is_swept_away(bench):
    bench.register(backend="git")
    left = bench.keep.cache("checkout") / ".orders.datakeep-0123456789ab-4194305-ab"
    (left / "half").mkdir(parents=True)
    mine = bench.keep.cache("checkout") / f".orders.datakeep-0123456789ab-{os.getpid()}-cd"
    mine.mkdir()
    checkout(bench.keep, "orders")
    assert not left.exists()
    assert mine.exists()


@pytest.mark.parametrize("same", [True, False], ids=["same version", "another"])
def test_what_a_killed_checkout_of_the_version_had_fetched_is_used(bench, tmp_path, same):
    """Not trusted: a file that is wrong is fetched again, one that does not belong goes."""
    bench.register()
    commit = bench.keep.entry("orders").commit if same else "f" * 40
    left = tmp_path / f".there.datakeep-{commit[:12]}-4194305-ab" / "checkout" / "data"
    shutil.copytree(bench.source, left)
    (left / "stray.txt").touch()
    first = min(path for path in left.rglob("*") if path.is_file() and path.stat().st_size)
    first.write_bytes(bytes(first.stat().st_size))
    said = []
    bench.keep.progress.note = said.append
    checkout(bench.keep, "orders", tmp_path / "there")
    assert files(tmp_path / "there" / "data") == files(bench.source)
    assert not list(tmp_path.glob(".there*"))
    assert any("interrupted checkout" in text for text in said) == same


def test_a_failure_while_placing_brings_the_old_checkout_back(bench, monkeypatch):
    bench.register(backend="git")
    checkout(bench.keep, "orders")
    bench.update(purpose="another")
    place = bench.keep.root / "datasets" / "orders"
    before = files(place)

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.working, "become_submodule", fail)
    with pytest.raises(KeyboardInterrupt):
        checkout(bench.keep, "orders")
    assert files(place) == before


def test_a_deinitialised_submodule_comes_back_with_its_own_branches(bench):
    bench.register(backend="git")
    checkout(bench.keep, "orders")
    place = bench.keep.root / "datasets" / "orders"
    git(place, "branch", "mine")
    git(bench.keep.root, "submodule", "deinit", "datasets/orders")
    checkout(bench.keep, "orders")
    assert "mine" in git(place, "branch", "--list", "mine")
    assert git(bench.keep.root, "status", "--porcelain") == ""
    assert git(place, "status", "--porcelain") == ""


def test_a_git_vault_that_lost_the_bytes_gives_no_checkout(bench):
    bench.register(backend="git")
    shutil.rmtree(bench.keep.cache("datasets"))
    for path in (bench.folder / "keep.vault/git/datasets/orders.git/objects").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(DatakeepError):
        checkout(bench.keep, "orders", bench.folder / "copy")
    assert not (bench.folder / "copy").exists()
