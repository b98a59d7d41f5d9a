"""Reads the complaints of PostgreSQL and its driver: each becomes one error that names the thing and the way out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import AccessDenied, DatakeepError, UsageError
from datakeep.extract.sql.faults import DatabaseUnreachable, NotExact, QueryFailed, QueryRefused
from datakeep.extract.sql.places import shown_place
from datakeep.extract.sql.refusals import refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.extract.sql.interface import Statement
    from datakeep.extract.sql.placeholders import Sent

#: What the server itself says; it never repeats a password.
_SERVER_SAID = re.compile(r"(?:FATAL|ERROR):\s+(.+)")
#: What the client's library says of a server that it cannot reach, and what that means; its own words may repeat
#: parts of the URL.
_UNREACHABLE = (
    ("could not translate host name", "its host name cannot be resolved"),
    ("Connection refused", "nothing listens there"),
    ("timeout expired", "it does not answer in time"),
    ("No such file or directory", "no server has its socket on this machine"),
    ("No route to host", "no network leads there"),
    ("Network is unreachable", "no network leads there"),
    ("SSL", "it does not agree to an encrypted connection as the URL's sslmode wants it"),
    ("server closed the connection", "it ended the connection"),
)
_BAD_OPTION = re.compile(r'invalid URI query parameter: "(\w+)"')
_NO_SERVICE = re.compile(r'definition of service "([^"]{1,60})" not found')
_OPERANDS = re.compile(r"operator does not exist: ([\w ]+?) \S+ ([\w ]+)$")
#: A placeholder that begins, or ends, at most so many characters from where the server complains is what it means.
_NEAR = 16
_BAD_VALUE = re.compile(r'invalid (\w+) value: "([^"]{1,60})"')
_GONE_STATES = ("08", "25P03", "25P04", "57P01", "57P02", "57P03", "57P05", "53300")
_GONE_WORDS = ("server closed the connection", "connection to server was lost", "no connection to the server",
               "could not receive data", "SSL SYSCALL", "SSL connection has been closed", "terminating connection",
               "connection not open", "could not send data", "connection is closed")  # fmt: skip


_NOT_FILLED = re.compile(r"materialized view (\"(?:[^\"]|\"\")+\") has not been populated")
#: A line of the context that says in which function something happened; the innermost comes first.
_FUNCTION = re.compile(r"(SQL|PL/\S+) function ")


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a driver's exception says.

    Attributes:
        state: The SQLSTATE; empty if it is not the server that complains.
        primary: The server's sentence, or the driver's.
        hint: The server's hint or detail, if it has one.
        position: The place in the text that was sent, from 0; None if it has none.
        context: In which function it happened; None if in none, or the server does not tell.
        functions: That one, and those that called it, as the server says it.
    """

    state: str
    primary: str
    hint: str | None
    position: int | None
    context: str | None = None
    functions: tuple[str, ...] = ()


def complaint_of(error: BaseException) -> Complaint:
    """What ``error`` of the driver, or of Arrow around it, says."""
    found = {}
    for name, value in getattr(error, "details", None) or ():
        found[name if isinstance(name, str) else name.decode()] = (
            value if isinstance(value, str) else value.decode(errors="replace")
        )
    primary = found.get("PG_DIAG_MESSAGE_PRIMARY") or _first_words(str(error))
    hint = found.get("PG_DIAG_MESSAGE_HINT") or found.get("PG_DIAG_MESSAGE_DETAIL")
    place = found.get("PG_DIAG_STATEMENT_POSITION")
    state = getattr(error, "sqlstate", None) or found.get("PG_DIAG_SQLSTATE") or ""
    lines = (found.get("PG_DIAG_CONTEXT") or "").splitlines()
    functions = tuple(one for one in lines if _FUNCTION.match(one))
    context = next(iter((*functions, *lines)), None)
    return Complaint(state.strip("\0"), primary, hint, int(place) - 1 if place else None, context, functions)


