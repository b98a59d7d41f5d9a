"""Which type a parameter of a query has that is written as a text, where nobody states it; and how it is shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from datakeep.core.literals import literal

if TYPE_CHECKING:
    from collections.abc import Mapping

INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]*)")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_FORMS = (
    ("boolean", re.compile("true|false")),
    ("integer", INTEGER),
    ("decimal", re.compile(r"[+-]?(0|[1-9][0-9]*)\.[0-9]+")),
    ("date", DATE),
    ("timestamp", TIMESTAMP),
)


def type_of_text(value: str) -> str:
    """``12`` is an integer (``007`` is not: text), ``0.05`` a decimal, ``2026-11-01`` a date …; else it is text."""
    return next((kind for kind, form in _FORMS if form.fullmatch(value)), "text")


def parameters_shown(parameters: Mapping[str, Any]) -> str:
    """The parameters of a manifest in one line: what stands in quotes is a text, and nothing else does.

    Args:
        parameters: Name to a value, or to ``type`` and ``value``, which is then shown with its type.
    """
    shown = []
    for name, value in parameters.items():
        if isinstance(value, dict) and set(value) == {"type", "value"}:
            kind, bare = str(value["type"]), value["value"]
            shown.append(f"{name} = {_shown(bare, kind)} ({kind})")
        else:
            kind = type_of_text(value) if isinstance(value, str) else ""
            shown.append(f"{name} = {_shown(value, kind)}")
    return ", ".join(shown)


def _shown(value: Any, kind: str) -> str:
    return str(value) if isinstance(value, str) and kind != "text" else literal(value)
