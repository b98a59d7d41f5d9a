"""A profile that is counted while rows are written is the one that a reading of the files gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from datakeep.core.progress import Silent
from datakeep.extract.counting import Counting
from datakeep.extract.describe import describe
from datakeep.extract.profile import profile
from datakeep.extract.sql.parquet_parts import write_parts

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 300_000


@pytest.fixture(scope="module")
def table() -> Any:
    chance = np.random.default_rng(4)
    numbers = np.arange(ROWS)
    return pa.table(
        {
            "id": numbers * 3,
            "scattered": chance.integers(-(2**62), 2**62, ROWS),
            "price": pa.array(chance.normal(size=ROWS).round(4), mask=numbers % 9 == 0),
            "name": [f"n{one}" for one in chance.integers(0, 90_000, ROWS)],
            "day": pa.array((numbers // 700).astype(np.int32)).cast(pa.date32()),
            "tags": pa.array([[1]] * ROWS, pa.list_(pa.int8())),
            "none": pa.nulls(ROWS),
        }
    )


def both(folder: Path, table: Any, *, at_once: int = 50_000, **options: Any) -> tuple[Any, Any, list[str]]:
    """The tally that was counted, if it is of use; the profile with it; and the one of a reading."""
    result = SimpleNamespace(
        columns=(), schema=table.schema, batches=lambda: iter(table.to_batches(max_chunksize=at_once))
    )
    counting = Counting()
    parts = write_parts(result, folder, progress=Silent(), counting=counting, **options)
    files = [(file.name, file) for file in parts.files]
    columns = describe(files, progress=Silent()).columns
    stages: list[str] = []
    progress = Silent()
    progress.stage = lambda name, **_: stages.append(name)  # type: ignore[method-assign,assignment]
    found = profile(files, columns, progress=progress, counted_before=counting)
    assert found == profile(files, columns, progress=Silent())
    return found, parts, stages


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"at_once": 7_777},
        {"row_group_rows": 100_000},  # the batches of a reader go on over row groups
        {"row_group_rows": 30_000, "part_bytes": 1_500_000},  # and begin anew with each file
    ],
)
def test_the_figures_are_those_of_a_reading(tmp_path: Path, table: Any, options: dict[str, Any]) -> None:
    found, parts, stages = both(tmp_path, table, **options)
    assert (found.rows, stages) == (ROWS, [])
    assert len(parts.files) == found.files
    assert (found.files > 1) == ("part_bytes" in options)
    approximate = {column.name: column.approximate for column in found.columns}
    assert approximate["scattered"]
    assert not approximate["day"]


def test_no_row_has_a_profile_too(tmp_path: Path, table: Any) -> None:
    found, _, stages = both(tmp_path, table.slice(0, 0))
    assert (found.rows, found.files) == (0, 1)
    assert stages == ["profile"]


def test_large_rows_are_read_as_they_always_were(tmp_path: Path) -> None:
    texts = [f"{number:06d}" * 150 for number in range(3_000)]
    found, _, stages = both(tmp_path, pa.table({"text": texts}))
    assert (found.rows, stages) == (3_000, ["profile"])


def test_a_file_that_is_another_is_read(tmp_path: Path, table: Any) -> None:
    result = SimpleNamespace(columns=(), schema=table.schema, batches=lambda: iter(table.to_batches()))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    counting = Counting()
    write_parts(result, tmp_path / "a", progress=Silent(), counting=counting)
    result.batches = lambda: iter(table.slice(0, 1_000).to_batches())
    parts = write_parts(result, tmp_path / "b", progress=Silent())
    files = [(file.name, file) for file in parts.files]
    columns = describe(files, progress=Silent()).columns
    found = profile(files, columns, progress=Silent(), counted_before=counting)
    assert found is not None
    assert found.rows == 1_000
    assert profile(files, columns, progress=Silent(), time="id", counted_before=counting) != found
