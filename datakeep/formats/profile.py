"""``profile.json``: what the values of a dataset's tables are like, column by column.

It is JSON, which YAML 1.2 contains, since a table of a thousand columns would take a parser of YAML seconds. Counts
are integers; every other number, day and moment is exact text, so that no machine reads another value than was
written. A line of the file is a column, so that git shows which ones changed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field

from datakeep.core.errors import InvalidFile
from datakeep.core.personal import personal_by_name
from datakeep.core.secrets import find_secret
from datakeep.formats.base import Document, Part

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

MAX_SIZE_BYTES = 32 << 20
#: What must not stand in a file as it is: control characters, and what turns the direction of text.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?$"
Rows = Annotated[int, Field(ge=0)]
#: Why values are not here: stated or not stated about the data, so few that each may be seen, guessed from a name, or
#: seen in a value.
Withheld = Literal["privacy", "few", "name", "secret"]
#: Of so many values that may be of people, the ends of a range and the quantiles are no longer nearly all of them.
LEAST_VALUES = 20
Figure = Literal["distinct", "top", "quantiles", "histogram"]


class Top(Part):
    """A frequent value and its rows; where ``top`` is approximate, there are at least that many."""

    value: str
    rows: Rows


class ColumnProfile(Part):
    """The figures of one column; one that has no meaning for its type is not there."""

    name: str
    type: str | None = None
    nulls: Rows
    distinct: Rows | None = None
    min: str | None = None
    max: str | None = None
    mean: str | None = Field(
        default=None,
        pattern=_NUMBER,
        description="to 15 digits, or to two places more than the column has; NaN and infinities left out",
    )
    quantiles: dict[str, str] = Field(
        default_factory=dict, description="share of the rows to the smallest value that they do not exceed"
    )
    histogram: list[Rows] = Field(
        default_factory=list, description="rows in equal steps from min to max; of the sample, if approximate"
    )
    top: list[Top] = Field(default_factory=list)
    longest: Rows | None = Field(default=None, description="characters of the longest text, or bytes")
    nan: Rows = 0
    infinite: Rows = 0
    other: Rows = Field(
        default=0, description="values of a large text file that are not of the column's type"
    )
    approximate: list[Figure] = Field(default_factory=list, description="the figures that are not exact")
    withheld: Withheld | None = Field(default=None, description="why values of this column are not here")

    @property
    def shown_mean(self) -> str:
        """Six digits are enough to look at; nothing where there is no mean."""
        return "" if self.mean is None else f"{float(self.mean):.6g}"


class Periods(Part):
    """How many rows lie in each day, month or year of the time column; days are those of UTC."""

    column: str
    per: Literal["day", "month", "year"]
    rows: dict[str, Rows] = Field(
        min_length=1, description="the period to its rows; periods without rows are left out"
    )


class Profile(Document):
    """``profile.json`` as a whole."""

    kind: ClassVar[str] = "profile"
    model_config = ConfigDict(title="profile.json, the profile of a dataset's tables")

    format: Literal["datakeep/profile/1"] = "datakeep/profile/1"
    files: Rows = Field(description="the tabular files that were read")
    left_out: Rows = Field(default=0, description="tabular files that were not: other columns, or too many")
    rows: Rows
    columns: list[ColumnProfile]
    columns_left_out: Rows = 0
    time: Periods | None = None
    notes: list[str] = Field(default_factory=list)

    @classmethod
    def read(cls, text: str | bytes, *, what: str) -> Self:
        """The profile in JSON ``text``.

        Raises:
            InvalidFile: It is too large, does not parse, or a value has a wrong type.
            UnknownFormat: It is another kind of file, or of a major version from the future.
        """
        next_step = f"update the dataset from its source, which makes {what} anew"
        if len(text) > MAX_SIZE_BYTES:
            raise InvalidFile(f"{what} is larger than {MAX_SIZE_BYTES >> 20} MB", next_step=next_step)
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidFile(f"{what} is not JSON that can be read", next_step=next_step) from error
        if not isinstance(data, dict):
            raise InvalidFile(f"{what} is not a JSON object", next_step=next_step)
        return cls.of(data, what=what)

    def dump(self) -> str:
        """The profile as JSON text: a line for each field, and in ``columns`` for each column."""
        data = {"format": self.format_line(), **self.to_dict()}
        lines = [f'"{name}": {_lines(value)}' for name, value in data.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"


def _lines(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(map(_line, value)) + "\n]"
    return _line(value)


def _line(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


#: Fields of a column that repeat values of the data.
_TEXTS = ("min", "max", "top")
_VALUES = (*_TEXTS, "mean", "quantiles", "histogram")
#: So much of a password's beginning, at the end of a text that was cut, is taken for the password.
_LEAST_SHOWN = 4
#: Types whose ranges say nothing of one person; of a number that only its name gives away, all is withheld.
_RANGES = re.compile(r"u?int|half|float|double|decimal|date|time|duration|bool")


def withholding(
    profile: Profile,
    personal: str | None,
    known: Collection[str] = (),
    renamed: Mapping[str, Collection[str]] | None = None,
) -> Profile:
    """The profile without the values that would stay in git for ever though they may be somebody's.

    Unless ``personal`` is ``no``, text, bytes and all frequent values go; ranges of numbers and times stay if there
    are at least :data:`LEAST_VALUES` of them, and rows per day, month or year where each has as many.
    Of a column whose name suggests that its values identify people, all values go, whatever is stated; where it
    suggests that they describe people (``sex``), unless ``personal`` is ``no``. A text that looks like a password
    or token takes the values of its column with it. What is withheld already stays so.

    Args:
        profile: With all values.
        personal: The manifest's ``privacy.personal``; None where it is not stated.
        known: Passwords that are known as such, however they look: of the database that the data came out of.
        renamed: Columns (in lower case) to the names that they had where they came from.
    """

    def is_personal(column: str) -> bool:
        former = (renamed or {}).get(column.lower(), ())
        return any(_is_personal(name, personal) for name in (column, *former))

    columns = [
        _withheld(column, personal, known, is_personal(column.name), _values(profile, column))
        for column in profile.columns
    ]
    less: dict[str, Any] = {"columns": columns}
    time = profile.time
    if time and (is_personal(time.column) or (personal != "no" and min(time.rows.values()) < LEAST_VALUES)):
        less["time"] = None
    return profile.model_copy(update=less)


def _values(profile: Profile, column: ColumnProfile) -> int:
    """How many values its range is of."""
    return profile.rows - column.nulls - column.nan - column.infinite - column.other


def _is_personal(column: str, stated: str | None) -> bool:
    grade = personal_by_name(column)
    return grade == "identifies" or (grade == "describes" and stated != "no")


def _withheld(
    column: ColumnProfile, personal: str | None, known: Collection[str], is_personal: bool, values: int
) -> ColumnProfile:
    reason: Withheld | None = None
    gone: tuple[str, ...] = ()
    is_range = bool(_RANGES.match(column.type or ""))
    if known and any(_holds(text, secret) for text in _all_texts(column) for secret in known):
        reason, gone = "secret", _VALUES
    elif is_personal:
        reason, gone = "name", _VALUES
    elif personal != "no" and is_range and values < LEAST_VALUES:
        reason, gone = "few", _VALUES
    elif personal != "no" and column.type != "bool":
        reason, gone = "privacy", ("top",) if is_range else _TEXTS
    elif any(find_secret(text) for text in _texts(column)):
        reason, gone = "secret", _TEXTS
    there = [name for name in gone if getattr(column, name)]
    if not there:
        return column
    kept = {name: value for name, value in column.to_dict().items() if name not in there}
    if approximate := [figure for figure in column.approximate if figure not in there]:
        kept["approximate"] = approximate
    else:
        kept.pop("approximate", None)
    return ColumnProfile.model_validate({**kept, "withheld": reason})


def _texts(column: ColumnProfile) -> Iterable[str]:
    yield from (text for text in (column.min, column.max) if text)
    yield from (one.value for one in column.top)


def _all_texts(column: ColumnProfile) -> Iterable[str]:
    yield from _texts(column)
    yield from column.quantiles.values()


def _holds(text: str, secret: str) -> bool:
    """Whether the secret stands in a value: also as bytes, and where a long text is cut off within it."""
    if secret in text or secret.encode("utf-8").hex() in text:
        return True
    cut = text.removesuffix("…")
    return cut != text and any(cut.endswith(secret[:length]) for length in range(_LEAST_SHOWN, len(secret)))
