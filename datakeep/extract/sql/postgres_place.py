"""Where a connection to PostgreSQL really went, as a URL that leads there again: read as libpq reads it."""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from datakeep.core.secrets import find_secret, is_secret_name
from datakeep.extract.sql.faults import DatabaseUnreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULT_PORT = "5432"
#: What ``options`` holds: words, between blanks that no backslash precedes.
_WORDS = re.compile(r"(?:\\.|\S)+", re.DOTALL)
_SETTING = re.compile(r"(?:-c|--)?(?P<name>[\w.-]+)=", re.ASCII)


def completed(shown: str, database: str, user: str, server: str | None, server_port: str | None) -> str:
    """The URL with what libpq took from its query, its environment and its defaults.

    Of its options those stay that say which server is meant, or what a query means there: a socket's folder, and
    ``options`` (``-c search_path=…``), whether the URL or PGOPTIONS has them.

    Args:
        shown: The URL, without password.
        database: To which the session is connected, as the server says it.
        user: Who is connected, likewise.
        server: The address of the server's end; None through a socket.
        server_port: Its port.
    """
    parts = urlsplit(shown)
    options = _query(parts.query)
    by_service = "service" in options or "PGSERVICE" in os.environ
    defaults = {} if by_service else os.environ
    hosts, ports = _authority(parts.netloc.rpartition("@")[2])
    host = options.get("hostaddr") or options.get("host") or hosts
    port = options.get("port") or ports or defaults.get("PGPORT")
    port = port or (server_port if by_service else None) or _DEFAULT_PORT
    folder = host if host.startswith(("/", "@")) else None
    if not host or folder:
        given = "" if folder else defaults.get("PGHOSTADDR") or defaults.get("PGHOST", "")
        host = given if given and not given.startswith(("/", "@")) else server or socket.gethostname()
    kept = {
        "host": folder,
        "options": _without_secrets(options.get("options") or defaults.get("PGOPTIONS", "")),
    }
    query = "&".join(f"{name}={quote(text, safe='/,')}" for name, text in kept.items() if text)
    where = f"postgresql://{quote(user, safe='')}@{_places(host, port)}/{quote(database, safe='')}"
    return f"{where}?{query}" if query else where


def refuse_foreign_socket(shown: str) -> None:
    """Refuse a socket of another machine: here, the same folder may lead to another server.

    Raises:
        DatabaseUnreachable: The URL names a machine beside the folder of a socket, and this is not it.
    """
    parts = urlsplit(shown)
    folder, host = _query(parts.query).get("host", ""), _authority(parts.netloc.rpartition("@")[2])[0]
    if folder.startswith("/") and host and host not in (socket.gethostname(), "localhost"):
        raise DatabaseUnreachable(
            f"{shown} is a socket of the machine {host}, and this is {socket.gethostname()}",
            next_step=f"run it on {host}; or name the host and port at which the database is reached from here",
        )


def _query(text: str) -> Mapping[str, str]:
    """The options of a URL; of one that is given twice, the last. A plus sign is one."""
    pairs = (pair.partition("=") for pair in text.split("&") if pair)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def _authority(text: str) -> tuple[str, str]:
    """Hosts, and their ports, each with commas where there are more; a colon within brackets is of the host."""
    found = [re.fullmatch(r"(\[[^]]*\]|[^:]*)(?::(.*))?", one, re.DOTALL) for one in text.split(",")]
    hosts = [unquote(one[1]).strip("[]") if one else "" for one in found]
    ports = [(one[2] if one else None) or "" for one in found]
    return ",".join(hosts), ",".join(ports) if any(ports) else ""


def _places(hosts: str, ports: str) -> str:
    """``host:port``, of each; one port is that of all."""
    names, numbers = hosts.split(","), ports.split(",")
    numbers = numbers * len(names) if len(numbers) == 1 else numbers
    pairs = zip(names, [*numbers, *[""] * len(names)], strict=False)
    return ",".join(
        f"{f'[{name}]' if ':' in name else quote(name, safe='')}:{number or _DEFAULT_PORT}"
        for name, number in pairs
    )


def _without_secrets(options: str) -> str:
    """The settings of a session without those whose name or value is a secret's."""
    words = _WORDS.findall(options)
    settings: list[str] = []
    for word in words:
        if settings and settings[-1] == "-c":
            settings[-1] = f"-c {word}"
        else:
            settings.append(word)
    return " ".join(one for one in settings if not _secret(one))


def _secret(setting: str) -> bool:
    match = _SETTING.match(setting.replace("-c ", "-c"))
    return find_secret(setting) is not None or (match is not None and is_secret_name(match["name"]))
