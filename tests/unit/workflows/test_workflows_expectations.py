"""What is stated of a training: numbers that can be compared with, and a command with a place for its results."""

from __future__ import annotations

import pytest

from datakeep.core.errors import UsageError
from datakeep.workflows.expectations import check_command, doubts, expectation


@pytest.mark.parametrize("text", ["a=0.9±0.01", "a=0.9+-0.01", "a=0.9:0.01", " a = 0.9 ± 0.01"])
def test_an_expected_value_with_its_tolerance(text):
    assert expectation(text) == ("a", {"value": 0.9, "tolerance": 0.01})


@pytest.mark.parametrize(
    "text", ["a", "a=", "a=nan", "a=NaN±0.1", "a=inf", "a=1e999", "a=0.9±nan", "a=0.9±inf", "a=0.9±x", "=1"]
)
def test_what_is_no_finite_number_is_refused(text):
    with pytest.raises(UsageError, match="finite numbers"):
        expectation(text)


def test_a_negative_tolerance_is_refused():
    with pytest.raises(UsageError, match="negative tolerance") as caught:
        expectation("a=0.9±-0.01")
    assert caught.value.next_step.endswith("--expect a=0.9±0.01")


def test_a_tolerance_of_nothing_is_doubted():
    (doubt,) = doubts("orders", None, ["a=0.9", "b=0.5±0.1"])
    assert doubt.startswith("a must be exactly 0.9")
    assert "--measure 3" in doubt


def test_a_command_without_a_place_for_its_results_is_refused():
    with pytest.raises(UsageError, match="does not name"):
        check_command("orders", "python train.py --data {data}")
    check_command("orders", "python train.py --out={out}")


@pytest.mark.parametrize(
    ("command", "doubted"),
    [
        ("x {data} {out}", False),
        ("x --data={data} {out}", False),
        ("x {orders} {out}", False),
        ("x {out}", True),
    ],
)
def test_a_command_that_does_not_name_the_data_is_doubted(command, doubted):
    said = list(doubts("orders", command, []))
    assert bool(said) == doubted
    assert not doubted or "DATAKEEP_DATA_ORDERS" in said[0]
