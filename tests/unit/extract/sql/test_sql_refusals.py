"""What a result's columns may be called."""

from __future__ import annotations

import pytest

from datakeep.extract.sql.faults import QueryRefused
from datakeep.extract.sql.interface import Exactness
from datakeep.extract.sql.refusals import check_columns


@pytest.mark.parametrize(
    ("name", "shown"),
    [("c\x1b[31mred", r"'c\x1b[31mred'"), ("bell\x07", r"'bell\x07'"), ("c\x9bx", r"'c\x9bx'")],
)
def test_a_name_that_cannot_be_shown_is_refused_with_its_codes(name, shown):
    with pytest.raises(QueryRefused) as refused:
        check_columns(["id", name], Exactness())
    assert refused.value.what.startswith(f"the name of the column {shown} holds a control character")
    assert "AS name" in refused.value.next_step


@pytest.mark.parametrize("name", ["a b", "zwölf", "受注", "a\nb", "a\tb", "a.b", "'\"`", "🙂"])
def test_any_other_name_is_taken(name):
    check_columns(["id", name], Exactness())
