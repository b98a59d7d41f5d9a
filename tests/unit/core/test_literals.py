"""Values as people read them: SQL's own form, JSON's within lists and structs; one value looks one way."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from datakeep.core.literals import Pairs, Said, clock_literal, day_literal, literal, moment_literal


@pytest.mark.parametrize(("value", "written"), [
    (None, "NULL"), (True, "true"), (2**70, str(2**70)), (0.1, "0.1"), (-0.0, "-0"), (1e300, "1e+300"),
    (float("nan"), "NaN"), (float("-inf"), "-Infinity"), (Decimal("1E-18"), "0.000000000000000001"),
    ("it's", "'it''s'"), ("a\nb\x1b", r"'a\nb\x1b'"), ("NULL", "'NULL'"), (b"\x00\xff", "x'00ff'"), (b"", "x''"),
    (date(2024, 2, 29), "2024-02-29"), (time(1, 2, 3, 4), "01:02:03.000004"), (Said("1.50"), "1.50"),
    ([b"a", None, float("nan"), "a\n'b", True], r"""[x'61', null, NaN, "a\n'b", true]"""),
    ({"a": [1, {"b": None}], "日": date(1, 1, 1)}, '{"a": [1, {"b": null}], "日": "0001-01-01"}'),
    (Pairs([(1, "x"), (1, "y")]), '{1: "x", 1: "y"}'), ([], "[]"), ({}, "{}"), ((1, 2), "[1, 2]"),
])  # fmt: skip
def test_a_value_is_written_as_sql_and_json_have_it(value, written):
    assert literal(value) == written


@given(some.recursive(some.none() | some.booleans() | some.integers() | some.text(), some.lists))
def test_lists_of_what_json_knows_are_json(value):
    assert json.loads(literal([value])) == [value]


@given(some.datetimes(datetime(1, 1, 1)))  # noqa: DTZ001
def test_days_and_moments_are_those_of_the_calendar(moment):
    days = moment.toordinal() - date(1970, 1, 1).toordinal()
    count = days * 86_400_000_000
    clock = ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 10**6 + moment.microsecond
    assert day_literal(days) == moment.date().isoformat()
    assert datetime.fromisoformat(moment_literal(count + clock, 10**6)) == moment
    assert time.fromisoformat(clock_literal(clock, 10**6)) == moment.time()


def test_days_outside_of_the_calendar_have_their_year():
    assert [day_literal(days) for days in (-719163, -735160, 2932897)] == [
        "0001-12-31 BC", "0044-03-15 BC", "10000-01-01",
    ]  # fmt: skip
    assert moment_literal(-719163 * 86_400 + 1, 1) == "0001-12-31T00:00:01 BC"
    assert clock_literal(86_400 * 10**6, 10**6) == "24:00:00"
