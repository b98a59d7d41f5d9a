"""Finding passwords in what a user wrote, so that none is ever written down."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?|pwd|secret|token|api_?key|access_?key|private_?key|credential|sig|signature|auth",
    re.IGNORECASE,
)
_KNOWN_SECRETS = re.compile(
    r"-----BEGIN (?:[A-Z ]+ )?PRIVATE KEY-----"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}\b"
    r"|\bglpat-[A-Za-z0-9_-]{20,}\b"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}\b"
)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)


def strip_url(url: str) -> str:
    """``url`` without its password and secret-looking query parameters; the user and the rest stay."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1@", url)
    if not parts.scheme or not parts.netloc:
        return url
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    user = f"{parts.username}@" if parts.username else ""
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(key, value) for key, value in pairs if not _SECRET_KEY.fullmatch(key)]
    query = parts.query if len(kept) == len(pairs) else urlencode(kept)
    return urlunsplit((parts.scheme, f"{user}{host}{port}", parts.path, query, parts.fragment))


def find_secret(text: str) -> str | None:
    """What kind of secret ``text`` holds, in words that do not repeat it; None if none is seen.

    Seen are: a URL with a password or a secret query parameter, private keys, and tokens of well-known
    providers. A password in plain prose cannot be seen.
    """
    for url in _URL.findall(text):
        if strip_url(url) != url:
            try:
                return f"a password in the URL of {urlsplit(url).hostname}"
            except ValueError:
                return "a password in a URL"
    return "a private key or access token" if _KNOWN_SECRETS.search(text) else None
