"""What goes wrong with a file of SQLite, and with what it is asked, in words that name it."""

from __future__ import annotations

import re
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, NoSpace
from datakeep.extract.sql.address import of_another_kind
from datakeep.extract.sql.faults import DatabaseUnreachable, QueryFailed, QueryRefused
from datakeep.extract.sql.refusals import out_of_time, place_of, refused
from datakeep.extract.sql.sqlite_text import no_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_HEADER = b"SQLite format 3\x00"
_PRAGMA = re.compile(r"(?i)(?<!\w)pragma_\w+")


def look_at(path: Path) -> None:
    """Say what is wrong with the file before SQLite does, in words that name it.

    Raises:
        AccessDenied: It may not be read.
        DatabaseUnreachable: There is none, or it is no database of SQLite.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_HEADER))
    except FileNotFoundError as error:
        raise DatabaseUnreachable(
            f"there is no SQLite file {path}", next_step="check the path; sqlite:////path starts at the root"
        ) from error
    except IsADirectoryError as error:
        raise DatabaseUnreachable(
            f"{path} is a folder, no SQLite file", next_step="name the file in it"
        ) from error
    except PermissionError as error:
        raise AccessDenied(
            f"the SQLite file {path} may not be read", next_step=f"type: ls -l {path}"
        ) from error
    if start != _HEADER:
        if other := of_another_kind(path, "sqlite"):
            raise DatabaseUnreachable(f"{path} is {other[0]}", next_step=other[1])
        what = "is empty" if not start else "is no SQLite database, or an encrypted one"
        raise DatabaseUnreachable(f"{path} {what}", next_step="name the file that holds the tables")


@contextmanager
def own_errors(path: Path, timeout_s: int | None = None, stopped: Sequence[bool] = ()) -> Iterator[None]:
    """SQLite's errors as ours.

    Args:
        path: The file.
        timeout_s: How long the query may take.
        stopped: Not empty once it took longer.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_INTERRUPT:
            # A signal's exception ends the callback, not the query: sqlite3 swallows it.
            raise (out_of_time(timeout_s) if stopped else KeyboardInterrupt) from error
        raise _fault(error, code, path) from error


def _fault(error: sqlite3.Error, code: int | None, path: Path) -> Exception:
    primary = None if code is None else code & 0xFF
    said = str(error)
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return DatabaseUnreachable(
            f"{path} is locked by a program that writes to it",
            next_step="run the same command when it has ended",
        )
    if primary in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
        return DatabaseUnreachable(
            f"{path} cannot be read as it lies there: {said}; a program that writes to it left it unfinished",
            next_step=f"open it once with a program that may write: sqlite3 {path} 'PRAGMA wal_checkpoint'; "
            "or copy it together with its -wal or -journal file",
        )
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR}:
        return QueryFailed(
            f"{path} is damaged: {said}", next_step=f"type: sqlite3 {path} 'PRAGMA integrity_check'"
        )
    if primary == sqlite3.SQLITE_FULL:
        return NoSpace(
            "there is no room for what SQLite writes aside while it sorts, in its folder for temporary files",
            next_step="make room there, or name another folder in SQLITE_TMPDIR or TMPDIR, and run it again",
        )
    if primary == sqlite3.SQLITE_AUTH:
        return QueryRefused(
            f"the query does more than read: {said}",
            next_step="take that out; only a plain SELECT is run",
        )
    if isinstance(error, sqlite3.OperationalError) and "decode to UTF-8" in said:
        column = said.partition("column '")[2].partition("'")[0]
        return no_utf8(column, None, said.partition("with text ")[2])
    return QueryFailed(f"SQLite gave up: {said}", next_step="correct the query and run it again")


def not_allowed(said: str, text: str) -> QueryRefused:
    """SQLite names a function that it was told to refuse, and not a pragma that is read as a table."""
    if pragma := _PRAGMA.search(text):
        return refused(
            f"{pragma[0]} is a pragma, which no query may use",
            text,
            pragma.start(),
            "take it out; tables and their columns are in sqlite_master: SELECT name, sql FROM sqlite_master",
        )
    name = said.rpartition(": ")[2]
    return refused(
        f"the query does more than read: {said}",
        text,
        place_of(name, text),
        "take that out; only a plain SELECT is run",
    )
