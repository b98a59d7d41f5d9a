"""The figures of a profile, counted while the rows are written, so that no file is read for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from datakeep.extract.interface import shown_type
from datakeep.extract.parquet_file import read_schema, rows_and_batch
from datakeep.extract.profile import BATCH_ROWS, PROFILED_COLUMNS, time_column
from datakeep.extract.tally import Tally
from datakeep.formats.manifest import Column

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Rows of at most so many bytes in memory are read in full batches, however their file was encoded.
_SURE_BYTES = 448


class Counting:
    """Counts rows while they are written to Parquet: the figures are those that a reading of the files would give.

    A reader of a file has its rows in batches of :data:`BATCH_ROWS` from the file's first row on, and so have we. It
    has fewer at a time where rows are large, which only a file's footer tells: of those nothing is counted before.

    Args:
        time: As in :func:`datakeep.extract.profile.profile`.
    """

    def __init__(self, time: str | None = None) -> None:
        self._stated = time
        self._columns: list[Column] = []
        self._when: str | None = None
        self._tally: Tally | None = None
        self._rows: list[int] = []
        self._held: list[Any] = []

    def begin(self, schema: Any) -> None:
        """Rows of this Arrow schema follow."""
        read_back = read_schema(schema)
        self._columns = [Column(name=field.name, type=shown_type(field.type)) for field in read_back]
        self._when, _ = time_column(self._columns[:PROFILED_COLUMNS], self._stated)
        self._tally = Tally(self._columns[:PROFILED_COLUMNS], self._when)

    def add(self, table: Any, *, new_file: bool) -> None:
        """Takes in an Arrow table, whose rows begin a file or follow those before."""
        if self._tally is None:
            return
        if table.nbytes > _SURE_BYTES * table.num_rows:
            self._give_up()
            return
        if new_file:
            self._end_file()
            self._rows.append(0)
        self._rows[-1] += table.num_rows
        for batch in table.to_batches():
            self._cut(batch)

    def end(self) -> None:
        """No more rows follow: the figures are made, while files are still being written."""
        self._end_file()
        if self._tally is not None:
            self._tally.columns()

    def tally_of(
        self, files: Sequence[tuple[str, Path]], columns: Sequence[Column], when: str | None
    ) -> Tally | None:
        """All rows of these files, counted; None where they were not, or would be read otherwise."""
        known = [(column.name, column.type) for column in columns]
        if self._tally is None or known != [(column.name, column.type) for column in self._columns]:
            return None
        self._end_file()
        there = [rows_and_batch(path, file) for path, file in files]
        if when != self._when or [rows for rows, _ in there] != self._rows:
            return None
        return self._tally if all(batch >= min(rows, BATCH_ROWS) for rows, batch in there) else None

    def _cut(self, batch: Any) -> None:
        """Counts full batches; what is left of the rows waits for more of them."""
        held = sum(map(len, self._held))
        while held + len(batch) >= BATCH_ROWS:
            self._held.append(batch.slice(0, BATCH_ROWS - held))
            batch = batch.slice(BATCH_ROWS - held)
            self._count_held()
            held = 0
        if len(batch):
            self._held.append(batch)

    def _end_file(self) -> None:
        if self._held:
            self._count_held()

    def _count_held(self) -> None:
        held, self._held = self._held, []
        one = held[0] if len(held) == 1 else pa.Table.from_batches(held).combine_chunks().to_batches()[0]
        if self._tally is not None:
            self._tally.add(one)

    def _give_up(self) -> None:
        self._tally, self._held = None, []
