"""Models are found by the names of what they read undeclared: all of these names, and all of the records."""

from __future__ import annotations

import pytest
from test_lineage_index import Repository, model, opened

from datakeep.lineage.shapes import undeclared_holding, with_undeclared


def read(name: str) -> dict[str, object]:
    return {"path": f"/x/{name}", "sha256": "cd" * 32, "size_bytes": 100}


def test_the_last_of_many_names_of_one_record_is_found() -> None:
    names = ["".join(chr(97 + one // 26**place % 26) for place in range(3)) for one in range(999)]
    files = {"models/m/v1.yaml": model("m", undeclared=[*map(read, names), read("patients.csv")])}
    database = opened(None, Repository().at(files)).database
    assert with_undeclared(database, "patients") == ["m"]
    assert undeclared_holding(database, "m", ["patients"]) == (1, ["/x/patients.csv"])


@pytest.mark.parametrize(("limit", "told"), [(2, None), (3, (0, []))])
def test_only_what_was_not_looked_at_is_said_not_to_be(
    monkeypatch: pytest.MonkeyPatch, limit: int, told: object
) -> None:
    monkeypatch.setattr("datakeep.lineage.shapes._MAX_RECORDS", limit)
    files = {f"models/m/v{one}.yaml": model("m", one, undeclared=[read("a.csv")]) for one in (1, 2, 3)}
    database = opened(None, Repository().at(files)).database
    assert undeclared_holding(database, "m", ["other"]) == told
