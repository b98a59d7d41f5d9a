"""Files by their hash: the inventories of a keep as sorted blocks, searched by bisection.

A row is 24 bytes: the first 16 of a digest, and where the file stands (inventory and row). Rows are sorted in
segments of millions, each kept as blocks that one query finds; so nothing is read but what can hold the answer,
and building takes the memory of one segment, whatever the number of files. All of an md5 is compared; of a sha256
the first 128 bits, which no two files share by accident.
"""

from __future__ import annotations

import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc

from datakeep.lineage.committed import folded

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from datakeep.formats.inventory import Inventory

Algorithm = Literal["md5", "sha256"]
ALGORITHMS: tuple[Algorithm, ...] = ("md5", "sha256")
KEY_BYTES = 16
_PLACE_BYTES = 8
_BLOCK_ROWS = 2048
_CHUNK_ROWS = 16_384
#: Rows that are sorted in memory at once.
_SEGMENT_ROWS = 2_000_000
#: More segments than this are merged, as far as that stays in memory: each is asked for each hash.
_MAX_SEGMENTS = 24
#: Of the shapes of a dataset's paths (``train/img_0.png``), which a search for file names looks at first.
_MAX_PATTERNS = 2000
_SEPARATOR = "\0"


class Adding:
    """Adds inventories; every full segment is written as it fills, the last one by :meth:`flush`."""

    def __init__(self, database: sqlite3.Connection, *, segment_rows: int = _SEGMENT_ROWS) -> None:
        self._database = database
        self._limit = segment_rows
        self._keys: dict[Algorithm, list[pa.Array]] = {name: [] for name in ALGORITHMS}
        self._places: list[pa.Array] = []
        self._rows = 0

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
            "INSERT INTO inventory (digest, files, patterns) VALUES (?, ?, ?)",
            (digest, len(inventory), _packed(_patterns(paths))),
        )
        number = int(cursor.lastrowid or 0)
        for first in range(0, len(paths), _CHUNK_ROWS):
            part = paths.slice(first, _CHUNK_ROWS)
            self._database.execute("INSERT INTO chunk VALUES (?, ?, ?)", (number, first, _packed(part)))
        for first in range(0, len(paths), self._limit):
            self._take(inventory, number, first, min(self._limit, len(paths) - first))
        return True

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
                count = len(data) // (KEY_BYTES + _PLACE_BYTES)
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
        data = own + bytes(place_bytes[first * _PLACE_BYTES : last * _PLACE_BYTES])
        database.execute(
            "INSERT INTO block (kind, segment, first, last, data) VALUES (?, ?, ?, ?, ?)",
            (name, segment, own[:KEY_BYTES], own[-KEY_BYTES:], data),
        )


def find(database: sqlite3.Connection, name: Algorithm, digits: str) -> Iterator[tuple[int, int]]:
    """Inventory and row of every file whose digest begins with ``digits`` (hex), in no order."""
    short = digits[: 2 * KEY_BYTES]
    low = bytes.fromhex(short.ljust(2 * KEY_BYTES, "0"))
    high = bytes.fromhex(short.ljust(2 * KEY_BYTES, "f"))
    for (segment,) in database.execute("SELECT id FROM segment").fetchall():
        blocks = database.execute(
            "SELECT first, id FROM block WHERE kind = ? AND segment = ? AND last >= ? ORDER BY last, first",
            (name, segment, low),
        )
        chosen = []
        for first, number in blocks:
            if first > high:
                break
            chosen.append(number)
        for number in chosen:
            (data,) = database.execute("SELECT data FROM block WHERE id = ?", (number,)).fetchone()
            yield from _rows(data, low, high)


def _rows(data: bytes, low: bytes, high: bytes) -> Iterator[tuple[int, int]]:
    count = len(data) // (KEY_BYTES + _PLACE_BYTES)

    def key(row: int) -> bytes:
        return data[row * KEY_BYTES : (row + 1) * KEY_BYTES]

    begin = bisect_left(range(count), low, key=key)
    end = bisect_right(range(count), high, key=key)
    at = KEY_BYTES * count
    places = array.array("Q", data[at + begin * _PLACE_BYTES : at + end * _PLACE_BYTES])
    for place in places:
        yield place >> 32, place & 0xFFFFFFFF


def path_of(database: sqlite3.Connection, inventory: int, row: int) -> str:
    """The path of one row of an inventory."""
    first = row - row % _CHUNK_ROWS
    (data,) = database.execute(
        "SELECT paths FROM chunk WHERE inventory = ? AND first = ?", (inventory, first)
    ).fetchone()
    return _unpacked(data)[row - first]


def paths_holding(database: sqlite3.Connection, inventory: int, word: str, limit: int) -> list[str]:
    """Up to ``limit`` paths of an inventory that hold ``word``, which is folded."""
    found: list[str] = []
    query = "SELECT paths FROM chunk WHERE inventory = ? ORDER BY first"
    for (data,) in database.execute(query, (inventory,)):
        text = _unpacked_text(data)
        if word in folded(text):
            found += [path for path in text.split(_SEPARATOR) if word in folded(path)]
        if len(found) >= limit:
            break
    return found[:limit]


def has_path(database: sqlite3.Connection, inventory: int, path: str) -> bool:
    """Whether an inventory lists ``path``."""
    query = "SELECT paths FROM chunk WHERE inventory = ? ORDER BY first"
    wanted = f"{_SEPARATOR}{path}{_SEPARATOR}"
    return any(
        wanted in f"{_SEPARATOR}{_unpacked_text(data)}{_SEPARATOR}"
        for (data,) in database.execute(query, (inventory,))
    )


def patterns(database: sqlite3.Connection, digests: Iterable[str]) -> set[str]:
    """The shapes of the paths of several inventories: each number is written as 0."""
    found: set[str] = set()
    for digest in digests:
        row = database.execute("SELECT patterns FROM inventory WHERE digest = ?", (digest,)).fetchone()
        if row and row[0]:
            found.update(_unpacked(row[0]))
    return found


def _patterns(paths: pa.Array) -> pa.Array:
    shapes = pc.unique(pc.replace_substring_regex(paths, "[0-9]+", "0"))
    return shapes.slice(0, _MAX_PATTERNS)


def _packed(texts: pa.Array) -> bytes:
    """Texts, separated by what no path holds, and compressed; made without a Python object for each."""
    if not len(texts):
        return b""
    one = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    data = pc.binary_join(one, _SEPARATOR)[0].as_py().encode("utf-8")
    return len(data).to_bytes(8, "little") + bytes(pa.compress(data, codec="zstd", asbytes=True))


def _unpacked_text(data: bytes) -> str:
    if not data:
        return ""
    size_bytes = int.from_bytes(data[:8], "little")
    return bytes(pa.decompress(data[8:], decompressed_size=size_bytes, codec="zstd", asbytes=True)).decode()


def _unpacked(data: bytes) -> list[str]:
    return _unpacked_text(data).split(_SEPARATOR) if data else []
