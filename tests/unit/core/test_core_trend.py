"""The rule of ``datakeep.core.trend``: what is a drop, and what is no more than noise."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakeep.core.trend import judge, mean, spread


def drops(*values: str | None, **settings) -> list[int]:
    """The places of the drops among values of different contents."""
    points = [(str(place), None if value is None else Decimal(value)) for place, value in enumerate(values)]
    found = judge(points, **{"noise": Decimal(0), **settings})
    return [place for place, one in enumerate(found) if one.is_drop]


def test_the_example_that_it_is_for() -> None:
    assert drops("0.85", "0.87", "0.69") == [2]


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("0.3",),
        ("0.85", "0.87", "0.86"),
        ("0.85", "0.87", "0.845"),  # below all, by less than one hundredth
        ("0.5", "0.7", "0.85", "0.8"),
        ("0.85", None, "0.85"),
        (None, "0.2", None),
        ("0", "0", "0"),
    ],
)
def test_what_is_no_drop(values: tuple[str | None, ...]) -> None:
    assert drops(*values) == []


def test_noise_tolerance_and_margin_each_allow_a_fall() -> None:
    assert drops("0.85", "0.80") == [1]
    assert drops("0.85", "0.80", noise=Decimal("0.06")) == []
    assert drops("0.85", "0.80", tolerance=Decimal("0.06")) == []
    assert drops("0.85", "0.80", margin=Decimal("0.06")) == []
    assert drops("0.85", "0.845", margin=Decimal(0)) == [1]
    assert drops("0.85", "0.80", margin=Decimal(0), noise=Decimal("0.06")) == []


def test_one_bad_early_version_excuses_nothing() -> None:
    assert drops("0.5", "0.85", "0.86", "0.87", "0.85", "0.86", "0.7") == [6]


def test_what_dropped_is_no_measure_for_what_follows() -> None:
    assert drops("0.85", "0.87", "0.69", "0.7", "0.86") == [2, 3]


def test_less_can_be_better() -> None:
    assert drops("2.0", "1.9", "3.0", less_is_better=True) == [2]
    assert drops("2.0", "1.9", "1.0", less_is_better=True) == []
    limit = judge([("a", Decimal(2)), ("b", Decimal(3))], noise=Decimal(0), less_is_better=True)[1].limit
    assert limit == Decimal("2.02")


def test_the_same_content_counts_once() -> None:
    """Five versions that changed the manifest alone are one point, not a spread of zero."""
    same = [("one", Decimal("0.8"))] * 5
    assert judge([*same, ("two", Decimal("0.795"))], noise=Decimal(0))[-1].is_drop is False


def test_a_version_with_the_same_data_as_the_drop_before_it_is_no_second_drop() -> None:
    points = [
        ("one", Decimal("0.8")),
        ("two", Decimal("0.6")),
        ("two", Decimal("0.6")),
        ("three", Decimal("0.6")),
    ]
    assert [one.is_drop for one in judge(points, noise=Decimal(0))] == [False, True, False, True]


def test_spread_and_mean() -> None:
    runs = [Decimal("0.61"), Decimal("0.625"), Decimal("0.615")]
    assert spread(runs) == Decimal("0.015")
    assert mean(runs) == Decimal("0.616666667")
    assert str(mean([Decimal("0.90"), Decimal("0.90")])) == "0.90"


NUMBERS = st.decimals(min_value=-1000, max_value=1000, places=4)


@given(st.lists(NUMBERS, min_size=1, max_size=12), NUMBERS.map(abs), st.booleans())
def test_laws(values: list[Decimal], noise: Decimal, less: bool) -> None:
    points = [(str(place), value) for place, value in enumerate(values)]
    found = judge(points, noise=noise, less_is_better=less)
    turned = judge([(key, -value) for key, value in points], noise=noise, less_is_better=not less)
    assert [one.is_drop for one in found] == [one.is_drop for one in turned]  # only the direction matters
    assert found[0].limit is None
    sign = -1 if less else 1
    for place, one in enumerate(found):
        before = [sign * value for value in values[:place]]
        if one.is_drop:  # never one that is as good as the usual version before it, nor one within the noise
            assert any(sign * values[place] < value - noise for value in before)
        elif one.limit is not None:
            assert sign * values[place] >= sign * one.limit
