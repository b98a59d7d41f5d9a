"""Models are found by the names of what they read undeclared: all of these names, and all of the records."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from test_lineage_index import Repository, model, opened
from test_lineage_same_bytes import add_list

from datakeep.lineage import schema
from datakeep.lineage.index import Words
from datakeep.lineage.shapes import describe_files, undeclared_holding, with_files, with_undeclared
from datakeep.workflows.find import _Finder


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


@pytest.mark.parametrize("limit", ["adding._MAX_PATTERNS", "shapes._MAX_SHAPES"])
@pytest.mark.parametrize("word", ["zürich", "zü", "nowhere"])
def test_a_dataset_of_more_names_than_are_kept_may_have_any(
    monkeypatch: pytest.MonkeyPatch, limit: str, word: str
) -> None:
    monkeypatch.setattr(f"datakeep.lineage.{limit}", 2)
    database = schema.create(None)
    add_list(database, 1, ab="1", cd="2", ef="3", zürich="4")
    describe_files(database, "orders", Words(database))
    assert with_files(database, word) == ["orders"]
    describe_files(database, "orders", Words(database))
    assert database.execute("SELECT count(*) FROM shape WHERE folded = ''").fetchone() == (1,)


def test_a_model_of_more_names_than_are_kept_may_have_read_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datakeep.lineage.shapes._MAX_SHAPES", 2)
    files = {"models/m/v1.yaml": model("m", undeclared=[*map(read, ("a.csv", "b.csv", "patients.csv"))])}
    assert with_undeclared(opened(None, Repository().at(files)).database, "patients") == ["m"]


def test_files_of_lists_that_were_not_read_are_told_as_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datakeep.workflows.find._MAX_INVENTORIES", 3)
    database = schema.create(None)
    for number, name in enumerate(("patients", "two", "three", "three"), 1):
        add_list(database, number, **{name: f"{number}"})
    describe_files(database, "orders", Words(database))
    for word, versions, told in (
        ("three", ["v4"], []),
        ("two", ["v2"], []),
        ("patients", [], ["the file names of older versions of orders"]),
    ):
        finder = _Finder(SimpleNamespace(database=database), (word,), "file")  # type: ignore[arg-type]
        assert [one.version for one in finder._files((word,))] == versions
        assert finder._skipped == told


def test_a_file_is_found_by_all_words_among_many_that_have_one() -> None:
    database = schema.create(None)
    add_list(database, 1, **{f"holiday_{number}": f"{number}" for number in range(1500)}, zz_holiday_x="z")
    describe_files(database, "orders", Words(database))
    finder = _Finder(SimpleNamespace(database=database), ("holiday", "zz"), "file")  # type: ignore[arg-type]
    assert [where.text for one in finder._files(("holiday", "zz")) for where in one.where] == [
        "zz_holiday_x.csv"
    ]
