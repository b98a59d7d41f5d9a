"""A record has room for what it lists; of a million files, what may be the model is listed before all else."""

from __future__ import annotations

from datakeep.rerun.artifacts import Artifact
from datakeep.workflows.bounded import MAX_COUNT, first_of, has_room_for
from datakeep.workflows.run_record import _listed


def test_as_many_are_listed_as_there_is_room_for():
    assert first_of(["a", "b"], str) == ["a", "b"]
    assert len(first_of(["x"] * 20_000, str)) == MAX_COUNT
    assert len(first_of(["x" * 4096] * 1000, str)) == 128


def test_parameters_have_room_by_number_depth_and_length():
    deep = []
    for _ in range(5000):
        deep = [deep]
    assert has_room_for({"a": [1, 2.5, None, {"b": "text"}]})
    assert not has_room_for({"a": deep})
    assert not has_room_for({str(number): number for number in range(50_000)})
    assert not has_room_for({"a": "x" * 600_000})
    assert not has_room_for({"x" * 600_000: 1})


def test_the_model_is_listed_and_the_rest_counted():
    found = [Artifact(f"logs/{number:05}.json", "0" * 64, 1) for number in range(10_050)]
    found = [*found, Artifact("z/model.bin", "1" * 64, 1)]
    unknown: list[str] = []
    listed = _listed(found, unknown)
    assert len(listed) == MAX_COUNT
    assert listed[-1].path == "z/model.bin"
    assert unknown == ["51 more files that the training left, which were counted and not listed"]
    assert _listed(found[:3], unknown) == found[:3]
