"""Whether an ORDER BY leaves rows that tie, as far as keys and the equalities of a query tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.keys import frame_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datakeep.extract.sql.keys import Column, Frame, Relation
    from datakeep.extract.sql.sources import Sources


def is_total(query: exp.Expr, order: exp.Expr, sources: Sources, tables: Mapping[str, Relation]) -> bool:
    """Whether rows that tie under ``order`` are the same rows in all that comes out."""
    keys = [sorted_by(one, query) for one in order.expressions]
    if isinstance(query, exp.SetOperation | exp.Subquery):
        names = {one.alias_or_name.lower() for one in query.selects}
        return bool(names) and names <= {one.name.lower() for one in keys if one is not None}
    frame = frame_of(query, sources, tables)
    columns = columns_of(frame, keys)
    group = query.args.get("group")
    if group and all(one in keys or frame.determines(columns, [one]) for one in group.expressions):
        return True
    if all(any(key == one.unalias() for key in keys) for one in query.expressions if not one.is_star):
        return not any(one.is_star for one in query.expressions) or frame.determines(
            columns, query.expressions
        )
    return not group and frame.determines(columns, query.expressions)


def sorted_by(ordered: exp.Expr, query: exp.Expr) -> exp.Expr:
    """What an ORDER BY's part sorts by: behind an ordinal or an alias stands an expression of the SELECT."""
    node = ordered.this if isinstance(ordered, exp.Ordered) else ordered
    node = node.this if isinstance(node, exp.Collate) else node
    selects = query.selects if isinstance(query, exp.Query) else []
    if isinstance(node, exp.Literal) and node.is_int and 0 < int(node.name) <= len(selects):
        chosen = selects[int(node.name) - 1]
        return chosen.unalias() if isinstance(query, exp.Select) else chosen
    if isinstance(node, exp.Column) and not node.table and isinstance(query, exp.Select):
        named = next((one for one in selects if isinstance(one, exp.Alias) and one.alias == node.name), None)
        return named.unalias() if named is not None else node
    return node


def columns_of(frame: Frame, keys: Sequence[exp.Expr]) -> set[Column]:
    """Those of ``keys`` that plainly name a column of a source."""
    return {column for one in keys if (column := frame.column(one))}
