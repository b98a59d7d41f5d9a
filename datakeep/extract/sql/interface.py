"""What a database is to the rest of datakeep, so that no caller asks which one it is.

The way of the rows: :class:`Address` (where) → :class:`Database` (a driver) → :class:`Session` (one read-only
transaction, one snapshot) → :class:`Result` (Arrow batches, exact) → Parquet. Beside it the session's catalogue
(:class:`Table`) says what was read, and what its owners wrote about it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from datakeep.extract.sql.lineage import TableRead

#: The types that a parameter can have; what it was given as is cast to it before the query is sent.
ParameterType = Literal["text", "integer", "decimal", "double", "boolean", "date", "timestamp"]
TableKind = Literal["table", "view", "materialized view", "file", "unknown"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is.

    Attributes:
        dialect: What sqlglot calls its SQL: ``postgres``, ``sqlite``, ``duckdb``, ``snowflake``, ``mysql`` …
        shown: The URL without password and token: the only form that is ever written down or printed.
        connect: The URL to connect with, which may hold a password; kept out of ``repr``.
    """

    dialect: str
    shown: str
    connect: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that is bound to ``:name``; never part of the SQL's text.

    Attributes:
        type: What it is bound as.
        value: Of Python's type for it: str, int, Decimal, float, bool, date, datetime; None is NULL.
    """

    type: ParameterType
    value: Any


@dataclass(frozen=True, slots=True)
class Statement:
    """One SELECT that was found to be one, and nothing else.

    Attributes:
        text: As the user wrote it.
        dialect: In which it was read.
        normalised: The same, formatted by sqlglot without comments, for comparing.
        placeholders: Name, start and end (exclusive, in characters) of each ``:name`` in ``text``, in order.
        ordered: Whether its outermost query sorts, so that the order of rows is the query's own.
        single: Whether it gives one row at most, as ``SELECT count(*) FROM t`` does.
    """

    text: str
    dialect: str
    normalised: str
    placeholders: tuple[tuple[str, int, int], ...] = ()
    ordered: bool = False
    single: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the placeholders, each once, in the order of their first place."""
        return tuple(dict.fromkeys(name for name, _, _ in self.placeholders))


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """One column of a result.

    Attributes:
        name: As the database says it.
        database_type: As the database says it: ``numeric(12,2)``.
        arrow_type: Arrow's name of what it becomes: ``decimal128(12, 2)``.
        note: What a person should know of that, such as that it stays text; None if nothing.
    """

    name: str
    database_type: str
    arrow_type: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table, as the catalogue has it."""

    name: str
    database_type: str
    nullable: bool = True
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that a query read.

    Attributes:
        path: Where it lies: an absolute path, or the URL of an object.
        size_bytes: Its size.
        sha256: Of its bytes, in hex; None for an object that was not read whole.
        version: What an object store calls these very bytes, its ETag; None for a file.
    """

    path: str
    size_bytes: int
    sha256: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view, as the catalogue has it.

    Attributes:
        name: Qualified as far as the database does: ``public.flights``, ``main.movies``.
        kind: What it is.
        columns: In their order.
        comment: What its owners wrote about it.
        primary_key: The names of its columns; empty if there is none, or nobody can say.
        unique: Every other set of columns that the database keeps unique.
        definition: The SQL of a view, where it can be read.
        owner: Who can grant access, as the database calls them.
        files: Of kind ``file``: each file that the name, which may be a pattern, stands for.
        row_security: Whether the database shows each user rows of their own (row-level security).
        owner_sees_all: Whether it shows its owner all of them, and whoever reads it through a view of that owner.
        as_reader: Of a view: whether what it reads is read with its reader's rights, not with its owner's.
        inherited: Whether reading it reads other tables as well, to which its keys are nothing.
    """

    name: str
    kind: TableKind = "table"
    columns: tuple[TableColumn, ...] = ()
    comment: str | None = None
    primary_key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    definition: str | None = None
    owner: str | None = None
    files: tuple[SourceFile, ...] = ()
    row_security: bool = False
    owner_sees_all: bool = False
    as_reader: bool = False
    inherited: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A function that somebody wrote, as the catalogue has it.

    Attributes:
        name: With its schema and the types of its arguments: ``sales.score(integer)``.
        definition: The SQL that makes it.
        owner: Who can change it, as the database calls them.
    """

    name: str
    definition: str
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Exactness:
    """What is to become of values that Arrow cannot hold exactly; by default they are refused.

    Attributes:
        as_text: Columns that are kept as the database's own text.
        decimals: Column to (precision, scale), for numerics that have none of their own.
    """

    as_text: frozenset[str] = frozenset()
    decimals: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the transaction is.

    Attributes:
        isolation: As the database calls it: ``repeatable read, read only``.
        began: The database's own clock, where it tells; with its zone.
        identity: What the database calls the snapshot, where it has a name for it.
    """

    isolation: str
    began: datetime | None = None
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """What a database guessed of a file, in a sentence.

    Attributes:
        told: To whoever runs the query; it may hold a value.
        record: The same without a value, where there is one: a value may be personal, and a record stays for good.
    """

    told: str
    record: str | None = None


class Result(Protocol):
    """The rows of one query, on their way."""

    @property
    def columns(self) -> Sequence[SourceColumn]:
        """One for each column, in order."""

    @property
    def schema(self) -> Any:
        """Arrow's schema of every batch."""

    def batches(self) -> Iterator[Any]:
        """Arrow record batches, once; memory does not grow with the number of rows.

        Raises:
            NotExact: A value cannot be kept exactly; names column, row (from 1) and value.
            DatabaseUnreachable: The connection ended on the way.
            QueryFailed: The database gave up: its time limit, a fault in the query that only a row shows.
        """


