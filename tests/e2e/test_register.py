"""Registering, as a user does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Person


@pytest.mark.parametrize("backend", ["git", "dvc"])
def test_register_twice_changes_nothing(
    aiko: Person, keep: Path, orders: Path, facts: tuple[str, ...], backend: str
) -> None:
    first = aiko.datakeep("register", "orders", orders, "--backend", backend, *facts, cwd=keep)
    assert "registered orders@v1: 5 files" in first.out
    head = aiko.run("git", "rev-parse", "HEAD", cwd=keep).out
    second = aiko.datakeep("register", "orders", orders, "--backend", backend, *facts, cwd=keep)
    assert "registered already, unchanged" in second.out
    assert aiko.run("git", "rev-parse", "HEAD", cwd=keep).out == head
    assert aiko.run("git", "status", "--porcelain", cwd=keep).out == ""


def test_all_missing_facts_are_one_error(aiko: Person, keep: Path, orders: Path) -> None:
    ran = aiko.datakeep("register", "orders", orders, "--backend", "git", cwd=keep, code=13)
    for option in (
        "--purpose",
        "--origin",
        "--extracted-at",
        "--no-annotation",
        "--privacy",
        "--license",
        "--access",
    ):
        assert option in ran.err
    assert aiko.datakeep("list", "--json", cwd=keep).data["datasets"] == []
