"""Numbers in CSV that are written with separators: ``3,5``, ``1.234,50``, ``1,234.50``, ``1'234``.

A comma is a decimal point in half of the world and stands between thousands in the other half. What a file means is
told by those of its numbers that can be read in one way only; where that leaves both open, and the two readings
disagree about what is looked for, it cannot be told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from datakeep.core.decimals import without_zeros
from datakeep.extract.typed import AskOtherwise

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What stands between thousands everywhere: spaces, apostrophes.
_BLANKS = "'_ \u00a0\u202f\u2019"
_POWER = r"(?:[eE][+-]?[0-9]{1,3})?"
_POINT = re.compile(
    rf"[+-]?(?:[0-9]+|[0-9]{{1,3}}(?:[{_BLANKS}][0-9]{{3}})+|[0-9]{{1,3}}(?:,[0-9]{{2,3}})*,[0-9]{{3}})?"
    rf"(?:\.[0-9]*)?{_POWER}"
)
_COMMA = re.compile(rf"[+-]?(?:[0-9]+|[0-9]{{1,3}}(?:[.{_BLANKS}][0-9]{{3}})+)?(?:,[0-9]*)?{_POWER}")
# Those below are for Arrow, whose expressions are RE2's.
_ODD = (
    rf"^\s*[+-]?[0-9.]*[,{_BLANKS}][0-9][0-9.,{_BLANKS}]*{_POWER}\s*$"
    r"|^\s*[+-]?[0-9]+\.[0-9]+\.[0-9.]*[0-9]\s*$"
)
_BEFORE = rf"^\s*[+-]?[0-9{_BLANKS}]*"
_SAYS_COMMA = (
    rf"{_BEFORE},(?:[0-9]{{1,2}}|[0-9]{{4,}})\s*$|^\s*[+-]?0?,[0-9]+\s*$|^\s*[+-]?[0-9]{{4,}},[0-9]+\s*$"
    r"|^\s*[+-]?[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]*\s*$|^\s*[+-]?[0-9]{1,3}(?:\.[0-9]{3}){2,}\s*$"
)
_SAYS_POINT = (
    rf"{_BEFORE}\.(?:[0-9]{{1,2}}|[0-9]{{4,}})\s*$|^\s*[+-]?0?\.[0-9]+\s*$|^\s*[+-]?[0-9]{{4,}}\.[0-9]+\s*$"
    r"|^\s*[+-]?[0-9]{1,3}(?:,[0-9]{2,3})+\.[0-9]*\s*$|^\s*[+-]?[0-9]{1,3}(?:,[0-9]{3}){2,}\s*$"
)


def any_separated(array: Any) -> bool:
    """Whether some text may be a number with separators."""
    return bool(pc.any(pc.match_substring_regex(array, _ODD)).as_py())


@dataclass(slots=True)
class Rows:
    """How many rows there are for each way of reading the numbers; see :meth:`found`."""

    by_point: int = 0
    by_comma: int = 0
    sure: int = 0
    maybe: int = 0
    _says: set[str] = field(default_factory=set)

    def learn(self, array: Any) -> None:
        """What the texts of a column of numbers tell of how the file writes them."""
        for reading, pattern in (("comma", _SAYS_COMMA), ("point", _SAYS_POINT)):
            if reading not in self._says and pc.any(pc.match_substring_regex(array, pattern)).as_py():
                self._says.add(reading)

    def add(self, masks: Sequence[Masks]) -> None:
        """The rows of one batch, of which all ``masks`` must hold."""
        self.by_point += _count([one.by_point for one in masks])
        self.by_comma += _count([one.by_comma for one in masks])
        self.sure += _count([one.sure for one in masks])
        self.maybe += _count([pc.or_(one.by_point, one.by_comma) for one in masks])

    def found(self) -> tuple[int, str]:
        """The number of rows, and how the numbers were read.

        Raises:
            AskOtherwise: They can be read in two ways that disagree about the value.
        """
        if self._says == {"comma"}:
            return self.by_comma, "a comma in a number was read as the decimal point"
        if self._says == {"point"}:
            return self.by_point, "a comma in a number was read as standing between thousands"
        if self.sure != self.maybe:
            raise AskOtherwise(
                "its numbers have commas or points that can be read in two ways: ask for the value in quotes, "
                "as the file writes it"
            )
        return self.sure, "a number with separators was read as one"


@dataclass(frozen=True, slots=True)
class Masks:
    """Which rows of a column have the value: by each reading; ``sure`` where none of them says otherwise."""

    by_point: Any
    by_comma: Any
    sure: Any

    @classmethod
    def plain(cls, mask: Any) -> Masks:
        """Those of a test to which separators are nothing."""
        return cls(mask, mask, mask)

    def or_(self, mask: Any) -> Masks:
        """These, and the rows of ``mask``, which are sure."""
        return Masks(*(pc.or_(one, mask) for one in (self.by_point, self.by_comma, self.sure)))


def numbers(array: Any, wanted: Sequence[Decimal]) -> Masks:
    """Which texts are one of the numbers, as they may be read."""
    by_point, by_comma, sure = [], [], []
    for text in pc.unique(array.filter(_perhaps(array, wanted))).to_pylist():
        point, comma = (_read(text, pattern) for pattern in (_POINT, _COMMA))
        says = [number in wanted for number in (point, comma) if number is not None]
        if point in wanted:
            by_point.append(text)
        if comma in wanted:
            by_comma.append(text)
        if says and all(says):
            sure.append(text)
    return Masks(
        *(pc.is_in(array, value_set=pa.array(some, pa.string())) for some in (by_point, by_comma, sure))
    )


def _perhaps(array: Any, wanted: Sequence[Decimal]) -> Any:
    """Texts that have the digits of a number, which is found out fast."""
    mask = None
    for number in wanted:
        digits = "".join(map(str, without_zeros(number).as_tuple().digits))
        found = pc.match_substring_regex(array, rf"[.,{_BLANKS}]*".join(digits))
        mask = found if mask is None else pc.or_(mask, found)
    return mask


def _read(text: str, pattern: re.Pattern[str]) -> Decimal | None:
    text = text.strip()
    if not pattern.fullmatch(text) or not any(sign.isdigit() for sign in re.split("[eE]", text)[0]):
        return None
    for sign in (*_BLANKS, "," if pattern is _POINT else "."):
        text = text.replace(sign, "")
    return Decimal(text.replace(",", "."))


def _count(masks: Sequence[Any]) -> int:
    both = masks[0]
    for one in masks[1:]:
        both = pc.and_(both, one)
    return int(pc.sum(both).as_py() or 0)
