"""What is not one SELECT, or does more than read: found before anything is sent.

The list of functions is the first wall only: any function of the database's owners may write. The second one is the
read-only transaction, in which the query runs.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.tokens import TokenType

from datakeep.extract.sql.reading import Reading, offset_of, refuse, tokens_of
from datakeep.extract.sql.refused_functions import HIDING, is_refused_package, what_it_does

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlglot.tokens import Token

_ONE_SELECT = "write one SELECT (WITH, VALUES and UNION are taken too)"
_STARTS = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "FROM", "("})
_LEAVE_OUT = "leave the call out: an extraction reads, and nothing else"
_TABLES_HIDDEN = "write it out: what a text holds cannot be seen, so neither can the tables that it reads"

_LOCK_HINTS = frozenset(
    {"UPDLOCK", "XLOCK", "TABLOCKX", "TABLOCK", "HOLDLOCK", "PAGLOCK", "ROWLOCK", "SERIALIZABLE"}
)
_WAYS = {
    "EXPLAIN": "leave EXPLAIN out: the query itself is run and recorded",
    "DESCRIBE": "write SELECT * FROM the table",
    "SUMMARIZE": "write SELECT * FROM the table; the profile of the data is made anyway",
    "SHOW": "write a SELECT from the catalogue's tables",
    "CALL": "write the SELECT that the procedure runs",
    "DO": "write the SELECT that the block runs",
    "COPY": "write the SELECT alone: datakeep writes its rows itself",
    "PIVOT": "write SELECT * FROM (PIVOT …)",
    "UNPIVOT": "write SELECT * FROM (UNPIVOT …)",
    "EXEC": "write the SELECT that the procedure runs",
    "EXECUTE": "write the SELECT that was prepared",
}
_NESTED: tuple[tuple[type[exp.Expr], str, str], ...] = (
    (exp.Insert, "INSERT writes", "leave it out: write a SELECT of the rows as they are"),
    (exp.Update, "UPDATE writes", "leave it out: write a SELECT of the rows as they are"),
    (exp.Delete, "DELETE writes", "leave it out: write a SELECT of the rows as they are"),
    (exp.Merge, "MERGE writes", "leave it out: write a SELECT of the rows as they are"),
    (exp.Create, "CREATE writes", "use WITH … for what the query needs on its way"),
    (exp.Copy, "COPY writes", "write the SELECT alone: datakeep writes its rows itself"),
    (exp.Command, "this is not understood as part of a SELECT", _ONE_SELECT),
    (exp.Into, "SELECT … INTO writes a table or a variable", "leave INTO out: datakeep writes the rows itself"),
    (exp.Lock, "FOR UPDATE and FOR SHARE lock rows", "leave the lock out: the query runs on one snapshot anyway"),
    (exp.NextValueFor, "NEXT VALUE FOR moves a sequence on", "leave it out, or number the rows with row_number()"),
)  # fmt: skip


def check_start(text: str, dialect: str) -> None:
    """Refuse, by its tokens alone, a text that is empty, several statements, or begins as no SELECT does.

    Raises:
        QueryRefused: It does; names what stands there, its place, and the way out.
        UsageError: There is no such dialect.
    """
    tokens = tokens_of(text, dialect)
    words = [token for token in tokens if token.token_type != TokenType.SEMICOLON]
    if not words:
        refuse(text, 0, "there is no query: the text is empty", _ONE_SELECT)
    _check_second(text, tokens, words[-1])
    _check_disguise(text, tokens)
    _check_comments(text, tokens, dialect)
    start = words[0].text.upper()
    if start not in _STARTS or (
        start == "FROM" and dialect not in {"duckdb", "bigquery", "spark", "databricks", "hive"}
    ):
        kind = start if re.fullmatch(r"[A-Z]+", start) else f"`{words[0].text}`"
        refuse(text, words[0].start, f"{kind} is not a SELECT", _WAYS.get(kind, _ONE_SELECT))


def _check_second(text: str, tokens: tuple[Token, ...], last: Token) -> None:
    begun = False
    for at, token in enumerate(tokens):
        if token.token_type != TokenType.SEMICOLON:
            begun = True
        elif begun and token.start < last.start:
            second = next(one for one in tokens[at:] if one.token_type != TokenType.SEMICOLON)
            refuse(
                text,
                second.start,
                "a second statement begins here, and an extraction is one SELECT",
                "keep the one SELECT; what it needs on its way goes into WITH …",
            )


def _check_comments(text: str, tokens: tuple[Token, ...], dialect: str) -> None:
    """MySQL runs what stands in ``/*! … */``, though every other reader takes it for a comment."""
    if dialect not in {"mysql", "doris", "starrocks", "singlestore"}:
        return
    for found in re.finditer(r"/\*M?!", text):
        if not any(token.start <= found.start() <= token.end for token in tokens):
            what = "MySQL runs what stands in a comment that begins with /*!"
            refuse(text, found.start(), what, "write it outside of a comment, or make it a plain comment")


def _check_disguise(text: str, tokens: tuple[Token, ...]) -> None:
    """Refuse templates, which are no SQL yet, and names whose letters are escapes, which nobody can read."""
    for token, following in pairwise(tokens):
        touches = following.start == token.end + 1
        if token.text == "{%" or (token.text == following.text == "{" and touches):
            way_out = "render it first; write what changes as :name"
            refuse(text, token.start, "this is a template, not SQL", way_out)
        escaped = text[max(0, token.end - 1) : token.end + 1].upper() == "U&"
        if escaped and touches and following.token_type == TokenType.IDENTIFIER:
            way_out = "write the name itself, in quotes"
            refuse(text, token.end - 1, "a name is written in escapes", way_out)


def check_tree(reading: Reading) -> None:
    """Refuse what is no query, or does more than read.

    Raises:
        QueryRefused: It does; names what it is, its place, and the way out.
    """
    _check_root(reading)
    for kind, what, way_out in _NESTED:
        for node in reading.tree.find_all(kind):
            refuse(reading.text, _place_of(reading, node), what, way_out)
    _check_tables(reading)
    _check_parameters(reading)
    for start, what, way_out in _calls(reading):
        refuse(reading.text, start, what, way_out)


def _check_tables(reading: Reading) -> None:
    """Refuse parameters in the place of tables, and hints that lock."""
    for table in reading.tree.find_all(exp.Table):
        if isinstance(table.this, exp.Placeholder):
            refuse(
                reading.text,
                next((start for name, start, _ in reading.placeholders if name == table.this.this), 0),
                "a table cannot be a parameter: nobody could tell what is read",
                "write its name; a parameter stands for a value",
            )
    for hint in reading.tree.find_all(exp.WithTableHint):
        locks = sorted({one.name.upper() for one in hint.expressions} & _LOCK_HINTS)
        if locks:
            what = f"the hint {', '.join(locks)} locks rows"
            way_out = "leave the hint out: the query runs on one snapshot anyway"
            refuse(reading.text, _word(reading, *locks) or 0, what, way_out)


def _check_root(reading: Reading) -> None:
    root = reading.tree
    while isinstance(root, exp.Subquery | exp.Paren) and isinstance(root.this, exp.Expr):
        root = root.this
    if not isinstance(root, exp.Query | exp.Values | exp.SetOperation | exp.Table):
        refuse(reading.text, offset_of(root) or 0, "this is not a SELECT", _ONE_SELECT)


def _place_of(reading: Reading, node: exp.Expr) -> int:
    """Where the keyword of ``node`` stands: nodes of statements know only where their parts are."""
    words = ("FOR", "LOCK") if isinstance(node, exp.Lock) else (type(node).__name__.upper(),)
    inner = offset_of(node)
    if inner is None and node.parent is not None:
        return _word(reading, *words, last=True) or 0
    before = [
        token.start for token in reading.tokens if token.text.upper() in words and token.start <= (inner or 0)
    ]
    return before[-1] if before else inner or 0


def _word(reading: Reading, *words: str, last: bool = False) -> int | None:
    found = [token.start for token in reading.tokens if token.text.upper() in words]
    return (found[-1] if last else found[0]) if found else None


def _check_parameters(reading: Reading) -> None:
    ours = {name for name, _, _ in reading.placeholders}
    for node in reading.tree.find_all(exp.Parameter, exp.Placeholder):
        if isinstance(node, exp.Placeholder) and node.this in ours:
            continue
        if reading.dialect == "snowflake" and node.name.isdigit():
            continue  # a column of a staged file
        signs = {TokenType.PARAMETER, TokenType.PLACEHOLDER, TokenType.MOD, TokenType.COLON}
        known = {start for _, start, _ in reading.placeholders}
        at = offset_of(node)
        starts = [one.start for one in reading.tokens if one.token_type in signs and one.start not in known]
        nearest = [start for start in starts if at is None or start <= at]
        _refuse_variable(
            reading, nearest[-1] if nearest and at is not None else nearest[0] if nearest else at or 0
        )
    if reading.dialect == "sqlite":  # which sqlglot takes for columns
        named = (
            one for one in reading.tokens if one.token_type == TokenType.VAR and one.text.startswith("$")
        )
        if variable := next(named, None):
            _refuse_variable(reading, variable.start)


def _refuse_variable(reading: Reading, at: int) -> None:
    refuse(
        reading.text,
        at,
        "a parameter or variable whose value nobody can see",
        "write parameters as :name, and give each its value with --param name=value",
    )


def _calls(reading: Reading) -> Iterator[tuple[int, str, str]]:
    """Place, what it does and the way out of each call that an extraction must not make."""
    tokens = reading.tokens
    aliases = {offset_of(one.this) for one in reading.tree.find_all(exp.TableAlias) if one.this}
    for at, token in enumerate(tokens[:-1]):
        if token.token_type == TokenType.STRING or token.start in aliases:
            continue
        name, following = token.text.lower(), tokens[at + 1].token_type
        after_dot = at > 0 and tokens[at - 1].token_type == TokenType.DOT
        if following == TokenType.L_PAREN:
            what = what_it_does(name, reading.dialect)
            if what:
                way_out = _TABLES_HIDDEN if what in HIDING else _LEAVE_OUT
                yield token.start, f"{name}() {what}", way_out
        elif following == TokenType.DOT and is_refused_package(name, reading.dialect):
            yield (
                token.start,
                f"the package {name} reaches out of the database, or changes something",
                _LEAVE_OUT,
            )
        if after_dot and name in {"nextval", "currval"} and reading.dialect in {"oracle", "snowflake"}:
            yield token.start, f"{name} uses a sequence", "leave it out, or number the rows with row_number()"
    last = tokens[-1]
    if last.text.lower() == "nextval" and reading.dialect in {"oracle", "snowflake"}:
        yield last.start, "nextval uses a sequence", "leave it out, or number the rows with row_number()"
