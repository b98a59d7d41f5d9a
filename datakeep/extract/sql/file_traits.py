"""What the bytes of a text file hold that a reader could alter, seen while they are read for their digest.

It answers no more than "there may be some": where there is none, the file need not be parsed again to look for them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK_BYTES = 1 << 20
#: A double keeps any number of 15 digits; and no exponent of two digits leads such a number out of its range.
SAFE_DIGITS = 15
_LONG = b"0" * (SAFE_DIGITS + 1)
_FAR_EXPONENTS = (b"e000", b"es000")
_EMPTY = b'""'


def _classes(**letters: str) -> bytes:
    """A table for ``translate``: each letter becomes the one that its class is called by, anything else a space."""
    kinds = {letter: ord(kind) for kind, some in letters.items() for letter in some}
    return bytes(kinds.get(chr(byte), 32) for byte in range(256))


#: Digits and points, exponents' letters and signs, and all else.
_KINDS = _classes(**{"0": "0123456789.", "e": "eE", "s": "+-"})
#: Where a field begins, its sign, a zero, and what may follow that in a number that is written otherwise.
_OF_FIELDS = _classes(b=',;|\t\n\r"', s="+-", z="0", d="123456789xXbBoO")
_ZEROS = (b"bzz", b"bzd", b"bszz", b"bszd")
_OF_TIMES = _classes(d="0123456789", p=".", c=":")
_NANOSECONDS = b"cddp" + b"d" * 7


@dataclass(frozen=True, slots=True)
class Traits:
    """What the bytes of a file may hold.

    Attributes:
        long_numbers: A number that a double does not keep.
        empty_quotes: ``""``, which may be an empty text, or a quote within one.
        leading_zeros: A field that begins with a zero and another digit or letter: ``007``, ``0x1F``.
        nanoseconds: A time of day with more than six digits behind the second.
    """

    long_numbers: bool
    empty_quotes: bool
    leading_zeros: bool = False
    nanoseconds: bool = False


def digest_and_traits(path: Path) -> tuple[str, Traits]:
    """The sha256 of a file, in hex, and what its bytes may hold; it is read once, in constant memory."""
    digest, tail = hashlib.sha256(), b"\n"
    long_numbers = empty_quotes = leading_zeros = nanoseconds = False
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            joined = tail + chunk
            if not long_numbers:
                kinds = joined.translate(_KINDS)
                long_numbers = _LONG in kinds or any(one in kinds for one in _FAR_EXPONENTS)
            empty_quotes = empty_quotes or _EMPTY in joined
            if not leading_zeros:
                fields = joined.translate(_OF_FIELDS)
                leading_zeros = any(one in fields for one in _ZEROS)
            nanoseconds = nanoseconds or _NANOSECONDS in joined.translate(_OF_TIMES)
            tail = joined[-SAFE_DIGITS:]
    return digest.hexdigest(), Traits(long_numbers, empty_quotes, leading_zeros, nanoseconds)
