"""Every database that has no driver for Arrow: through SQLAlchemy, its rows streamed and turned into Arrow here."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import AccessDenied, DatakeepError, UsageError
from datakeep.core.interrupts import deferred
from datakeep.extract.sql.address import secrets_of
from datakeep.extract.sql.alchemy_catalogue import table_of
from datakeep.extract.sql.alchemy_kinds import Kind, Watch, kind_of
from datakeep.extract.sql.drivers import driver, missing
from datakeep.extract.sql.faults import DriverMissing
from datakeep.extract.sql.interface import Database, Session, Snapshot, SourceColumn
from datakeep.extract.sql.pace import Pace, weight
from datakeep.extract.sql.placeholders import substituted
from datakeep.extract.sql.python_values import Column, converted
from datakeep.extract.sql.refusals import check_columns, check_parameters, each

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from datakeep.extract.sql.interface import Address, Exactness, Parameter, Statement, Table

#: So many rows and bytes are read before types are settled, where only the values tell them.
_HEAD_ROWS, _HEAD_BYTES = 16_384, 16 << 20
#: What brings the SQLAlchemy dialect of databases that none of our extras does.
_DIALECT_PACKAGES = {
    "trino": "trino[sqlalchemy]", "redshift": "sqlalchemy-redshift", "databricks": "databricks-sqlalchemy",
    "clickhouse": "clickhouse-sqlalchemy",
}  # fmt: skip


class AlchemyDatabase(Database):
    """A database at a URL of SQLAlchemy."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._kind = kind_of(address.dialect)

    @contextmanager
    def session(self, *, timeout_s: int | None = None) -> Iterator[Session]:
        """One transaction, read-only and of one snapshot where the database has such; rolled back at the end."""
        engine = self._engine()
        try:
            with _told(self._kind, self.address):
                connection = engine.connect()
            cancel = partial(self._kind.cancel, engine, connection.connection.driver_connection)
            try:
                with _faults(self._kind, self.address, "", timeout_s):
                    snapshot = self._kind.begin(connection, timeout_s)
                    server = self._kind.server(connection)
                yield _AlchemySession(connection, self._kind, self.address, snapshot, server, timeout_s)
            except KeyboardInterrupt:
                # A server that computes does not look whether anybody still waits for it.
                with (
                    deferred(),
                    suppress(Exception),
                ):  # one that cannot be told ends by itself, when it sends rows
                    cancel()
                raise
            finally:
                # A connection that broke cannot be closed in order; the server rolls back by itself.
                with suppress(*_raised(connection.dialect)):
                    connection.close()
        finally:
            engine.dispose()

    def _engine(self) -> Any:
        kind, what = self._kind, self.address.dialect
        alchemy = driver("sqlalchemy", extra=kind.extra, what=what)
        if kind.package:
            driver(kind.package, extra=kind.extra, what=kind.what)
        url = self.address.connect
        scheme, _, rest = url.partition(":")
        if kind.default and "+" not in scheme:
            url = f"{kind.default}:{rest}"
        try:
            return alchemy.create_engine(
                url, poolclass=alchemy.pool.NullPool, connect_args=kind.options(), hide_parameters=True
            )
        except (alchemy.exc.NoSuchModuleError, ImportError) as error:
            scheme = scheme.partition("+")[0].lower()
            package = getattr(error, "name", None) or _DIALECT_PACKAGES.get(scheme)
            if package is None:
                raise DriverMissing(
                    f"{what} needs a Python package with its SQLAlchemy dialect, which is not installed",
                    next_step=f"find the package that brings {scheme}: to SQLAlchemy, and install it beside "
                    "datakeep[sqlalchemy]",
                ) from error
            also = f"'{package}'" if "[" in package else package
            raise missing(package.partition("[")[0], extra=kind.extra, what=what, also=also) from error
        except (alchemy.exc.ArgumentError, ValueError) as error:
            raise UsageError(
                f"the URL {self.address.shown} cannot be read",
                next_step="write it as scheme://user@host:port/database",
            ) from error


