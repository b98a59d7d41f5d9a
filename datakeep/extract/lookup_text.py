"""Rows in CSV and JSON-lines by their values: read to the end, in bounded memory.

A CSV has texts only: a text is compared with them as they stand, and a number with those that are that number,
``4711``, ``04711`` and ``4711.0`` alike. A JSON value has a type of its own.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from datakeep.core.errors import SourceMalformed
from datakeep.extract.csv_file import CsvReader
from datakeep.extract.jsonlines_file import lines_of
from datakeep.extract.lookup import Looked
from datakeep.extract.separated import Masks, Rows, any_separated, numbers
from datakeep.extract.typed import CannotTell

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datakeep.core.conditions import Condition, Test, Value

_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*")
#: Of an object of objects each may have a name of its own.
_MAX_COLUMNS = 1000
_AS_TYPED = "a number was compared with texts, as it was typed"
_AS_NUMBER = "a text was taken for the number that it says"


def look(shown: str, file: Path, kind: str, condition: Condition) -> Looked:
    """See :func:`datakeep.extract.lookup.look_through`; ``kind`` is that of the text, as ``csv``."""
    if file.stat().st_size == 0:
        return Looked(0, condition.columns)
    if kind in ("csv", "tsv"):
        return _look_csv(shown, file, CsvReader(separator="\t" if kind == "tsv" else None), condition)
    if kind == "json" and (found := _look_document(file, condition)):
        return found
    return _look_json(shown, file, condition)


def _look_csv(shown: str, file: Path, reader: CsvReader, condition: Condition) -> Looked:
    header = reader.header(shown, file)
    if lacking := tuple(name for name in condition.columns if name not in header):
        return Looked(0, lacking, tuple(header))
    if any(header.count(name) > 1 for name in condition.columns):
        raise CannotTell("more than one column has this name")
    rows = 0
    odd = False
    for batch in reader.texts(shown, file, list(condition.columns)):
        mask = None
        for test in condition.tests:
            array = batch.column(test.column)
            odd = odd or (bool(_numbers(test)) and any_separated(array))
            same = _same_texts(array, test)
            mask = same if mask is None else pc.and_(mask, same)
        rows += pc.sum(mask).as_py() or 0
    return _look_at_separated(shown, file, reader, condition) if odd else Looked(rows)


def _numbers(test: Test) -> list[Decimal]:
    return [value.number for value in test.values if value.kind == "number"]


def _look_at_separated(shown: str, file: Path, reader: CsvReader, condition: Condition) -> Looked:
    """Once more, with numbers as they may be written; what they may mean is known at the end."""
    rows = Rows()
    for batch in reader.texts(shown, file, list(condition.columns)):
        masks = []
        for test in condition.tests:
            array = batch.column(test.column)
            found = Masks.plain(_same_texts(array, test))
            if wanted := _numbers(test):
                rows.learn(array)
                others = replace(test, values=tuple(one for one in test.values if one.kind != "number"))
                found = numbers(array, wanted).or_(_same_texts(array, others))
            masks.append(found)
        rows.add(masks)
    count, how = rows.found()
    return Looked(count, remarks=(how,))


def _same_texts(array: Any, test: Test) -> Any:
    texts = [value.text for value in test.values if value.kind == "text"]
    found = pc.is_in(array, value_set=pa.array(texts, pa.string()))
    for value in test.values:
        if value.kind == "number":
            found = pc.or_(found, _same_number(array, value.number))
        elif value.kind == "truth":
            found = pc.or_(found, pc.equal(pc.utf8_lower(pc.utf8_trim_whitespace(array)), value.text))
    return found


def _same_number(array: Any, number: Decimal) -> Any:
    """Which texts are the number, however it is written."""
    found = pc.match_substring_regex(array, _pattern(number))
    powers = pc.match_substring_regex(array, r"^\s*[+-]?[0-9.]+[eE][+-]?[0-9]{1,3}\s*$")
    if pc.any(powers).as_py():
        said = pc.unique(array.filter(powers)).to_pylist()
        same = [text for text in said if _NUMBER.fullmatch(text) and Decimal(text.strip()) == number]
        found = pc.or_(found, pc.is_in(array, value_set=pa.array(same, pa.string())))
    return found


def _pattern(number: Decimal) -> str:
    """What the number's plain text looks like: leading and trailing zeros and spaces make no difference."""
    if not number:
        return r"^\s*[+-]?(0+(\.0*)?|\.0+)\s*$"
    whole, _, fraction = f"{number.copy_abs():f}".partition(".")
    whole, fraction = whole.lstrip("0"), fraction.rstrip("0")
    sign = "-" if number < 0 else r"\+?"
    rest = rf"\.{fraction}0*" if fraction else r"(\.0*)?"
    return rf"^\s*{sign}0*{whole}{rest}\s*$"


