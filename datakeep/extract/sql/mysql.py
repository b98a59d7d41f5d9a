"""MySQL and MariaDB, through pymysql.

The driver asks in MySQL's text protocol, in which a FLOAT has six digits (16777216 arrives as 16777200):
such columns are read as DOUBLE, which has all of them. Dates and times are read as text and parsed here,
because the driver turns what it cannot parse into something else.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import AccessDenied, DatakeepError
from datakeep.extract.sql.alchemy_kinds import Kind, Probed
from datakeep.extract.sql.faults import DatabaseUnreachable, NotExact, QueryFailed, QueryRefused
from datakeep.extract.sql.interface import Snapshot
from datakeep.extract.sql.mysql_charsets import watch
from datakeep.extract.sql.placeholders import substituted
from datakeep.extract.sql.python_values import Column, Form, decimal_type
from datakeep.extract.sql.refusals import check_columns, each, out_of_time, place_of, refused, unkeepable

if TYPE_CHECKING:
    from datakeep.extract.sql.interface import Exactness, Parameter, Statement

#: https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html
_INTEGERS = {1: ("TINYINT", 8), 2: ("SMALLINT", 16), 9: ("MEDIUMINT", 32), 3: ("INT", 32), 8: ("BIGINT", 64)}
_DECIMALS = frozenset({0, 246})
_FLOAT, _DOUBLE, _NULL, _TIMESTAMP, _DATETIME, _TIME, _YEAR, _BIT, _JSON, _GEOMETRY = (
    4,
    5,
    6,
    7,
    12,
    11,
    13,
    16,
    245,
    255,
)
_DATES = frozenset({10, 14})
_TEXT_PARSED = (7, 10, 11, 12, 14)
_UNSIGNED, _ENUM, _SET = 32, 256, 2048
_BINARY_CHARSET = 63
_BYTES_OF_A_CHARACTER = 4
#: How long a server that is to be told to stop is waited for.
_CANCEL_S = 3
_TAIL = ") AS datakeep_query LIMIT 0"

_DENIED = frozenset({1044, 1045, 1142, 1143, 1227, 1370, 1698})
_GONE = frozenset({0, 1040, 1053, 2002, 2003, 2005, 2006, 2013, 2055})
_READ_ONLY = 1792
#: What a value of GROUP_CONCAT, or of another function, was too long for.
_CUT = frozenset({1260, 1301})
_TIMED_OUT = frozenset({1969, 3024})
_OF_TEXT = frozenset(
    {
        1046,
        1049,
        1051,
        1052,
        1054,
        1055,
        1056,
        1060,
        1064,
        1066,
        1109,
        1111,
        1140,
        1146,
        1222,
        1248,
        1305,
        1582,
    }
)
_NEAR = re.compile(r"near '(.*)' at line (\d+)", re.DOTALL)
_QUOTED = re.compile(
    r"(?:Table|column|FUNCTION|PROCEDURE|database|table) '?(?:[^' ]*\.)?([^'. ]+)'?", re.IGNORECASE
)
_LARGEST = {"MariaDB": ("max_statement_time", 1), "MySQL": ("max_execution_time", 1000)}


class MySql(Kind):
    """MySQL, MariaDB, and what speaks like them."""

    what, extra, package, default = "MySQL", "mysql", "pymysql", "mysql+pymysql"

    def options(self) -> dict[str, Any]:
        """Text in UTF-8, and no reading of dates by the driver."""
        from pymysql.converters import conversions

        kept = {key: value for key, value in conversions.items() if key not in _TEXT_PARSED}
        return {"conv": kept, "charset": "utf8mb4", "connect_timeout": 15}

    def begin(self, connection: Any, timeout_s: int | None) -> Snapshot:
        """A consistent snapshot at REPEATABLE READ; TIMESTAMPs are asked for in UTC."""
        connection.exec_driver_sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.exec_driver_sql("SET SESSION time_zone = '+00:00'")
        # GROUP_CONCAT ends at 1,024 characters of MySQL, at a million of MariaDB, with nothing but a warning.
        connection.exec_driver_sql("SET SESSION group_concat_max_len = 4294967295")
        if timeout_s is not None:
            name, factor = _LARGEST[self.server(connection).partition(" ")[0]]
            connection.exec_driver_sql(f"SET SESSION {name} = {timeout_s * factor}")
        connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        (now,) = connection.exec_driver_sql("SELECT UTC_TIMESTAMP(6)").fetchone()
        return Snapshot(
            "repeatable read, read only, consistent snapshot", datetime.fromisoformat(now).replace(tzinfo=UTC)
        )

    def server(self, connection: Any) -> str:
        """``MariaDB 10.11.18`` or ``MySQL 8.0.36``."""
        (version,) = connection.exec_driver_sql("SELECT VERSION()").fetchone()
        product = "MariaDB" if "mariadb" in version.lower() else "MySQL"
        return f"{product} {re.split('-mariadb', version, flags=re.IGNORECASE)[0]}"

    def probe(
        self, connection: Any, statement: Statement, text: str, values: Any, exactness: Exactness
    ) -> Probed:
        """Ask for no rows of it, which tells what its columns are."""
        _check(connection, statement)
        result = connection.exec_driver_sql(f"SELECT * FROM (\n{text}\n{_TAIL}", values)  # noqa: S608
        fields = result.cursor._result.fields  # noqa: SLF001  (only there: unsigned, character set, digits)
        result.close()
        check_columns([field.name for field in fields], exactness)
        columns = tuple(each(partial(_column, field, exactness) for field in fields))
        texts = [
            column.name
            for column, field in zip(columns, fields, strict=True)
            if field.charsetnr != _BINARY_CHARSET
        ]
        looking = watch(connection, text, values, texts) if texts else None
        singles = [column.name for column in columns if column.database_type == "float"]
        if not singles:
            return Probed(text, columns, looking)
        if statement.ordered:
            raise _ordered(singles[0])
        chosen = ", ".join(_projected(column) for column in columns)
        return Probed(f"SELECT {chosen} FROM (\n{text}\n) AS datakeep_query", columns, looking)  # noqa: S608  (the user's own)

    def ended(self, connection: Any) -> None:
        """The server says only in a warning that it made less of a value, or NULL, for its length."""
        for _, code, said in connection.exec_driver_sql("SHOW WARNINGS").fetchall():
            if code in _CUT:
                raise NotExact(
                    f"the server cut a value: {said}",
                    next_step="let the query make shorter values, or ask for a larger max_allowed_packet",
                )

    def abandon(self, cursor: Any) -> None:
        """Keep pymysql from reading, on a closed connection, what is left of a result."""
        result = getattr(cursor, "_result", None)
        if result is not None:
            result.unbuffered_active = False

    def cancel(self, engine: Any, connection: Any) -> None:
        """Through a connection of its own, which this user may do to what is theirs."""
        words, options = engine.dialect.create_connect_args(engine.url)
        quick = {"connect_timeout": _CANCEL_S, "read_timeout": _CANCEL_S}
        other = engine.dialect.connect(*words, **{**options, **quick})
        try:
            other.cursor().execute(f"KILL QUERY {int(connection.thread_id())}")
        finally:
            other.close()

    def bound(self, name: str, parameter: Parameter) -> Any:  # noqa: ARG002
        """Pymysql writes a float with all its digits; a moment with a zone goes over in UTC, as the session is."""
        value = parameter.value
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC).replace(tzinfo=None)
        return value

    def fault(self, error: Exception, text: str, timeout_s: int | None, *, started: bool) -> DatakeepError:
        """By MySQL's error numbers (https://mariadb.com/kb/en/mariadb-error-code-reference/)."""
        code, said = _code(error)
        if code in _TIMED_OUT:
            return out_of_time(timeout_s)
        if code in _DENIED:
            return _denied(said)
        if code in _GONE or (code is None and isinstance(getattr(error, "orig", error), OSError)):
            return DatabaseUnreachable(
                f"the connection to the server ended: {said}", next_step="run it again"
            )
        if code == _READ_ONLY:
            return QueryRefused(
                f"the query does more than read: {said}",
                next_step="take that out; only a plain SELECT is run",
            )
        if code in _OF_TEXT and not started:
            return refused(_words(said), text, _place(said, text), "correct the query and run it again")
        return QueryFailed(f"the server gave up: {said}", next_step="correct the query and run it again")

    def unreachable(self, error: Exception, shown: str) -> DatakeepError:
        """A wrong password and an unknown database are no unreachable server."""
        code, said = _code(error)
        if code in _DENIED:
            return AccessDenied(
                f"{shown} does not let this user in: {said}", next_step="check user and password"
            )
        if code == 1049:
            return DatabaseUnreachable(
                f"{shown}: {said}", next_step="check the name after the last / of the URL"
            )
        return super().unreachable(error, shown)


