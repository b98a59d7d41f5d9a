"""The folders of runs that are at work at the same time in one keep."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from datakeep.workflows import rooms

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_room_that_another_run_leaves_in_that_moment_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when the dead ones were looked for, and is gone before its lock can be tried."""
    keep: Any = SimpleNamespace(cache=tmp_path.joinpath)
    dead, leaving = tmp_path / "rooms" / "1-dead", tmp_path / "rooms" / "2-leaving"
    for room in (dead, leaving):
        room.mkdir(parents=True)

    def lock(path: Path, **options: Any) -> FileLock:
        if path.parent == leaving:
            leaving.rmdir()
            raise FileNotFoundError(path)
        return FileLock(path, **options)

    monkeypatch.setattr(rooms, "FileLock", lock)
    with rooms.own_room(keep) as room:
        assert {one.name for one in room.parent.iterdir()} == {"lock", room.name}
    assert [one.name for one in room.parent.iterdir()] == ["lock"]
