"""What a user of PostgreSQL may not read: who grants it, and to whom, which behind a view may be its owner."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, DatakeepError
from datakeep.extract.sql.lineage import read_tables
from datakeep.extract.sql.postgres_connection import SAVEPOINT, Connection, failures
from datakeep.extract.sql.postgres_faults import complaint_of
from datakeep.extract.sql.postgres_rights import Lacking, lacking, lacking_within, owners

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.extract.sql.interface import Statement

_STATE = "42501"
_KINDS = "table|relation|view|materialized view|foreign table|schema|function"
_DENIED = re.compile(rf"permission denied for (?P<kind>{_KINDS}|[a-z ]+?) (?P<name>.+)$")
#: How the server says in which function something happened.
_FUNCTION = re.compile(
    r'SQL function "(?P<name>.+)" (statement|during)|PL/\S+ function (?P<called>.+\))(?= line| at|$)'
)
_NO_TABLES = frozenset({"schema", "function"})
_VERBS = {"schema": "use", "function": "call"}


def denied(
    error: BaseException, connection: Connection, shown: str, user: str, statement: Statement | None
) -> AccessDenied | None:
    """What a complaint about a missing right means; None of any other.

    Args:
        error: What the driver raised.
        connection: In a savepoint, to which it goes back.
        shown: The database, in messages.
        user: Who reads.
        statement: The query, if it was one that was refused.
    """
    complaint = complaint_of(error)
    if complaint.state != _STATE:
        return None
    match, found = _DENIED.search(complaint.primary), list[Lacking]()
    if match:
        with suppress(*failures(), DatakeepError):
            connection.do(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
            found = _lacking(connection, match["kind"], match["name"], complaint.functions, statement)
    if len(found) == 1:
        return _refused(shown, user, found[0])
    # Of several nobody can say from here which one it is.
    several = f", which is one of {', '.join(dict.fromkeys(one.name for one in found))}" if found else ""
    within = f" ({complaint.context})" if complaint.context else ""
    return AccessDenied(
        f"{shown}: {complaint.primary}{several}{within}",
        next_step="ask whoever runs the database for the right to read it",
    )


def _lacking(
    connection: Connection, kind: str, name: str, functions: Sequence[str], statement: Statement | None
) -> list[Lacking]:
    """What may be meant by a complaint about ``name``; nothing where nobody can say from here whose right it is.

    A function within another has the rights of whoever the other one reads as.
    """
    if functions:
        within = _FUNCTION.match(functions[0])
        if kind in _NO_TABLES or len(functions) > 1 or within is None:
            return []
        return lacking_within(connection, within["called"] or "", within["name"] or "", name)
    names = read_tables(statement) if statement is not None and kind not in _NO_TABLES else []
    return lacking(connection, names, name)[:1] or owners(connection, kind, name)


def _refused(shown: str, user: str, found: Lacking) -> AccessDenied:
    who = f"{found.through} reads as its owner, {found.role}, who" if found.role else "this user"
    rights = {"schema": f"USAGE ON SCHEMA {found.name}", "function": f"EXECUTE ON FUNCTION {found.name}"}
    right = rights.get(found.kind, f"SELECT ON {found.name}")
    grantee = (found.role or user).replace('"', '""')
    what = f"{_VERBS.get(found.kind, 'read')} the {found.kind} {found.name}"
    return AccessDenied(
        f"{shown}: {who} may not {what}; it belongs to {found.owner}",
        next_step=f'ask {found.owner} for: GRANT {right} TO "{grantee}"',
    )
