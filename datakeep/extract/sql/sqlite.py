"""SQLite: a file, opened read-only, read in one transaction.

Through Python's own ``sqlite3``, not ADBC: its SQLite driver takes the type of a column from the first rows
and turns what follows (9007199254740993 became 9007199254740992.0, and 2 became '2'), and cannot be
interrupted. See ``docs/decisions/0014-exact-values-of-every-database.md``.
"""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import contextmanager, suppress
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from datakeep.core.errors import UsageError
from datakeep.extract.sql import sqlite_values as values_of
from datakeep.extract.sql.faults import NotExact, QueryFailed, QueryRefused
from datakeep.extract.sql.interface import Database, Session, Snapshot, SourceColumn
from datakeep.extract.sql.pace import Pace, weight
from datakeep.extract.sql.placeholders import substituted
from datakeep.extract.sql.refusals import check_columns, check_parameters, each, place_of, refused, together
from datakeep.extract.sql.sqlite_catalogue import tables_of
from datakeep.extract.sql.sqlite_classes import classes_of_all
from datakeep.extract.sql.sqlite_faults import look_at, not_allowed, own_errors
from datakeep.extract.sql.sqlite_text import NO_UTF8, first_no_utf8

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from datakeep.extract.sql.interface import Exactness, Parameter, Statement, Table

_BUSY_S = 5.0
#: Instructions of SQLite's machine between two looks at the clock: some hundred times a second.
_TICK = 100_000
#: As long as a result is within these, its types are found in the rows that came; beyond, SQLite is asked.
_HEAD_ROWS, _HEAD_BYTES = 16_384, 16 << 20
_ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_NEAR = re.compile(r'near "(.*)": syntax error', re.DOTALL)
_UNKNOWN = re.compile(r"no such (?:table|column|function|collation sequence): (?:\w+\.)*(.+)")


class SqliteDatabase(Database):
    """One SQLite file."""

    @contextmanager
    def session(self, *, timeout_s: int | None = None) -> Iterator[Session]:
        """One read transaction on the file."""
        path = _path(self.address.connect)
        look_at(path)
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None, timeout=_BUSY_S,
            cached_statements=0,
        )  # fmt: skip
        try:
            with own_errors(path):
                connection.execute("PRAGMA trusted_schema = OFF")
                _know_json(connection)
                connection.execute("BEGIN")
                began = connection.execute(
                    "SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), count(*) FROM sqlite_master"
                ).fetchone()[0]
            yield _SqliteSession(connection, path, timeout_s, datetime.fromisoformat(began))
        finally:
            connection.close()


