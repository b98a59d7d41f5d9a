"""A metric that is no better than a model that learned nothing is said to be that, before and at the verification."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from datakeep.cli.reference import _measured_lines
from datakeep.core.criteria import Criterion
from datakeep.workflows.blame import LayerFailed
from datakeep.workflows.clean_room import CleanRoom
from datakeep.workflows.reference import Measured


@pytest.mark.parametrize(("accuracy", "warned"), [("0.45", True), ("0.50037", True), ("0.6", False)])
def test_what_is_proposed_is_held_against_the_trivial(accuracy: str, warned: bool) -> None:
    value = Decimal(accuracy)
    proposed = Criterion("accuracy", value, Decimal("0.0005"), Decimal("0.50037"))
    lines = _measured_lines(Measured(({"accuracy": value},), (proposed,)))
    assert any("no better than that, so no verification can pass" in line for line in lines) == warned


def verified(observed: str) -> tuple[str, str]:
    expected = SimpleNamespace(value=Decimal("0.45"), tolerance=Decimal("0.0005"))
    room: Any = SimpleNamespace(
        reference=SimpleNamespace(expect={"accuracy": expected}, baseline={"accuracy": Decimal("0.50037")}),
        training_report=SimpleNamespace(metrics={"accuracy": Decimal(observed)}),
        entry=SimpleNamespace(dataset="orders"),
        _name="orders@v1",
    )
    with pytest.raises(LayerFailed) as failed:
        CleanRoom.metric(room)
    return failed.value.fault.what, str(failed.value.fault.next_step)


def test_a_result_as_expected_that_is_worth_nothing_is_no_matter_of_data_or_environment() -> None:
    what, step = verified("0.45")
    assert "no better than a model that learned nothing" in what
    assert step.startswith("mend the training")
    what, step = verified("0.3")
    assert "not what was expected" in what
    assert step.startswith("compare data, code and environment")
