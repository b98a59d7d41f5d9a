"""What changed between two manifests, field by field."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from datakeep.core.moments import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Of something that only one of two versions has.
ADDED, REMOVED = "added", "removed"
#: Of two long texts that differ far behind their beginning, the characters that are shown before that place.
_LEAD = 20


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: ``before`` is None where it was added, ``after`` where it was removed."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.path} added: {shorten(self.after)}"
        if self.after is None:
            return f"{self.path} removed: {shorten(self.before)}"
        if isinstance(self.before, list) and isinstance(self.after, list) and (told := self._items()):
            return f"{self.path} {told}"
        before, after = apart(_line(self.before), _line(self.after))
        if before == after:
            kinds = [_kind(one) for one in (self.before, self.after)]
            if kinds[0] != kinds[1]:
                return f"{self.path}: {before} ({kinds[0]}) → {after} ({kinds[1]})"
            words = "spaces or line ends" if kinds[0] == "text" else "types of values, spaces or line ends"
            return f"{self.path}: {before}, with other {words}"
        return f"{self.path}: {before} → {after}"

    def _items(self) -> str:
        """Which items a list has got or lost; nothing where others changed places, or how often they are there."""
        gone = [one for one in self.before if one not in self.after]
        new = [one for one in self.after if one not in self.before]
        kept = [
            [one for one in some if one not in others]
            for some, others in ((self.before, gone), (self.after, new))
        ]
        if kept[0] != kept[1]:
            return ""
        return "; ".join(f"{word}: {shorten(some)}" for word, some in ((REMOVED, gone), (ADDED, new)) if some)


def shorten(value: Any, limit: int = 60) -> str:
    """A value as one line for a person."""
    text = _line(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def apart(before: str, after: str, limit: int = 60) -> tuple[str, str]:
    """Two texts, each cut to ``limit`` characters, so that where they first differ is in both."""
    if max(len(before), len(after)) <= limit:
        return before, after
    same = next(
        (at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), None
    )
    same = min(len(before), len(after)) if same is None else same
    start = 0 if same < limit - _LEAD else same - _LEAD
    return _window(before, start, limit), _window(after, start, limit)


def _window(text: str, start: int, limit: int) -> str:
    cut = text[start:]
    return "…" * (start > 0) + (cut if len(cut) <= limit else cut[: limit - 1] + "…")


def _kind(value: Any) -> str:
    """What a value of YAML is, in a word."""
    if isinstance(value, bool):
        return "boolean"
    kinds = {str: "text", int: "number", float: "number", Decimal: "number", list: "list", dict: "mapping"}
    return next((word for kind, word in kinds.items() if isinstance(value, kind)), type(value).__name__)


def _line(value: Any) -> str:
    return " ".join(_words(value).split())


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_words(child)}" for key, child in value.items())
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(_words, value)) if isinstance(value, list) else shown(value)


def field_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FieldChange]:
    """Every leaf field that differs, in the order of the newer file; columns are matched by name.

    Values that are None count as not there.
    """
    return list(_changes("", before, after))


def _changes(prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    for key in [*after, *(key for key in before if key not in after)]:
        old, new = _by_name(before.get(key)), _by_name(after.get(key))
        path = f"{prefix}{key}"
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(f"{path}.", old, new)
        elif old != new:
            yield FieldChange(path, old, new)


def _by_name(value: Any) -> Any:
    """A list of named things, or files, as a mapping, so that one inserted column is one change."""
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        return value
    for name in ("name", "path"):
        if all(name in item for item in value):
            return {item[name]: {key: item[key] for key in item if key != name} for item in value}
    return value


#: What differs each time that a query is run, so that it says nothing; when it was run stands in ``extracted_at``.
OF_EVERY_RUN = frozenset(
    f"source.extraction.{name}" for name in ("snapshot", "snapshot_at", "started_at", "ended_at")
)


#: Of a query's record, what the manifest's own fields tell in fewer words.
_DATABASE_COLUMN = "source.extraction.columns."
_DATABASE_TYPES = ("database_type", "arrow_type")
_DICTIONARY = "source.extraction.dictionary."


def telling(changes: Iterable[FieldChange], beside: Iterable[FieldChange] = ()) -> list[FieldChange]:
    """The changes that tell something: not those of :data:`OF_EVERY_RUN`, nor what another change tells as well.

    Where there are no others it is all of them.

    Args:
        changes: Of fields.
        beside: Those that the same person is shown elsewhere.
    """
    found = list(changes)
    known = {one.path: one for one in (*found, *beside)}
    return [one for one in found if one.path not in OF_EVERY_RUN and not _is_told(one, known)] or found


def rows_line(before: int, after: int) -> str:
    """How many rows there were, and are."""
    return f"rows {before:,} → {after:,}"


def _is_told(one: FieldChange, known: Mapping[str, FieldChange]) -> bool:
    """The rows of the data, the text of a query, and what is true of a column stand in two places each."""
    if one.path == "source.rows":
        return _is_known(known, "contents.rows", one.before, one.after)
    if one.path == "source.extraction.query_sha256":
        return "source.extraction.normalised" in known
    if one.path.startswith(_DICTIONARY):
        column = f"columns.{one.path.removeprefix(_DICTIONARY)}"
        whole = one.after if one.before is None else one.before if one.after is None else None
        if not isinstance(whole, dict):
            return _is_known(known, column, one.before, one.after)
        if column in known:  # which came or went itself
            return (known[column].before is None) is (one.before is None)
        return all(
            _is_known(known, f"{column}.{name}", *((None, value) if one.before is None else (value, None)))
            for name, value in whole.items()
        )
    if not one.path.startswith(_DATABASE_COLUMN):
        return False
    column, _, of_type = one.path.removeprefix(_DATABASE_COLUMN).rpartition(".")
    if of_type in _DATABASE_TYPES and (same := known.get(f"columns.{column}.type")):
        in_arrow = known.get(f"{_DATABASE_COLUMN}{column}.arrow_type")
        return in_arrow is not None and (same.before, same.after) == (in_arrow.before, in_arrow.after)
    same = known.get(f"columns.{one.path.removeprefix(_DATABASE_COLUMN)}")
    if same is None:
        return False
    return (same.before is None and one.before is None) or (same.after is None and one.after is None)


def _is_known(known: Mapping[str, FieldChange], path: str, before: Any, after: Any) -> bool:
    same = known.get(path)
    return same is not None and (same.before, same.after) == (before, after)
