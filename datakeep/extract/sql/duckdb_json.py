"""Which numbers of JSON files are others once DuckDB has read them.

DuckDB reads a fraction of JSON as a double, also where the column is to be text: ``0.1234567890123456789`` loses its
last digits without a word. The file's own text is there in ``read_json_objects``, and is held against it here.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import TYPE_CHECKING, Any

from datakeep.core.literals import cut, float_literal
from datakeep.extract.sql.interface import Guess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Ask = Callable[[str], list[tuple[Any, ...]]]

#: The significant digits of a number's text, as SQL: all before the exponent, without zeros at the ends.
DIGITS = r"trim(regexp_replace(regexp_replace({}, '[eE].*$', ''), '[^0-9]', '', 'g'), '0')"
_STRING = r'"(?:[^"\\]|\\.)*"'
_NUMBER = r"-?[0-9]+(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?"
#: What a number has that may not be a double's: sixteen digits, or an exponent of three.
_DOUBTFUL = r"[0-9](?:[.]?[0-9]){15}|[eE][+-]?[0-9]{3}"
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
#: What DuckDB calls the column of values that are no objects.
_WHOLE = ("json",)
_MOST_ROWS, _OBJECTS = 100_000, 200
_MOST_DIGITS, _EXACT_DIGITS = 38, 2_000
_SHOWN_CHARACTERS = 60


class _Number(str):
    """A number as the file has it."""

    __slots__ = ()


def altered(
    written: str, source: str, types: Mapping[str, str], stated: frozenset[str], ask: Ask
) -> Iterator[Guess]:
    """The first number of each field that is another in DuckDB than in the file.

    Args:
        written: The file, as the query names it.
        source: A call of ``read_json_objects``.
        types: The type of each column, as DuckDB reads it.
        stated: Columns whose type the query states: what that type rounds is told only of decimals.
        ask: Runs SQL.
    """
    scales = [int(found[2]) for name in stated if (found := _DECIMAL.fullmatch(types.get(name, "")))]
    numbered = f"SELECT row_number() OVER () AS datakeep_row, CAST(json AS VARCHAR) AS json FROM {source}"  # noqa: S608
    rows = [row for row, numbers in ask(_question(numbered, scales)) if scales or not all(map(same, numbers))]
    if not rows:
        return
    chosen = ", ".join(map(str, rows[:_OBJECTS]))
    objects = ask(f"SELECT datakeep_row, json FROM ({numbered}) WHERE datakeep_row IN ({chosen}) ORDER BY 1")  # noqa: S608
    told = set()
    for row, text in objects:
        with suppress(ValueError, ArithmeticError, RecursionError):
            for path, number in _numbers(json.loads(text, parse_float=_Number, parse_int=_Number), ()):
                if path[0] not in types and path != _WHOLE:
                    continue  # the query states columns, and this is none of them
                field = ".".join(path)
                became = _became(number, _kind(path, types), is_stated=path[0] in stated)
                if became is not None and field not in told:
                    told.add(field)
                    yield _guess(written, field, row, number, became)


def _question(numbered: str, scales: Sequence[int]) -> str:
    """Rows that hold numbers whose digits are not those of the double: their number, and the texts of these."""
    differs = f"{DIGITS.format('t')} <> {DIGITS.format('CAST(TRY_CAST(t AS DOUBLE) AS VARCHAR)')}"
    doubtful = _DOUBTFUL
    if scales:
        beyond = f"[.][0-9]{{{min(scales)}}}[0-9]*[1-9]"
        differs, doubtful = f"({differs} OR regexp_matches(t, '{beyond}'))", f"{doubtful}|{beyond}"
    numbers = f"regexp_extract_all(regexp_replace(json, '{_STRING}', '\"\"', 'g'), '{_NUMBER}')"
    # Everything is put together of this module's own texts.
    found = f"list_filter({numbers}, lambda t: {differs}) AS numbers FROM ({numbered})"
    return (
        f"SELECT datakeep_row, numbers FROM (SELECT datakeep_row, {found} "  # noqa: S608
        f"WHERE regexp_matches(json, '{doubtful}')) WHERE len(numbers) > 0 LIMIT {_MOST_ROWS}"
    )


def same(text: str) -> bool:
    """Whether a double's own digits, as many as the text has, are the text's: then nothing of it is lost."""
    number = float(text)
    digits = len(re.sub(r"[^0-9]", "", re.sub(r"[eE].*$", "", text)).lstrip("0"))
    with suppress(InvalidOperation, ValueError):
        return Decimal(f"{number:.{max(digits, 1) - 1}e}") == Decimal(text.strip())
    return False


def _numbers(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each number of an object, with the names of the fields that lead to it."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers(item, (*path, name))
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item, path)
    elif isinstance(value, _Number):
        yield path or _WHOLE, value


def _kind(path: Sequence[str], types: Mapping[str, str]) -> str:
    """The type that DuckDB gives a number: of a field in a struct, what stands behind its name."""
    whole = types.get(path[0], "")
    if len(path) > 1:
        inner = re.search(rf'[(, ]"?{re.escape(path[-1])}"? ([A-Z_]+(?:\(\d+, ?\d+\))?)', whole)
        return inner[1] if inner else "DOUBLE" if "DOUBLE" in whole else "JSON"
    return whole.partition("[")[0]


def _became(number: str, kind: str, *, is_stated: bool) -> str | None:
    """What DuckDB makes of the number; None if it is the same, or what the query itself asks for."""
    if is_stated and (found := _DECIMAL.fullmatch(kind)):
        with localcontext(prec=_EXACT_DIGITS):
            kept = Decimal(number).quantize(Decimal(1).scaleb(-int(found[2])), ROUND_HALF_UP)
            return None if Decimal(number) == kept else f"{kept:f}"
    is_whole = not re.search("[.eE]", number)
    as_text = kind in ("VARCHAR", "JSON")
    if (is_whole and kind != "DOUBLE") or (is_stated and not as_text) or same(number):
        return None
    return float_literal(float(number))


def _guess(written: str, field: str, row: int, number: str, became: str) -> Guess:
    where = f"{written}: column {field}, first in row {row}"
    why = f"as DuckDB reads it; to keep it: {_way_out(field, number)}"
    shown = cut(number, _SHOWN_CHARACTERS)
    return Guess(f"{where}: {shown} became {became}, {why}", f"{where}: the number became another, {why}")


def _way_out(field: str, number: str) -> str:
    """A type that holds the number, or the text of the file."""
    name = field.rpartition(".")[2]
    text = f"as text, regexp_extract(json, '\"{name}\": *([^,}}\\s]+)', 1) FROM read_json_objects(FILE)"
    _, digits, exponent = Decimal(number).as_tuple()
    scale = max(0, -int(exponent))
    if "." in field or max(len(digits), scale) > _MOST_DIGITS or int(exponent) + len(digits) > _MOST_DIGITS:
        return text
    if scale:
        typed = f"read_json(FILE, columns={{'{field}': 'DECIMAL({_MOST_DIGITS},{scale})'}})"
        return f"{typed}, and what that rounds is told; or {text}"
    typed = f"read_json(FILE, columns={{'{field}': 'VARCHAR'}})"
    return f"{typed}, and --decimal {field}=PRECISION,SCALE where it is to be a number"