class _SqliteSession(Session):
    def __init__(
        self, connection: sqlite3.Connection, path: Path, timeout_s: int | None, began: datetime
    ) -> None:
        self._connection = connection
        self._path = path
        self._timeout_s = timeout_s
        self._snapshot = Snapshot("one read transaction (serializable), file opened read-only", began)

    @property
    def server(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    @contextmanager
    def run(
        self, statement: Statement, parameters: Mapping[str, Parameter], exactness: Exactness
    ) -> Iterator[_SqliteResult]:
        """The rows of ``statement``."""
        check_parameters(statement, parameters)
        text = substituted(statement, lambda name: f":{name}").text
        bound = {name: _bound(name, parameter) for name, parameter in parameters.items()}
        stopped = self._limit()
        try:
            with self._reading_only(), own_errors(self._path, self._timeout_s, stopped):
                self._prepare(text, bound)
            # Before the query runs: a schema that changes, were it by a temporary view, aborts a running one.
            declared = self._declared(statement)
            with self._reading_only(), own_errors(self._path, self._timeout_s, stopped):
                cursor = self._connection.execute(text, bound)
            names = [column[0] for column in cursor.description or ()]
            check_columns(names, exactness)
            if exactness.decimals:
                raise _no_decimals(next(iter(exactness.decimals)))
            if len(declared) != len(names):
                declared = [""] * len(names)
            with own_errors(self._path, self._timeout_s, stopped):
                columns, head = self._columns(cursor, names, declared, text, bound, exactness)
            yield _SqliteResult(cursor, head, columns, exactness, (self._path, self._timeout_s, stopped))
            cursor.close()
        except NotExact as error:
            if NO_UTF8 not in error.what:
                raise
            with self._reading_only(), own_errors(self._path, self._timeout_s, stopped):
                raise first_no_utf8(self._connection, text, bound) or error from None
        finally:
            self._connection.set_progress_handler(None, 0)

    def tables(self, names: Collection[str]) -> dict[str, Table]:
        """What the file's schema has of each name."""
        with own_errors(self._path):
            return tables_of(self._connection, names)

    def check(self, statement: Statement, parameters: Mapping[str, Parameter]) -> bool:
        """EXPLAIN, with NULL for what has no value."""
        text = substituted(statement, lambda name: f":{name}").text
        known = {name: _bound(name, parameter) for name, parameter in parameters.items()}
        with self._reading_only(), own_errors(self._path):
            self._prepare(text, dict.fromkeys(statement.parameters) | known)
        return True

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a question of our own."""
        stopped = self._limit()
        with self._reading_only(), own_errors(self._path, self._timeout_s, stopped):
            return self._connection.execute(sql).fetchall()

    def _limit(self) -> list[bool]:
        """Watch the clock from now on; the list becomes non-empty when time was up."""
        stopped: list[bool] = []
        end = None if self._timeout_s is None else time.monotonic() + self._timeout_s

        def tick() -> int:
            if end is not None and time.monotonic() > end:
                stopped.append(True)
            return len(stopped)

        # Without a limit too: a Ctrl-C reaches Python while SQLite works only where Python is called.
        self._connection.set_progress_handler(tick, _TICK)
        return stopped

    @contextmanager
    def _reading_only(self) -> Iterator[None]:
        """Until left, SQLite itself refuses what does more than read; the second wall behind ``mode=ro``."""
        self._connection.set_authorizer(_authorised)
        try:
            yield
        finally:
            self._connection.set_authorizer(None)

    def _prepare(self, text: str, bound: Mapping[str, Any]) -> None:
        """Let SQLite read the query without running it, so that what is wrong with its text is told apart."""
        try:
            self._connection.execute(f"EXPLAIN {text}", bound).close()
        except OverflowError as error:
            raise QueryRefused(
                "a whole number among the parameters is larger than SQLite's 64 bits",
                next_step="give it as a decimal or as text",
            ) from error
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) != sqlite3.SQLITE_ERROR:
                raise
            said = str(error)
            if said.startswith("not authorized"):
                raise not_allowed(said, text) from error
            raise refused(
                said[:1].lower() + said[1:],
                text,
                self._place(said, text),
                "correct the query and run it again",
            ) from error

    def _place(self, said: str, text: str) -> int | None:
        """Where SQLite's complaint belongs: it reads from the left, so the text up to there has the same fault."""
        if match := _NEAR.fullmatch(said):
            for found in re.finditer(re.escape(match[1]), text):
                try:
                    self._connection.execute(f"EXPLAIN {text[: found.end()]}").close()
                except sqlite3.Error as error:
                    if str(error) == said:
                        return found.start()
        if match := _UNKNOWN.match(said):
            return place_of(match[1], text)
        return len(text.rstrip()) if said == "incomplete input" else None

    def _declared(self, statement: Statement) -> list[str]:
        """The declared type of each column that is plainly one of a table, else ''; a view's columns have them.

        Empty if none is known: a view takes less than a query, such as no ORDER BY of a compound.
        """
        text = substituted(statement, lambda _: "NULL").text
        name = "datakeep_columns"
        try:
            self._connection.execute(f"CREATE TEMP VIEW {name} AS {text}")
            found = [row[2] or "" for row in self._connection.execute(f"PRAGMA temp.table_info({name})")]
            self._connection.execute(f"DROP VIEW temp.{name}")
        except sqlite3.Error:
            return []
        return found

    def _columns(
        self, cursor: sqlite3.Cursor, names: list[str], declared: list[str], text: str, bound: Mapping[str, Any],
        exactness: Exactness,
    ) -> tuple[list[SourceColumn], list[tuple[Any, ...]]]:  # fmt: skip
        """What each column becomes, and the rows that were read to find out."""
        head, ended = _head(cursor)
        if ended:
            seen = [values_of.classes_of(row[at] for row in head) for at in range(len(names))]
        else:
            with self._reading_only():
                seen = classes_of_all(self._connection, text, bound, len(names))
        columns = []
        others: dict[int, str] = {}
        for at, (name, kind) in enumerate(zip(names, seen, strict=True)):
            as_text = name in exactness.as_text
            arrow = "string" if as_text else values_of.arrow_name(kind, declared[at])
            if arrow is None:
                others[at] = name
                continue
            shown = declared[at] or "/".join(sorted(kind)) or "null"
            columns.append(SourceColumn(name, shown, arrow, values_of.note_of(kind, as_text=as_text)))
        if others:
            found = values_of.first_others(chain(head, cursor), others)
            for at, name in others.items():
                if at not in found:
                    raise _changing(name)
            raise together([found[at] for at in others])
        return columns, head


class _SqliteResult:
    def __init__(
        self, cursor: sqlite3.Cursor, head: list[tuple[Any, ...]], columns: list[SourceColumn], exactness: Exactness,
        limits: tuple[Path, int | None, list[bool]],
    ) -> None:  # fmt: skip
        import pyarrow as pa

        self._cursor = cursor
        self._head = head
        self._limits = limits
        self._as_text = exactness.as_text
        self.columns: Sequence[SourceColumn] = columns
        self.schema = pa.schema([(column.name, pa.type_for_alias(column.arrow_type)) for column in columns])

    def batches(self) -> Iterator[Any]:
        """Arrow record batches."""
        import pyarrow as pa

        pace, row = Pace(), 1
        rows, self._head = self._head, []
        while rows:
            pace.saw(rows)
            arrays = each(
                partial(
                    values_of.as_array,
                    values,
                    field.type,
                    field.name,
                    row,
                    as_text=field.name in self._as_text,
                )
                for values, field in zip(zip(*rows, strict=True), self.schema, strict=True)
            )
            yield pa.record_batch(arrays, schema=self.schema)
            row += len(rows)
            with own_errors(*self._limits):
                rows = self._cursor.fetchmany(pace.rows)


def _know_json(connection: sqlite3.Connection) -> None:
    """Let SQLite declare its table-valued functions of JSON now: when it does, it asks for what no query may."""
    with suppress(sqlite3.OperationalError):  # a SQLite that was built without them
        connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')").close()


def _path(url: str) -> Path:
    rest = url.partition(":")[2]
    name = rest[2:].removeprefix("/") if rest.startswith("//") else rest
    if name in {"", ":memory:"}:
        raise UsageError(
            "a SQLite database in memory holds nothing to extract",
            next_step="name its file: sqlite:///path/to/file.db",
        )
    path = Path(name)
    return path if path.exists() else Path(unquote(name.partition("?")[0]))


def _changing(name: str) -> QueryFailed:
    return QueryFailed(
        f"column {name} had values of several types, and when read again of one",
        next_step="take random() and the like out of the query",
    )


def _no_decimals(column: str) -> QueryRefused:
    return QueryRefused(
        f"SQLite has no decimal numbers, so column {column} cannot become one",
        next_step=f"keep it as text with --as-text {column}",
    )


def _authorised(
    action: int, first: str | None, second: str | None, _base: str | None, _by: str | None
) -> int:
    # The full-text index asks for data_version while it is read.
    if action in _ALLOWED or (action == sqlite3.SQLITE_PRAGMA and first == "data_version" and second is None):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _bound(name: str, parameter: Parameter) -> Any:
    """A parameter as SQLite knows it: it has no decimals, dates or booleans of its own."""
    value = parameter.value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        if value != value.to_integral_value() and Decimal(repr(float(value))) != value:
            raise QueryRefused(
                f"the parameter :{name} has no exact double, and SQLite no decimals",
                next_step="give it fewer digits, or as text",
            )
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, date) else value


def _head(cursor: sqlite3.Cursor) -> tuple[list[tuple[Any, ...]], bool]:
    """The first rows, and whether they are all."""
    head: list[tuple[Any, ...]] = []
    pace = Pace()
    while len(head) < _HEAD_ROWS and weight(head) < _HEAD_BYTES:
        rows = cursor.fetchmany(pace.rows)
        if not rows:
            return head, True
        pace.saw(rows)
        head += rows
    return head, False
