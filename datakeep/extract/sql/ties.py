"""Whether an ORDER BY leaves rows that tie: by keys where they tell it, else by the rows, as they go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from datakeep.extract.sql.keys import frame_of, relation_of
from datakeep.extract.sql.ordering import is_total, sorted_by
from datakeep.extract.sql.reading import read
from datakeep.extract.sql.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datakeep.extract.sql.interface import Statement, Table

#: Where two texts that sort alike are the same text, unless somebody has chosen a collation that says otherwise.
_EXACT_TEXTS = frozenset({"postgres", "sqlite", "duckdb"})


@dataclass(frozen=True, slots=True)
class Sorting:
    """By what a query sorts its result, where keys do not tell that no rows tie.

    Attributes:
        columns: Those of the result among it, in lower case.
        whole: Whether that is all of it.
        exact_texts: Whether texts that tie are the same.
        keyed: Whether each table of the query has a key, so that it could have been told.
    """

    columns: tuple[str, ...]
    whole: bool
    exact_texts: bool
    keyed: bool


def doubtful_order(statement: Statement, tables: Mapping[str, Table]) -> Sorting | None:
    """How a query sorts that may leave ties; None if it does not sort, has a limit, or its keys leave none.

    Args:
        statement: The query.
        tables: What the catalogue has of its tables, by their names as the query writes them.
    """
    reading = read(statement.text, statement.dialect)
    tree = reading.tree.unnest()
    order = tree.args.get("order")
    if order is None or tree.args.get("limit") or tree.args.get("offset") or not isinstance(tree, exp.Query):
        return None
    if any(_is_all(one) for one in order.expressions):
        return None
    sources = sources_of(reading.tree, reading.dialect)
    relations = {name: relation_of(table) for name, table in tables.items()}
    if is_total(tree, order, sources, relations):
        return None
    found = []
    frame = frame_of(tree, sources, relations) if isinstance(tree, exp.Select) else None
    for one in order.expressions:
        key = sorted_by(one, tree)
        column = frame.column(key) if frame else None
        for output in tree.selects:
            value = output.unalias()
            same = value == key or (
                column is not None and frame is not None and frame.column(value) == column
            )
            if frame is None:
                same = output.alias_or_name.lower() == key.name.lower()
            if same and not output.is_star:
                found.append(output.alias_or_name.lower())
                break
    keyed = bool(tables) and all(table.primary_key or table.unique for table in tables.values())
    return Sorting(
        tuple(found), len(found) == len(order.expressions), statement.dialect in _EXACT_TEXTS, keyed
    )


def _is_all(ordered: exp.Expr) -> bool:
    """DuckDB's ``ORDER BY ALL``."""
    node = ordered.this if isinstance(ordered, exp.Ordered) else ordered
    return isinstance(node, exp.Column) and node.name.upper() == "ALL" and not node.this.args.get("quoted")


class Ties:
    """Looks at rows as they come, sorted, for two that tie and are not the same: until the first ones.

    Attributes:
        sorting: Of the query.
        found: Whether there were such rows; None where that cannot be told.
    """

    def __init__(self, sorting: Sorting) -> None:
        self.sorting = sorting
        self._last: Any = None
        self._seen = False
        self.found: bool | None = False if sorting.columns else None

    def add(self, batch: Any) -> None:
        """Takes in the next rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._seen or self.found is None or not batch.num_rows:
            return
        held = [batch] if self._last is None else [self._last, batch]
        table = pa.Table.from_batches(held).combine_chunks()
        self._last = batch.slice(batch.num_rows - 1)
        places = self._places(table.schema)
        if not places:
            self.found = None
            return
        pairs = table.slice(0, table.num_rows - 1), table.slice(1)
        mask = None
        for place in places:
            same = _same(pairs[0].column(place), pairs[1].column(place))
            mask = same if mask is None else pc.and_(mask, same)
        one, other = (pair.filter(mask) for pair in pairs)
        if one.num_rows and not one.equals(other):
            self._seen = True
            self.found = (
                True if self.sorting.whole and len(places) == len(set(self.sorting.columns)) else None
            )

    def _places(self, schema: Any) -> list[int]:
        import pyarrow.types as kinds

        return [
            place
            for place, field in enumerate(schema)
            if field.name.lower() in self.sorting.columns
            and not kinds.is_nested(field.type)
            and (self.sorting.exact_texts or not kinds.is_string(field.type))
        ]


def _same(one: Any, other: Any) -> Any:
    """Where two columns have the same value; NULLs are the same, and so are NaNs."""
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    one, other = (getattr(array, "storage", array) for array in (one, other))
    same = pc.or_(pc.fill_null(pc.equal(one, other), False), pc.and_(pc.is_null(one), pc.is_null(other)))
    if kinds.is_floating(one.type):
        nan = pc.and_(pc.fill_null(pc.is_nan(one), False), pc.fill_null(pc.is_nan(other), False))
        same = pc.or_(same, nan)
    return same
