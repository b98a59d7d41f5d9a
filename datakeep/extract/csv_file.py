"""CSV and TSV files, in whatever encoding and with whatever separator they came out of a database."""

from __future__ import annotations

import csv
import io
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pc

from datakeep.core.errors import SourceMalformed
from datakeep.extract import encodings
from datakeep.extract.interface import HELD_BYTES, STREAMED_BYTES, Inspection, cannot_open, shown_type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

#: What stands for a value that is not there.
MISSING_VALUES = ("", "NA")
_SEPARATORS = (",", ";", "\t", "|")
#: A name in quotation marks: what separates others may be a part of it.
_QUOTED = re.compile(r'(?:^|(?<=[,;\t|\r\n]))"(?:[^"]|"")*"')
_BLOCK_BYTES = 16 << 20
_WAY_OUT = "repair or export it again, or rename it if it is something else"


class CsvReader:
    """Reads CSV; with a ``separator`` of None, the one of ``, ; TAB |`` that splits the header most."""

    def __init__(self, separator: str | None = None) -> None:
        self._separator = separator

    def inspect(self, shown: str, file: Path) -> Inspection:
        """Columns and types; rows are counted up to a gigabyte, and types come from up to 64 MB."""
        with _faults(shown, file):
            dialect = self._dialect(shown, file)
            size_bytes = file.stat().st_size
            small = size_bytes <= HELD_BYTES
            # One block, so that all rows tell the types; UTF-8 takes up to three times the bytes of cp932.
            with _reading(file, dialect, 3 * size_bytes + 1 if small else _BLOCK_BYTES) as reader:
                schema = reader.schema
                rows = sum(len(batch) for batch in reader) if small else None
            if not small and dialect.text.whole:
                with _reading(file, dialect, _BLOCK_BYTES, only=schema.names[:1]) as reader:
                    rows = sum(len(batch) for batch in reader)
            _check_quotes(shown, file, dialect)
        notes = [f"{shown} is separated by {dialect.separator!r}"] if dialect.is_odd else []
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        notes += [f"{shown} has more than one column named {name!r}" for name in twice]
        if not small:
            notes.append(f"{shown} is large: types are those of its first {_BLOCK_BYTES >> 20} MB")
        if rows is None:
            notes.append(f"{shown} is larger than a gigabyte: rows are not counted")
        columns = tuple((field.name, shown_type(field.type)) for field in schema)
        return Inspection(columns, rows, dialect.encoding, tuple(notes))

    def values(self, shown: str, file: Path, column: str) -> Iterator[Any]:
        """The values of a column, as text."""
        with _faults(shown, file):
            dialect = self._dialect(shown, file)
            if column in dialect.header:
                with _reading(file, dialect, _BLOCK_BYTES, only=[column]) as reader:
                    for batch in reader:
                        yield batch.column(0)

    def batches(
        self,
        shown: str,
        file: Path,
        text: Collection[str],  # noqa: ARG002
        missing: Sequence[str] = MISSING_VALUES,
    ) -> Iterator[Any]:
        """All rows, every column as text: what a type is inferred from need not hold for later blocks.

        Texts of ``missing`` are NULL.
        """
        with _faults(shown, file):
            dialect = self._dialect(shown, file)
            size_bytes = file.stat().st_size
            block_bytes = 3 * size_bytes + 1 if size_bytes <= HELD_BYTES else _BLOCK_BYTES
            with _reading(file, dialect, block_bytes, texts=dialect.header, missing=missing) as reader:
                yield pa.RecordBatch.from_pylist([], reader.schema)
                yield from reader

    def header(self, shown: str, file: Path) -> list[str]:
        """The names in the first row."""
        with _faults(shown, file):
            return list(self._dialect(shown, file).header)

    def texts(self, shown: str, file: Path, only: list[str]) -> Iterator[Any]:
        """The columns of ``only``, in batches, as the very text that the file has; nothing stands for NULL."""
        with _faults(shown, file):
            dialect = self._dialect(shown, file)
            with _reading(file, dialect, _BLOCK_BYTES, only=only, missing=()) as reader:
                yield from reader
            _check_quotes(shown, file, dialect)

    def _dialect(self, shown: str, file: Path) -> _Dialect:
        text = encodings.find(file, STREAMED_BYTES)
        if text.encoding is None:
            raise SourceMalformed(
                f"{shown}, line {text.line}: not a CSV, {text.fault}",
                next_step="rename it to what it is, or save it as CSV in UTF-8",
            )
        with file.open(encoding=text.encoding, newline="") as lines:
            start = lines.read(1 << 20)
        if not start.strip():
            raise SourceMalformed(f"{shown} is empty", next_step="export it again, or leave it out")
        return _Dialect(text, start.lstrip("\r\n"), self._separator)


