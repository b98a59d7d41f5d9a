"""What a user of PostgreSQL may not read: who grants it, and to whom, which behind a view is the view's owner."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, DatakeepError
from datakeep.extract.sql.lineage import trace
from datakeep.extract.sql.postgres_catalogue import may_read, owners
from datakeep.extract.sql.postgres_connection import SAVEPOINT, Connection, failures
from datakeep.extract.sql.postgres_faults import complaint_of

if TYPE_CHECKING:
    from datakeep.extract.sql.interface import Statement
    from datakeep.extract.sql.lineage import Lookup

_STATE = "42501"
_DENIED = re.compile(r"permission denied for (?P<kind>[a-z ]+?) (?P<name>\S+)$")
_TABLES = frozenset({"table", "relation", "view", "materialized view"})


def denied(
    error: BaseException,
    connection: Connection,
    shown: str,
    user: str,
    statement: Statement | None,
    lookup: Lookup,
) -> AccessDenied | None:
    """What a complaint about a missing right means; None of any other.

    Args:
        error: What the driver raised.
        connection: In a savepoint, to which it goes back.
        shown: The database, in messages.
        user: Who reads.
        statement: The query, if it was one that was refused.
        lookup: Such as :meth:`Session.tables`.
    """
    complaint = complaint_of(error)
    if complaint.state != _STATE:
        return None
    match = _DENIED.search(complaint.primary)
    with suppress(*failures(), DatakeepError):
        connection.do(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
        if match and match["kind"] in _TABLES and statement is not None:
            behind = _behind_a_view(match["name"], connection, shown, statement, lookup)
            if behind is not None:
                return behind
        owned = owners(connection, match["kind"], match["name"]) if match else []
        if match and owned:
            name, owner = owned[0]
            return AccessDenied(
                f"{shown}: this user may not read the {match['kind']} {name}; it belongs to {owner}",
                next_step=f"ask {owner} for: {_grant(match['kind'], name, user)}",
            )
    return AccessDenied(
        f"{shown}: {complaint.primary}",
        next_step="ask whoever runs the database for the right to read it",
    )


def _behind_a_view(
    name: str, connection: Connection, shown: str, statement: Statement, lookup: Lookup
) -> AccessDenied | None:
    """The right that a view's owner lacks; None where it is the reader's."""
    reads = [one for one in trace(statement, lookup) if one.name.rpartition(".")[2].strip('"') == name]
    if not all(one.reached_through for one in reads):
        return None  # the query names it itself
    for read in reads:
        views = lookup(read.reached_through)
        through = next((view for view in reversed(read.reached_through) if not views[view].as_reader), None)
        role = views[through].owner if through else None
        if role and not may_read(connection, role, read.name):
            return AccessDenied(
                f"{shown}: the view {through} reads as its owner, {role}, who may not read the {read.kind} "
                f"{read.name}; it belongs to {read.owner}",
                next_step=f"ask {read.owner} for: {_grant(read.kind, read.name, role)}",
            )
    return None


def _grant(kind: str, name: str, user: str) -> str:
    rights = {"schema": f"USAGE ON SCHEMA {name}", "function": f"EXECUTE ON FUNCTION {name}"}
    return f'GRANT {rights.get(kind, f"SELECT ON {name}")} TO "{user}"'
