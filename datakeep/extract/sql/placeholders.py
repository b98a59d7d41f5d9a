"""A statement as a driver takes it: placeholders replaced, its end cut off, and the way back to the user's text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from datakeep.extract.sql.interface import Statement


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent in place of a statement's text.

    Attributes:
        text: Without a semicolon and what follows it. It may end in a comment: whoever puts it into parentheses
            closes them on a line of their own.
        moves: For each replacement, in order: its start and end in ``text``, and those of what it replaced.
    """

    text: str
    moves: tuple[tuple[int, int, int, int], ...] = ()

    def origin(self, place: int) -> int:
        """The place in the user's text of a place in ``text``, both from 0; in a replacement, its placeholder's."""
        shift = 0
        for start, end, was_start, was_end in self.moves:
            if place < start:
                break
            if place < end:
                return was_start
            shift = was_end - end
        return place + shift


def substituted(statement: Statement, stand_in: Callable[[str], str]) -> Sent:
    """``statement`` with ``stand_in(name)`` in place of each ``:name``, and without a semicolon at its end."""
    text, sent, moves, taken = statement.text, "", [], 0
    for name, start, end in statement.placeholders:
        sent += text[taken:start]
        replacement = stand_in(name)
        moves.append((len(sent), len(sent) + len(replacement), start, end))
        sent += replacement
        taken = end
    sent += text[taken : _end(text, statement.dialect)]
    return Sent(sent, tuple(moves))


def _end(text: str, dialect: str) -> int:
    """Where the statement ends: before the semicolons that close it, if it has any."""
    end = len(text)
    if ";" not in text:
        return end
    import sqlglot

    for token in reversed(sqlglot.tokenize(text, read=dialect)):
        if token.token_type != sqlglot.TokenType.SEMICOLON:
            break
        end = token.start
    return end
