"""Whether times can be held against each other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from datakeep.rerun import clock, strace
from datakeep.rerun.reads import from_strace

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TIMED = """\
7 100.000001 openat(AT_FDCWD</w>, "a", O_RDONLY <unfinished ...>
8 100.000002 openat(AT_FDCWD</w>, "b", O_RDONLY) = 3</w/b>
7 100.500000 <... openat resumed>) = 3</w/a>
7 101.000000 openat(AT_FDCWD</w>, "b", O_RDONLY) = 3</w/b>
7 openat(AT_FDCWD</w>, "c", O_RDONLY) = 3</w/c>
7 x.y openat(AT_FDCWD</w>, "d", O_RDONLY) = 3</w/d>
"""


def test_an_opening_has_the_time_at_which_it_began(tmp_path: Path) -> None:
    (tmp_path / strace.FILE_NAME).write_text(TIMED, "utf-8")
    assert from_strace(tmp_path, "/w").paths == {"/w/a": 100.000001, "/w/b": 100.000002, "/w/c": None}


def test_a_clock_that_was_set_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    running = clock.Clock()
    assert not running.was_set_back()
    now = time.time()
    monkeypatch.setattr(clock.time, "time", lambda: now - 1)
    assert running.was_set_back()


def test_a_tick_that_comes_late_is_not_another_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a busy machine: the first look finds the time of files far behind."""
    real, looks = time.time, iter([1.0])
    monkeypatch.setattr(clock.time, "time", lambda: real() + next(looks, 0.0))
    assert clock.is_clock_of(tmp_path)


def test_a_folder_with_another_clock_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert clock.is_clock_of(tmp_path)
    real = time.time
    for ahead in (1, -1):
        monkeypatch.setattr(clock.time, "time", lambda ahead=ahead: real() + ahead)
        assert not clock.is_clock_of(tmp_path)
    assert not clock.is_clock_of(tmp_path / "missing")
