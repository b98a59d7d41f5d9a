"""Finding passwords in what a user wrote, so that none is ever written down."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Collection

_SECRET_KEY = re.compile(
    r"(.*[-_.])?(ssl)?(pass(word|wd|phrase)?|pwd|secret|token|api_?key|access_?key|private_?key|credentials?"
    r"|sig|signature|auth)",
    re.IGNORECASE,
)
_KNOWN_SECRETS = re.compile(
    r"-----BEGIN (?:[A-Z ]+ )?PRIVATE KEY-----"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}\b"
    r"|\bglpat-[A-Za-z0-9_-]{20,}\b"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}\b"
)
_CODE_FILE = re.compile(
    r"\.(?:py|pyi|pyx|ipynb|r|jl|lua|c|cc|cpp|h|hpp|cu|rs|go|java|js|ts|sh|bash)$", re.IGNORECASE
)
_QUOTED = re.compile(r"""(?<![\w.-])(?P<name>[A-Za-z][\w.-]{0,80})["']?\s{0,8}[:=]\s{0,8}["'][^"']{4,}["']""")
_GIVEN = re.compile(r"""(?<![\w.-])(?P<name>[A-Za-z][\w.-]{0,80})["']?\s{0,8}[:=]\s{0,8}["']?[^\s"'#]""")
#: The scheme is bounded: with ``*``, a long line without a space would take time by its length squared.
_URL = re.compile(r"[a-z][a-z0-9+.-]{0,40}://[^\s'\"<>]+", re.IGNORECASE)
_PARTS = re.compile(r"([a-z][a-z0-9+.-]*://)([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_PORT = re.compile(r":[0-9]*")
#: A URL that ends, or was cut, behind a user's name and what is no port: it has lost the ``@`` behind a password.
_CUT_URL = re.compile(
    r"([a-z][a-z0-9+.-]{0,40}://[^\s'\"<>/@:?#\[]+):(?![0-9]*(?:[/?#'\"\s,;)…]|$))[^\s'\"<>@…]+(?=['\"\s…]|$)",
    re.IGNORECASE,
)
WITHHELD = "(password withheld)"


def strip_url(url: str) -> str:
    """``url`` without its password and secret-looking query parameters; the rest stays, byte for byte.

    A password that was not escaped may hold ``/``, ``?``, ``#`` or ``@``: everything up to the last ``@`` is
    then taken for it. A user name that is a well-known kind of token goes too.
    """
    match = _PARTS.fullmatch(url)
    if not match:
        return url
    scheme, authority, rest = match.groups()
    user, _, password = authority.rpartition("@")[0].partition(":")
    open_password = "@" not in authority and ":" in authority and not _ends_in_port(authority)
    if (password or open_password) and "@" in rest:
        authority, rest = _cut(f"{authority}{rest}".rpartition("@")[2])
        user = match[2].partition(":")[0]
        authority = f"{user}@{authority}" if user else authority
    elif password or (user and _KNOWN_SECRETS.search(user)):
        host = authority.rpartition("@")[2]
        authority = host if not user or _KNOWN_SECRETS.search(user) else f"{user}@{host}"
    return f"{scheme}{authority}{_without_secret_parameters(rest)}"


def strip_urls(text: str) -> str:
    """``text`` with every URL in it as :func:`strip_url` leaves it."""
    return _URL.sub(lambda found: strip_url(found[0]), text)


def without_passwords(text: str, known: Collection[str] = ()) -> str:
    """``text`` for a person: URLs without their passwords, also where a cut has left half of one, and nothing known.

    What is withheld is said in its place; said twice, it stays as it is.

    Args:
        text: Such as a database's complaint, which quotes a value.
        known: Passwords, as they are.
    """
    for secret in known:
        text = text.replace(secret, WITHHELD)
    return _CUT_URL.sub(rf"\1 {WITHHELD}", _URL.sub(_marked, text))


def _marked(found: re.Match[str]) -> str:
    stripped = strip_url(found[0])
    return found[0] if stripped == found[0] else f"{stripped} {WITHHELD}"


def _ends_in_port(authority: str) -> bool:
    at = authority.rfind("]") + 1 or authority.find(":")
    return _PORT.fullmatch(authority, at) is not None or at == len(authority)


def _cut(text: str) -> tuple[str, str]:
    """Authority, and the rest from the first ``/``, ``?`` or ``#`` on."""
    at = re.search(r"[/?#]|$", text)
    return (text[: at.start()], text[at.start() :]) if at else (text, "")


def _without_secret_parameters(rest: str) -> str:
    head, sharp, fragment = rest.partition("#")
    path, _, query = head.partition("?")
    pairs = query.split("&")
    kept = [pair for pair in pairs if not _SECRET_KEY.fullmatch(unquote_plus(pair.partition("=")[0]))]
    if len(kept) == len(pairs):
        return rest
    return path + ("?" + "&".join(kept) if kept else "") + sharp + fragment


def is_secret_name(name: str) -> bool:
    """Whether what is called ``name`` (an option, a variable, a parameter) is a password, key or token."""
    return _SECRET_KEY.fullmatch(name.replace("-", "_")) is not None


def find_secret(text: str) -> str | None:
    """What kind of secret ``text`` holds, in words that do not repeat it; None if none is seen.

    Seen are: a URL with a password or a secret query parameter, private keys, and tokens of well-known
    providers. A password in plain prose cannot be seen.
    """
    for url in _URL.findall(text):
        stripped = strip_url(url)
        if stripped != url:
            host = _cut(stripped.partition("://")[2])[0].rpartition("@")[2]
            return f"a password in the URL of {host}" if host else "a password in a URL"
    return "a private key or access token" if _KNOWN_SECRETS.search(text) else None


def find_secret_in_patch(patch: str) -> str | None:
    """As :func:`find_secret`, for a patch of git's; also a password by the name that it is given to.

    In code only what stands in quotes is a value (``token = "…"``), in other files all that stands behind the
    name (``api_key: …``).
    """
    is_code = False
    for line in patch.splitlines():
        if line.startswith(("+++ ", "diff --git ")):
            is_code = _CODE_FILE.search(line) is not None
        for given in (_QUOTED if is_code else _GIVEN).finditer(line[1:]):
            if is_secret_name(given["name"]):
                return f"a value for {given['name']}"
    return find_secret(patch)
