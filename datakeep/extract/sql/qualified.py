"""Names of tables as a query writes them."""

from __future__ import annotations

_QUOTES = {'"': '"', "`": "`", "[": "]"}


def split(name: str) -> tuple[str, str]:
    """Schema (or '') and table of a name as a query writes it, without its quotes."""
    parts = []
    rest = name
    while rest:
        end = _QUOTES.get(rest[0])
        if end is None:
            part, _, rest = rest.partition(".")
        else:
            at = rest.find(end, 1)
            at = len(rest) if at < 0 else at
            part, rest = rest[1:at], rest[at + 1 :].removeprefix(".")
        parts.append(part)
    return ".".join(parts[:-1]), parts[-1] if parts else ""
