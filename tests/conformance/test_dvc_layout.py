"""The real dvc judges what the store room writes, and the store room reads what the real dvc wrote."""

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from hypothesis import given, settings
from hypothesis import strategies as st

from datakeep.core.paths import refusals
from datakeep.core.progress import Silent
from datakeep.formats.inventory import FileEntry, Inventory
from datakeep.store.dvc_format import (
    FOLDER_GITIGNORE,
    dvc_config,
    object_key,
    parse_pointer_file,
    parse_tree_object,
    pointer_file,
    tree_object,
)
from datakeep.store.fetch import fetch
from datakeep.store.ingest import ingest, put_bytes
from datakeep.store.opening import create_store, open_store
from datakeep.store.rehash import rehash
from datakeep.store.scan import scan
from datakeep.store.verified import fetch_object

DVC = Path(sys.executable).with_name("dvc")
# Names that tripped other tools, and files that dvc itself could take for its own.
FILES = {
    "a b.csv": b"1,2\n",
    "deep/er/b.bin": b"\0\r\n" * 2_000_000,
    "deep/twin": b"1,2\n",
    "empty": b"",
    "日本/é.csv": "語".encode(),
    "x.dvc": b"outs: not one of ours\n",
    "dvc.yaml": b"stages: 3\n",
    ".gitignore": b"*\n",
    "-dash": b"-",
    "quote\"d 'name'": b"q",
}


def run(*command, cwd, ok=True):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not ok, done.stdout + done.stderr
    return done.stdout


def git(*arguments, cwd):
    return run("git", "-c", "user.name=A", "-c", "user.email=a@corp.example", *arguments, cwd=cwd)


