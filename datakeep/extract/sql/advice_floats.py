"""Sums of floats: their last digits depend on the order in which the database adds, which is its own choice."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.advice_calls import called, own, said, start_of
from datakeep.extract.sql.advice_kinds import Advice, advice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.extract.sql.interface import Table
    from datakeep.extract.sql.reading import Reading
    from datakeep.extract.sql.sources import Sources

_SUMS = frozenset({
    "sum", "avg", "mean", "total", "stddev", "stddev_pop", "stddev_samp", "std", "stdev", "stdevp", "variance",
    "variance_pop", "var_pop", "var_samp", "var", "varp", "corr", "covar_pop", "covar_samp", "regr_slope",
    "regr_intercept", "regr_r2", "skewness", "kurtosis",
})  # fmt: skip
_FLOAT = re.compile(
    r"(float|double|real|binary_(float|double)|halffloat)\b.*|float[0-9]+", re.IGNORECASE | re.DOTALL
)
_FLOAT_TYPES = frozenset({exp.DataType.Type.FLOAT, exp.DataType.Type.DOUBLE})
_DEPTH = 20


def on_floats(reading: Reading, sources: Sources, tables: Mapping[str, Table] | None) -> Iterator[Advice]:
    """Advice on sums, averages and the like of floats, as far as casts and the catalogue tell types."""
    types = _Types(sources, tables or {})
    for select in reading.tree.find_all(exp.Select):
        for node in own(select):
            if not isinstance(node, exp.Func) or called(node) not in _SUMS or _is_sorted(node):
                continue
            if any(types.is_float(one, select) for one in node.iter_expressions()):
                way_out = "add exact numbers, sum(CAST(x AS numeric(p,s))), or sort within it"
                what = said(reading, node, _SUMS)
                yield advice(
                    reading, start_of(reading, node, _SUMS), "float-sum", f"{what} of floats", way_out
                )


def _is_sorted(node: exp.Expr) -> bool:
    window = node.find_ancestor(exp.Window)
    around = (
        window is not None and window.this.find(type(node)) is node and window.args.get("order") is not None
    )
    return around or node.find(exp.Order) is not None


class _Types:
    """Which expressions are floats; what cannot be told is taken for none."""

    def __init__(self, sources: Sources, tables: Mapping[str, Table]) -> None:
        self._sources = sources
        self._of = {
            name: {column.name.lower(): column.database_type for column in table.columns}
            for name, table in tables.items()
        }

    def is_float(self, node: exp.Expr, select: exp.Expr, depth: int = 0) -> bool:
        """Whether the value of ``node``, a part of ``select``, is a float."""
        if depth > _DEPTH or isinstance(node, exp.Predicate | exp.Count | exp.Query | exp.DataType):
            return False
        if isinstance(node, exp.Cast):
            return node.to.this in _FLOAT_TYPES
        if isinstance(node, exp.Column):
            return self._column(node, select, depth)
        if isinstance(node, exp.Case):
            branches = [one.args.get("true") for one in node.args["ifs"]] + [node.args.get("default")]
            return any(self.is_float(one, select, depth + 1) for one in branches if one is not None)
        return any(self.is_float(one, select, depth + 1) for one in node.iter_expressions())

    def _column(self, node: exp.Column, select: exp.Expr, depth: int) -> bool:
        name, alias = node.name.lower(), node.table.lower()
        for source in self._sources.of(select):
            if alias not in ("", source.alias):
                continue
            table = self._sources.name(source.node)
            if table is not None:
                kind = self._of.get(table, {}).get(name)
                if kind is not None:
                    return bool(_FLOAT.fullmatch(kind))
            elif isinstance(source.query, exp.Select) and not source.recursive:
                inner = next((one for one in source.query.selects if one.alias_or_name.lower() == name), None)
                if inner is not None:
                    return self.is_float(inner.unalias(), source.query, depth + 1)
        return False
