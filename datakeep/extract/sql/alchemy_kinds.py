"""What SQLAlchemy leaves to each kind of database: how a snapshot begins, what a column is, what an error means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from datakeep.extract.sql.faults import DatabaseUnreachable, QueryFailed
from datakeep.extract.sql.interface import Snapshot
from datakeep.extract.sql.python_values import Column, inferred
from datakeep.extract.sql.refusals import each, refused, unkeepable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datakeep.core.errors import DatakeepError
    from datakeep.extract.sql.interface import Exactness, Parameter, Statement


class Watch(Protocol):
    """Looks at rows while they go by, for what can only be settled when all have come."""

    def look(self, rows: Sequence[Sequence[Any]], first_row: int) -> None:
        """Takes note of rows; the first of them has the number ``first_row``."""

    def settle(self) -> None:
        """Asks the database, which takes questions again; raises if a value is not what it has."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What is known of a query before it runs.

    Attributes:
        text: What to run, with the driver's placeholders; it may differ from what was probed.
        columns: What becomes of each column; None if only the values will tell.
        watch: Who looks at the rows, where the driver's values may not be the database's.
    """

    text: str
    columns: tuple[Column, ...] | None = None
    watch: Watch | None = None


class Kind:
    """A database that nothing special is known of; the other kinds say more.

    Attributes:
        what: The product, for messages.
        extra: Which extra of datakeep brings the driver.
        package: The driver's package; None if SQLAlchemy's URL alone decides it.
        default: The URL's scheme with that driver.
        connect: Options of the driver's ``connect``.
    """

    what = "this database"
    extra = "sqlalchemy"
    package: str | None = None
    default: str | None = None
    connect: Mapping[str, Any] = {}

    def options(self) -> dict[str, Any]:
        """What the driver's ``connect`` is given beside the URL."""
        return dict(self.connect)

    def begin(self, connection: Any, timeout_s: int | None) -> Snapshot:  # noqa: ARG002
        """Begin a transaction that only reads, and say what it is."""
        connection.begin()
        return Snapshot(
            f"{connection.get_isolation_level()}; whether it is read-only, SQLAlchemy does not tell"
        )

    def server(self, connection: Any) -> str:
        """Product and version."""
        version = ".".join(map(str, connection.dialect.server_version_info or ()))
        return f"{connection.dialect.name} {version}".strip()

    def probe(
        self, connection: Any, statement: Statement, text: str, values: Any, exactness: Exactness  # noqa: ARG002
    ) -> Probed:  # fmt: skip
        """What is known of the query before it runs; raises the driver's error if the database does not take it."""
        return Probed(text)

    def columns(
        self, description: Sequence[Any], head: Sequence[Sequence[Any]], exactness: Exactness
    ) -> tuple[Column, ...]:
        """What becomes of each column, where only the driver's description and the first rows tell."""
        return tuple(
            each(partial(self._column, at, told, head, exactness) for at, told in enumerate(description))
        )

    def _column(
        self, at: int, told: Sequence[Any], head: Sequence[Sequence[Any]], exactness: Exactness
    ) -> Column:
        name, precision, scale = told[0], told[4], told[5]
        self.check(name, told)
        known = (precision, scale) if precision and scale is not None and 0 <= scale <= precision else None
        return inferred(name, [row[at] for row in head], exactness.decimals.get(name, known), exactness)

    def check(self, name: str, told: Sequence[Any]) -> None:
        """Refuse a column that the driver hands over inexactly."""

    def ended(self, connection: Any) -> None:
        """All rows have come; raises if the database says that it cut a value."""

    def abandon(self, cursor: Any) -> None:
        """A cursor is left whose rows were not all read, and its connection with it."""

    def cancel(self, engine: Any, connection: Any) -> None:
        """End what the server works on for the driver's ``connection``, which nobody waits for any more."""

    def bound(self, name: str, parameter: Parameter) -> Any:  # noqa: ARG002
        """A parameter's value as the driver takes it."""
        return parameter.value

    def fault(self, error: Exception, text: str, timeout_s: int | None, *, started: bool) -> DatakeepError:  # noqa: ARG002
        """The driver's error as ours.

        Args:
            error: What the driver, or SQLAlchemy, raised.
            text: The query as the user wrote it, or ''.
            timeout_s: The time limit.
            started: Whether rows were already on their way.
        """
        said = _words(error)
        if getattr(error, "connection_invalidated", False) or isinstance(error, OSError):
            return DatabaseUnreachable(
                f"the connection ended: {said}", next_step="run the same command again"
            )
        if started:
            return QueryFailed(f"{self.what} gave up: {said}", next_step="correct the query and run it again")
        return refused(said, text, None, "correct the query and run it again")

    def unreachable(self, error: Exception, shown: str) -> DatakeepError:
        """What connecting raised, as ours."""
        said = _words(error)
        return DatabaseUnreachable(
            f"{shown} does not let us in, or does not answer: {said}",
            next_step="check host, port, user and password, and whether this machine may reach it",
        )