def _check(connection: Any, statement: Statement) -> None:
    """Let the server read the query without running it, so that its complaint has a place in the user's text.

    Raises:
        QueryRefused: It does not take it.
    """
    import sqlalchemy

    sent = substituted(statement, lambda _: "?")
    try:
        connection.exec_driver_sql("PREPARE datakeep_query FROM %s", (sent.text,)).close()
        connection.exec_driver_sql("DEALLOCATE PREPARE datakeep_query").close()
    except sqlalchemy.exc.DBAPIError as error:
        code, said = _code(error)
        if code not in _OF_TEXT:
            raise
        place = _place(said, sent.text)
        origin = None if place is None else sent.origin(place)
        raise refused(_words(said), statement.text, origin, "correct the query and run it again") from None


def _code(error: Exception) -> tuple[int | None, str]:
    arguments: tuple[Any, ...] = getattr(getattr(error, "orig", None) or error, "args", ())
    if len(arguments) > 1 and isinstance(arguments[0], int):
        return arguments[0], str(arguments[1])
    # pymysql raises InterfaceError(0, '') on a connection that is closed.
    return (arguments[0] if arguments and isinstance(arguments[0], int) else None), str(error)


def _denied(said: str) -> AccessDenied:
    table = re.search(r"for table (\S+)", said) or re.search(r"in table (\S+)", said)
    what = f" to GRANT SELECT ON {table[1]}" if table else ""
    return AccessDenied(
        f"a right is missing: {said}", next_step=f"ask the database's administrators{what or ' for it'}"
    )


