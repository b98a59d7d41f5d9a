"""DuckDB: a file of its own, or none, for CSV, Parquet and JSON files that the query names.

What a query may do is walled twice: the statement parser lets one SELECT through, and DuckDB itself is
opened so that it runs nothing but a SELECT, opens no file that the query does not name, fetches no
extension, sees no Python variable, and takes no other setting.
"""

from __future__ import annotations

import tempfile
import threading
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from datakeep.core.errors import AccessDenied
from datakeep.extract.sql import duckdb_faults, duckdb_guesses, duckdb_reads
from datakeep.extract.sql.address import of_another_kind
from datakeep.extract.sql.ahead import ahead, interruptible
from datakeep.extract.sql.drivers import driver
from datakeep.extract.sql.duckdb_catalogue import tables_of
from datakeep.extract.sql.duckdb_types import converted, plan_of
from datakeep.extract.sql.faults import DatabaseUnreachable
from datakeep.extract.sql.interface import Database, Session, Snapshot, SourceColumn, Table, TableColumn
from datakeep.extract.sql.pace import gathered
from datakeep.extract.sql.placeholders import substituted
from datakeep.extract.sql.refusals import check_columns, check_parameters, each

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from datakeep.extract.sql.duckdb_types import Plan
    from datakeep.extract.sql.interface import Exactness, Guess, Parameter, Statement
    from datakeep.extract.sql.lineage import TableRead
    from datakeep.extract.sql.placeholders import Sent

_SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
}
_NULL_TYPES = {
    "text": "VARCHAR", "integer": "BIGINT", "decimal": "DECIMAL(38, 9)", "double": "DOUBLE", "boolean": "BOOLEAN",
    "date": "DATE", "timestamp": "TIMESTAMP",
}  # fmt: skip
#: Rows of a batch: few where a value can be large.
_BATCH_ROWS, _TEXT_ROWS, _BLOB_ROWS = 65_536, 2_048, 256


class DuckdbDatabase(Database):
    """A DuckDB file (``duckdb:///file``), or files that the query names (``duckdb:``)."""

    @contextmanager
    def session(self, *, timeout_s: int | None = None) -> Iterator[Session]:
        """One connection; a file of DuckDB's own is locked against writers until it is left."""
        own = tempfile.TemporaryDirectory(prefix="datakeep-duckdb-") if self.scratch is None else None
        with own or nullcontext(str(self.scratch)) as spill:
            session = _DuckdbSession(_path(self.address.connect), spill, timeout_s, self.folder)
            try:
                session.open([])
                yield session
            finally:
                session.close()


