"""What the rows of a query themselves say: of the key that the catalogue suggests for them, and of their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted
from datakeep.repository.scratch import scratch
from datakeep.workflows.query_words import Note, told_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from datakeep.extract.sql.interface import Statement, Table
    from datakeep.extract.sql.ties import Ties
    from datakeep.workflows.wanted_query import Query


def rows_said(
    query: Query,
    tables: Mapping[str, Table],
    columns: Mapping[str, dict[str, Any]],
    files: Sequence[Path],
    ties: Ties | None,
) -> Iterator[Note]:
    """What the rows say against the query: a key that is none, which is taken out of ``columns``, and ties.

    Args:
        query: That gave them.
        tables: What the catalogue has of its tables, by their names as the query writes them.
        columns: What the catalogue says of the result's columns.
        files: The rows, as Parquet.
        ties: What was seen of their order; None where keys tell that no rows tie, or nothing sorts them.
    """
    if note := drop_false_key(query.statement, tables, columns, files):
        yield note
    if ties is not None and (said := told_order(query.shown, ties.sorting, ties.found, ties.doubt)):
        yield Note(said, said.partition(": ")[2])


def drop_false_key(
    statement: Statement,
    tables: Mapping[str, Table],
    columns: Mapping[str, dict[str, Any]],
    files: Sequence[Path],
) -> Note | None:
    """Take out of ``columns`` a key that is none of these rows: a join, a UNION or a function may have repeated them.

    Where the query and the catalogue prove the key, no row is asked; elsewhere the values are counted.

    Args:
        statement: The query.
        tables: What the catalogue has of its tables, by their names as the query writes them.
        columns: What the catalogue says of the result's columns; changed.
        files: The rows, as Parquet.

    Returns:
        What to say of it; None where the key is one, or there was none.

    Raises:
        NoSpace: The folder for temporary files is full.
    """
    from datakeep.extract.repeats import has_nulls, repeated
    from datakeep.extract.sql.result_keys import is_certain_key

    keys = [column for column, known in columns.items() if known.get("key")]
    if not keys or (is_certain_key(statement, tables, keys) and not has_nulls(files, keys)):
        return None
    with scratch() as folder:
        found = repeated(files, keys, folder)
    if not any(found):
        return None
    for name in keys:
        del columns[name]["key"]
    said = f"{', '.join(keys)}: a key of the table that it comes from, and none of these rows"
    way_out = "it is not recorded as their key, and reextract compares whole rows"
    told = []
    if count := found.in_several:
        told.append(f"{counted(count, 'value')} of it {'stands' if count == 1 else 'stand'} in more than one")
    if count := found.with_null:
        told.append(f"{'a part of it' if keys[1:] else 'it'} is NULL in {counted(count, 'row')}")
    values = ", and ".join(told)
    return Note(f"{said}: {values}; {way_out}", said)
