"""What a user of PostgreSQL may not read: who grants it, and to whom, which behind a view is the view's owner."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, DatakeepError
from datakeep.extract.sql.lineage import read_tables
from datakeep.extract.sql.postgres_catalogue import lacking, owners
from datakeep.extract.sql.postgres_connection import SAVEPOINT, Connection, failures
from datakeep.extract.sql.postgres_faults import complaint_of

if TYPE_CHECKING:
    from datakeep.extract.sql.interface import Statement

_STATE = "42501"
_KINDS = "table|relation|view|materialized view|foreign table|schema|function"
_DENIED = re.compile(rf"permission denied for (?P<kind>{_KINDS}|[a-z ]+?) (?P<name>.+)$")
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
        # RuntimeError: the right was found missing while rows are on their way, when nothing else can be asked.
        with suppress(*failures(), DatakeepError, RuntimeError):
            connection.do(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
            if statement is not None and kind not in _NO_TABLES:
                for one in lacking(connection, read_tables(statement), name):
                    return _refused(shown, user, *one)
        with suppress(*failures(), RuntimeError):
            connection.do(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
            for whole, owner in owners(connection, kind, name):
                return _refused(shown, user, kind, whole, owner)
    return AccessDenied(
        f"{shown}: {complaint.primary}",
        next_step="ask whoever runs the database for the right to read it",
    )


def _refused(
    shown: str, user: str, kind: str, name: str, owner: str, view: str | None = None, role: str | None = None
) -> AccessDenied:
    who = f"the view {view} reads as its owner, {role}, who" if view and role else "this user"
    rights = {"schema": f"USAGE ON SCHEMA {name}", "function": f"EXECUTE ON FUNCTION {name}"}
    right = rights.get(kind, f"SELECT ON {name}")
    grantee = (role or user).replace('"', '""')
    return AccessDenied(
        f"{shown}: {who} may not read the {kind} {name}; it belongs to {owner}",
        next_step=f'ask {owner} for: GRANT {right} TO "{grantee}"',
    )
