"""JSON-lines files: one JSON object per line. Read block by block, so that a fault has a line number."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.json as pj

from datakeep.core.errors import SourceMalformed
from datakeep.extract.interface import STREAMED_BYTES, Inspection, cannot_open, merged_type, shown_type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_BLOCK_BYTES = 16 << 20
_BOM = b"\xef\xbb\xbf"


class JsonLinesReader:
    """Reads JSON-lines."""

    def inspect(self, shown: str, file: Path) -> Inspection:
        """Columns are the objects' keys, in the order in which they first appear."""
        columns: dict[str, str | None] = {}
        rows: int | None = 0
        encoding, notes = "utf-8", []
        for start, line, block in _blocks(shown, file):
            if start > STREAMED_BYTES:
                rows = None
                notes.append(f"{shown} is large: only its first gigabyte is read, rows are not counted")
                break
            if start == 0 and block.startswith(_BOM):
                encoding = "utf-8-sig"
            types, count = _inspect_block(shown, line, block.removeprefix(_BOM))
            rows = (rows or 0) + count
            for name, kind in types.items():
                columns[name] = merged_type(columns.get(name), kind)
        if rows == 0:
            raise SourceMalformed(f"{shown} is empty", next_step="export it again, or leave it out")
        return Inspection(tuple(columns.items()), rows, encoding, tuple(notes))

    def values(self, shown: str, file: Path, column: str) -> Iterator[Any]:
        """The values of a key, as text; null where an object does not have it."""
        seen = False
        for _, line, block in _blocks(shown, file):
            found = [item.get(column) for item in _objects(shown, line, block.removeprefix(_BOM))]
            if any(isinstance(value, dict | list) for value in found):
                raise SourceMalformed(
                    f"{shown}: {column!r} holds lists or objects", next_step="name another column"
                )
            seen = seen or any(value is not None for value in found)
            if seen:
                yield pa.array([_text(value) for value in found], pa.string())

    def batches(self, shown: str, file: Path, text: Collection[str]) -> Iterator[Any]:
        """All rows, block by block; a block has the keys that its objects have."""
        for _, line, block in _blocks(shown, file):
            if block.strip():
                yield from _read_block(shown, line, block.removeprefix(_BOM), text)


def lines_of(shown: str, file: Path) -> Iterator[tuple[int, bytes]]:
    """Each line with its number; nothing is parsed."""
    for _, first, block in _blocks(shown, file):
        yield from enumerate(block.split(b"\n"), first)


def _read_block(shown: str, line: int, block: bytes, text: Collection[str]) -> Iterator[Any]:
    try:
        block.decode()
        # Arrow takes a text that looks like a moment for one, unless it is told.
        schema = pa.schema([(name, pa.string()) for name in text])
        table = pj.read_json(
            io.BytesIO(block),
            read_options=pj.ReadOptions(block_size=len(block) + 1),
            parse_options=pj.ParseOptions(explicit_schema=schema),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        objects = list(_objects(shown, line, block))
        names = dict.fromkeys(name for item in objects for name in item)
        columns = [pa.array([_text(item.get(name)) for item in objects], pa.string()) for name in names]
        yield pa.RecordBatch.from_arrays(columns, names=list(names))
        return
    yield from table.to_batches()


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _blocks(shown: str, file: Path) -> Iterator[tuple[int, int, bytes]]:
    """Blocks of whole lines, each with its position in bytes and the number of its first line."""
    line, start = 1, 0
    try:
        with file.open("rb") as raw:
            while block := raw.read(_BLOCK_BYTES):
                if not block.endswith(b"\n"):
                    block += raw.readline(_BLOCK_BYTES)
                    if len(block) >= 2 * _BLOCK_BYTES:
                        raise _malformed(shown, line + block.count(b"\n"), "is longer than 16 MB")
                yield start, line, block
                start += len(block)
                line += block.count(b"\n")
    except OSError as error:
        raise cannot_open(shown, error) from error


def _inspect_block(shown: str, line: int, block: bytes) -> tuple[dict[str, str | None], int]:
    """The keys' types and the number of objects, fast where Arrow can, line by line where it cannot."""
    try:
        block.decode()
        options = pj.ReadOptions(block_size=len(block) + 1)
        table = pj.read_json(io.BytesIO(block), read_options=options)
    except (pa.ArrowException, UnicodeDecodeError):
        return _inspect_lines(shown, line, block)
    types = {field.name: shown_type(field.type) for field in table.schema}
    return types, int(table.num_rows)


def _inspect_lines(shown: str, line: int, block: bytes) -> tuple[dict[str, str | None], int]:
    types: dict[str, str | None] = {}
    count = 0
    for item in _objects(shown, line, block):
        count += 1
        for name, value in item.items():
            types[name] = merged_type(types.get(name), _kind(value))
    return types, count


def _kind(value: Any) -> str | None:
    if value is None or value == []:
        return None
    if isinstance(value, dict | list):
        return shown_type(pa.infer_type([value]))
    return {bool: "bool", int: "int64", float: "double"}.get(type(value), "string")


def _objects(shown: str, first_line: int, block: bytes) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(block.split(b"\n"), first_line):
        if not line.strip():
            continue
        try:
            item = json.loads(line.decode())
        except UnicodeDecodeError as error:
            raise _malformed(shown, number, "is not UTF-8") from error
        except json.JSONDecodeError as error:
            raise _malformed(shown, number, f"is not JSON: {error.msg} at column {error.colno}") from error
        except RecursionError as error:
            raise _malformed(shown, number, "is nested too deeply") from error
        if not isinstance(item, dict):
            raise _malformed(shown, number, "is not an object, {…}")
        yield item


def _malformed(shown: str, line: int, cause: str) -> SourceMalformed:
    return SourceMalformed(
        f"{shown}, line {line}: {cause}",
        next_step="export it again with one JSON object per line, or rename it if it is something else",
    )
