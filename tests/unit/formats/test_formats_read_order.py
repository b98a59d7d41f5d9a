"""What a record tells of the order of reads and writes, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from datakeep.formats.model import ModelRecord
from datakeep.formats.read_order import read_order


def record(opened: dict[str, str], *, by: str = "strace", **written: str | None) -> ModelRecord:
    given = {
        "dataset": "o",
        "version": "v1",
        "commit": "a" * 40,
        "content": "sha256:" + "b" * 64,
        "how": "observed",
    }
    read: dict[str, Any] = {"count": 2, "of": 3, "splits": {"train": 1, "test": 1}, "opened_s": opened}
    artifacts = [
        {"path": name, "sha256": "1" * 64, "size_bytes": 1, **({"written_s": at} if at else {})}
        for name, at in written.items()
    ]
    return ModelRecord.model_validate({
        "model": "m", "version": "v1", "inputs": [{**given, "files_read": read}], "artifacts": artifacts, "code": {},
        "command": [], "environment": {"kind": "uv"}, "resources": {}, "origin": "run", "observed": {"by": by},
    })  # fmt: skip


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (record({"test": "9.5"}, model="9.489999"), True),
        (record({"test": "9.5"}, model="9.490000"), False),  # the clock of files is not as exact
        (record({"test": "9.5"}, model="9.5"), False),  # at the same moment: nobody knows what was first
        (record({"test": "9.5"}, model="10.0"), False),  # as numbers, not as texts
        (record({"test": "1.0"}, metrics_json="0.5"), True),  # an unknown name may be the model's
        (record({"test": "1.0"}, model=None), None),
        (record({"train": "1.0"}, model="0.5"), None),
        (record({"test": "1.0"}, model="0.5", other=None), None),
        (record({"test": "1.0"}, model="0.5", by="audit-hook"), None),  # it may have been opened before, in C
        (record({"test": "1.0"}), None),
    ],
)
def test_order(told: ModelRecord, expected: bool | None) -> None:
    order = read_order(told, told.inputs[0])
    assert (order and order.is_after_the_model) is expected


def test_scores_alone_are_no_model() -> None:
    told = record({"test": "1.0"}, **{"metrics.json": "0.5"})
    order = read_order(told, told.inputs[0])
    assert order is not None
    assert not order.is_after_the_model


@pytest.mark.parametrize(
    "name",
    [
        "model.json",
        "report.bin",
        "weights.csv",
        "scores.pkl",
        "metrics.json.pt",
        "model.txt",
        "trees.md",
        "scorecard.json",
        "score_model.json",
        "predictor.csv",
        "summary.json",
    ],
)
def test_what_may_be_a_model_is_none_of_the_scores(name: str) -> None:
    told = record({"test": "1.0"}, **{"model.bin": "0.5", name: "1.5"})
    order = read_order(told, told.inputs[0])
    assert order is not None
    assert not order.is_after_the_model
