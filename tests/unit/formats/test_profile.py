from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datakeep.core.errors import InvalidFile, UnknownFormat
from datakeep.formats.profile import MAX_SIZE_BYTES, Profile, withholding

V1 = Path(__file__).parents[2] / "formats/v1/profile.json"


def example() -> dict[str, Any]:
    return json.loads(V1.read_text("utf-8"))


def of(*columns: dict[str, Any], **fields: Any) -> Profile:
    data = {"format": "datakeep/profile/1", "files": 1, "rows": 3, "columns": list(columns), **fields}
    return Profile.of(data, what="profile.json")


def test_the_file_of_the_first_release_is_read_and_written_as_it_was() -> None:
    text = V1.read_text("utf-8")
    found = Profile.read(text, what="profile.json")
    found.check_strict(what="profile.json")
    assert found.dump() == text
    assert found.columns[1].mean == "1480.25"


def test_what_a_later_version_adds_is_kept_and_a_later_major_is_refused() -> None:
    later = Profile.of({**example(), "later": {"a": ["日本"]}}, what="x")
    assert Profile.read(later.dump(), what="x").to_dict()["later"] == {"a": ["日本"]}
    with pytest.raises(UnknownFormat, match="newer than this datakeep reads"):
        Profile.of({**example(), "format": "datakeep/profile/2"}, what="x")
    with pytest.raises(UnknownFormat):
        Profile.read("{}", what="x")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "[" * 100_000, b"\xff", " " * (MAX_SIZE_BYTES + 1)],
    ids=["empty", "list", "cut", "deep", "bytes", "large"],
)
def test_what_is_no_profile_is_refused_by_name(text: str | bytes) -> None:
    with pytest.raises(InvalidFile, match=r"^profile.json"):
        Profile.read(text, what="profile.json")


@pytest.mark.parametrize(
    "fields",
    [
        {"rows": -1},
        {"columns": [{"name": "a", "nulls": 0, "mean": "much"}]},
        {"time": {"column": "a", "per": "week", "rows": {"2026-11-01": 1}}},
        {"time": {"column": "a", "per": "day", "rows": {}}},
    ],
)
def test_wrong_values_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidFile):
        Profile.of({**example(), **fields}, what="x")


TEXT = {"name": "town", "type": "string", "nulls": 0, "distinct": 2, "min": "a", "max": "b", "longest": 1,
        "top": [{"value": "b", "rows": 2}]}  # fmt: skip
NUMBER = {"name": "age", "type": "int64", "nulls": 0, "distinct": 2, "min": "1", "max": "2", "mean": "1.5",
          "quantiles": {"0.5": "1"}, "histogram": [1, 2], "top": [{"value": "2", "rows": 2}],
          "approximate": ["distinct", "top"]}  # fmt: skip


@pytest.mark.parametrize("personal", ["yes", "pseudonymised", "unknown", None])
def test_unless_nothing_is_personal_texts_and_frequent_values_are_withheld(personal: str | None) -> None:
    text, number = withholding(of(TEXT, NUMBER, rows=20), personal).columns
    assert (text.min, text.max, text.top, text.withheld) == (None, None, [], "privacy")
    assert (text.distinct, text.longest) == (2, 1)
    assert (number.min, number.max, number.top, number.withheld) == ("1", "2", [], "privacy")
    assert number.quantiles == {"0.5": "1"}
    assert number.approximate == ["distinct"]
    assert withholding(of(TEXT, NUMBER), "no") == of(TEXT, NUMBER)


def test_of_few_values_no_range_is_kept_unless_nothing_is_personal() -> None:
    days = {"column": "seen", "per": "day", "rows": {"2026-11-01": 19}}
    profile = of(
        {**NUMBER, "nulls": 1}, {**NUMBER, "name": "seen", "type": "date32[day]"}, rows=20, time=days
    )
    few, enough = withholding(profile, "unknown").columns
    assert (few.min, few.max, few.mean, few.quantiles, few.histogram, few.withheld) == (
        None, None, None, {}, [], "few"
    )  # fmt: skip
    assert (few.distinct, few.nulls) == (2, 1)
    assert (enough.min, enough.withheld) == ("1", "privacy")
    assert withholding(profile, "unknown").time is None, "a day of 19 rows"
    days["rows"] = {"2026-11-01": 20}
    often = of(NUMBER, {**NUMBER, "name": "seen"}, rows=20, time=days)
    assert withholding(often, "unknown").time is not None
    assert withholding(of({**NUMBER, "nan": 24}, rows=25), "yes").columns[0].withheld == "few"
    flag = {"name": "hiv", "type": "bool", "nulls": 0, "top": [{"value": "true", "rows": 1}]}
    assert withholding(of(flag, rows=1), "yes").columns[0].top == []
    assert withholding(profile, "no") == profile


def test_a_name_that_suggests_personal_data_withholds_every_value_and_its_days() -> None:
    profile = of(
        {**NUMBER, "name": "birthdate"},
        {**TEXT, "name": "氏名"},
        time={"column": "birthdate", "per": "day", "rows": {"1990-01-01": 3}},
    )
    found = withholding(profile, "no")
    for column in found.columns:
        assert column.withheld == "name"
        assert "min" not in column.to_dict()
        assert "histogram" not in column.to_dict()
        assert column.distinct == 2
    assert found.time is None
    assert "1990" not in found.dump()


def test_a_secret_among_the_values_is_withheld() -> None:
    secret = "postgresql://aiko:hunter22hunter22@dwh.corp.example/plant"
    found = withholding(of({**TEXT, "top": [{"value": secret, "rows": 2}]}), "no")
    assert found.columns[0].withheld == "secret"
    assert "hunter" not in found.dump()


def test_a_password_that_is_known_is_withheld_however_it_looks() -> None:
    secret = "plain words 47"
    for fields in (
        {"top": [{"value": f"it is {secret}", "rows": 2}]},
        {"max": secret.encode().hex()},
        {"max": "z" * 75 + secret[:5] + "…"},
        {"quantiles": {"0.5": secret}},
    ):
        found = withholding(of({**TEXT, **fields}), "no", [secret]).columns[0]
        assert (found.withheld, found.min, found.quantiles) == ("secret", None, {})
    assert withholding(of(TEXT, NUMBER), "no", [secret]) == of(TEXT, NUMBER)


def test_what_is_withheld_stays_so() -> None:
    once = withholding(of(TEXT, NUMBER), "unknown")
    assert withholding(once, "no") == once


def test_what_is_personal_by_its_name_in_the_table_is_withheld() -> None:
    (called,) = withholding(of({**TEXT, "name": "Contact"}), "no", (), {"contact": ("c", "email")}).columns
    assert (called.withheld, called.min) == ("name", None)


@pytest.mark.parametrize(("stated", "shown"), [("no", True), ("unknown", False), ("yes", False)])
def test_what_only_describes_a_person_is_shown_where_nothing_is_personal(stated: str, shown: bool) -> None:
    """The sex of penguins is nobody's."""
    (found,) = withholding(of({**TEXT, "name": "sex"}), stated).columns
    assert (found.min == "a", found.withheld) == ((True, None) if shown else (False, "name"))
