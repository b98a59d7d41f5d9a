from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakeep.core.errors import UsageError
from datakeep.core.names import (
    NAME,
    Reference,
    check_name,
    environment_variable,
    nearest,
    next_version,
    parse_reference,
    some_versions,
    version_number,
)


@pytest.mark.parametrize("name", ["orders", "pump-bearings", "0", "a" * 100, "2024-q1"])
def test_names_that_will_do(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-orders",
        "Orders",
        "or ders",
        "a/b",
        "..",
        "注文",
        "e\u0301",
        "a" * 101,
        "a" * 300,
        "a_b",
        "a\n",
        "a\0",
    ],
)
def test_names_that_will_not_do(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_name(name)
    assert len(caught.value.what) < 200
    suggested = caught.value.next_step.rpartition("for example ")[2].strip("'")
    assert NAME.fullmatch(suggested)


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(UsageError) as caught:
        check_name("Pump Bearings/2024")
    assert "'pump-bearings-2024'" in caught.value.next_step


@given(st.text())
def test_any_text_is_a_name_or_gets_a_suggestion_that_is_one(text: str) -> None:
    if NAME.fullmatch(text):
        assert check_name(text) == text
        return
    with pytest.raises(UsageError) as caught:
        check_name(text)
    assert NAME.fullmatch(caught.value.next_step.rpartition("for example ")[2].strip("'"))


def test_references() -> None:
    assert parse_reference("orders") == Reference("orders", None)
    assert parse_reference("orders@v3") == Reference("orders", "v3")
    assert str(parse_reference("orders@v3")) == "orders@v3"


@pytest.mark.parametrize(
    "text", ["orders@", "orders@3", "orders@v0", "orders@v03", "orders@v1@v2", "@v1", "a@V1"]
)
def test_malformed_references(text: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text)


def test_many_versions_are_told_by_the_first_and_the_last() -> None:
    assert some_versions(["v1", "v2", "v5"]) == "v1, v2, v5"
    assert some_versions([f"v{n}" for n in range(1, 7)]) == "v1 … v6"


def test_versions_count_as_numbers() -> None:
    assert next_version([]) == "v1"
    assert next_version(["v9", "v10", "v2"]) == "v11"
    assert sorted(["v10", "v9"], key=version_number) == ["v9", "v10"]


def test_the_variable_of_a_dataset() -> None:
    assert environment_variable("pump-bearings") == "DATAKEEP_DATA_PUMP_BEARINGS"


def test_the_nearest_word() -> None:
    assert nearest("anotation", ["annotation", "access"]) == "annotation"
    assert nearest("xyz", ["annotation", "access"]) is None