class _AlchemySession(Session):
    def __init__(
        self,
        connection: Any,
        kind: Kind,
        address: Address,
        snapshot: Snapshot,
        server: str,
        timeout_s: int | None,
    ) -> None:
        self._connection = connection
        self._kind = kind
        self._address = address
        self._snapshot = snapshot
        self._server = server
        self._timeout_s = timeout_s

    @property
    def server(self) -> str:
        return self._server

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    @contextmanager
    def run(
        self, statement: Statement, parameters: Mapping[str, Parameter], exactness: Exactness
    ) -> Iterator[_AlchemyResult]:
        """The rows of ``statement``, through a cursor on the server where the driver has one."""
        check_parameters(statement, parameters)
        style = self._connection.dialect.paramstyle
        text = _sent(statement, style)
        values = _values(
            statement, {name: self._kind.bound(name, one) for name, one in parameters.items()}, style
        )
        with _faults(self._kind, self._address, statement.text, self._timeout_s):
            probed = self._kind.probe(self._connection, statement, text, values, exactness)
            streamed = self._connection.execution_options(stream_results=True, max_row_buffer=1)
            rows = streamed.exec_driver_sql(probed.text, values)
        whole = False
        try:
            description = rows.cursor.description if rows.returns_rows else ()
            check_columns([told[0] for told in description], exactness)
            result = _AlchemyResult(
                rows, self._guard(statement), probed.watch, partial(self._ended, probed.watch)
            )
            result.settle(probed.columns or self._kind.columns(description, result.head(), exactness))
            yield result
            whole = True
        finally:
            self._leave(rows, whole=whole)

    def _ended(self, watch: Watch | None) -> None:
        self._kind.ended(self._connection)
        if watch:
            watch.settle()

    def _leave(self, rows: Any, *, whole: bool) -> None:
        """Close the result; after an error with the connection, since drivers read what is left of a result first."""
        with suppress(*_raised(self._connection.dialect)):
            if whole:
                rows.close()
            else:
                self._kind.abandon(rows.cursor)
                self._connection.invalidate()

    def _guard(self, statement: Statement) -> Any:
        return lambda: _faults(self._kind, self._address, statement.text, self._timeout_s, started=True)

    def tables(self, names: Collection[str]) -> dict[str, Table]:
        """What SQLAlchemy's inspector finds of each name."""
        import sqlalchemy

        found = {}
        for name in names:
            with (
                suppress(AccessDenied),
                _faults(self._kind, self._address, "", self._timeout_s, started=True),
            ):
                table = table_of(sqlalchemy.inspect(self._connection), name)
                if table is not None:
                    found[name] = table
        return found

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a question of our own."""
        with _faults(self._kind, self._address, sql, self._timeout_s):
            text = (
                sql.replace("%", "%%")
                if self._connection.dialect.paramstyle in {"format", "pyformat"}
                else sql
            )
            return [tuple(row) for row in self._connection.exec_driver_sql(text).fetchall()]


class _AlchemyResult:
    def __init__(self, result: Any, guard: Any, watch: Watch | None, ended: Callable[[], None]) -> None:
        self._result = result
        self._guard = guard
        self._watch = watch
        self._ended = ended
        self._pace = Pace()
        self._rows: list[Sequence[Any]] = []
        self._settled: Sequence[Column] = ()
        self.columns: Sequence[SourceColumn] = ()
        self.schema: Any = None

    def head(self) -> list[Sequence[Any]]:
        """The first rows, read before their types are settled; they come out again as a batch."""
        while len(self._rows) < _HEAD_ROWS and weight(self._rows) < _HEAD_BYTES and (rows := self._more()):
            self._rows += rows
        return self._rows

    def settle(self, columns: Sequence[Column]) -> None:
        """Say what each column becomes."""
        import pyarrow as pa

        self._settled = columns
        self.schema = pa.schema([(column.name, column.target) for column in columns])
        self.columns = [
            SourceColumn(column.name, column.database_type, str(column.target), column.note)
            for column in columns
        ]

    def batches(self) -> Iterator[Any]:
        """Arrow record batches."""
        import pyarrow as pa

        row = 1
        rows, self._rows = self._rows or self._more(), []
        while rows:
            arrays = each(
                partial(converted, values, column, row)
                for values, column in zip(zip(*rows, strict=True), self._settled, strict=True)
            )
            if self._watch:
                self._watch.look(rows, row)
            yield pa.record_batch(arrays, schema=self.schema)
            row += len(rows)
            rows = self._more()
        with self._guard():
            self._result.close()
            self._ended()

    def _more(self) -> list[Sequence[Any]]:
        with self._guard():
            rows: list[Sequence[Any]] = list(self._result.fetchmany(self._pace.rows))
        self._pace.saw(rows)
        return rows


def _sent(statement: Statement, style: str) -> str:
    """The query with the driver's placeholders; where they begin with %, every other % is doubled."""
    numbers = {name: at for at, name in enumerate(statement.parameters, 1)}
    stand_in = {
        "named": lambda name: f":{name}",
        "numeric": lambda name: f":{numbers[name]}",
        "numeric_dollar": lambda name: f"${numbers[name]}",
        "qmark": lambda _: "?",
        "format": lambda _: "\0s",
        "pyformat": lambda name: f"\0({name})s",
    }[style]
    text = substituted(statement, stand_in).text
    return text.replace("%", "%%").replace("\0", "%") if style in {"format", "pyformat"} else text


def _values(statement: Statement, values: Mapping[str, Any], style: str) -> Any:
    """The parameters in the order, or under the names, that the driver wants; None if there are none."""
    if not statement.placeholders:
        return None
    if style in {"named", "pyformat"}:
        return dict(values)
    if style in {"numeric", "numeric_dollar"}:
        return tuple(values[name] for name in statement.parameters)
    return tuple(values[name] for name, _, _ in statement.placeholders)


def _raised(dialect: Any) -> tuple[type[Exception], ...]:
    """What a driver, SQLAlchemy, or the network below them raises."""
    import sqlalchemy

    own = getattr(dialect.dbapi, "Error", sqlalchemy.exc.DBAPIError)
    return (sqlalchemy.exc.SQLAlchemyError, own, OSError)


@contextmanager
def _told(kind: Kind, address: Address) -> Iterator[None]:
    """What connecting raises, as ours, without a secret."""
    try:
        yield
    except DatakeepError:
        raise
    except Exception as error:  # noqa: BLE001  (drivers raise what they like while they connect)
        raise _without_secrets(kind.unreachable(error, address.shown), address) from None


@contextmanager
def _faults(
    kind: Kind, address: Address, text: str, timeout_s: int | None, *, started: bool = False
) -> Iterator[None]:
    """What the driver raises, as ours, without a secret."""
    import sqlalchemy

    try:
        yield
    except DatakeepError:
        raise
    except Exception as error:  # each driver has a class of its own for what went wrong
        alchemy = isinstance(error, sqlalchemy.exc.SQLAlchemyError | OSError)
        if not alchemy and not any(
            base.__name__ == "Error" for base in type(error).__mro__
        ):  # PEP 249's base class
            raise
        raise _without_secrets(kind.fault(error, text, timeout_s, started=started), address) from None


def _without_secrets(error: DatakeepError, address: Address) -> DatakeepError:
    """The same error, in which no password stands."""
    what = error.what
    for secret in secrets_of(address):
        what = what.replace(secret, "***")
    return type(error)(what, next_step=error.next_step, things=error.things)
