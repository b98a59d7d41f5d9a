"""A file that ends the process that reads it takes nothing else with it, and is never "no"."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datakeep.core.conditions import parse_condition
from datakeep.core.errors import SourceMalformed
from datakeep.extract.typed import CannotTell
from datakeep.workflows.bytes_here import Copy
from datakeep.workflows.look_apart import LooksApart

NAME = b"\x0bcustomer_id"


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.parquet"
    pq.write_table(pa.table({"customer_id": [4711, 4711, 3], "lists": [[1], [2], [3]]}), path)
    return path


@pytest.fixture
def deadly(tmp_path):
    """Its footer says that a column has no NULL, and of its page that it counted them: Arrow ends the process."""
    path = tmp_path / "deadly.parquet"
    pq.write_table(pa.table({"customer_id": [1, 2, 3]}), path, write_page_index=True)
    data, optional, required = (
        path.read_bytes(),
        b"\x15\x04\x25\x02\x18" + NAME,
        b"\x15\x04\x25\x00\x18" + NAME,
    )
    assert data.count(optional) == 1
    path.write_bytes(data.replace(optional, required))
    return path


@contextmanager
def looking(condition, folder):
    with LooksApart(parse_condition(condition), folder) as apart:
        yield lambda path: apart.look(path.name, Copy("store main", path), parts=True)


def test_a_file_that_kills_its_reader_is_not_searched_and_the_next_one_is(good, deadly, tmp_path):
    told = f"import pyarrow.parquet as p; p.read_metadata({str(deadly)!r}).row_group(0).column(0)"
    died = subprocess.run([sys.executable, "-c", told], capture_output=True, check=False)
    assert died.returncode < 0, "this test needs a file that kills"
    with looking("customer_id = 4711", tmp_path) as look:
        assert look(good).rows == 2
        with pytest.raises(SourceMalformed, match=r"deadly\.parquet kills whoever reads it"):
            look(deadly)
        assert look(good).rows == 2


def test_what_cannot_be_told_and_what_cannot_be_read_come_back_as_such(good, tmp_path):
    with looking("lists = 1", tmp_path) as look, pytest.raises(CannotTell, match="lists or objects"):
        look(good)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(good.read_bytes()[:-9])
    with looking("customer_id = 1", tmp_path) as look:
        with pytest.raises(SourceMalformed, match="not whole Parquet"):
            look(broken)
        with pytest.raises(SourceMalformed, match="cannot be read: FileNotFoundError"):
            look(tmp_path / "absent.parquet")
        assert look(good).rows == 0


def test_no_child_is_left_and_none_is_made_that_is_not_needed(good, tmp_path):
    def children():
        return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())

    before = children()
    with looking("customer_id = 1", tmp_path) as look:
        assert children() == before
        look(good)
        assert len(children() - before) == 1
    assert children() == before


def test_nothing_is_imported_from_the_folder_that_the_user_is_in(good, tmp_path, monkeypatch):
    """A clone of somebody's keep is such a folder."""
    (tmp_path / "json.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    with looking("customer_id = 3", tmp_path) as look:
        assert look(good).rows == 1
    assert not (tmp_path / "ran").exists()
