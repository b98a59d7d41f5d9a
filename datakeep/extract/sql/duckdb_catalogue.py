"""What a DuckDB file says of its tables and views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datakeep.extract.sql.interface import Table, TableColumn
from datakeep.extract.sql.qualified import split

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    Ask = Callable[[str, list[Any]], list[tuple[Any, ...]]]

_RELATIONS = """
    SELECT schema_name, table_name AS name, 'table' AS kind, comment, NULL AS sql FROM duckdb_tables()
    WHERE database_name = current_database() AND NOT internal AND table_name ILIKE $1
    UNION ALL
    SELECT schema_name, view_name, 'view', comment, sql FROM duckdb_views()
    WHERE database_name = current_database() AND NOT internal AND view_name ILIKE $1
"""
_COLUMNS = """
    SELECT column_name, data_type, is_nullable, comment FROM duckdb_columns()
    WHERE database_name = current_database() AND schema_name = $1 AND table_name = $2 ORDER BY column_index
"""
_KEYS = """
    SELECT constraint_type, constraint_column_names FROM duckdb_constraints()
    WHERE database_name = current_database() AND schema_name = $1 AND table_name = $2
      AND constraint_type IN ('PRIMARY KEY', 'UNIQUE')
    ORDER BY constraint_index
"""


def tables_of(ask: Ask, names: Collection[str]) -> dict[str, Table]:
    """Each of ``names`` that the file has; they may be quoted, and qualified with schema and database."""
    found = {}
    for name in names:
        qualifier, bare = split(name)
        schema = qualifier.rpartition(".")[2].lower()
        pattern = bare.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        rows = ask(_RELATIONS.replace("ILIKE $1", "ILIKE $1 ESCAPE '\\'"), [pattern])
        rows = [row for row in rows if row[0].lower() == (schema or "main")]
        if rows:
            found[name] = _table(ask, *rows[0])
    return found


def _table(ask: Ask, schema: str, name: str, kind: Any, comment: str | None, sql: str | None) -> Table:
    keys = ask(_KEYS, [schema, name])
    return Table(
        f"{schema}.{name}",
        kind,
        tuple(TableColumn(*row) for row in ask(_COLUMNS, [schema, name])),
        comment=comment,
        primary_key=next((tuple(columns) for key, columns in keys if key == "PRIMARY KEY"), ()),
        unique=tuple(tuple(columns) for key, columns in keys if key == "UNIQUE"),
        definition=sql,
    )
