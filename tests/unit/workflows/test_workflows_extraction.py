"""What is written down of a query is read back as it was."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakeep.core.errors import UsageError
from datakeep.core.secrets import find_secret
from datakeep.extract.sql.interface import Parameter, SourceColumn, Table, TableColumn
from datakeep.extract.sql.parameters import parameters_from_yaml, parameters_of
from datakeep.formats import yaml
from datakeep.formats.manifest import Source
from datakeep.workflows.extraction_record import _columns, dictionary, notes, stated_parameter
from datakeep.workflows.publish import _taken
from datakeep.workflows.source_moved import explanations, moved
from datakeep.workflows.wanted_query import _as_stated

_ZONES = st.none() | st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_VALUES = {
    "text": st.text().filter(lambda text: not (find_secret(text) or yaml.unshowable(text))),
    "integer": st.integers(),
    "decimal": st.decimals(allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "date": st.dates(),
    "timestamp": st.datetimes(timezones=_ZONES),
}
_PARAMETERS = st.sampled_from(sorted(_VALUES)).flatmap(
    lambda kind: (st.none() | _VALUES[kind]).map(lambda value: Parameter(kind, value))
)


def _exactly(parameter: Parameter) -> tuple[object, ...]:
    value = parameter.value
    sign = math.copysign(1, value) if isinstance(value, float | Decimal) else None
    return parameter.type, type(value), str(value) if isinstance(value, Decimal) else value, sign


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), _PARAMETERS, max_size=4))
def test_parameters_are_read_back_as_they_were(parameters: dict[str, Parameter]) -> None:
    """Through the manifest's YAML and its model, with type and value; that is what --rerun binds."""
    stated = {name: stated_parameter(name, one) for name, one in parameters.items()}
    text = yaml.dump({"kind": "sql", "parameters": stated})
    found = Source.model_validate(yaml.plain(yaml.load(text, what="a test"))).parameters
    back = parameters_from_yaml(found or {})
    assert {name: _exactly(one) for name, one in back.items()} == {
        name: _exactly(one) for name, one in parameters.items()
    }


@pytest.mark.parametrize(
    ("option", "stated"),
    [
        ("day=2026-11-01", "2026-11-01"),
        ("n=12", 12),
        ("city=東京", "東京"),
        ("flag=true", True),
        ("code=007", "007"),
        ("code:text=12", {"type": "text", "value": "12"}),
        ("x:double=1", {"type": "double", "value": "1.0"}),
        ("until:date:null", {"type": "date", "value": None}),
        ("rate=0.05", "0.05"),
        ("none=", ""),
        (f"large={2**64}", {"type": "integer", "value": str(2**64)}),
    ],
)
def test_a_parameter_is_stated_plainly_where_that_is_read_as_the_same(option: str, stated: object) -> None:
    ((name, parameter),) = parameters_of([option]).items()
    assert stated_parameter(name, parameter) == stated


@pytest.mark.parametrize(
    ("written", "kind", "value"),
    [
        *(
            (f"{{type: text, value: {one}}}", "text", one)
            for one in ["007", "-007", "010", "0x1F", "0o17", "1_000", "+5", "1e3", "0.10"]
        ),
        ("007", "text", "007"),
        ('"7"', "text", "7"),
        ("'2026-11-01'", "text", "2026-11-01"),
        ('"true"', "text", "true"),
        ("+5", "integer", 5),
        ("12", "integer", 12),
        ("0.10", "decimal", Decimal("0.10")),
        ("{type: decimal, value: '0.05'}", "decimal", Decimal("0.05")),
        ("2026-11-01", "date", date(2026, 11, 1)),
    ],
)
def test_a_parameter_of_a_manifest_is_the_text_that_its_author_wrote(
    written: str, kind: str, value: Any
) -> None:
    document = yaml.load(f"parameters: {{p: {written}}}\n", what="a test")
    (found,) = parameters_from_yaml(_as_stated(document["parameters"], {})).values()
    assert _exactly(found) == _exactly(Parameter(kind, value))


def test_a_decimal_in_quotes_is_what_datakeep_recorded_or_refused() -> None:
    stated = yaml.load("rate: '0.05'\n", what="a test")
    assert parameters_from_yaml(_as_stated(stated, {"rate": "0.05"}))["rate"].type == "decimal"
    with pytest.raises(UsageError, match="a text, or a decimal as datakeep records it"):
        _as_stated(stated, {"rate": "0.06"})


