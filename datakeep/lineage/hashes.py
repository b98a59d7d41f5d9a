"""Files by their hash: the inventories of a keep as sorted blocks, searched by bisection.

A row is 24 bytes: the first 16 of a digest, and where the file stands (inventory and row). Rows are sorted in
segments of millions, each kept as blocks that one query finds; so nothing is read but what can hold the answer,
and a question needs nothing but the standard library. :mod:`datakeep.lineage.adding` makes the blocks. All of an
md5 is compared; of a sha256 the first 128 bits, which no two files share by accident.
"""

from __future__ import annotations

import array
import zlib
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Literal

from datakeep.lineage.committed import folded

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

Algorithm = Literal["md5", "sha256"]
ALGORITHMS: tuple[Algorithm, ...] = ("md5", "sha256")
KEY_BYTES = 16
PLACE_BYTES = 8
CHUNK_ROWS = 16_384
#: Of each file's digest, by its row: enough to find the row among the sorted ones.
HEAD_BYTES = 4
SEPARATOR = "\0"
#: Inventories of the same paths share the pieces in which these are kept.
_CHUNKS = "SELECT c.paths FROM inventory i JOIN chunk c ON c.inventory = i.paths WHERE i.number = ?"


def versions_of(database: sqlite3.Connection, inventory: int) -> list[tuple[str, int]]:
    """Dataset and number of every version that has this inventory."""
    query = "SELECT v.dataset, v.number FROM inventory i JOIN version v ON v.inventory = i.digest WHERE i.number = ?"
    return database.execute(query, (inventory,)).fetchall()


def inventories_of(
    database: sqlite3.Connection, dataset: str, number: int | None = None
) -> list[tuple[int, int]]:
    """The number of each version of a dataset (or of this one) and of its inventory, where that is here; in order."""
    query = "SELECT v.number, i.number FROM version v JOIN inventory i ON i.digest = v.inventory WHERE v.dataset = ?"
    query += " ORDER BY v.number" if number is None else " AND v.number = ?"
    return database.execute(query, (dataset,) if number is None else (dataset, number)).fetchall()


def find(database: sqlite3.Connection, name: Algorithm, digits: str) -> Iterator[tuple[int, int]]:
    """Inventory and row of every file whose digest begins with ``digits`` (hex), in no order."""
    yield from (place for _, place in _find(database, name, digits))


def _find(
    database: sqlite3.Connection, name: Algorithm, digits: str
) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """As :func:`find`, each with its key."""
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


def digest_of(database: sqlite3.Connection, inventory: int, path: str) -> str | None:
    """The sha256 (hex, the first 128 bits) of the file ``path`` of an inventory; None if it lists no such file."""
    first = 0
    for (data,) in database.execute(f"{_CHUNKS} ORDER BY c.first", (inventory,)).fetchall():
        if f"{SEPARATOR}{path}{SEPARATOR}" in f"{SEPARATOR}{_unpacked_text(data)}{SEPARATOR}":
            place = first + _unpacked(data).index(path)
            query = "SELECT heads FROM head WHERE inventory = ? AND first = ?"
            (heads,) = database.execute(query, (inventory, first)).fetchone()
            head = heads[HEAD_BYTES * (place - first) : HEAD_BYTES * (place - first + 1)]
            some = _find(database, "sha256", head.hex())
            return next((key.hex() for key, found in some if found == (inventory, place)), None)
        first += CHUNK_ROWS
    return None


def find_many(
    database: sqlite3.Connection, name: Algorithm, digests: Iterable[str]
) -> Iterator[tuple[str, tuple[int, int]]]:
    """As :func:`find`, of many whole digests (hex), each with its places: no block is read twice."""
    wanted = [(bytes.fromhex(digits[: 2 * KEY_BYTES]), digits) for digits in sorted(digests)]
    for at, _, place in _beginning(database, name, [key for key, _ in wanted]):
        yield wanted[at][1], place


def _beginning(
    database: sqlite3.Connection, name: Algorithm, wanted: Sequence[bytes]
) -> Iterator[tuple[int, bytes, tuple[int, int]]]:
    """Key and place of every file whose key begins with one of ``wanted``, and with which.

    Args:
        database: The index.
        name: Of the keys.
        wanted: Sorted, all of one length. No block is read twice for them.
    """
    length = len(wanted[0]) if wanted else 0
    query = "SELECT first, last, id FROM block WHERE kind = ?"
    for first, last, number in database.execute(query, (name,)).fetchall():
        begin, end = bisect_left(wanted, first[:length]), bisect_right(wanted, last[:length])
        if begin == end:
            continue
        (data,) = database.execute("SELECT data FROM block WHERE id = ?", (number,)).fetchone()
        for at in range(begin, end):
            low, high = (wanted[at].ljust(KEY_BYTES, filling) for filling in (b"\0", b"\xff"))
            for key, place in _rows(data, low, high):
                yield at, key, place


