"""The keep: transactions that publish or change nothing, for two people at once, whatever is killed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from datakeep.core.errors import AlreadyExists, Conflict, DatakeepError, Locked, NotAKeep, StoreUnreachable
from datakeep.core.progress import Silent
from datakeep.repository.command import GitRunner
from datakeep.repository.keep import Change, KeepRepository
from datakeep.repository.vault import fsck
from datakeep.repository.working import uncommitted

PINNED = "4f1c" * 10


class Warnings(Silent):
    def __init__(self):
        self.said = []

    def warn(self, text):
        self.said.append(text)


def put(path, data=b"x"):
    return lambda tree: Change({path: data})


@pytest.fixture
def other(tmp_path, keep, git):
    """A second clone of the keep, by a colleague."""
    git("clone", "-q", keep.url, "other")
    return KeepRepository.open(tmp_path / "other")


def test_create_and_open(tmp_path, keep, git):
    assert keep.read("keep.yaml") == b"format: datakeep/keep/1\n"
    (keep.root / "people").mkdir()
    assert KeepRepository.open(keep.root / "people").root == keep.root
    assert git("status", "--porcelain", cwd=keep.root) == ""
    assert (keep.root / ".datakeep").is_dir()
    assert fsck(keep.url) == []
    KeepRepository.create(keep.root, keep.url)  # again, after a kill
    with pytest.raises(NotAKeep, match="in it or above it"):
        KeepRepository.open(tmp_path / "home")
    (tmp_path / "home/keep.yaml").write_text("x")
    with pytest.raises(NotAKeep, match="not a git repository"):
        KeepRepository.open(tmp_path / "home")


def test_a_folder_beside_the_keep_is_not_in_it(keep, monkeypatch):
    (keep.root.parent / "plain").mkdir()
    monkeypatch.chdir(keep.root)
    with pytest.raises(NotAKeep, match=f"there is no folder {keep.root.parent}/nowhere$"):
        KeepRepository.open(Path("../nowhere"))
    with pytest.raises(NotAKeep, match="in it or above it"):
        KeepRepository.open(Path("../plain"))
    with pytest.raises(NotAKeep, match=r"keep\.yaml is not a folder"):
        KeepRepository.open(Path("keep.yaml"))
    assert KeepRepository.open(Path("../plain/..") / keep.root.name).root == keep.root


def test_a_transaction_is_published_and_shown(keep, git, aiko, now):
    change = Change({"register/orders/v1.yaml": b"a\n", ".gitmodules": b""}, {"datasets/orders": PINNED})
    commit = keep.transact(lambda tree: change, "register orders", aiko, when=now)
    assert keep.head() == commit == git("rev-parse", "refs/remotes/origin/main", cwd=keep.root).strip()
    assert (keep.root / "register/orders/v1.yaml").read_bytes() == b"a\n"
    assert (keep.root / "datasets/orders").is_dir()
    assert keep.at().gitlink("datasets/orders") == PINNED
    assert keep.at().gitlink("keep.yaml") is None
    assert keep.list("register/") == ["register/orders/v1.yaml"]
    assert keep.is_published(commit)
    assert not keep.is_published(PINNED)
    assert keep.added_in("register/orders/v1.yaml") == commit
    assert keep.added_in("nope") is None
    entry = keep.log("register/orders/v1.yaml")[0]
    assert (entry.commit, entry.when, entry.email, entry.message) == (
        commit,
        now,
        aiko.email,
        "register orders",
    )
    assert git("status", "--porcelain", cwd=keep.root) == ""
    gone = keep.transact(
        lambda tree: Change({"register/orders/v1.yaml": None}, {"datasets/orders": None}), "x", aiko
    )
    assert keep.list("register/", gone) == []
    assert keep.read("register/orders/v1.yaml", commit) == b"a\n"


def test_nothing_to_change_makes_no_commit(keep, aiko):
    head = keep.head()
    assert keep.transact(put("keep.yaml", b"format: datakeep/keep/1\n"), "x", aiko) == head


def test_a_change_that_refuses_changes_nothing(keep, aiko):
    head = keep.head()

    def refuse(tree):
        raise AlreadyExists("orders is registered", next_step="datakeep show orders")

    with pytest.raises(AlreadyExists):
        keep.transact(refuse, "x", aiko)
    assert keep.head() == head


def test_two_people_at_once_both_succeed(keep, other, aiko):
    calls, errors = [], []

    def work(repository, name):
        try:
            for number in range(3):
                repository.transact(
                    lambda tree, n=number: calls.append(1) or Change({f"{name}{n}": b"x"}), name, aiko
                )
        except DatakeepError as error:  # reported below, in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in ((keep, "a"), (other, "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    keep.refresh()
    assert set(keep.list()) >= {"a0", "a1", "a2", "b0", "b1", "b2"}
    assert len(keep.log(".")) == 7
    assert fsck(keep.url) == []


def test_the_same_name_twice_is_one_clear_refusal(keep, other, aiko):
    def register(tree):
        if tree.read("register/orders/v1.yaml") is not None:
            raise AlreadyExists("orders is registered", next_step="datakeep show orders")
        return Change({"register/orders/v1.yaml": b"x"})

    keep.transact(register, "a", aiko)
    with pytest.raises(AlreadyExists):
        other.transact(register, "b", aiko)
    other.refresh()
    assert other.head() == keep.head()


def test_uncommitted_work_is_kept(keep, other, aiko, git):
    other.transact(put("keep.yaml", b"theirs"), "x", aiko)
    (keep.root / "keep.yaml").write_text("mine")
    (keep.root / "notes.txt").write_text("notes")
    assert "uncommitted changes to keep.yaml" in keep.refresh()
    warnings = Warnings()
    commit = keep.transact(put("a"), "a", aiko, progress=warnings)
    assert len(warnings.said) == 1
    assert keep.is_published(commit)
    assert (keep.root / "keep.yaml").read_text() == "mine"
    git("checkout", "keep.yaml", cwd=keep.root)
    assert keep.refresh() is None
    assert keep.head() == commit
    assert (keep.root / "keep.yaml").read_text() == "theirs"
    assert (keep.root / "notes.txt").read_text() == "notes"


def test_commits_of_plain_git_are_published_too(keep, aiko, git):
    (keep.root / "notes.txt").write_text("notes")
    git("add", "notes.txt", cwd=keep.root)
    git("commit", "-qm", "notes", cwd=keep.root)
    commit = keep.transact(put("a"), "a", aiko)
    assert keep.list("", commit) == ["a", "keep.yaml", "notes.txt"]


def test_different_ways_are_a_conflict(keep, other, aiko, git):
    other.transact(put("a"), "x", aiko)
    git("commit", "-qm", "mine", "--allow-empty", cwd=keep.root)
    assert "different ways" in keep.refresh()
    with pytest.raises(Conflict, match="different ways") as caught:
        keep.transact(put("b"), "b", aiko)
    assert "pull --rebase" in caught.value.next_step


def test_another_branch_is_said(keep, aiko, git):
    git("switch", "-qc", "topic", cwd=keep.root)
    with pytest.raises(Conflict, match="branch main"):
        keep.transact(put("b"), "b", aiko)


def test_offline_is_a_warning_for_readers_and_an_error_for_writers(keep, base, aiko):
    head = keep.head()
    base.rename(base.with_name("unmounted"))
    assert "could not be refreshed" in keep.refresh()
    with pytest.raises(StoreUnreachable):
        keep.transact(put("b"), "b", aiko)
    assert keep.head() == head
    assert keep.list() == ["keep.yaml"]


def test_the_lock_names_its_holder(keep):
    again = KeepRepository(keep.root)
    with (
        keep.lock(),
        keep.lock(),
        pytest.raises(Locked, match=f"process {os.getpid()}"),
        again.lock(timeout_s=0.1),
    ):
        pass
    with again.lock(timeout_s=0.1):
        pass


def test_a_merge_killed_in_its_middle_is_finished(keep, other, aiko, git):
    head = keep.head()
    new = other.transact(
        lambda tree: Change({"a/b": b"new\n", "keep.yaml": b"newer\n"}, {"datasets/orders": PINNED}),
        "x",
        aiko,
    )
    git("fetch", "-q", cwd=keep.root)
    # What SIGKILL leaves: the marker, git's lock files, one file half-written, one not yet.
    (keep.root / ".datakeep/git-operation").write_text(f'{{"from": "{head}", "to": "{new}"}}')
    (keep.root / ".git/index.lock").touch()
    (keep.root / ".git/HEAD.lock").touch()
    (keep.root / "a").mkdir()
    (keep.root / "a/b").write_text("ne")
    (keep.root / "notes.txt").write_text("notes")
    assert keep.refresh() is None
    assert keep.head() == new
    assert (keep.root / "a/b").read_bytes() == b"new\n"
    assert git("status", "--porcelain", cwd=keep.root) == "?? notes.txt\n"
    gone = other.transact(lambda tree: Change({"a/b": None}), "x", aiko)
    git("fetch", "-q", cwd=keep.root)
    (keep.root / ".datakeep/git-operation").write_text(f'{{"from": "{new}", "to": "{gone}"}}')
    assert keep.refresh() is None
    assert git("status", "--porcelain", cwd=keep.root) == "?? notes.txt\n"
    (keep.root / ".datakeep/git-operation").write_text("garb")
    assert keep.refresh() is None


def test_the_lock_of_another_git_is_waited_for(keep, aiko, git):
    """As an editor's, that asks for the state of the clone now and then."""
    lock, said = keep.root / ".git/index.lock", Warnings()
    lock.touch()
    other = threading.Timer(0.3, lock.unlink)
    keep.transact(lambda tree: other.start() or Change({"b": b"x"}), "b", aiko, progress=said)
    other.join()
    assert said.said == []
    assert (keep.root / "b").read_bytes() == b"x"
    assert git("status", "--porcelain", cwd=keep.root) == ""


