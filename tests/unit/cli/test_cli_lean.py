"""A command does not load pandas only because it is installed where datakeep is."""

from __future__ import annotations

import subprocess
import sys

LOOK = """
import sys
from datakeep.cli.lean import without_pandas
without_pandas()
import pyarrow as pa, pyarrow.compute as pc, pyarrow.dataset, pyarrow.parquet
pc.is_in(pa.array([1, None]), pa.array([2, 3]))
pa.table({"a": ["x", None]}).to_pylist()
import adbc_driver_postgresql.dbapi
print("pandas" in sys.modules)
import pandas
print(pa.Table.from_pandas(pandas.DataFrame({"a": [1, 2]})).to_pandas()["a"].sum(), pa.array(pandas.Series([1.0])))
"""
WITHOUT = """
import sys
sys.meta_path.insert(0, type("Seen", (), {"find_spec": lambda self, name, *_: print(name)})())
import pyarrow as pa
pa.array([1])
"""


def _said(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_arrow_goes_without_pandas_until_somebody_wants_it() -> None:
    assert _said(LOOK) == ["False", "3", "[", "1", "]"]


def test_arrow_would_load_it() -> None:
    """Once it does not, the detour is not needed any more."""
    assert "pandas" in _said(WITHOUT)
