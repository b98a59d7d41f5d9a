"""The exit code of ``audit``: 4 where nothing was found, and something that might have told more is not known."""

from __future__ import annotations

import pytest

from datakeep.cli.audit import _answer
from datakeep.workflows.every_way import EveryWay
from datakeep.workflows.used_by import FileUsedBy


@pytest.mark.parametrize(
    ("ways", "unlisted", "code"),
    [
        (EveryWay(), (), 0),
        (EveryWay(open=("teacher@v1 has no record",)), (), 4),
        (EveryWay(not_looked_at=("3 more registered files",)), (), 4),
        (EveryWay(), ("cut@v1",), 4),
    ],
)
def test_a_file_that_no_known_model_read_may_have_been_read_by_one_that_is_not_known(
    ways: EveryWay, unlisted: tuple[str, ...], code: int
) -> None:
    found = FileUsedBy("orders", "a.csv", ("v1",), ways, None, unlisted)
    assert [_answer(found, "orders:a.csv", as_json=as_json).code for as_json in (True, False)] == [code] * 2