def _words(said: str) -> str:
    """The message without its advice, and without what we put round the query."""
    near = _NEAR.search(said)
    if near is None:
        return said[:1].lower() + said[1:]
    rest = near[1].partition(_TAIL)[0].strip()
    return f"syntax error near {rest[:60]!r}" if rest else "syntax error at the end of the query"


def _place(said: str, text: str) -> int | None:
    """Where MySQL's complaint belongs; it says the line, and what stands from the place on."""
    near = _NEAR.search(said)
    if near is None:
        found = _QUOTED.search(said)
        return place_of(found[1].strip("`"), text) if found else None
    rest = near[1].partition(_TAIL)[0].rstrip()
    if not rest:
        return len(text.rstrip())
    start = sum(len(line) + 1 for line in text.split("\n")[: int(near[2]) - 1])
    at = text.find(rest, start)
    return at if at >= 0 else None


def _column(field: Any, exactness: Exactness) -> Column:
    """What becomes of a column that the server describes so."""
    import pyarrow as pa

    shown = _shown(field)
    if field.name in exactness.as_text:
        if field.type_code == _GEOMETRY:
            why = f"whose text the server gives only where asked: ST_AsText({field.name})"
            raise unkeepable(field.name, shown, why, as_text=True)
        return Column(field.name, shown, pa.string(), "text", "kept as text")
    if field.name in exactness.decimals and field.type_code not in _DECIMALS:
        raise QueryRefused(
            f"column {field.name} is of type {shown}, which has no decimal digits to keep",
            next_step=f"CAST it to DECIMAL in the query, or keep it as text with --as-text {field.name}",
        )
    unsigned = bool(field.flags & _UNSIGNED)
    if field.type_code in _INTEGERS:
        bits = _INTEGERS[field.type_code][1]
        return Column(field.name, shown, pa.type_for_alias(f"{'u' * unsigned}int{bits}"))
    if field.type_code in _DECIMALS:
        return Column(field.name, shown, decimal_type(*exactness.decimals.get(field.name, _digits(field))))
    if field.type_code in _DATES:
        return Column(field.name, shown, pa.date32(), "day")
    known: dict[int, tuple[Any, Form, str | None]] = {
        _FLOAT: (pa.float32(), "single", "read as DOUBLE, in which the server gives all digits"),
        _DOUBLE: (pa.float64(), "same", None),
        _NULL: (pa.null(), "same", "holds no value"),
        _TIMESTAMP: (pa.timestamp("us", "UTC"), "instant", None),
        _DATETIME: (pa.timestamp("us"), "moment", None),
        _TIME: (pa.time64("us"), "clock", "a time of day; a longer span is refused"),
        _YEAR: (pa.uint16(), "same", None),
        _BIT: (pa.uint64(), "bits", "the number that its bits write"),
        _GEOMETRY: (pa.binary(), "same", "MySQL's own bytes: four of the SRID, then WKB"),
    }
    if field.type_code in known:
        return Column(field.name, shown, *known[field.type_code])
    if field.type_code == _JSON or field.charsetnr != _BINARY_CHARSET:
        return Column(field.name, shown, pa.string())
    return Column(field.name, shown, pa.binary())


