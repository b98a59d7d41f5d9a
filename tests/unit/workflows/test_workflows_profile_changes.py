"""What is told of two profiles: short, and nothing that a person would miss."""

import pytest

from datakeep.formats.profile import ColumnProfile, Profile, Top
from datakeep.workflows.profile_changes import profile_changes

NUMBERS = {
    "type": "double", "nulls": 0, "distinct": 9, "min": "1", "max": "9", "mean": "5", "histogram": [4, 5],
    "quantiles": {"0.5": "5"},
}  # fmt: skip
#: What a column of nine rows has where all are NULL.
EMPTY = {
    "nulls": 9, "distinct": 0, "min": None, "max": None, "mean": None, "histogram": [], "quantiles": {},
}  # fmt: skip
TEXTS = {"type": "string", "nulls": 0, "distinct": 2, "min": "a", "max": "b", "longest": 1}


def profile(*columns, rows=9):
    made = [ColumnProfile(name=f"c{place}", **figures) for place, figures in enumerate(columns)]
    return Profile(files=1, rows=rows, columns=made)


def told(old, new):
    """Of one column, without its name."""
    return ", ".join(profile_changes(profile(old), profile(new))).removeprefix("c0: ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nulls": 3, "distinct": 6, "mean": "4.25"}, "nulls 0 → 3, distinct 9 → 6, mean 5 → 4.25"),
        ({"max": "12"}, "1 … 9 → 1 … 12"),
        ({"mean": "5.00000001"}, "values are distributed otherwise"),
        ({"histogram": [5, 4]}, "values are distributed otherwise"),
        ({"quantiles": {"0.5": "6"}}, "values are distributed otherwise"),
        ({"distinct": 70_000, "approximate": ["distinct"]}, "distinct 9 → ~70,000"),
        ({"nan": 7, "infinite": 1}, "NaN 0 → 7, infinite 0 → 1"),
        ({"other": 2}, "of another type 0 → 2"),
        (EMPTY, "nulls 0 → 9, 1 … 9 → no values"),
        ({"nan": 9, "min": None, "max": None, "mean": None, "distinct": 0}, "1 … 9 → no values, NaN 0 → 9"),
        ({"type": "int64", "distinct": 3, "max": "8"}, "1 … 9 → 1 … 8, distinct 9 → 3"),
        ({"type": "binary", "distinct": 3, "min": None, "max": None, "mean": None}, "distinct 9 → 3"),
        ({"min": None, "max": None, "mean": None, "withheld": "name"}, "values are withheld"),
    ],
)
def test_what_differs_in_a_column_is_told(change, said):
    """Another type is a change of the data dictionary, told there; what it does to the values is told here."""
    assert told(NUMBERS, NUMBERS | change) == said


def test_what_comes_back_is_told():
    assert told(NUMBERS | EMPTY, NUMBERS) == "nulls 9 → 0, no values → 1 … 9"
    assert (
        told(TEXTS | {"min": None, "max": None, "withheld": "privacy"}, TEXTS)
        == "values are no longer withheld"
    )


def test_frequent_values_and_the_longest_of_texts_are_told():
    tops = [[Top(value="a", rows=rows).to_dict(), Top(value="b", rows=9 - rows).to_dict()] for rows in (5, 6)]
    assert told(TEXTS | {"top": tops[0]}, TEXTS | {"top": tops[1]}) == "values are distributed otherwise"
    assert told(TEXTS, TEXTS | {"longest": 4}) == "longest 1 → 4"
    assert told(TEXTS, TEXTS | {"min": "", "max": " b"}) == "a … b → '' … ' b'"


def test_rows_and_columns_of_both_and_no_more_than_twenty():
    assert profile_changes(profile(TEXTS), profile(TEXTS, NUMBERS, rows=10)) == ("rows 9 → 10",)
    many = profile_changes(profile(*[TEXTS] * 25), profile(*[TEXTS | {"nulls": 1}] * 25))
    assert len(many) == 21
    assert many[-1] == "… and 5 more columns"


def test_one_that_comes_or_goes_is_told():
    assert profile_changes(None, profile(TEXTS)) == ("added",)
    assert profile_changes(profile(TEXTS), None) == ("removed",)
    assert profile_changes(None, None) == ()
