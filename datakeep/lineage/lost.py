"""What the keep's records are made of and has no readable record itself: where a way backwards ends.

Kept as the index changes: only what names something that was touched is looked at again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

#: What each way of being made of something leads from.
FROM = {
    "base": "model",
    "named": "model",
    "left": "model",
    "input": "dataset",
    "given": "dataset",
    "undeclared": "dataset",
    "parent": "dataset",
}
#: More names than this are looked at all at once.
MANY = 2000
_FIND = (
    "INSERT INTO lost SELECT l.path, l.how, l.name, l.number FROM leads l WHERE l.how = ? AND {only} "
    "AND NOT EXISTS (SELECT 1 FROM entry m WHERE m.kind = ? AND m.name = l.name "
    "AND (m.number = l.number OR l.number = 0) AND m.fault IS NULL) "
    "AND NOT EXISTS (SELECT 1 FROM doc d WHERE d.field = 'alias' AND d.text = l.name AND d.kind = ?)"
)


def aliases(database: sqlite3.Connection, datasets: Iterable[str]) -> set[tuple[str, str]]:
    """The earlier names of ``datasets``, as subjects."""
    query = "SELECT text FROM doc WHERE kind = 'dataset' AND name = ? AND field = 'alias'"
    return {("dataset", row[0]) for one in datasets for row in database.execute(query, (one,))}


def named_by(database: sqlite3.Connection, paths: Iterable[str]) -> set[tuple[str, str]]:
    """The subjects that the records at ``paths`` were made of."""
    query = "SELECT how, name FROM leads WHERE path = ?"
    return {(FROM[how], name) for path in paths for how, name in database.execute(query, (path,))}


def renew(database: sqlite3.Connection, subjects: set[tuple[str, str]]) -> None:
    """What leads from ``subjects`` (kind and name) and is lost, or no longer; in the open transaction."""
    if len(subjects) > MANY:
        database.execute("DELETE FROM lost")
        for how, kind in FROM.items():
            database.execute(_FIND.format(only="1"), (how, kind, kind))
        return
    for kind, name in sorted(subjects):
        for how in (how for how, of in FROM.items() if of == kind):
            database.execute("DELETE FROM lost WHERE how = ? AND name = ?", (how, name))
            database.execute(_FIND.format(only="l.name = ?"), (how, name, kind, kind))
