"""Taking another repository's history over."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from datakeep.core.errors import Conflict
from datakeep.repository import foreign
from datakeep.repository.adopting import AdoptedRepository
from datakeep.repository.vault import create_bare

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *argv: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@corp.example")
    done = subprocess.run(["git", *who, "-C", folder, *argv], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "a").write_text("a")
    git(folder, "add", "a")
    git(folder, "commit", "-qm", "first")
    return folder


@pytest.fixture
def ours(tmp_path: Path) -> AdoptedRepository:
    base = tmp_path / "base" / "datasets"
    base.mkdir(parents=True)
    create_bare(str(base / "n.git"), name="n")
    return AdoptedRepository(tmp_path / "cache" / "n.git", str(base / "n.git"))


def take(theirs: Path, ours: AdoptedRepository, place: Path) -> tuple[str, list[str]]:
    access = foreign.Access(allow_file=theirs)
    newest = foreign.default_branch(str(theirs), access)
    assert newest is not None
    foreign.clone(str(theirs), place, commit=newest[0], access=access)
    return newest[0], ours.take_history(place)


def test_branches_and_tags_are_published_once(theirs: Path, ours: AdoptedRepository, tmp_path: Path) -> None:
    git(theirs, "branch", "feature/x")
    git(theirs, "tag", "v3")
    git(theirs, "tag", "v5/sub")
    git(theirs, "tag", "of-a-file", "HEAD:a")
    commit, left_out = take(theirs, ours, tmp_path / "clone")
    assert left_out == ["of-a-file"]
    assert ours.free_version() == "v6"
    ours.publish_history()
    ours.publish_history()
    refs = git(tmp_path / "base/datasets/n.git", "for-each-ref", "--format=%(refname)").splitlines()
    assert refs == [
        "refs/heads/adopted/feature/x", "refs/heads/adopted/trunk", "refs/heads/main",
        "refs/tags/v3", "refs/tags/v5/sub",
    ]  # fmt: skip
    ours.forget_history()
    ours.fetch()
    assert ours.tags() == {"v3": commit}
    assert ours.leads_to(commit, commit)
    assert not ours.leads_to(commit, "0" * 40)
    assert git(ours.cache, "for-each-ref", "refs/datakeep") == ""


def test_a_commit_on_no_branch_is_taken(theirs: Path, ours: AdoptedRepository, tmp_path: Path) -> None:
    git(theirs, "checkout", "-q", "--detach")
    git(theirs, "commit", "-q", "--allow-empty", "-m", "on no branch")
    commit, _ = take(theirs, ours, tmp_path / "clone")
    assert ours.day_of(commit)[:2] == "20"


def test_a_rewritten_history_does_not_replace_the_one_that_was_published(
    theirs: Path, ours: AdoptedRepository, tmp_path: Path
) -> None:
    take(theirs, ours, tmp_path / "one")
    ours.publish_history()
    git(theirs, "commit", "-q", "--amend", "-m", "rewritten")
    take(theirs, ours, tmp_path / "two")
    with pytest.raises(Conflict, match="rewritten"):
        ours.publish_history()
