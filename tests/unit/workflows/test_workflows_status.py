"""``status``: what needs attention is said; what is absent or unread is never called clean."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta

import pytest

from datakeep.workflows import people
from datakeep.workflows.checkout import checkout
from datakeep.workflows.checkout_status import checkout_status
from datakeep.workflows.status import keep_status

REFERENCE = """\
  reference:
    code: reference/
    environment: {lock: reference/uv.lock}
    command: python train.py
"""


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def kinds(bench):
    return sorted(found.kind for found in keep_status(bench.keep, now=bench.now).findings)


@pytest.fixture
def proven(bench):
    """A keep in which nothing needs attention."""
    text = bench.keep.tree.read("keep.yaml").decode().replace("copies: 2", "copies: 1")
    bench.commit(**{"keep.yaml": text})
    bench.entry = bench.register()
    bench.prove(bench.entry)
    return bench


def test_a_proven_keep_needs_nothing(proven):
    assert kinds(proven) == []


def test_proofs_that_are_missing_old_or_failed_are_findings(proven):
    def findings(days=0):
        found = keep_status(proven.keep, now=proven.now + timedelta(days=days)).findings
        return [(one.kind, one.next_step) for one in found]

    no_training = [("unproven", "datakeep reference orders --help")]
    assert findings(days=200) == no_training
    manifest = (
        REFERENCE + proven.keep.tree.read("register/orders/v1.yaml").decode().partition("manifest:\n")[2]
    )
    head = proven.keep.tree.read("register/orders/v1.yaml").decode().partition("manifest:\n")[0]
    proven.commit(**{"register/orders/v1.yaml": f"{head}manifest:\n{manifest}"})
    assert findings() == []
    assert findings(days=200) == [("expired", "datakeep verify orders@v1")]
    proven.prove(proven.entry, at=proven.now - timedelta(minutes=5), passed=False)
    assert findings() == [("failed", "datakeep verify orders@v1")]
    proven.register("other", "git")
    assert ("unproven", "datakeep reference other --help") in findings()


def test_too_few_copies_are_a_finding_until_a_store_holds_them(proven):
    text = proven.keep.tree.read("keep.yaml").decode().replace("copies: 1", "copies: 2")
    proven.commit(**{"keep.yaml": text})
    found = [one for one in keep_status(proven.keep, now=proven.now).findings if one.kind == "copies"]
    assert [one.thing for one in found] == ["orders@v1"]
    assert found[0].next_step.startswith("datakeep vault add")


def test_a_departed_owner_is_a_finding(proven):
    people.depart(proven.keep, "aiko", on=proven.now.date(), who=proven.aiko, now=proven.now)
    assert kinds(proven) == ["departed-owner"]


def test_behind_ahead_and_uncommitted_are_findings(proven, tmp_path):
    root = proven.keep.root
    git(tmp_path, "clone", "-q", proven.keep.published_url, "other")
    git(tmp_path / "other", "commit", "-q", "--allow-empty", "-m", "elsewhere")
    git(tmp_path / "other", "push", "-q", "origin", "HEAD:main")
    assert kinds(proven) == ["behind"]
    git(root, "commit", "-q", "--allow-empty", "-m", "here")
    (root / "people" / "mine.yaml").write_text("x")
    (root / "notes.txt").write_text("my own")
    assert kinds(proven) == ["ahead", "behind", "uncommitted"]


def test_an_origin_that_does_not_answer_is_said(proven):
    (proven.folder / "keep.vault").rename(proven.folder / "gone")
    assert kinds(proven) == ["store", "unreachable"]


def test_broken_files_of_the_keep_are_findings_and_hide_nothing(proven):
    proven.register("other", "git")
    proven.commit(
        **{"models/churn/v1.yaml": "format: [", "register/other/v1.yaml": "format: datakeep/version/1\n"}
    )
    assert kinds(proven) == ["broken-entry", "broken-record"]


def test_a_whole_checkout_is_clean_and_every_byte_was_read(proven):
    checkout(proven.keep, "orders")
    status = checkout_status(proven.keep, "orders")
    assert status.is_clean
    assert (status.found.matching, status.found.size_bytes) == (3, 13)


def test_a_flipped_byte_of_equal_size_and_time_is_seen(proven):
    checkout(proven.keep, "orders")
    path = proven.keep.root / "datasets/orders/data/a.txt"
    before = path.stat()
    path.write_bytes(b"alphb")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    status = checkout_status(proven.keep, "orders")
    assert not status.is_clean
    assert status.found.mismatched == ["a.txt"]


def test_added_removed_and_uncommitted_files_are_told_apart(proven):
    checkout(proven.keep, "orders", proven.folder / "copy")
    data = proven.folder / "copy" / "data"
    (data / "追加.txt").write_text("x")
    (data / "a.txt").unlink()
    (proven.folder / "copy" / "dataset.yaml").write_text("changed")
    status = checkout_status(proven.keep, "orders", proven.folder / "copy")
    assert (status.found.stray, status.found.missing, status.found.matching) == (["追加.txt"], ["a.txt"], 2)
    assert status.documents == ("dataset.yaml",)
    assert not status.is_clean


@pytest.mark.parametrize("how", ["never checked out", "pointers only"])
def test_absent_data_is_not_clean(proven, how):
    if how == "pointers only":
        git(proven.keep.root, "-c", "protocol.file.allow=always", "submodule", "update", "--init")
    status = checkout_status(proven.keep, "orders")
    assert status.found is None
    assert not status.is_clean


def test_an_older_checkout_is_held_against_its_own_version(proven):
    checkout(proven.keep, "orders")
    (proven.source / "new.txt").write_text("new")
    proven.update(source=proven.source)
    assert checkout_status(proven.keep, "orders").entry.version == "v1"
    assert checkout_status(proven.keep, "orders").is_clean
    newer = checkout_status(proven.keep, "orders@v2")
    assert newer.found.missing == ["new.txt"]
    assert not newer.is_clean


def test_an_owner_who_has_checked_it_is_told_to_ask_somebody_else(bench):
    bench.register()
    head, _, rest = bench.keep.tree.read("register/orders/v1.yaml").decode().partition("manifest:\n")
    bench.commit(**{"register/orders/v1.yaml": f"{head}manifest:\n{REFERENCE}{rest}"})
    bench.prove(bench.keep.entry("orders@v1"), "aiko")
    steps = {one.kind: one.next_step for one in keep_status(bench.keep, now=bench.now).findings}
    assert steps["self-checked"] == "have somebody else run: datakeep verify orders@v1"
