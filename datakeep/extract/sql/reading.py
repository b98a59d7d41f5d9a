"""A query's text as sqlglot reads it: tokens, tree and placeholders, or the place where it makes no sense."""

from __future__ import annotations

import functools
import logging
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn

from sqlglot import Dialect, ErrorLevel, exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokens import TokenType

from datakeep.core.errors import UsageError
from datakeep.core.names import nearest
from datakeep.extract.sql import colons
from datakeep.extract.sql.faults import QueryRefused
from datakeep.extract.sql.places import place, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlglot.tokens import Token

# sqlglot warns of what its optimizer cannot do; where nothing is set up for logs, Python would print that.
logging.getLogger("sqlglot").addHandler(logging.NullHandler())

#: A query longer than this, in characters, is not read: parsing it would take minutes.
MAX_CHARACTERS = 1_000_000
_OPENED = re.compile(
    r"'(?:[^']|'')*('|$)|\"(?:[^\"]|\"\")*(\"|$)|`[^`]*(`|$)|--[^\n]*|/\*.*?(\*/|$)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One statement, read.

    Attributes:
        text: As it was written.
        dialect: In which it was read.
        tokens: Of ``text``, with start and end in characters.
        tree: sqlglot's; positions in its nodes are those of ``text``. Shared: copy it before changing it.
        placeholders: Name, start and end of each ``:name``.
    """

    text: str
    dialect: str
    tokens: tuple[Token, ...]
    tree: exp.Expr
    placeholders: tuple[tuple[str, int, int], ...]


def dialect_of(name: str) -> Dialect:
    """The dialect of this name.

    Raises:
        UsageError: sqlglot has none.
    """
    found = Dialect.get(name) if name else None  # reads the module of this one alone
    if found is None:
        known = sorted(one for one in Dialect.classes if one)
        near = nearest(name, known)
        hint = f"did you mean {near}?" if near else f"one of {', '.join(known)}"
        raise UsageError(f"there is no SQL dialect '{name}'", next_step=hint)
    return found()


def refuse(text: str, offset: int, what: str, way_out: str) -> NoReturn:
    """Raise QueryRefused at a place of ``text``, with that line and a caret below it."""
    raise QueryRefused(f"{place(text, offset)}: {what}", next_step=way_out, things=shown(text, offset))


def tokens_of(text: str, dialect: str) -> tuple[Token, ...]:
    """The tokens of ``text``.

    Raises:
        QueryRefused: A quote or comment is not closed.
        UsageError: There is no such dialect.
    """
    try:
        return tuple(dialect_of(dialect).tokenize(text))
    except SqlglotError:
        open_at = [one.start() for one in _OPENED.finditer(text) if "" in one.groups()]
        refuse(
            text,
            open_at[0] if open_at else len(text.rstrip()),
            "a quote or comment that begins here is not closed" if open_at else "the text ends too early",
            "close it, or name the right dialect with --dialect",
        )


@functools.lru_cache(maxsize=64)
def read(text: str, dialect: str) -> Reading:
    """The one statement in ``text``, whatever it is.

    Raises:
        QueryRefused: It cannot be parsed; shows line, column and a caret.
        UsageError: There is no such dialect.
    """
    tokens = tokens_of(text, dialect)
    _refuse_commas(text, tokens)
    doubtful = colons.doubtful(text, tokens)
    if doubtful is not None:
        refuse(
            text,
            doubtful,
            "whether this is a slice or a parameter cannot be told",
            "write a slice with both ends, [1:n], and a parameter in parentheses, [(:n)]",
        )
    places = colons.find(text, tokens, dialect)
    to_parse, names = colons.masked(text, tokens, places, dialect)
    trees = _parsed(text, to_parse, dialect, tokens)
    tree = next((one for one in trees if one is not None and not isinstance(one, exp.Semicolon)), None)
    if tree is None:
        refuse(text, 0, "there is no query", "write one SELECT")
    _name_placeholders(text, tree, places, names)
    return Reading(text, dialect, tokens, tree, places)


def _refuse_commas(text: str, tokens: Sequence[Token]) -> None:
    """No database takes a list with a hole in it, as sqlglot does; some take a comma at its end."""
    for before, token in pairwise(tokens):
        if token.token_type == TokenType.COMMA and before.token_type in (TokenType.COMMA, TokenType.SELECT):
            refuse(
                text,
                token.start,
                "syntax error: something is missing before `,`",
                "take the comma out, or name what is missing",
            )


def _parsed(text: str, to_parse: str, dialect: str, tokens: Sequence[Token]) -> list[Any]:
    known = dialect_of(dialect)
    try:
        parser = known.parser(error_level=ErrorLevel.IMMEDIATE)
        return list(parser.parse(known.tokenize(to_parse), to_parse))
    except ParseError as error:
        _refuse_syntax(text, error, tokens)
    except RecursionError:
        refuse(text, 0, "the query is nested too deeply to be read", "split it into WITH queries")


def _refuse_syntax(text: str, error: ParseError, tokens: Sequence[Token]) -> NoReturn:
    first = error.errors[0] if error.errors else {}
    line, column = first.get("line"), first.get("col")
    at = next((token for token in tokens if (token.line, token.col) == (line, column)), None)
    near = f"`{at.text}`" if at else "the end"
    said = str(first.get("description") or error).partition(" but got <Token")[0]
    if said.startswith("Expected"):
        what = f"{said[0].lower()}{said[1:]} at {near}"
    elif said.startswith("Expecting"):
        what = f"{said[0].lower()}{said[1:]} after {near}"
    elif "missing for" in said:
        what = f"something is missing at {near}"
    else:
        what = f"{near} is not understood here"
    refuse(
        text,
        at.start if at else len(text.rstrip()),
        f"syntax error: {what}",
        "correct it, name the right dialect with --dialect, or put what only the database understands into a view",
    )


def _name_placeholders(
    text: str, tree: exp.Expr, places: Sequence[tuple[str, int, int]], names: dict[str, str]
) -> None:
    """Give the tree's placeholders the names that the user wrote, and hold them against those that were found."""
    understood = []
    for node in tree.find_all(exp.Placeholder):
        mask = node.this if isinstance(node.this, str) else ""
        if mask in names:
            node.set("this", names[mask])
        understood.append(names.get(mask, mask))
    doubtful = next((one for one in places if one[0] not in understood), None)
    if doubtful:
        name, start, _ = doubtful
        refuse(
            text,
            start,
            f"whether :{name} is a parameter here cannot be told",
            f"write it in parentheses: (:{name})",
        )


def offset_of(node: exp.Expr) -> int | None:
    """Where ``node`` begins in the text, as far as its parts know; None if none does."""
    starts = [one.meta["start"] for one in node.walk() if "start" in one.meta]
    return min(starts) if starts else None
