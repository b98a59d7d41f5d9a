"""Two sets of tables compared by what is in them: rows and columns, not files, row groups or compression.

The rows go batch by batch, in a form in which equal means equal (:mod:`datakeep.extract.comparable`), into a
DuckDB database in a temporary folder; there they are joined by key, or counted as whole rows. Memory is bounded, what
does not fit is spilled into the folder, and the folder is removed whatever happens. That database reads nothing else:
it has no access to files but its own, loads no extension, and its settings are locked.

Measured on two cores, with the default of 1 GiB for the database: 10,000,000 rows of 10 columns on each side, in
another order, take 37 s by key and 85 s as whole rows; the process then has 1.4 GB.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from datakeep.core.errors import NoSpace, UnknownName
from datakeep.core.names import nearest
from datakeep.extract.comparison import ChangedRow, Comparison, Example
from datakeep.extract.near_rows import row_examples
from datakeep.extract.sides import Matched, Side, matched, missing_texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.core.progress import Progress

MEMORY_BYTES = 1 << 30
_THREADS = 4
_EXAMPLES = 5
#: Of rows without key, how many of each side are held against each other, and how many values at most.
_NEAR_ROWS = 100
_NEAR_VALUES = 5_000
#: Of a changed row, the columns whose values are given.
_CHANGED_COLUMNS = 20


def compare(
    old_files: Sequence[tuple[str, Path]],
    new_files: Sequence[tuple[str, Path]],
    *,
    keys: Sequence[str] = (),
    personal: bool,
    progress: Progress,
    memory_bytes: int = MEMORY_BYTES,
    scratch: Path | None = None,
) -> Comparison:
    """How the rows of the new tables differ from those of the old ones; their order and files do not matter.

    Exactly: NULL equals NULL, NaN equals NaN, -0 is not 0, decimals and whole numbers by value, moments by instant,
    text by its bytes; no number is rounded. Where the types of a column differ otherwise, its values are compared by
    their text; so are those of CSV, which has nothing else: ``NA`` is not an empty text, which is NULL only beside
    another format.

    Args:
        old_files: Name for messages, and where it is: Parquet, CSV, TSV or JSON-lines.
        new_files: The same of the other side.
        keys: Columns that name a row; without them, or where they do not, whole rows are counted.
        personal: The data is, or may be, personal: no value of it is given as an example.
        progress: Told of each file.
        memory_bytes: The most that the database holds in memory.
        scratch: Where the temporary folder is made; the system's own by default. It needs room for both sides.

    Raises:
        UnknownName: A key is a column of neither side.
        SourceMalformed: A file is not what its name says, or has other columns than the others of its side.
        SourceMissing, SourceUnreadable: A file is gone or cannot be opened.
        NoSpace: The temporary folder is full, or a row is too large for the memory.
    """
    progress.stage("compare", total=len(old_files) + len(new_files), unit="files")
    old, new = Side.of(old_files), Side.of(new_files)
    _check_keys(keys, old, new)
    columns, missing = matched(old, new), missing_texts([*old_files, *new_files])
    with _database(memory_bytes, scratch) as database:
        for name, side, files in (("old", old, old_files), ("new", new, new_files)):
            _load(database, name, side, columns, files, progress, missing)
        return _Comparing(database, old, new, columns, keys, personal).result()


def _check_keys(keys: Sequence[str], old: Side, new: Side) -> None:
    for key in keys:
        if key not in old.types and key not in new.types:
            near = nearest(key, [*new.types])
            raise UnknownName(
                f"the key {key!r} is no column of either" + (f"; did you mean {near!r}?" if near else ""),
                next_step=f"name a column: {', '.join([*new.types][:10])}",
            )


@contextmanager
def _database(memory_bytes: int, scratch: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    with tempfile.TemporaryDirectory(prefix="datakeep-compare-", dir=scratch) as folder:
        settings: dict[str, Any] = {
            "memory_limit": f"{memory_bytes >> 20}MiB",
            "temp_directory": str(Path(folder, "spilled")),
            "threads": min(os.cpu_count() or 1, _THREADS),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        try:
            with duckdb.connect(Path(folder, "rows.duckdb"), config=settings) as database:
                for locked in (
                    "enable_external_access = false",
                    "python_enable_replacements = false",
                    "lock_configuration = true",
                ):
                    database.execute(f"SET {locked}")
                yield database
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise NoSpace(
                f"the comparison does not fit into {memory_bytes >> 20} MB of memory and the folder "
                f"{Path(folder).parent}: {str(error).splitlines()[0]}",
                next_step="make room there, or set TMPDIR to a folder with room for both sides, and run it again",
            ) from error


def _load(
    database: duckdb.DuckDBPyConnection,
    name: str,
    side: Side,
    columns: Sequence[Matched],
    files: Sequence[tuple[str, Path]],
    progress: Progress,
    missing: Sequence[str],
) -> None:
    """All rows of the side in a table ``name``, with the columns ``c0``, ``c1`` … and nothing else."""
    made = False
    for shown, file in files:
        for batch in side.batches(shown, file, columns, missing=missing):
            database.register("batch", batch)
            # ``here`` is there in every row, so that an outer join tells which side had none.
            if not made:
                database.execute(f"CREATE TABLE {name} AS SELECT *, true AS here FROM batch")
            else:
                database.execute(f"INSERT INTO {name} SELECT *, true FROM batch")
            database.unregister("batch")
            made = True
        progress.advance()


class _Comparing:
    """The questions to the database; both tables are there."""

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        old: Side,
        new: Side,
        columns: Sequence[Matched],
        keys: Sequence[str],
        personal: bool,
    ) -> None:
        self._database, self._old, self._new, self._columns = database, old, new, columns
        self._keys, self._personal = tuple(keys), personal
        self._place = {column.name: f"c{number}" for number, column in enumerate(columns)}

    def result(self) -> Comparison:
        """The answer."""
        why_not = self._why_by_row()
        by_key = bool(self._keys) and why_not is None
        counts = self._by_key() if by_key else self._by_row()
        old, new = self._old.types, self._new.types
        return Comparison(
            old_rows=self._one("SELECT count(*) FROM old"),
            new_rows=self._one("SELECT count(*) FROM new"),
            columns_added=tuple((name, kind) for name, kind in new.items() if name not in old),
            columns_removed=tuple((name, kind) for name, kind in old.items() if name not in new),
            types_changed=tuple((one.name, one.old, one.new) for one in self._columns if one.is_changed),
            reordered=[name for name in old if name in new] != [name for name in new if name in old],
            compared=len(self._columns),
            by="key" if by_key else "row",
            keys=self._keys if by_key else (),
            why_by_row=why_not,
            added=counts["added"],
            removed=counts["removed"],
            changed=counts["changed"],
            differing=self._differing() if by_key and counts["changed"] else {},
            examples={} if self._personal else self._examples(counts, by_key=by_key),
            changes=self._changes() if by_key and counts["changed"] and not self._personal else (),
            withheld=self._personal and any(counts.values()),
        )

    def _one(self, sql: str) -> int:
        row = self._database.execute(sql).fetchone()
        return int(row[0] or 0) if row else 0

    def _why_by_row(self) -> str | None:
        """Why the keys do not name rows; None if they do, or there are none."""
        if not self._keys:
            return None
        for key in self._keys:
            if key not in self._place:
                side = "old" if key in self._new.types else "new"
                return f"the {side} rows have no column {key}"
        places = ", ".join(self._place[key] for key in self._keys)
        for side in ("old", "new"):
            twice = f"SELECT count(*) FROM {side} GROUP BY {places} HAVING count(*) > 1"
            if count := self._one(f"SELECT count(*) FROM ({twice})"):
                said = "value is" if count == 1 else "values are"
                return f"{', '.join(self._keys)} is not unique in the {side} rows: {count:,} {said} in more than one"
        return None

    def _by_key(self) -> dict[str, int]:
        """Rows of the same key beside each other; those that differ in a table, with a flag for each column."""
        keys = [self._place[key] for key in self._keys]
        others = [place for place in self._place.values() if place not in keys]
        match = " AND ".join(f"o.{key} IS NOT DISTINCT FROM n.{key}" for key in keys)
        either = ", ".join(f"CASE WHEN o.here IS NULL THEN n.{key} ELSE o.{key} END AS {key}" for key in keys)
        differ = [f"o.{place} IS DISTINCT FROM n.{place}" for place in others]
        flags = "".join(f", {flag} AS {place}" for flag, place in zip(differ, others, strict=True))
        self._database.execute(
            f"CREATE TABLE differing AS SELECT {either}, CASE WHEN n.here IS NULL THEN 'removed' WHEN o.here IS NULL "
            f"THEN 'added' ELSE 'changed' END AS kind{flags} FROM old o FULL JOIN new n ON {match} "
            f"WHERE {' OR '.join(['o.here IS NULL', 'n.here IS NULL', *differ])}"
        )
        found = dict(self._database.execute("SELECT kind, count(*) FROM differing GROUP BY kind").fetchall())
        return {kind: int(found.get(kind, 0)) for kind in ("added", "removed", "changed")}

    def _differing(self) -> dict[str, int]:
        others = [(name, place) for name, place in self._place.items() if name not in self._keys]
        sums = ", ".join(f"count(*) FILTER ({place})" for _, place in others)
        counts = self._database.execute(f"SELECT {sums} FROM differing WHERE kind = 'changed'").fetchone()
        ranked = sorted(
            zip((name for name, _ in others), counts or (), strict=True), key=lambda pair: -pair[1]
        )
        return {name: int(count) for name, count in ranked if count}

    def _by_row(self) -> dict[str, int]:
        """Each different row once, with how many more times ``new`` has it than ``old``."""
        if not self._place:
            more = self._one("SELECT count(*) FROM new") - self._one("SELECT count(*) FROM old")
            return {"added": max(more, 0), "removed": max(-more, 0), "changed": 0}
        places = ", ".join(self._place.values())
        self._database.execute(
            f"CREATE TABLE differing AS SELECT {places}, CASE WHEN sum(times) > 0 THEN 'added' ELSE 'removed' END "
            f"AS kind, abs(sum(times)) AS times FROM (SELECT {places}, 1 AS times FROM new UNION ALL "
            f"SELECT {places}, -1 AS times FROM old) GROUP BY {places} HAVING sum(times) <> 0"
        )
        found = dict(
            self._database.execute("SELECT kind, sum(times) FROM differing GROUP BY kind").fetchall()
        )
        return {kind: int(found.get(kind, 0)) for kind in ("added", "removed", "changed")}

    def _examples(self, counts: dict[str, int], *, by_key: bool) -> dict[str, tuple[Example, ...]]:
        kinds = [kind for kind, count in counts.items() if count]
        if not by_key:
            return row_examples(self._columns, {kind: self._first(kind) for kind in kinds}, _EXAMPLES)
        columns = [column for key in self._keys for column in self._columns if column.name == key]
        places = ", ".join(self._place[name] for name in self._keys)
        return {
            kind: tuple(
                {one.name: one.shown(value) for one, value in zip(columns, row, strict=True)}
                for row in self._database.execute(
                    f"SELECT {places} FROM differing WHERE kind = ? ORDER BY ALL LIMIT {_EXAMPLES}", [kind]
                ).fetchall()
            )
            for kind in kinds
        }

    def _first(self, kind: str) -> list[tuple[Any, ...]]:
        """The first rows of a kind, whole: enough to find among them some that are nearly the same."""
        if not self._place:
            return []
        many = max(_EXAMPLES, min(_NEAR_ROWS, _NEAR_VALUES // len(self._place)))
        places = ", ".join(self._place.values())
        return self._database.execute(
            f"SELECT {places} FROM differing WHERE kind = ? ORDER BY ALL LIMIT {many}", [kind]
        ).fetchall()

    def _changes(self) -> tuple[ChangedRow, ...]:
        """The first changed rows by key, with old and new of the columns that differ."""
        keys = [self._place[key] for key in self._keys]
        others = [column for column in self._columns if column.name not in self._keys]
        places = [self._place[column.name] for column in others]
        chosen = ", ".join(
            [*(f"d.{key}" for key in keys)] + [f"{side}.{one}" for one in places for side in "don"]
        )
        sides = " ".join(
            f"JOIN {name} {side} ON "
            + " AND ".join(f"{side}.{key} IS NOT DISTINCT FROM d.{key}" for key in keys)
            for name, side in (("old", "o"), ("new", "n"))
        )
        first = f"SELECT * FROM differing WHERE kind = 'changed' ORDER BY {', '.join(keys)} LIMIT {_EXAMPLES}"
        by = ", ".join(f"d.{key}" for key in keys)
        rows = self._database.execute(f"SELECT {chosen} FROM ({first}) d {sides} ORDER BY {by}").fetchall()
        columns = {column.name: column for column in self._columns}
        found = []
        for row in rows:
            key = {name: columns[name].shown(value) for name, value in zip(self._keys, row, strict=False)}
            values = [row[at : at + 3] for at in range(len(keys), len(row), 3)]
            pairs = {
                column.name: column.shown_apart(old, new)
                for column, (differs, old, new) in zip(others, values, strict=True)
                if differs
            }
            found.append(ChangedRow(key, dict([*pairs.items()][:_CHANGED_COLUMNS]), len(pairs)))
        return tuple(found)
