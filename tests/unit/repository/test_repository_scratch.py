"""What a killed process left among the temporary files goes; what is alive, or somebody else's, stays."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import pytest

from datakeep.core.errors import UsageError
from datakeep.repository import scratch as module
from datakeep.repository.scratch import scratch

HOLD = """
import sys, time
from datakeep.repository.scratch import scratch
with scratch() as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("x")
    print(folder.name, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def holder(place):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(place)},
    )
    name = process.stdout.readline().strip()
    yield process, place / name
    process.kill()
    process.communicate()


def test_it_lasts_as_long_as_its_block(place):
    with scratch() as folder:
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("x")
    assert list(place.iterdir()) == []


def test_the_living_are_left_alone_and_the_dead_are_removed(holder, place):
    process, held = holder
    with scratch() as folder:
        assert {path.name for path in place.iterdir()} == {held.name, folder.name}
    process.kill()
    process.wait()
    assert (held / "deep" / "file").exists()
    with scratch() as folder:
        assert [path.name for path in place.iterdir()] == [folder.name]


def test_what_is_not_ours_is_never_touched(place):
    (place / "precious").mkdir()
    (place / "precious" / "file").write_text("x")
    (place / f"{module._NAME}link").symlink_to(place / "precious")
    (place / f"{module._NAME}file").write_text("x")
    (place / f"{module._BEING_MADE}young").mkdir()
    old = place / f"{module._BEING_MADE}old"
    old.mkdir()
    os.utime(old, (time.time() - 9999,) * 2)
    with scratch():
        pass
    left = {path.name for path in place.iterdir()}
    assert left == {"precious", "datakeep-scratch-link", "datakeep-scratch-file", "datakeep-new-young"}
    assert (place / "precious" / "file").exists()


def test_a_file_system_without_locks_is_no_fault_and_nothing_there_is_taken_for_dead(place, monkeypatch):
    def refuse(handle, how):
        raise OSError("no locks here")

    monkeypatch.setattr(module.fcntl, "flock", refuse)
    with scratch() as folder, scratch() as other:
        assert folder.is_dir()
        assert other.is_dir()
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("kind", ["missing", "file", "read-only"])
def test_a_folder_that_tmpdir_names_and_that_cannot_be_used_is_an_error(tmp_path, monkeypatch, kind):
    folder = tmp_path / "base" / "named"
    folder.parent.mkdir()
    if kind == "file":
        folder.write_text("")
    elif kind == "read-only":
        folder.mkdir()
        monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setenv("TMPDIR", str(folder))
    with pytest.raises(UsageError, match=f"TMPDIR names, {folder}, ") as caught, scratch():
        pass
    assert "set TMPDIR" in caught.value.next_step
    assert [path.name for path in folder.parent.iterdir()] == ([] if kind == "missing" else ["named"])


def test_the_folder_that_tmpdir_names_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with scratch() as folder:
        assert folder.parent == tmp_path
