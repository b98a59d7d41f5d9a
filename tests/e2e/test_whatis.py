"""``whatis``: from nothing but a hash, an object, a URL or a file to the dataset, its versions and its owner."""

from __future__ import annotations

import hashlib
import json

import pytest
from world import FACTS


@pytest.fixture(scope="module")
def filled(new_world):
    """``orders`` in two versions (dvc), and the same bytes as ``tab`` (git); a model recorded by hand."""
    world = new_world()
    world.register("orders")
    (world.orders / "new.txt").write_text("only in v2")
    world.aiko.datakeep("update", "orders", world.orders, "-m", "more", cwd=world.keep)
    world.aiko.datakeep(
        "register", "tab", world.orders / "注文の説明.txt", "--backend", "git", *FACTS, cwd=world.keep
    )
    return world


def asked(world, subject, *more, code=0, who=None, cwd=None):
    done = (who or world.aiko).datakeep("whatis", subject, "--json", *more, cwd=cwd or world.keep, code=code)
    return done.data


def kinds(data):
    return {(one["what"], one["name"]) for one in data["meanings"]}


def both(path):
    data = path.read_bytes()
    return hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()


def test_a_hash_its_beginning_and_the_file_itself_are_one_answer(filled):
    path = filled.orders / "train" / "orders.csv"
    md5, sha256 = both(path)
    copy = filled.aiko.cwd / "別名"
    copy.write_bytes(path.read_bytes())
    for subject in (md5, sha256, md5[:8], sha256[:9].upper(), f"sha256:{sha256}", f"md5:{md5}", copy):
        (one,) = asked(filled, subject)["meanings"]
        assert (one["what"], one["name"], one["versions"]) == ("a file", "orders", ["v1", "v2"])
        assert one["paths"] == ["train/orders.csv"]
        assert one["owner"] == "Aiko Tanaka <aiko@corp.example>"
        assert one["repository"].endswith("/git/datasets/orders.git")
        assert one["stores"] == ["main"]
    (one,) = asked(filled, filled.orders / "new.txt")["meanings"]
    assert one["versions"] == ["v2"]


def test_equal_bytes_in_two_datasets_and_under_two_paths_are_all_named(filled):
    data = asked(filled, filled.orders / "注文の説明.txt")
    assert kinds(data) == {("a file", "orders"), ("a file", "tab")}
    (one,) = asked(filled, filled.orders / "same-a.bin")["meanings"]
    assert one["paths"] == ["same-a.bin", "same-b.bin"]
    done = filled.aiko.datakeep("whatis", filled.orders / "注文の説明.txt", cwd=filled.keep)
    assert "a file of tab" in done.out
    assert "owner" in done.out


def test_every_object_of_the_store_is_known_by_its_path_and_as_a_url(filled):
    root = filled.vault / "data"
    objects = [path for path in root.rglob("*") if path.is_file() and "files/md5" in path.as_posix()]
    assert len(objects) > 6
    for path in objects[:9]:
        for subject in (path, f"s3://bucket/keep/{path.relative_to(root).as_posix()}"):
            assert "orders" in {name for _, name in kinds(asked(filled, subject))}, path
    (folder,) = [one for one in objects if one.name.endswith(".dir")][:1]
    name = "".join(folder.parts[-2:])
    assert kinds(asked(filled, name)) == {("the list of the files (a .dir object)", "orders")}


def test_an_object_whose_bytes_are_not_its_own_is_told_apart(filled):
    path = filled.aiko.cwd / "copy" / "orders" / "files" / "md5" / "ab" / ("c" * 30)
    path.parent.mkdir(parents=True)
    path.write_text("not those bytes")
    done = filled.aiko.datakeep("whatis", path, cwd=filled.keep, code=3)
    assert "its bytes are not what its name says" in done.out
    assert "the dataset orders lie, of Aiko Tanaka" in done.out


def test_bundles_entries_commits_inventories_and_content_ids_are_known(filled):
    (bundle,) = (filled.vault / "data" / "tab").rglob("*.bundle")
    assert kinds(asked(filled, bundle)) == {("the bundle of this version", "tab")}
    entry = filled.aiko.datakeep("show", "orders@v1", "--json", cwd=filled.keep).data["entry"]
    assert kinds(asked(filled, entry["commit"])) == {("the commit", "orders")}
    assert kinds(asked(filled, entry["inventory"])) == {("the inventory", "orders")}
    assert kinds(asked(filled, entry["content"])) == {("the content id", "orders")}
    register = filled.keep / "register" / "orders" / "v1.yaml"
    assert kinds(asked(filled, register)) == {("the register entry", "orders")}


def test_what_is_not_known_is_exit_3_and_what_is_no_hash_is_refused(filled):
    assert asked(filled, "0" * 32, code=3)["known"] is False
    for subject in ("abc", "1234567", "no-such-file", filled.keep):
        filled.aiko.datakeep("whatis", subject, cwd=filled.keep, code=2)
    assert asked(filled, "0" * 64 + "0", code=2)["error"]["id"] == "usage-error"


def test_a_clone_says_what_it_did_not_search_and_never_no(filled):
    ken = filled.ken
    ken.run("git", "clone", "-q", filled.vault / "git" / "keeps" / "keep.git", "theirs", cwd=ken.cwd)
    theirs = ken.cwd / "theirs"
    md5, _ = both(filled.orders / "new.txt")
    data = asked(filled, md5, who=ken, cwd=theirs, code=4)
    assert "3 versions" in data["not_searched"][0]
    assert "orders@v2" in data["not_searched"][0]
    data = asked(filled, md5, "--fetch", who=ken, cwd=theirs)
    assert kinds(data) == {("a file", "orders")}
    assert data["not_searched"] == []
    assert kinds(asked(filled, md5, who=ken, cwd=theirs)) == {("a file", "orders")}


def test_a_model_is_known_by_its_file(filled):
    aiko = filled.aiko
    aiko.run("git", "clone", "-q", filled.keep, "modelled", cwd=aiko.cwd)
    clone, model = aiko.cwd / "modelled", aiko.cwd / "m.bin"
    model.write_bytes(b"a model")
    record = {
        "format": "datakeep/model/1", "model": "churn", "version": "v1",
        "artifacts": [{"path": "out/m.bin", "sha256": both(model)[1], "size_bytes": 7}], "inputs": [],
        "code": {}, "command": ["x"], "environment": {"kind": "uv"}, "resources": {}, "origin": "run",
    }  # fmt: skip
    (clone / "models" / "churn").mkdir(parents=True)
    (clone / "models" / "churn" / "v1.yaml").write_text(json.dumps(record))
    aiko.run("git", "add", "-A", cwd=clone)
    aiko.run("git", "commit", "-qm", "model", cwd=clone)
    (one,) = asked(filled, model, cwd=clone)["meanings"]
    assert (one["what"], one["name"], one["paths"]) == ("a model's file", "churn", ["m.bin"])
    assert one["next"] == "datakeep audit model:churn@v1"
