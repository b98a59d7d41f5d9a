"""Text in SQLite that is no UTF-8: which value it is, since the driver tells neither row nor bytes."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from datakeep.extract.sql.faults import NotExact
from datakeep.extract.sql.refusals import shown_value

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

NO_UTF8 = "is no UTF-8"


def no_utf8(column: str, row: int | None, shown: str) -> NotExact:
    """The error for one text; where ``row`` is None, it is not known which."""
    where = "" if row is None else f", row {row}"
    return NotExact(
        f"column {column}{where}: the text {shown} {NO_UTF8}",
        next_step=f"take its bytes: CAST({column} AS BLOB) AS {column}",
    )


def first_no_utf8(connection: sqlite3.Connection, text: str, bound: Mapping[str, Any]) -> NotExact | None:
    """The error for the first such text of the query, which runs again for it; None if it has none now."""
    connection.text_factory = _decoded
    try:
        with closing(connection.execute(text, bound)) as cursor:
            names = [column[0] for column in cursor.description]
            for row, values in enumerate(cursor, 1):
                for name, value in zip(names, values, strict=True):
                    if isinstance(value, _Raw):
                        return no_utf8(name, row, shown_value(bytes(value)))
    finally:
        connection.text_factory = str
    return None


class _Raw(bytes):
    """Text that could not be read."""

    __slots__ = ()


def _decoded(raw: bytes) -> Any:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _Raw(raw)
