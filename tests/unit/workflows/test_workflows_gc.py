"""gc deletes what nothing refers to, and never anything else, whoever is at work beside it."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import time
from datetime import timedelta

import pytest

from datakeep.core.errors import Conflict, DatakeepError, GitFault, StillNeeded, UnknownName
from datakeep.core.progress import Silent
from datakeep.repository import pointers
from datakeep.repository.dataset import DatasetRepository
from datakeep.store.dvc_format import object_key, parse_pointer_file
from datakeep.store.folder import FolderStore
from datakeep.workflows import gc as module
from datakeep.workflows import publish
from datakeep.workflows.fsck import fsck
from datakeep.workflows.fsck_report import Plan
from datakeep.workflows.gc import Sweep, gc
from datakeep.workflows.keep import open_keep
from datakeep.workflows.vault_stores import add_store

OLD_S = 100 * 86400


@pytest.fixture
def two(bench):
    """A keep with two stores, so that the policy is content."""
    add_store(bench.keep, "nas", str(bench.folder / "nas"), who=bench.aiko, now=bench.now)
    return bench


def stores(bench):
    return [bench.store, bench.folder / "nas"]


def age(bench):
    """Everything in the stores has lain there for a hundred days."""
    then = time.time() - OLD_S
    for store in stores(bench):
        for path in store.rglob("*"):
            if path.is_file():
                os.utime(path, (then, then))


def stray(bench, name="orders", text=b"left by a killed run", md5="ab" * 16):
    """An object that nothing refers to, in each store."""
    for store in stores(bench):
        path = store / object_key(name, md5)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return object_key(name, md5)


def sweep(bench, **options):
    return gc(bench.keep, Sweep(delete=True, **options))


def keys(found):
    return {(one.store, one.key) for one in found}


def both(*names):
    return {(store, key) for store in ("main", "nas") for key in names}


def files(bench):
    return {path: path.read_bytes() for store in stores(bench) for path in store.rglob("*") if path.is_file()}


def git(folder, *arguments):
    done = subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(bench, name="orders"):
    return bench.folder / "keep.vault" / "git" / "datasets" / f"{name}.git"


def on_a_branch(bench, md5, name="orders", *, listing=False):
    """A branch of the vault's repository has a pointer to an object, as a colleague's dvc and git would push."""
    work = bench.folder / f"work-{len(list(bench.folder.iterdir()))}"
    git(bench.folder, "clone", "--quiet", str(repository(bench, name)), str(work))
    git(work, "checkout", "--quiet", "-b", work.name)
    (work / "deep").mkdir()
    suffix = ".dir" if listing else ""
    (work / "deep" / "more.dvc").write_text(
        f"outs:\n- md5: {md5}{suffix}\n  hash: md5\n  path: more\n- md5: {'0' * 32}\n"
    )
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "a try")
    git(work, "rm", "--quiet", "-r", "deep")
    git(work, "commit", "--quiet", "-m", "given up, but in the history")
    git(work, "push", "--quiet", "origin", "HEAD")


def test_only_what_nothing_refers_to_goes(two):
    two.register()
    two.register("tab", "git")
    before = files(two)
    gone = stray(two)
    age(two)
    looked = gc(two.keep, Sweep())
    assert (keys(looked.found), looked.deleted) == (both(gone), [])
    assert len(files(two)) == len(before) + 2
    done = sweep(two)
    assert (keys(done.deleted), done.kept) == (both(gone), [])
    after = {path: data for path, data in files(two).items() if path.name != "gc.json"}
    assert after == before
    assert fsck(two.keep, Plan(deep=True)).is_clean
    assert sweep(two).found == []


def test_what_is_young_stays(two):
    two.register()
    age(two)
    gone = stray(two)
    assert {one.is_old for one in gc(two.keep, Sweep()).found} == {False}
    assert sweep(two).deleted == []
    assert sweep(two, grace=timedelta(days=1)).deleted == []
    age(two)
    assert sweep(two, grace=timedelta(days=101)).deleted == []
    assert keys(sweep(two, grace=timedelta(days=99)).deleted) == both(gone)


def test_a_branch_and_its_history_are_references(two):
    two.register()
    single, listed, gone = "ab" * 16, "cd" * 16, stray(two, md5="ef" * 16)
    stray(two, md5=single)
    stray(two, md5=listed)
    on_a_branch(two, single)
    text = b'[{"md5": "%s", "relpath": "x"}]' % listed.encode()
    name = hashlib.md5(text).hexdigest()
    for store in stores(two):
        path = store / object_key("orders", f"{name}.dir")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    on_a_branch(two, name, listing=True)
    age(two)
    assert keys(sweep(two).deleted) == both(gone)


def test_a_list_of_files_that_cannot_be_read_keeps_its_dataset_whole_and_no_other(two):
    two.register()
    two.register("pairs")
    kept, gone = stray(two), stray(two, "pairs")
    on_a_branch(two, "12" * 16, listing=True)
    age(two)
    looked = gc(two.keep, Sweep())
    assert keys(looked.found) == both(gone)
    done = sweep(two)
    assert keys(done.deleted) == both(gone)
    assert all((store / kept).exists() for store in stores(two))
    [why] = done.kept
    assert why.startswith(
        "orders: all of its objects are kept, 2 of them in doubt: a commit refers to a list of"
    )
    assert f"orders/files/md5/12/{'12' * 15}.dir" in why
    assert "dvc push --all-commits" in why
    assert sweep(two, only=("pairs",)).kept == []
    assert sweep(two, only=("orders",)).deleted == []


def test_merges_refer_to_what_they_dropped_and_to_what_came_with_them(two):
    """Simplified, history would follow one parent; and a merge can hold what neither parent has."""
    two.register()
    wanted = {stray(two), stray(two, md5="cd" * 16)}
    work = two.folder / "merged"
    git(two.folder, "clone", "--quiet", str(repository(two)), str(work))
    git(work, "checkout", "--quiet", "-b", "side")
    (work / "more.dvc").write_text(f"outs:\n- md5: {'ab' * 16}\n  path: more\n")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "side")
    git(work, "checkout", "--quiet", "main")
    git(work, "merge", "--quiet", "-s", "ours", "--no-ff", "--no-commit", "side")
    (work / "evil.dvc").write_text(f"outs:\n- md5: {'cd' * 16}\n  path: evil\n")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "ours")
    git(work, "rm", "--quiet", "evil.dvc")
    git(work, "commit", "--quiet", "-m", "away again")
    git(work, "push", "--quiet", "origin", "main:refs/heads/merged")
    age(two)
    assert not wanted & {one.key for one in sweep(two).deleted}


def test_a_pushed_version_that_is_not_registered_yet_is_needed(two, monkeypatch):
    """Another person's run stands between its push and its entry."""
    two.register()
    monkeypatch.setattr(publish, "require_unswept", lambda stores, before: 1 / 0)
    (two.source / "new.txt").write_text("not registered yet")
    with pytest.raises(ZeroDivisionError):
        two.update(source=two.source)
    age(two)
    assert sweep(two).found == []


