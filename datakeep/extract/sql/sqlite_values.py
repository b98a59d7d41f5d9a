"""SQLite's values in Arrow: its columns have no type of their own, so what a column becomes is found in its values.

SQLite keeps one of five storage classes with each value (https://sqlite.org/datatype3.html). A column whose
values are all of one class has an equal in Arrow; one that mixes whole numbers and fractions has one as
long as every whole number has an exact double; any other mix is refused, unless the column is to be text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datakeep.extract.sql.refusals import inexact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from datakeep.extract.sql.faults import NotExact

#: Storage class of each type that the driver hands over; NULL is none.
CLASSES: dict[type, str] = {int: "integer", float: "real", str: "text", bytes: "blob"}
_ARROW = {"integer": "int64", "real": "double", "text": "string", "blob": "binary"}
_NUMBERS = frozenset({"integer", "real"})
#: https://sqlite.org/datatype3.html#determination_of_column_affinity: the first that stands in the declared type.
_AFFINITIES = (
    ("INT", "integer"), ("CHAR", "text"), ("CLOB", "text"), ("TEXT", "text"), ("BLOB", "blob"),
    ("REAL", "real"), ("FLOA", "real"), ("DOUB", "real"),
)  # fmt: skip


def classes_of(values: Iterable[Any]) -> frozenset[str]:
    """The storage classes of ``values``, without NULL."""
    return frozenset(CLASSES[kind] for kind in set(map(type, values)) if kind in CLASSES)


def arrow_name(classes: frozenset[str], declared: str) -> str | None:
    """Arrow's name of what a column of these classes becomes, or None if it has no equal.

    A column without any value goes by its declared type, so that the next extraction gives the same;
    ``null`` if there is none.
    """
    if not classes:
        upper = declared.upper()
        return next((_ARROW[kind] for part, kind in _AFFINITIES if part in upper), "null")
    if len(classes) == 1:
        return _ARROW[next(iter(classes))]
    return "double" if classes == _NUMBERS else None


def note_of(classes: frozenset[str], *, as_text: bool) -> str | None:
    """What a person should know of a column of these classes."""
    if as_text:
        return "kept as text" + (f": its values are {_listed(classes)}" if classes - {"text"} else "")
    if classes == _NUMBERS:
        return "holds whole numbers and fractions: kept as double, in which each of them is exact"
    return None if classes else "holds no value"


def first_others(rows: Iterable[Sequence[Any]], columns: Mapping[int, str]) -> dict[int, NotExact]:
    """The error for the first value in each of ``columns`` (by position) whose class is another than before."""
    found: dict[int, NotExact] = {}
    first: dict[int, str] = {}
    for row, values in enumerate(rows, 1):
        for at in columns.keys() - found.keys():
            kind = CLASSES.get(type(values[at]))
            before = kind and first.setdefault(at, kind)
            if kind != before and {before, kind} != _NUMBERS:
                why = f"is {kind}, while the values before it are {before}"
                found[at] = inexact(columns[at], row, values[at], why)
        if len(found) == len(columns):
            break
    return found


def as_array(values: Sequence[Any], target: Any, name: str, first_row: int, *, as_text: bool) -> Any:
    """One column of a batch.

    Args:
        values: As the driver gave them.
        target: The Arrow type of the column.
        name: Of the column.
        first_row: The number of the first value's row, from 1.
        as_text: Whether every value is to be written as text.

    Raises:
        NotExact: A value has no equal in ``target``.
    """
    import pyarrow as pa

    if as_text:
        return pa.array([None if value is None else text_of(value) for value in values], pa.string())
    kinds = classes_of(values)
    wanted = next((kind for kind, arrow in _ARROW.items() if arrow == str(target)), "")
    if not kinds <= {wanted}:
        _check(values, wanted, name, first_row)
        if (
            wanted == "real"
        ):  # Arrow takes no whole number above 2**53 as a double, even one that has its equal
            values = [float(value) if type(value) is int else value for value in values]
    return pa.array(values, target)


def text_of(value: Any) -> str:
    """A value as SQLite would read it back: numbers with all their digits, a blob as ``X'…'``."""
    if isinstance(value, bytes):
        return f"X'{value.hex().upper()}'"
    return value if isinstance(value, str) else repr(value)


def _check(values: Sequence[Any], wanted: str, name: str, first_row: int) -> None:
    fits: dict[str, Callable[[Any], bool]] = {"real": lambda value: type(value) is int and _has_double(value)}
    fit = fits.get(wanted, lambda _: False)
    for row, value in enumerate(values, first_row):
        kind = CLASSES.get(type(value))
        if kind in {None, wanted} or fit(value):
            continue
        if wanted == "real" and kind == "integer":
            raise inexact(name, row, value, "has no exact double, and the column holds fractions too")
        raise inexact(name, row, value, f"is {kind}, while the values before it are {wanted or 'NULL'}")


def _has_double(value: int) -> bool:
    return int(float(value)) == value


def _listed(classes: frozenset[str]) -> str:
    return ", ".join(sorted(classes))
