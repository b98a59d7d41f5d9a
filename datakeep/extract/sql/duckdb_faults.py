"""What DuckDB says when it does not take a query or gives up, as ours, with the place in the user's text."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from datakeep.core.literals import cut
from datakeep.core.secrets import without_passwords
from datakeep.extract.sql.duckdb_reads import no_file
from datakeep.extract.sql.faults import DatabaseUnreachable, QueryFailed, QueryRefused
from datakeep.extract.sql.refusals import out_of_time, place_of, refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from datakeep.core.errors import DatakeepError
    from datakeep.extract.sql.placeholders import Sent

_LINE = re.compile(r"\n\nLINE (\d+): ")
#: Tables of DuckDB's own that it takes for meant, by their letters.
_OWN_TABLES = re.compile(
    r'[!.]? Did you mean "(pg_|duckdb_|sqlite_|information_schema|temp\.|system\.)[^"]*"\??'
)
_KIND = re.compile(r"^([A-Z][A-Za-z-]*(?: [A-Z][a-z]+)?|INTERRUPT|TransactionContext) Error: ")
_QUOTED = re.compile(r'"([^"]+)"|(?:name|type|function) (\w+) ')
_FAR = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_BLOCKED = re.compile(r'Cannot access (?:file|directory) "([^"]*)"')
_CSV = re.compile(r"CSV Error on Line: (\d+)")
_SNIFFED = re.compile(r'[Ee]rror when sniffing file "(.+?)"')
_CSV_FILE = re.compile(r"^\s*file = (.+)$", re.MULTILINE)
_CSV_COLUMN = re.compile(r'converting column "([^"]+)"')
_SAID_CHARACTERS = 300
#: DuckDB's classes of what is wrong with the text, not with the data.
_OF_TEXT = frozenset({"ParserException", "BinderException", "CatalogException", "SyntaxException"})


def only_select(duckdb: Any, sent: Sent, text: str) -> None:
    """Let DuckDB's own parser say that this is one SELECT: COPY, for one, could write to a file that may be read.

    Raises:
        QueryRefused: It is something else.
    """
    try:
        found = duckdb.extract_statements(sent.text)
    except duckdb.Error as error:
        raise of_text(error, None, sent, None, text) from error
    kinds = [str(one.type).rpartition(".")[2] for one in found]
    if kinds == ["MULTI"]:
        raise QueryRefused(
            "DuckDB takes the columns of a PIVOT from the data, by a query before this one",
            next_step="name them in the query: PIVOT … ON country IN ('DE', 'FR') …",
        )
    if kinds != ["SELECT"]:
        what = " and ".join(kinds) or "it is empty"
        raise QueryRefused(
            f"the query is not one SELECT, but {what}",
            next_step="write one SELECT; nothing else is run",
        )


def of_text(
    error: Exception, connection: Any, sent: Sent | None, values: Mapping[str, Any] | None, text: str
) -> DatakeepError:
    """The error for a query that DuckDB does not take.

    Args:
        error: What it raised.
        connection: Where to ask it again: only an EXPLAIN tells the place.
        sent: What it was given; None for a question of our own.
        values: The parameters of it.
        text: What the user wrote.
    """
    said = str(error)
    if type(error).__name__ not in _OF_TEXT:
        return of_data(said)
    if connection is not None and sent is not None and not _LINE.search(said):
        try:
            connection.execute(f"EXPLAIN\n{sent.text}", values)
        except type(error) as again:
            said = _LINE.sub(lambda found: f"\n\nLINE {int(found[1]) - 1}: ", str(again))
    place = None if sent is None else _place(said, sent.text)
    origin = None if place is None or sent is None else sent.origin(place)
    return refused(_words(said), text, origin, "correct the query and run it again")


def of_data(said: str) -> DatakeepError:
    """The error for a query that DuckDB gave up, by its message."""
    blocked = _BLOCKED.search(said)
    if blocked and not _FAR.match(blocked[1]) and not os.path.lexists(blocked[1]):
        return no_file(blocked[1])
    if blocked:
        return QueryRefused(
            f"the query reads {blocked[1]}, which it does not name itself",
            next_step="name the file in FROM, as a text in quotes; nothing else may be read",
        )
    if "disabled" in said and said.startswith("Permission Error"):
        return QueryRefused(f"the query does more than read: {_words(said)}", next_step="take that out")
    if sniffed := _SNIFFED.search(said):
        return QueryFailed(
            f"{sniffed[1]}: DuckDB cannot tell how this CSV is written",
            next_step=f"look at the file, or say how it is to be read: read_csv('{sniffed[1]}', delim = ',')",
        )
    if csv := _CSV.search(said):
        return _of_csv(csv, said)
    if said.startswith("Out of Memory"):
        return QueryFailed(_words(said), next_step="free memory or disk space, or narrow the query down")
    return QueryFailed(
        f"DuckDB gave up: {_words(said)}", next_step="correct the query or the data, and run it again"
    )


def _of_csv(found: re.Match[str], said: str) -> QueryFailed:
    """A line that is not as the others: DuckDB says it in thirty lines, all of its settings among them."""
    file = _CSV_FILE.search(said)
    lines = [line.strip() for line in said[found.end() :].partition("Possible ")[0].splitlines()]
    told = [
        line.rstrip(".") for line in lines if line and not line.startswith(("Original Line", "This type was"))
    ]
    name = file[1].strip() if file else "the CSV file"
    column = _CSV_COLUMN.search(said)
    step = f"correct the file, or say how it is to be read: read_csv('{name}', …)"
    if column:
        step = f"correct the file, or say the column's type: read_csv('{name}', types = {{'{column[1]}': 'VARCHAR'}})"
    return QueryFailed(f"{name}, line {found[1]}: {_cut('; '.join(told))}", next_step=step)


def _cut(text: str) -> str:
    text = without_passwords(text)  # before it is cut, which would hide that there is one
    return cut(text, _SAID_CHARACTERS)


@contextmanager
def running(timeout_s: int | None) -> Iterator[None]:
    """What DuckDB, or the Arrow stream over it, raises while a query runs, as ours."""
    import duckdb
    import pyarrow as pa

    try:
        yield
    except (duckdb.Error, OSError, pa.ArrowException, RuntimeError) as error:
        if "INTERRUPT Error" in str(error):
            raise (out_of_time(timeout_s) if timeout_s is not None else KeyboardInterrupt) from error
        raise of_data(str(error)) from error


@contextmanager
def opening(path: Path | None) -> Iterator[None]:
    """What DuckDB raises when it opens its file, as ours."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        said = _words(str(error))
        step = "name a file that DuckDB made"
        if "Conflicting lock" in said or "Could not set lock" in said:
            said, step = (
                f"it is locked by a program that writes to it ({said})",
                "run this again when that has ended",
            )
        elif "version" in said.lower():
            step = "update datakeep's DuckDB: pip install --upgrade duckdb"
        raise DatabaseUnreachable(f"{path} cannot be opened: {said}", next_step=step) from error


