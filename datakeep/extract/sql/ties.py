"""Whether an ORDER BY leaves rows that tie: by keys where they tell it, else by the rows, as they go by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from datakeep.extract.sql.keys import frame_of, relation_of
from datakeep.extract.sql.ordering import is_all, is_total, is_wider, sorted_by
from datakeep.extract.sql.reading import read
from datakeep.extract.sql.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from datakeep.extract.sql.interface import SourceColumn, Statement, Table

#: Where two texts that sort alike are the same text, unless somebody has chosen a collation that says otherwise.
_EXACT_TEXTS = frozenset({"postgres", "sqlite", "duckdb"})
#: Gives a row where a table, view or type of the database has a collation that is not binary. PostgreSQL's own are
#: deterministic, which no column of older servers says.
_WIDER = {
    "postgres": """
SELECT 1 FROM pg_collation AS c
WHERE to_jsonb(c) ->> 'collisdeterministic' = 'false'
      AND (EXISTS (SELECT FROM pg_attribute AS a WHERE a.attcollation = c.oid)
           OR EXISTS (SELECT FROM pg_type AS t WHERE t.typcollation = c.oid))
LIMIT 1""",
    "sqlite": """
SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND lower(sql) LIKE '%collate%' LIMIT 1""",
    "duckdb": """
SELECT 1 WHERE current_setting('default_collation') NOT IN ('', 'binary', 'BINARY')
               OR EXISTS (FROM duckdb_tables() WHERE sql ILIKE '%collate%')
               OR EXISTS (FROM duckdb_views() WHERE NOT internal AND sql ILIKE '%collate%')""",
}


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


def doubtful_order(
    statement: Statement, tables: Mapping[str, Table], *, by_values: bool = True
) -> Sorting | None:
    """How a query sorts that may leave ties; None if it does not sort, has a limit, or its keys leave none.

    Args:
        statement: The query.
        tables: What the catalogue has of its tables, by their names as the query writes them.
        by_values: Whether rows are taken for the same that are equal in each column; no, where rows can be looked at.
    """
    reading = read(statement.text, statement.dialect)
    tree = reading.tree.unnest()
    order = tree.args.get("order")
    if order is None or tree.args.get("limit") or tree.args.get("offset") or not isinstance(tree, exp.Query):
        return None
    if any(map(is_all, order.expressions)):
        return None
    sources = sources_of(reading.tree, reading.dialect)
    relations = {name: relation_of(table) for name, table in tables.items()}
    if is_total(tree, order, sources, relations, by_values=by_values):
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
                same = output.alias_or_name.lower() == key.alias_or_name.lower()
            if same and not output.is_star:
                found.append(output.alias_or_name.lower())
                break
        else:
            found += _of_star(tree, key)
    keyed = bool(tables) and all(table.primary_key or table.unique for table in tables.values())
    exact = statement.dialect in _EXACT_TEXTS and not any(
        is_wider(one) for one in reading.tree.find_all(exp.Collate)
    )
    return Sorting(tuple(found), len(found) == len(order.expressions), exact, keyed)


def _of_star(query: exp.Query, key: exp.Expr) -> list[str]:
    """The column of the result that ``key`` is, where all columns of one source come out as they are.

    What has another qualifier than the source's name may be a field of a struct of that name.
    """
    source = query.find(exp.From) if isinstance(query, exp.Select) else None
    source = source.this if source is not None and source.parent is query else None
    if source is None or any(one.args.get(kind) for one in (query, source) for kind in ("joins", "laterals")):
        return []
    if isinstance(source, exp.Subquery) and not isinstance(source.this, exp.Query):
        return []  # a join in parentheses
    named = {"", source.alias_or_name.lower()}
    star = query.selects[0].this if isinstance(query.selects[0], exp.Column) else query.selects[0]
    is_plain = len(query.selects) == 1 and isinstance(star, exp.Star) and not any(star.args.values())
    parts = [one for one in (key, query.selects[0]) if isinstance(one, exp.Column)]
    is_its_own = all(one.table.lower() in named and not one.db for one in parts)
    return [key.name.lower()] if is_plain and is_its_own and isinstance(key, exp.Column) else []


def wider_equality(dialect: str, ask: Callable[[str], list[tuple[Any, ...]]]) -> bool:
    """Whether columns of the database may have a collation under which texts that differ are equal.

    Args:
        dialect: Of the database.
        ask: Such as :meth:`Session.ask`; it may raise what that raises.
    """
    sql = _WIDER.get(dialect)
    return sql is not None and bool(ask(sql))


class Ties:
    """Looks at rows as they come, sorted, for two that tie and are not the same: until the first ones.

    Attributes:
        sorting: Of the query.
        found: Whether there were such rows; None where that cannot be told.
        doubt: Why not, where the types or collations of what it sorts by are why; else empty.
    """

    def __init__(self, sorting: Sorting) -> None:
        self.sorting = sorting
        self._last: Any = None
        self._seen = False
        self.found: bool | None = False if sorting.columns else None
        self.doubt = ""
        self._wide: frozenset[str] = frozenset()

    def told_types(self, columns: Collection[SourceColumn]) -> None:
        """What the columns of the result are: of a type that is kept as text, equal values may be other texts."""
        texts = [
            one
            for one in columns
            if one.arrow_type.endswith("string") and one.name.lower() in self.sorting.columns
        ]
        wide = [one.name for one in texts if _is_wide(one)]
        self._wide = frozenset(name.lower() for name in wide)
        if wide:
            self.doubt = (
                f"values of {', '.join(wide)} that are kept as other texts may be equal to the database"
            )
        elif texts and not self.sorting.exact_texts:
            self.doubt = "texts that differ may be equal under a collation"

    def add(self, batch: Any) -> None:
        """Takes in the next rows."""
        if self._seen or self.found is None or not batch.num_rows:
            return
        places = self._places(batch.schema)
        if not places or len(places) > len(set(self.sorting.columns)):  # names that differ in capitals alone
            self.found = None
            return
        pairs = [(batch.slice(0, batch.num_rows - 1), batch.slice(1))]
        if self._last is not None:
            pairs.append((self._last, batch.slice(0, 1)))
        self._last = batch.slice(batch.num_rows - 1)
        if any(_tie(*pair, places) for pair in pairs):
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
            and field.name.lower() not in self._wide
            and (self.sorting.exact_texts or not kinds.is_string(field.type))
        ]


def _is_wide(column: SourceColumn) -> bool:
    """Whether values that are equal to the database may be other texts: of CHAR, blanks at the end say nothing."""
    kind = column.database_type.lower()
    if kind.startswith(("character", "bpchar", "char")):
        return not kind.startswith(("character varying", "char varying"))
    return (column.note or "").startswith("kept as") and kind != "uuid"


def _tie(rows: Any, following: Any, places: Sequence[int]) -> bool:
    """Whether a row and the one that follows it are the same in ``places``, and are not the same row."""
    import pyarrow.compute as pc

    from datakeep.extract.comparable import comparable

    masks = [_same(rows.column(place), following.column(place)) for place in places]
    mask = reduce(pc.and_, masks)
    rows, following = rows.filter(mask), following.filter(mask)
    return not all(
        comparable(one).equals(comparable(other)) for one, other in zip(rows, following, strict=True)
    )


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
