"""What git's own files and one long-lived process of it tell is what git itself tells."""

from __future__ import annotations

import gc
import shutil
import subprocess

import pytest

from datakeep.core.errors import GitFault, InvalidFile
from datakeep.formats import yaml
from datakeep.repository import objects, refs
from datakeep.repository.command import GitRunner
from datakeep.repository.keep_tree import KeepTree
from datakeep.repository.objects import resolve, walk_tree
from datakeep.repository.reading import Doubt, ObjectReader


@pytest.fixture
def clone(tmp_path, git):
    """A clone with a few commits, odd names, nested folders and a pinned submodule."""
    root = tmp_path / "clone"
    git("init", "-q", "-b", "main", root)
    for path in (
        "register/orders/v1.yaml",
        "register/orders/deep/a b/c.txt",
        "register/画像/v1.yaml",
        "x\ty",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    git("-C", root, "add", ".")
    git("-C", root, "update-index", "--add", "--cacheinfo", f"160000,{'4f' * 20},register/orders/pinned")
    git("-C", root, "commit", "-q", "-m", "x")
    git("-C", root, "update-ref", "refs/remotes/origin/main", "HEAD")
    return root


def both(root, ref):
    return refs.position(root, ref), resolve(GitRunner(root), ref)


def asks_git(root, ref, monkeypatch):
    """Whether git had to be asked."""
    asked = []
    with monkeypatch.context() as patched:
        patched.setattr(refs, "resolve", lambda *given: asked.append(given))
        refs.position(root, ref)
    return bool(asked)


@pytest.mark.parametrize(
    "state", ["loose", "packed", "packed, then moved", "detached", "branch with a slash", "unborn"]
)
def test_a_position_is_what_git_says(clone, git, state, monkeypatch):
    if state.startswith("packed"):
        git("-C", clone, "pack-refs", "--all")
        assert not (clone / ".git/refs/heads/main").exists()
    if state == "packed, then moved":
        git("-C", clone, "commit", "-q", "--allow-empty", "-m", "y")
    if state == "detached":
        git("-C", clone, "checkout", "-q", "--detach")
    if state == "branch with a slash":
        git("-C", clone, "checkout", "-q", "-b", "a/b")
    if state == "unborn":
        git("-C", clone, "checkout", "-q", "--orphan", "new")
    for ref in ("HEAD", "refs/remotes/origin/main", "refs/heads/not-there"):
        found, expected = both(clone, ref)
        assert found == expected
    assert asks_git(clone, "HEAD", monkeypatch) == (state in ("branch with a slash", "unborn"))


def test_what_is_not_plain_is_left_to_git(clone, git, tmp_path, monkeypatch):
    git("-C", clone, "worktree", "add", "-q", "-b", "other", tmp_path / "tree")
    git("-C", tmp_path / "tree", "commit", "-q", "--allow-empty", "-m", "z")
    found, expected = both(tmp_path / "tree", "HEAD")
    assert found == expected != refs.position(clone, "HEAD")
    assert refs.common_folder(tmp_path / "tree") == refs.common_folder(clone) == clone / ".git"
    (clone / ".git/refs/remotes/origin/main").write_text("ref: refs/heads/main\n")
    found, expected = both(clone, "refs/remotes/origin/main")
    assert found == expected is not None
    assert asks_git(clone, "refs/remotes/origin/main", monkeypatch)
    (clone / ".git/refs/heads/main").write_text("garbage")
    assert refs.position(clone, "HEAD") is None


def test_a_reader_gives_what_git_gives(clone):
    reader = ObjectReader(GitRunner(clone))
    commit = refs.position(clone, "HEAD")
    assert reader.read(f"{commit}:register/orders/v1.yaml") == (b"blob", b"register/orders/v1.yaml")
    assert reader.read(f"{commit}:register/画像/v1.yaml") == (b"blob", "register/画像/v1.yaml".encode())
    for wrong in (f"{commit}:register/none.yaml", "", "HEAD\nHEAD", f"{commit}:x\ty missing", "ab" * 20):
        assert reader.read(wrong) is None
    for folder in ("register", "register/orders"):
        expected = [entry.path for entry in walk_tree(GitRunner(clone), commit, f"{folder}/")]
        assert reader.files(f"{commit}:{folder}", f"{folder}/", id_bytes=20) == expected
    assert reader.files(f"{commit}:register/none", "register/none/", id_bytes=20) is None
    assert reader.files(f"{commit}:register/orders/v1.yaml", "x/", id_bytes=20) is None


def test_what_is_found_in_remembered_folders_is_what_git_finds(clone):
    reader = ObjectReader(GitRunner(clone))
    commit = refs.position(clone, "HEAD")
    for path in ("register/orders/v1.yaml", "register/orders/", "register", "register/orders/pinned"):
        found = reader.find(commit, path)
        assert found is not None
        assert found.object_id == resolve(GitRunner(clone), f"{commit}:{path.rstrip('/')}")
    for path in ("register/none.yaml", "none/v1.yaml", "register/orders/v1.yaml/x", "orders", "v1.yaml"):
        assert reader.find(commit, path) is None
    for path in (
        "register/../register/orders/v1.yaml",
        "./register",
        "/register",
        "register//orders",
        "x\ty",
    ):
        with pytest.raises(Doubt):
            reader.find(commit, path)
    with pytest.raises(Doubt):
        reader.find("ab" * 20, "register")


def test_a_name_within_another_entry_is_not_taken_for_one(clone, git):
    (clone / "names").mkdir()
    (clone / "names" / "a 100644 b").write_text("x")
    git("-C", clone, "add", ".")
    git("-C", clone, "commit", "-q", "-m", "y")
    assert ObjectReader(GitRunner(clone)).find(refs.position(clone, "HEAD"), "names/b") is None


@pytest.mark.parametrize("damage", ["cut off", "gone"])
def test_a_damaged_folder_is_not_taken_for_an_empty_one(clone, damage):
    commit = refs.position(clone, "HEAD")
    tree = resolve(GitRunner(clone), f"{commit}:register/orders")
    path = clone / ".git" / "objects" / tree[:2] / tree[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:10]) if damage == "cut off" else path.unlink()
    files = KeepTree(GitRunner(clone), commit)
    with pytest.raises(GitFault):
        files.read("register/orders/v2.yaml")
    with pytest.raises(GitFault):
        files.list("register/orders/")
    assert files.read("nothing/v2.yaml") is None


