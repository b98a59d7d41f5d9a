"""``vault check`` as its users call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from world import Person


def test_what_dies_together_is_a_finding(aiko: Person, keep: Path, vault: Path) -> None:
    aiko.datakeep("vault", "add", "nas", aiko.cwd / "nas", cwd=keep)
    said = aiko.datakeep("vault", "check", cwd=keep, code=3).out
    assert "the same file system as this clone of the keep, store nas" in said
    assert "next: add a store on another disk" in said
    (vault / "data").rename(vault / "away")
    found = aiko.datakeep("vault", "check", "main", "--json", cwd=keep, code=3).data
    assert [store["name"] for store in found["stores"]] == ["main"]
    assert [check["name"] for check in found["stores"][0]["checks"]] == ["reachable"]
    assert "did you mean 'nas'" in aiko.datakeep("vault", "check", "nsa", cwd=keep, code=11).err
