"""As much of what a training left, measured and was told as a model record can hold and be read again.

A record is one YAML file, of which readers take four megabytes and 200,000 values (:mod:`datakeep.formats.yaml`). A
training may leave a million files; a record without most of them is worth more than none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Of each kind: files, metrics, arguments.
MAX_COUNT = 10_000
_MAX_BYTES = 512 << 10
#: Of one file of parameters.
_MAX_VALUES, _MAX_DEPTH = 20_000, 20

One = TypeVar("One")


def first_of(found: Sequence[One], text_of: Callable[[One], str]) -> list[One]:
    """The first of ``found``, as many as a record has room for; ``text_of`` is what it says of each."""
    left_bytes = _MAX_BYTES
    for number, one in enumerate(found):
        left_bytes -= len(text_of(one).encode("utf-8", "surrogateescape"))
        if number >= MAX_COUNT or left_bytes < 0:
            return list(found[:number])
    return list(found)


def has_room_for(value: Any) -> bool:
    """Whether a record has room for what a file of parameters says: dicts, lists and scalars."""
    values, size_bytes = 0, 0
    level, depth = [value], 0
    while level:
        values += len(level)
        depth += 1
        size_bytes += sum(len(one) for one in level if isinstance(one, str))
        if values > _MAX_VALUES or depth > _MAX_DEPTH or size_bytes > _MAX_BYTES:
            return False
        level = [inner for one in level for inner in _inner(one)]
    return True


def _inner(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else ()
