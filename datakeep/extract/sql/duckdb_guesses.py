"""What DuckDB guesses of a file of text (delimiter, header, types, form of dates), and which values it alters by it.

A CSV has no types, and JSON has numbers of any length: what DuckDB makes of them is its guess. That is said, with the
first value of each column that is not the same any more; nothing is refused, since the query can state it otherwise.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted
from datakeep.core.literals import cut, float_literal
from datakeep.extract.sql import duckdb_parquet, duckdb_reads
from datakeep.extract.sql.duckdb_json import DIGITS, altered, same
from datakeep.extract.sql.file_traits import SAFE_DIGITS
from datakeep.extract.sql.interface import Guess

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from datakeep.extract.sql.file_traits import Traits

    Ask = Callable[[str], list[tuple[Any, ...]]]

_CSV = re.compile(r"\.(csv|tsv|txt)(\.(gz|zst))?$", re.IGNORECASE)
_JSON = re.compile(r"\.(jsonl?|ndjson)(\.(gz|zst))?$", re.IGNORECASE)
_PARQUET = re.compile(r"\.(parquet|pq|parq)$", re.IGNORECASE)
_READERS = {
    "read_csv": "csv", "read_csv_auto": "csv", "read_json": "json", "read_json_auto": "json", "read_ndjson": "json",
    "read_ndjson_auto": "json", "read_parquet": "parquet", "parquet_scan": "parquet",
}  # fmt: skip
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
#: Arguments of ``read_json`` that ``read_json_objects`` has as well, and that change which objects there are.
_OF_OBJECTS = frozenset({"format", "compression", "ignore_errors", "maximum_object_size"})
_DOUBLE = "CAST(TRY_CAST({0} AS DOUBLE) AS VARCHAR)"
#: Which texts of a column may not be what DuckDB makes of them, by the family of its type.
_TESTS = {
    # First what is cheap: of a short text without exponent no digit can be gone, and most are the double's own.
    "DOUBLE": f"((length({{0}}) > {SAFE_DIGITS} OR contains(lower({{0}}), 'e')) AND {_DOUBLE} <> {{0}} AND "
    + f"{DIGITS} <> {DIGITS.format(_DOUBLE)})".replace("{}", "{0}"),
    "whole": "regexp_matches({0}, '^ *[+-]?0[0-9a-zA-Z]')",
    "time": "regexp_matches({0}, '[.][0-9]{{6}}[0-9]*[1-9]')",
    "VARCHAR": "{0} = ''",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One file, or pattern, that a query reads.

    Attributes:
        kind: ``csv``, ``json`` or ``parquet``.
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
    if reading.kind == "parquet":
        yield from duckdb_parquet.altered(reading.written, reading.paths, read)
        return
    if reading.kind == "json":
        yield from _of_json(reading, ask, read, traits)
        return
    if reading.stated is None:
        return
    delimiter, header, columns, date, moment, skipped, quote = ask(
        f"FROM {reading.call('sniff_csv', reading.paths[:1])} "
        "SELECT Delimiter, HasHeader, Columns, DateFormat, TimestampFormat, SkipRows, Quote"
    )[0]
    found = {one["name"]: str(one["type"]) for one in columns if one["name"] not in reading.stated}
    if (
        len(reading.paths) > 1
    ):  # the sniffer looks at the first, and the types are those that fit more of them
        fitting = _described(reading, "read_csv", ask)
        found = {name: fitting.get(name, kind) for name, kind in found.items()}
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
    there = _there(reading, traits, str(delimiter), quote)
    looked = {name: kind for name, kind in types.items() if _family(kind) in there}
    yield from _altered(reading, looked, ask, delim=_text(str(delimiter)), header=str(bool(header)).lower())


def _there(reading: Reading, traits: Mapping[str, Traits], delimiter: str, quote: str | None) -> set[str]:
    """Of which families of types the files may hold a text that DuckDB alters, by what was seen in their bytes."""
    seen = [traits.get(path) for path in reading.paths]
    known = [one for one in seen if one is not None]
    unseen = not _is_plain(reading) or len(known) < len(seen)
    found = {
        "DOUBLE": unseen or any(one.long_numbers for one in known),
        "whole": unseen or not _DELIMITERS.fullmatch(delimiter) or any(one.leading_zeros for one in known),
        "time": unseen or any(one.nanoseconds for one in known),
        "VARCHAR": unseen or quote not in _NO_OTHER_QUOTE or any(one.empty_quotes for one in known),
    }
    found["VARCHAR"] &= "allow_quoted_nulls" not in reading.arguments
    return {family for family, may_be in found.items() if may_be}


def _is_plain(reading: Reading) -> bool:
    """Whether a file's bytes show what its reader makes of them."""
    return not _UNSEEN & set(reading.arguments) and not any(map(_PACKED.search, reading.paths))


