"""Versions of which this machine has not seen the list of files, or the text of the SQL.

They are kept as the index changes, so that a question neither counts all versions of the keep nor looks again at
what cannot have come since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from datakeep.lineage.committed import Place


def note(database: sqlite3.Connection, path: str, place: Place, data: dict[str, Any]) -> None:
    """A version that the register has: nothing of its repository has been seen yet."""
    source = data["manifest"].get("source")
    has_query = isinstance(source, dict) and isinstance(source.get("query"), str)
    database.execute(
        "INSERT INTO wanting SELECT ?, ?, ?, NOT EXISTS (SELECT 1 FROM inventory WHERE digest = ?), ?, 1",
        (path, place.name, place.number, data["inventory"].removeprefix("sha256:"), has_query),
    )


def listed(database: sqlite3.Connection, digest: str) -> None:
    """The inventory ``digest`` is in the index, for every version that has it."""
    query = "UPDATE wanting SET files = 0 WHERE path IN (SELECT path FROM version WHERE inventory = ?)"
    database.execute(query, (digest,))


def looked(database: sqlite3.Connection, path: str, *, whole: bool) -> None:
    """The repository of the version at ``path`` was looked at; ``whole``: and nothing more is wanted of it."""
    if whole:
        database.execute("DELETE FROM wanting WHERE path = ?", (path,))
    else:
        database.execute("UPDATE wanting SET sql = 0 WHERE path = ?", (path,))


def by_dataset(database: sqlite3.Connection, datasets: Iterable[str]) -> dict[str, list[str]]:
    """The paths of the entries that are wanting, oldest first, of those of ``datasets`` that have any."""
    query = "SELECT path FROM wanting WHERE dataset = ? ORDER BY number"
    found = ((one, [row[0] for row in database.execute(query, (one,))]) for one in datasets)
    return {dataset: paths for dataset, paths in found if paths}


def all_datasets(database: sqlite3.Connection) -> list[str]:
    """The datasets that have versions that are wanting, by name."""
    return [row[0] for row in database.execute("SELECT DISTINCT dataset FROM wanting ORDER BY dataset")]


def fresh(database: sqlite3.Connection) -> list[str]:
    """The datasets that have versions which came since the last look, by name."""
    query = "SELECT DISTINCT dataset FROM wanting WHERE fresh ORDER BY dataset"
    return [row[0] for row in database.execute(query)]


def all_seen(database: sqlite3.Connection) -> None:
    """Whatever is still wanting was looked for now."""
    database.execute("UPDATE wanting SET fresh = 0 WHERE fresh")


def count(database: sqlite3.Connection, what: str, dataset: str | None, number: int | None) -> int:
    """How many versions lack ``files`` or ``sql``: of all datasets, one, or one version of one."""
    if dataset is None and number is None:  # counted as versions come and go
        files, sql = database.execute("SELECT files, sql FROM wanted").fetchone()
        return int({"files": files, "sql": sql}[what])
    where, given = _where(what, dataset, number)
    return int(database.execute(f"SELECT count(*) FROM wanting WHERE {where}", given).fetchone()[0])  # noqa: S608


def some(database: sqlite3.Connection, what: str, dataset: str | None, number: int | None) -> list[str]:
    """A few of those versions, as ``orders@v3``."""
    where, given = _where(what, dataset, number)
    query = f"SELECT dataset, number FROM wanting WHERE {where} ORDER BY dataset, number DESC LIMIT 3"  # noqa: S608
    return [f"{name}@v{version}" for name, version in database.execute(query, given)]


def _where(what: str, dataset: str | None, number: int | None) -> tuple[str, tuple[object, ...]]:
    lacks = {"files": "files", "sql": "sql"}[what]
    only = (" AND dataset = ?" if dataset else "") + (" AND number = ?" if number else "")
    return f"{lacks}{only}", tuple(one for one in (dataset, number) if one)
