"""Is it derivable again? What makes a query's result differ from run to run, or mean something else than thought."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.extract.sql.advice_columns import on_columns
from datakeep.extract.sql.advice_floats import on_floats
from datakeep.extract.sql.advice_joins import on_joins
from datakeep.extract.sql.advice_kinds import DERIVABILITY as DERIVABILITY  # noqa: PLC0414
from datakeep.extract.sql.advice_kinds import KINDS as KINDS  # noqa: PLC0414  handed on
from datakeep.extract.sql.advice_kinds import Advice as Advice  # noqa: PLC0414, TC001
from datakeep.extract.sql.advice_laterals import on_laterals
from datakeep.extract.sql.advice_rows import on_rows
from datakeep.extract.sql.advice_values import on_values
from datakeep.extract.sql.join_questions import JoinCount as JoinCount  # noqa: PLC0414
from datakeep.extract.sql.join_questions import verify_joins as verify_joins  # noqa: PLC0414
from datakeep.extract.sql.keys import relation_of
from datakeep.extract.sql.mistyped import on_quoted
from datakeep.extract.sql.reading import read
from datakeep.extract.sql.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datakeep.extract.sql.interface import Statement, Table


def advise(
    statement: Statement,
    tables: Mapping[str, Table] | None,
    views: Mapping[str, str] | None = None,
) -> list[Advice]:
    """All advice on a query, in the order of its text; at most one of a kind for each place.

    Args:
        statement: The query.
        tables: What the catalogue has of its tables, by their names as the query writes them (as
            :func:`~datakeep.extract.sql.lineage.read_tables` gives them). None if it was not asked: then nothing is
            said of keys, and an ORDER BY is taken to leave no ties.
        views: The SQL of the views that the query reads through, by their names in the catalogue.
    """
    reading = read(statement.text, statement.dialect)
    sources = sources_of(reading.tree, reading.dialect)
    relations = None if tables is None else {name: relation_of(table) for name, table in tables.items()}
    found = {
        *on_values(reading, tables),
        *on_columns(reading, sources, tables, views or {}),
        *on_rows(reading, sources, relations),
        *on_floats(reading, sources, tables),
        *on_joins(reading, sources, relations),
        *on_laterals(reading, sources, relations),
        *on_quoted(reading),
    }
    return sorted(found)
