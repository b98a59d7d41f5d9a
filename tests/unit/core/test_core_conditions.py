"""A condition is read as it was meant, or refused with its place; and no refusal repeats what was looked for."""

from __future__ import annotations

from decimal import Decimal

import pytest

from datakeep.core.conditions import parse_condition
from datakeep.core.errors import UsageError


def read_as(text):
    return [
        (test.column, [(one.kind, one.text) for one in test.values]) for test in parse_condition(text).tests
    ]


def test_a_value_has_the_kind_that_it_was_written_in():
    assert read_as("customer_id = 4711") == [("customer_id", [("number", "4711")])]
    assert read_as("customer_id='4711'") == [("customer_id", [("text", "4711")])]
    assert read_as("name == 'O''Hara ''東京'''") == [("name", [("text", "O'Hara '東京'")])]
    assert read_as("顧客 = true") == [("顧客", [("truth", "true")])]
    assert read_as('"a ""b"" c" = -1.5e3') == [('a "b" c', [("number", "-1.5e3")])]
    assert parse_condition("a = -1.50").tests[0].values[0].number == Decimal("-1.5")


def test_tests_are_joined_and_lists_are_any_of():
    assert read_as("a.b IN ('x', 2 , false) and c = 3") == [
        ("a.b", [("text", "x"), ("number", "2"), ("truth", "false")]),
        ("c", [("number", "3")]),
    ]
    assert parse_condition("a = 1 AND b = 2 AND a = 1").columns == ("a", "b")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "at its end"),
        ("customer_id", "at its end"),
        ("= 1", "at character 1"),
        ("a = ", "at its end"),
        ("a = secret", "at character 5"),
        ("a = secret@mail.example", "at character 5"),
        ("a = 'secret", "at character 5: a text begins here"),
        ('"a = 1', "at character 1: the name of a column begins here"),
        ("a = 2026-11-01", "at character 5"),
        ("a = 4711b", "at character 5"),
        ("a > 1", "at character 3: > is not understood"),
        ("a <> 'secret'", "at character 3: <> is not understood"),
        ("a = 1 OR b = 2", "at character 7: OR"),
        ("NOT a = 1", "at character 1: NOT"),
        ("a LIKE 'secret'", "at character 3: LIKE"),
        ("a IS NULL", "at character 3: IS"),
        ("a = NULL", "at character 5: a missing value"),
        ("a IN ('secret'", "at its end: ) is expected"),
        ("a IN ()", "at character 7"),
        ("a = 'secret' b = 2", "at character 14: AND"),
        ("a = 'secret'; DROP TABLE b", "at character 13"),
        ("a = 1 AND AND b = 2", "at character 11"),
    ],
)
def test_whatever_else_is_refused_with_its_place(text, place):
    with pytest.raises(UsageError) as refused:
        parse_condition(text)
    assert place in str(refused.value)
    assert "secret" not in f"{refused.value} {refused.value.next_step}"


def test_a_value_is_in_no_representation_of_the_condition():
    assert "4711" not in repr(parse_condition("a = 4711 AND b = '4711'"))
