"""Where a database is, read from the URL that a user gave: what may be written down, and what connects."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from datakeep.core.errors import UsageError
from datakeep.core.secrets import strip_url
from datakeep.extract.sql.interface import Address

#: A URL's scheme, without the driver behind ``+``, to sqlglot's name of the SQL that is spoken there.
DIALECTS = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "sqlite": "sqlite",
    "duckdb": "duckdb",
    "snowflake": "snowflake",
    "bigquery": "bigquery",
    "mysql": "mysql",
    "mariadb": "mysql",
    "oracle": "oracle",
    "mssql": "tsql",
    "redshift": "redshift",
    "trino": "trino",
    "databricks": "databricks",
    "clickhouse": "clickhouse",
}
#: Databases that are files of this machine.
_FILES = frozenset({"sqlite", "duckdb"})
#: What DuckDB reads as a table.
_DATA_FILES = frozenset({".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson", ".gz"})
_PORTS = 65536
_PORT = re.compile(r"(?:^|[^:]):([^:@,\]]+)$")
_SCHEME = re.compile(r"([a-z][a-z0-9]*)(?:\+[a-z0-9_]+)?:", re.IGNORECASE)
#: Databases that have a driver of their own here: the one that a URL of SQLAlchemy names behind ``+`` is not used.
_DIRECT = frozenset({"postgres", "sqlite", "duckdb"})
#: Options of drivers that carry a secret, and whose names do not say so.
_SECRET_OPTIONS = re.compile(r"(sslkey_?pem|passcode|credentials_json|auth_credentials.*)", re.IGNORECASE)


def address_of(url: str) -> Address:
    """What ``url`` says, with no secret in what is shown.

    Args:
        url: ``postgresql://user:password@host:port/database?…``, ``sqlite:///file``, ``duckdb:///file``,
            ``snowflake://…``, ``bigquery://…``, or a URL of SQLAlchemy, such as ``mysql+pymysql://…``.

    Raises:
        UsageError: No database is known by its scheme, or its password is not escaped, so that a driver would
            read (and repeat in its messages) a part of it as the host.
    """
    match = _SCHEME.match(url)
    dialect = DIALECTS.get(match[1].lower()) if match else None
    if dialect is None:
        if match is None and (meant := _file_url(url)):
            raise UsageError(
                f"the database is given as a path, {url}, not as a URL", next_step=f"write it as {meant}"
            )
        given = f"{match[1]}: is no database" if match else "the database is given without a scheme"
        raise UsageError(
            f"{given} that datakeep knows",
            next_step=f"write it as a URL, such as postgresql://user@host/database; known are: {', '.join(DIALECTS)}",
        )
    if match and dialect not in _FILES and not url[match.end() :].startswith("//"):
        # Without the two slashes nobody sees where a password would stand: only the mended URL is repeated.
        mended = strip_url(f"{match[1]}://{url[match.end() :].lstrip('/')}")
        raise UsageError(
            f"the URL of the database has no two slashes after {match[1]}:", next_step=f"write it as {mended}"
        )
    if match and dialect in _DIRECT:
        url = f"{match[1]}:{url[match.end() :]}"
    if dialect in _FILES:
        url = _absolute(url)
    shown = _without_secret_options(strip_url(url))
    port = _PORT.search(urlsplit(shown).netloc) if dialect == "postgres" else None
    if port and not (port[1].isdecimal() and int(port[1][:9]) < _PORTS):
        raise UsageError(
            f"the port in {shown} is no number below {_PORTS:,}: {port[1]}",
            next_step="write it as //host:5432/database; a password stands before the host: "
            "//user:password@host/database",
        )
    if _authority(shown) != _authority(url):
        raise UsageError(
            f"the password in the URL of {shown} holds characters that must be escaped",
            next_step="write %25 for %, %40 for @, %2F for /, %3A for :, %3F for ?, %23 for #; or leave it out of "
            "the URL and set PGPASSWORD",
        )
    return Address(dialect, shown, url)


def _file_url(path: str) -> str | None:
    """The URL that was meant by a path: of a database in a file, or of files that a query names itself."""
    file = Path(path).expanduser()
    try:
        with file.open("rb") as opened:
            head = opened.read(16)
    except (OSError, ValueError):
        head = b""
    whole = file.absolute()
    suffix = file.suffix.lower()
    if head.startswith(b"SQLite format 3") or suffix in (".db", ".sqlite", ".sqlite3"):
        return f"sqlite:///{whole}"
    if head[8:12] == b"DUCK" or suffix in (".duckdb", ".ddb"):
        return f"duckdb:///{whole}"
    if suffix in _DATA_FILES:
        return f"duckdb: and the file in the query: FROM '{whole}'"
    return None


def of_another_kind(path: Path, own: str) -> tuple[str, str] | None:
    """What a file is that is no database of the kind that its URL says, and how to write the URL; None if unknown.

    Args:
        path: A file that is there.
        own: The scheme of the URL.
    """
    try:
        with path.open("rb") as opened:
            head = opened.read(16)
    except OSError:
        return None
    meant = {
        b"SQLite format 3": ("sqlite", "an SQLite database, not one of DuckDB's"),
        b"DUCK": ("duckdb", "a DuckDB database, not one of SQLite's"),
    }
    for start, (scheme, what) in meant.items():
        if head.startswith(start) or head[8:12] == start:
            return None if scheme == own else (what, f"write its URL as {scheme}:///{path.absolute()}")
    if head.startswith(b"PAR1") or (head and path.suffix.lower() in _DATA_FILES):
        quoted = str(path.absolute()).replace("'", "''")
        return (
            "a file of data, no database",
            f"write the URL as duckdb: and name the file in the query: FROM '{quoted}'",
        )
    return None


def _absolute(url: str) -> str:
    """The URL of a file with its whole path: what is recorded is read elsewhere, from another folder."""
    scheme, _, rest = url.partition(":")
    name, mark, options = rest.partition("?")
    name = name[2:].removeprefix("/") if name.startswith("//") else name
    if name in ("", ":memory:") or name.startswith(("/", "file:")):
        return url
    return f"{scheme}:///{Path(name).absolute().resolve()}{mark}{options}"


def secrets_of(address: Address) -> tuple[str, ...]:
    """Every string that stands in ``connect`` and must not stand in a message, as written and unescaped."""
    parts = urlsplit(address.connect)
    kept = urlsplit(address.shown).query.split("&")
    found = [parts.password or ""]
    found += [pair.partition("=")[2] for pair in parts.query.split("&") if pair not in kept]
    return tuple(dict.fromkeys(text for secret in found if secret for text in (secret, unquote(secret))))


def _authority(url: str) -> str:
    """Host and port as a driver reads them: libpq takes the first ``@`` for the end of user and password."""
    before, at, behind = urlsplit(url).netloc.partition("@")
    return behind if at else before


def _without_secret_options(url: str) -> str:
    head, mark, query = url.partition("?")
    kept = [pair for pair in query.split("&") if not _SECRET_OPTIONS.fullmatch(pair.partition("=")[0])]
    return head + mark + "&".join(kept) if kept else head
