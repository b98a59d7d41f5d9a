"""Arrow's columns made without ``pyarrow.array`` are the ones that it makes, and load no pandas."""

import importlib.util
import os
import subprocess
import sys
import tempfile

import pyarrow as pa
import pytest

from datakeep.formats.base import Part, validate
from datakeep.formats.columns import fixed, integer, integers, joined, texts, texts_or_null

WORDS = ["", "a", "画像/一.txt", "é", "b" * 300, "\U0001f600"]


@pytest.mark.parametrize("values", [[], [""], WORDS, ["plain", "ascii"], WORDS[::-1]])
def test_texts(values):
    made = texts(values)
    made.validate(full=True)
    assert made.equals(pa.array(values, pa.string()))


def test_text_that_is_none():
    with pytest.raises(UnicodeEncodeError):
        texts(["\udcff"])


@pytest.mark.parametrize("values", [[], [None], ["train", None, "test", None, "画像"], ["", None, "a"]])
def test_texts_or_null(values):
    made = texts_or_null(values)
    made.validate(full=True)
    assert made.equals(pa.array(values, pa.string()))


def test_numbers():
    values = [0, -1, 2**63 - 1, -(2**63)]
    assert integers(values).equals(pa.array(values, pa.int64()))
    assert integers([2**64 - 1], pa.uint64()).equals(pa.array([2**64 - 1], pa.uint64()))
    assert integer(7) == pa.scalar(7, pa.int64())
    with pytest.raises(OverflowError):
        integers([2**63])


def test_values_of_fixed_size_come_back_from_any_part_of_a_column():
    data = bytes(range(48))
    column = pa.chunked_array([fixed(data, 3, 16)[1:], fixed(b"", 0, 16), fixed(data, 3, 16)[:2]])
    assert joined(column) == data[16:] + data[:32]


def test_no_step_of_an_inventory_loads_pandas():
    assert importlib.util.find_spec("pandas"), "without it this test proves nothing"
    code = """
import sys
from pathlib import Path
from datakeep.formats.inventory import FileEntry, Inventory, differences
from datakeep.store.scan import scan
from datakeep.store.state import HashState
here = Path(sys.argv[1])
one = Inventory.of([FileEntry("a/b", 1, bytes(16), bytes(32), "train"), FileEntry("c", 2, bytes(16), bytes(32))])
two = Inventory.from_bytes(one.with_splits({"test": ["data/c"]}).to_bytes(), what="it")
differences(one, two)
two.content_id()
(here / "data").mkdir()
(here / "data" / "a").write_text("a")
files = scan([here / "data"]).files
state = HashState(here / "state", here / "data")
state.save(files, Inventory.of_columns(files.paths, files.sizes, bytes(16), bytes(32)), began_ns=2**62)
assert state.trusted(files).positions == [0]
print(*(name for name in ("pandas", "git") if name in sys.modules))
"""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code, folder], capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_a_model_is_built_without_plugins_and_leaves_the_environment_as_it_was(monkeypatch):
    class Late(Part):
        number: int

    monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS", raising=False)
    assert validate(Late, {"number": 3}, "it").number == 3
    assert "PYDANTIC_DISABLE_PLUGINS" not in os.environ

    class Later(Part):
        number: int

    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "other")
    assert validate(Later, {"number": 3}, "it").number == 3
    assert os.environ["PYDANTIC_DISABLE_PLUGINS"] == "other"


def test_building_a_model_leaves_its_plugins_to_be_found_by_others():
    code = """
import sys
from datakeep.formats.manifest import Column
Column(name="speed")
from datakeep.formats.model import ModelRecord
from datakeep.formats.base import validate
from datakeep.core.errors import InvalidFile
try:
    validate(ModelRecord, {}, "it")
except InvalidFile:
    print("importlib.metadata" in sys.modules, "pydantic.plugin._loader" in sys.modules)
import pydantic
class Mine(pydantic.BaseModel):
    number: int
print(hasattr(sys.modules["pydantic.plugin._loader"], "PYDANTIC_ENTRY_POINT_GROUP"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False False", "True"]
