"""When a metric's fall from one version of the data to the next is a drop, and when it is no more than noise.

Read with more as better (else all values are turned round), and with *earlier* the versions before this one that
are no drops themselves, each different content counted once:

- ``allowed`` is the larger of the spread (highest less lowest) of repeated runs of one version, and the margin: what
  the user says, else the larger of the tolerance that the reference training states for the metric and one hundredth
  of the earlier versions' median;
- a version is a drop if it is more than ``allowed`` below the worst of the earlier ones;
- or if it is below their median by more than three times their usual distance from it (1.4826 × the median absolute
  deviation, and at least ``allowed``), where there are three or more: so one early version that was bad does not
  excuse all later ones.

The first version is never a drop: there is nothing to hold it against. One with the same content as the version just
before it is none either: the fall was that version's.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from statistics import median
from typing import TYPE_CHECKING

from datakeep.core.criteria import plain_decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Of the earlier versions' median: what a different draw of the same data may well change.
MARGIN = Decimal("0.01")
_PLACES = Context(prec=9)
#: From the median absolute deviation to a standard deviation, for values that are spread normally.
_TO_DEVIATION = Decimal("1.4826")
_DEVIATIONS = 3
_ENOUGH = 3


@dataclass(frozen=True, slots=True)
class Judged:
    """A version's value, and what it was held against.

    Attributes:
        value: What the training scored; None if it did not.
        limit: What it must not be worse than; None where there is nothing to hold it against.
        is_drop: It is worse.
    """

    value: Decimal | None
    limit: Decimal | None
    is_drop: bool


def spread(runs: Sequence[Decimal]) -> Decimal:
    """Highest less lowest of repeated runs; at least one."""
    return max(runs) - min(runs)


def mean(runs: Sequence[Decimal]) -> Decimal:
    """The mean of at least one value."""
    if len(set(runs)) == 1:
        return runs[0]
    return _shown(sum(runs, Decimal(0)) / len(runs))


def _shown(value: Decimal) -> Decimal:
    """In as many places as a person can use."""
    return plain_decimal(_PLACES.plus(value))


def judge(
    values: Sequence[tuple[str, Decimal | None]],
    *,
    noise: Decimal,
    tolerance: Decimal = Decimal(0),
    margin: Decimal | None = None,
    less_is_better: bool = False,
) -> list[Judged]:
    """Each version's value, judged by those before it.

    Args:
        values: For each version, oldest first, the id of its content and its value, None where there is none.
        noise: The spread of repeated runs; 0 where it was not measured.
        tolerance: What the reference training states for the metric.
        margin: In the metric's own unit; by default the tolerance or :data:`MARGIN` of the median.
        less_is_better: The metric falls as a model gets better.
    """
    sign = -1 if less_is_better else 1
    earlier: dict[str, Decimal] = {}
    found = []
    before = None
    for content, value in values:
        limit = _limit(list(earlier.values()), noise, tolerance, margin)
        turned = None if value is None else sign * value
        is_worse = turned is not None and limit is not None and turned < limit
        found.append(Judged(value, None if limit is None else sign * limit, is_worse and content != before))
        if turned is not None and not is_worse:
            earlier[content] = turned
        before = content
    return found


def _limit(
    earlier: Sequence[Decimal], noise: Decimal, tolerance: Decimal, margin: Decimal | None
) -> Decimal | None:
    """The lowest value that is no drop."""
    if not earlier:
        return None
    middle = median(earlier)
    allowed = max(noise, max(tolerance, abs(middle) * MARGIN) if margin is None else margin)
    limit = min(earlier) - allowed
    if len(earlier) >= _ENOUGH:
        usual = _TO_DEVIATION * median(abs(value - middle) for value in earlier)
        limit = max(limit, middle - _DEVIATIONS * max(usual, allowed))
    return _shown(limit)
