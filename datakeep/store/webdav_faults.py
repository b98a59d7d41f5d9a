"""What a WebDAV server's refusal means to a person."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

import httpx

from datakeep.core.errors import AccessDenied, NetworkMissing, StoreUnreachable
from datakeep.core.secrets import strip_url
from datakeep.store.file_server import AGAIN, Refusal
from datakeep.store.webdav_credentials import AUTHORITY, what_is_missing

if TYPE_CHECKING:
    from datakeep.store.server_location import ServerLocation

_NUMBERS: Final = {
    403: errno.EACCES,
    404: errno.ENOENT,
    405: errno.EEXIST,
    409: errno.ENOENT,  # the folder around it is missing
    410: errno.ENOENT,
    412: errno.EEXIST,
    413: errno.ENOSPC,
    507: errno.ENOSPC,
}
_UNRESOLVED = (
    NetworkMissing,
    "the name {host} cannot be resolved",
    "correct the store's url; check the network",
)
_UNTRUSTED = (
    StoreUnreachable,
    "the certificate of {host} is of an unknown authority",
    f"{AUTHORITY}=FILE names it",
)
_PLAIN = (StoreUnreachable, "{host} does not speak https", "write the store's url with webdav://")
#: What is said, by the system or by OpenSSL, about a connection that could not be made, and what in our words.
_CONNECTION: Final = (
    ("not known", *_UNRESOLVED),
    ("name resolution", *_UNRESOLVED),
    ("No address associated", *_UNRESOLVED),
    ("unreachable", NetworkMissing, "no network leads to {host}", "check this machine's network"),
    (
        "refused",
        StoreUnreachable,
        "nothing answers at {host}",
        "start the server, or correct the store's url",
    ),
    ("self-signed", *_UNTRUSTED),
    ("unable to get local issuer", *_UNTRUSTED),
    (
        "CERTIFICATE_VERIFY_FAILED",
        StoreUnreachable,
        "{host} has no valid certificate",
        "ask its administrator",
    ),
    ("WRONG_VERSION_NUMBER", *_PLAIN),
    ("record layer failure", *_PLAIN),
)


def refused(status: int, moved_to: str | None, location: ServerLocation) -> Exception:
    """The :class:`OSError` or :class:`Refusal` that an answer is.

    Args:
        status: Of HTTP.
        moved_to: Where the server sends us instead.
        location: Where the store is.
    """
    if number := _NUMBERS.get(status):
        return OSError(number, os.strerror(number))
    if status == httpx.codes.UNAUTHORIZED:
        return Refusal(
            AccessDenied,
            f"{location.server} lets nobody in with these credentials, or without any",
            what_is_missing(location),
        )
    if status == httpx.codes.LOCKED:
        return Refusal(StoreUnreachable, "another program has locked it there", AGAIN)
    if 300 <= status < 400:
        there = strip_url(moved_to or "another place")[:200]
        return Refusal(
            StoreUnreachable, f"the server sends us to {there}", "correct the store's url in keep.yaml"
        )
    return Refusal(
        StoreUnreachable,
        f"the server fails ({status})",
        f"wait until it has recovered, then {AGAIN}",
        passing=status >= httpx.codes.INTERNAL_SERVER_ERROR,
    )


def no_webdav(location: ServerLocation) -> Refusal:
    """What a server that does not speak the protocol is to a person."""
    return Refusal(
        StoreUnreachable,
        f"{location.server} does not answer as a WebDAV server does",
        "correct the store's url in keep.yaml: it must lead to a WebDAV folder",
    )


def unreached(fault: httpx.HTTPError, location: ServerLocation) -> Refusal:
    """What a request without an answer is to a person."""
    text, host = str(fault), location.server
    for sign, kind, why, next_step in _CONNECTION:
        if sign in text:
            return Refusal(kind, why.format(host=host), next_step)
    if isinstance(fault, httpx.TimeoutException):
        return Refusal(StoreUnreachable, f"{host} does not answer in time", AGAIN)
    return Refusal(StoreUnreachable, f"the connection to {host} broke", AGAIN, passing=True)
