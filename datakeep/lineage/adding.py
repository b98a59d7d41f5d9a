"""Taking inventories into the index: sorted by hash in segments, in the memory of one segment.

Everything is done in columns: no Python object is made for a row. What is written is read by
:mod:`datakeep.lineage.hashes`, which says what it looks like.
"""

from __future__ import annotations

import array
import zlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from datakeep.lineage.hashes import (
    ALGORITHMS,
    CHUNK_ROWS,
    HEAD_BYTES,
    KEY_BYTES,
    PLACE_BYTES,
    SEPARATOR,
    Algorithm,
)

if TYPE_CHECKING:
    import sqlite3

    from datakeep.formats.inventory import Inventory

_BLOCK_ROWS = 2048
#: Rows that are sorted in memory at once.
_SEGMENT_ROWS = 2_000_000
#: More segments than this are merged, as far as that stays in memory: each is asked for each hash.
_MAX_SEGMENTS = 24
#: Of the shapes of a dataset's paths (``train/img_0.png``), which a search for file names looks at first.
_MAX_PATTERNS = 2000
#: Fast is enough: paths are much alike.
_ZLIB_LEVEL = 1


class Adding:
    """Adds inventories; every full segment is written as it fills, the last one by :meth:`flush`."""

    def __init__(self, database: sqlite3.Connection, *, segment_rows: int = _SEGMENT_ROWS) -> None:
        self._database = database
        self._limit = segment_rows
        self._keys: dict[Algorithm, list[pa.Array]] = {name: [] for name in ALGORITHMS}
        self._places: list[pa.Array] = []
        self._rows = 0
        #: The paths of the inventory before, and its number: most versions change the bytes of few files.
        self._before: tuple[pa.Array, int] | None = None

    @property
    def waiting_rows(self) -> int:
        """The rows that are not written yet."""
        return self._rows

    def add(self, digest: str, inventory: Inventory) -> bool:
        """Whether the inventory ``digest`` was new; equal ones are kept once."""
        known = self._database.execute("SELECT 1 FROM inventory WHERE digest = ?", (digest,)).fetchone()
        if known:
            return False
        paths = inventory.table.column("path").combine_chunks()
        cursor = self._database.execute(
            "INSERT INTO inventory (digest, files) VALUES (?, ?)", (digest, len(inventory))
        )
        number = int(cursor.lastrowid or 0)
        self._add_paths(number, paths)
        self._add_heads(number, inventory.table.column("sha256").combine_chunks())
        for first in range(0, len(paths), self._limit):
            self._take(inventory, number, first, min(self._limit, len(paths) - first))
        return True

    def _add_paths(self, number: int, paths: pa.Array) -> None:
        """Keep the paths of an inventory, or say whose they are if they are those of the one before."""
        if self._before and self._before[0].equals(paths):
            whose = self._before[1]
            self._database.execute("UPDATE inventory SET paths = ? WHERE number = ?", (whose, number))
            return
        self._before = (paths, number)
        facts = (number, _packed(_patterns(paths)), number)
        self._database.execute("UPDATE inventory SET paths = ?, patterns = ? WHERE number = ?", facts)
        for first in range(0, len(paths), CHUNK_ROWS):
            part = paths.slice(first, CHUNK_ROWS)
            self._database.execute("INSERT INTO chunk VALUES (?, ?, ?)", (number, first, _packed(part)))

    def _add_heads(self, number: int, digests: pa.Array) -> None:
        """The beginning of each file's digest, by which its row is found among the sorted ones."""
        heads = pc.binary_slice(digests, 0, HEAD_BYTES).cast(pa.binary(HEAD_BYTES))
        for first in range(0, len(heads), CHUNK_ROWS):
            part = pa.concat_arrays([heads.slice(first, CHUNK_ROWS)])
            row = (number, first, bytes(memoryview(part.buffers()[1])[: HEAD_BYTES * len(part)]))
            self._database.execute("INSERT INTO head VALUES (?, ?, ?)", row)

    def _take(self, inventory: Inventory, number: int, first: int, count: int) -> None:
        if self._rows + count > self._limit:
            self.flush()
        for name in ALGORITHMS:
            column = inventory.table.column(name).slice(first, count).combine_chunks()
            short = pc.binary_slice(column, 0, KEY_BYTES) if name == "sha256" else column
            self._keys[name].append(short.cast(pa.binary(KEY_BYTES)))
        begin = (number << 32) + first
        places = array.array("Q", range(begin, begin + count))
        self._places.append(pa.Array.from_buffers(pa.uint64(), count, [None, pa.py_buffer(places)]))
        self._rows += count

    def flush(self) -> None:
        """What was added is in the database, for the transaction that is open to commit."""
        if not self._rows:
            return
        places = pa.concat_arrays(self._places)
        segment = self._new_segment()
        for name in ALGORITHMS:
            _write(self._database, name, segment, pa.concat_arrays(self._keys[name]), places)
            self._keys[name] = []
        self._places, self._rows = [], 0

    def _new_segment(self) -> int:
        cursor = self._database.execute("INSERT INTO segment (files) VALUES (?)", (self._rows,))
        return int(cursor.lastrowid or 0)