def connection_fault(error: BaseException, shown: str) -> DatakeepError:
    """Why there is no connection; never in words that could hold a part of the password."""
    text = str(error)
    said = _SERVER_SAID.search(text)
    if said and ("authentication" in said[1] or "no pg_hba.conf entry" in said[1] or "permission denied" in said[1]
                 or "role" in said[1]):  # fmt: skip
        return AccessDenied(
            f"{shown} does not let this user in: {said[1].strip()}",
            next_step="check user and password: in the URL, in PGPASSWORD or in ~/.pgpass",
        )
    if "no password supplied" in text:
        return AccessDenied(
            f"{shown} wants a password, and none was given",
            next_step="set PGPASSWORD, or put a line for it into ~/.pgpass",
        )
    if value := _BAD_VALUE.search(text):
        return UsageError(
            f"the URL of the database has {value[2]!r} as its {value[1]}, which PostgreSQL does not know",
            next_step="write it as PostgreSQL's documentation of connection URIs does, such as sslmode=require",
        )
    if "does not support SSL" in text:
        return DatabaseUnreachable(
            f"{shown} cannot be reached as the URL's sslmode wants it: the server has no encryption (TLS)",
            next_step="ask whoever runs the server to turn it on; in a network that you trust, sslmode=prefer "
            "takes a connection without it",
        )
    if "percent-encoded" in text:
        return UsageError(
            f"the URL of {shown} has a % that stands for no character",
            next_step="write %25 for a % in a password or an option; or leave the password out of the URL and set "
            "PGPASSWORD",
        )
    if service := _NO_SERVICE.search(text):
        return UsageError(
            f"the URL of the database names the service {service[1]!r}, which no service file has",
            next_step="add it to ~/.pg_service.conf, or to the file that PGSERVICEFILE names; or write host, port "
            "and database into the URL",
        )
    option = _BAD_OPTION.search(text)
    if option:
        return DatabaseUnreachable(
            f"the URL of the database has an option that PostgreSQL does not know: {option[1]}",
            next_step="leave it out, or write it as PostgreSQL's documentation of connection URIs does",
        )
    if said:
        return DatabaseUnreachable(
            f"{shown} refuses: {said[1].strip()}",
            next_step="check the URL, such as the database's name in it, or ask whoever runs the server",
        )
    why = next(
        (meaning for words, meaning in _UNREACHABLE if words in text), "the URL or the network is wrong"
    )
    return DatabaseUnreachable(
        f"{shown} cannot be reached: {why}", next_step="check host and port, and whether the server runs"
    )


def gone(error: BaseException) -> bool:
    """Whether ``error`` says that the connection ended."""
    complaint = complaint_of(error)
    if complaint.state:
        return complaint.state.startswith(_GONE_STATES)
    return any(words in str(error) for words in _GONE_WORDS)


