"""``fsck``: what it says of pointers, read-only stores and leftovers; and what ``status`` remembers of it."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from datakeep.core.errors import AccessDenied
from datakeep.store.folder import FolderStore
from datakeep.workflows.fsck import Plan, fsck
from datakeep.workflows.status import keep_status
from datakeep.workflows.vault_check import check_stores
from datakeep.workflows.vault_stores import add_store, places

DEEP = Plan(deep=True)


def objects_of(store, text):
    return [
        one for one in (store / "orders" / "files").rglob("*") if one.is_file() and one.read_bytes() == text
    ]


def damage(store, text=b"alpha"):
    for path in objects_of(store, text):
        path.write_bytes(b"!" * len(text))


def fsck_findings(bench):
    found = keep_status(bench.reopen(), now=bench.now).findings
    return [one for one in found if one.kind in ("fsck", "lost", "store", "missing-repository")]


@pytest.fixture
def two(bench):
    """A keep with ``orders`` in two stores: ``bench.store`` and ``bench.nas``."""
    bench.register()
    bench.nas = bench.folder / "nas"
    add_store(bench.keep, "nas", str(bench.nas), who=bench.aiko, now=bench.now)
    bench.keep.look_again()
    return bench


@pytest.fixture
def read_only(monkeypatch):
    """The store ``nas`` can be read only."""
    real = FolderStore._try_write

    def refuse(store):
        if store.name == "nas":
            raise PermissionError(13, "Permission denied")
        real(store)

    monkeypatch.setattr(FolderStore, "_try_write", refuse)


def test_what_is_whole_in_no_store_is_named_with_the_way_out(two):
    damage(two.store)
    assert fsck(two.keep, DEEP).lost == []
    damage(two.nas)
    found = fsck(two.keep, Plan(deep=True, repair=True))
    assert [(one.version, one.files) for one in found.lost] == [
        ("orders@v1", ("data/a.txt", "data/same.txt"))
    ]
    assert "datakeep update orders SOURCE --deep -m WHY" in found.lost[0].next_step
    assert fsck(two.keep, Plan(deep=True, stores=["main"])).lost == []


def test_a_list_of_files_that_no_store_has_is_made_anew(two):
    listings = [one for store in (two.store, two.nas) for one in store.rglob("*.dir")]
    kept = {path: path.read_bytes() for path in listings}
    for path in listings:
        path.unlink()
    assert fsck(two.keep, Plan(deep=True, repair=True)).is_clean
    assert {path: path.read_bytes() for path in listings} == kept


def test_a_folder_in_the_place_of_an_object_is_named_and_put_aside(two):
    [path] = objects_of(two.nas, "壱".encode())
    damage(two.nas)
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("not ours to delete")
    for plan in (Plan(), DEEP):
        [_, state] = fsck(two.keep, plan).versions
        assert "data/画像/一.txt: a folder lies in its place" in str(state)
    found = fsck(two.keep, Plan(deep=True, repair=True))
    assert found.is_clean
    assert [(state.store, state.whole) for state in found.versions] == [("main", 4), ("nas", 4)]
    assert path.read_text() == "壱"
    [kept] = (two.nas / "orders/datakeep/quarantine").glob("*-folder-*")
    assert (kept / "inside").read_text() == "not ours to delete"


def test_a_read_only_store_is_checked_all_the_same(two, read_only):
    found = fsck(two.keep, Plan(repair=True))
    assert found.is_clean
    assert [copies.present for copies in found.copies] == [2]
    damage(two.nas)
    found = fsck(two.keep, Plan(deep=True, repair=True))
    assert [state.whole for state in found.versions] == [4, 3]
    assert "nothing in it could be repaired" in found.complaints[0].what
    assert found.complaints[0].about == "store nas"


def test_a_read_only_store_is_listed_as_such(two, read_only):
    assert [(one.name, one.writable) for one in places(two.keep)] == [
        ("git", None),
        ("main", True),
        ("nas", False),
    ]


def test_vault_check_says_that_a_store_is_read_only(two, read_only):
    rights = {
        one.name: check.what
        for one in check_stores(two.keep)
        for check in one.checks
        if check.name == "rights"
    }
    assert rights["nas"].startswith("read-only: ")
    assert not rights["main"].startswith("read-only")


def test_more_places_are_asked_for_only_where_there_are_too_few(two):
    damage(two.nas)
    assert fsck(two.keep, DEEP).more_copies == []
    text = two.keep.tree.read("keep.yaml").decode().replace("copies: 2", "copies: 3")
    two.commit(**{"keep.yaml": text})
    assert fsck(two.keep, DEEP).more_copies == ["datakeep vault add NAME URL"]


def rewrite_pointer(bench, old, new):
    """The tag and the register name a commit whose data.dvc says something else."""
    entry = bench.keep.entry("orders")
    work = bench.folder / "work"

    def git(*arguments, cwd=work):
        done = subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("clone", "-q", entry.repository, str(work), cwd=bench.folder)
    text = (work / "data.dvc").read_text()
    assert old in text
    (work / "data.dvc").write_text(text.replace(old, new))
    git("commit", "-q", "-am", "other pointer")
    git("tag", "-f", "v1")
    git("-c", "core.hooksPath=/dev/null", "push", "-q", "origin", "HEAD:refs/heads/other")
    commit = git("rev-parse", "HEAD")
    git("update-ref", "refs/tags/v1", commit, cwd=entry.repository)
    changed = bench.keep.tree.read("register/orders/v1.yaml").decode().replace(entry.commit, commit)
    bench.commit(**{"register/orders/v1.yaml": changed})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("path: data", "path: ../../../home/.ssh", "names '../../../home/.ssh'"),
        ("path: data", "path: other", "writes to 'other' instead of 'data'"),
        ("nfiles: 3", "nfiles: 4", "says 4 files, its inventory 3"),
        ("md5: ", "md5: 00112233445566778899aabbccddeeff.dir #", "does not list the files"),
    ],
)
def test_a_pointer_that_leads_elsewhere_is_a_complaint(bench, old, new, words):
    bench.register()
    assert fsck(bench.keep, Plan()).complaints == []
    rewrite_pointer(bench, old, new)
    edited, pointer = fsck(bench.keep, Plan()).complaints
    assert edited.what.startswith("register/orders/v1.yaml was edited after it was recorded")
    assert pointer.about == "orders@v1"
    assert words in pointer.what


def test_a_repository_that_no_entry_names_is_listed_and_is_no_failure(two):
    base = two.folder / "keep.vault" / "git" / "datasets"
    subprocess.run(["git", "init", "-q", "--bare", base / "left.git"], check=True)
    found = fsck(two.keep, Plan())
    assert found.unregistered == [str(base / "left.git")]
    assert found.is_clean
    assert fsck(two.keep, Plan(names=["orders"])).unregistered == []


def test_status_tells_what_fsck_found_until_it_was_read_again(two):
    damage(two.nas)
    fsck(two.keep, Plan())
    assert fsck_findings(two) == []
    fsck(two.keep, DEEP, now=lambda: 1_795_521_600.0)
    (found,) = fsck_findings(two)
    assert found.what == "fsck of 2026-11-24 found 1 object missing or wrong, of orders@v1"
    assert (found.thing, found.next_step) == ("store nas", "datakeep fsck --deep --repair")
    fsck(two.keep, Plan())
    assert len(fsck_findings(two)) == 1, "a quick run does not see it, and so does not forget it"
    assert fsck(two.keep, Plan(deep=True, repair=True)).is_clean
    assert fsck_findings(two) == []


def test_status_tells_what_is_whole_in_no_store(two):
    damage(two.store)
    damage(two.nas)
    fsck(two.keep, DEEP)
    (found,) = fsck_findings(two)
    assert (found.kind, found.thing) == ("lost", "orders@v1")
    assert "datakeep update orders SOURCE --deep -m WHY" in found.next_step


def test_a_damaged_memory_of_fsck_is_none(two):
    two.keep.cache("last-fsck.json").write_text(json.dumps({"bad": [1], "said": []}))
    assert fsck_findings(two) == []


def test_status_sees_missing_and_unmarked_stores_and_repositories(two):
    two.store.rename(two.folder / "away")
    (two.nas / "datakeep-store.json").unlink()
    (two.folder / "keep.vault/git/datasets/orders.git").rename(two.folder / "gone.git")
    found = fsck_findings(two)
    assert [(one.kind, one.thing) for one in found] == [
        ("store", "store main"), ("store", "store nas"), ("missing-repository", "orders"),
    ]  # fmt: skip
    assert "is the share mounted?" in found[0].what
    assert found[2].next_step == "datakeep fsck --repair"


def test_a_store_that_is_full_or_refuses_is_said_when_it_is_mended(two, monkeypatch):
    damage(two.nas)

    def refuse(*arguments):
        raise AccessDenied("no right to write", next_step="ask its administrator")

    monkeypatch.setattr("datakeep.workflows.fsck.mend", refuse)
    found = fsck(two.keep, Plan(deep=True, repair=True))
    assert [one.what for one in found.complaints] == ["orders in it could not be repaired: no right to write"]
    assert [state.is_bad for state in found.versions] == [False, True]


@pytest.mark.parametrize("plan", [Plan(), DEEP], ids=["quick", "deep"])
def test_an_entry_that_cannot_be_read_hides_no_other_bundle(bench, plan):
    for name in ("first", "last"):
        bench.register(name, "git")
        for purpose in ("another", "one more"):
            bench.update(name, purpose=purpose)
    bench.commit(**{"register/first/v2.yaml": "format: ["})
    (lost,) = (bench.store / "last/datakeep/bundles").glob("v3-*.bundle")
    lost.unlink()
    found = fsck(bench.keep, plan)
    assert {state.version: (state.whole, state.unread, state.missing) for state in found.versions} == {
        label: (0 if plan is not DEEP else there, 0 if plan is DEEP else there, missing)
        for label, there, missing in (
            ("first@v1", 1, ()),
            ("first@v3", 2, ()),
            ("last@v1", 1, ()),
            ("last@v2", 2, ()),
            ("last@v3", 2, ("the bundle of v3",)),
        )
    }
    assert [one.about for one in found.complaints if one.about != "the keep"] == ["first@v2"]
    assert {one.version for one in found.copies if one.whole + one.present == 1} == {"last@v3"}


def test_what_builds_on_a_version_that_cannot_be_read_is_not_called_whole_unread(bench):
    bench.register("first", "git")
    for purpose in ("another", "one more"):
        bench.update("first", purpose=purpose)
    bench.commit(**{"register/first/v2.yaml": "format: ["})
    shutil.rmtree(bench.keep.cache("datasets"))
    shutil.rmtree(bench.keep.dataset_url("first"))
    found = {state.version: state for state in fsck(bench.keep, DEEP).versions}
    assert (found["first@v1"].whole, found["first@v3"].whole, found["first@v3"].unread) == (1, 1, 1)


def test_a_folder_that_no_dataset_can_be_named_after_is_told_and_ends_nothing(bench):
    bench.register()
    bench.commit(**{"register/UPPER/v1.yaml": bench.keep.tree.read("register/orders/v1.yaml").decode()})
    found = fsck(bench.keep, Plan())
    assert [state.version for state in found.versions] == ["orders@v1"]
    (said,) = [one.what for one in found.complaints if "UPPER" in one.what]
    assert said == "register/UPPER/v1.yaml is in no answer: 'UPPER' cannot be the name of a dataset"