def test_a_look_at_a_clone_takes_no_lock(keep):
    index = keep.root / ".git/index"
    os.utime(keep.root / "keep.yaml", (1, 1))
    before = index.read_bytes()
    assert uncommitted(keep.root) == []
    assert index.read_bytes() == before


def test_a_push_rejected_for_rights_changes_nothing(keep, aiko, base, git):
    head = keep.head()
    git("-C", keep.url, "config", "receive.denyCurrentBranch", "refuse")
    git("-C", keep.url, "config", "core.bare", "false")
    with pytest.raises(Exception, match="cannot push"):
        keep.transact(put("b"), "b", aiko)
    assert keep.head() == head
    assert not (keep.root / "b").exists()


def test_settings_of_the_clone_are_read(keep, git):
    assert keep.setting("datakeep.store.main.url") is None
    git("config", "datakeep.store.main.url", "/mnt/elsewhere", cwd=keep.root)
    assert KeepRepository(keep.root).setting("datakeep.store.main.url") == "/mnt/elsewhere"


def test_the_ten_thousandth_dataset_takes_no_more_calls_of_git(keep, aiko, monkeypatch):
    calls = []
    start = GitRunner._start
    monkeypatch.setattr(
        GitRunner, "_start", lambda self, *rest: calls.append(rest[0][0]) or start(self, *rest)
    )

    def one(number):
        calls.clear()
        files = {f"register/d{number}/v1.yaml": b"x\n" * 50}
        keep.transact(lambda tree: Change(files, {f"datasets/d{number}": PINNED}), "x", aiko)
        return list(calls)

    one(0)
    second = one(1)
    many = Change(
        {f"register/e{n}/v1.yaml": b"%d\n" % n for n in range(10_000)},
        {f"datasets/e{n}": PINNED for n in range(10_000)},
    )
    keep.transact(lambda tree: many, "many", aiko)
    assert one(3) == second