def query_fault(
    error: BaseException,
    shown: str,
    statement: Statement | None = None,
    sent: Sent | None = None,
    lead: int = 0,
) -> DatakeepError:
    """What became of a query.

    Args:
        error: What the driver raised.
        shown: The database, in messages.
        statement: What the user wrote.
        sent: What was sent for it.
        lead: How many characters stood before it.
    """
    complaint = complaint_of(error)
    if gone(error):
        return DatabaseUnreachable(
            f"the connection to {shown} ended on the way: {complaint.primary}",
            next_step="run the same command again: nothing was kept of this attempt",
        )
    if complaint.state == "57014" and "user request" in complaint.primary:
        return QueryFailed(
            f"{shown} gave up: {complaint.primary}: somebody who runs the server, or a program of theirs, ended it",
            next_step="ask them why, such as how long a query may take, and at which time of day",
        )
    if complaint.state == "57014":
        return QueryFailed(
            f"{shown} gave up: {complaint.primary}",
            next_step="give it more time with --query-timeout, or ask for fewer rows",
        )
    if complaint.state == "25006":
        where = f" ({complaint.context})" if complaint.context else ""
        return QueryRefused(
            f"{complaint.primary}{where}: datakeep reads, and changes nothing",
            next_step="leave out of the query what writes, such as a function that does",
        )
    if complaint.state == "22P05":
        return NotExact(
            f"{shown}: {complaint.primary}",
            next_step="take the bytes of the column that holds it: convert_to(COLUMN, 'ENCODING') AS COLUMN",
        )
    if complaint.state == "55000" and (empty := _NOT_FILLED.match(complaint.primary)):
        return QueryFailed(
            f"{shown}: {complaint.primary}",
            next_step=f"ask its owner for: REFRESH MATERIALIZED VIEW {empty[1]}; or query what it is made of",
        )
    place, lines = _place(complaint, statement, sent, lead)
    hint = f" ({complaint.hint})" if complaint.hint else ""
    if place or complaint.state.startswith(("42", "0A", "26", "34")):
        step = _value_step(complaint, statement, sent, lead)
        return QueryRefused(
            f"{shown} does not take the query: {place}{complaint.primary}{'' if step else hint}",
            next_step=step or ("correct the query there" if place else "correct the query"),
            things=lines,
        )
    return QueryFailed(
        f"{shown} failed on the way: {complaint.primary}{hint}",
        next_step="correct the query, or leave out the rows that it fails on",
    )


def _value_step(
    complaint: Complaint, statement: Statement | None, sent: Sent | None, lead: int
) -> str | None:
    """What to give instead of a value that does not fit the place where it stands; None if none is at fault."""
    if complaint.position is None or statement is None or sent is None:
        return None
    at = sent.origin(complaint.position - lead)
    near = [
        name
        for name, start, end in statement.placeholders
        if end - _NEAR <= at <= end or at <= start < at + _NEAR
    ]
    if near and "requires array on right side" in complaint.primary:
        return _no_list(near[0])
    types = _OPERANDS.search(complaint.primary)
    if near and types:
        name = near[0]
        return (
            f"give :{name} a value that fits, or say its type: --param {name}:TYPE=VALUE; as it was given, "
            f"{types[1]} is compared with {types[2]}. If the value is right, CAST the other side in the query"
        )
    return None


def refuse_lists(statement: Statement, types: Sequence[str]) -> None:
    """Refuse a query in which the server takes a parameter for a list.

    Args:
        statement: The query.
        types: What the server takes each of its parameters for.

    Raises:
        QueryRefused: It takes one for an array.
    """
    for name, kind in zip(statement.parameters, types, strict=False):
        if kind.endswith("[]"):
            at = next(start for other, start, _ in statement.placeholders if other == name)
            raise refused(f":{name} stands where {kind} is wanted", statement.text, at, _no_list(name))


def _no_list(name: str) -> str:
    return (
        "a parameter is one value, no list: write the list into the query, or take a text apart in it: "
        f"string_to_array(:{name}, ','), with a cast such as ::int[] behind it"
    )


def _place(
    complaint: Complaint, statement: Statement | None, sent: Sent | None, lead: int
) -> tuple[str, tuple[str, ...]]:
    if complaint.position is None or statement is None or sent is None:
        return "", ()
    at = complaint.position - lead
    if not 0 <= at <= len(sent.text):
        return "", ()
    place, lines = shown_place(statement.text, sent.origin(at))
    return f"{place}: ", lines


def _first_words(text: str) -> str:
    """The driver's sentence without its own prefixes, and without the query, which it repeats."""
    text = text.partition("\n\nQuery was:")[0].partition(". SQLSTATE")[0]
    said: Any = _SERVER_SAID.search(text)
    words = said[1] if said else re.sub(r"^[A-Z_]+: (\[libpq\] )?(PQ\w+\(\) failed: )?", "", text)
    return str(words).strip().splitlines()[0]
