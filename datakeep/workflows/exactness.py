"""Which columns of a query become text or decimals, as a person says, where Arrow could not hold their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.extract.sql.interface import Exactness
    from datakeep.formats.manifest import Source

#: Of a decimal, as Arrow has it.
_MOST_DIGITS = 76


def exactness_of(as_text: Sequence[str], wanted: Sequence[str], recorded: Source | None) -> Exactness:
    """What a query's columns become, with what is wanted in the place of what was recorded.

    Args:
        as_text: Columns that are kept as the database's own text.
        wanted: ``column=precision,scale``.
        recorded: ``source`` of the version whose query it is; None if it is new.

    Raises:
        UsageError: A decimal is none, or a column is to be both.
    """
    from datakeep.extract.sql.interface import Exactness

    before = recorded.extraction if recorded else None
    decimals = {
        name: (precision, scale) for name, (precision, scale) in (before.decimals if before else {}).items()
    }
    for option in wanted:
        name, _, digits = option.rpartition("=")
        parts = digits.split(",")
        if not name or len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
            raise UsageError(
                f"--decimal {option!r} is not COLUMN=PRECISION,SCALE", next_step="write --decimal price=12,2"
            )
        decimals[name] = _digits(option, *(int(part) for part in parts))
    if both := [name for option in wanted if (name := option.rpartition("=")[0]) in as_text]:
        raise UsageError(
            f"the column {both[0]} is to be a decimal (--decimal) and text (--as-text)",
            next_step="give one of the two",
        )
    texts = {*(before.as_text if before else ()), *as_text} - {option.rpartition("=")[0] for option in wanted}
    for name in as_text:
        decimals.pop(name, None)
    return Exactness(frozenset(texts), decimals)


def _digits(option: str, precision: int, scale: int) -> tuple[int, int]:
    """Precision and scale of a decimal that Arrow has."""
    if not 1 <= precision <= _MOST_DIGITS or scale > precision:
        raise UsageError(
            f"--decimal {option}: a decimal has 1 to {_MOST_DIGITS} digits, and no more of them behind the point",
            next_step=f"write --decimal {option.rpartition('=')[0]}=38,2, or keep the column as text: --as-text "
            f"{option.rpartition('=')[0]}",
        )
    return precision, scale