class _DuckdbSession(Session):
    def __init__(
        self, path: Path | None, spill: str, timeout_s: int | None, folder: Path | None = None
    ) -> None:
        self._duckdb = driver("duckdb", extra="duckdb", what="DuckDB")
        self._path = path
        self._spill = spill
        self._timeout_s = timeout_s
        self._folder = folder
        self._connection: Any = None
        self._named: dict[str, duckdb_reads.Named] = {}
        self._far = duckdb_reads.Buckets()
        self._prints = duckdb_reads.Fingerprints(self._far)
        self._began: Any = None

    def open(self, named: Sequence[duckdb_reads.Named]) -> None:
        """Connect, such that nothing can be read but the database and the files of ``named``."""
        self.close()
        self._named |= {one.written: one for one in named}
        paths = [path for one in self._named.values() for path in one.paths]
        with duckdb_faults.opening(self._path):
            connection = self._duckdb.connect(
                str(self._path) if self._path else ":memory:",
                read_only=self._path is not None,
                config=_SETTINGS | {"temp_directory": self._spill},
            )
        self._connection = connection
        for system in self._far.made.values():
            connection.register_filesystem(system)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET allowed_paths = $paths", {"paths": paths})
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        self._began = self._began or connection.execute("SELECT current_timestamp").fetchall()[0][0]

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            # One that is still busy, as it did not answer an interruption in time, ends with the process.
            with suppress(self._duckdb.Error):
                self._connection.close()
            self._connection = None

    @property
    def server(self) -> str:
        return f"DuckDB {self._duckdb.__version__}"

    @property
    def snapshot(self) -> Snapshot:
        if self._path is None:
            return Snapshot(
                "none: files are read as they lie there; their sizes and digests are recorded", self._began
            )
        return Snapshot("file opened read-only, locked against writers", self._began)

    @contextmanager
    def run(
        self, statement: Statement, parameters: Mapping[str, Parameter], exactness: Exactness
    ) -> Iterator[_DuckdbResult]:
        """The rows of ``statement``."""
        check_parameters(statement, parameters)
        sent, values = self._sent(statement, parameters)
        duckdb_faults.only_select(self._duckdb, sent, statement.text)
        self._allow(sent.text, values or {})
        interrupt = self._connection.interrupt
        with self._limited():
            with duckdb_faults.running(self._timeout_s):
                reader, plans = interruptible(
                    lambda: self._reader(sent, values, exactness, statement.text), interrupt
                )
            # Until the stream is closed, a connection takes no other question.
            with closing(reader), ahead(gathered(reader), interrupt) as batches:
                yield _DuckdbResult(reader.schema, batches, plans, self._timeout_s)

    def _sent(
        self, statement: Statement, parameters: Mapping[str, Parameter]
    ) -> tuple[Sent, dict[str, Any] | None]:
        """The text with its placeholders, and their values; names of files begin where the session's folder is."""
        values = {name: one.value for name, one in parameters.items() if one.value is not None}
        names = {
            f"{start} {end}": (written, (f"{start} {end}", start, end))
            for start, end, written in duckdb_reads.places(statement.text, values, self._folder)
        }
        marks = sorted(
            [*statement.placeholders, *(mark for _, mark in names.values())], key=lambda mark: mark[1]
        )

        def stand_in(name: str) -> str:
            return names[name][0] if name in names else _stand_in(name, parameters[name])

        sent = substituted(replace(statement, placeholders=tuple(marks)), stand_in)
        for name, value in values.items():
            if self._folder and isinstance(value, str) and duckdb_reads.is_there(value, self._folder):
                values[name] = duckdb_reads.rooted(value, self._folder)
        return sent, values or None

    def _reader(
        self, sent: Sent, values: dict[str, Any] | None, exactness: Exactness, text: str
    ) -> tuple[Any, list[Plan]]:
        """The stream of batches, and what becomes of each column."""
        try:
            relation = self._connection.sql(sent.text, params=values)
        except self._duckdb.Error as error:
            raise duckdb_faults.of_text(error, self._connection, sent, values, text) from error
        check_columns(relation.columns, exactness)
        given = zip(relation.columns, relation.types, strict=True)
        plans = each(partial(plan_of, *column, exactness) for column in given)
        if any(plan.cast for plan in plans):
            chosen = ", ".join(_projected(plan) for plan in plans)
            outer = f"SELECT {chosen} FROM (\n{sent.text}\n)"  # noqa: S608  (the user's own query)
            relation = self._connection.sql(outer, params=values)
        return relation.to_arrow_reader(_batch_rows(relation.types)), plans

    def tables(self, names: Collection[str]) -> dict[str, Table]:
        """What the catalogue, or the file system, has of each name."""
        found = tables_of(lambda sql, values: self._connection.execute(sql, values).fetchall(), names)
        files = {name: _unquoted(name) for name in names if name not in found}
        new = [
            duckdb_reads.look_up(file, self._far, self._folder)
            for file in files.values()
            if file not in self._named
        ]
        if new := [one for one in new if one.files]:
            self.open(new)
        return found | {
            name: self._file_table(self._named[file]) for name, file in files.items() if file in self._named
        }

    def guessed(
        self, statement: Statement, parameters: Mapping[str, Parameter], reads: Collection[TableRead] = ()
    ) -> tuple[Guess, ...]:
        """Of CSV, JSON and Parquet: delimiter, header and types, and the values that are others than in the files."""
        sent, values = self._sent(statement, parameters)
        found: list[Guess] = []
        columns = {read.name: read.columns for read in reads}
        as_written = {duckdb_reads.rooted(name, self._folder): name for name in columns}
        for rooted in duckdb_guesses.readings(sent.text, self._named, values or {}):
            # Another run of the same query says the same of them, wherever it began to look for them.
            reading = replace(rooted, written=as_written.get(rooted.written, rooted.written))
            read, traits = columns.get(reading.written), self._prints.traits
            # What only the reader of the query's own call understands is not said; its rows are there already.
            with suppress(self._duckdb.Error), self._limited():
                found += duckdb_guesses.told(reading, self._fetched, read, traits)
        return tuple(found)

    def _fetched(self, sql: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = interruptible(
            lambda: self._connection.execute(sql).fetchall(), self._connection.interrupt
        )
        return rows

    def check(self, statement: Statement, parameters: Mapping[str, Parameter]) -> bool:
        """EXPLAIN; not where a parameter has no value, which may be the name of a file."""
        if not set(statement.parameters) <= set(parameters):
            return False
        sent, values = self._sent(statement, parameters)
        duckdb_faults.only_select(self._duckdb, sent, statement.text)
        self._allow(sent.text, values or {})
        try:
            self._connection.execute(f"EXPLAIN {sent.text}", values).fetchall()
        except self._duckdb.Error as error:
            raise duckdb_faults.of_text(error, self._connection, sent, values, statement.text) from error
        return True

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a question of our own."""
        for start, end, written in reversed([*duckdb_reads.places(sql, {}, self._folder)]):
            sql = sql[:start] + written + sql[end:]
        self._allow(sql, {})
        with self._limited(), duckdb_faults.running(self._timeout_s):
            try:
                rows: list[tuple[Any, ...]] = interruptible(
                    lambda: self._connection.execute(sql).fetchall(), self._connection.interrupt
                )
            except self._duckdb.Error as error:
                raise duckdb_faults.of_text(error, self._connection, None, None, sql) from error
            return rows

    def _allow(self, text: str, values: Mapping[str, Any]) -> None:
        """Connect anew if ``text`` names files that may not be read yet."""
        named = duckdb_reads.named_by(text, values, self._far)
        if any(one.written not in self._named for one in named):
            self.open(named)

    def _file_table(self, named: duckdb_reads.Named) -> Table:
        literal = duckdb_reads.rooted(named.written, self._folder).replace("'", "''")
        try:
            rows = self._connection.sql(f"DESCRIBE SELECT * FROM '{literal}'").fetchall()  # noqa: S608
        except self._duckdb.Error:  # a file whose ending says nothing; its reader is an argument of the query
            rows = []
        columns = tuple(TableColumn(row[0], row[1], row[2] == "YES") for row in rows)
        return Table(named.written, "file", columns, files=self._prints.of(named))

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Interrupt what runs when its time is up."""
        if self._timeout_s is None:
            yield
            return
        timer = threading.Timer(self._timeout_s, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class _DuckdbResult:
    def __init__(self, given: Any, read: Iterator[Any], plans: Sequence[Plan], timeout_s: int | None) -> None:
        import pyarrow as pa

        self._read = read
        self._plans = plans
        self._timeout_s = timeout_s
        fields = []
        for field, plan in zip(given, plans, strict=True):
            # An empty array tells what the conversion gives.
            kept = converted(pa.array([], field.type), plan, 1) if plan.decimal else None
            fields.append(pa.field(plan.name, field.type if kept is None else kept.type))
        self.schema = pa.schema(fields)
        self.columns: Sequence[SourceColumn] = [
            SourceColumn(plan.name, plan.database_type, str(field.type), plan.note)
            for field, plan in zip(fields, plans, strict=True)
        ]

    def batches(self) -> Iterator[Any]:
        """Arrow record batches."""
        import pyarrow as pa

        row = 1
        while True:
            with duckdb_faults.running(self._timeout_s):
                batch = next(self._read, None)
            if batch is None:
                return
            arrays = each(
                partial(converted, array, plan, row)
                for array, plan in zip(batch.columns, self._plans, strict=True)
            )
            yield pa.record_batch(arrays, schema=self.schema)
            row += batch.num_rows


def _path(url: str) -> Path | None:
    rest = url.partition(":")[2]
    name = rest[2:].removeprefix("/") if rest.startswith("//") else rest
    if name in {"", ":memory:"}:
        return None
    path = Path(name)
    path = path if path.exists() else Path(unquote(name.partition("?")[0]))
    try:
        with path.open("rb"):
            other = of_another_kind(path, "duckdb")
    except PermissionError as error:
        raise AccessDenied(
            f"the DuckDB file {path} may not be read", next_step=f"type: ls -l {path}"
        ) from error
    except OSError as error:
        raise duckdb_faults.not_there(path, error) from error
    if other:
        raise DatabaseUnreachable(f"{path} is {other[0]}", next_step=other[1])
    return path


def _stand_in(name: str, parameter: Parameter) -> str:
    """DuckDB's placeholder; a NULL has a type only in the text."""
    return f"CAST(NULL AS {_NULL_TYPES[parameter.type]})" if parameter.value is None else f"${name}"


def _projected(plan: Plan) -> str:
    name = _quoted(plan.name)
    return f"CAST({name} AS VARCHAR) AS {name}" if plan.cast else name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _unquoted(name: str) -> str:
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] and name[0] in "'\"" else name


def _batch_rows(types: Sequence[Any]) -> int:
    kinds = {kind.id for kind in types}
    if "blob" in kinds:
        return _BLOB_ROWS
    return _TEXT_ROWS if kinds & {"varchar", "list", "array", "map", "struct"} else _BATCH_ROWS
