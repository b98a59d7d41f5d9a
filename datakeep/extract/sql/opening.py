"""The one place that knows which kinds of databases there are; each is imported only when its URL is given."""

from __future__ import annotations

import importlib
import re
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError, UsageError
from datakeep.core.names import nearest
from datakeep.extract.sql.address import DIALECTS, address_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.extract.sql.interface import Database

#: sqlglot's name of a dialect to the module and class that speaks to it; any other goes through SQLAlchemy.
_KINDS = {
    "postgres": ("postgres", "PostgresDatabase"),
    "sqlite": ("sqlite", "SqliteDatabase"),
    "duckdb": ("duckdb_file", "DuckdbDatabase"),
    "snowflake": ("snowflake", "SnowflakeDatabase"),
    "bigquery": ("bigquery", "BigqueryDatabase"),
}
#: The packages that take a while to load, by scheme.
_DRIVERS = {
    "postgresql": "adbc_driver_postgresql",
    "postgres": "adbc_driver_postgresql",
    "duckdb": "duckdb",
}
_OTHERS = ("alchemy", "AlchemyDatabase")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9]*)(?:\+\w+)?:")


def load_driver(url: str | None) -> None:
    """Load what reads a query, and the driver of the database at ``url``, so that neither is waited for later.

    What is not installed, or no URL at all, is told when it is needed.
    """
    match = _SCHEME.match(url or "")
    with suppress(ImportError):
        importlib.import_module("datakeep.extract.sql.statement")
        importlib.import_module(_DRIVERS.get(match[1].lower() if match else "", "sqlglot"))


@contextmanager
def connecting(url: str | None) -> Iterator[Database | None]:
    """The database at ``url``, with a connection that is being made meanwhile; None if there is no such database.

    Raises nothing of URL or database: whoever opens it, or its session, does.
    """
    database = None
    with suppress(DatakeepError):
        database = open_database(url) if url else None
    with database.connecting() if database else nullcontext():
        yield database


def open_database(url: str) -> Database:
    """The database at ``url``; nothing is connected, and no driver imported, before its session is.

    Args:
        url: ``postgresql://…``, ``sqlite:///file``, ``duckdb:///file``, ``duckdb:`` for files that the query
            names, ``snowflake://…``, ``bigquery://…``, or a URL of SQLAlchemy such as ``mysql://…``.

    Raises:
        UsageError: No database is known by its scheme (the nearest one is named), or the URL is malformed.
    """
    match = _SCHEME.match(url)
    if match and match[1].lower() not in DIALECTS and (meant := nearest(match[1].lower(), DIALECTS)):
        raise UsageError(
            f"{match[1]}: is no database that datakeep knows; did you mean {meant}:?",
            next_step=f"write the URL as {meant}:…; known are: {', '.join(DIALECTS)}",
        )
    address = address_of(url)
    module, name = _KINDS.get(address.dialect, _OTHERS)
    kind: type[Database] = getattr(importlib.import_module(f"datakeep.extract.sql.{module}"), name)
    return kind(address)
