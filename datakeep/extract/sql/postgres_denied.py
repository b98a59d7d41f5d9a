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
    from datakeep.extract.sql.interface import Statement

_STATE = "42501"
_KINDS = "table|relation|view|materialized view|foreign table|schema|function"
_DENIED = re.compile(rf"permission denied for (?P<kind>{_KINDS}|[a-z ]+?) (?P<name>.+)$")
#: How the server says in which function something happened.
_FUNCTION = re.compile(r'(?:SQL|PL/\S+) function "?(?P<name>[^"(]+)')
_NO_TABLES = frozenset({"schema", "function"})


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
    if match := _DENIED.search(complaint.primary):
        kind, name = match["kind"], match["name"]
        function = _FUNCTION.match(complaint.context or "")
        names = read_tables(statement) if statement is not None and kind not in _NO_TABLES else []
        with suppress(*failures(), DatakeepError):
            connection.do(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
            if function:
                found = [] if kind in _NO_TABLES else lacking_within(connection, function["name"], name)
            else:
                found = lacking(connection, names, name)[:1] or owners(connection, kind, name)
            if len(found) == 1:  # of several nobody can say from here which one it is
                return _refused(shown, user, found[0])
    within = f" ({complaint.context})" if complaint.context else ""
    return AccessDenied(
        f"{shown}: {complaint.primary}{within}",
        next_step="ask whoever runs the database for the right to read it",
    )


def _refused(shown: str, user: str, found: Lacking) -> AccessDenied:
    who = f"{found.through} reads as its owner, {found.role}, who" if found.role else "this user"
    rights = {"schema": f"USAGE ON SCHEMA {found.name}", "function": f"EXECUTE ON FUNCTION {found.name}"}
    right = rights.get(found.kind, f"SELECT ON {found.name}")
    grantee = (found.role or user).replace('"', '""')
    return AccessDenied(
        f"{shown}: {who} may not read the {found.kind} {found.name}; it belongs to {found.owner}",
        next_step=f'ask {found.owner} for: GRANT {right} TO "{grantee}"',
    )
