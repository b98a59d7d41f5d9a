"""PostgreSQL through ADBC: one read-only transaction on one snapshot, its rows as Arrow batches.

Parameters are bound: each value goes to the server as a value (``$1`` of ``set_config``), into a setting that ends
with the transaction, and the query reads it from there. The query can then still be streamed by COPY, which takes
no parameters itself, in constant memory.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import DatakeepError
from datakeep.extract.sql.exact import exact, refusal
from datakeep.extract.sql.faults import NotExact
from datakeep.extract.sql.interface import Database, Session, Snapshot
from datakeep.extract.sql.placeholders import substituted
from datakeep.extract.sql.postgres_catalogue import functions, has_unnamed, is_volatile, table
from datakeep.extract.sql.postgres_connection import SAVEPOINT, Connection, connecting, failures
from datakeep.extract.sql.postgres_denied import denied
from datakeep.extract.sql.postgres_describe import describe
from datakeep.extract.sql.postgres_encodings import is_untranslatable, located
from datakeep.extract.sql.postgres_faults import complaint_of, query_fault, refuse_lists
from datakeep.extract.sql.postgres_parameters import bound
from datakeep.extract.sql.postgres_place import completed, refuse_foreign_socket
from datakeep.extract.sql.postgres_settings import settings_of
from datakeep.extract.sql.postgres_types import plan
from datakeep.extract.sql.refusals import each

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from datakeep.extract.sql.ahead import Begun
    from datakeep.extract.sql.interface import (
        Address,
        Exactness,
        Function,
        Parameter,
        SourceColumn,
        Statement,
        Table,
    )
    from datakeep.extract.sql.placeholders import Sent
    from datakeep.extract.sql.postgres_types import Plan

_BEGIN = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
#: Text that the server makes is in ISO's form and has every digit of a double, and days begin and end in UTC,
#: whatever user, role or server have set: else another user's run would give other rows. Which order of day and month
#: it reads stays as it is set.
_SETTINGS = (
    "SELECT set_config('datestyle', 'ISO', true), set_config('extra_float_digits', '3', true),"
    " set_config('timezone', 'UTC', true), set_config('intervalstyle', 'postgres', true),"
    " set_config('statement_timeout', $1, true), set_config('client_encoding', $2, true)"
)
_ABOUT = (
    "SELECT current_setting('server_version'), current_setting('transaction_isolation'),"
    " current_setting('transaction_read_only'), transaction_timestamp(), current_database()::text,"
    " session_user::text, host(inet_server_addr()), inet_server_port()::text"
)
#: The server looks whether we are still there, also while it works on a query (from PostgreSQL 14 on): a query whose
#: client was killed, or whose machine is gone, ends by itself. What somebody has set to less stays.
_WATCHED = """
SELECT set_config(name, ours, true)
FROM pg_settings JOIN (VALUES ('client_connection_check_interval', '5000'), ('tcp_keepalives_idle', '60'),
                              ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '6')) AS wanted(name, ours)
     USING (name)
WHERE setting::int = 0 OR setting::int > ours::int
"""
_SET_PARAMETER = "SELECT set_config($1, $2, true)"
#: What the server takes each parameter of a prepared query for, in their order.
_PREPARED = "SELECT unnest(parameter_types)::text FROM pg_prepared_statements WHERE name = $1"
#: What the server says of a parameter whose type nothing around it tells, or tells in two ways.
_UNTYPED = ("42P18", "42P08")
#: Called otherwise before PostgreSQL 13.
_SNAPSHOTS = {True: "SELECT pg_current_snapshot()::text", False: "SELECT txid_current_snapshot()::text"}


class _Untyped(Exception):
    """Without its value, a parameter's type cannot be told."""


