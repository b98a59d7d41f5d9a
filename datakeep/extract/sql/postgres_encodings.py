"""Text that a server's encoding has and Unicode has not: the server gives up, and names neither column nor row."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from datakeep.extract.sql.faults import NotExact
from datakeep.extract.sql.postgres_connection import failures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.extract.sql.exact import Rule
    from datakeep.extract.sql.postgres_connection import Connection

_SEQUENCE = re.compile(r'byte sequence ((?:0x[0-9a-f]{2} ?)+) ?in encoding "(\w+)" has no equivalent')


def is_untranslatable(error: BaseException) -> bool:
    """Whether the server said of a text that Unicode does not have it."""
    return isinstance(error, NotExact) and _SEQUENCE.search(error.what) is not None


def located(connection: Connection, query: str, rules: Sequence[Rule], error: NotExact) -> NotExact:
    """The error with column and row, for which the query is run again, its text as the server has it.

    Args:
        connection: In a transaction that takes questions; what is set in it ends with the transaction.
        query: As it was sent.
        rules: Of its columns.
        error: For which :func:`is_untranslatable` holds.
    """
    said = _SEQUENCE.search(error.what)
    if said is None:
        return error
    sequence = bytes(int(one, 16) for one in said[1].split())
    # A server or connection that fails now leaves the error without a place.
    with suppress(*failures(), OSError):
        connection.rows("SELECT set_config('client_encoding', 'SQL_ASCII', true)")
        with connection.stream(query) as batches:
            first_row = 1
            for batch in batches:
                for at, rule in enumerate(rules):
                    if (row := _first(batch.column(at), sequence)) is not None:
                        step = f"convert_to({rule.name}, '{said[2]}') AS {rule.name}"
                        return NotExact(
                            f"column {rule.name}, row {first_row + row}: x'{sequence.hex()}' in the encoding "
                            f"{said[2]} is no character of Unicode",
                            next_step=f"take its bytes: {step}; or leave out the row",
                        )
                first_row += batch.num_rows
    return error


def _first(array: Any, sequence: bytes) -> int | None:
    """The first row whose text has the bytes; None where none has, or the column holds no text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = array.storage if isinstance(array, pa.ExtensionArray) else array
    if not pa.types.is_string(array.type):
        return None
    found = pc.index(pc.match_substring(array.view(pa.binary()), sequence), True).as_py()
    return found if found >= 0 else None