@pytest.mark.parametrize("backend", ["dvc", "git"])
def test_a_registration_that_counted_on_an_old_object_sends_it_again(two, monkeypatch, backend):
    """The object lay there unreferenced when it was looked for; gc came before the push."""
    two.register(backend=backend)
    (two.source / "new.txt").write_text("old bytes")
    real = publish.Publisher.publish
    monkeypatch.setattr(publish.Publisher, "publish", lambda self, prepared: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        two.update(source=two.source)
    age(two)
    swept = []

    def late(self, prepared):
        if not swept:
            swept.append(gc(open_keep(two.keep.root, Silent()), Sweep(delete=True)))
        return real(self, prepared)

    monkeypatch.setattr(publish.Publisher, "publish", late)
    with pytest.raises(Conflict, match="swept"):
        two.update(source=two.source)
    assert bool(swept[0].deleted) == (backend == "dvc")
    two.reopen()
    assert two.keep.versions("orders") == ["v1"]
    assert two.update(source=two.source).version == "v2"
    assert fsck(two.keep, Plan(deep=True)).is_clean


def test_nothing_is_deleted_while_something_is_wrong(two):
    two.register()
    gone = stray(two)
    age(two)
    victim = two.objects().files[0]
    victim = victim if victim.name != gone.rpartition("/")[2] else two.objects().files[1]
    kept = victim.read_bytes()
    victim.unlink()
    with pytest.raises(StillNeeded, match="not whole everywhere"):
        sweep(two)
    victim.write_bytes(kept)
    repository(two).rename(two.folder / "away")
    for delete in (False, True):
        with pytest.raises(DatakeepError):
            gc(two.keep, Sweep(delete=delete))
    (two.folder / "away").rename(repository(two))
    (two.folder / "nas").rename(two.folder / "unmounted")
    with pytest.raises(DatakeepError):
        sweep(two)
    (two.folder / "unmounted").rename(two.folder / "nas")
    assert keys(sweep(two).deleted) == both(gone)


def test_too_few_copies_delete_nothing(bench):
    bench.register()
    with pytest.raises(StillNeeded):
        gc(bench.keep, Sweep(delete=True))


def test_a_store_that_others_use_is_left_alone_unless_told(two):
    two.register()
    gone, other = stray(two), stray(two, "their-data")
    (two.store / "files" / "md5" / "ab").mkdir(parents=True)
    (two.store / "files" / "md5" / "ab" / "cd").write_bytes(b"dvc's own remote")
    age(two)
    done = sweep(two)
    assert done.deleted == []
    assert done.unknown == {"main": ["files", "their-data"], "nas": ["their-data"]}
    assert keys(sweep(two, only=["orders"]).deleted) == both(gone)
    assert all((store / other).is_file() for store in stores(two))
    with pytest.raises(UnknownName, match="did you mean 'orders'"):
        sweep(two, only=["order"])


def test_a_push_meanwhile_stops_it(two, monkeypatch):
    two.register()
    gone = stray(two)
    age(two)
    real = module.references

    def walked(keep):
        found = real(keep)
        on_a_branch(two, "ab" * 16)
        return found

    monkeypatch.setattr(module, "references", walked)
    with pytest.raises(Conflict, match="pushed to orders"):
        sweep(two)
    assert (two.store / gone).is_file()


def test_what_was_written_anew_meanwhile_stays(two, monkeypatch):
    two.register()
    stray(two)
    age(two)
    real = module._require_same_refs

    def touched(keep, known):
        stray(two)
        return real(keep, known)

    monkeypatch.setattr(module, "_require_same_refs", touched)
    assert sweep(two).deleted == []


def test_quarantine_and_bundles(two):
    two.register()
    two.register("tab", "git")
    for store in stores(two):
        (store / "orders/datakeep/quarantine").mkdir(parents=True)
        (store / "orders/datakeep/quarantine/ab").write_bytes(b"bad")
        (store / "tab/datakeep/bundles/v9-0123456789ab.bundle").write_bytes(b"of a push that was given up")
        (store / "orders/notes.txt").write_text("somebody's own")
    age(two)
    bundle, bad = "tab/datakeep/bundles/v9-0123456789ab.bundle", "orders/datakeep/quarantine/ab"
    assert {(one.kind, one.key) for one in gc(two.keep, Sweep()).found} == {
        ("bundle", bundle),
        ("quarantine", bad),
    }
    assert keys(sweep(two).deleted) == both(bundle)
    assert keys(sweep(two, quarantine=True).deleted) == both(bad)
    assert all((store / "orders/notes.txt").is_file() for store in stores(two))
    assert fsck(two.keep, Plan(deep=True)).is_clean


@pytest.mark.parametrize("seed", range(3))
def test_random_histories_lose_nothing(two, seed):
    """Versions, branches, branches that are given up, and strays, in any order."""
    chance = random.Random(seed)
    two.register()
    expected = set()
    for step in range(8):
        act = chance.choice(["update", "branch", "stray", "shared", "sweep"])
        md5 = "".join(chance.choices("0123456789abcdef", k=32))
        if act == "update":
            (two.source / f"{step}.txt").write_text(chance.choice(["one", "two", f"new {step}"]))
            two.update(source=two.source)
        elif act == "branch":
            stray(two, md5=md5)
            on_a_branch(two, md5)
        elif act == "shared":  # an object of the register, referred to on a branch as well
            on_a_branch(two, chance.choice(_registered(two)))
        elif act == "stray":
            expected.add(stray(two, md5=md5))
        else:
            age(two)
            assert {one.key for one in sweep(two).deleted} == expected
            expected = set()
    age(two)
    assert {one.key for one in sweep(two).deleted} == expected
    assert fsck(two.keep, Plan(deep=True)).is_clean


def _registered(bench):
    entry = bench.keep.entry("orders")
    cache = DatasetRepository(bench.keep.cache("datasets", "orders.git"), bench.keep.dataset_url("orders"))
    return [parse_pointer_file(cache.read(entry.commit, "inventory.parquet.dvc"), what="x").md5]


def test_an_object_under_lock_stays_and_the_others_go(two, monkeypatch):
    two.register()
    gone, held = stray(two), stray(two, md5="cd" * 16)
    age(two)
    monkeypatch.setattr(FolderStore, "locked", lambda self, keys: {held} & set(keys))
    done = sweep(two)
    assert keys(done.deleted) == both(gone)
    assert ["1 object is under object lock" in line for line in done.kept] == [True, True]


def test_a_repository_elsewhere_is_walked_as_well(two, monkeypatch):
    """As behind ssh: fetched whole, with every ref."""
    two.register()
    wanted, gone = "ab" * 16, stray(two, md5="cd" * 16)
    stray(two, md5=wanted)
    on_a_branch(two, wanted)
    age(two)
    monkeypatch.setattr(pointers, "local_path", lambda url: None)
    assert keys(gc(two.keep, Sweep()).found) == both(gone)


def test_a_ref_to_something_else_than_a_commit_stops_everything(two):
    two.register()
    tree = git(repository(two), "rev-parse", "main^{tree}")
    git(repository(two), "update-ref", "refs/odd/tree", tree)
    with pytest.raises(GitFault, match="other than a commit"):
        gc(two.keep, Sweep())
