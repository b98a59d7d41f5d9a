"""What DuckDB guesses of a file of text (delimiter, header, types, form of dates), and which values it alters by it.

A CSV has no types, and JSON has numbers of any length: what DuckDB makes of them is its guess. That is said, with the
first value of each column that is not the same any more; nothing is refused, since the query can state it otherwise.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from math import isinf
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted
from datakeep.extract.sql import duckdb_reads
from datakeep.extract.sql.file_traits import SAFE_DIGITS
from datakeep.extract.sql.interface import Guess

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from datakeep.extract.sql.file_traits import Traits

    Ask = Callable[[str], list[tuple[Any, ...]]]

_CSV = re.compile(r"\.(csv|tsv|txt)(\.(gz|zst))?$", re.IGNORECASE)
_JSON = re.compile(r"\.(jsonl?|ndjson)(\.(gz|zst))?$", re.IGNORECASE)
_READERS = {"read_csv": "csv", "read_csv_auto": "csv", "read_json": "json", "read_json_auto": "json",
            "read_ndjson": "json", "read_ndjson_auto": "json"}  # fmt: skip
#: Arguments of a reader that state types; read as text, a file has none.
_TYPING = frozenset({
    "types", "dtypes", "column_types", "columns", "all_varchar", "auto_type_candidates", "dateformat",
    "date_format", "timestampformat", "timestamp_format", "auto_detect", "allow_quoted_nulls",
})  # fmt: skip
_NAMED_COLUMNS = 5
_ROWS = 100_000
#: With one of these, or packed, a file's bytes do not show what its reader makes of them.
_UNSEEN = frozenset({"compression", "decimal_separator", "thousands", "encoding", "quote"})
#: What the sniffer says where nothing but ", or nothing at all, quotes a text.
_NO_OTHER_QUOTE = ('"', "(empty)", "", None)
_PACKED = re.compile(r"\.(gz|zst)$", re.IGNORECASE)
_SHOWN_CHARACTERS = 60
_DELIMITERS = re.compile(r"[,;|\t]")
_WAY_OUT_CSV = (
    "to state it, write in the query read_csv(FILE, types={'COLUMN': 'TYPE'}, dateformat='%d/%m/%Y'), "
    "or all_varchar=true"
)
_WAY_OUT_JSON = "to state them, write in the query read_json(FILE, columns={'COLUMN': 'TYPE'})"
#: The significant digits of a number's text, as SQL: all before the exponent, without zeros at the ends.
_DIGITS = r"trim(regexp_replace(regexp_replace({}, '[eE].*$', ''), '[^0-9]', '', 'g'), '0')"


@dataclass(frozen=True, slots=True)
class Reading:
    """One file, or pattern, that a query reads as text.

    Attributes:
        kind: ``csv`` or ``json``.
        written: As the query names it.
        paths: The files.
        arguments: Those of its reader that have a name, as SQL.
        stated: Columns whose types the query states; None if it states all of them.
    """

    kind: str
    written: str
    paths: tuple[str, ...]
    arguments: Mapping[str, str]
    stated: frozenset[str] | None = frozenset()

    def call(self, reader: str, paths: Sequence[str], **more: str) -> str:
        """The reader with the arguments of the query, as SQL, and ``more``, which win."""
        given = {**self.arguments, **more}
        names = ", ".join(_text(path) for path in paths)
        return ", ".join([f"{reader}([{names}]" if len(paths) > 1 else f"{reader}({names}",
                          *(f"{name}={value}" for name, value in given.items())]) + ")"  # fmt: skip


def readings(
    text: str, named: Mapping[str, duckdb_reads.Named], values: Mapping[str, Any]
) -> Iterator[Reading]:
    """The files of text that a query reads, each once."""
    import sqlglot
    from sqlglot import exp

    seen = set()
    for table in sqlglot.parse_one(text, read="duckdb").find_all(exp.Table):
        if isinstance(table.this, exp.Identifier):
            kind, call = _kind(table.name), _Call([table.name])
        else:
            kind = _READERS.get(duckdb_reads.called(table.this).lower())
            call = _call(table.this, values)
        for name in call.files:
            found = named.get(name)
            if kind and found and name not in seen:
                seen.add(name)
                yield Reading(kind, name, tuple(path for path, _ in found.files), call.arguments, call.stated)


def told(
    reading: Reading, ask: Ask, read: Collection[str] | None, traits: Mapping[str, Traits]
) -> Iterator[Guess]:
    """What was guessed of one file, and the first value of each column that was altered.

    Args:
        reading: The file.
        ask: Puts a question to DuckDB.
        read: The columns that the query reads, in any case; nothing is said of others. None: it may read all.
        traits: What was seen in the bytes of the files: nothing is looked for that cannot be there.
    """
    if reading.stated is None:
        return
    seen = [traits.get(path) for path in reading.paths]
    is_plain = not _UNSEEN & set(reading.arguments) and not any(map(_PACKED.search, reading.paths))
    numbers = not is_plain or any(one is None or one.long_numbers for one in seen)
    if reading.kind == "json":
        rows = ask("DESCRIBE FROM " + reading.call("read_json", reading.paths))
        types = _read({row[0]: row[1] for row in rows}, read)
        if types:
            yield _types_of(reading.written, "the types were guessed:", types, _WAY_OUT_JSON)
            yield from _altered(reading, _of_type(types, "DOUBLE") if numbers else [], [], ask)
        return
    delimiter, header, columns, date, moment, skipped, quote = ask(
        f"FROM {reading.call('sniff_csv', reading.paths[:1])} "
        "SELECT Delimiter, HasHeader, Columns, DateFormat, TimestampFormat, SkipRows, Quote"
    )[0]
    found = {one["name"]: str(one["type"]) for one in columns if one["name"] not in reading.stated}
    types = _read(found, read)
    if len(columns) == 1 and (within := _DELIMITERS.search(columns[0]["name"])):
        yield Guess(
            f"{reading.written} became one column, {columns[0]['name']!r}, as its lines have different numbers of "
            f"fields: state in the query read_csv({_text(reading.written)}, delim={_text(within[0])}, "
            "null_padding=true), or mend the file"
        )
        return
    kinds = set(types.values())
    forms = [
        (f"dates as {date}", date and "DATE" in kinds),
        (f"moments as {moment}", moment and "TIMESTAMP" in kinds),
    ]
    guessed = [f"delimiter {delimiter!r}", "a header" if header else "no header"]
    guessed += [form for form, is_there in forms if is_there]
    guessed += (
        [f"that its first {counted(skipped, 'line')} are no data (skip=0 keeps them)"] if skipped else []
    )
    yield _types_of(
        reading.written, f"guessed were {', '.join(guessed)}{',' if types else ''}", types, _WAY_OUT_CSV
    )
    empties = (
        not is_plain or quote not in _NO_OTHER_QUOTE or any(one is None or one.empty_quotes for one in seen)
    )
    empties = empties and "allow_quoted_nulls" not in reading.arguments
    yield from _altered(
        reading, _of_type(types, "DOUBLE") if numbers else [], _of_type(types, "VARCHAR") if empties else [], ask,
        delim=_text(str(delimiter)), header=str(bool(header)).lower(),
    )  # fmt: skip


def _read(types: Mapping[str, str], read: Collection[str] | None) -> dict[str, str]:
    wanted = None if read is None else {name.lower() for name in read}
    return {name: kind for name, kind in types.items() if wanted is None or name.lower() in wanted}


def _of_type(types: Mapping[str, str], kind: str) -> list[str]:
    return [name for name, one in types.items() if one == kind]


def _types_of(written: str, words: str, types: Mapping[str, str], way_out: str) -> Guess:
    """To a reader the first few columns; all of them are recorded."""
    shown = [f"{name} {kind}" for name, kind in types.items()]
    more = len(shown) - _NAMED_COLUMNS
    few = ", ".join(shown[:_NAMED_COLUMNS]) + (f" and {counted(more, 'more column')}" if more > 0 else "")
    whole = f"{written}: {words} {', '.join(shown)}".rstrip()
    return Guess(f"{written}: {words} {few}".rstrip() + f"; {way_out}", whole if more > 0 else None)


def _altered(
    reading: Reading, doubles: Sequence[str], texts: Sequence[str], ask: Ask, **more: str
) -> Iterator[Guess]:
    """The first value of each column that is another than the text: digits that are gone, an empty text."""
    if not doubles and not texts:
        return
    found: dict[tuple[str, bool], tuple[int, str]] = {}
    for number, *values in ask(_question(reading, doubles, texts, more)):
        for name, value in zip([*doubles, *texts], values, strict=True):
            if value is not None and (name in texts or not _same(value)):
                found.setdefault((name, name in doubles and isinf(float(value))), (number, value))
    for (name, _), (number, value) in found.items():
        where = f"{reading.written}: column {name}, row {number}"
        if name in texts:
            yield Guess(
                f'{where}: "" became NULL, as an empty field does; to tell them apart: '
                "read_csv(FILE, allow_quoted_nulls=false)"
            )
        else:
            yield Guess(
                f"{where}: {_short(value)} became {float(value)!r}, {_to_keep(reading.kind, name)}",
                f"{where}: the number became another, {_to_keep(reading.kind, name)}",
            )


def _short(value: str) -> str:
    return value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "…"


def _to_keep(kind: str, name: str) -> str:
    argument = "types" if kind == "csv" else "columns"
    return (
        "as the column was guessed to be DOUBLE; to keep it: "
        f"read_{kind}(FILE, {argument}={{{_text(name)}: 'VARCHAR'}}), "
        f"and --decimal {name}=PRECISION,SCALE where it is to be a number"
    )


def _question(reading: Reading, doubles: Sequence[str], texts: Sequence[str], more: Mapping[str, str]) -> str:
    """Rows with a suspicious value: number of the row, and of each column the text if it is one, else NULL."""
    arguments = {name: value for name, value in reading.arguments.items() if name not in _TYPING}
    plain = Reading(reading.kind, reading.written, reading.paths, arguments)
    if reading.kind == "csv":
        added = {"all_varchar": "true", "allow_quoted_nulls": "false"}
        source = plain.call("read_csv", reading.paths, **{**more, **arguments, **added})
    else:
        columns = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in doubles)
        source = plain.call("read_json", reading.paths, columns=f"{{{columns}}}")
    tests = {}
    for name in doubles:
        column = _quoted(name)
        number = f"CAST(TRY_CAST({column} AS DOUBLE) AS VARCHAR)"
        # First what is cheap: of a short text without exponent no digit can be gone, and most are the double's own.
        long = f"(length({column}) > {SAFE_DIGITS} OR contains(lower({column}), 'e'))"
        tests[name] = (
            f"({long} AND {number} <> {column} AND {_DIGITS.format(column)} <> {_DIGITS.format(number)})"
        )
    tests |= {name: f"{_quoted(name)} = ''" for name in texts}
    chosen = ", ".join(f"CASE WHEN {test} THEN {_quoted(name)} END" for name, test in tests.items())
    # Of each column a bounded number of rows: one that seems altered may be a double's own digits, all 17 of them.
    numbered = f"SELECT row_number() OVER () AS datakeep_row, * FROM {source}"  # noqa: S608  (quoted names)
    return (
        f"SELECT datakeep_row, {chosen} FROM ({numbered}) WHERE {' OR '.join(tests.values())} LIMIT {_ROWS}"  # noqa: S608
    )


def _same(text: str) -> bool:
    """Whether a double's own digits, as many as the text has, are the text's: then nothing of it is lost."""
    number = float(text)
    digits = len(re.sub(r"[^0-9]", "", re.sub(r"[eE].*$", "", text)).lstrip("0"))
    with suppress(InvalidOperation, ValueError):
        return Decimal(f"{number:.{max(digits, 1) - 1}e}") == Decimal(text.strip())
    return False


def _kind(name: str) -> str | None:
    return "csv" if _CSV.search(name) else "json" if _JSON.search(name) else None


@dataclass(slots=True)
class _Call:
    """A reader's files, its arguments that have a name, and the columns whose types they state (None: all)."""

    files: list[str]
    arguments: dict[str, str] = field(default_factory=dict)
    stated: frozenset[str] | None = frozenset()


def _call(call: Any, values: Mapping[str, Any]) -> _Call:
    from sqlglot import exp

    found = _Call([])
    for one in duckdb_reads.arguments(call):
        if isinstance(one, exp.Literal) and one.is_string:
            found.files.append(one.name)
        elif isinstance(one, exp.Placeholder | exp.Parameter) and isinstance(values.get(one.name), str):
            found.files.append(values[one.name])
        elif isinstance(one, exp.EQ | exp.PropertyEQ | exp.Kwarg):
            name = one.this.name.lower()
            found.arguments[name] = one.expression.sql("duckdb")
            if name in ("types", "dtypes", "column_types") and isinstance(one.expression, exp.Struct):
                found.stated = frozenset(pair.this.name for pair in one.expression.expressions)
            elif name in ("columns", "all_varchar", "types", "dtypes", "column_types"):
                found.stated = None
    return found


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
