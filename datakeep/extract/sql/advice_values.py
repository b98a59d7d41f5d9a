"""Values that differ from run to run: clocks, chance, and what belongs to the session."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.tokens import TokenType

from datakeep.extract.sql.advice_kinds import Advice, advice
from datakeep.extract.sql.reading import offset_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlglot.tokens import Token

    from datakeep.extract.sql.interface import Table
    from datakeep.extract.sql.reading import Reading

#: Called with parentheses, these read a clock.
_CLOCKS = re.compile(
    r"now|now64|today|yesterday|current_(date|time|timestamp|datetime)|local(time|timestamp)|getdate|getutcdate"
    r"|(clock|statement|transaction|utc)_timestamp|timeofday|sysdate|systimestamp|sys(utc)?datetime(offset)?|curdate"
    r"|curtime|utc_(date|time)|get_current_(timestamp|time)|current_localtime(stamp)?"
)
#: The same without an argument only: with one, they convert it.
_CLOCKS_IF_EMPTY = re.compile(
    r"unix_timestamp|unixepoch|date|datetime|time|julianday|tounixtimestamp|current_unixtimestamp"
)
#: Words that read a clock without parentheses; Oracle has two more.
_CLOCK_WORDS = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
_ORACLE_WORDS = frozenset({"sysdate", "systimestamp"})
_SQLITE_TIME = frozenset({"date", "datetime", "time", "julianday", "strftime", "unixepoch", "timediff"})
#: Modifiers of SQLite's times that ask in which zone the machine stands.
_SQLITE_ZONE = frozenset({"localtime", "utc"})
_DATE_WORDS = frozenset({"date", "timestamp", "timestamptz", "time"})
_RELATIVE_TO_NOW = frozenset({"now", "today", "yesterday", "tomorrow"})
_SHIFTS = re.compile(
    r"(date|time|timestamp|datetime)_?(add|sub|diff|trunc_diff)|adddate|subdate|add_months|months_between|age|timediff"
)
_RANDOM = re.compile(
    r"random|rand|randn|rand(32|64)|randcanonical|random_(uniform|normal)|gen_random_(uuid|bytes)|uuid_generate_v[14]\w*"
    r"|uuidv[47]|uuid_string|generate_uuid|generateuuidv[47]|newid|newsequentialid|sys_guid|randstr|randomblob|gen_salt"
    r"|uuid_short|monotonically_increasing_id"
)
_SESSION = re.compile(
    r"current_(setting|database|schema|schemas|catalog|user|role|query|account|warehouse|region|session)"
    r"|session_user|database|connection_id|pg_backend_pid|inet_(client|server)_addr|sys_context|userenv|version"
    r"|last_insert_(id|rowid)|last_insert_rowid|changes|total_changes|txid_current\w*|pg_current_xact_id|host_name"
    r"|app_name|suser_s?name|original_login|user_name|current_transaction_id|pg_(postmaster_start|conf_load)_time"
)
_SESSION_WORDS = frozenset({
    "current_user", "session_user", "current_role", "system_user", "current_schema", "current_catalog",
})  # fmt: skip
#: Where this word, too, is who reads.
_WITH_USER = frozenset({"postgres", "redshift", "oracle"})
#: Columns that PostgreSQL has in every table: where a row lies, in which table, and which transaction wrote it.
_ROW_PLACES = frozenset({"ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"})
#: What gives two values one type.
_BESIDE = (
    exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In, exp.Coalesce, exp.Nullif, exp.Greatest,
    exp.Least, exp.NullSafeEQ, exp.NullSafeNEQ,
)  # fmt: skip
_TEXTS = (
    exp.Lower, exp.Upper, exp.Trim, exp.Substring, exp.Replace, exp.Concat, exp.DPipe, exp.JSONExtractScalar,
)  # fmt: skip
_TEXT_TYPE = re.compile(r"text|char|character|varchar|bpchar|citext|name|\"char\"", re.IGNORECASE)
_BIND = "bind it as a parameter, :day, so that the value is recorded with the dataset"


def on_values(reading: Reading, tables: Mapping[str, Table] | None) -> Iterator[Advice]:
    """Advice on every value that another run would not have again, one for each place.

    Args:
        reading: The query.
        tables: What the catalogue has of its tables; None if it was not asked.
    """
    yield from _on_compared(reading, tables)
    tokens = reading.tokens
    for at, token in enumerate(tokens):
        if token.token_type == TokenType.STRING:
            yield from _on_text(reading, at)
        elif re.match(r"\w", token.text) and (
            token.token_type != TokenType.IDENTIFIER or _type(tokens, at + 1) == TokenType.L_PAREN
        ):
            yield from _on_word(reading, at)


def _on_word(reading: Reading, at: int) -> Iterator[Advice]:
    tokens, word = reading.tokens, reading.tokens[at].text.lower()
    if word in _ROW_PLACES and reading.dialect == "postgres" and not _is_given(tokens, word):
        yield advice(reading, tokens[at].start, "row-place", word, "sort and choose by a key of the table")
        return
    if _is_name(tokens, at):
        return
    called = _type(tokens, at + 1) == TokenType.L_PAREN
    empty = called and _type(tokens, at + 2) == TokenType.R_PAREN
    if _is_clock(word, reading.dialect, called=called, empty=empty):
        yield _on_clock(reading, at, _end(tokens, at), f"{word}{'()' if called else ''}")
    elif (
        word == "age"
        and called
        and reading.dialect in {"postgres", "redshift"}
        and _arguments(tokens, at + 1) == 1
    ):
        yield _relative(reading, at, "age() of one date")
    elif (called and _RANDOM.fullmatch(word)) or (word == "uuid" and empty) or word == "dbms_random":
        yield advice(
            reading,
            tokens[at].start,
            "random",
            f"{word}{'()' if called else ''}",
            "choose by the data itself, such as a hash of the key: the same rows are chosen again",
        )
    elif (called and _SESSION.fullmatch(word)) or _is_session_word(reading.dialect, word):
        yield advice(
            reading, tokens[at].start, "session-value", word, "write the value, or bind it as a parameter"
        )


def _is_session_word(dialect: str, word: str) -> bool:
    return word in _SESSION_WORDS or (word == "user" and dialect in _WITH_USER)


def _is_clock(word: str, dialect: str, *, called: bool, empty: bool) -> bool:
    if called and _CLOCKS.fullmatch(word):
        return True
    if empty and _CLOCKS_IF_EMPTY.fullmatch(word):
        return True
    return not called and (word in _CLOCK_WORDS or (word in _ORACLE_WORDS and dialect == "oracle"))


def _on_text(reading: Reading, at: int) -> Iterator[Advice]:
    """``'now'`` and the like, where SQLite or PostgreSQL takes the text for a time, or for the machine's zone."""
    tokens, text = reading.tokens, reading.tokens[at].text.lower()
    before = tokens[at - 1].text.lower() if at else ""
    if reading.dialect == "sqlite" and text in _SQLITE_ZONE and _enclosing(tokens, at) in _SQLITE_TIME:
        way_out = "keep the times in UTC, and add a fixed shift where one is needed: '+9 hours'"
        yield advice(
            reading, tokens[at].start, "session-value", f"'{text}', the zone of the machine", way_out
        )
    elif reading.dialect == "sqlite" and text == "now":
        if _enclosing(tokens, at) in _SQLITE_TIME:
            shifted = _type(tokens, at + 1) == TokenType.COMMA and re.match(r"[+-]?\d", tokens[at + 2].text)
            yield _relative(reading, at, "'now'") if shifted else _clock(reading, at, "'now'")
    elif reading.dialect in {"postgres", "redshift", "duckdb"} and text in _RELATIVE_TO_NOW:
        cast = _type(tokens, at + 1) == TokenType.DCOLON and tokens[at + 2].text.lower() in _DATE_WORDS
        named = _type(tokens, at + 1) == TokenType.ALIAS and tokens[at + 2].text.lower() in _DATE_WORDS
        if named and _enclosing(tokens, at) in ("cast", "try_cast"):
            yield _on_clock(
                reading, _opening(tokens, at) - 1, _closing(tokens, _opening(tokens, at)), f"'{text}'"
            )
        elif cast or before in _DATE_WORDS:
            yield _on_clock(reading, at, _end(tokens, at), f"'{text}'")