class PostgresDatabase(Database):
    """A PostgreSQL server's database."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._begun: Begun[Any] | None = None

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """In another thread; what becomes of it the session tells that takes it."""
        with suppress(DatakeepError):  # the session says so
            refuse_foreign_socket(self.address.shown)
            self._begun = connecting(self.address)
        try:
            yield
        finally:
            begun, self._begun = self._begun, None
            if begun is not None:
                begun.leave(_closed)

    @contextmanager
    def session(self, *, timeout_s: int | None = None) -> Iterator[PostgresSession]:
        """One ``REPEATABLE READ, READ ONLY`` transaction; it is rolled back when it is left."""
        refuse_foreign_socket(self.address.shown)
        begun, self._begun = self._begun, None
        connection = Connection(self.address, begun)
        try:
            yield PostgresSession(connection, self.address, timeout_s)
        finally:
            # A stream that was left half-read, or a server that is gone, can keep the driver from closing in order;
            # the socket is closed all the same, and the server rolls back.
            _closed(connection)


def _closed(connection: Any) -> None:
    with suppress(*failures(), RuntimeError):
        connection.close()


class PostgresSession(Session):
    """One transaction."""

    def __init__(self, connection: Connection, address: Address, timeout_s: int | None) -> None:
        self._connection = connection
        self._shown, self._user = address.shown, ""
        self._tables: dict[str, Table | None] = {}
        with self._complaints():
            connection.do(_BEGIN)
            encoding = connection.rows("SELECT current_setting('server_encoding')")[0][0]
            self._unsure_text = encoding == "SQL_ASCII"
            wanted = "SQL_ASCII" if self._unsure_text else "UTF8"
            connection.rows(_SETTINGS, f"{(timeout_s or 0) * 1000}", wanted)
            self._be_watched()
            version, isolation, read_only, began, *place = connection.rows(_ABOUT)[0]
            identity = connection.rows(_SNAPSHOTS[int(version.partition(".")[0]) >= 13])[0][0]
        self._server = f"PostgreSQL {version.partition(' ')[0]}"
        suffix = ", read only" if read_only == "on" else ""
        self._snapshot = Snapshot(f"{isolation}{suffix}", began, identity)
        self._user = place[1]
        self._shown = completed(address.shown, *place)

    def _be_watched(self) -> None:
        """Ask the server to notice when this process is gone; some operating systems do not let it."""
        self._connection.do(f"SAVEPOINT {SAVEPOINT}")
        try:
            self._connection.rows(_WATCHED)
        except failures():
            self._connection.do(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
        self._connection.do(f"RELEASE SAVEPOINT {SAVEPOINT}")

    @property
    def server(self) -> str:
        """Product and version."""
        return self._server

    @property
    def shown(self) -> str:
        """The address with host, port, database and user, whether the URL or a default gave them."""
        return self._shown

    @property
    def snapshot(self) -> Snapshot:
        """Isolation, the server's clock, and which transactions are seen (``pg_current_snapshot``)."""
        return self._snapshot

    def settings(self) -> dict[str, str]:
        """The search path, and what URL, role or database have set of what a query can mean; their own, too."""
        with self._complaints():
            return settings_of(self._connection)

    @contextmanager
    def run(
        self, statement: Statement, parameters: Mapping[str, Parameter], exactness: Exactness
    ) -> Iterator[PostgresResult]:
        """The rows, streamed by COPY."""
        expressions, settings = bound(statement, parameters)
        sent = substituted(statement, lambda name: expressions[name])
        lost: NotExact | None = None
        with ExitStack() as stack:
            stack.enter_context(self._savepoint())
            with self._complaints(statement, sent):
                self._set(settings)
                described = describe(self._connection, sent.text)
            read = plan(described, exactness, unsure_text=self._unsure_text)
            query = read.around(sent.text)
            complaints = partial(self._complaints, statement, sent, query.find(sent.text))
            with complaints():
                reader = stack.enter_context(self._connection.stream(query))
            try:
                yield PostgresResult(read, reader, complaints)
            except NotExact as error:
                if not is_untranslatable(error):
                    raise
                lost = error
        if lost is not None:
            with self._savepoint(), self._complaints():
                self._set(settings)
                raise located(self._connection, query, read.rules, lost)

    def _set(self, settings: Sequence[tuple[str, str]]) -> None:
        """Put parameters where the query reads them, until the savepoint or the transaction ends."""
        for setting, value in settings:
            self._connection.rows(_SET_PARAMETER, setting, value)

    def tables(self, names: Collection[str]) -> dict[str, Table]:
        """By the search path of this user; a table can be seen without the right to read it.

        One transaction sees one catalogue: what was asked once is known.
        """
        with self._complaints():
            self._tables |= {
                name: table(self._connection, name) for name in names if name not in self._tables
            }
        return {name: one for name in names if (one := self._tables[name]) is not None}

    def check(self, statement: Statement, parameters: Mapping[str, Parameter]) -> bool:
        """EXPLAIN: the server parses and plans the query, and looks whether this user may read what it reads."""
        names = statement.parameters
        with self._savepoint():
            if set(names) <= set(parameters):
                expressions, settings = bound(statement, parameters)
                sent = substituted(statement, lambda name: expressions[name])
                with self._complaints():
                    self._set(settings)
                before = "EXPLAIN (COSTS false)\n"
                with self._complaints(statement, sent, len(before)):
                    self._connection.do(before + sent.text)
                    describe(self._connection, sent.text)
                return True
            # The types of what has no value are those that the server finds fitting.
            numbers = {name: f"${at}" for at, name in enumerate(names, 1)}
            sent = substituted(statement, lambda name: numbers[name])
            before = f"PREPARE {SAVEPOINT} AS\n"
            try:
                with self._complaints(statement, sent, len(before)), self._typed():
                    self._connection.do(before + sent.text)
            except _Untyped:
                return False
            with self._complaints():
                refuse_lists(statement, [one for (one,) in self._connection.rows(_PREPARED, SAVEPOINT)])
                values = ", ".join(["NULL"] * len(names))
                self._connection.do(f"EXPLAIN (COSTS false) EXECUTE {SAVEPOINT}({values})")
        return True

    @staticmethod
    @contextmanager
    def _typed() -> Iterator[None]:
        try:
            yield
        except failures() as error:
            if complaint_of(error).state in _UNTYPED:
                raise _Untyped from None
            raise

    def volatile(self, functions: Collection[str]) -> list[str]:
        """By ``pg_proc``; those of PostgreSQL itself are known without asking."""
        with self._savepoint(), self._complaints():
            return [name for name in functions if is_volatile(self._connection, name)]

    def functions(self, names: Collection[str]) -> list[Function] | None:
        """By ``pg_proc``; of one name there may be several, and which one is called the types tell.

        None where none is named, and an operator or a cast of somebody's own may call one.
        """
        with self._savepoint(), self._complaints():
            found = [one for name in names for one in functions(self._connection, name)]
            if not found and has_unnamed(self._connection):
                return None
        return list(dict.fromkeys(found))

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a question; numerics are decimals."""
        with self._savepoint(), self._complaints():
            return self._connection.rows(sql)

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        """Whatever happens in the block, the transaction and its snapshot go on as before it."""
        with self._complaints():
            self._connection.do(f"SAVEPOINT {SAVEPOINT}")
        try:
            yield
        finally:
            # A connection that ended here is an error on its way already, or is noticed by the next question.
            with suppress(*failures()):
                self._connection.do(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
                self._connection.do(f"RELEASE SAVEPOINT {SAVEPOINT}")

    @contextmanager
    def _complaints(
        self, statement: Statement | None = None, sent: Sent | None = None, lead: int = 0
    ) -> Iterator[None]:
        try:
            yield
        except failures() as error:
            raise (
                denied(error, self._connection, self._shown, self._user, statement)
                or query_fault(error, self._shown, statement, sent, lead)
            ) from None


class PostgresResult:
    """The rows of one query, on their way."""

    def __init__(
        self, read: Plan, reader: Any, complaints: Callable[[], AbstractContextManager[None]]
    ) -> None:
        import pyarrow as pa

        self._plan, self._reader, self._complaints = read, reader, complaints
        self._begun = False
        self._schema = pa.schema([(rule.name, rule.target) for rule in read.rules])

    @property
    def columns(self) -> tuple[SourceColumn, ...]:
        """One for each column, in order."""
        return self._plan.columns

    @property
    def schema(self) -> Any:
        """Arrow's schema of every batch."""
        return self._schema

    def batches(self) -> Iterator[Any]:
        """Arrow record batches, once."""
        import pyarrow as pa

        if self._begun:
            raise RuntimeError("the rows of a result can be read once")
        self._begun = True
        first_row = 1
        while True:
            with self._complaints():
                batch = next(self._reader, None)
            if batch is None:
                return
            self._check_arrays(batch, first_row)
            arrays = each(
                partial(exact, batch.column(at), rule, first_row) for at, rule in enumerate(self._plan.rules)
            )
            yield pa.record_batch(arrays, schema=self._schema)
            first_row += batch.num_rows

    def _check_arrays(self, batch: Any, first_row: int) -> None:
        """The driver makes one list of an array of more dimensions, and drops a lower bound: those have no equal."""
        count = len(self._plan.rules)
        for (at, _), column in zip(self._plan.checks, batch.columns[count:], strict=True):
            if column.null_count < len(column):
                row = next(index for index, value in enumerate(column) if value.is_valid)
                why = "is an array of more than one dimension, or does not begin at 1: Arrow's lists have neither"
                raise refusal(self._plan.rules[at], first_row + row, column[row].as_py(), why)
