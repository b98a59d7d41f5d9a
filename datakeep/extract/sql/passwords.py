"""The passwords that open a database, as far as this process can know them: none of them is written down."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.extract.sql.address import secrets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.extract.sql.interface import Address

#: A password that is shorter stands in many a text by chance.
_SHORTEST = 6
#: Of a line of libpq's password file: fields end in a colon, which a backslash takes for itself.
_FIELD = re.compile(r"((?:\\.|[^:\\])*)(?::|$)", re.DOTALL)
_FIELDS = 5
_LARGEST_FILE = 1 << 20


def passwords_of(address: Address) -> tuple[str, ...]:
    """Each password of the URL and, for PostgreSQL, of PGPASSWORD and of libpq's password file, that is no mere word.

    Which line of the file libpq has taken is not asked: all of them are secrets.
    """
    found = [*secrets_of(address)]
    if address.dialect == "postgres":
        found += [os.environ.get("PGPASSWORD", ""), *_in_file()]
    return tuple(dict.fromkeys(one for one in found if len(one) >= _SHORTEST))


def _in_file() -> Iterator[str]:
    try:
        path = Path(os.environ.get("PGPASSFILE") or Path.home() / ".pgpass")
        if not path.is_file() or path.stat().st_size > _LARGEST_FILE:
            return
        lines = path.read_text("utf-8", "replace").splitlines()
    except (OSError, RuntimeError, ValueError):  # none that libpq could read either
        return
    for line in lines:
        fields = [field[1] for field in _FIELD.finditer(line)]
        if not line.startswith("#") and len(fields) >= _FIELDS:
            yield re.sub(r"\\(.)", r"\1", fields[_FIELDS - 1])
