"""What can go wrong between a query and its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError

if TYPE_CHECKING:
    from typing import Self


class QueryFault(DatakeepError):
    """A query cannot be run, or what it gives cannot be kept."""

    exit_code = 34


class QueryRefused(QueryFault):
    """The text is not one SELECT, or the database does not understand it. Shows the place."""


class QueryFailed(QueryFault):
    """The database gave up on the way: a time limit, a fault that only a row shows."""


class NotExact(QueryFault):
    """A value cannot be kept exactly in Arrow; names column, row and value.

    Attributes:
        as_text: The columns that could be kept as text instead; empty if there is none.
    """

    as_text: tuple[str, ...] = ()

    def for_columns(self, *names: str) -> Self:
        """The same error, of columns that could be kept as text."""
        self.as_text = names
        return self


class NoRows(QueryFault):
    """The query gives no rows, and nobody said that it may."""


class DatabaseUnreachable(DatakeepError):
    """A database does not answer, or the connection to it ended."""

    exit_code = 35


class DriverMissing(DatakeepError):
    """The package that speaks to a database is not installed. Names the extra that brings it."""

    exit_code = 36