def test_parameters_are_shown_with_the_types_that_are_stated() -> None:
    source = Source(kind="sql", parameters={"day": "2026-11-01", "code": {"type": "text", "value": "12"}})
    assert source.parameters_shown() == "day = 2026-11-01, code = '12' (text)"
    plain = {"a": True, "b": "TRUE", "c": "None", "d": "", "e": {"type": "date", "value": None}, "f": "0.10"}
    shown = "a = true, b = 'TRUE', c = 'None', d = '', e = NULL (date), f = 0.10"
    assert Source(kind="sql", parameters=plain).parameters_shown() == shown
    assert Source(kind="sql").parameters_shown() is None


TABLES = {
    "s.a": Table(
        "s.a",
        columns=(
            TableColumn("id", "integer", comment="see postgresql://u:secret@h/d"),
            TableColumn("at", "timestamp(3) with time zone", comment="when"),
            TableColumn("name", "character varying(2)"),
        ),
        primary_key=("id",),
    )
}
ORIGINS = {"id": ("s.a", "id"), "seen": ("s.a", "at"), "name": ("s.a", "name"), "n": None}


def test_a_declared_length_is_taken_from_the_column_that_it_comes_from() -> None:
    columns = [
        SourceColumn("id", "bigint", "int64"),
        SourceColumn("seen", "timestamp with time zone", "timestamp[us, tz=UTC]"),
        SourceColumn("name", "character varying", "string"),
        SourceColumn("n", "numeric(3,1)", "decimal128(3, 1)", "a note"),
    ]
    found = list(_columns(columns, ORIGINS, TABLES.values()))
    assert [one["database_type"] for one in found] == [
        "bigint",
        "timestamp(3) with time zone",
        "character varying(2)",
        "numeric(3,1)",
    ]
    assert found[-1]["note"] == "a note"


def test_the_dictionary_takes_comments_and_keys_but_no_secret() -> None:
    found = dictionary(ORIGINS, TABLES)
    withheld = {"meaning": "(withheld: it holds a password in the URL of h)", "key": True}
    assert found == {"id": withheld, "seen": {"meaning": "when"}, "name": {}, "n": {}}
    without_key = {name: origin for name, origin in ORIGINS.items() if name != "id"}
    assert not any("key" in one for one in dictionary(without_key, TABLES).values())


def test_what_moved_is_said_and_the_server_is_not_among_it() -> None:
    read = {"name": "s.a", "kind": "table", "columns": ["id"]}
    before = {
        "server": "PostgreSQL 15.1",
        "columns": [{"name": "id", "database_type": "integer"}],
        "tables": [read, {**read, "through": ["s.v"]}, {**read, "name": "s.v", "definition": "SELECT 1"}],
    }
    assert list(moved(before, {**before, "server": "PostgreSQL 16.0"})) == []
    assert list(moved(None, before)) == []
    after = {
        "server": "PostgreSQL 15.1",
        "columns": [{"name": "id", "database_type": "bigint"}],
        "tables": [
            {**read, "columns": "unknown"},
            {**read, "name": "s.v", "definition": "SELECT 2"},
            {**read, "name": "s.b"},
        ],
    }
    assert list(moved(before, after)) == [
        "the type of id was integer, and is bigint",
        "s.a through s.v is no longer read",
        "other columns of s.a are read",
        "the definition of s.v has changed: SELECT 1 → SELECT 2",
        "s.b is read now, and was not",
    ]


def test_row_level_security_that_was_switched_on_is_said() -> None:
    open_one = {"columns": [], "tables": [], "advice": ["1:8: now() is another each time"]}
    said = "2:6: s.a has row-level security: the result depends on who runs the query"
    guarded = {**open_one, "advice": [*open_one["advice"], said]}
    assert list(moved(open_one, guarded)) == ["s.a has row-level security now, and had not"]
    assert list(moved(guarded, open_one)) == ["s.a had row-level security, and has not"]
    assert list(moved(guarded, guarded)) == []


