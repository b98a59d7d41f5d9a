"""What Snowflake and BigQuery have in common: an ADBC driver in Go, over the internet, without a read-only session.

Untried against an account: what the drivers' own types and messages are is taken from their documentation.
What can be tried without one is: how a URL becomes options, that no secret is shown, that nothing waits
without end.
"""

from __future__ import annotations

import queue
import re
import threading
from abc import abstractmethod
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from datakeep.core.errors import AccessDenied, DatakeepError
from datakeep.extract.sql.address import secrets_of
from datakeep.extract.sql.ahead import ahead, interruptible
from datakeep.extract.sql.drivers import driver
from datakeep.extract.sql.exact import Rule, exact
from datakeep.extract.sql.faults import DatabaseUnreachable, QueryFailed
from datakeep.extract.sql.interface import Database, Session, SourceColumn
from datakeep.extract.sql.moments import check_moments
from datakeep.extract.sql.placeholders import substituted
from datakeep.extract.sql.refusals import (
    check_columns,
    check_parameters,
    each,
    out_of_time,
    refused,
    unkeepable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from datakeep.extract.sql.interface import Exactness, Parameter, Snapshot, Statement, Table

T = TypeVar("T")

#: How long a server may take to let us in. The drivers themselves try again without end.
ANSWER_S = 60.0


class Warehouse(Database):
    """A database behind an ADBC driver that is a package of its own.

    Attributes:
        what: The product, for messages.
        extra: Which extra of datakeep brings the driver.
        package: The driver.
        place: How its messages tell the place of a fault: groups ``line`` and ``column``.
        first_column: The number of a line's first column in them.
        types: What it calls each type of a parameter.
        counts: Whether the driver tells the number of a result's rows before they come.
    """

    what: str
    extra: str
    package: str
    place: re.Pattern[str]
    first_column: int
    types: ClassVar[Mapping[str, str]]
    counts: ClassVar[bool] = False

    @abstractmethod
    def options(self) -> dict[str, str]:
        """What the driver is given, from the URL.

        Raises:
            UsageError: Something that it needs is missing.
        """

    @abstractmethod
    def begin(self, session: WarehouseSession) -> tuple[str, Snapshot]:
        """Set up the session, and say product, version and what one statement sees."""

    @abstractmethod
    def tables(self, session: WarehouseSession, names: Collection[str]) -> dict[str, Table]:
        """What INFORMATION_SCHEMA has of each name."""

    def bound(self, parameter: Parameter) -> tuple[str, tuple[Any, ...]]:
        """What stands in the place of a parameter, and the values, at most one, that are bound to the ``?`` in it."""
        if (
            parameter.value is None
        ):  # an Arrow column of nothing but NULL has no type that a driver could bind
            return f"CAST(NULL AS {self.types[parameter.type]})", ()
        return "?", (parameter.value,)

    def statement_options(self, timeout_s: int | None) -> dict[str, str | int]:  # noqa: ARG002
        """What each statement is given."""
        return {}

    @contextmanager
    def session(self, *, timeout_s: int | None = None) -> Iterator[Session]:
        """One connection; each statement sees one snapshot, as these products do it."""
        module = driver(f"{self.package}.dbapi", extra=self.extra, what=self.what)
        options = self.options()
        connection = self._within(lambda: module.connect(db_kwargs=options, autocommit=True))
        session = WarehouseSession(self, connection, timeout_s)
        try:
            session.settle(self._within(lambda: self.begin(session)))
            yield session
        finally:
            # A driver that still waits for its server cannot be closed in order; it ends with the process.
            with suppress(Exception):
                connection.close()

    def fault(self, error: Exception, text: str, timeout_s: int | None, *, started: bool) -> DatakeepError:
        """The driver's error as ours, without a secret."""
        status = getattr(getattr(error, "status_code", None), "name", "")
        said = " ".join(str(error).split())
        for secret in secrets_of(self.address):
            said = said.replace(secret, "***")
        said = re.sub(r"^[A-Z_]+: ", "", said)
        said = _REQUEST.sub("", said)
        if status == "TIMEOUT" or re.search(r"statement timeout|[Jj]ob timed out|canceled: .*timeout", said):
            return out_of_time(timeout_s)
        if status in {"UNAUTHENTICATED", "UNAUTHORIZED"} or _DENIED.search(said):
            return AccessDenied(
                f"{self.address.shown}: {said}",
                next_step="check user, secret and role, or ask who grants access",
            )
        if _UNREACHABLE.search(said):
            return self._unreachable(said)
        match = self.place.search(said)
        if started and match is None:
            return QueryFailed(f"{self.what} gave up: {said}", next_step="correct the query and run it again")
        return refused(said, text, self._offset(match, text), "correct the query and run it again")

    def _offset(self, match: re.Match[str] | None, text: str) -> int | None:
        if match is None:
            return None
        lines = text.split("\n")[: int(match["line"]) - 1]
        return sum(len(line) + 1 for line in lines) + int(match["column"]) - self.first_column

    def _unreachable(self, said: str) -> DatabaseUnreachable:
        return DatabaseUnreachable(
            f"{self.address.shown} does not answer: {said}",
            next_step="check the URL, and whether this machine may reach it",
        )

    def _within(self, call: Callable[[], T]) -> T:
        """What ``call`` gives, within :data:`ANSWER_S`; a Ctrl-C ends the waiting too."""
        answers: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue()

        def answer() -> None:
            try:
                answers.put((call(), None))
            except BaseException as error:  # noqa: BLE001  (raised where the answer is waited for)
                answers.put((None, error))

        threading.Thread(target=answer, name="datakeep-connect", daemon=True).start()
        try:
            value, error = answers.get(timeout=ANSWER_S)
        except queue.Empty:
            raise self._unreachable(f"no answer within {ANSWER_S:g} s") from None
        if error is None:
            return value  # type: ignore[return-value]  # it is there where no error is
        if isinstance(error, DatakeepError) or not isinstance(error, Exception):
            raise error
        fault = self.fault(error, "", None, started=False)
        known = isinstance(fault, AccessDenied | DatabaseUnreachable)
        raise (fault if known else self._unreachable(fault.what)) from None


class WarehouseSession(Session):
    """One connection."""

    def __init__(self, warehouse: Warehouse, connection: Any, timeout_s: int | None) -> None:
        self._warehouse = warehouse
        self._connection = connection
        self.timeout_s = timeout_s
        self._about: tuple[str, Snapshot] | None = None

    def settle(self, about: tuple[str, Snapshot]) -> None:
        """Say what the session is."""
        self._about = about

    @property
    def server(self) -> str:
        """Product and version."""
        return self._about[0] if self._about else self._warehouse.what

    @property
    def snapshot(self) -> Snapshot:
        """What one statement sees."""
        from datakeep.extract.sql.interface import Snapshot

        return self._about[1] if self._about else Snapshot("not begun")

    @contextmanager
    def run(
        self, statement: Statement, parameters: Mapping[str, Parameter], exactness: Exactness
    ) -> Iterator[WarehouseResult]:
        """The rows of ``statement``."""
        check_parameters(statement, parameters)
        bound = {name: self._warehouse.bound(one) for name, one in parameters.items()}
        text = substituted(statement, lambda name: bound[name][0]).text
        values = [value for name, _, _ in statement.placeholders for value in bound[name][1]]
        with self._cursor() as cursor:
            with self.faults(statement.text):
                reader = interruptible(lambda: _executed(cursor, text, values), partial(_cancel, cursor))
            check_columns(reader.schema.names, exactness)
            with ahead(iter(reader), partial(_cancel, cursor)) as batches:
                guard = partial(self.faults, statement.text, started=True)
                total = cursor.rowcount if self._warehouse.counts else None
                yield WarehouseResult(reader.schema, batches, exactness, guard, total)

    def tables(self, names: Collection[str]) -> dict[str, Table]:
        """What INFORMATION_SCHEMA has of each name."""
        return self._warehouse.tables(self, names)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a question of our own."""
        return self.rows(sql)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The few rows of a question with ``?`` for each of ``values``."""
        with self._cursor() as cursor, self.faults(sql):
            cursor.execute(sql, list(values) or None)
            return [tuple(row) for row in cursor.fetchall()]

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        cursor = self._connection.cursor(adbc_stmt_kwargs=self._warehouse.statement_options(self.timeout_s))
        try:
            yield cursor
        finally:
            with suppress(Exception):
                cursor.close()

    @contextmanager
    def faults(self, text: str, *, started: bool = False) -> Iterator[None]:
        """The driver's errors as ours."""
        try:
            yield
        except DatakeepError:
            raise
        except Exception as error:  # noqa: BLE001  (the driver, Arrow and the threads between raise what they like)
            raise self._warehouse.fault(error, text, self.timeout_s, started=started) from None


class WarehouseResult:
    """Rows on their way; what Arrow and Parquet have is kept as the driver gives it, checked value for value."""

    def __init__(
        self, schema: Any, batches: Iterator[Any], exactness: Exactness, guard: Any, total: int | None = None
    ) -> None:
        import pyarrow as pa

        self._batches = batches
        self._total = total
        self._guard = guard
        fields, columns = [], []
        for field, (target, note) in zip(
            schema, each(partial(_kept, field, exactness) for field in schema), strict=True
        ):
            fields.append(pa.field(field.name, target))
            columns.append(SourceColumn(field.name, _database_type(field), str(target), note))
        self.schema = pa.schema(fields)
        self.columns: Sequence[SourceColumn] = columns

    def batches(self) -> Iterator[Any]:
        """Arrow record batches."""
        import pyarrow as pa

        row = 1
        while True:
            with self._guard():
                batch = next(self._batches, None)
            if batch is None:
                self._check_total(row - 1)
                return
            arrays = each(
                partial(_converted, array, field, row)
                for array, field in zip(batch.columns, self.schema, strict=True)
            )
            yield pa.record_batch(arrays, schema=self.schema)
            row += batch.num_rows

    def _check_total(self, rows: int) -> None:
        """A driver that fails on a value can end the rows without an error: then some are missing."""
        if self._total is not None and self._total >= 0 and rows != self._total:
            raise QueryFailed(
                f"the database has {self._total:,} rows for the query, and {rows:,} came: the driver stopped at one "
                "that it cannot hold, as with a moment outside of the years 1677 to 2262",
                next_step="CAST such a column to text in the query, or run it again",
            )


def _kept(field: Any, exactness: Exactness) -> tuple[Any, str | None]:
    import pyarrow as pa
    import pyarrow.types as kinds

    kind = field.type
    if field.name in exactness.as_text:
        if kinds.is_nested(kind) or kinds.is_binary(kind):
            raise unkeepable(
                field.name, _database_type(field), "whose text only the query can make", as_text=True
            )
        return pa.string(), "kept as text"
    if field.name in exactness.decimals:
        precision, scale = exactness.decimals[field.name]
        return (pa.decimal128 if precision <= 38 else pa.decimal256)(precision, scale), None
    if kinds.is_interval(kind) or kinds.is_duration(kind) or kinds.is_union(kind):
        raise unkeepable(field.name, _database_type(field), "which has no exact equal in Parquet")
    return (kind.storage_type if isinstance(kind, pa.ExtensionType) else kind), None


def _converted(array: Any, field: Any, first_row: int) -> Any:
    import pyarrow as pa
    import pyarrow.types as kinds

    plain = array.storage if isinstance(array, pa.ExtensionArray) else array
    if plain.type == field.type:
        check_moments(plain, field.name, first_row)
        return plain
    if kinds.is_decimal(field.type):
        return exact(plain.cast(pa.string()), Rule(field.name, field.type), first_row)
    return plain.cast(field.type)


def _database_type(field: Any) -> str:
    """What the driver tells of the type of the database; else Arrow's name of it."""
    told = {key.decode().lower(): value.decode() for key, value in (field.metadata or {}).items()}
    return told.get("logicaltype") or told.get("type") or str(field.type)


def _executed(cursor: Any, text: str, values: Sequence[Any]) -> Any:
    cursor.execute(text, list(values) or None)
    return cursor.fetch_record_batch()


def _cancel(cursor: Any) -> None:
    """End a query whose rows nobody waits for; a driver that cannot ends with its next batch."""
    with suppress(Exception):
        cursor.adbc_cancel()


_DENIED = re.compile(
    r"[Ii]ncorrect username or password|[Aa]ccess [Dd]enied|[Ii]nsufficient privileges|accessDenied|\b403\b"
)
#: What the drivers, in Go, say before why a request failed: its whole URL.
_REQUEST = re.compile(r'\b(?:Get|Post) "[^"]*": ')
_UNREACHABLE = re.compile(
    r"dial tcp|no such host|connection re(?:fused|set)|i/o timeout|TLS handshake|context deadline exceeded"
    r"|HTTP Status: 5|\bEOF\b"
)