def _of_json(
    reading: Reading, ask: Ask, read: Collection[str] | None, traits: Mapping[str, Traits]
) -> Iterator[Guess]:
    types = _read(_described(reading, "read_json", ask), read)
    if not types:
        return
    stated = frozenset(types) if reading.stated is None else reading.stated
    if reading.stated is not None:
        yield _types_of(reading.written, "the types were guessed:", types, _WAY_OUT_JSON)
    seen = [traits.get(path) for path in reading.paths]
    if _is_plain(reading) and not stated and not any(one is None or one.long_numbers for one in seen):
        return
    kept = {name: value for name, value in reading.arguments.items() if name in _OF_OBJECTS}
    plain = Reading(reading.kind, reading.written, reading.paths, kept)
    yield from altered(reading.written, plain.call("read_json_objects", reading.paths), types, stated, ask)


def _described(reading: Reading, reader: str, ask: Ask) -> dict[str, str]:
    """The columns that a reader makes of all files, and their types."""
    return {row[0]: row[1] for row in ask("DESCRIBE FROM " + reading.call(reader, reading.paths))}


def _read(types: Mapping[str, str], read: Collection[str] | None) -> dict[str, str]:
    wanted = None if read is None else {name.lower() for name in read}
    return {name: kind for name, kind in types.items() if wanted is None or name.lower() in wanted}


def _types_of(written: str, words: str, types: Mapping[str, str], way_out: str) -> Guess:
    """To a reader the first few columns; all of them are recorded."""
    shown = [f"{name} {kind}" for name, kind in types.items()]
    more = len(shown) - _NAMED_COLUMNS
    few = ", ".join(shown[:_NAMED_COLUMNS]) + (f" and {counted(more, 'more column')}" if more > 0 else "")
    whole = f"{written}: {words} {', '.join(shown)}".rstrip()
    return Guess(f"{written}: {words} {few}".rstrip() + f"; {way_out}", whole if more > 0 else None)


def _altered(reading: Reading, types: Mapping[str, str], ask: Ask, **more: str) -> Iterator[Guess]:
    """The first value of each column that is another than the text: digits that are gone, an empty text."""
    tests = {name: _TESTS[_family(kind)].format(_quoted(name)) for name, kind in types.items()}
    if not tests:
        return
    found: dict[tuple[str, bool], tuple[int, str, str]] = {}
    for number, *values in ask(_question(reading, tests, more)):
        for name, value in zip(tests, values, strict=True):
            became = None if value is None else _became(_family(types[name]), value)
            if became is not None:
                found.setdefault((name, became.endswith("Infinity")), (number, value, became))
    for (name, _), (number, value, became) in found.items():
        where = f"{reading.written}: column {name}, first in row {number}"
        if types[name] == "VARCHAR":
            yield Guess(
                f'{where}: "" became NULL, as an empty field does; to tell them apart: '
                "read_csv(FILE, allow_quoted_nulls=false)"
            )
        else:
            way_out = _to_keep(name, types[name])
            yield Guess(
                f"{where}: {cut(value, _SHOWN_CHARACTERS)} became {became}, {way_out}",
                f"{where}: it became another, {way_out}",
            )


def _family(kind: str) -> str:
    if kind.endswith(("INT", "INTEGER")):
        return "whole"
    return "time" if kind.startswith("TIME") else kind


def _became(family: str, text: str) -> str | None:
    """What DuckDB makes of the text; None if it is the same."""
    if family == "DOUBLE":
        return None if same(text) else float_literal(float(text))
    if family == "whole":
        with suppress(ValueError):
            return str(int(text) if text.strip(" +-").isdigit() else int(text, 0))
        return None
    return re.sub(r"([.][0-9]{6})[0-9]+", r"\1", text) if family == "time" else "NULL"


def _to_keep(name: str, kind: str) -> str:
    stated = "TIMESTAMP_NS" if kind == "TIMESTAMP" else "VARCHAR"
    number = f", and --decimal {name}=PRECISION,SCALE where it is to be a number" if kind == "DOUBLE" else ""
    return (
        f"as the column was guessed to be {kind}; to keep it: "
        f"read_csv(FILE, types={{{_text(name)}: '{stated}'}}){number}"
    )


def _question(reading: Reading, tests: Mapping[str, str], more: Mapping[str, str]) -> str:
    """Rows with a suspicious value: number of the row, and of each column the text if it is one, else NULL."""
    arguments = {name: value for name, value in reading.arguments.items() if name not in _TYPING}
    plain = Reading(reading.kind, reading.written, reading.paths, arguments)
    added = {"all_varchar": "true", "allow_quoted_nulls": "false"}
    source = plain.call("read_csv", reading.paths, **{**more, **arguments, **added})
    chosen = ", ".join(f"CASE WHEN {test} THEN {_quoted(name)} END" for name, test in tests.items())
    # Of each column a bounded number of rows: one that seems altered may be a double's own digits, all 17 of them.
    numbered = f"SELECT row_number() OVER () AS datakeep_row, * FROM {source}"  # noqa: S608  (quoted names)
    return (
        f"SELECT datakeep_row, {chosen} FROM ({numbered}) WHERE {' OR '.join(tests.values())} LIMIT {_ROWS}"  # noqa: S608
    )


def _kind(name: str) -> str | None:
    if _PARQUET.search(name):
        return "parquet"
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
