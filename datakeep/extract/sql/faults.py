"""What can go wrong between a query and its rows."""

from __future__ import annotations

from datakeep.core.errors import DatakeepError


class QueryFault(DatakeepError):
    """A query cannot be run, or what it gives cannot be kept."""

    exit_code = 34


class QueryRefused(QueryFault):
    """The text is not one SELECT, or the database does not understand it. Shows the place."""


class QueryFailed(QueryFault):
    """The database gave up on the way: a time limit, a fault that only a row shows."""


class NotExact(QueryFault):
    """A value cannot be kept exactly in Arrow; names column, row and value."""


class DatabaseUnreachable(DatakeepError):
    """A database does not answer, or the connection to it ended."""

    exit_code = 35


class DriverMissing(DatakeepError):
    """The package that speaks to a database is not installed. Names the extra that brings it."""

    exit_code = 36
