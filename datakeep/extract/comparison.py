"""What a comparison of two sets of tables found: a value, for whoever prints or decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from datakeep.core.secrets import without_passwords

if TYPE_CHECKING:
    from collections.abc import Collection

#: A row as an example: the text of its keys, or of its first columns; None is NULL.
Example = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """A row that both sides have by its key, with other values.

    Attributes:
        key: What it is found by.
        columns: Column to its old and its new value; of many, the first ones.
        differing: In how many columns it differs.
    """

    key: Example
    columns: dict[str, tuple[str | None, str | None]]
    differing: int

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "key": dict(self.key),
            "columns": {name: {"old": old, "new": new} for name, (old, new) in self.columns.items()},
            "columns_differing": self.differing,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the rows of ``new`` differ from those of ``old``.

    Attributes:
        old_rows: Of all old files.
        new_rows: Of all new files.
        columns_added: Name and type.
        columns_removed: Name and type.
        types_changed: Name, old and new type; their values were compared by text, moments by instant,
            decimals and floats by the numbers that they are.
        reordered: The columns stand in another order, which is no difference by itself.
        compared: How many columns both have; rows are compared by these.
        by: Whether rows were found by their ``key``, or counted as whole ``row``s.
        keys: The columns that rows are found by; empty where they are not.
        why_by_row: Why they are not, though keys were named; None if they are, or none were named.
        added: Rows that only ``new`` has.
        removed: Rows that only ``old`` has.
        changed: Rows of the same key that differ; always 0 by whole rows.
        differing: Column to how many of the changed rows differ in it, the most first.
        examples: Of ``added``, ``removed`` and ``changed`` rows.
        changes: The first of the ``changed`` rows, with their old and new values.
        withheld: Examples are not given, because the data is, or may be, personal.
    """

    old_rows: int
    new_rows: int
    columns_added: tuple[tuple[str, str | None], ...]
    columns_removed: tuple[tuple[str, str | None], ...]
    types_changed: tuple[tuple[str, str | None, str | None], ...]
    reordered: bool
    compared: int
    by: Literal["key", "row"]
    keys: tuple[str, ...]
    why_by_row: str | None
    added: int
    removed: int
    changed: int
    differing: dict[str, int]
    examples: dict[str, tuple[Example, ...]]
    withheld: bool
    changes: tuple[ChangedRow, ...] = ()

    @property
    def same_columns(self) -> bool:
        """Whether names and types are the same."""
        return not (self.columns_added or self.columns_removed or self.types_changed)

    @property
    def same(self) -> bool:
        """Whether both have the same columns, and the same rows the same number of times."""
        return self.same_columns and not (self.added or self.removed or self.changed)

    def without_passwords(self, known: Collection[str]) -> Comparison:
        """The same, with passwords in URLs, and the ``known`` ones, withheld from the values of its examples."""

        def bare(value: str | None) -> str | None:
            return value if value is None else without_passwords(value, known)

        def row(values: Example) -> Example:
            return {name: bare(value) for name, value in values.items()}

        examples = {kind: tuple(row(one) for one in rows) for kind, rows in self.examples.items()}
        changes = tuple(
            replace(
                one,
                key=row(one.key),
                columns={name: (bare(old), bare(new)) for name, (old, new) in one.columns.items()},
            )
            for one in self.changes
        )
        return replace(self, examples=examples, changes=changes)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "same": self.same,
            "rows": {"old": self.old_rows, "new": self.new_rows},
            "columns": {
                "compared": self.compared,
                "added": [{"name": name, "type": kind} for name, kind in self.columns_added],
                "removed": [{"name": name, "type": kind} for name, kind in self.columns_removed],
                "type_changed": [
                    {"name": name, "old": old, "new": new} for name, old, new in self.types_changed
                ],
                "reordered": self.reordered,
            },
            "by": self.by,
            "keys": list(self.keys),
            "why_by_row": self.why_by_row,
            "added": self.added,
            "removed": self.removed,
            "changed": self.changed,
            "differing": dict(self.differing),
            "examples": {kind: list(rows) for kind, rows in self.examples.items()},
            "changes": [one.to_dict() for one in self.changes],
            "examples_withheld": self.withheld,
        }
