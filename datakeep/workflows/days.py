"""Days that somebody states: year, month and day, and nothing that could be taken for another one.

A bare year is none, and neither is any other number, which would count seconds.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import InvalidFile, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Fields that hold a day or a moment.
_DAYS = re.compile(
    r"source\.(?:extracted_at|valid_from|valid_to)|privacy\.retention_until|caveats\.(?:since|until)"
)
#: Those that hold a day alone: of a time of day nobody would take notice.
_NO_TIME = frozenset({"privacy.retention_until"})
#: Those that an option takes away again, by this word.
_MAY_BE_NONE = frozenset({"privacy.retention_until"})
_NONE = "none"
_MAY_BE_UNKNOWN = frozenset({"source.extracted_at"})
_ENDS = ("_to", "until")
_FORM = "YYYY-MM-DD"
_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[Tt ].+)?")
_YEAR = re.compile(r"[12]\d{3}")
#: What can mean one day only: the year first, or a day before the month with points between.
_MEANT = (
    re.compile(r"(?P<y>[12]\d{3})(?P<m>\d{2})(?P<d>\d{2})"),
    re.compile(r"(?P<y>[12]\d{3})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})"),
    re.compile(r"(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>[12]\d{3})"),
)


def day_of(option: str, path: str, value: Any) -> Any:
    """What an option states for the dotted field ``path``: None where it takes a day away.

    Raises:
        UsageError: The field is to be a day, and this is none; says what is wanted, made of it if it means one day.
    """
    if not _DAYS.fullmatch(path):
        return value
    if path in _MAY_BE_NONE and str(value).strip().lower() == _NONE:
        return None
    fault = _fault(path, value)
    if fault:
        wanted = _meant(path, value) or _FORM
        away = f"; {option} {_NONE} takes it away" if path in _MAY_BE_NONE else ""
        raise UsageError(f"{option} {str(value)!r} {fault}", next_step=f"write {option} {wanted}{away}")
    return value.strip() if isinstance(value, str) else value


def check_days(document: Mapping[str, Any], *, what: str) -> None:
    """Refuse a manifest in which a day is written in another way; ``what`` is its file.

    Raises:
        InvalidFile: It has such ones; lists all.
    """
    things = [
        f"{path} is {value}, which {fault}: write year, month and day, as {_meant(path, value) or _FORM}"
        for path, value in _fields(document)
        if _DAYS.fullmatch(path) and (fault := _fault(path, value))
    ]
    if things:
        raise InvalidFile(f"{what}: {things[0]}", next_step=f"correct {what}", things=things)


def _fields(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, one in value.items():
        for item in one if isinstance(one, list) else [one]:
            if isinstance(item, dict):
                yield from _fields(item, f"{above}{name}.")
            else:
                yield f"{above}{name}", item


def _fault(path: str, value: Any) -> str:
    """What is wrong with a day; empty if nothing is."""
    if (
        value is None
        or (path in _MAY_BE_UNKNOWN and value == "unknown")
        or (isinstance(value, date) and not isinstance(value, datetime))
    ):
        return ""
    text = value.isoformat() if isinstance(value, datetime) else str(value).strip()
    if not _ISO.fullmatch(text) or not _is_there(text):
        return "is no day"
    return "is a moment, and the whole day counts" if path in _NO_TIME and len(text) > len(_FORM) else ""


def _is_there(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _meant(path: str, value: Any) -> str:
    """The day that is plainly meant, the first or the last one of a year; empty where that would be a guess."""
    text = value.isoformat() if isinstance(value, datetime) else str(value).strip()
    if _YEAR.fullmatch(text):
        return f"{text}-12-31" if path.endswith(_ENDS) else f"{text}-01-01"
    if (found := _ISO.fullmatch(text)) and _is_there(found[1]):
        return found[1]
    found = next((match for form in _MEANT if (match := form.fullmatch(text))), None)
    if found is None:
        return ""
    day = f"{found['y']}-{int(found['m']):02}-{int(found['d']):02}"
    return day if _is_there(day) else ""
