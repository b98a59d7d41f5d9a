"""Files that models read without declaring them, and the registered files of the same bytes.

Which those are is kept beside the lists of files, and found again whenever a list or a record has come: looking for
thousands of digests takes longer than a question may. An empty file is nobody's: every empty file has its bytes.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted
from datakeep.lineage import hashes, schema

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHA256 = re.compile(r"[0-9a-f]{64}")
#: The sha256 of no bytes.
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#: Registered files of the same bytes that are looked at, for each digest.
_MAX_ROWS = 2000
#: Facts of the index: the newest list that was searched; whether records have come since.
_FOUND, _NEW = "same bytes found", "undeclared files came"
_QUERY = """
SELECT e.name, e.number, u.at, v.dataset, v.number, s.file, u.changed
  FROM {joined}
"""
_FROM_VERSION = (
    "version v JOIN inventory i ON i.digest = v.inventory JOIN same s ON s.inventory = i.number "
    "JOIN undeclared u ON u.sha256 = s.sha256 JOIN entry e ON e.path = u.path"
)
_FROM_RECORD = (
    "undeclared u JOIN same s ON s.sha256 = u.sha256 JOIN inventory i ON i.number = s.inventory "
    "JOIN version v ON v.inventory = i.digest JOIN entry e ON e.path = u.path"
)


@dataclass(frozen=True, slots=True)
class SameBytes:
    """A file that a model read without declaring it, and one registered file that has its bytes.

    Attributes:
        model: ``churn@v7``.
        at: Where it was read, as the record shows it.
        dataset: Of the registered file.
        number: Of the version.
        path: Of the registered file, below ``data/``.
        is_sure: False where the file changed during the training or since: it may have been read with other bytes.
    """

    model: str
    at: str
    dataset: str
    number: int
    path: str
    is_sure: bool = True

    @property
    def version(self) -> str:
        """``v3``."""
        return f"v{self.number}"


def note(database: sqlite3.Connection, path: str, data: dict[str, Any]) -> None:
    """Take in what the model record at ``path`` lists as undeclared; a digest that it lacks is none."""
    listed = [one for one in data.get("undeclared") or [] if isinstance(one, dict)]
    rows = [
        (path, _digest(one), str(one.get("path") or ""), "changed" in one)
        for one in listed
        if one.get("size_bytes") != 0
        and one.get("sha256") != EMPTY
        and any(key in one for key in ("sha256", "withheld", "unreadable", "gone"))
    ]
    count = data.get("undeclared_count")
    if isinstance(count, int) and count > len(listed):
        rows.append((path, None, "", False))
    if rows:
        database.executemany("INSERT INTO undeclared VALUES (?, ?, ?, ?)", rows)
        schema.set_meta(database, _NEW, "yes")


def _digest(entry: dict[str, Any]) -> str | None:
    """What is no sha256 is none: a record may be made by hand."""
    digits = str(entry.get("sha256"))
    return digits if _SHA256.fullmatch(digits) else None


def any_read(database: sqlite3.Connection) -> bool:
    """Whether any record lists an undeclared file with its digest."""
    return bool(database.execute("SELECT 1 FROM undeclared WHERE sha256 IS NOT NULL LIMIT 1").fetchone())


def unlisted(database: sqlite3.Connection) -> list[str]:
    """The models that read more undeclared files than their records list."""
    query = (
        "SELECT DISTINCT e.name, e.number FROM undeclared u JOIN entry e ON e.path = u.path "
        "WHERE u.sha256 IS NULL AND u.at = '' ORDER BY e.name, e.number"
    )
    return [f"{name}@v{number}" for name, number in database.execute(query)]


def not_looked_at(database: sqlite3.Connection) -> list[str]:
    """What :func:`refresh` did not look at, one line each: a file may have the bytes of very many registered ones."""
    query = (
        "SELECT e.name, e.number, u.at, s.unseen FROM searched s JOIN undeclared u ON u.sha256 = s.sha256 "
        "JOIN entry e ON e.path = u.path WHERE s.unseen > 0 ORDER BY e.name, e.number, u.at"
    )
    return [
        f"{counted(unseen, 'more registered file')} with the bytes of {at}, which {name}@v{number} read"
        for name, number, at, unseen in database.execute(query)
    ]


def refresh(database: sqlite3.Connection) -> None:
    """What has the bytes of undeclared files is found, in all lists of files that are here."""
    lists = str(database.execute("SELECT coalesce(max(number), 0) FROM inventory").fetchone()[0])
    known = schema.meta(database, _FOUND)
    if not any_read(database) or (known == lists and not schema.meta(database, _NEW)):
        return
    try:
        with schema.transaction(database):
            if known != lists:  # a list has come: all is looked for again
                database.execute("DELETE FROM same")
                database.execute("DELETE FROM searched")
            digests = _digests(database, "AND sha256 NOT IN (SELECT sha256 FROM searched)")
            _look(database, digests)
            schema.set_meta(database, _FOUND, lists)
            database.execute("DELETE FROM meta WHERE key = ?", (_NEW,))
    except sqlite3.OperationalError as error:
        if not schema.is_busy(error):
            raise
        # It cannot be kept now; for this question tables of this connection take its place.
        database.execute("CREATE TEMP TABLE IF NOT EXISTS same (sha256 TEXT, inventory INTEGER, file TEXT)")
        database.execute("CREATE TEMP TABLE IF NOT EXISTS searched (sha256 TEXT, unseen INTEGER)")
        database.execute("DELETE FROM temp.same")
        database.execute("DELETE FROM temp.searched")
        _look(database, _digests(database, ""))


def _digests(database: sqlite3.Connection, only: str) -> list[str]:
    query = f"SELECT DISTINCT sha256 FROM undeclared WHERE sha256 IS NOT NULL {only}"  # noqa: S608  # our own text
    return [row[0] for row in database.execute(query)]


def _look(database: sqlite3.Connection, digests: list[str]) -> None:
    places: dict[tuple[int, int], str] = {}
    counts: Counter[str] = Counter()
    for sha256, place in hashes.find_many(database, "sha256", digests):
        counts[sha256] += 1
        if counts[sha256] <= _MAX_ROWS:
            places[place] = sha256
    paths = hashes.paths_of(database, places)
    rows = ((sha256, place[0], paths[place]) for place, sha256 in places.items())
    database.executemany("INSERT INTO same VALUES (?, ?, ?)", rows)
    unseen = ((one, max(0, counts[one] - _MAX_ROWS)) for one in digests)
    database.executemany("INSERT INTO searched VALUES (?, ?)", unseen)


def of_dataset(
    database: sqlite3.Connection, dataset: str, number: int | None = None, path: str | None = None
) -> list[SameBytes]:
    """Whatever was read with the bytes of a dataset, of one version or one file of it; after :func:`refresh`."""
    if not any_read(database):
        return []
    where, given = "v.dataset = ?", [dataset]
    for column, value in (("v.number", number), ("s.file", path)):
        if value is not None:
            where += f" AND {column} = ?"
            given.append(str(value))
    return list(_found(database, f"{_FROM_VERSION} WHERE {where}", given))


def of_model(database: sqlite3.Connection, path: str) -> list[SameBytes]:
    """The same of what the model record at ``path`` lists."""
    return list(_found(database, f"{_FROM_RECORD} WHERE u.path = ?", [path]))


def of_all(database: sqlite3.Connection) -> list[SameBytes]:
    """The same of all models."""
    return list(_found(database, _FROM_RECORD, []))


def _found(database: sqlite3.Connection, joined: str, given: list[str]) -> Iterator[SameBytes]:
    ordered = f"SELECT DISTINCT * FROM ({_QUERY.format(joined=joined)}) ORDER BY 1, 2, 4, 5, 6, 3"  # noqa: S608  # our own text
    for name, number, at, dataset, version, file, changed in database.execute(ordered, given):
        yield SameBytes(f"{name}@v{number}", at, dataset, version, file, not changed)


def readers(database: sqlite3.Connection, digits: str) -> list[tuple[str, str, bool]]:
    """Model, place and whether it is sure, of every undeclared file whose sha256 begins with ``digits``."""
    query = (
        "SELECT e.name, e.number, u.at, u.changed FROM undeclared u JOIN entry e ON e.path = u.path "
        "WHERE u.sha256 >= ? AND u.sha256 < ? ORDER BY e.name, e.number, u.at"
    )
    return [
        (f"{name}@v{number}", at, not changed)
        for name, number, at, changed in database.execute(query, (digits, f"{digits}g"))
    ]
