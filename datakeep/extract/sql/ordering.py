"""Whether an ORDER BY leaves rows that tie, as far as keys and the equalities of a query tell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.frames import ROW
from datakeep.extract.sql.keys import at_ordinal, frame_of, grouped_by, is_plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datakeep.extract.sql.frames import Column, Frame, Relation
    from datakeep.extract.sql.sources import Sources


#: Collations under which only the same texts are equal, whatever else a database calls so.
_BINARY = re.compile(r"(?i)(pg_catalog\.)?(c|posix|ucs_basic|binary|c\.utf-?8|pg_c_utf8|\w+_bin2?)")


def is_total(
    query: exp.Expr,
    order: exp.Expr,
    sources: Sources,
    tables: Mapping[str, Relation],
    *,
    by_values: bool = True,
) -> bool:
    """Whether rows that tie under ``order`` are the same rows in all that comes out.

    Args:
        query: The SELECT, or several in one.
        order: Its ORDER BY.
        sources: Those of the whole tree.
        tables: What is known of each base table, by its name as the query writes it.
        by_values: Whether rows are taken for the same that are equal in each column, which ``1.0`` and ``1.00`` are.
    """
    if by_values and any(map(is_all, order.expressions)):
        return True
    keys = [sorted_by(one, query) for one in order.expressions]
    if isinstance(query, exp.SetOperation | exp.Subquery):
        names = {one.alias_or_name.lower() for one in query.selects}
        return by_values and bool(names) and names <= {one.alias_or_name.lower() for one in keys}
    frame = frame_of(query, sources, tables)
    columns = columns_of(frame, keys)
    outputs = query.expressions
    if by_values and all(any(key == one.unalias() for key in keys) for one in outputs if not one.is_star):
        return not any(one.is_star for one in outputs) or frame.determines(columns, outputs)
    if not is_plain(query):
        return False
    if query.args.get("group"):
        return all(one in keys or frame.determines(columns, [one]) for one in grouped_by(query, frame))
    return frame.determines(columns, outputs) and (by_values or _of_whole_rows(frame, columns, outputs))


def _of_whole_rows(frame: Frame, known: set[Column], outputs: Sequence[exp.Expr]) -> bool:
    """Whether all that ``outputs`` use stands in rows that ``known`` has a key of."""
    if frame.determines_rows(known):
        return True
    closed = frame.closure(known)
    used = [frame.column(column) for one in outputs for column in one.find_all(exp.Column)]
    return all(column is not None and (column[0], ROW) in closed for column in used)


def sorted_by(ordered: exp.Expr, query: exp.Expr) -> exp.Expr:
    """What an ORDER BY's part sorts by: behind an ordinal or an alias stands an expression of the SELECT."""
    node = ordered.this if isinstance(ordered, exp.Ordered) else ordered
    node = node.this if isinstance(node, exp.Collate) and not is_wider(node) else node
    selects = query.selects if isinstance(query, exp.Query) else []
    if (chosen := at_ordinal(node, selects)) is not None:
        return chosen.unalias() if isinstance(query, exp.Select) else chosen
    if isinstance(node, exp.Column) and not node.table and isinstance(query, exp.Select):
        named = next((one for one in selects if one.alias.lower() == node.name.lower()), None)
        return named.unalias() if named is not None else node
    return node


def is_all(ordered: exp.Expr) -> bool:
    """DuckDB's ``ORDER BY ALL``."""
    node = ordered.this if isinstance(ordered, exp.Ordered) else ordered
    return isinstance(node, exp.Var) and node.name.upper() == "ALL"


def is_wider(collate: exp.Collate) -> bool:
    """Whether texts that differ may be equal under what COLLATE names."""
    named = collate.expression
    written = ".".join(one.name for one in named.find_all(exp.Identifier)) or named.name or named.sql()
    return _BINARY.fullmatch(written) is None


def group_of(select: exp.Expr, frame: Frame) -> set[Column]:
    """The columns that are the same in all rows of a group."""
    return columns_of(frame, grouped_by(select, frame)) if is_plain(select) else set()


def columns_of(frame: Frame, keys: Sequence[exp.Expr]) -> set[Column]:
    """Those of ``keys`` that plainly name a column of a source."""
    return {column for one in keys if (column := frame.column(one))}
