"""A half-done run locks nobody out: its tag is in the vault, and the register knows nothing of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from seen import Quick

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from world import World


@pytest.fixture(scope="module")
def calls(world: World) -> Iterator[Quick]:
    quick = Quick(world.aiko, type(world.aiko.run("true")))
    yield quick
    quick.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "rows.csv").write_text("id,n\n1,1\n")
    return folder


def repository(world: World, name: str) -> Path:
    return world.keep.with_name("keep.vault") / "git" / "datasets" / f"{name}.git"


def push_unregistered(
    world: World, name: str, version: str, *, by: str, at: str = "", light: bool = False
) -> None:
    """What a run leaves that ended between its push and its register entry."""
    place = repository(world, name)
    date = ["env", f"GIT_COMMITTER_DATE={at}"] if at else ["env"]
    git = [*date, "git", "-C", str(place), "-c", "user.name=X", "-c", f"user.email={by}"]

    def said(*arguments: str) -> str:
        return world.aiko.run(*git, *arguments).out.strip()

    head = world.aiko.run(*git, "rev-parse", "--verify", "--quiet", "main", code=None).out.strip()
    tree = world.aiko.run(*git, "mktree", "--missing").out.strip() if not head else f"{head}^{{tree}}"
    commit = said("commit-tree", "-m", "half done", *(["-p", head] if head else []), tree)
    said("update-ref", "refs/heads/main", commit)
    said("tag", *([] if light else ["-a", "-m", "half done"]), version, commit)


@pytest.mark.parametrize("backend", ["git", "dvc"])
def test_an_old_tag_of_another_is_skipped(world, calls, source, facts, backend):
    name = f"old-{backend}"
    calls.datakeep("register", name, source, "--backend", backend, *facts, cwd=world.keep)
    push_unregistered(world, name, "v2", by="ken@corp.example", at="2026-01-02T03:04:05Z")
    (source / "rows.csv").write_text("id,n\n1,2\n")
    ran = calls.datakeep("update", name, source, "-m", "more", cwd=world.keep)
    warned = [line for line in ran.err.splitlines() if "never registered" in line]
    assert len(warned) == 1, ran.err
    assert "v2" in warned[0]
    assert "ken@corp.example at 2026-01-02 03:04" in warned[0]
    assert "v3" in warned[0]
    git = ("git", "-C", repository(world, name))
    assert world.aiko.run(*git, "rev-parse", "main").out == world.aiko.run(*git, "rev-parse", "v3^{}").out
    world.aiko.run(*git, "merge-base", "--is-ancestor", "v2", "v3")
    assert "v3" in world.aiko.run(*git, "show", "v3:README.md").out
    listed = world.aiko.run(*git, "ls-tree", "-r", "--name-only", "v3").out
    assert listed == world.aiko.run(*git, "ls-tree", "-r", "--name-only", "v1").out
    # What comes after copes with the missing number.
    (source / "rows.csv").write_text("id,n\n1,3\n")
    calls.datakeep("update", name, source, "-m", "still more", cwd=world.keep)
    log = calls.datakeep("log", name, cwd=world.keep).out
    assert re.findall(r"\bv\d\b", log)[:3] == ["v4", "v3", "v1"], log
    assert "rows.csv" in calls.datakeep("diff", f"{name}@v3", cwd=world.keep, code=None).out
    calls.datakeep("checkout", f"{name}@v3", source.parent / "out", cwd=world.keep)
    assert (source.parent / "out" / "data" / "rows.csv").read_text() == "id,n\n1,2\n"


def test_a_young_tag_of_another_is_refused_until_it_is_old(world, calls, source, facts):
    calls.datakeep("register", "young", source, "--backend", "git", *facts, cwd=world.keep)
    push_unregistered(world, "young", "v2", by="ken@corp.example", light=True)
    (source / "rows.csv").write_text("id,n\n1,2\n")
    ran = calls.datakeep("update", "young", source, "-m", "more", cwd=world.keep, code=None)
    assert ran.code == 29, ran.err
    assert "None" not in ran.err
    assert re.search(r"next: .*\d\d:\d\d:\d\d UTC, v2 is skipped", ran.err), ran.err


def test_ones_own_unregistered_first_version_is_skipped(world, calls, source, facts):
    calls.datakeep("register", "mine", source, "--backend", "git", *facts, cwd=world.keep)
    bare = repository(world, "first")
    world.aiko.run("git", "init", "-q", "--bare", "-b", "main", bare)
    push_unregistered(world, "first", "v1", by=world.aiko.email)
    ran = calls.datakeep("register", "first", source, "--backend", "git", *facts, cwd=world.keep)
    assert "this becomes v2" in ran.err
    assert calls.datakeep("show", "first", "--json", cwd=world.keep).data["entry"]["version"] == "v2"


@pytest.mark.parametrize("fault", ["branch", "diverged"])
def test_nothing_is_pushed_that_the_keep_cannot_take(world, calls, source, facts, fault):
    name = f"ready-{fault}"
    calls.datakeep("register", name, source, "--backend", "git", *facts, cwd=world.keep)
    (source / "rows.csv").write_text("id,n\n1,2\n")
    git = ("git", "-C", world.keep)
    if fault == "branch":
        world.aiko.run(*git, "switch", "-q", "-c", "side")
    else:
        world.aiko.run(*git, "reset", "-q", "--soft", "HEAD~1")
        world.aiko.run(*git, "commit", "-q", "-m", "another way")
    try:
        ran = calls.datakeep("update", name, source, "-m", "more", cwd=world.keep, code=None)
    finally:
        if fault == "branch":
            world.aiko.run(*git, "switch", "-q", "main")
        else:
            world.aiko.run(*git, "reset", "-q", "--soft", "origin/main")
    assert ran.code == 29, ran.err
    assert re.search(r"^error: .+\n  next: .+$", ran.err, re.MULTILINE), ran.err
    assert world.aiko.run("git", "-C", repository(world, name), "tag").out == "v1\n"
