"""What a SQLite file says of its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.extract.sql.interface import Table, TableColumn
from datakeep.extract.sql.qualified import split

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection


def tables_of(connection: sqlite3.Connection, names: Collection[str]) -> dict[str, Table]:
    """Each of ``names`` that the file has; they may be quoted, and qualified with ``main``."""
    found = {}
    for name in names:
        schema, bare = split(name)
        if schema not in {"", "main"}:
            continue
        row = connection.execute(
            "SELECT name, type, sql FROM main.sqlite_master"
            " WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE",
            (bare,),
        ).fetchone()
        if row is not None:
            found[name] = _table(connection, *row)
    return found


def _table(connection: sqlite3.Connection, name: str, kind: str, sql: str | None) -> Table:
    # hidden: 0 an ordinary column, 2 and 3 a generated one; 1 is a virtual table's, which SELECT * leaves out.
    rows = connection.execute(
        'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid', (name,)
    ).fetchall()
    key = sorted((pk, column) for column, _, _, pk in rows if pk)
    # The one primary key without an index is the row's own number. Any other may hold NULL, and several, unless that
    # is forbidden (https://sqlite.org/lang_createtable.html#the_primary_key).
    query = "SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'"
    is_number = len(key) == 1 and connection.execute(query, (name,)).fetchone() is None
    columns = (
        TableColumn(column, declared, not (notnull or (pk and is_number)))
        for column, declared, notnull, pk in rows
    )
    return Table(
        f"main.{name}",
        "view" if kind == "view" else "table",
        tuple(columns),
        primary_key=tuple(column for _, column in key),
        unique=_unique(connection, name),
        definition=sql if kind == "view" else None,
    )


def _unique(connection: sqlite3.Connection, name: str) -> tuple[tuple[str, ...], ...]:
    """What unique indexes keep, but for partial ones, those of expressions, and the primary key's."""
    indexes = connection.execute(
        "SELECT name FROM pragma_index_list(?) WHERE \"unique\" AND NOT partial AND origin <> 'pk' ORDER BY name",
        (name,),
    ).fetchall()
    found = []
    for (index,) in indexes:
        columns = [row[0] for row in connection.execute("SELECT name FROM pragma_index_info(?)", (index,))]
        if None not in columns:
            found.append(tuple(columns))
    return tuple(found)
