"""Finding ``:name`` in a user's SQL.

A colon means many things: a cast (``x::int``), a slice (``x[1:n]``), a path (Snowflake's ``doc:field``), an entry
(``{'a':b}``), or text inside a string, a comment or a quoted name. What is a placeholder is decided by tokens, and
``reading`` holds it against what the parser understood.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot.tokens import TokenType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlglot.tokens import Token

_NAME = re.compile(r"[^\W\d]\w*")
#: After one of these a colon belongs to what stands before it.
_ENDS_VALUE = frozenset(
    {TokenType.STRING, TokenType.NUMBER, TokenType.HEREDOC_STRING, TokenType.R_BRACE, TokenType.PARAMETER}
)
_ENDS_NAME = frozenset({TokenType.VAR, TokenType.IDENTIFIER, TokenType.R_PAREN, TokenType.R_BRACKET})
_OPENERS = {TokenType.L_PAREN: "(", TokenType.L_BRACKET: "[", TokenType.L_BRACE: "{"}
_CLOSERS = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})
#: Dialects in which ``doc:field``, also with a blank before the colon, is a path into a document.
_PATHS = frozenset({"snowflake", "databricks"})


def find(text: str, tokens: Sequence[Token], dialect: str) -> tuple[tuple[str, int, int], ...]:
    """Name, start and end of each ``:name``, in order; tokens are those of ``text``."""
    found = []
    open_brackets: list[str] = []
    for at, token in enumerate(tokens):
        if opener := _OPENERS.get(token.token_type):
            open_brackets.append("[subscript" if opener == "[" and _subscript(tokens, at) else opener)
        elif token.token_type in _CLOSERS and open_brackets:
            open_brackets.pop()
        elif token.token_type == TokenType.COLON and (name := _NAME.match(text, token.end + 1)):
            before = tokens[at - 1] if at else None
            inside = open_brackets[-1] if open_brackets else "("
            if not _belongs_to(before, token, inside, dialect):
                found.append((name[0], token.start, name.end()))
    return tuple(found)


def doubtful(text: str, tokens: Sequence[Token]) -> int | None:
    """Where a subscript begins with a colon and a name: a slice to the one reader, a parameter to the other."""
    for at, token in enumerate(tokens[1:], 1):
        opens = tokens[at - 1].token_type == TokenType.L_BRACKET and _subscript(tokens, at - 1)
        if opens and token.token_type == TokenType.COLON and _NAME.match(text, token.end + 1):
            return token.start
    return None


def _subscript(tokens: Sequence[Token], at: int) -> bool:
    """Whether the bracket opens a subscript (``x[…]``), not an array (``ARRAY[…]``, ``[…]``)."""
    if at == 0 or tokens[at - 1].text.upper() == "ARRAY":
        return False
    return tokens[at - 1].token_type in _ENDS_NAME


def _belongs_to(before: Token | None, colon: Token, inside: str, dialect: str) -> bool:
    """Whether the colon goes on with what stands before it, so that it opens no placeholder."""
    if before is None:
        return False
    if before.token_type == TokenType.L_BRACKET:
        return inside == "[subscript"
    if before.token_type in _ENDS_VALUE:
        return True
    touches = before.end + 1 == colon.start
    if before.token_type in _ENDS_NAME:
        return touches or inside != "(" or dialect in _PATHS
    return touches and _NAME.fullmatch(before.text) is not None


def masked(
    text: str, tokens: Sequence[Token], places: Sequence[tuple[str, int, int]], dialect: str
) -> tuple[str, dict[str, str]]:
    """``text`` as sqlglot can parse it, of the same length, and what each of its placeholders is really called.

    sqlglot takes no reserved word behind the colon (``:from``), and DuckDB's colon for an alias; both are legal
    names for a value that never reaches the database by this name.
    """
    if not places:
        return text, {}
    words = {token.start for token in tokens if token.token_type == TokenType.VAR}
    used = {name for name, _, _ in places}
    masks: dict[str, str] = {}
    sign = "$" if dialect == "duckdb" else ":"
    parts, end = [], 0
    for name, start, stop in places:
        if name not in masks:
            masks[name] = name if start + 1 in words else _mask(name, used)
            used.add(masks[name])
        parts += [text[end:start], sign, masks[name]]
        end = stop
    return "".join((*parts, text[end:])), {mask: name for name, mask in masks.items()}


def _mask(name: str, used: set[str]) -> str:
    candidates = (
        f"{name[:at]}_{letter}{name[at + 2 :]}" for at in range(len(name) - 1) for letter in "xyzqjkvw"
    )
    return next(one for one in candidates if one not in used)
