"""What the values of a dataset's tables are like: one pass over the files, in bounded memory, the same every time.

All batches of all files go once through a tally for each column. What a tally holds does not grow with the rows:
together at most :data:`HELD_VALUES` different values and twice :data:`SAMPLED_VALUES` sampled ones, shared out
among the columns, beside one batch. That is about 200 MB, and as much again for a file of JSON or CSV that is read in
one piece (64 MB at most). Figures are exact while the values of a column that differ fit into its share; from then on
the column says which figures are approximate. Ranges, means, counts and lengths are always exact.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted
from datakeep.extract import tabular
from datakeep.formats.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from datakeep.core.progress import Progress
    from datakeep.extract.counting import Counting
    from datakeep.extract.tally import Tally
    from datakeep.formats.manifest import Column

#: Tabular files that are read; of more, the first by path.
PROFILED_FILES = 1_000
#: Columns that are profiled; of more, the first.
PROFILED_COLUMNS = 2_000
#: Threads that share the columns of a batch; most of the work is Arrow's and numpy's, which let others go on.
_THREADS = 4
#: Rows that go through the tallies at once.
BATCH_ROWS = 65_536


def profile(
    files: Sequence[tuple[str, Path]],
    columns: Sequence[Column],
    *,
    progress: Progress,
    time: str | None = None,
    counted_before: Counting | None = None,
) -> Profile | None:
    """The profile of the tables among ``files`` that have these columns; None if there are none.

    Every file is read once, from its beginning to its end, unless its rows were counted while they were written. It
    holds values of the data: see :func:`datakeep.formats.profile.withholding`.

    Args:
        files: Path in the dataset, and where the file lies now; those that are no tables are left out.
        columns: Names and types, as ``describe`` found them.
        progress: Told of each file.
        time: The column whose days are counted; without it, the only column of dates or moments.
        counted_before: What was counted of rows that were written to files; used if these are those files.

    Raises:
        SourceMalformed: A file is not what its name says, perhaps where ``describe`` did not look; names the line.
        SourceUnreadable, SourceMissing: A file cannot be opened, or is gone.
    """
    tables = sorted(file for file in files if tabular.extension(file[0]) in tabular.TABULAR)
    if not tables or not columns:
        return None
    read = tables[:PROFILED_FILES]
    profiled = columns[:PROFILED_COLUMNS]
    when, why_not = time_column(profiled, time)
    notes = [why_not] if why_not else []
    if len(read) < len(tables):
        notes.append(f"of {counted(len(tables), 'tabular file')}, the first {len(read):,} by path were read")
    found = counted_before.tally_of(read, columns, when) if counted_before else None
    if found is not None:
        return _finished(found, len(read), len(tables), len(columns), notes)
    progress.stage("profile", total=len(read), unit="files")
    return _finished(*_read(read, columns, when, progress), len(tables), len(columns), notes)


def _read(
    files: Sequence[tuple[str, Path]], columns: Sequence[Column], when: str | None, progress: Progress
) -> tuple[Tally, int]:
    """All rows of those files that have the columns, and how many files those are."""
    from datakeep.extract.tally import Tally

    threads = min(len(os.sched_getaffinity(0)), _THREADS)
    with ThreadPoolExecutor(threads) as pool, ThreadPoolExecutor(1) as reading:
        tally = Tally(columns[:PROFILED_COLUMNS], when, pool.map)
        return tally, sum(_take(tally, path, file, columns, progress, reading) for path, file in files)


def _finished(tally: Tally, taken: int, files: int, columns: int, notes: list[str]) -> Profile | None:
    """The profile of ``taken`` of so many tabular files of so many columns; None of none."""
    if not taken:
        return None
    fields = {
        "files": taken, "rows": tally.rows, "columns": tally.columns(),
        "left_out": files - taken, "columns_left_out": max(columns - PROFILED_COLUMNS, 0),
        "time": tally.periods(), "notes": notes + tally.notes(),
    }  # fmt: skip
    stated = {name: value for name, value in fields.items() if value or name in ("files", "rows", "columns")}
    return Profile.model_validate({"format": Profile.format_line(), **stated})


def _take(
    tally: Any, path: str, file: Path, columns: Sequence[Column], progress: Progress, reading: Executor
) -> bool:
    """Whether the file has the columns; then all of its rows were counted."""
    kind = tabular.extension(path)
    asked = {column.name for column in columns}
    text = {column.name for column in columns if column.type == "string"}
    taken = False
    batches = tabular.reader_of(kind).batches(path, file, text)
    # Of text formats a batch can be large, and one is in memory at a time.
    for batch in _ahead(batches, reading) if kind in ("parquet", "pq") else batches:
        names = set(batch.schema.names)
        # An object of JSON need not have every key; a table has all of its columns everywhere.
        fits = names <= asked if kind in tabular.KEYED else names == asked
        if not (taken or fits):
            break
        taken = True
        for part in _parts(batch):
            tally.add(part)
    progress.advance()
    return taken


def _ahead(batches: Iterator[Any], reading: Executor) -> Iterator[Any]:
    """The same, each read while the one before it is counted; nothing is read any more when it is left."""
    following = reading.submit(next, batches, None)
    try:
        while (batch := following.result()) is not None:
            following = reading.submit(next, batches, None)
            yield batch
    finally:
        wait([following])


def _parts(batch: Any) -> Iterator[Any]:
    for start in range(0, max(len(batch), 1), BATCH_ROWS):
        yield batch.slice(start, BATCH_ROWS)


def time_column(columns: Sequence[Column], stated: str | None) -> tuple[str | None, str | None]:
    """The column whose days are counted, or why there is none, where that is worth a word."""
    dated = [one.name for one in columns if (one.type or "").startswith(("date", "timestamp"))]
    if stated is not None:
        if stated in dated:
            return stated, None
        has = "is no column" if stated not in {one.name for one in columns} else "holds no dates or moments"
        return None, f"rows per day are not counted: {stated}, the manifest's splits.time, {has}"
    if len(dated) > 1:
        return None, (
            f"rows per day are not counted: {', '.join(dated[:3])}{' …' if len(dated) > 3 else ''} all hold "
            "dates; splits.time in the manifest says which it is"
        )
    return (dated[0] if dated else None), None
