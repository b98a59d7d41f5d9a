"""The passwords that open a database, as far as this process can know them: none of them is written down."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from datakeep.extract.sql.address import secrets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.extract.sql.interface import Address

#: A password that is shorter stands in many a text by chance.
_SHORTEST = 6
#: Of a line of libpq's password file: fields end in a colon, which a backslash takes for itself.
_FIELD = re.compile(r"((?:\\.|[^:\\])*)(?::|$)", re.DOTALL)
_FIELDS = 5
#: What is left as it is by those who escape a password: nothing, a path's characters, what no URL needs escaped.
_UNESCAPED = ("", "/", ":", "/:", "!$&'()*+,;=", "!$&'()*+,;=:")
_ESCAPE = re.compile("%[0-9A-F]{2}")
_LARGEST_FILE = 1 << 20


def passwords_of(address: Address) -> tuple[str, ...]:
    """Each password of the URL and, for PostgreSQL, of PGPASSWORD and of libpq's password file, that is no mere word.

    In its forms: as it is, and escaped as in URLs.
    Which line of the file libpq has taken is not asked: all of them are secrets.
    """
    found = [*secrets_of(address)]
    if address.dialect == "postgres":
        found += [os.environ.get("PGPASSWORD", ""), *_in_file()]
    return tuple(dict.fromkeys(form for one in found if len(one) >= _SHORTEST for form in _forms(one)))


def _forms(password: str) -> Iterator[str]:
    """A password, and how it stands in URLs: with more or fewer characters escaped, in digits of either case."""
    yield password
    for safe in _UNESCAPED:
        escaped = quote(password, safe=safe)
        yield from (escaped, _ESCAPE.sub(lambda found: found[0].lower(), escaped))
    yield quote_plus(password)


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
