"""The folders of runs that are at work at the same time in one keep."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from datakeep.workflows import rooms

if TYPE_CHECKING:
    from pathlib import Path


def test_ctrl_c_while_a_room_is_taken_away_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep: Any = SimpleNamespace(cache=tmp_path.joinpath)
    remove = rooms._remove

    def interrupted(folder: Path) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        remove(folder)

    monkeypatch.setattr(rooms, "_remove", interrupted)
    with pytest.raises(KeyboardInterrupt), rooms.own_room(keep) as room:
        (room / "file").touch()
    assert [one.name for one in room.parent.iterdir()] == ["lock"]


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
