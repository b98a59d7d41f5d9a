"""The expressions of a SELECT: which stand for several columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILTERED = (exp.Like, exp.ILike, exp.Glob, exp.SimilarTo)


def outer_selects(query: exp.Expr | None, *, given: bool = False) -> Iterator[exp.Select]:
    """The SELECTs whose columns are those of ``query``.

    Args:
        query: Of which the SELECTs are.
        given: Only those whose rows may come out: what EXCEPT takes away does not.
    """
    return (one for one in _outer(query, given=given) if isinstance(one, exp.Select))


def goes_by_name(query: exp.Expr) -> bool:
    """Whether a UNION of ``query`` itself puts columns together by their names, not their places."""
    return any(one.args.get("by_name") for one in _outer(query) if isinstance(one, exp.SetOperation))


def _outer(query: exp.Expr | None, *, given: bool = False) -> Iterator[exp.Expr]:
    """The SELECTs that ``query`` puts together, and the UNIONs and the like by which it does."""
    rest = [query]
    while rest:  # a tool may write a UNION of thousands
        one = rest.pop()
        if isinstance(one, exp.SetOperation):
            yield one
            rest += [one.left] if given and isinstance(one, exp.Except) else [one.right, one.left]
        elif isinstance(one, exp.Subquery | exp.Paren):
            rest.append(one.this)
        elif isinstance(one, exp.Select):
            yield one


def is_several(output: exp.Expr) -> bool:
    """Whether it stands for several columns: a star, or DuckDB's ``COLUMNS(…)`` and ``* LIKE …``."""
    if isinstance(output, exp.Count):
        return False
    return is_star(output) or is_columns(output.unalias())


def is_fields(output: exp.Expr) -> bool:
    """Whether it stands for the fields of one value: ``(addr).*``, ``(f()).*``."""
    node = output.unalias()
    return isinstance(node, exp.Dot) and isinstance(node.expression, exp.Star)


def is_columns(node: exp.Expr | None) -> bool:
    """Whether it is DuckDB's ``COLUMNS(…)``."""
    return isinstance(node, exp.Columns) or (
        isinstance(node, exp.Anonymous) and node.name.upper() == "COLUMNS"
    )


def is_star(output: exp.Expr) -> bool:
    """Whether it is a star, or DuckDB's ``* LIKE …``."""
    node = output.unalias()
    return output.is_star or (isinstance(node, _FILTERED) and isinstance(node.this, exp.Star))


def is_spread(output: exp.Expr) -> bool:
    """Whether it may become several columns, as ``unnest`` of a struct does in some databases."""
    return isinstance(output.unalias(), exp.Explode | exp.Inline | exp.Unnest)
