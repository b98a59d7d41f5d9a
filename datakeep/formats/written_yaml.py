"""Writing plain values as YAML: through libyaml where it writes what the parser that keeps comments would write.

That one is written in Python, and takes 50 ms for the files of one version, a third of them to load. What it writes
in another way than libyaml, or might, is left to it: comments, aliases, NaN, nothing at all, very long texts, and
characters beyond those that both show. A test holds the two to the same text.
"""

from __future__ import annotations

import io
import math
from functools import cache
from typing import TYPE_CHECKING, Any

from datakeep.core.late_patterns import late
from datakeep.formats import plain_yaml
from datakeep.formats.plain_yaml import Doubt

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Both show these as they are: ASCII, and of what follows what fits into two bytes of UTF-16, without line ends and
#: marks.
_SHOWN = late("[\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]*")
#: With an apostrophe, and without quotes by the rules of both.
_SENTENCE = late(r"[A-Za-z](?:[A-Za-z0-9_.,;/()'-]| (?! |$))*")
#: A longer key is written with a question mark, and a longer text might be broken.
_LONGEST_KEY, _LONGEST_TEXT = 100, 10_000
_MOST_LEVELS = 40
_WIDTH = 1 << 16


def write(data: Any) -> str:
    """The text of a mapping of plain values, keys in their order.

    Raises:
        Doubt: The other parser might write it otherwise.
    """
    if (tools := _tools()) is None or type(data) is not dict or not data:
        raise Doubt
    emitter, kinds = tools
    out = io.StringIO()
    writing = emitter(out, indent=2, width=_WIDTH, allow_unicode=True)
    for event in _document(data, kinds):
        writing.emit(event)
    writing.dispose()
    return out.getvalue()


def _document(data: Any, kinds: Any) -> Iterator[Any]:
    yield kinds.StreamStartEvent()
    yield kinds.DocumentStartEvent(explicit=False)
    yield from _events(data, kinds, set(), 1)
    yield kinds.DocumentEndEvent(explicit=False)
    yield kinds.StreamEndEvent()


def _events(value: Any, kinds: Any, seen: set[int], level: int) -> Iterator[Any]:
    kind = type(value)
    if kind is str:
        yield _text(value, kinds)
    elif kind is bool or kind is int or (kind is float and math.isfinite(value)):
        yield kinds.ScalarEvent(None, None, (True, False), repr(value).lower())
    elif kind is dict or kind is list:
        if id(value) in seen or level > _MOST_LEVELS:
            raise Doubt  # what stands in two places is an alias
        seen.add(id(value))
        yield from (_mapping if kind is dict else _sequence)(value, kinds, seen, level)
    else:
        raise Doubt


def _mapping(value: dict[Any, Any], kinds: Any, seen: set[int], level: int) -> Iterator[Any]:
    yield kinds.MappingStartEvent(None, None, True, flow_style=False)
    for key, inner in value.items():
        if type(key) is not str or len(key) > _LONGEST_KEY or "\n" in key:
            raise Doubt
        yield _text(key, kinds)
        yield from _events(inner, kinds, seen, level + 1)
    yield kinds.MappingEndEvent()


def _sequence(value: list[Any], kinds: Any, seen: set[int], level: int) -> Iterator[Any]:
    yield kinds.SequenceStartEvent(None, None, True, flow_style=False)
    for inner in value:
        yield from _events(inner, kinds, seen, level + 1)
    yield kinds.SequenceEndEvent()


def _text(value: str, kinds: Any) -> Any:
    """With quotes where without them it would be a number or a word of YAML, or no text of YAML's at all."""
    one_line = value.isascii() and value.isprintable()
    if len(value) > _LONGEST_TEXT or not (one_line or _SHOWN.fullmatch(value)):
        raise Doubt
    if "'" in value and "\n" not in value and not _SENTENCE.fullmatch(value):
        raise Doubt  # with which quotes, if with any, is where the two differ
    style = '"' if "\n" in value else None
    return kinds.ScalarEvent(None, None, (plain_yaml.is_text(value), True), value, style=style)


@cache
def _tools() -> tuple[Any, Any] | None:
    """Libyaml's emitter and PyYAML's events; None where they are not there."""
    try:
        from yaml import events
        from yaml.cyaml import CEmitter
    except ImportError:
        return None
    return CEmitter, events
