"""Whether a table's key is a key of what a query gives: by the text of the query and the catalogue, no row asked.

Yes is certain; no means that only the rows can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.keys import keys_of, relation_of
from datakeep.extract.sql.reading import read
from datakeep.extract.sql.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from datakeep.extract.sql.interface import Statement, Table
    from datakeep.extract.sql.sources import Sources

#: Where a key is what the database itself holds every row to; elsewhere it is what somebody has declared.
_ENFORCED = frozenset({"postgres", "sqlite", "duckdb", "mysql", "oracle", "tsql"})
#: Functions of which one row stays one row; of any other it is not known.
_SCALAR = (
    exp.AggFunc, exp.Connector, exp.Predicate, exp.Cast, exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Lower,
    exp.Upper, exp.Trim, exp.Abs, exp.Round, exp.Floor, exp.Ceil, exp.Extract, exp.Length, exp.Concat, exp.Substring,
    exp.Greatest, exp.Least, exp.DateTrunc, exp.TimestampTrunc, exp.RowNumber, exp.Array,
)  # fmt: skip
_SEVERAL = (exp.Rollup, exp.Cube, exp.GroupingSets)


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
    if any(_is_opaque(select, sources) for select in reading.tree.find_all(exp.Select)):
        return False
    relations = {name: relation_of(table) for name, table in tables.items()}
    wanted = {column.lower() for column in columns}
    return any(key <= wanted for key in keys_of(tree, sources, relations))


def _is_opaque(select: exp.Select, sources: Sources) -> bool:
    """Whether it has something that what is known of keys does not tell of."""
    group = select.args.get("group")
    if group and (not group.expressions or group.find(*_SEVERAL) or group.args.get("rollup")):
        return True
    if any(join.side in ("RIGHT", "FULL") for join in select.args.get("joins") or ()):
        return True
    found = sources.of(select)
    if len({one.alias for one in found}) < len(found):
        return True
    if len(found) > 1 and any(one.is_star for one in select.expressions):
        return True
    return any(
        isinstance(node, exp.Func) and not isinstance(node, _SCALAR)
        for one in select.expressions
        for node in one.walk(prune=lambda node: isinstance(node, exp.Query))
    )
