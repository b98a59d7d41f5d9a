"""``datakeep check-sql``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_NO
from datakeep.cli.extraction import once
from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.extract.sql.lineage import TableRead
    from datakeep.workflows.check_sql import Checked


@answering(name="check-sql")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--dialect",
    metavar="NAME",
    help="The SQL's dialect: postgres, sqlite, duckdb, mysql, snowflake, bigquery, oracle, tsql … "
    "(default: the database's, or postgres).",
)
@click.option(
    "--param",
    "parameters",
    metavar="NAME[:TYPE]=VALUE",
    multiple=True,
    help="A value for :NAME in the query; may be repeated. NAME:TYPE:null is NULL.",
)
@click.option(
    "--database",
    metavar="URL",
    multiple=True,
    callback=once,
    help="Ask this database, read-only, for keys and views, and count the rows that joins repeat.",
)
def command(
    session: Session,  # noqa: ARG001  (every command takes one)
    file: Path,
    dialect: str | None,
    parameters: tuple[str, ...],
    database: str | None,
) -> Answer:
    r"""Tell whether what a query gives can be derived again, and what to write instead where not.

    The query is not run. Each finding is a line FILE:LINE:COL with the way out below it; without --database it is
    found by the text alone. Exit code 0: nothing to report; 3: something; 34: it is not one SELECT, which shows
    the place.

    \b
    Example:
      datakeep check-sql orders.sql
      datakeep check-sql orders.sql --dialect sqlite --param day=2026-11-01
      datakeep check-sql orders.sql --database postgresql://dwh.corp.example/sales
    """
    from datakeep.extract.sql.opening import open_database
    from datakeep.workflows.check_sql import check_sql

    found = check_sql(file, dialect, parameters, open_database(database) if database else None)
    return Answer(_data(file, found), list(_lines(file, found)), EXIT_NO if found.advice else 0)


def _lines(file: Path, found: Checked) -> Iterator[str]:
    for one in found.advice:
        yield f"{click.style(f'{file}:{one.line}:{one.column}', bold=True)}: {one.what} [{one.id}]"
        yield f"  way out: {one.way_out}"
    many = counted(len(found.advice), "thing") + " to look at" if found.advice else "nothing to report"
    reads = f"; it reads {', '.join(found.tables)}" if found.tables else ""
    yield f"{file}: one SELECT ({found.statement.dialect}){reads}; {many}"
    for read in found.reads or ():
        yield f"  reads {_read(read)}"
    yield from (f"  note: {note}" for note in found.notes)


def _read(read: TableRead) -> str:
    through = f" through {' → '.join(read.reached_through)}" if read.reached_through else ""
    if read.columns is None:
        columns = "columns unknown"
    else:
        columns = ", ".join(read.columns) or "no column, only whether there are rows"
    return f"{read.kind if read.kind != 'unknown' else 'something unknown:'} {read.name}{through}: {columns}"


def _data(file: Path, found: Checked) -> dict[str, Any]:
    statement = found.statement
    return {
        "file": str(file),
        "dialect": statement.dialect,
        "derivable": found.derivable,
        "parameters": list(statement.parameters),
        "ordered": statement.ordered,
        "normalised": statement.normalised,
        "tables": list(found.tables),
        "advice": [asdict(one) for one in found.advice],
        "reads": None if found.reads is None else [asdict(one) for one in found.reads],
        "joins": None
        if found.joins is None
        else [asdict(one) | {"multiplies": one.multiplies} for one in found.joins],
        "notes": list(found.notes),
    }
