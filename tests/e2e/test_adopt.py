"""Adopting repositories that the real git and the real dvc made, as a user does it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from object_server import credentials
from seen import Quick, error_of, state

from datakeep.formats import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from object_server import ObjectServer
    from world import Person, Ran, World

CRLF = b"id,late\r\n1,yes\r\n2,no\r\n"


class Repository:
    """A repository of Aiko's, made with plain git and dvc; it is on no branch of datakeep's knowledge."""

    def __init__(self, person: Person, folder: Path, branch: str = "master") -> None:
        self.person, self.folder = person, folder
        folder.mkdir(parents=True)
        self.run("git", "init", "-q", "-b", branch, ".")

    def run(self, *argv: str | Path) -> str:
        return self.person.run(*argv, cwd=self.folder).out.strip()

    def dvc(self, *argv: str | Path) -> str:
        return self.run("dvc", *argv)

    def write(self, files: dict[str, bytes]) -> None:
        for path, data in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(data)

    def commit(self, message: str = "more") -> str:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)
        return self.run("git", "rev-parse", "HEAD")


def files_in(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def calls(world: World) -> Iterator[Quick]:
    quick = Quick(world.aiko, type(world.aiko.run("true")))
    yield quick
    quick.close()


@pytest.fixture
def adopt(world: World, calls: Quick, facts: tuple[str, ...]):
    def call(source: Path | str, name: str, *options: str | Path, code: int = 0) -> Ran:
        return calls.datakeep("adopt", source, "--name", name, *facts, *options, cwd=world.keep, code=code)

    return call


def seen(world: World) -> object:
    """All that may not change; good objects that were taken before a bad one was met may stay in the store."""
    now = state(world)
    return now | {
        "vault": {path: one for path, one in now["vault"].items() if not path.startswith("data/refused/")}
    }


@pytest.fixture
def refused(world: World, adopt):
    """The adoption ends with ``code``, says all of ``said``, and changed nothing that anyone can see."""

    def call(source: Path, *said: str, code: int, options: tuple[str, ...] = ()) -> None:
        before = seen(world)
        text = error_of(adopt(source, "refused", *options, code=code)).text
        assert all(part in text for part in said), text
        assert seen(world) == before
        assert not [left for left in (world.keep / ".datakeep/adopt").iterdir() if left.is_dir()]

    return call


@pytest.fixture
def of_git(world: World, tmp_path: Path) -> Repository:
    made = Repository(world.aiko, tmp_path / "notes")
    made.write(
        {
            "data/train.csv": CRLF,
            "data/語/b.bin": b"\0\r\n",
            "README.md": b"# Ours\n",
            ".gitattributes": b"*.csv -text\n",
            "train.py": b"print()\n",
        }
    )
    made.commit("first")
    made.run("git", "tag", "v1")
    made.run("git", "branch", "side")
    made.run("git", "tag", "-a", "release-1", "-m", "sent out")
    made.write({"train.py": b"print(2)\n"})
    made.commit("second")
    return made


@pytest.fixture
def of_dvc(world: World, tmp_path: Path) -> Repository:
    """Outputs in folders, a pipeline's, one in a remote of its own, and a file of git's below data/."""
    made = Repository(world.aiko, tmp_path / "bearings", "main")
    made.dvc("init", "-q")
    made.dvc("remote", "add", "-d", "main", tmp_path / "remote")
    made.dvc("remote", "add", "second", "../second")  # written as a path from .dvc
    (tmp_path / "second").mkdir()
    made.write(
        {"data/raw/a.csv": CRLF, "data/raw/deep/b.bin": b"\0b", "labels.csv": b"l\n", "img/p.png": b"p"}
    )
    made.write({"data/notes.txt": b"of git\n", "README.md": b"# Bearings\n"})
    made.dvc("add", "-q", "data/raw", "img", "labels.csv")
    pointer = made.folder / "labels.csv.dvc"
    pointer.write_text(pointer.read_text() + "  remote: second\n")
    stage = {
        "cmd": "mkdir out && echo made > out/made.txt && echo '{}' > m.json",
        "wdir": "work",
        "outs": ["out"],
    }
    stage |= {"metrics": [{"m.json": {"cache": False}}]}
    made.write({"work/.keep": b"", "dvc.yaml": yaml.dump({"stages": {"make": stage}}).encode()})
    made.dvc("repro", "-q")
    made.commit("with dvc")
    made.dvc("push", "-q")
    return made


OUTPUTS = {
    "raw/a.csv": CRLF,
    "raw/deep/b.bin": b"\0b",
    "notes.txt": b"of git\n",
    "labels.csv": b"l\n",
    "img/p.png": b"p",
    "work/out/made.txt": b"made\n",
}


def test_a_git_repository_keeps_history_and_bytes(
    world: World, calls: Quick, adopt, of_git: Repository, tmp_path: Path
) -> None:
    said = adopt(of_git.folder, "notes").out
    assert "(branch master), as notes@v2: 2 files" in said  # v1 is theirs
    assert "kept in docs/original/, " in said
    bare = ("git", "-C", world.vault / "git/datasets/notes.git")
    log = world.aiko.run(*bare, "log", "--format=%s", "main").out.splitlines()
    assert log[1:] == ["second", "first"]
    assert world.aiko.run(*bare, "rev-parse", "v1").out.strip() == of_git.run("git", "rev-parse", "v1")
    assert world.aiko.run(*bare, "cat-file", "-t", "release-1").out == "tag\n"
    for branch in ("side", "master"):
        there = world.aiko.run(*bare, "rev-parse", f"adopted/{branch}").out.strip()
        assert there == of_git.run("git", "rev-parse", branch)
    calls.datakeep("checkout", "notes", tmp_path / "out", cwd=world.keep)
    assert files_in(tmp_path / "out/data") == {"train.csv": CRLF, "語/b.bin": b"\0\r\n"}
    assert (tmp_path / "out/docs/original/README.md").read_text() == "# Ours\n"
    assert (tmp_path / "out/docs/original/gitattributes").read_text() == "*.csv -text\n"
    assert (tmp_path / "out/train.py").read_text() == "print(2)\n"
    assert "docs/original/README.md" in (tmp_path / "out/README.md").read_text()


def test_what_is_adopted_is_a_dataset_as_any_other(
    world: World, calls: Quick, adopt, of_git: Repository, of_dvc: Repository, tmp_path: Path
) -> None:
    for repository, name, version in ((of_git, "plain-git", "v2"), (of_dvc, "plain-dvc", "v1")):
        adopt(repository.folder, name)
        assert calls.datakeep("show", name, "--json", cwd=world.keep).data["entry"]["version"] == version
        (tmp_path / name).mkdir()
        (tmp_path / name / "new.csv").write_bytes(CRLF)
        calls.datakeep("update", name, tmp_path / name, "-m", "other data", cwd=world.keep)
        following = f"v{int(version[1:]) + 1}"
        told = calls.datakeep(
            "diff", f"{name}@{version}", f"{name}@{following}", "--json", cwd=world.keep, code=3
        )
        assert told.data["files"]["added"] == ["new.csv"]
        calls.datakeep("checkout", name, tmp_path / f"{name}-out", cwd=world.keep)
        assert files_in(tmp_path / f"{name}-out/data") == {"new.csv": CRLF}
    found = calls.datakeep("fsck", "--deep", "--json", cwd=world.keep, code=3).data
    assert not found["complaints"], "3 is for the policy's second copy alone"


def test_somebody_else_proves_it(world: World, facts: tuple[str, ...], tmp_path: Path) -> None:
    made = Repository(world.aiko, tmp_path / "proven")
    shutil.copytree(world.orders, made.folder / "data")
    made.commit()
    world.aiko.datakeep("adopt", made.folder, "--name", "proven", *facts, cwd=world.keep)
    world.reference("proven")
    world.ken.run("git", "clone", "-q", world.vault / "git/keeps/keep.git", tmp_path / "keep")
    world.ken.datakeep("key", "create", cwd=tmp_path / "keep")
    ran = world.ken.datakeep("verify", "proven", "--sandbox", "none", "--json", cwd=tmp_path / "keep")
    assert ran.data["result"] == "passed"


def test_adopting_again_says_so_and_changes_nothing(
    world: World, calls: Quick, adopt, of_git: Repository
) -> None:
    adopt(of_git.folder, "twice")
    before = state(world)
    assert "twice@v2 is adopted already" in adopt(of_git.folder, "twice").out
    assert adopt(of_git.folder, "twice", "--json").data["created"] is False
    assert "another purpose" in adopt(of_git.folder, "twice", "--purpose", "else", code=12).err
    of_git.write({"train.py": b"3"})
    of_git.commit()
    assert "is a commit that it has not" in adopt(of_git.folder, "twice", code=12).err
    other = Repository(world.aiko, of_git.folder.with_name("other"))
    other.run("git", "commit", "-q", "--allow-empty", "-m", "other")
    assert "and not from" in adopt(other.folder, "twice", code=12).err
    assert state(world) == before


def test_another_folder_moves_and_several_keep_their_paths(
    world: World, calls: Quick, adopt, refused, tmp_path: Path
) -> None:
    made = Repository(world.aiko, tmp_path / "images")
    made.write({"img/a.png": b"a", "img/b/c.png": b"c", "more/d.csv": b"x\n1\n", "code.py": b""})
    made.commit()
    refused(made.folder, "what of the repository is the data", "img/: 2 files", "--data FOLDER", code=2)
    refused(made.folder, "'imgs'; did you mean 'img'?", options=("--data", "imgs"), code=2)
    adopt(made.folder, "one-folder", "--data", "img/")
    adopt(made.folder, "two-places", "--data", "img", "--data", "more/d.csv")
    for name, expected in (
        ("one-folder", {"a.png": b"a", "b/c.png": b"c"}),
        ("two-places", {"img/a.png": b"a", "img/b/c.png": b"c", "more/d.csv": b"x\n1\n"}),
    ):
        calls.datakeep("checkout", name, tmp_path / name, cwd=world.keep)
        assert files_in(tmp_path / name / "data") == expected
        assert not (tmp_path / name / "img").exists()
        assert (tmp_path / name / "code.py").exists()


def test_a_dvc_repository_has_all_outputs_in_data(
    world: World, calls: Quick, adopt, of_dvc: Repository, tmp_path: Path
) -> None:
    shutil.rmtree(of_dvc.folder / ".dvc/cache")
    notes = adopt(of_dvc.folder, "bearings", "--json").data["notes"]
    assert any("work/m.json is kept in git" in note for note in notes)
    calls.datakeep("checkout", "bearings", tmp_path / "out", cwd=world.keep)
    assert files_in(tmp_path / "out/data") == OUTPUTS
    original = files_in(tmp_path / "out/docs/original")
    assert set(original) == {"README.md", "dvc.yaml.txt", "dvc.lock.txt", "gitignore"}
    world.ken.run("git", "clone", "-q", world.vault / "git/datasets/bearings.git", tmp_path / "clone")
    world.ken.run("dvc", "pull", "-q", cwd=tmp_path / "clone")
    assert files_in(tmp_path / "clone/data") == OUTPUTS
    assert "up to date" in world.ken.run("dvc", "status", cwd=tmp_path / "clone").out
    assert "in sync" in world.ken.run("dvc", "status", "-c", cwd=tmp_path / "clone").out
    assert world.ken.run("git", "status", "--porcelain", cwd=tmp_path / "clone").out == ""
    assert "with dvc" in world.ken.run("git", "log", "--format=%s", cwd=tmp_path / "clone").out
    manifest = yaml.load((tmp_path / "clone/dataset.yaml").read_text(), what="it")
    assert manifest["documents"][0]["path"] == "docs/original/README.md"


def test_some_outputs_can_be_chosen(
    world: World, calls: Quick, adopt, refused, of_dvc: Repository, tmp_path: Path
) -> None:
    refused(of_dvc.folder, "files in data/", "data/notes.txt", options=("--data", "img"), code=2)
    notes = adopt(of_dvc.folder, "chosen", "--data", "data", "--json").data["notes"]
    assert any("left out, because not chosen: img, labels.csv, work/out" in note for note in notes)
    calls.datakeep("checkout", "chosen", tmp_path / "out", cwd=world.keep)
    kept = {"raw/a.csv", "raw/deep/b.bin", "notes.txt"}
    assert files_in(tmp_path / "out/data") == {path: OUTPUTS[path] for path in kept}


@pytest.fixture
def of_two_commits(world: World, tmp_path: Path) -> Repository:
    """One folder, whose older commit has a file that the newest has not; all of it only in the remote."""
    made = Repository(world.aiko, tmp_path / "legs", "main")
    made.dvc("init", "-q")
    made.dvc("remote", "add", "-d", "main", tmp_path / "remote")
    for files in ({"legs/a.csv": b"a\n", "legs/old.csv": b"old\n"}, {"legs/a.csv": b"a\nb\n"}):
        made.write(files)
        made.dvc("add", "-q", "legs")
        made.commit("more")
        made.dvc("push", "-q")
        (made.folder / "legs/old.csv").unlink(missing_ok=True)
        if len(files) == 2:
            (made.folder / "legs/new.csv").write_bytes(b"new\n")
    shutil.rmtree(made.folder / ".dvc/cache")
    return made


def test_objects_of_older_commits_come_too(
    world: World, calls: Quick, adopt, of_two_commits: Repository, tmp_path: Path
) -> None:
    assert not [
        note for note in adopt(of_two_commits.folder, "legs", "--json").data["notes"] if "older" in note
    ]
    kept = {path.read_bytes() for path in (world.vault / "data/legs/files").rglob("*") if path.is_file()}
    theirs = {path.read_bytes() for path in (tmp_path / "remote/files").rglob("*") if path.is_file()}
    assert b"old\n" in theirs
    assert theirs <= kept
    assert "everything is referred to" in calls.datakeep("gc", "--dry-run", cwd=world.keep).out


def test_objects_of_older_commits_that_stay_behind_are_counted_and_gc_goes_on(
    world: World, calls: Quick, adopt, of_two_commits: Repository, tmp_path: Path
) -> None:
    for path in (tmp_path / "remote/files").rglob("*"):
        if path.is_file() and b"old" in path.read_bytes():
            path.unlink()
    notes = adopt(of_two_commits.folder, "lame", "--json").data["notes"]
    said = (
        "1 object that only older commits name stays behind, 1 list of further files among them (missing in"
    )
    assert any(note.startswith(said) for note in notes)
    assert "lame: all of its objects are kept" in calls.datakeep("gc", cwd=world.keep).out


def test_every_missing_and_damaged_object_is_named(
    adopt, refused, of_dvc: Repository, tmp_path: Path
) -> None:
    def place(data: bytes) -> Path:
        md5 = hashlib.md5(data).hexdigest()
        return tmp_path / "remote/files/md5" / md5[:2] / md5[2:]

    shutil.rmtree(of_dvc.folder / ".dvc/cache")
    for data in (b"p", b"\0b"):
        place(data).unlink()
    refused(of_dvc.folder, "2 files", "img/p.png: missing in", "data/raw/deep/b.bin: missing in", code=22)
    for data in (b"p", b"\0b"):
        place(data).write_bytes(b"wrong")
    refused(of_dvc.folder, "img/p.png: damaged in main", "data/raw/deep/b.bin: damaged in main", code=22)
    of_dvc.write({"data/raw/a.csv": CRLF, "data/raw/deep/b.bin": b"\0b", "img/p.png": b"p"})
    of_dvc.dvc("commit", "-q", "-f")  # the cache has good copies again
    adopt(of_dvc.folder, "from-the-cache")


def test_a_missing_remote_and_list_are_named(refused, of_dvc: Repository, tmp_path: Path) -> None:
    shutil.rmtree(of_dvc.folder / ".dvc/cache")
    (tmp_path / "remote").rename(tmp_path / "elsewhere")
    refused(of_dvc.folder, "data/raw/ (the list of its files)", f"no folder {tmp_path}/remote", code=22)


def legacy_md5(data: bytes) -> str:
    """As DVC 2 named it; the files here are text where they hold a line end."""
    return hashlib.md5(data.replace(b"\r\n", b"\n") if b"\0" not in data else data).hexdigest()


@pytest.fixture
def of_dvc_2(world: World, tmp_path: Path) -> Repository:
    """What DVC 2 left: objects without ``files/md5``, names of text without its carriage returns."""
    made = Repository(world.aiko, tmp_path / "old")
    made.dvc("init", "-q")
    made.dvc("remote", "add", "-d", "main", tmp_path / "old-remote")
    files = {"crlf.csv": CRLF, "sub/x.bin": b"\0\r\n"}

    def store(data: bytes, md5: str, suffix: str = "") -> str:
        place = tmp_path / "old-remote" / md5[:2] / (md5[2:] + suffix)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return md5 + suffix

    rows = [{"md5": store(data, legacy_md5(data)), "relpath": path} for path, data in files.items()]
    listing = json.dumps(rows).encode()
    folder = store(listing, legacy_md5(listing), ".dir")
    single = store(b"a\r\n", legacy_md5(b"a\r\n"))
    made.write(
        {
            "data/raw.dvc": f"outs:\n- md5: {folder}\n  size: 1\n  nfiles: 2\n  path: raw\n".encode(),
            "one.txt.dvc": f"md5: {'a' * 32}\nouts:\n- md5: {single}\n  size: 3\n  path: one.txt\n".encode(),
            ".gitignore": b"/one.txt\n",
            "data/.gitignore": b"/raw\n",
        }
    )
    made.commit("of 2021")
    return made


def test_a_repository_of_dvc_2_gets_real_digests(
    world: World, calls: Quick, adopt, of_dvc_2: Repository, tmp_path: Path
) -> None:
    expected = {"raw/crlf.csv": CRLF, "raw/sub/x.bin": b"\0\r\n", "one.txt": b"a\r\n"}
    of_dvc_2.run("git", "clone", "-q", ".", tmp_path / "judge")
    world.aiko.run("dvc", "pull", "-q", cwd=tmp_path / "judge")  # the fixture is what DVC takes for its own
    assert (tmp_path / "judge/data/raw/crlf.csv").read_bytes() == CRLF
    adopt(of_dvc_2.folder, "old")
    calls.datakeep("checkout", "old", tmp_path / "out", cwd=world.keep)
    assert files_in(tmp_path / "out/data") == expected
    world.ken.run("git", "clone", "-q", world.vault / "git/datasets/old.git", tmp_path / "clone")
    world.ken.run("dvc", "pull", "-q", cwd=tmp_path / "clone")
    assert files_in(tmp_path / "clone/data") == expected
    md5 = hashlib.md5(CRLF).hexdigest()
    assert (world.vault / "data/old/files/md5" / md5[:2] / md5[2:]).read_bytes() == CRLF


def test_a_dataset_of_datakeep_leaves_its_inventory_behind(
    world: World, calls: Quick, adopt, tmp_path: Path
) -> None:
    world.register("elsewhere")
    adopt(world.vault / "git/datasets/elsewhere.git", "taken-over")
    calls.datakeep("checkout", "taken-over@v2", tmp_path / "out", cwd=world.keep)
    assert files_in(tmp_path / "out/data") == files_in(world.orders)
    assert "elsewhere" in (tmp_path / "out/docs/original/dataset.yaml").read_text()


def test_a_damaged_text_of_dvc_2_is_found(refused, of_dvc_2: Repository, tmp_path: Path) -> None:
    md5 = legacy_md5(CRLF)
    (tmp_path / "old-remote" / md5[:2] / md5[2:]).write_bytes(CRLF.replace(b"1", b"9"))
    refused(of_dvc_2.folder, "data/raw/crlf.csv", "damaged in main", code=22)


@pytest.mark.parametrize(
    ("pointer", "said"),
    [
        ("deps:\n- path: https://x.example/a\nouts:\n- md5: {md5}\n  hash: md5\n  path: a\n", "imported"),
        ("outs:\n- etag: '123'\n  path: a\n", "known to the cloud alone (etag)"),
        ("outs:\n- path: a\n  hash: md5\n  files:\n  - relpath: b\n", "known to the cloud alone (files)"),
        ("outs:\n- md5: {md5}\n  hash: sha1\n  path: a\n", "its hash is 'sha1'"),
        ("outs:\n- md5: {md5}\n  path: s3://bucket/a\n", "outside of the repository"),
    ],
)
def test_outputs_that_only_the_cloud_knows_are_refused(
    refused, of_dvc_2: Repository, pointer: str, said: str
) -> None:
    of_dvc_2.write({"odd.dvc": pointer.replace("{md5}", "a" * 32).encode()})
    of_dvc_2.commit()
    refused(of_dvc_2.folder, said, "odd.dvc", code=31)


def test_an_output_that_is_not_chosen_is_in_nobodys_way(adopt, of_dvc_2: Repository) -> None:
    of_dvc_2.write({"odd.dvc": b"outs:\n- etag: '123'\n  path: a\n"})
    of_dvc_2.commit()
    assert adopt(of_dvc_2.folder, "without-odd", "--data", "data/raw", "--json").data["entry"]["files"] == 2


def test_objects_come_from_a_bucket(
    facts: tuple[str, ...], new_world, s3_server: ObjectServer, tmp_path: Path
) -> None:
    world = new_world(environment=credentials())
    made = Repository(world.aiko, tmp_path / "far")
    made.dvc("init", "-q")
    made.dvc("remote", "add", "-d", "far", f"s3://{s3_server.place()}")
    made.dvc("remote", "modify", "far", "endpointurl", s3_server.endpoint_url)
    made.write({"data/a.csv": CRLF, "data/b": b"b"})
    made.dvc("add", "-q", "data")
    made.commit()
    made.dvc("push", "-q")
    shutil.rmtree(made.folder / ".dvc/cache")
    world.aiko.datakeep("adopt", made.folder, "--name", "far", *facts, cwd=world.keep)
    world.aiko.datakeep("checkout", "far", tmp_path / "out", cwd=world.keep)
    assert files_in(tmp_path / "out/data") == {"a.csv": CRLF, "b": b"b"}


@pytest.fixture
def served(of_dvc: Repository, tmp_path: Path) -> Iterator[str]:
    """The address of that repository, on a server that knows nothing of its clone."""
    bare = tmp_path / "served" / "bearings.git"
    of_dvc.run("git", "clone", "-q", "--bare", of_dvc.folder, bare)
    of_dvc.run("git", "-C", bare, "update-server-info")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/bearings.git"
        server.shutdown()


def test_a_repository_named_by_its_address(
    world: World, calls: Quick, adopt, of_dvc: Repository, served: str, tmp_path: Path
) -> None:
    ran = adopt(served, "served", code=22)  # one of its remotes is a path in Aiko's clone
    assert "labels.csv: missing in main; remote second: its url '../../second' is a path" in ran.err
    adopt(served, "served", "--data", "data")
    calls.datakeep("checkout", "served", tmp_path / "out", cwd=world.keep)
    assert (tmp_path / "out/data/raw/a.csv").read_bytes() == CRLF


def test_a_store_that_is_away_can_be_left_out(
    new_world, facts: tuple[str, ...], of_dvc_2: Repository, tmp_path: Path
) -> None:
    world = new_world("--vault-data", tmp_path / "one", "--vault-data", tmp_path / "two")
    (tmp_path / "two").rename(tmp_path / "away")
    argv = ("adopt", of_dvc_2.folder, "--name", "old", *facts)
    said = world.aiko.datakeep(*argv, cwd=world.keep, code=17).err
    away = said.partition("--without-store ")[2].partition(";")[0]
    ran = world.aiko.datakeep(*argv, "--without-store", away, "--json", cwd=world.keep)
    assert len(ran.data["entry"]["stores"]) == 1
    assert away not in ran.data["entry"]["stores"]


def test_all_missing_facts_are_one_error(world: World, calls: Quick, of_git: Repository) -> None:
    before = state(world)
    ran = calls.datakeep("adopt", of_git.folder, "--name", "bare", cwd=world.keep, code=13)
    for option in ("--purpose", "--origin", "--extracted-at", "--annotation-rules", "--privacy", "--license"):
        assert option in ran.err
    assert f"datakeep adopt {of_git.folder} --name bare --purpose TEXT" in ran.err
    assert state(world) == before


def test_the_unsaid_folder_is_in_the_same_error(world: World, calls: Quick, tmp_path: Path) -> None:
    made = Repository(world.aiko, tmp_path / "flat")
    made.write({"img/a.png": b"a"})
    made.commit()
    ran = calls.datakeep("adopt", made.folder, "--name", "bare", cwd=world.keep, code=13)
    assert "it is not said what of the repository is the data" in ran.err
    assert "--data FOLDER, perhaps img/: 1 file" in ran.err
    assert "--name bare --data FOLDER --purpose TEXT" in ran.err


def test_pointers_of_git_lfs_are_refused(refused, of_git: Repository) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 3\n"
    of_git.write({"data/big.bin": pointer})
    of_git.commit()
    refused(of_git.folder, "git-lfs", "data/big.bin", "git lfs migrate export", code=31)


def test_names_that_do_not_travel_are_refused_or_normalised(
    world: World, calls: Quick, adopt, refused, of_git: Repository, tmp_path: Path
) -> None:
    of_git.run("git", "config", "core.precomposeunicode", "false")
    of_git.write({"data/e\u0301.txt": b"e"})
    of_git.commit()
    refused(of_git.folder, "NFC", "--normalise-names", code=15)
    adopt(of_git.folder, "normalised", "--normalise-names")
    calls.datakeep("checkout", "normalised", tmp_path / "out", cwd=world.keep)
    assert "\u00e9.txt" in files_in(tmp_path / "out/data")
    of_git.write({"data/TRAIN.csv": b"x"})
    of_git.commit()
    refused(of_git.folder, "TRAIN.csv", "ignores case", code=15, options=("--normalise-names",))


def test_a_link_is_refused_by_name(refused, of_git: Repository) -> None:
    (of_git.folder / "data/link.csv").symlink_to("train.csv")
    of_git.commit()
    refused(of_git.folder, "'data/link.csv' is a symbolic link", "put its file there", code=24)


def test_a_history_that_git_refuses_says_what_can_be_done(refused, of_git: Repository) -> None:
    commit = of_git.run("git", "cat-file", "commit", "HEAD")
    malformed = commit.replace("\ncommitter Aiko Tanaka <", "\ncommitter Aiko Tanaka<")
    (of_git.folder / "commit").write_text(f"{malformed}\n")
    made = of_git.run("git", "hash-object", "-t", "commit", "-w", "--literally", "commit")
    of_git.run("git", "update-ref", "refs/heads/master", made)
    refused(of_git.folder, "git refuses as unsafe", "git filter-repo", code=24)


def test_a_submodule_is_refused_by_name(refused, of_git: Repository) -> None:
    head = of_git.run("git", "rev-parse", "HEAD")
    of_git.run("git", "update-index", "--add", "--cacheinfo", f"160000,{head},inner")
    of_git.run("git", "commit", "-qm", "pinned")
    refused(of_git.folder, "'inner' is a submodule", code=24)


@pytest.mark.parametrize(
    ("relpath", "code"), [("../../../x", 24), ("/etc/x", 24), (".git/hooks/x", 24), ("A.csv", 15)]
)
def test_a_hostile_list_of_files_is_refused(
    refused, of_dvc_2: Repository, tmp_path: Path, relpath: str, code: int
) -> None:
    md5 = legacy_md5(CRLF)
    rows = [{"md5": md5, "relpath": relpath}, {"md5": md5, "relpath": "a.csv"}]
    listing = json.dumps(rows).encode()
    name = legacy_md5(listing)
    (tmp_path / "old-remote" / name[:2]).mkdir(exist_ok=True)
    (tmp_path / "old-remote" / name[:2] / f"{name[2:]}.dir").write_bytes(listing)
    of_dvc_2.write({"data/raw.dvc": f"outs:\n- md5: {name}.dir\n  path: raw\n".encode()})
    of_dvc_2.commit()
    refused(of_dvc_2.folder, relpath.rpartition("/")[2], code=code)


@pytest.mark.parametrize("path", ["../../x", ".git/config", "a/../../../x"])
def test_a_hostile_pointer_is_refused(refused, of_dvc_2: Repository, path: str) -> None:
    of_dvc_2.write({"odd.dvc": f"outs:\n- md5: {'a' * 32}\n  path: {path}\n".encode()})
    of_dvc_2.commit()
    refused(of_dvc_2.folder, "odd.dvc states an output that could harm", code=24)


def test_nothing_of_the_repository_runs(adopt, of_git: Repository, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    touch = f"touch {canary}"
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        file = of_git.folder / ".git/hooks" / hook
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{touch}\n")
        file.chmod(0o755)
    of_git.write({".gitattributes": b"* filter=evil diff=evil\n"})
    of_git.commit()
    canary.unlink(missing_ok=True)
    for key, value in (
        ("filter.evil.smudge", touch), ("filter.evil.clean", touch), ("core.fsmonitor", touch),
        ("uploadpack.packObjectsHook", touch), ("core.sshCommand", touch), ("core.alternateRefsCommand", touch),
    ):  # fmt: skip
        of_git.run("git", "config", key, value)
    canary.unlink(missing_ok=True)
    adopt(of_git.folder, "harmless")
    assert not canary.exists()


@pytest.mark.parametrize(
    "address", ["ext::sh -c touch% canary", "--upload-pack=touch canary", "ssh://-oX=1/y"]
)
def test_a_hostile_address_is_refused(
    world: World, calls: Quick, facts: tuple[str, ...], address: str
) -> None:
    ran = calls.datakeep("adopt", "--name", "refused", *facts, "--", address, cwd=world.keep, code=24)
    assert "the repository address" in ran.err
    assert not (world.keep / "canary").exists()


def test_a_password_in_the_address_is_refused_and_not_repeated(world: World, calls: Quick, facts) -> None:
    address = "https://aiko:hunter2hunter2@git.corp.example/x.git"
    ran = calls.datakeep("adopt", address, "--name", "refused", *facts, cwd=world.keep, code=26)
    assert "hunter2" not in ran.err
    assert "--credential-helper" in ran.err


def test_a_shallow_clone_is_refused(world: World, refused, of_git: Repository, tmp_path: Path) -> None:
    world.aiko.run("git", "clone", "-q", "--depth=1", of_git.folder.as_uri(), tmp_path / "shallow")
    refused(tmp_path / "shallow", "shallow clone", "fetch --unshallow", code=16)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("outs:\n- md5: {gone}\n  size: 3\n  path: one.txt\n", 22, ("one.txt: missing in main",)),
        ("outs:\n- md5: {short}\n  size: 3\n  path: one.txt\n", 14, ("one.txt.dvc", "md5")),
        ("outs:\n- md5: 12345678901234567890123456789012\n  path: one.txt\n", 31, ("one.txt.dvc", "no md5")),
        (
            "outs:\n- md5: {other}\n  size: 3\n  path: one.txt\n",
            14,
            ("says that one.txt has 3 bytes", "names has 22"),
        ),
        ("outs:\n- md5: {folder}\n  nfiles: 3\n  path: d\n", 14, ("says that d has 3 files", "names has 2")),
        ("outs:\n- path: one.txt\n", 31, ("one.txt.dvc", "no md5")),
        ("outs:\n- md5 {gone}\n  path: one.txt\n", 14, ("one.txt.dvc",)),
        ("outs: {gone}\n", 14, ("one.txt.dvc",)),
    ],
)
def test_a_pointer_that_was_written_by_hand(
    refused, of_dvc_2: Repository, text: str, code: int, said: tuple[str, ...]
) -> None:
    listing = (of_dvc_2.folder / "data/raw.dvc").read_text().partition("md5: ")[2].partition("\n")[0]
    values = {
        "gone": "a" * 32,
        "short": "a" * 31,
        "other": legacy_md5(CRLF),
        "folder": listing,
    }
    of_dvc_2.write({"one.txt.dvc": text.format(**values).encode()})
    of_dvc_2.commit()
    refused(of_dvc_2.folder, *said, code=code)


def test_names_that_are_no_utf8_are_refused_and_shown(refused, of_git: Repository) -> None:
    name = os.fsencode(of_git.folder) + b"/data/caf\xe9.csv"
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    of_git.commit()
    refused(of_git.folder, "data/caf", "its name is not UTF-8; rename it", code=24)