def test_files_that_moved_are_named_with_what_they_were() -> None:
    def record(*files: tuple[str, str], guessed: str = "%d/%m/%Y") -> dict[str, Any]:
        table = {"name": "p/*.csv", "kind": "file", "columns": ["d"]}
        table["files"] = [{"path": path, "size_bytes": 1, "sha256": digest * 64} for path, digest in files]
        guess = (
            f"p/*.csv: guessed were delimiter ',', a header, dates as {guessed}, d DATE; to state it, write …"
        )
        return {"server": "DuckDB", "columns": [], "tables": [table], "guessed": [guess]}

    before = record(("/a/p/1.csv", "1"), ("/a/p/2.csv", "2"))
    assert list(moved(before, record(("/b/p/1.csv", "1"), ("/b/p/2.csv", "2")))) == [], "in another folder"
    other = record(("/b/p/1.csv", "3"), ("/b/p/3.csv", "2"), guessed="%m/%d/%Y")
    (files,) = moved(before, other)
    assert files == (
        "the files of p/*.csv have changed: the sha256 of 1.csv was 111111111111…, and is 333333333333…; 3.csv is "
        "new; 2.csv is gone, its sha256 was 222222222222…"
    )
    (guess,) = explanations(before, other)
    assert guess == (
        "DuckDB guessed otherwise how p/*.csv is written: …a header, dates as %d/%m/%Y, d DATE → …a header, dates as "
        "%m/%d/%Y, d DATE"
    )


def test_times_keep_their_zone() -> None:
    for text in ("2026-11-01T09:00:00+09:00", "2026-11-01T09:00:00.000001"):
        parameter = parameters_of([f"at={text}"])["at"]
        assert stated_parameter("at", parameter) == text
        assert isinstance(parameter.value, datetime)
        assert parameter.value.date() == date(2026, 11, 1)


def test_a_key_that_is_another_is_told_with_both() -> None:
    def read(*key: str) -> dict[str, Any]:
        tables = [{"name": "s.a", "kind": "table", "columns": ["id"], "primary_key": list(key)}]
        return {"columns": [], "tables": tables}

    assert list(moved(read("id"), read("id", "day"))) == ["the primary key of s.a was id, and is id, day"]
    assert list(moved(read(), read("id"))) == ["the primary key of s.a was none, and is id"]
    assert list(moved(read("id"), read("id"))) == []


@pytest.mark.parametrize(
    ("source", "way_out", "before"),
    [
        ({"kind": "sql", "extraction": {}}, "orders --sql FILE --database URL -m WHY", None),
        (
            {"kind": "sql", "extraction": {}},
            "orders --rerun -m WHY; or another query: datakeep update orders --sql FILE --database URL -m WHY",
            "v0",
        ),
        ({}, "orders SOURCE -m WHY", None),
    ],
)
def test_who_came_second_is_told_what_they_can_type(
    source: dict[str, Any], way_out: str, before: str | None
) -> None:
    first = SimpleNamespace(dataset="orders", version="v1", registered_by="ken@corp.example")
    fault = _taken(first, SimpleNamespace(document={"source": source}, before=before))
    assert "registered at the same time by ken@corp.example" in fault.what
    assert fault.next_step.endswith(f"datakeep update {way_out}")


def test_the_items_of_a_list_are_called_as_in_parquet() -> None:
    columns = [
        SourceColumn("a", "integer[]", "list<item: int32>"),
        SourceColumn("b", "INTEGER[][]", "list<l: list<l: struct<list: int32>>>"),
        SourceColumn("c", "text", "string"),
    ]
    assert [one["arrow_type"] for one in _columns(columns, {}, ())] == [
        "list<element: int32>", "list<element: list<element: struct<list: int32>>>", "string",
    ]  # fmt: skip


def test_columns_of_which_the_same_is_said_are_told_in_one_line() -> None:
    def column(name: str, kind: str, note: str | None = None) -> dict[str, str | None]:
        return {"name": name, "database_type": kind, "note": note}

    many = [column(f"n{at}", "numeric", "kept as text") for at in range(1, 41)]
    record = {
        "columns": [
            column("id", "bigint"),
            *many,
            column("i", "interval", "kept as text"),
            column("m", "money", "x"),
        ]
    }
    assert list(notes(record)) == [
        "columns n1, n2, n3, n4, n5 and 35 more (numeric): kept as text",
        "column i (interval): kept as text",
        "column m (money): x",
    ]
