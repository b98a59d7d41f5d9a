"""The password that opens a database, where it would be written down with the URL."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus, urlsplit

from datakeep.core.errors import SecretFound

if TYPE_CHECKING:
    from collections.abc import Collection


def refuse_in_options(url: str | None, known: Collection[str]) -> None:
    """Refuse a URL whose options, such as ``?options=-c app.key=…``, have a password that opens the database.

    Of PostgreSQL they are recorded, for they say what a query means; those of PGOPTIONS, too.

    Args:
        url: As it would be recorded.
        known: The passwords.

    Raises:
        SecretFound: It has; nothing of the options is repeated.
    """
    parts = urlsplit(url or "")
    texts = [parts.query, unquote(parts.query), unquote_plus(parts.query), unquote(unquote(parts.query))]
    if any(secret in text for secret in known for text in texts):
        raise SecretFound(
            f"the options in the URL of {parts.scheme}://{parts.netloc}{parts.path}, or PGOPTIONS, hold the password "
            "of the database, and would be written down for good",
            next_step="take it out: what a view or a policy asks for must not be the password",
        )
