"""Columns of a result that had another name where they came from: what that name told, the new one does not."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from datakeep.extract.sql.outputs import Output, Outputs, others
from datakeep.extract.sql.reading import read
from datakeep.extract.sql.renamed import Behind, Way
from datakeep.extract.sql.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def former_names(
    text: str,
    dialect: str,
    tables: Mapping[str, Behind] | None = None,
    result: Sequence[str] = (),
    functions: Mapping[str, str] | None = None,
) -> Mapping[str, tuple[str, ...]]:
    """Each column of the result (in lower case) that had other names on its way, and those, the nearest first.

    Looked through are subqueries, CTEs, views and functions in FROM, and what leaves a value readable, such as
    ``lower``.

    Args:
        text: The query.
        dialect: Of the query and of the views.
        tables: The tables and views that it reads, by their names in the catalogue.
        result: The columns of the result, where they are known: those that the text does not name are found too.
        functions: What defines functions of somebody's own, by their names: one in FROM may give whatever it names.
    """
    found = _former(text, dialect, tuple((tables or {}).items()), tuple((functions or {}).items()))
    known = found.by_name()
    if result and found.whole and len(result) == len(found.columns):
        columns = zip(result, found.columns, strict=True)
        known = Outputs(tuple(Output(name, one.former) for name, one in columns)).by_name()
    elif result:
        known = {name.lower(): known.get(name.lower(), others(name, found.unsaid)) for name in result}
    return {name: former for name, former in known.items() if former}


@lru_cache(maxsize=64)  # as reading.read: notes and profile ask for the same query
def _former(
    text: str, dialect: str, tables: tuple[tuple[str, Behind], ...], functions: tuple[tuple[str, str], ...]
) -> Outputs:
    tree = read(text, dialect).tree
    return Way(sources_of(tree, dialect), dict(tables), dict(functions)).outputs(tree)
