"""What comes out: columns that a star leaves open, tables that a search path decides, names that suggest people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.core.personal import personal_shown
from datakeep.extract.sql.advice_calls import own
from datakeep.extract.sql.advice_kinds import Advice, advice
from datakeep.extract.sql.keys import own_nodes
from datakeep.extract.sql.reading import offset_of
from datakeep.extract.sql.renamed import Behind, Way
from datakeep.extract.sql.sources import name_of
from datakeep.extract.sql.stars import is_columns, is_fields, is_star, outer_selects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from datakeep.extract.sql.interface import Table
    from datakeep.extract.sql.reading import Reading
    from datakeep.extract.sql.sources import Source, Sources

#: Dialects in which a table is found along a search path, or in the session's current schema.
_WITH_SCHEMAS = frozenset(
    {"postgres", "redshift", "snowflake", "bigquery", "oracle", "tsql", "fabric", "trino", "presto", "databricks",
     "athena", "teradata", "materialize", "risingwave", "exasol"}
)  # fmt: skip
#: Columns that tables have without saying so; of PostgreSQL's the words alone tell.
_ROW_PLACES = {
    "sqlite": frozenset({"rowid", "_rowid_", "oid"}),
    "duckdb": frozenset({"rowid"}),
    "oracle": frozenset({"rowid"}),
}
#: What looks like the name of a file, where only DuckDB takes one for a table.
_FILE = re.compile(r"/|\.(csv|tsv|parquet|json|jsonl|ndjson)(\.gz|\.zst)?$")


def on_columns(
    reading: Reading, sources: Sources, tables: Mapping[str, Table] | None, views: Mapping[str, str]
) -> Iterator[Advice]:
    """Advice on stars, tables without a schema, and names of columns that suggest people, also behind ``views``."""
    for star, table in _stars(reading.tree, sources):
        yield advice(
            reading, offset_of(star), "select-star", _star_said(star, table, reading), "name the columns"
        )
    if reading.dialect in _WITH_SCHEMAS:
        yield from _on_unqualified(reading, sources)
    yield from _on_personal(reading, Way(sources, _behind(tables or {}, views)))
    yield from _on_row_places(reading, sources, tables)


def _stars(query: exp.Expr, sources: Sources, depth: int = 0) -> Iterator[tuple[exp.Expr, exp.Table]]:
    """Each star through which columns of a base table come out, with one such table; once for each star."""
    for select in outer_selects(query) if depth < 20 else ():
        for one in select.expressions:
            if not _is_open(one) or isinstance(one, exp.Count) or _is_of_value(one, sources.of(select)):
                continue
            wanted = _starred_table(one).lower()
            behind = [source for source in sources.of(select) if wanted in {"", source.alias}]
            base = next((source.node for source in behind if sources.is_base(source.node)), None)
            if isinstance(base, exp.Table):
                yield one, base
            for source in behind:
                if base is None and source.query is not None and not source.recursive:
                    yield from _stars(source.query, sources, depth + 1)


def _is_open(node: exp.Expr) -> bool:
    """Whether the table's columns decide which ones come out: a star, or DuckDB's ``COLUMNS(…)`` and ``* LIKE …``."""
    return is_star(node) or any(_is_columns(one) for one in own_nodes(node.unalias()))


def _is_of_value(node: exp.Expr, behind: Sequence[Source]) -> bool:
    """Whether it is ``(addr).*`` or ``(f()).*``, of a column or a call; ``(q).*`` is of a source."""
    if not is_fields(node):
        return False
    of = node.unalias().this.unnest()
    return not isinstance(of, exp.Column) or all(of.name.lower() != one.alias for one in behind)


def _is_columns(node: exp.Expr) -> bool:
    """Whether it is ``COLUMNS(…)`` by a pattern or a condition: a list of names is as good as those."""
    if not is_columns(node):
        return False
    given = node.this if isinstance(node, exp.Columns) else next(iter(node.expressions), None)
    return not isinstance(given, exp.Array)


def _starred_table(star: exp.Expr) -> str:
    if isinstance(star, exp.Dot):
        return str(star.this.name)
    return str(star.table) if isinstance(star, exp.Column) else ""


def _star_said(star: exp.Expr, table: exp.Table, reading: Reading) -> str:
    prefix = f"{named}." if (named := _starred_table(star)) else ""
    shown = "*" if star.is_star or star.unalias().find(exp.Columns, exp.Anonymous) is None else "COLUMNS(…)"
    return f"{prefix}{shown} of {name_of(table, reading.dialect)}"


def _on_row_places(
    reading: Reading, sources: Sources, tables: Mapping[str, Table] | None
) -> Iterator[Advice]:
    """Advice on columns that tell where a row lies, but for tables that have a column of this name."""
    places = _ROW_PLACES.get(reading.dialect, frozenset())
    for select in reading.tree.find_all(exp.Select) if places else ():
        behind = sources.of(select)
        for node in own(select):
            name = node.name.lower() if isinstance(node, exp.Column) else ""
            if name not in places:
                continue
            of = [one.node for one in behind if node.text("table").lower() in {"", one.alias}]
            if of and all(
                sources.is_base(one) and _is_place(name, sources.name(one), tables, sources.dialect)
                for one in of
            ):
                way_out = "sort and choose by a key of the table"
                yield advice(reading, offset_of(node), "row-place", name, way_out)


def _is_place(name: str, table: str | None, tables: Mapping[str, Table] | None, dialect: str) -> bool:
    known = (tables or {}).get(table or "")
    if known is None or not known.columns:
        return name != "oid"  # which tables do have
    kinds = {column.name.lower(): (column.database_type or "").upper() for column in known.columns}
    key = [one.lower() for one in known.primary_key]
    is_key = dialect == "sqlite" and len(key) == 1 and kinds.get(key[0]) == "INTEGER"  # by another name
    return name not in kinds and not is_key


def _on_unqualified(reading: Reading, sources: Sources) -> Iterator[Advice]:
    said = set()
    for table in sources.tables:
        name = table.name.lower()
        plain = (
            isinstance(table.this, exp.Identifier)
            and not table.args.get("db")
            and not table.args.get("catalog")
        )
        if plain and name != "dual" and not name.startswith(("#", "@", "pg_")) and name not in said:
            said.add(name)
            what, way_out = table.name, f"write its schema: schema.{table.name}"
            if _FILE.search(name):
                what += ", a table's name in this dialect"
                way_out = "a file is read by DuckDB: --database duckdb: (to check only, --dialect duckdb)"
            yield advice(reading, offset_of(table), "unqualified-table", what, way_out)


def _behind(tables: Mapping[str, Table], views: Mapping[str, str]) -> dict[str, Behind]:
    columns = {table.name: tuple(column.name for column in table.columns) for table in tables.values()}
    return {
        name: Behind(columns.get(name, ()), views.get(name, ""), ordered=True) for name in [*columns, *views]
    }


def _on_personal(reading: Reading, way: Way) -> Iterator[Advice]:
    way_out = "leave it out, or state in privacy.personal what it is, and on what basis it is kept"
    said = set()
    for select in outer_selects(reading.tree):
        for one in select.expressions:
            outputs = way.of_expression(one, select).columns
            found = [shown for name, former in outputs if (shown := personal_shown(name, former))]
            if new := [shown for shown in found if shown not in said]:
                said.update(new)
                yield advice(reading, offset_of(one), "personal-column", ", ".join(new), way_out)
