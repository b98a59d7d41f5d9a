"""Days that somebody states: a bare year is none, and neither is any other number, which would count seconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import InvalidFile, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Fields that hold a day or a moment.
_DAYS = re.compile(
    r"source\.(?:extracted_at|valid_from|valid_to)|privacy\.retention_until|caveats\.(?:since|until)"
)
_ENDS = ("_to", "until")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?")


def check_day(option: str, path: str, value: Any) -> None:
    """Refuse what an option states for the dotted field ``path``, if that is to be a day and is a number.

    Raises:
        UsageError: It is.
    """
    if _DAYS.fullmatch(path) and _is_number(value):
        day = _meant(path, value)
        raise UsageError(f"{option} {value} is no day, as {day} is", next_step=f"write {option} {day}")


def check_days(document: Mapping[str, Any], *, what: str) -> None:
    """Refuse a manifest in which a day is a number; ``what`` is its file.

    Raises:
        InvalidFile: It has such ones; lists all.
    """
    things = [
        f"{path} is {value}, which is no day: write year, month and day, as {_meant(path, value)}"
        for path, value in _fields(document)
        if _DAYS.fullmatch(path) and _is_number(value)
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


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_NUMBER.fullmatch(value.strip()))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _meant(path: str, value: Any) -> str:
    """The first or the last day of what is probably a year."""
    year = str(value).strip()
    year = year if re.fullmatch(r"[12]\d{3}", year) else "2030"
    return f"{year}-12-31" if path.endswith(_ENDS) else f"{year}-01-01"