def with_others(
    database: sqlite3.Connection, mine: Collection[int], is_other: Callable[[int], bool]
) -> dict[int, set[str]]:
    """Which files of some inventories another one has too, by their sha256 (hex, the first 128 bits).

    Args:
        database: The index.
        mine: The inventories, by their numbers.
        is_other: Whether an inventory is another one; may be asked of those, too.

    Returns:
        Of each inventory that has any, the digests.
    """
    holding: dict[bytes, set[int]] = {}
    query = "SELECT heads FROM head WHERE inventory = ?"
    heads = {
        data[at : at + HEAD_BYTES]
        for number in mine
        for (data,) in database.execute(query, (number,)).fetchall()
        for at in range(0, len(data), HEAD_BYTES)
    }
    for _, key, (inventory, _) in _beginning(database, "sha256", sorted(heads)):
        holding.setdefault(key, set()).add(inventory)
    others = {one for some in holding.values() for one in some if is_other(one)}
    found: dict[int, set[str]] = {}
    for key, some in holding.items():
        for one in some.intersection(mine) if some & others else ():
            found.setdefault(one, set()).add(key.hex())
    return found


def _rows(data: bytes, low: bytes, high: bytes) -> Iterator[tuple[bytes, tuple[int, int]]]:
    count = len(data) // (KEY_BYTES + PLACE_BYTES)

    def key(row: int) -> bytes:
        return data[row * KEY_BYTES : (row + 1) * KEY_BYTES]

    begin = bisect_left(range(count), low, key=key)
    end = bisect_right(range(count), high, key=key)
    at = KEY_BYTES * count
    places = array.array("Q", data[at + begin * PLACE_BYTES : at + end * PLACE_BYTES])
    for row, place in enumerate(places, begin):
        yield key(row), (place >> 32, place & 0xFFFFFFFF)


def path_of(database: sqlite3.Connection, inventory: int, row: int) -> str:
    """The path of one row of an inventory."""
    first = row - row % CHUNK_ROWS
    (data,) = database.execute(f"{_CHUNKS} AND c.first = ?", (inventory, first)).fetchone()
    return _unpacked(data)[row - first]


def paths_of(database: sqlite3.Connection, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """The paths of many rows of inventories; each piece of a list is unpacked once."""
    pieces: dict[tuple[int, int], list[tuple[int, int]]] = {}
    whose = dict(database.execute("SELECT number, paths FROM inventory"))
    for inventory, row in places:
        pieces.setdefault((whose[inventory], row - row % CHUNK_ROWS), []).append((inventory, row))
    found: dict[tuple[int, int], str] = {}
    query = "SELECT paths FROM chunk WHERE inventory = ? AND first = ?"
    for (inventory, first), some in pieces.items():
        paths = _unpacked(database.execute(query, (inventory, first)).fetchone()[0])
        found |= {place: paths[place[1] - first] for place in some}
    return found


def paths_holding(
    database: sqlite3.Connection, inventory: int, words: Sequence[str], limit: int
) -> list[str]:
    """Up to ``limit`` paths of an inventory that hold all ``words``, which are folded."""
    found: list[str] = []
    for (data,) in database.execute(f"{_CHUNKS} ORDER BY c.first", (inventory,)):
        text = _unpacked_text(data)
        if _has_all(text, words):
            found += [path for path in text.split(SEPARATOR) if _has_all(path, words)]
        if len(found) >= limit:
            break
    return found[:limit]


def _has_all(text: str, words: Sequence[str]) -> bool:
    plain = folded(text)
    return all(word in plain for word in words)


def has_path(database: sqlite3.Connection, inventory: int, path: str) -> bool:
    """Whether an inventory lists ``path``."""
    wanted = f"{SEPARATOR}{path}{SEPARATOR}"
    return any(
        wanted in f"{SEPARATOR}{_unpacked_text(data)}{SEPARATOR}"
        for (data,) in database.execute(f"{_CHUNKS} ORDER BY c.first", (inventory,))
    )


def patterns(database: sqlite3.Connection, digests: Iterable[str]) -> set[str]:
    """The shapes of the paths of several inventories: each number is written as 0."""
    found: set[str] = set()
    query = "SELECT paths FROM inventory WHERE digest = ?"
    whose = {row[0] for digest in digests for row in database.execute(query, (digest,))}
    for number in whose:
        for (packed,) in database.execute("SELECT patterns FROM inventory WHERE number = ?", (number,)):
            found.update(_unpacked(packed))
    return found


def _unpacked_text(data: bytes) -> str:
    return zlib.decompress(data).decode("utf-8") if data else ""


def _unpacked(data: bytes) -> list[str]:
    return _unpacked_text(data).split(SEPARATOR) if data else []
