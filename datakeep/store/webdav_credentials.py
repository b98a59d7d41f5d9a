"""Whose name and password a WebDAV server is shown.

They are never in keep.yaml. Basic authentication hands the password itself to the server, and a keep that somebody
else wrote names any server it likes: so what is in the environment goes to the host that the environment names, and
what is in ``~/.netrc`` to the host that it stands under.
"""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied
from datakeep.store.file_server import Refusal

if TYPE_CHECKING:
    from datakeep.store.server_location import ServerLocation

HOST = "DATAKEEP_WEBDAV_HOST"
USER = "DATAKEEP_WEBDAV_USER"
PASSWORD = "DATAKEEP_WEBDAV_PASSWORD"  # noqa: S105  (the name of a variable)
TOKEN = "DATAKEEP_WEBDAV_TOKEN"  # noqa: S105
AUTHORITY = "DATAKEEP_WEBDAV_CA"


def options_for(location: ServerLocation) -> dict[str, str]:
    """The options of a DVC remote that sign in at ``location``; none where there is nothing to sign in with.

    Raises:
        Refusal: ``~/.netrc`` cannot be read.
    """
    if _is_meant(location):
        if token := os.environ.get(TOKEN):
            return {"token": token}
        user = location.user or os.environ.get(USER)
        if user and (password := os.environ.get(PASSWORD)) is not None:
            return {"user": user, "password": password}
    found = of_netrc(location)
    return {"user": found[0], "password": found[1]} if found else {}


def certificate_authority() -> str | None:
    """The file of certificates to trust, where it is not the system's."""
    return os.environ.get(AUTHORITY) or os.environ.get("SSL_CERT_FILE")


def kind_of_credentials(location: ServerLocation) -> str | None:
    """What kind of credentials is used, for a proof."""
    if _is_meant(location) and (os.environ.get(TOKEN) or os.environ.get(PASSWORD)):
        return "WebDAV credentials of the environment"
    return "WebDAV credentials of ~/.netrc" if of_netrc(location) else None


def what_is_missing(location: ServerLocation) -> str:
    """What to do for a server that lets nobody in."""
    hosts = f"{HOST}={location.server} {USER}=NAME {PASSWORD}=…"
    if not _is_meant(location) and (os.environ.get(PASSWORD) or os.environ.get(TOKEN)):
        named = os.environ.get(HOST)
        return (
            f"{HOST} names {named}, so that the credentials went nowhere else: set it to {location.server}"
            if named
            else f"set {HOST}={location.server} too: credentials go to the host that is named, and to no other"
        )
    return f"set {hosts}, or write the host to ~/.netrc; correct them if they are set"


def _is_meant(location: ServerLocation) -> bool:
    """Whether the environment's credentials are for this server."""
    named = os.environ.get(HOST, "").lower()
    usual = f"{location.host}:{location.port or location.kind.port}".lower()
    return named != "" and named in (location.server.lower(), usual)


def of_netrc(location: ServerLocation) -> tuple[str, str] | None:
    """Name and password that ``~/.netrc`` has for exactly this host.

    Raises:
        Refusal: It cannot be read.
    """
    path = Path(os.environ.get("NETRC") or Path("~/.netrc").expanduser())
    if not path.is_file():
        return None
    try:
        hosts = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError) as fault:
        raise Refusal(
            AccessDenied, f"{path} cannot be read", "correct it, and make it yours alone: chmod 600"
        ) from fault
    found = hosts.get(location.server) or hosts.get(location.host)
    if not found or (location.user and location.user != found[0]):
        return None
    return found[0], found[2]
