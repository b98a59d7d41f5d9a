"""Whether a table's key is a key of what a query gives: by the text of the query and the catalogue, no row asked.

Yes is certain; no means that only the rows can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.keys import keys_of, own_nodes, relation_of
from datakeep.extract.sql.reading import read
from datakeep.extract.sql.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from datakeep.extract.sql.interface import Statement, Table

#: Where a key is what the database itself holds every row to; elsewhere it is what somebody has declared.
_ENFORCED = frozenset({"postgres", "sqlite", "duckdb", "mysql", "oracle", "tsql"})
#: Functions of which one row stays one row; of any other it is not known.
_SCALAR = (
    exp.AggFunc, exp.Connector, exp.Predicate, exp.Cast, exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Lower,
    exp.Upper, exp.Trim, exp.Abs, exp.Round, exp.Floor, exp.Ceil, exp.Extract, exp.Length, exp.Concat, exp.Substring,
    exp.Greatest, exp.Least, exp.DateTrunc, exp.TimestampTrunc, exp.RowNumber, exp.Array,
)  # fmt: skip


def is_certain_key(statement: Statement, tables: Mapping[str, Table], columns: Collection[str]) -> bool:
    """Whether no two rows of the result can have the same values in ``columns``.

    Args:
        statement: The query.
        tables: What the catalogue has of its tables, by their names as the query writes them.
        columns: Of the result.
    """
    reading = read(statement.text, statement.dialect)
    tree = reading.tree.unnest()
    if statement.dialect not in _ENFORCED or not isinstance(tree, exp.Select):
        return False
    sources = sources_of(reading.tree, reading.dialect)
    if any(_is_opaque(select) for select in reading.tree.find_all(exp.Select)):
        return False
    relations = {name: relation_of(table) for name, table in tables.items()}
    wanted = {column.lower() for column in columns}
    return any(key <= wanted for key in keys_of(tree, sources, relations))


def _is_opaque(select: exp.Select) -> bool:
    """Whether it calls a function of which nobody knows that one row stays one row."""
    return any(
        isinstance(node, exp.Func) and not isinstance(node, _SCALAR)
        for one in select.expressions
        for node in own_nodes(one)
    )
