"""What the tests of databases share: a statement from plain text, a query run to its end, columns value for value."""

from __future__ import annotations

import re
from typing import Any

from datakeep.extract.sql.interface import Exactness, Parameter, Statement
from datakeep.extract.sql.opening import open_database


def statement(text: str, dialect: str) -> Statement:
    """``text`` with each ``:name`` that stands outside of quotes; tests write nothing harder."""
    places = [
        (found[1], found.start(1) - 1, found.end(1))
        for found in re.finditer(r"'[^']*'|(?<![:\w]):([a-z_]+)", text)
        if found[1]
    ]
    return Statement(text, dialect, text, tuple(places), "order by" in text.lower())


def extracted(
    url: str,
    text: str,
    parameters: dict[str, Parameter] | None = None,
    *,
    as_text: tuple[str, ...] = (),
    decimals: dict[str, tuple[int, int]] | None = None,
    timeout_s: int | None = None,
) -> tuple[Any, list[Any]]:
    """Arrow table and source columns of a query that is run to its end."""
    import pyarrow as pa

    database = open_database(url)
    exactness = Exactness(frozenset(as_text), decimals or {})
    with (
        database.session(timeout_s=timeout_s) as session,
        session.run(statement(text, database.address.dialect), parameters or {}, exactness) as result,
    ):
        table = pa.Table.from_batches(list(result.batches()), schema=result.schema)
        table.validate(full=True)
        assert [column.name for column in result.columns] == table.column_names
        assert [column.arrow_type for column in result.columns] == [str(kind) for kind in result.schema.types]
        return table, list(result.columns)
