"""Snowflake, through its ADBC driver. Tried against a stand-in server (tests/snowflake_server), not an account."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from datakeep.core.errors import UsageError
from datakeep.extract.sql.interface import Snapshot, Table, TableColumn
from datakeep.extract.sql.qualified import split
from datakeep.extract.sql.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from datakeep.extract.sql.interface import Parameter, TableKind
    from datakeep.extract.sql.warehouse import WarehouseSession

#: A number's digits, at most; and the bits of a whole number that the driver binds as one.
_DIGITS, _WHOLE_BITS = 38, 63
_PREFIX = "adbc.snowflake.sql."
#: Parameters of the URL, named as in Snowflake's own drivers, to the driver's options.
_OPTIONS = {
    "warehouse": "warehouse",
    "role": "role",
    "region": "region",
    "authenticator": "auth_type",
    "token": "client_option.auth_token",
    "private_key_file": "client_option.jwt_private_key",
    "host": "uri.host",
    "port": "uri.port",
    "protocol": "uri.protocol",
}
_AUTHENTICATORS = {
    "snowflake": "auth_snowflake",
    "externalbrowser": "auth_ext_browser",
    "snowflake_jwt": "auth_jwt",
    "oauth": "auth_oauth",
    "programmatic_access_token": "auth_pat",
    "username_password_mfa": "auth_mfa",
}
#: Numbers as decimals, not as floats; a moment beyond nanoseconds of 64 bits is an error, not another moment.
_FIXED = {
    "client_option.use_high_precision": "true",
    "client_option.max_timestamp_precision": "nanoseconds_error_on_overflow",
    "client_option.login_timeout": "30s",
    "client_option.client_timeout": "900s",
    "client_option.disable_telemetry": "true",
}
_KINDS: dict[str, TableKind] = {"VIEW": "view", "MATERIALIZED VIEW": "materialized view"}
_TABLES = """
    SELECT t.table_schema, t.table_name, t.table_type, t.comment, t.table_owner, v.view_definition
    FROM {home}information_schema.tables t LEFT JOIN {home}information_schema.views v
      ON v.table_schema = t.table_schema AND v.table_name = t.table_name
    WHERE t.table_name = ? AND t.table_schema = {schema}
"""
_COLUMNS = """
    SELECT column_name, data_type, is_nullable = 'YES', comment FROM {home}information_schema.columns
    WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position
"""


class SnowflakeDatabase(Warehouse):
    """``snowflake://user:password@account/database/schema?warehouse=…&role=…``, as SQLAlchemy writes it."""

    what, extra, package = "Snowflake", "snowflake", "adbc_driver_snowflake"
    place = re.compile(r"line (?P<line>\d+) at position (?P<column>\d+)")
    first_column = 0
    counts = True
    types: ClassVar[Mapping[str, str]] = {
        "text": "VARCHAR", "integer": "NUMBER(38, 0)", "decimal": "NUMBER(38, 9)", "double": "DOUBLE",
        "boolean": "BOOLEAN", "date": "DATE", "timestamp": "TIMESTAMP_NTZ",
    }  # fmt: skip

    def bound(self, parameter: Parameter) -> tuple[str, tuple[Any, ...]]:
        """The driver binds texts, doubles, booleans and whole numbers of 64 bits; the rest is cast from text."""
        value = parameter.value
        if isinstance(value, datetime):
            kind = "TIMESTAMP_NTZ" if value.tzinfo is None else "TIMESTAMP_TZ"
            return f"CAST(? AS {kind})", (value.isoformat(sep=" "),)
        if isinstance(value, date):
            return "CAST(? AS DATE)", (value.isoformat(),)
        if isinstance(value, Decimal):
            scale = max(0, -int(value.as_tuple().exponent))
            return f"CAST(? AS NUMBER({_DIGITS}, {scale}))", (f"{value:f}",)
        if isinstance(value, int) and value.bit_length() > _WHOLE_BITS:
            return f"CAST(? AS NUMBER({_DIGITS}, 0))", (str(value),)
        return super().bound(parameter)

    def options(self) -> dict[str, str]:
        """The driver's options; the URL itself is not given to it, since it would repeat it in messages."""
        parts = urlsplit(self.address.connect)
        if not parts.hostname:
            raise UsageError(
                f"{self.address.shown} names no account",
                next_step="write snowflake://USER@ACCOUNT/DATABASE/SCHEMA?warehouse=WAREHOUSE",
            )
        database, _, schema = parts.path.strip("/").partition("/")
        found = {
            "account": unquote(parts.netloc.rpartition("@")[2]),
            "db": unquote(database),
            "schema": unquote(schema),
        }
        for name, value in parse_qsl(parts.query):
            if name not in _OPTIONS:
                raise UsageError(
                    f"{self.address.shown}: {name} is no parameter that is known",
                    next_step=f"known are: {', '.join(_OPTIONS)}",
                )
            found[_OPTIONS[name]] = (
                _AUTHENTICATORS.get(value.lower(), value) if name == "authenticator" else value
            )
        options = {f"{_PREFIX}{name}": value for name, value in (found | _FIXED).items() if value}
        named = {"username": parts.username, "password": parts.password}
        return options | {name: unquote(value) for name, value in named.items() if value}

    def begin(self, session: WarehouseSession) -> tuple[str, Snapshot]:
        """Times in UTC, a limit for each statement; Snowflake has no read-only session."""
        session.rows("ALTER SESSION SET TIMEZONE = 'UTC'")
        if session.timeout_s is not None:
            session.rows(f"ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = {session.timeout_s}")
        [(version, now)] = session.rows(
            "SELECT CURRENT_VERSION(), TO_CHAR(SYSDATE(), 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6')"
        )
        began = datetime.fromisoformat(now).replace(tzinfo=UTC)
        return f"Snowflake {version}", Snapshot("read committed: one statement sees one snapshot", began)

    def tables(self, session: WarehouseSession, names: Collection[str]) -> dict[str, Table]:
        """What INFORMATION_SCHEMA has; keys are not in it."""
        found = {}
        for name in names:
            qualifier, bare = split(name)
            database, _, schema = qualifier.rpartition(".")
            home = f"{_quoted(_folded(database, name))}." if database else ""
            text = _TABLES.format(home=home, schema="?" if schema else "CURRENT_SCHEMA()")
            rows = session.rows(text, [_folded(bare, name), *([_folded(schema, name)] if schema else [])])
            for schema_name, table, kind, comment, owner, definition in rows[:1]:
                columns = session.rows(_COLUMNS.format(home=home), [schema_name, table])
                found[name] = Table(
                    f"{schema_name}.{table}",
                    _KINDS.get(kind, "table"),
                    tuple(TableColumn(*column) for column in columns),
                    comment=comment,
                    definition=definition,
                    owner=owner,
                )
        return found


def _folded(part: str, written: str) -> str:
    """As the catalogue has it: in upper case, unless it was quoted."""
    return part if f'"{part}"' in written else part.upper()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