class _Dialect:
    """How one file writes its table."""

    def __init__(self, text: encodings.Text, start: str, separator: str | None) -> None:
        self.text = text
        self.encoding = text.encoding or "utf-8"
        self.is_odd = False
        if separator is None:
            first = re.split("[\r\n]", _QUOTED.sub("", start), maxsplit=1)[0]
            separator = max(_SEPARATORS, key=first.count)
            self.is_odd = separator != ","
        self.separator = separator
        self.header = _first_row(start, separator)


def _first_row(start: str, separator: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(start, newline=""), delimiter=separator), [])
    except csv.Error:
        return []


@contextmanager
def _reading(
    file: Path,
    dialect: _Dialect,
    block_bytes: int,
    *,
    only: list[str] | None = None,
    texts: Sequence[str] = (),
    missing: Sequence[str] = MISSING_VALUES,
) -> Iterator[Any]:
    """A streaming reader; ``only`` these columns, and ``texts`` as text; other types are inferred from a block."""
    convert = pc.ConvertOptions(
        null_values=list(missing),
        strings_can_be_null=bool(missing),
        include_columns=only,
        column_types=dict.fromkeys(texts or only or (), pa.string()),
    )
    # Arrow strips the mark of UTF-8 by itself, and decodes UTF-8 without a detour through Python.
    encoding = "utf8" if dialect.encoding.startswith("utf-8") else dialect.encoding
    with (
        file.open("rb") as raw,
        pc.open_csv(
            raw,
            read_options=pc.ReadOptions(encoding=encoding, block_size=block_bytes),
            parse_options=pc.ParseOptions(delimiter=dialect.separator, newlines_in_values=True),
            convert_options=convert,
        ) as reader,
    ):
        yield reader


@contextmanager
def _faults(shown: str, file: Path) -> Iterator[None]:
    """What goes wrong while a file is read becomes one error that names the line."""
    try:
        yield
    except OSError as error:
        raise cannot_open(shown, error) from error
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise _explained(shown, file, error) from error


def _explained(shown: str, file: Path, error: Exception) -> SourceMalformed:
    text = encodings.find(file, STREAMED_BYTES)
    with file.open(encoding=text.encoding, newline="", errors="replace") as lines:
        separator = "\t" if shown.lower().endswith(".tsv") else None
        dialect = _Dialect(text, lines.read(1 << 20).lstrip("\r\n"), separator)
        lines.seek(0)
        found = _first_ragged(lines, dialect.separator)
    if found:
        return SourceMalformed(f"{shown}, {found}", next_step=_WAY_OUT)
    cause = str(error).splitlines()[0][:160]
    return SourceMalformed(f"{shown} is not a CSV that can be read: {cause}", next_step=_WAY_OUT)


def _first_ragged(lines: Any, separator: str) -> str | None:
    """Where and how a row has another number of fields than the header, or does not end."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    width, line = 0, 1
    limit_before = csv.field_size_limit(HELD_BYTES)
    try:
        for row in reader:
            width = width or len(row)
            if row and len(row) != width:
                return f"line {line}: {len(row)} fields where the header has {width}"
            line = reader.line_num + 1
    except csv.Error as error:
        if "end of data" in str(error) or "field limit" in str(error):
            return f"line {line}: a quoted field begins here or on a line after it, and does not end"
    finally:
        csv.field_size_limit(limit_before)
    return None


def _check_quotes(shown: str, file: Path, dialect: _Dialect) -> None:
    """Refuses a file that ends inside a quoted field, as one that was cut off does.

    Arrow takes the rest of such a file for one value. Whole files have an even number of quotation marks,
    apart from rare ones in unquoted fields, so only an odd number is looked into.
    """
    if not dialect.text.whole:
        return
    with file.open("rb") as raw:
        quotes = sum(chunk.count(b'"') for chunk in iter(lambda: raw.read(1 << 20), b""))
    if quotes % 2 == 0:
        return
    with file.open(encoding=dialect.encoding, newline="") as lines:
        found = _first_ragged(lines, dialect.separator)
    if found and "does not end" in found:
        raise SourceMalformed(f"{shown}, {found}", next_step=_WAY_OUT)
