"""The password that opens a database, where it would be written down with the URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_plus, urlsplit

from datakeep.core.errors import SecretFound

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from datakeep.extract.sql.interface import Address

#: Of a password that is a word or a short one, nobody can say that it is meant where people write.
_SHORTEST = 6


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


def refuse_in_query(
    address: Address, shown: str, text: str, options: Sequence[str], stated: Mapping[str, Any]
) -> None:
    """Refuse a query that holds a password that opens its database, but where that is the name of something.

    Args:
        address: Of the database.
        shown: What the query is called.
        text: It.
        options: Its parameters, as ``--param`` has them.
        stated: Those of a manifest.

    Raises:
        SecretFound: It does; names which.
    """
    from datakeep.extract.sql.passwords import passwords_of
    from datakeep.extract.sql.places import is_name_in

    known = passwords_of(address)
    refuse_in_options(address.shown, known)
    values = {f"--param {one.partition('=')[0]}": one for one in options}
    values |= {f"source.parameters.{name} of the manifest": str(one) for name, one in stated.items()}
    for where, found in {shown: text, **values}.items():
        if any(secret in found and not (where == shown and is_name_in(secret, found)) for secret in known):
            raise SecretFound(
                f"{where} holds the password of {address.shown}, and would be written down for good",
                next_step="take it out",
            )


def refuse_in_facts(facts: Any, known: Collection[str], database: str) -> None:
    """Refuse facts that hold a password that opens the database: they would be in git for good.

    Args:
        facts: What is stated: of the manifest, and why there is a version.
        known: The passwords.
        database: The URL, as it is recorded.

    Raises:
        SecretFound: One does; names the field.
    """
    secrets = [one for one in known if len(one) >= _SHORTEST and not one.isalpha()]
    for path, text in _texts(facts, ""):
        if any(secret in text for secret in secrets):
            raise SecretFound(
                f"{path} holds the password of {database}, and would be written down for good",
                next_step="take it out",
            )


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, path)
    elif isinstance(value, str):
        yield path, value
