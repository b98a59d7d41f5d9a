"""The functions that a query, or a view behind it, calls, as far as their owners have written them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.core.errors import DatakeepError
from datakeep.extract.sql.advice_calls import name_of_call
from datakeep.extract.sql.reading import read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datakeep.extract.sql.interface import Statement
    from datakeep.extract.sql.lineage import TableRead


def functions_called(statement: Statement, reads: Iterable[TableRead]) -> list[str]:
    """The names of functions that sqlglot has no type for, each once: of the query, then of the views that it reads.

    Args:
        statement: The query.
        reads: What it reads, through views too; a definition that cannot be parsed tells of none.
    """
    found: dict[str, None] = {}
    texts = [statement.text, *(one.definition for one in reads if one.definition)]
    for text in texts:
        try:
            tree = read(text, statement.dialect).tree
        except DatakeepError:
            continue
        found |= dict.fromkeys(name_of_call(call) for call in tree.find_all(exp.Anonymous))
    return list(found)
