"""One connection to PostgreSQL through ADBC: questions of our own, savepoints, and the stream of a query."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakeep.extract.sql.ahead import Begun, ahead, interruptible
from datakeep.extract.sql.faults import DriverMissing
from datakeep.extract.sql.postgres_faults import connection_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from datakeep.extract.sql.ahead import Ahead
    from datakeep.extract.sql.interface import Address

#: The bytes of one batch, as the driver estimates them: small enough that a few fit anywhere, large enough for speed.
_BATCH_BYTES = 8 << 20
_CONNECT_TIMEOUT_S = 30
#: A connection whose other end is gone is noticed after two minutes, also where the URL does not ask for it.
_DEFAULTS = {
    "connect_timeout": str(_CONNECT_TIMEOUT_S),
    "fallback_application_name": "datakeep",
    "keepalives_idle": "60",
    "keepalives_interval": "10",
    "keepalives_count": "6",
}
#: Set before each query, so that the transaction, and its snapshot, outlive an error in it.
SAVEPOINT = "datakeep"


def failures() -> tuple[type[BaseException], ...]:
    """What the driver, and Arrow around it, raise when something is wrong."""
    import adbc_driver_manager
    import pyarrow as pa

    return (adbc_driver_manager.Error, pa.ArrowException, OSError)


class _Adbc:
    """The driver's database and connection; its DB-API would load a third of Arrow that we do not use."""

    def __init__(self, url: str) -> None:
        import adbc_driver_manager

        self._database = _opened(url)
        try:
            self._connection = adbc_driver_manager.AdbcConnection(self._database)
        except BaseException:
            self._database.close()
            raise

    def statement(self) -> Any:
        import adbc_driver_manager

        return adbc_driver_manager.AdbcStatement(self._connection)

    def close(self) -> None:
        try:
            self._connection.close()
        finally:
            self._database.close()


def _opened(url: str) -> Any:
    """The driver's database, which asks the server for all types that there are: 50 ms of its own processor time."""
    import adbc_driver_manager
    import adbc_driver_postgresql

    # Where its package says it lies, without what looks into packages that are archives: 10 ms.
    library = Path(adbc_driver_postgresql.__file__).with_name("libadbc_driver_postgresql.so")
    if library.is_file():
        return adbc_driver_manager.AdbcDatabase(driver=str(library), uri=url)
    return adbc_driver_postgresql.connect(url)


def connecting(address: Address) -> Begun[_Adbc]:
    """A connection that is being made from now on, in another thread, for whoever takes it.

    Raises:
        DriverMissing: The driver's package is not installed.
    """
    try:
        import adbc_driver_postgresql  # noqa: F401
    except ImportError as error:
        raise DriverMissing(
            "the package adbc-driver-postgresql, which speaks to PostgreSQL, is not installed",
            next_step="reinstall datakeep: pip install --force-reinstall datakeep",
        ) from error
    url = _with_defaults(address.connect)
    return Begun(lambda: _Adbc(url)).start()


class Connection:
    """An open connection. Its methods let the driver's exceptions through; the session reads them.

    Args:
        address: Where it leads.
        begun: What :func:`connecting` began for that address.
    """

    def __init__(self, address: Address, begun: Begun[_Adbc] | None = None) -> None:
        self._abandoned = False
        self._batches: Ahead[Any] | None = None
        try:
            self._adbc = (begun or connecting(address)).outcome(None)
        except failures() as error:
            # Not chained: the driver's own words may hold a part of the password.
            raise connection_fault(error, address.shown) from None

    def close(self) -> None:
        """End it; what was not committed is undone by the server."""
        if not self._abandoned:
            self._adbc.close()

    def do(self, sql: str) -> None:
        """Run what gives no rows."""
        with self._statement() as statement:
            statement.set_sql_query(sql)
            self._call(statement, statement.execute_update)

    def rows(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        """The rows of a question; ``values`` are bound to ``$1``, ``$2`` … as text."""
        import pyarrow as pa

        with self._statement() as statement:
            statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            statement.set_sql_query(sql)
            self._call(statement, statement.prepare)
            if values:
                statement.bind(
                    pa.record_batch([[value] for value in values], [str(at) for at in range(len(values))])
                )
            table = self._call(statement, lambda: _reader(statement).read_all())
        columns = [_python(column) for column in table.columns]
        return list(zip(*columns, strict=True)) if columns else [()] * table.num_rows

    def schema(self, sql: str) -> Any:
        """Arrow's schema of a query as the driver would give it, without running it."""
        import pyarrow as pa

        with self._statement() as statement:
            statement.set_sql_query(sql)
            self._call(statement, statement.prepare)
            return pa.schema(self._call(statement, statement.execute_schema))

    @contextmanager
    def stream(self, sql: str) -> Iterator[Ahead[Any]]:
        """The batches of a query, read ahead; a few are held at a time.

        Left before its end, the query is cancelled: whoever goes on goes back to a savepoint, as behind an error.
        Behind its end the connection takes other questions.
        """
        with self._statement() as statement:
            statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})
            statement.set_sql_query(sql)
            self._call(statement, statement.prepare)
            reader = self._call(statement, lambda: _reader(statement))
            try:
                with ahead(_batches(reader), partial(self._cancel, statement), self._abandon) as batches:
                    self._batches = batches
                    yield batches
            finally:
                self._batches = None
                if not self._abandoned:
                    reader.close()

    @contextmanager
    def _statement(self) -> Iterator[Any]:
        if self._batches is not None and not self._batches.finished:
            raise RuntimeError(
                "the rows of a query are on their way: read or leave them before the next question"
            )
        if self._abandoned:
            raise OSError("the connection was given up, as it did not answer to a cancellation")
        statement = self._adbc.statement()
        try:
            yield statement
        finally:
            if not self._abandoned:
                statement.close()

    def _call(self, statement: Any, call: Callable[[], Any]) -> Any:
        return interruptible(call, partial(self._cancel, statement), self._abandon)

    @staticmethod
    def _cancel(statement: Any) -> None:
        with suppress(*failures()):  # a server that is gone cannot be told
            statement.cancel()

    def _abandon(self) -> None:
        self._abandoned = True


def _reader(statement: Any) -> Any:
    """The result of a statement, which runs now."""
    # pyarrow's own reader drops the SQLSTATE of an error on the way; the driver's keeps it.
    from adbc_driver_manager._reader import AdbcRecordBatchReader

    handle, _ = statement.execute_query()
    return AdbcRecordBatchReader._import_from_c(handle.address)  # noqa: SLF001


def _batches(reader: Any) -> Iterator[Any]:
    while True:
        try:
            yield reader.read_next_batch()
        except StopIteration:
            return


def _with_defaults(url: str) -> str:
    """``url`` with what it does not say of how to connect."""
    head, _, query = url.partition("?")
    stated = {pair.partition("=")[0] for pair in query.split("&")}
    added = [f"{name}={value}" for name, value in _DEFAULTS.items() if name not in stated]
    return f"{head}?{'&'.join([*filter(None, [query]), *added])}"


def _python(column: Any) -> Sequence[Any]:
    """A column's values as Python has them; the driver's numerics, which are text, as decimals."""
    import pyarrow as pa

    if getattr(column.type, "type_name", None) == "numeric":
        return [None if value is None else Decimal(value) for value in column.to_pylist()]
    if not pa.types.is_string(column.type):
        return list(column.to_pylist())
    # In a database that does not check text (SQL_ASCII), names and comments may be no UTF-8.
    raw = column.cast(pa.binary()).to_pylist()
    return [None if value is None else value.decode(errors="backslashreplace") for value in raw]
