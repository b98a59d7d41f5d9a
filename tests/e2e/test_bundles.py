"""The git backend's second copy: a bundle in every store, readable with plain git, checked and restored from."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from world import Person


@pytest.fixture
def bundles(aiko: Person, keep: Path, vault: Path, facts: tuple[str, ...]) -> Path:
    """The folder of the bundles of ``notes``, a dataset in git of two versions."""
    source = aiko.cwd / "notes"
    source.mkdir()
    (source / "a.txt").write_bytes(b"one\r\n" * 1000)
    aiko.datakeep("register", "notes", source, "--backend", "git", *facts, cwd=keep)
    (source / "b.txt").write_text("two")
    aiko.datakeep("update", "notes", source, "-m", "b came", cwd=keep)
    return vault / "data" / "notes" / "datakeep" / "bundles"


def _fsck(who: Person, keep: Path, *options: str, code: int = 0) -> dict:
    return who.datakeep("fsck", "--json", *options, cwd=keep, code=code).data


def _damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def test_plain_git_restores_a_dataset_from_its_bundles(aiko: Person, bundles: Path) -> None:
    first, second = sorted(bundles.iterdir())
    place = aiko.cwd / "restored"
    aiko.run("git", "clone", "--quiet", "--branch", "v1", first, place)
    assert (place / "data" / "a.txt").read_bytes() == b"one\r\n" * 1000
    aiko.run("git", "-C", place, "fetch", "--quiet", second, "refs/tags/*:refs/tags/*")
    aiko.run("git", "-C", place, "checkout", "--quiet", "v2")
    assert (place / "data" / "b.txt").read_text() == "two"
    assert second.stat().st_size < first.stat().st_size + 2000


def test_git_base_and_bundles_are_two_copies(aiko: Person, keep: Path, bundles: Path) -> None:
    found = _fsck(aiko, keep, "--deep")
    assert [(copies["version"], copies["whole"]) for copies in found["copies"]] == [
        ("notes@v1", 2),
        ("notes@v2", 2),
    ]
    assert [(state["version"], state["whole"]) for state in found["versions"]] == [
        ("notes@v1", 1),
        ("notes@v2", 2),
    ]
    kinds = [
        finding["kind"] for finding in aiko.datakeep("status", "--json", cwd=keep, code=None).data["findings"]
    ]
    assert "copies" not in kinds


def test_a_flipped_bundle_is_found_by_reading_and_made_anew(aiko: Person, keep: Path, bundles: Path) -> None:
    first = min(bundles.iterdir())
    _damage(first)
    bad = first.read_bytes()
    assert _fsck(aiko, keep)["clean"], "sizes alone do not tell"
    found = _fsck(aiko, keep, "--deep", code=3)
    assert [len(state["wrong"]) for state in found["versions"]] == [1, 1], "v2 builds on v1"
    assert [copies["whole"] for copies in found["copies"]] == [1, 1]
    assert _fsck(aiko, keep, "--deep", "--repair")["clean"]
    assert _fsck(aiko, keep, "--deep")["clean"]
    assert (bundles.parent / "quarantine" / first.name).read_bytes() == bad


@pytest.mark.parametrize("truncated", [False, True])
def test_a_lost_bundle_is_seen_by_a_listing(aiko: Person, keep: Path, bundles: Path, truncated: bool) -> None:
    second = sorted(bundles.iterdir())[1]
    second.write_bytes(b"") if truncated else second.unlink()
    found = _fsck(aiko, keep, code=3)
    assert [state["missing"] for state in found["versions"]] == [[], ["the bundle of v2"]]
    assert _fsck(aiko, keep, "--repair")["clean"]
    assert _fsck(aiko, keep, "--deep")["clean"]


def test_another_stores_bundle_serves_when_the_git_base_is_damaged(
    aiko: Person, keep: Path, vault: Path, bundles: Path
) -> None:
    nas = aiko.cwd / "nas"
    aiko.datakeep("vault", "add", "nas", nas, cwd=keep)
    for bundle in bundles.iterdir():
        bundle.unlink()
    shutil.rmtree(vault / "git" / "datasets" / "notes.git" / "objects")
    shutil.rmtree(keep / ".datakeep")
    aiko.datakeep("fsck", "--deep", "--repair", cwd=keep, code=3)
    found = _fsck(aiko, keep, "--deep", code=3)
    assert [copies["whole"] for copies in found["copies"]] == [2, 2]
    assert all(complaint["about"] in ("notes", "notes@v1", "notes@v2") for complaint in found["complaints"])


def test_a_lost_repository_is_made_anew_from_the_bundles(
    aiko: Person, keep: Path, vault: Path, bundles: Path, tmp_path: Path
) -> None:
    repository = vault / "git" / "datasets" / "notes.git"
    shutil.rmtree(repository)
    shutil.rmtree(keep / ".datakeep")
    said = aiko.datakeep("fsck", cwd=keep, code=3).out
    assert f"its repository {repository} is not there" in said
    assert "datakeep fsck --repair" in said
    restored = aiko.datakeep("fsck", "--repair", cwd=keep)
    assert "restored: the tag of notes@v2" in restored.out
    aiko.datakeep("checkout", "notes@v1", tmp_path / "there", cwd=keep)
    assert (tmp_path / "there" / "data" / "a.txt").read_bytes() == b"one\r\n" * 1000
    aiko.run("git", "clone", "--quiet", repository, tmp_path / "main")
    assert (tmp_path / "main" / "data" / "b.txt").read_text() == "two"


@pytest.mark.parametrize("moved", [False, True])
def test_a_lost_or_moved_tag_is_brought_back(
    aiko: Person, keep: Path, vault: Path, bundles: Path, moved: bool
) -> None:
    repository = vault / "git" / "datasets" / "notes.git"
    git = ("git", "-C", repository)
    registered = aiko.run(*git, "rev-parse", "v2^{commit}").out
    other = aiko.run(*git, "rev-parse", "v1^{commit}").out.strip()
    aiko.run(*git, "update-ref", *(("refs/tags/v2", other) if moved else ("-d", "refs/tags/v2")))
    said = aiko.datakeep("fsck", cwd=keep, code=3).out
    assert "next: datakeep fsck --repair brings it back" in said
    assert aiko.run(*git, "for-each-ref", "refs/tags/v2").out.count(other) == moved, "nothing changed yet"
    aiko.datakeep("fsck", "--repair", cwd=keep)
    assert aiko.run(*git, "rev-parse", "v2^{commit}").out == registered
    assert aiko.run(*git, "for-each-ref", "refs/datakeep/moved/").out.count(other) == moved
    assert _fsck(aiko, keep)["clean"]


def test_a_store_that_is_away_is_named_before_anything_is_pushed(
    aiko: Person, keep: Path, vault: Path, bundles: Path
) -> None:
    (vault / "data").rename(vault / "away")
    before = aiko.run("git", "-C", vault / "git" / "datasets" / "notes.git", "for-each-ref").out
    failed = aiko.datakeep("update", "notes", "--purpose", "Another.", "-m", "why", cwd=keep, code=None)
    assert failed.code >= 10
    assert "data" in failed.err
    assert aiko.run("git", "-C", vault / "git" / "datasets" / "notes.git", "for-each-ref").out == before
