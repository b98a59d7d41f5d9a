"""The expressions of a SELECT: which stand for several columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILTERED = (exp.Like, exp.ILike, exp.Glob, exp.SimilarTo)


def outer_selects(query: exp.Expr | None) -> Iterator[exp.Select]:
    """The SELECTs whose columns are those of ``query``."""
    rest = [query]
    while rest:  # a tool may write a UNION of thousands
        one = rest.pop()
        if isinstance(one, exp.SetOperation):
            rest += [one.right, one.left]
        elif isinstance(one, exp.Subquery | exp.Paren):
            rest.append(one.this)
        elif isinstance(one, exp.Select):
            yield one


def is_several(output: exp.Expr) -> bool:
    """Whether it stands for several columns: a star, or DuckDB's ``COLUMNS(…)`` and ``* LIKE …``."""
    if isinstance(output, exp.Count):
        return False
    node = output.unalias()
    return (
        is_star(output)
        or isinstance(node, exp.Columns)
        or (isinstance(node, exp.Anonymous) and node.name.upper() == "COLUMNS")
    )


def is_star(output: exp.Expr) -> bool:
    """Whether it is a star, or DuckDB's ``* LIKE …``."""
    node = output.unalias()
    return output.is_star or (isinstance(node, _FILTERED) and isinstance(node.this, exp.Star))