def _on_compared(reading: Reading, tables: Mapping[str, Table] | None) -> Iterator[Advice]:
    """``d < 'now'``, where PostgreSQL takes the text for a time because of what stands beside it."""
    for text in reading.tree.find_all(exp.Literal) if reading.dialect in {"postgres", "redshift"} else ():
        if not text.is_string or text.name.lower() not in _RELATIVE_TO_NOW:
            continue
        value: exp.Expr = text
        while isinstance(value.parent, exp.Paren):
            value = value.parent
        beside = [one for one in (value.parent or value).iter_expressions() if one is not value]
        if isinstance(value.parent, _BESIDE) and not any(_is_text(one, tables or {}) for one in beside):
            said = f"'{text.name.lower()}', compared with a day or moment"
            yield advice(reading, offset_of(text), "clock", said, _BIND)


def _is_text(node: exp.Expr, tables: Mapping[str, Table]) -> bool:
    """Whether what is compared is a text, as far as the query and the catalogue tell."""
    node = node.unnest()
    if isinstance(node, exp.Literal):
        return (
            node.is_string and not re.search(r"\d", node.name) and node.name.lower() not in _RELATIVE_TO_NOW
        )
    if isinstance(node, exp.Column):
        columns = [one for table in tables.values() for one in table.columns]
        kinds = [one.database_type or "" for one in columns if one.name.lower() == node.name.lower()]
        return bool(kinds) and all(_TEXT_TYPE.match(kind) for kind in kinds)
    if isinstance(node, exp.Coalesce):
        return any(_is_text(one, tables) for one in node.iter_expressions())
    return isinstance(node, _TEXTS) or (isinstance(node, exp.Cast) and node.is_type(*exp.DataType.TEXT_TYPES))