def _digits(field: Any) -> tuple[int, int]:
    """Precision and scale: the length counts the sign and the point too."""
    precision = field.length - (field.scale > 0) - (not field.flags & _UNSIGNED)
    return max(1, precision, field.scale), field.scale


def _shown(field: Any) -> str:
    """The type as MySQL writes it."""
    unsigned = " unsigned" if field.flags & _UNSIGNED else ""
    code = field.type_code
    if code in _INTEGERS:
        return _INTEGERS[code][0].lower() + unsigned
    if code in _DECIMALS:
        precision, scale = _digits(field)
        return f"decimal({precision},{scale}){unsigned}"
    fixed = {
        _FLOAT: "float", _DOUBLE: "double", _NULL: "null", _TIMESTAMP: "timestamp", _DATETIME: "datetime",
        _TIME: "time", _YEAR: "year", _JSON: "json", _GEOMETRY: "geometry", 10: "date", 14: "date",
        _BIT: f"bit({field.length})",
    }.get(code)  # fmt: skip
    if fixed:
        digits = f"({field.scale})" if code in {_TIMESTAMP, _DATETIME, _TIME} and 0 < field.scale <= 6 else ""
        return fixed + digits
    if field.flags & (_ENUM | _SET):
        return "enum" if field.flags & _ENUM else "set"
    binary = field.charsetnr == _BINARY_CHARSET
    if 249 <= code <= 252:
        return "blob" if binary else "text"
    length = field.length if binary else field.length // _BYTES_OF_A_CHARACTER
    return f"{'var' * (code != 254)}{'binary' if binary else 'char'}({length})"


def _projected(column: Column) -> str:
    name = "`" + column.name.replace("`", "``").replace("%", "%%") + "`"
    return f"CAST({name} AS DOUBLE) AS {name}" if column.database_type == "float" else name


def _ordered(name: str) -> DatakeepError:
    return unkeepable(
        name,
        "float",
        f"of which the server gives six digits only; in a sorted query, write CAST({name} AS DOUBLE)",
    )
