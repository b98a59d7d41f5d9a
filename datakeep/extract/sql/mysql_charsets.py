"""Character sets of MySQL that Unicode does not cover: what has no equal there arrives as a question mark.

``①`` in a column of ``sjis``, a character of one's own, a byte that a code page has no letter for: nothing in the
answer tells it from a question mark that somebody typed. So where one arrives out of such a column, the server is
asked, in the same snapshot, whether it has as many of them itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datakeep.extract.sql.faults import NotExact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Whose every character has an equal in Unicode.
_COVERED = frozenset(
    {
        "ascii",
        "binary",
        "latin1",
        "ucs2",
        "utf8",
        "utf8mb3",
        "utf8mb4",
        "utf16",
        "utf16le",
        "utf32",
        "gb18030",
    }
)
#: The same with the characters of vendors, which is mostly meant.
_LARGER = {"sjis": "cp932", "ujis": "eucjpms"}
_MARKS = ("?", "\ufffd")
_HELD = 1_000
_TEXT = "CONVERT({0} USING utf8mb4)"
_LOST = (
    "CHAR_LENGTH({1}) - CHAR_LENGTH(REPLACE(REPLACE({1}, '?', ''), CONVERT(x'EFBFBD' USING utf8mb4), '')) <> "
    "LENGTH(CAST({0} AS BINARY)) - LENGTH(REPLACE(CAST({0} AS BINARY), x'3F', ''))"
)


def watch(connection: Any, text: str, values: Any, names: Sequence[str]) -> CharsetWatch | None:
    """What looks after the columns whose character set Unicode does not cover; None if there is none.

    Args:
        connection: SQLAlchemy's, between two questions.
        text: The query, with the driver's placeholders.
        values: For these.
        names: The columns that hold text.
    """
    from pymysql.charset import charset_by_id

    # Only an answer in the columns' own character sets says which they are.
    connection.exec_driver_sql("SET character_set_results = NULL")
    result = connection.exec_driver_sql(f"SELECT * FROM (\n{text}\n) AS datakeep_query LIMIT 0", values)  # noqa: S608
    fields = result.cursor._result.fields  # noqa: SLF001  (only there)
    result.close()
    connection.exec_driver_sql("SET character_set_results = utf8mb4")
    sets = {}
    for at, field in enumerate(fields):
        # What pymysql does not know by its number are newer collations of Unicode.
        if field.name in names and (charset := _named(charset_by_id, field.charsetnr)) not in _COVERED:
            sets[at] = (field.name, charset)
    return CharsetWatch(connection, text, values, sets) if sets else None


def _named(by_id: Any, number: int) -> str:
    try:
        return str(by_id(number).name)
    except KeyError:
        return "utf8mb4"


class CharsetWatch:
    """Notices question marks while rows go by, and asks about them at the end."""

    def __init__(self, connection: Any, text: str, values: Any, sets: Mapping[int, tuple[str, str]]) -> None:
        self._connection, self._text, self._values, self._sets = connection, text, values, sets
        self._seen: dict[int, list[tuple[int, str]]] = {at: [] for at in sets}

    def look(self, rows: Sequence[Sequence[Any]], first_row: int) -> None:
        """Takes note of rows that came; the first of them has the number ``first_row``."""
        for at, seen in self._seen.items():
            for row, values in enumerate(rows, first_row):
                value = values[at]
                if len(seen) < _HELD and value is not None and any(mark in value for mark in _MARKS):
                    seen.append((row, value))

    def settle(self) -> None:
        """When all rows have come, and the connection takes questions again.

        Raises:
            NotExact: A question mark is none in the database.
        """
        for at, seen in self._seen.items():
            if seen:
                self._ask(*self._sets[at], seen)

    def _ask(self, name: str, charset: str, seen: Sequence[tuple[int, str]]) -> None:
        column = "`" + name.replace("`", "``").replace("%", "%%") + "`"
        text = _TEXT.format(column)
        found = self._connection.exec_driver_sql(
            f"SELECT HEX({column}), {text} FROM (\n{self._text}\n) AS datakeep_query "  # noqa: S608  (the user's own)
            f"WHERE {_LOST.format(column, text)} LIMIT 1",
            self._values,
        ).fetchone()
        if found is None:
            return
        row = next((f", row {row}" for row, value in seen if value == found[1]), "")
        quoted = "`" + name.replace("`", "``") + "`"
        bytes_ = f"CAST({quoted} AS BINARY)"
        larger = _LARGER.get(charset)
        raise NotExact(
            f"column {name}{row}: x'{found[0][:60].lower()}' in the character set {charset} is no character of "
            f"Unicode, and the server makes {found[1][:60]!r} of it",
            next_step=f"take its bytes: {bytes_} AS {quoted}"
            + (f"; or read them as {larger}: CONVERT({bytes_} USING {larger}) AS {quoted}" if larger else ""),
        )