def test_a_reader_whose_git_was_killed_goes_on_with_another(clone):
    reader = ObjectReader(GitRunner(clone))
    assert reader.read("HEAD")
    reader._process.kill()
    reader._process.wait()
    assert reader.read("HEAD") is None
    assert reader.read("HEAD")


def test_an_interrupted_question_is_not_answered_to_the_next_one(clone, monkeypatch):
    reader = ObjectReader(GitRunner(clone))
    commit = refs.position(clone, "HEAD")
    assert reader.read("HEAD")
    process = reader._process

    class Interrupted:
        def readline(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(process, "stdout", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        reader.read("HEAD")
    monkeypatch.undo()
    assert reader.read(f"{commit}:register/orders/v1.yaml") == (b"blob", b"register/orders/v1.yaml")


def test_damage_is_no_answer(clone):
    commit = refs.position(clone, "HEAD")
    blob = resolve(GitRunner(clone), f"{commit}:x\ty")
    path = clone / ".git" / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(b"garbage")
    reader = ObjectReader(GitRunner(clone))
    assert reader.read(f"{commit}:x\ty") is None
    assert reader.read(f"{commit}:register/orders/v1.yaml") is not None


def test_no_process_is_left_behind(clone):
    reader = ObjectReader(GitRunner(clone))
    assert reader.read("HEAD")
    process = reader._process
    assert process.poll() is None
    del reader
    gc.collect()
    assert process.returncode == 0


def test_a_folder_that_is_gone_is_no_other_folder(clone):
    reader = ObjectReader(GitRunner(clone))
    shutil.rmtree(clone)
    with pytest.raises(Exception, match="clone"):
        reader.read("HEAD")
    assert subprocess.run(["git", "-C", clone, "status"], capture_output=True, check=False).returncode == 128


def test_a_whole_register_a_pin_and_a_hidden_file_are_what_git_tells_without_another_process(
    clone, git, monkeypatch
):
    (clone / ".gitmodules").write_text("[x]\n")
    git("-C", clone, "add", ".gitmodules")
    git("-C", clone, "commit", "-q", "-m", "y")
    commit = refs.position(clone, "HEAD")
    expected = [entry.path for entry in walk_tree(GitRunner(clone), commit, "register/")]
    files = KeepTree(GitRunner(clone), commit)
    assert files.read(".gitmodules") == b"[x]\n"  # starts the one process
    monkeypatch.setattr(GitRunner, "_start", None)  # whoever starts one fails
    assert files.list("register/") == expected
    assert files.list("models/") == []
    assert files.gitlink("register/orders/pinned") == "4f" * 20
    assert files.gitlink("register/orders/v1.yaml") is files.gitlink("datasets/none") is None


def test_many_files_are_asked_for_by_their_ids_and_are_what_git_has_at_their_paths(clone, git, monkeypatch):
    for number in range(300):
        (clone / f"register/d{number}.yaml").write_text(str(number % 7))
    git("-C", clone, "add", ".")
    git("-C", clone, "commit", "-q", "-m", "y")
    asked = []
    run = GitRunner.run

    def noting(self, *argv, **more):
        asked.extend([more["stdin"]] if argv[:2] == ("cat-file", "--batch") else [])
        return run(self, *argv, **more)

    monkeypatch.setattr(GitRunner, "run", noting)
    files = KeepTree(GitRunner(clone), refs.position(clone, "HEAD"))
    wanted = {f"register/d{number}.yaml": str(number % 7).encode() for number in range(300)}
    assert files.read_many([*wanted, "register/none.yaml", "none/d1.yaml"]) == wanted
    assert len(asked) == 1
    assert b":" not in asked[0]  # the path of each would be looked for in the whole folder
    assert asked[0].count(b"\n") == 7
    assert files.read_many([*wanted, "register/orders", "x\ty"]) == wanted | {"x\ty": b"x\ty"}
    blob = resolve(GitRunner(clone), f"{files.commit}:register/d3.yaml")
    (clone / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(GitFault, match="missing"):
        files.read_many(wanted)


@pytest.mark.parametrize("others", [0, 150], ids=["few", "many"])
def test_a_file_that_is_too_large_is_not_read_and_hides_no_other(clone, git, monkeypatch, others):
    """Git packs zeros into a thousandth; whoever reads them needs all of the memory that they say."""
    (clone / "register/large.yaml").write_bytes(bytes(objects.TEXT_BYTES + 1))
    (clone / "register/list.txt").write_bytes(bytes(objects.TEXT_BYTES + 2))
    for number in range(others):
        (clone / f"register/d{number}.yaml").write_text(str(number))
    git("-C", clone, "add", ".")
    git("-C", clone, "commit", "-q", "-m", "y")
    read = []
    batch = objects._batched
    monkeypatch.setattr(
        objects, "_batched", lambda runner, names, doing: read.extend(names) or batch(runner, names, doing)
    )
    files = KeepTree(GitRunner(clone), refs.position(clone, "HEAD"))
    wanted = [f"register/d{number}.yaml" for number in range(others)]
    found = files.read_many(["register/large.yaml", "register/orders/v1.yaml", *wanted])
    assert len(found) == others + 2
    assert found["register/orders/v1.yaml"] == b"register/orders/v1.yaml"
    with pytest.raises(InvalidFile, match="larger than 4 MB"):
        yaml.load_plain(found["register/large.yaml"], what="x")
    large = files.object_id("register/large.yaml")
    ids = [files.object_id(path) for path in wanted]
    assert set(files.read_objects([large, *ids])) == {large, *ids}
    assert large not in read
    assert f"{files.commit}:register/large.yaml" not in read
    # A list may be long.
    assert files.read("register/list.txt") == bytes(objects.TEXT_BYTES + 2)