def merge(database: sqlite3.Connection) -> None:
    """Small segments become one, where there are many; in the transaction that is open."""
    rows = database.execute("SELECT id, files FROM segment ORDER BY files").fetchall()
    if len(rows) <= _MAX_SEGMENTS:
        return
    chosen, total = [], 0
    for segment, files in rows:
        if total + files > _SEGMENT_ROWS:
            break
        chosen.append(segment)
        total += files
    if len(chosen) < 2:
        return
    cursor = database.execute("INSERT INTO segment (files) VALUES (?)", (total,))
    for name in ALGORITHMS:
        keys, places = [], []
        for segment in chosen:
            query = "SELECT data FROM block WHERE kind = ? AND segment = ?"
            for (data,) in database.execute(query, (name, segment)):
                count = len(data) // (KEY_BYTES + PLACE_BYTES)
                buffer = pa.py_buffer(data)
                keys.append(pa.Array.from_buffers(pa.binary(KEY_BYTES), count, [None, buffer]))
                own = pa.py_buffer(data[KEY_BYTES * count :])
                places.append(pa.Array.from_buffers(pa.uint64(), count, [None, own]))
        _write(database, name, int(cursor.lastrowid or 0), pa.concat_arrays(keys), pa.concat_arrays(places))
    for segment in chosen:
        database.execute("DELETE FROM block WHERE segment = ?", (segment,))
        database.execute("DELETE FROM segment WHERE id = ?", (segment,))


def _write(
    database: sqlite3.Connection, name: Algorithm, segment: int, keys: pa.Array, places: pa.Array
) -> None:
    order = pc.sort_indices(keys)
    sorted_keys, sorted_places = keys.take(order).buffers()[1], places.take(order).buffers()[1]
    key_bytes, place_bytes = memoryview(sorted_keys), memoryview(sorted_places)
    for first in range(0, len(keys), _BLOCK_ROWS):
        last = min(first + _BLOCK_ROWS, len(keys))
        own = bytes(key_bytes[first * KEY_BYTES : last * KEY_BYTES])
        data = own + bytes(place_bytes[first * PLACE_BYTES : last * PLACE_BYTES])
        database.execute(
            "INSERT INTO block (kind, segment, first, last, data) VALUES (?, ?, ?, ?, ?)",
            (name, segment, own[:KEY_BYTES], own[-KEY_BYTES:], data),
        )


def _patterns(paths: pa.Array) -> pa.Array:
    """The shapes; an empty one at the end says that there are more."""
    shapes = pc.unique(pc.replace_substring_regex(paths, "[0-9]+", "0"))
    if len(shapes) <= _MAX_PATTERNS:
        return shapes
    return pa.concat_arrays([shapes.slice(0, _MAX_PATTERNS), pa.array([""], shapes.type)])


def _packed(texts: pa.Array) -> bytes:
    """Texts, separated by what no path holds, and compressed; made without a Python object for each."""
    if not len(texts):
        return b""
    one = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    joined = pc.binary_join(one, SEPARATOR)
    return zlib.compress(joined[0].as_py().encode("utf-8"), _ZLIB_LEVEL)
