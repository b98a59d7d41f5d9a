"""Bytes that are damaged in every store come back from whoever still has the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from world import Person


@pytest.fixture
def damaged(aiko: Person, keep: Path, vault: Path, facts: tuple[str, ...]) -> Path:
    """The source of ``heal``, one small and one large object of which are flipped in both stores."""
    source = aiko.cwd / "heal"
    source.mkdir()
    (source / "small.bin").write_bytes(b"s" * 1000)
    (source / "large.bin").write_bytes(b"l" * 5_000_000)
    (source / "whole.bin").write_bytes(b"w" * 1000)
    aiko.datakeep("register", "heal", source, "--backend", "dvc", *facts, cwd=keep)
    aiko.datakeep("vault", "add", "nas", aiko.cwd / "nas", cwd=keep)
    for store in (vault / "data", aiko.cwd / "nas"):
        for path in (store / "heal" / "files").rglob("*"):
            if path.is_file() and path.read_bytes()[:1] in (b"s", b"l"):
                path.chmod(0o644)
                path.write_bytes(b"x" + path.read_bytes()[1:])
    return source


def test_registering_again_with_deep_mends_every_store(
    aiko: Person, keep: Path, vault: Path, damaged: Path
) -> None:
    failed = aiko.datakeep("checkout", "heal", aiko.cwd / "out", cwd=keep, code=22)
    assert "datakeep update heal SOURCE --deep -m WHY" in failed.err
    healed = aiko.datakeep("update", "heal", damaged, "--deep", "-m", "healing", cwd=keep)
    assert "4 objects of the stores had other bytes than their names say, and were written anew" in healed.err
    assert "no version was made" in healed.out
    assert aiko.datakeep("fsck", "--deep", "--json", cwd=keep).data["clean"]
    aiko.datakeep("checkout", "heal", aiko.cwd / "out", cwd=keep)
    quarantine = vault / "data" / "heal" / "datakeep" / "quarantine"
    assert {path.read_bytes()[:2] for path in quarantine.iterdir()} == {b"xs", b"xl"}


def test_a_source_that_is_damaged_too_mends_nothing(aiko: Person, keep: Path, damaged: Path) -> None:
    (damaged / "small.bin").write_bytes(b"x" + b"s" * 999)
    healed = aiko.datakeep("update", "heal", damaged, "--deep", "--dry-run", "-m", "healing", cwd=keep)
    assert "small.bin" in healed.out + healed.err
    found = aiko.datakeep("fsck", "--deep", "--json", cwd=keep, code=3).data
    assert all(len(state["wrong"]) == 2 for state in found["versions"])
