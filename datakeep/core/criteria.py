"""Comparing observed metrics with what was expected of them, exactly, in decimals."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from datakeep.core.decimals import rounded, without_zeros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Metrics of which less is better; of every other, more is.
LESS_IS_BETTER = ("loss", "error", "rmse", "mae", "mse", "mape", "perplexity", "deviance", "brier")


@dataclass(frozen=True, slots=True)
class Criterion:
    """One metric: the value that it must have, how far off it may be, and what a trivial model scores."""

    metric: str
    value: Decimal
    tolerance: Decimal
    baseline: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A criterion and what was observed (None: the training did not report it)."""

    criterion: Criterion
    observed: Decimal | None

    @property
    def within(self) -> bool:
        """Whether the observed value is within the tolerance, ends included."""
        return (
            self.observed is not None
            and abs(self.observed - self.criterion.value) <= self.criterion.tolerance
        )

    @property
    def beats_baseline(self) -> bool | None:
        """Whether it is better than the trivial model; None where either of the two is not known."""
        if self.observed is None or self.criterion.baseline is None:
            return None
        if less_is_better(self.criterion.metric):
            return self.observed < self.criterion.baseline
        return self.observed > self.criterion.baseline

    @property
    def passed(self) -> bool:
        """Within the tolerance, and not as bad as having learned nothing."""
        return self.within and self.beats_baseline is not False

    def __str__(self) -> str:
        criterion = self.criterion
        sign = "=" if self.observed == criterion.value else "≈" if self.within else "≠"
        observed = "not reported" if self.observed is None else f"{self.observed}"
        trivial = "" if criterion.baseline is None else f", trivial {criterion.baseline}"
        verdict = "PASS" if self.passed else "FAIL"
        expected = f"{criterion.value} (±{criterion.tolerance}{trivial})"
        return f"{criterion.metric} {observed} {sign} {expected} {verdict}"


def less_is_better(metric: str) -> bool:
    """Whether a metric of this name falls as a model gets better, going by the usual names."""
    words = metric.lower().replace("-", "_").split("_")
    return any(word in words or metric.lower().endswith(word) for word in LESS_IS_BETTER)


def compare(criteria: Sequence[Criterion], observed: Mapping[str, Decimal]) -> list[Comparison]:
    """Every criterion beside what was observed, in the criteria's order."""
    return [Comparison(criterion, observed.get(criterion.metric)) for criterion in criteria]


def propose(metric: str, runs: Sequence[Decimal], baseline: Decimal | None = None) -> Criterion:
    """The criterion that repeated runs suggest.

    The value is their middle, half-way between lowest and highest; the tolerance is the whole spread, so
    that one more run may lie half a spread outside what was seen. Runs that agree exactly get a tolerance of
    0.001 of the value: the same training on another processor differs in the last digits.

    Args:
        metric: Its name.
        runs: The observed values, one per run; at least one.
        baseline: What a trivial model scores, where known.
    """
    low, high = min(runs), max(runs)
    value = without_zeros(rounded((low + high) / 2, Decimal("0.000001")))
    spread = max(high - low, abs(value) / 1000)
    step = Decimal("0.0001") if spread >= Decimal("0.0001") else Decimal("0.000001")
    tolerance = rounded(spread + step / 2, step) or step
    return Criterion(metric, plain_decimal(value), plain_decimal(tolerance), baseline)


def plain_decimal(value: Decimal) -> Decimal:
    """The same number without an exponent or trailing zeros, as a person writes it."""
    text = f"{without_zeros(value):f}"
    return Decimal(text)
