"""Values of data as they can be told from others, one line each."""

from __future__ import annotations

import re
import unicodedata

from datakeep.cli.printable import printable

#: What has no width.
_UNSEEN = re.compile("[\u200b\u2060\ufeff\u00ad]")


def visible(value: str | None) -> str:
    """A value as it can be told from others: quoted where its spaces, or what it is made of, cannot be seen."""
    if value is None:
        return "NULL"
    composed = value.isprintable() and unicodedata.is_normalized("NFC", value)
    if value == " ".join(value.split()) not in ("", "NULL") and composed and not _UNSEEN.search(value):
        return printable(value)
    quoted = "".join(map(_letter, value.replace("\\", "\\\\").replace("'", "\\'")))
    return printable(f"'{quoted}'")


def _letter(letter: str) -> str:
    """A letter; as its code where it is a space of another kind, a terminal's order, or drawn onto the one before."""
    if (
        not letter.isprintable()
        or _UNSEEN.match(letter)
        or unicodedata.combining(letter)
        or unicodedata.name(letter, "").startswith(("HANGUL JUNGSEONG", "HANGUL JONGSEONG"))
    ):
        return letter.encode("unicode_escape").decode("ascii")
    return letter
