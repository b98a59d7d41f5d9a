"""Parameters have the value and the type that was meant, or an error that says what to write."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakeep.core.errors import SecretFound, UsageError
from datakeep.extract.sql.faults import QueryRefused
from datakeep.extract.sql.interface import Parameter
from datakeep.extract.sql.statement import check_parameters, parameters_from_yaml, parameters_of, parse

JST = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("option", "kind", "value"),
    [
        ("a=12", "integer", 12),
        ("a=-3", "integer", -3),
        ("a=0", "integer", 0),
        ("a=007", "text", "007"),
        ("a=1_000", "text", "1_000"),
        ("a= 12", "text", " 12"),
        ("a=12345678901234567890123", "integer", 12345678901234567890123),
        ("a=0.05", "decimal", Decimal("0.05")),
        ("a=0.10", "decimal", Decimal("0.10")),
        ("a=1e3", "text", "1e3"),
        ("a=nan", "text", "nan"),
        ("a=true", "boolean", True),
        ("a=false", "boolean", False),
        ("a=True", "text", "True"),
        ("a=null", "text", "null"),
        ("a=2026-11-01", "date", date(2026, 11, 1)),
        ("a=2026-11-01T09:00", "timestamp", datetime(2026, 11, 1, 9)),  # noqa: DTZ001  (it has none)
        ("a=2026-11-01 09:00:01.25+09:00", "timestamp", datetime(2026, 11, 1, 9, 0, 1, 250000, tzinfo=JST)),
        ("a=", "text", ""),
        ("a=b=c", "text", "b=c"),
        ("a=東京", "text", "東京"),
        ("都市=東京", "text", "東京"),
        ("a:text=12", "text", "12"),
        ("a:text=", "text", ""),
        ("a:double=1e-3", "double", 0.001),
        ("a:decimal=12", "decimal", Decimal(12)),
        ("a:date=2026-11-01", "date", date(2026, 11, 1)),
        ("a:date:null", "date", None),
        ("a:integer:null", "integer", None),
    ],
)  # fmt: skip
def test_an_option_is_read(option, kind, value):
    (name, found), = parameters_of([option]).items()  # fmt: skip
    assert name == option[0] or name == "都市"
    assert found == Parameter(kind, value)
    assert found.value.__class__ is value.__class__


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("a", "is not name=value"),
        ("=1", "is not name=value"),
        ("1a=1", "is not name=value"),
        ("a:integer", "is not name=value"),
        ("a:date:null=1", "is not name=value"),
        ("a:integer=", "nothing is not a value of type integer"),
        ("a:integer=1.5", "'1.5' is not a value of type integer"),
        ("a:boolean=yes", "'yes' is not a value of type boolean, such as true or false"),
        ("a:date=2026-02-30", "is not a value of type date, such as 2026-11-01"),
        ("a=2026-02-30", "is not a value of type date"),
        ("a:double=inf", "is not a value of type double"),
        ("a:decimal=NaN", "is not a value of type decimal"),
        ("a:dat=2026-11-01", "there is no type 'dat'; did you mean date"),
        ("a:=1", "there is no type ''"),
    ],
)
def test_what_cannot_be_read_is_said(option, said):
    with pytest.raises(UsageError) as caught:
        parameters_of([option])
    assert said in caught.value.what
    name, _, value = option.partition("=")
    own = f"write --param '{name.partition(':')[0]}:text={value}' if it is a text".replace("'", "")
    step = own if "not a value" in said else "--param name:type:null"
    assert step in caught.value.next_step


@pytest.mark.parametrize(
    ("option", "kind", "value"),
    [
        ("code=12", "text", "12"), ("code=2026-11-01", "text", "2026-11-01"), ("x=1", "decimal", Decimal(1)),
        ("code:integer=12", "integer", 12), ("until=2026-11-01", "date", date(2026, 11, 1)),
        ("new=12", "integer", 12),
    ],
)  # fmt: skip
def test_a_recorded_parameter_keeps_its_type(option, kind, value):
    recorded = {
        "code": Parameter("text", "007"), "x": Parameter("decimal", Decimal("0.05")),
        "until": Parameter("date", None),
    }  # fmt: skip
    name = option.partition("=")[0].partition(":")[0]
    assert parameters_of([option], recorded)[name] == Parameter(kind, value)


@pytest.mark.parametrize(
    ("value", "typed"),
    [("2.5", "n:decimal=2.5"), ("north", "n:text=north"), ("2026-02-30", "n:text=2026-02-30")],
)
def test_a_value_that_a_recorded_type_cannot_hold_is_said_with_what_to_type(value, typed):
    with pytest.raises(UsageError, match="type integer, such as 12, which it is recorded as") as raised:
        parameters_of([f"n={value}"], {"n": Parameter("integer", 7)})
    assert f"--param {typed}" in raised.value.next_step


def test_all_faults_are_said_at_once():
    with pytest.raises(UsageError) as caught:
        parameters_of(["a:integer=x", "b", "c=1", "c=2"])
    assert len(caught.value.things) == 3
    assert "c is given twice" in caught.value.things
    assert "give --param c once" in caught.value.next_step
    assert "a:text=x" in caught.value.next_step


def test_a_fault_in_yaml_is_not_told_as_one_of_the_command_line():
    with pytest.raises(UsageError) as caught:
        parameters_from_yaml({"n": "2026-02-30", "list": [1]})
    assert caught.value.next_step == (
        "write n: {type: text, value: …} if it is a text; write in source.parameters name: value, or name: "
        "{type: …, value: …}"
    )


@pytest.mark.parametrize(
    "option",
    ["token=ghp_abcdefghijklmnopqrstuvwxyz0123456789", "url:text=postgresql://u:hunter2@db.corp.example/x"],
)
def test_a_secret_is_refused_and_not_repeated(option):
    with pytest.raises(SecretFound) as caught:
        parameters_of([option])
    said = caught.value.what + caught.value.next_step
    assert option.partition("=")[2] not in said
    assert "hunter2" not in said
    with pytest.raises(SecretFound):
        parameters_from_yaml({"x": option.partition("=")[2]})


def test_yaml_keeps_the_types_that_it_has():
    found = parameters_from_yaml(
        {
            "n": 12, "x": 0.5, "b": True, "day": "2026-11-01", "t": "7", "city": "東京",
            "code": {"type": "text", "value": 12}, "d": {"type": "double", "value": 0.5},
            "none": {"type": "date", "value": None},
        }
    )  # fmt: skip
    assert found == {
        "n": Parameter("integer", 12),
        "x": Parameter("decimal", Decimal("0.5")),
        "b": Parameter("boolean", True),
        "day": Parameter("date", date(2026, 11, 1)),
        "t": Parameter("integer", 7),
        "city": Parameter("text", "東京"),
        "code": Parameter("text", "12"),
        "d": Parameter("double", 0.5),
        "none": Parameter("date", None),
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "NULL needs its type"),
        ([1], "a list or mapping is not one value"),
        ({"value": 1}, "write {type: …, value: …}"),
        ({"type": "int", "value": 1}, "there is no type 'int'"),
        ({"type": "integer", "value": "x"}, "is not a value of type integer"),
        ({"type": "integer", "value": [1]}, "a list or mapping is not one value"),
    ],
)
def test_yaml_that_is_no_parameter_is_said(value, said):
    with pytest.raises(UsageError, match=said):
        parameters_from_yaml({"a": value})


def test_missing_and_superfluous_are_one_error_with_what_was_meant():
    statement = parse("SELECT :day, :city, :limit", "postgres")
    with pytest.raises(QueryRefused) as caught:
        check_parameters(statement, parameters_of(["dya=1", "city=x", "zz=3"]))
    assert caught.value.things == (
        ":day has no value; was dya meant for it?",
        ":limit has no value",
        "zz is not in the query",
    )
    assert caught.value.next_step == "give exactly: --param day=… --param city=… --param limit=…"


def test_one_that_is_only_superfluous_is_to_be_left_out():
    with pytest.raises(QueryRefused) as caught:
        check_parameters(parse("SELECT :lo", "postgres"), parameters_of(["hi=3", "lo=1"]))
    assert caught.value.next_step == "leave it out; the query has --param lo=…"


def test_parameters_that_fit_raise_nothing():
    check_parameters(parse("SELECT :a, :a, :b", "postgres"), parameters_of(["b=1", "a=2"]))
    check_parameters(parse("SELECT 1", "postgres"), {})
    with pytest.raises(QueryRefused, match="a is not in the query"):
        check_parameters(parse("SELECT 1", "postgres"), parameters_of(["a=1"]))


@given(st.integers(), st.decimals(allow_nan=False, allow_infinity=False, places=3), st.dates(), st.booleans())
def test_what_python_writes_is_read_as_it_was(number, decimal, day, flag):
    found = parameters_of([f"n={number}", f"x={decimal:f}", f"d={day}", f"b={str(flag).lower()}"])
    assert [one.value for one in found.values()] == [number, decimal, day, flag]
    assert [one.type for one in found.values()] == ["integer", "decimal", "date", "boolean"]


@given(st.text())
def test_any_text_is_a_value_of_type_text(value):
    assert parameters_of([f"a:text={value}"]) == {"a": Parameter("text", value)}