class Session(ABC):
    """One read-only transaction on one snapshot, until it is left."""

    @property
    @abstractmethod
    def server(self) -> str:
        """Product and version: ``PostgreSQL 15.18``."""

    @property
    def shown(self) -> str | None:
        """The address as the database completes it (host, port, database, user), no secret in it; None: as given."""
        return None

    @property
    @abstractmethod
    def snapshot(self) -> Snapshot:
        """What the transaction is."""

    def settings(self) -> dict[str, str]:
        """What is in force of settings that say what a query means, where another session could have others."""
        return {}

    @abstractmethod
    def run(
        self, statement: Statement, parameters: Mapping[str, Parameter], exactness: Exactness
    ) -> AbstractContextManager[Result]:
        """The rows of ``statement``; one at a time.

        Raises:
            QueryRefused: The database does not take it: a syntax error (with line and column), an unknown table,
                a missing or untyped parameter, a function that writes.
            AccessDenied: A right is missing; names the table, and who owns it.
            NotExact: A column of the result has a type that cannot be kept, and was not told to be text.
        """

    @abstractmethod
    def tables(self, names: Collection[str]) -> dict[str, Table]:
        """What the catalogue has of each name, as the query writes it; one that cannot be seen is left out."""

    def guessed(
        self, statement: Statement, parameters: Mapping[str, Parameter], reads: Collection[TableRead] = ()
    ) -> tuple[Guess, ...]:
        """What the database guessed of files of text that a query has read, and altered by it.

        Args:
            statement: The query.
            parameters: Its values.
            reads: What is known of the columns that it reads; nothing is said of others.
        """
        del statement, parameters, reads
        return ()

    def check(self, statement: Statement, parameters: Mapping[str, Parameter]) -> bool:  # noqa: ARG002
        """Let the database read ``statement`` without running it; False where it was not asked.

        Args:
            statement: The query.
            parameters: What is known of its placeholders, which may be nothing.

        Raises:
            QueryRefused, QueryFailed, AccessDenied: As :meth:`run` does, before the first row.
        """
        return False

    def volatile(self, functions: Collection[str]) -> list[str]:  # noqa: ARG002
        """Which of these functions, as the query calls them, may by the catalogue give another value each time."""
        return []

    def functions(self, names: Collection[str]) -> list[Function] | None:  # noqa: ARG002
        """Those of these functions, as a query calls them, that are no part of the database or an extension.

        None where that was not asked, or cannot be told.
        """
        return None

    @abstractmethod
    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The few rows of a question of our own, such as a count; in the same transaction."""


class Database(ABC):
    """One kind of database, at one address.

    Attributes:
        address: Where it is.
        folder: In which the relative names of files in a query begin; None is the current one.
        scratch: A folder for what does not fit into the memory of a database that runs in this process, of whoever
            asks, who takes it away again; None is a new one among the temporary files, which a kill leaves there.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.folder: Path | None = None
        self.scratch: Path | None = None

    def connecting(self) -> AbstractContextManager[None]:
        """Begin to connect, for the first session within the block; what none has taken is closed at its end.

        Raises nothing of the database: the session does. A database that has nothing to begin with does nothing.
        """
        return nullcontext()

    @abstractmethod
    def session(self, *, timeout_s: int | None = None) -> AbstractContextManager[Session]:
        """One transaction; whatever happens in it, nothing in the database is changed.

        Args:
            timeout_s: How long one statement may take, in seconds; None is as long as it needs.

        Raises:
            DatabaseUnreachable: It does not answer.
            AccessDenied: It does not let this user in.
            DriverMissing: The package that speaks to it is not installed; names the extra.
        """