def not_there(path: Path, error: OSError) -> DatabaseUnreachable:
    """There is no such file."""
    what = "is a folder, no DuckDB file" if isinstance(error, IsADirectoryError) else "is not there"
    return DatabaseUnreachable(
        f"the DuckDB file {path} {what}", next_step="check the path; duckdb:////path starts at the root"
    )


def _words(said: str) -> str:
    """DuckDB's message on one line, without its kind and the excerpt of the query."""
    head = _LINE.split(said, maxsplit=1)[0]
    words = re.sub(r"\s*\n\s*", " ", _KIND.sub("", head)).strip()
    words = _OWN_TABLES.sub("", words)
    return _cut(words if words[1:2].isupper() else words[:1].lower() + words[1:])


def _place(said: str, text: str) -> int | None:
    """The place in ``text`` of the mark in ``LINE 2: …excerpt`` and the ``^^^`` below it."""
    name = next((one[1] or one[2] for one in _QUOTED.finditer(said)), "")
    match = _LINE.search(said)
    lines = text.split("\n")
    if match is None or not 1 <= int(match[1]) <= len(lines):
        return place_of(name, text) if name else None
    line = lines[int(match[1]) - 1]
    excerpt, _, marks = said[match.end() :].partition("\n")
    column = max(0, marks.find("^") - (match.end() - match.start() - 2))
    if excerpt.startswith("..."):
        column += line.find(excerpt[3:].removesuffix("...")) - 3
    if name and not line[column:].startswith(name) and name in line:
        column = line.find(name)  # DuckDB counts cells or bytes where a character is wide, or a tab
    return sum(len(one) + 1 for one in lines[: int(match[1]) - 1]) + min(column, len(line))
