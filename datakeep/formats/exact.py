"""Field types whose JSON text says exactly what was measured: decimal strings, UTC moments, hex digests.

They stand in what is signed, where two readers must not see two values.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from datakeep.core.secrets import find_secret, strip_url

MAX_EVIDENCE_LINES = 100
MAX_EVIDENCE_CHARACTERS = 1000
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,18})?")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,40}://[^\s'\"<>]+")


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool | float):
        raise ValueError("must be a decimal string; a float or boolean is not exact")  # noqa: TRY004 - pydantic lists a ValueError with the others
    if not _DECIMAL.fullmatch(str(value)):
        raise ValueError("must be a finite decimal number, such as '0.953'")
    return Decimal(str(value))


def _count(value: object) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,20}", str(value)):
        raise ValueError("must be a count, such as '503'")
    return int(str(value))


def _evidence(value: object) -> object:
    if not isinstance(value, list | tuple):
        return value
    lines = [_printable(str(line)) for line in value[:MAX_EVIDENCE_LINES]]
    more = len(value) - len(lines)
    return [*lines[:-1], f"… and {more + 1} more"] if more else lines


def _text(value: object) -> object:
    return _printable(value) if isinstance(value, str) else value


def _printable(line: str) -> str:
    # Secrets go first: half of an address, cut off, would no longer be seen as one with a password.
    clean = without_secrets(line.encode("utf-8", "backslashreplace").decode("utf-8"))
    return clean if len(clean) <= MAX_EVIDENCE_CHARACTERS else clean[: MAX_EVIDENCE_CHARACTERS - 1] + "…"


def without_secrets(text: str) -> str:
    """``text`` with passwords taken out of its addresses, or left out where it holds another secret."""
    if not find_secret(text):
        return text
    stripped = _ADDRESS.sub(lambda found: strip_url(found.group()), text)
    left = find_secret(stripped)
    return f"[left out: {left}]" if left else stripped


def bare_digest(value: object) -> object:
    """A digest in hex, without the ``sha256:`` that ids have before it."""
    return value.removeprefix("sha256:") if isinstance(value, str) else value


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


#: A number, exact; a decimal string in JSON. Its text is kept: 0.910 does not become 0.91.
Number = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{_DECIMAL.pattern}$"}),
]
#: A whole number from 0 upwards; a decimal string in JSON.
Count = Annotated[
    int,
    BeforeValidator(_count),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,20}$"}),
]
#: A whole number of either sign (an exit code); a decimal string in JSON.
Integer = Annotated[
    int,
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^-?[0-9]{1,20}$"}),
]
#: A moment in UTC, to the second: 2026-11-22T09:12:03Z.
Moment = Annotated[
    AwareDatetime,
    AfterValidator(_utc),
    PlainSerializer(lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ"), return_type=str, when_used="json"),
]
Sha256Hex = Annotated[str, BeforeValidator(bare_digest), Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
#: Lines that show what happened, bounded: a hostile training must not fill the keep through its proof.
Evidence = Annotated[list[str], BeforeValidator(_evidence)]
#: One such line.
Text = Annotated[str, BeforeValidator(_text)]
