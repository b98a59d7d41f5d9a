"""Errors that several databases have in common, so that each is said in the same words."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, TypeVar

from datakeep.core.counts import counted
from datakeep.core.literals import cut, literal
from datakeep.core.secrets import without_passwords
from datakeep.extract.sql.faults import NotExact, QueryFailed, QueryRefused
from datakeep.extract.sql.places import shown_place
from datakeep.formats.yaml import unshowable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from datakeep.extract.sql.interface import Exactness, Parameter, Statement

_SHOWN_CHARACTERS = 60
_Made = TypeVar("_Made")


def refused(what: str, text: str, place: int | None, next_step: str) -> QueryRefused:
    """The database does not take ``text``; with line, column and the line itself where the place is known.

    Args:
        what: What the database says, in its own words.
        text: The query as the user wrote it.
        place: Where, in characters from 0, or None.
        next_step: What to do.
    """
    if place is None or not 0 <= place <= len(text):
        return QueryRefused(what, next_step=next_step)
    where, lines = shown_place(text, place)
    return QueryRefused(f"{where}: {what}", next_step=next_step, things=lines)


def place_of(word: str, text: str) -> int | None:
    """Where ``word`` first stands in ``text`` as a word of its own, or None."""
    found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)
    return found.start() if found else None


def check_columns(names: Sequence[str], exactness: Exactness) -> None:
    """Hold the columns of a result against what Parquet can keep, and what the user said of them.

    Raises:
        QueryRefused: There is none, two have the same name, one has none or one that cannot be shown, or an option
            names one that is not there.
    """
    if not names:
        raise QueryRefused(
            "the query gives no columns", next_step="write a SELECT that names at least one column"
        )
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise QueryRefused(
            f"the query gives two columns of the name {twice[0]!r}",
            next_step=f"give each a name of its own: {twice[0]} AS {twice[0]}_2",
            things=twice,
        )
    if "" in names:
        raise QueryRefused(
            f"column {list(names).index('') + 1} of the query has no name", next_step="give it one: … AS name"
        )
    for name in names:
        if fault := unshowable(name):
            shown = name.encode("unicode_escape", "backslashreplace").decode()
            raise QueryRefused(
                f"the name of the column '{shown}' holds {fault}, which no file of ours can show",
                next_step="give it another name in the query: … AS name",
            )
    unknown = sorted((set(exactness.as_text) | set(exactness.decimals)) - set(names))
    if unknown:
        raise QueryRefused(
            f"the query gives no column {unknown[0]!r}, which an option names",
            next_step=f"its columns are: {', '.join(names)}",
            things=unknown,
        )


def check_parameters(statement: Statement, given: Mapping[str, Parameter]) -> None:
    """Every placeholder has a value, and every value a placeholder.

    Raises:
        QueryRefused: One has not; names it and its place.
    """
    for name, start, _ in statement.placeholders:
        if name not in given:
            raise refused(
                f"the parameter :{name} has no value",
                statement.text,
                start,
                f"give it one: --param {name}=VALUE",
            )
    unused = sorted(set(given) - set(statement.parameters))
    if unused:
        raise QueryRefused(
            f"the query has no placeholder :{unused[0]}",
            next_step=f"write :{unused[0]} into the query, or leave the parameter out",
        )


def inexact(column: str, row: int, value: Any, why: str) -> NotExact:
    """One value that cannot be kept; ``row`` is counted from 1."""
    return NotExact(
        f"column {column}, row {row}: {shown_value(value)} {why}",
        next_step=f"keep the column as text with --as-text {column}, or CAST it in the query",
    ).for_columns(column)


def unkeepable(column: str, database_type: str, why: str, *, as_text: bool = False) -> NotExact:
    """A column whose type has no equal; ``as_text`` if it cannot be had as text either."""
    what = f"column {column} is of type {database_type}, {why}"
    if as_text:
        return NotExact(what, next_step=f"write {column} as text in the query, or leave it out")
    return NotExact(
        what,
        next_step=f"keep it as text with --as-text {column}, or CAST it in the query",
    ).for_columns(column)


def each(makers: Iterable[Callable[[], _Made]]) -> list[_Made]:
    """What all of them make, one for each column.

    Raises:
        NotExact: A column cannot be kept; where it is several, one error names them all.
    """
    made, faults = [], []
    for make in makers:
        try:
            made.append(make())
        except NotExact as fault:
            faults.append(fault)
    if faults:
        raise together(faults)
    return made


def as_text_options(columns: Iterable[str]) -> list[str]:
    """What is typed to keep ``columns`` as text, word by word."""
    return [word for name in columns for word in ("--as-text", name)]


def together(faults: Sequence[NotExact]) -> NotExact:
    """One error for those of several columns."""
    columns = [name for fault in faults for name in fault.as_text]
    if len(faults) == 1 or len(columns) < len(faults):
        return faults[0]
    return NotExact(
        f"{counted(len(columns), 'column')} cannot be kept exactly",
        next_step=f"keep them as text: {shlex.join(as_text_options(columns))}; or CAST them in the query",
        things=[fault.what for fault in faults],
    ).for_columns(*columns)


def out_of_time(timeout_s: int | None) -> QueryFailed:
    """The statement took longer than it may."""
    return QueryFailed(
        f"the query was ended after {timeout_s} s, its time limit",
        next_step="give it more time with --query-timeout, or narrow it down",
    )


def shown_value(value: Any) -> str:
    """A value on one line of an error, as SQL writes it; a long one is cut."""
    text = without_passwords(literal(value))  # before it is cut, which would hide that there is one
    return cut(text, _SHOWN_CHARACTERS)