def _on_clock(reading: Reading, at: int, end: int, name: str) -> Advice:
    tokens = reading.tokens
    arithmetic = {TokenType.DASH, TokenType.PLUS}
    shifted = _type(tokens, end + 1) in arithmetic or (at > 0 and tokens[at - 1].token_type in arithmetic)
    if shifted or _SHIFTS.fullmatch(_enclosing(tokens, at)):
        return _relative(reading, at, name)
    return _clock(reading, at, name)


def _clock(reading: Reading, at: int, name: str) -> Advice:
    return advice(reading, reading.tokens[at].start, "clock", name, _BIND)


def _relative(reading: Reading, at: int, name: str) -> Advice:
    way_out = "bind both ends as parameters, :since and :until, so that the span is recorded with the dataset"
    return advice(reading, reading.tokens[at].start, "relative-date", name, way_out)


def _type(tokens: Sequence[Token], at: int) -> TokenType | None:
    return tokens[at].token_type if 0 <= at < len(tokens) else None


def _is_name(tokens: Sequence[Token], at: int) -> bool:
    """Whether the word is a column or an alias: behind a dot (but a function's schema), or behind AS."""
    before = _type(tokens, at - 1)
    if before == TokenType.DOT:
        return _type(tokens, at + 1) != TokenType.L_PAREN
    return before == TokenType.ALIAS


def _is_given(tokens: Sequence[Token], word: str) -> bool:
    """Whether the query itself gives the name to something; a table can have no column of such a name."""
    return any(
        token.text.lower() == word and _type(tokens, at - 1) in (TokenType.ALIAS, TokenType.R_PAREN)
        for at, token in enumerate(tokens)
    )


def _end(tokens: Sequence[Token], at: int) -> int:
    """The last token of a call, with a cast behind it: ``now()::date``."""
    end = at
    if _type(tokens, at + 1) == TokenType.L_PAREN:
        end = _closing(tokens, at + 1)
    if _type(tokens, end + 1) == TokenType.DCOLON:
        end += 2
    return end


def _closing(tokens: Sequence[Token], opening: int) -> int:
    depth = 0
    for at in range(opening, len(tokens)):
        depth += (tokens[at].token_type == TokenType.L_PAREN) - (tokens[at].token_type == TokenType.R_PAREN)
        if depth == 0:
            return at
    return len(tokens) - 1


def _arguments(tokens: Sequence[Token], opening: int) -> int:
    depth, commas = 0, 0
    for token in tokens[opening : _closing(tokens, opening)]:
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        commas += depth == 1 and token.token_type == TokenType.COMMA
    return commas + 1


def _enclosing(tokens: Sequence[Token], at: int) -> str:
    """The name of the function in whose parentheses the token stands directly; empty if in none."""
    opening = _opening(tokens, at)
    return tokens[opening - 1].text.lower() if opening else ""


def _opening(tokens: Sequence[Token], at: int) -> int:
    """Where the parenthesis is in which the token stands directly; 0 if in none."""
    depth = 0
    for before in range(at - 1, 0, -1):
        kind = tokens[before].token_type
        if kind == TokenType.R_PAREN:
            depth += 1
        elif kind == TokenType.L_PAREN:
            if depth == 0:
                return before
            depth -= 1
    return 0