def write_source(folder):
    for path, data in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def files_in(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A clone of a dataset repository that was made without dvc; one of its stores needs quoting."""
    place = tmp_path_factory.mktemp("dvc")
    write_source(place / "source")
    urls = [("main", str(place / "an #odd, 'main' store")), ("nas", (place / "nas").as_uri())]
    stores = [create_store(name, url, keep="vision") for name, url in urls]
    inventory = ingest(scan([place / "source"]).files, stores, "orders", Silent())
    tree = put_bytes(tree_object(inventory), stores, "orders", directory=True)
    parquet = inventory.to_bytes()
    texts = {
        "data.dvc": pointer_file("data", tree, inventory.size_bytes, len(inventory)),
        "inventory.parquet.dvc": pointer_file(
            "inventory.parquet", put_bytes(parquet, stores, "orders"), len(parquet)
        ),
        ".gitignore": "/data\n/inventory.parquet\n",
        ".dvc/config": dvc_config(stores, "orders"),
        ".dvc/.gitignore": FOLDER_GITIGNORE,
    }
    for path, text in texts.items():
        (place / "made" / path).parent.mkdir(parents=True, exist_ok=True)
        (place / "made" / path).write_text(text)
    git("init", "-q", ".", cwd=place / "made")
    git("add", "-A", cwd=place / "made")
    git("commit", "-qm", "v1", cwd=place / "made")
    git("clone", "-q", str(place / "made"), str(place / "clone"), cwd=place)
    run(DVC, "pull", "-q", cwd=place / "clone")
    return place / "clone", inventory, stores


def test_dvc_pull_gives_the_bytes(dataset):
    clone, inventory, _ = dataset
    assert files_in(clone / "data") == FILES
    assert rehash(clone / "data", inventory, Silent()).is_whole
    assert (clone / "inventory.parquet").read_bytes() == inventory.to_bytes()


def test_dvc_finds_nothing_to_do(dataset):
    clone, _, _ = dataset
    assert json.loads(run(DVC, "status", "--json", cwd=clone)) == {}
    for remote in ("main", "nas"):
        assert json.loads(run(DVC, "status", "-c", "-r", remote, "--json", cwd=clone)) == {}
    assert git("status", "--porcelain", cwd=clone) == ""


def test_dvc_data_status_finds_everything_in_the_remote(dataset, monkeypatch, tmp_path):
    clone, inventory, stores = dataset
    command = (DVC, "data", "status", "--not-in-remote", "--granular", "--json")
    status = json.loads(run(*command, cwd=clone))
    assert not {key for key, value in status.items() if value and key not in ("git", "unchanged")}
    file = next(file for file in inventory.files if file.path == "-dash")
    victim = stores[0].root / object_key("orders", file.md5.hex())
    victim.rename(tmp_path / "kept")
    monkeypatch.setenv(
        "DVC_SITE_CACHE_DIR", str(tmp_path / "site")
    )  # without what it remembers of the remote
    try:
        assert json.loads(run(*command, cwd=clone))["not_in_remote"] == ["data/-dash"], "it does look"
    finally:
        (tmp_path / "kept").rename(victim)


def test_dvc_would_collect_nothing(dataset):
    """And it would, if there were something: its answer is not empty for another reason."""
    clone, _, stores = dataset
    collect = (DVC, "gc", "--workspace", "--cloud", "--dry", "--force", "-r")
    nothing = "No unused cache to remove from remote."
    for store in stores:
        assert run(*collect, store.name, cwd=clone).count(nothing) == 2, (
            "in DVC 3's layout and in the older one"
        )
        stray = store.root / "orders" / "files" / "md5" / "ee" / ("0" * 30)
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"stray")
        assert run(*collect, store.name, cwd=clone).count(nothing) == 1
        stray.unlink()


def test_dvc_would_write_the_same_pointers(dataset, tmp_path):
    """What `dvc add` makes of the same files is, byte for byte, what we wrote."""
    clone, _, stores = dataset
    write_source(tmp_path / "data")
    git("init", "-q", ".", cwd=tmp_path)
    run(DVC, "init", "-q", cwd=tmp_path)
    run(DVC, "add", "-q", "data", cwd=tmp_path)
    text = (tmp_path / "data.dvc").read_text()
    assert text == (clone / "data.dvc").read_text()
    name = parse_pointer_file(text, what="data.dvc").md5
    cached = (tmp_path / ".dvc/cache/files/md5" / name[:2] / name[2:]).read_bytes()
    assert fetch_object(name, stores, "orders", limit_bytes=10_000) == cached
    assert (tmp_path / ".dvc" / ".gitignore").read_text() == FOLDER_GITIGNORE


def test_what_dvc_pushed_is_read(tmp_path):
    write_source(tmp_path / "work" / "data")
    work = tmp_path / "work"
    create_store("main", str(tmp_path / "store"), keep="vision", now=datetime.now(UTC))
    git("init", "-q", ".", cwd=work)
    run(DVC, "init", "-q", cwd=work)
    run(DVC, "remote", "add", "-d", "main", str(tmp_path / "store" / "orders"), cwd=work)
    run(DVC, "add", "-q", "data", cwd=work)
    run(DVC, "push", "-q", cwd=work)
    store = open_store("main", str(tmp_path / "store"))
    pointer = parse_pointer_file((work / "data.dvc").read_text(), what="data.dvc")
    tree = parse_tree_object(
        fetch_object(pointer.md5, [store], "orders", limit_bytes=10_000), what="the list"
    )
    assert tree == {path: hashlib.md5(data).hexdigest() for path, data in FILES.items()}
    assert (pointer.size_bytes, pointer.nfiles) == (sum(map(len, FILES.values())), len(FILES))
    assert all(store.size_of(object_key("orders", md5)) is not None for md5 in tree.values())
    inventory = Inventory.of(
        FileEntry(path, len(data), hashlib.md5(data).digest(), hashlib.sha256(data).digest())
        for path, data in FILES.items()
    )
    assert fetch(inventory, [store], "orders", tmp_path / "out", Silent()).unavailable == []
    assert files_in(tmp_path / "out") == FILES


names = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3).map("/".join)
trees = st.dictionaries(names, st.binary(min_size=16, max_size=16), max_size=20)


safe_trees = trees.filter(lambda tree: not refusals(tree))


@given(safe_trees)
def test_a_tree_object_is_byte_for_byte_dvcs(tree):
    same_as_dvc(tree)


@pytest.mark.long
@settings(max_examples=1000, deadline=None)
@given(safe_trees)
def test_a_thousand_tree_objects_are_byte_for_byte_dvcs(tree):
    same_as_dvc(tree)


def same_as_dvc(tree):
    inventory = Inventory.of(FileEntry(path, 0, md5, b"\0" * 32) for path, md5 in tree.items())
    theirs = Tree()
    for path, md5 in tree.items():
        theirs.add(tuple(path.split("/")), None, HashInfo("md5", md5.hex()))
    assert tree_object(inventory) == theirs.as_bytes()
    assert parse_tree_object(theirs.as_bytes(), what="it") == {path: md5.hex() for path, md5 in tree.items()}