class Oracle(Kind):
    """Oracle, through python-oracledb. Untried against a server."""

    what, extra, package, default = "Oracle", "oracle", "oracledb", "oracle+oracledb"

    def options(self) -> dict[str, Any]:
        """Numbers as decimals (the driver's floats round them), large objects as they are."""
        import oracledb

        oracledb.defaults.fetch_decimals = True
        oracledb.defaults.fetch_lobs = False
        return {"tcp_connect_timeout": 15}

    def begin(self, connection: Any, timeout_s: int | None) -> Snapshot:
        """One ``SET TRANSACTION READ ONLY``, which Oracle makes a snapshot."""
        if timeout_s is not None:
            connection.connection.driver_connection.call_timeout = timeout_s * 1000
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        row = connection.exec_driver_sql("SELECT SYSTIMESTAMP AT TIME ZONE 'UTC' FROM dual").fetchone()
        began = row[0]
        if began is not None and began.tzinfo is None:
            from datetime import UTC

            began = began.replace(tzinfo=UTC)
        return Snapshot("read only (serializable)", began)

    def check(self, name: str, told: Sequence[Any]) -> None:
        """The driver cuts fractions of a second at six digits, and drops zones."""
        kind = getattr(told[1], "name", "")
        if "TIMESTAMP" in kind and (told[5] or 0) > 6:
            raise unkeepable(name, kind, "of which the driver hands over six digits of a second only")
        if kind.endswith("TIMESTAMP_TZ"):
            raise unkeepable(name, kind, "whose zone the driver drops; SYS_EXTRACT_UTC gives the moment")


class SqlServer(Kind):
    """Microsoft SQL Server, through pymssql. Untried against a server."""

    what, extra, package, default = "SQL Server", "mssql", "pymssql", "mssql+pymssql"
    connect: Mapping[str, Any] = {"login_timeout": 15}
    #: What pymssql cuts at microseconds, or of which it drops the zone.
    _CUT = ("datetime2(7)", "time(7)", "datetimeoffset")

    def begin(self, connection: Any, timeout_s: int | None) -> Snapshot:  # noqa: ARG002
        """SNAPSHOT where the database allows it, else what its READ COMMITTED is; said in the snapshot."""
        allowed = connection.exec_driver_sql(
            "SELECT snapshot_isolation_state FROM sys.databases WHERE name = DB_NAME()"
        ).scalar()
        level = "SNAPSHOT" if allowed == 1 else "READ COMMITTED"
        connection.exec_driver_sql(f"SET TRANSACTION ISOLATION LEVEL {level}")
        note = (
            ""
            if allowed == 1
            else "; this database allows no snapshot, so rows may change while they are read"
        )
        return Snapshot(f"{level.lower()}{note}")

    def probe(
        self,
        connection: Any,
        statement: Statement,
        text: str,
        values: Any,  # noqa: ARG002
        exactness: Exactness,
    ) -> Probed:
        """Let the server describe the result, and refuse what the driver would cut."""
        from datakeep.extract.sql.placeholders import substituted

        plain = substituted(statement, lambda _: "NULL").text.replace("'", "''").replace("%", "%%")
        rows = connection.exec_driver_sql(
            f"SELECT name, system_type_name FROM sys.dm_exec_describe_first_result_set(N'{plain}', NULL, 0)"  # noqa: S608
        ).fetchall()
        for name, kind in rows:
            if name not in exactness.as_text and str(kind).startswith(self._CUT):
                raise unkeepable(
                    name, kind, "of which the driver drops the zone or the seventh digit of a second"
                )
        return Probed(text)


def _words(error: Exception) -> str:
    """What the driver says, on one line; pymssql says it in bytes, twice, each time below a number."""
    own = getattr(error, "orig", None) or error
    said = own.args[-1] if own.args and isinstance(own.args[-1], bytes) else None
    if said is None:
        return " ".join(str(own).split())
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines()]
    return "; ".join(
        dict.fromkeys(line for line in lines if line and not line.startswith("DB-Lib error message"))
    )


def kind_of(dialect: str) -> Kind:
    """What is known of sqlglot's ``dialect``."""
    if dialect == "mysql":
        from datakeep.extract.sql.mysql import MySql

        return MySql()
    return {"oracle": Oracle, "tsql": SqlServer}.get(dialect, Kind)()
