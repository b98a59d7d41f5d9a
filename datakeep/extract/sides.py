"""The two sides of a comparison: what columns each has, which of them meet, and as what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from datakeep.core.changes import apart
from datakeep.core.errors import SourceEmpty, SourceMalformed
from datakeep.core.literals import cut, literal, moment_literal
from datakeep.extract import tabular
from datakeep.extract.comparable import as_float, as_instant, as_number, as_text, comparable
from datakeep.extract.csv_file import CsvReader
from datakeep.extract.interface import merged_type, shown_type
from datakeep.extract.readable import readable_text
from datakeep.extract.values import fitted, kind_of, type_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_BATCH_ROWS = 65_536
_CUT = 80
_CSV = frozenset({"csv", "tsv"})
_NUMBERS = frozenset({"decimal", "integer", "float"})
How = Literal["values", "instants", "numbers", "floats", "text"]


@dataclass(frozen=True, slots=True)
class Matched:
    """A column that both sides have.

    Attributes:
        name: Its name.
        old: Its type on the old side; None where no value tells it.
        new: Its type on the new side.
        how: By its own values, by the instant of its moments, by the number that a decimal is in any scale and a
            float in its shortest form, by the number that a float of another width is, or by the text of its values.
        nested: Arrow's type, where it is one of lists or structs and both sides have the same.
    """

    name: str
    old: str | None
    new: str | None
    how: How
    nested: Any = None

    @property
    def is_changed(self) -> bool:
        """Whether the types differ; a column without a value has any type."""
        return None not in (self.old, self.new) and self.old != self.new

    def taken(self, array: Any) -> Any:
        """An array of the column in the form in which both sides meet."""
        if self.how == "text":
            return as_text(array)
        if self.how == "instants":
            return as_instant(array)
        if self.how == "numbers":
            return as_number(array)
        if self.how == "floats":
            return as_float(array)
        target = type_named(self.new)
        return comparable(array if target is None else fitted(array, target)[0])

    def shown(self, value: Any) -> str | None:
        """What the database has of the column, as text for a person; None is NULL."""
        if value is None:
            return None
        return cut(self._text(value), _CUT)

    def shown_apart(self, old: Any, new: Any) -> tuple[str | None, str | None]:
        """Two values of the column; of long ones, the part in which they first differ."""
        if old is None or new is None:
            return self.shown(old), self.shown(new)
        return apart(self._text(old), self._text(new), _CUT + 1)

    def _text(self, value: Any) -> str:
        arrow_type = type_named(self.new) or self.nested
        if self.how in ("text", "numbers", "floats") or (arrow_type is None and isinstance(value, bytes)):
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if self.how == "instants":
            return moment_literal(int(value), 10**9) + ("Z" if "tz=" in (self.new or "") else "")
        return literal(value) if arrow_type is None else readable_text(value, arrow_type)


@dataclass(frozen=True, slots=True)
class Side:
    """The files of one side.

    Attributes:
        types: Column to type, in the order of the first file.
        is_text: Whether a file of it has text for every value, as CSV does.
        is_keyed: Whether a file of it names the values of each row, as JSON does.
        nested: Arrow's type of the columns of lists and structs, where a file tells it.
    """

    types: Mapping[str, str | None]
    is_text: bool
    is_keyed: bool
    nested: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Sequence[tuple[str, Path]]) -> Side:
        """What the files have together.

        Raises:
            SourceEmpty: There is none.
            SourceMalformed: One has other columns than the first, or is no table.
        """
        if not files:
            raise SourceEmpty("there is no file to compare", next_step="name the files of both sides")
        types: dict[str, str | None] = {}
        nested: dict[str, Any] = {}
        formats = {shown: tabular.extension(shown) for shown, _ in files}
        for shown, file in files:
            found, arrow_types = _types(shown, file)
            nested |= arrow_types
            if types and formats[shown] not in tabular.KEYED and found.keys() != types.keys():
                raise SourceMalformed(
                    f"{shown} has other columns than {files[0][0]}, though both are of one side",
                    next_step="compare files of the same columns",
                    things=sorted(found.keys() ^ types.keys()),
                )
            for name, kind in found.items():
                types[name] = merged_type(types.get(name), kind)
        kinds = set(formats.values())
        return cls(types, bool(kinds & {"csv", "tsv"}), bool(kinds & tabular.KEYED), nested)

    def batches(
        self, shown: str, file: Path, columns: Sequence[Matched], *, missing: Sequence[str]
    ) -> Iterator[Any]:
        """The file's rows in the form in which both sides meet, as tables with the columns ``c0``, ``c1`` ….

        Texts of CSV that are in ``missing`` are NULL.
        """
        for batch in self._read(shown, file, missing):
            for start in range(0, max(len(batch), 1), _BATCH_ROWS):
                yield _taken(batch.slice(start, _BATCH_ROWS), columns)

    def _read(self, shown: str, file: Path, missing: Sequence[str]) -> Iterator[Any]:
        kind = tabular.extension(shown)
        if kind in _CSV:
            return CsvReader("\t" if kind == "tsv" else None).batches(shown, file, (), missing)
        text = {name for name, kind in self.types.items() if kind == "string"}
        return tabular.reader_of(kind).batches(shown, file, text)


def missing_texts(files: Sequence[tuple[str, Path]]) -> tuple[str, ...]:
    """The texts of CSV that are NULL, where ``files`` meet: none among CSVs, elsewhere that of no character.

    ``NA`` is a value: it may be Namibia, or sodium.
    """
    return () if all(tabular.extension(shown) in _CSV for shown, _ in files) else ("",)


def _taken(batch: Any, columns: Sequence[Matched]) -> Any:
    places = {name: place for place, name in reversed([*enumerate(batch.schema.names)])}
    # A table without any column would have no rows either.
    arrays = {"counted": pa.nulls(len(batch), pa.bool_())}
    for number, column in enumerate(columns):
        place = places.get(column.name)
        array = batch.column(place) if place is not None else pa.nulls(len(batch))
        arrays[f"c{number}"] = column.taken(array)
    return pa.table(arrays)


def _types(shown: str, file: Path) -> tuple[dict[str, str | None], dict[str, Any]]:
    """The columns of a file, the first of each name; and Arrow's types of those that have no plain name."""
    kind = tabular.extension(shown)
    if kind not in tabular.TABULAR:
        raise SourceMalformed(
            f"{shown} is no table that can be compared",
            next_step=f"compare files that end in {', '.join(sorted(tabular.TABULAR))}",
        )
    reader = tabular.reader_of(kind)
    nested = {}
    if kind in ("parquet", "pq"):
        first = next(iter(reader.batches(shown, file, ())))
        found = [(field.name, shown_type(field.type)) for field in first.schema]
        nested = {
            field.name: field.type for field in first.schema if type_named(shown_type(field.type)) is None
        }
    else:
        found = list(reader.inspect(shown, file).columns)
    return dict(reversed([*dict(reversed(found)).items()])), nested


def matched(old: Side, new: Side) -> list[Matched]:
    """The columns that both sides have, in the old order, and how they are compared."""
    return [
        Matched(name, kind, new.types[name], _how(old, new, kind, new.types[name]), new.nested.get(name))
        for name, kind in old.types.items()
        if name in new.types
    ]


def _how(old: Side, new: Side, one: str | None, other: str | None) -> How:
    if old.is_text or new.is_text or one is None or other is None:
        return "text"
    if one == other:
        # The objects of JSON may have other keys in each block.
        nested = type_named(one) is None
        return "text" if nested and (old.is_keyed or new.is_keyed) else "values"
    if one.startswith("timestamp[") and other.startswith("timestamp["):
        return "instants" if ("tz=" in one) == ("tz=" in other) else "text"
    found = {kind_of(type_named(kind)) for kind in (one, other)}
    if found == {"float"}:
        return "floats"
    return "numbers" if found <= _NUMBERS else "text"