def _look_json(shown: str, file: Path, condition: Condition) -> Looked:
    search = _JsonSearch(condition)
    for number, line in lines_of(shown, file):
        if search.may_matter(line):
            search.take(shown, number, line)
    return search.found()


def _look_document(file: Path, condition: Condition) -> Looked | None:
    """Of one JSON document, whose every object may be a row, wherever it lies; None of a file that is no such."""
    search = _JsonSearch(condition)
    try:
        waiting = [json.loads(file.read_bytes(), parse_float=_decimal)]
    except (ValueError, RecursionError):
        return None
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            search.judge(one)
        if isinstance(one, dict | list):
            inner = one.values() if isinstance(one, dict) else one
            waiting += [value for value in inner if isinstance(value, dict | list)]
    return search.found()


class _JsonSearch:
    """Objects, one at a time; lines that cannot matter are not parsed.

    Attributes:
        rows: How many satisfied the condition.
        seen: Columns of the condition that some object has.
        columns: Of the objects that were looked at, the first of them.
        remarks: How values were taken.
    """

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self._names = [_needle(name) for name in condition.columns]
        self._any_case = [re.compile(re.escape(name), re.IGNORECASE) for name in self._names]
        #: Of ``user.id`` the object in which it may lie.
        self._outer = {name: name.partition(".")[0] for name in condition.columns if "." in name}
        self._values = _needles(condition.tests)
        self.rows = 0
        self.seen: set[str] = set()
        self.columns: dict[str, None] = {}
        self.remarks: dict[str, None] = {}

    def may_matter(self, line: bytes) -> bool:
        """Whether the line must be parsed; one with an escape may say anything."""
        if not self.columns or self._outer or b"\\" in line:
            return bool(line.strip())
        if len(self.seen) < len(self._names):
            return any(name.search(line) for name in self._any_case)
        if not all(name in line for name in self._names):
            return False
        return self._values is None or any(value in line for value in self._values)

    def take(self, shown: str, number: int, line: bytes) -> None:
        """Judge one line."""
        try:
            item = json.loads(line.decode("utf-8-sig"), parse_float=_decimal)
        except (ValueError, RecursionError) as error:
            why = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else "is not JSON that can be read"
            raise SourceMalformed(f"{shown}, line {number}: {why}", next_step="look at it by hand") from error
        if not isinstance(item, dict):
            raise SourceMalformed(f"{shown}, line {number}: is no object", next_step="look at it by hand")
        self.judge(item)

    def judge(self, item: dict[str, Any]) -> None:
        """Judge one object."""
        if len(self.columns) < _MAX_COLUMNS:
            self.columns |= dict.fromkeys(item) or {"": None}
        self.seen.update(name for name in self._condition.columns if name in item)
        for name, outer in self._outer.items():
            if name not in item and isinstance(item.get(outer), dict | list):
                raise CannotTell(f"{name}: {outer} holds lists or objects")
        self.rows += all(self._holds(test, item.get(test.column)) for test in self._condition.tests)

    def found(self) -> Looked:
        """What all objects told."""
        if lacking := tuple(name for name in self._condition.columns if name not in self.seen):
            return Looked(0, lacking, tuple(self.columns))
        return Looked(self.rows, remarks=tuple(self.remarks))

    def _holds(self, test: Test, found: Any) -> bool:
        if isinstance(found, list | dict):
            raise CannotTell(f"{test.column} holds lists or objects")
        return found is not None and any(self._is(value, found) for value in test.values)

    def _is(self, value: Value, found: Any) -> bool:
        if isinstance(found, bool):
            return value.kind != "number" and value.text.lower() == ("true" if found else "false")
        if isinstance(found, str):
            same = found == value.text
            if same and value.kind == "number":
                self.remarks[_AS_TYPED] = None
            return same
        if value.kind == "truth" or not _NUMBER.fullmatch(value.text):
            return False
        same = bool(Decimal(value.text.strip()) == found)
        if same and value.kind == "text":
            self.remarks[_AS_NUMBER] = None
        return same


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None


def _needle(text: str) -> bytes:
    """A text as JSON has it that escapes no more than it must."""
    return json.dumps(text, ensure_ascii=False).encode("utf-8")


def _needles(tests: Sequence[Test]) -> list[bytes] | None:
    """Of one test, what a line without escapes must hold one of; None where numbers may be written in many ways."""
    for test in tests:
        texts = [value.text for value in test.values if value.kind == "text"]
        plain = not any(_NUMBER.fullmatch(text) or text.lower() in ("true", "false") for text in texts)
        if plain and len(texts) == len(test.values):
            return [_needle(text) for text in texts]
    return None
