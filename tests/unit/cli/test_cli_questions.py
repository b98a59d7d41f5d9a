"""What is printed when a question cannot be answered: the next command is one that helps."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest
from click import unstyle
from click.testing import CliRunner

from datakeep.cli.audit_where import _verdict
from datakeep.cli.changes import change_lines
from datakeep.cli.group import datakeep
from datakeep.cli.listing import _row
from datakeep.cli.people import _state as state_of_person
from datakeep.cli.profile import _time_lines
from datakeep.cli.status import _get, _keep_lines
from datakeep.cli.vault import _state as state_of_place
from datakeep.core.changes import FieldChange, field_changes, telling
from datakeep.core.errors import UsageError
from datakeep.core.names import parse_reference
from datakeep.formats.inventory import FileChanges
from datakeep.formats.profile import Periods
from datakeep.workflows.rows_where import Search, Searched
from datakeep.workflows.status import Finding, KeepStatus
from datakeep.workflows.update_changes import Changes
from datakeep.workflows.vault_stores import Place


@pytest.mark.parametrize("text", ["@v1", "", "Orders!"])
def test_a_malformed_name_that_is_looked_for_leads_to_the_list(text):
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert caught.value.next_step == "datakeep list"


def test_a_missing_checkout_is_made_where_it_was_looked_for(tmp_path):
    assert _get("orders@v1", None) == "datakeep checkout orders@v1"
    assert _get("orders@v1", tmp_path / "no pe") == f"datakeep checkout orders@v1 '{tmp_path}/no pe'"
    (tmp_path / "other").write_text("")
    assert "datakeep status orders --dir DIR" in _get("orders@v1", tmp_path)


def test_list_says_that_an_owner_departed():
    one = SimpleNamespace(
        name="orders", version="v1", owner="Aiko", files=1, size_bytes=1, purpose="p", failed_since=False,
        state="unproven", proven_by=0, owner_departed=date(2026, 11, 20),
    )  # fmt: skip
    assert "Aiko (departed)" in _row(one)


@pytest.mark.parametrize("group", ["people", "key", "proof", "vault"])
def test_the_help_of_every_group_has_an_example_on_lines_of_its_own(group):
    said = CliRunner().invoke(datakeep, [group, "--help"]).output
    assert f"Example:\n    datakeep {group} " in said


def test_people_whose_email_is_malformed_are_marked():
    person = SimpleNamespace(email="ken@x", departed=None)
    assert state_of_person(person) == "active, the e-mail is malformed"
    person = SimpleNamespace(email="ken@corp.example", departed=date(2026, 11, 20))
    assert state_of_person(person) == "departed 2026-11-20"


def test_a_store_that_cannot_be_written_is_read_only():
    assert (
        state_of_place(Place("nas", "/mnt", 5_000_000_000, None, writable=False)) == "read-only, 5.0 GB free"
    )
    assert state_of_place(Place("s3", "s3://b", None, None, writable=True)) == "reachable"
    assert state_of_place(Place("nas", "/mnt", None, "is missing")) == "is missing"


def findings(**kinds: int) -> tuple[Finding, ...]:
    return tuple(
        Finding(kind, f"{kind}-{number}", "is so", "datakeep help")
        for kind, count in kinds.items()
        for number in range(count)
    )


def test_of_many_findings_some_of_each_kind_are_listed_and_the_others_counted():
    status = KeepStatus("big", 300, findings(behind=1, unproven=300, copies=40, lost=2))
    lines = list(_keep_lines(status, whole=False))
    shown = [unstyle(line).split(":")[0].strip() for line in lines if "is so" in line]
    assert len(shown) == 20
    assert [one for one in shown if one.startswith(("behind", "lost"))] == ["behind-0", "lost-0", "lost-1"]
    assert shown.index("unproven-0") < shown.index("copies-0"), "in their order"
    assert lines[0] == "big: 300 datasets; 343 things to look at"
    counted = [one.split("-")[0] for one in shown]
    unproven, copies = (n - counted.count(kind) for kind, n in (("unproven", 300), ("copies", 40)))
    assert lines[-1] == (
        f"  … and 323 more like these ({unproven} unproven, {copies} copies); datakeep status --all lists them"
    )
    assert len(list(_keep_lines(status, whole=True))) == 1 + 2 * 343


def test_few_findings_are_listed_whole():
    lines = list(_keep_lines(KeepStatus("small", 3, findings(unproven=20)), whole=False))
    assert len(lines) == 1 + 2 * 20


def test_what_differs_with_every_run_of_a_query_is_not_told_beside_what_does_not():
    noise = [
        FieldChange(f"source.extraction.{name}", 1, 2) for name in ("snapshot", "started_at", "ended_at")
    ]
    rows = FieldChange("source.rows", 1, 2)
    assert telling([noise[0], rows, *noise[1:]]) == [rows]
    assert telling(noise) == noise


def test_a_change_that_stands_in_two_places_is_told_once() -> None:
    extraction = "source.extraction"
    rows, contents = (FieldChange(f"{one}.rows", 100, 101) for one in ("source", "contents"))
    digest = FieldChange(f"{extraction}.query_sha256", "a", "b")
    text = FieldChange(f"{extraction}.normalised", "SELECT a", "SELECT b")
    came = FieldChange(f"{extraction}.columns.b", None, {"database_type": "TEXT"})
    column = FieldChange("columns.b", None, {"type": "string"})
    assert telling([rows, digest, text, came, contents, column]) == [text, contents, column]
    assert telling([rows, digest, text, came], [contents, column]) == [text]
    # What is told nowhere else stays: a comment in a query, another type of the database for the same type.
    kept = [digest, FieldChange(f"{extraction}.columns.b.database_type", "INTEGER", "BIGINT")]
    assert telling(kept, [FieldChange("columns.b.meaning", None, "x")]) == kept
    assert telling([rows], [FieldChange("contents.rows", 100, 102)]) == [rows]
    other = FieldChange("columns.b.type", "int32", "string")
    of_database = [
        FieldChange(f"{extraction}.columns.b.{one}_type", "int32", "string") for one in ("database", "arrow")
    ]
    comment, meaning = (
        FieldChange(f"{one}.b.meaning", "x", "y") for one in (f"{extraction}.dictionary", "columns")
    )
    assert telling([*of_database, comment, other, meaning]) == [other, meaning]
    database = of_database[0]
    assert telling([database, other]) == [database, other], "the same to Arrow: told nowhere else"
    by_hand = FieldChange("columns.b.type", "string", "date")
    assert telling([*of_database, by_hand]) == [*of_database, by_hand]
    gone = FieldChange(f"{extraction}.dictionary.b", {"key": True, "meaning": "x"}, None)
    told = [FieldChange("columns.b.key", True, None), FieldChange("columns.b.meaning", "x", None)]
    assert telling([gone, *told]) == told
    assert telling([gone, told[0]]) == [gone, told[0]], "the meaning is told nowhere else"
    left = FieldChange("columns.b", {"type": "string", "meaning": "x"}, None)
    assert telling([gone, left]) == [left]
    stated = FieldChange("columns.b.meaning", "x", "what a person says of it")
    assert telling([comment, stated]) == [comment, stated]


def test_the_rows_of_a_profile_are_told_where_the_contents_do_not_and_a_column_of_that_name_always() -> None:
    profile = ("rows 1,000 → 1,001", "rows sold: 1 … 2 → 1 … 3", "rows: nulls 0 → 1")

    def told(*fields: FieldChange) -> list[str]:
        changes = Changes("v1", "v2", FileChanges([], [], ["a.csv"]), fields, (), profile)
        return [line.removeprefix("  profile, ") for line in change_lines(changes) if "profile, " in line]

    assert told(FieldChange("contents.rows", 1_000, 1_001)) == [*profile[1:]]
    for other in (FieldChange("contents.rows", 900, 1_001), FieldChange("contents.rows", None, 1_001)):
        assert told(other) == [*profile]
    assert told() == [*profile]


@pytest.mark.parametrize(("before", "after", "said"), [
    (None, {"type": "int32"}, "x added: type: int32"), ("a", None, "x removed: a"),
    (["a"], ["a", "b"], "x added: b"), (["a", "b"], ["c", "b"], "x removed: a; added: c"),
    (["a"], [], "x removed: a"),
    (["a", "b"], ["b", "a"], "x: a, b → b, a"), (["a"], ["a", "a"], "x: a → a, a"),
    (12, "12", "x: 12 (number) → 12 (text)"), (True, "true", "x: true (boolean) → true (text)"),
    ("a b", "a  b", "x: a b, with other spaces or line ends"), (1, 2, "x: 1 → 2"),
])  # fmt: skip
def test_a_change_that_one_line_does_not_show_is_called_by_its_name(before, after, said):
    assert str(FieldChange("x", before, after)) == said


def test_one_file_of_several_that_a_query_read_is_a_change_of_that_file():
    files = [[{"path": "a.csv", "sha256": digest}, {"path": "b.csv", "sha256": "x"}] for digest in ("y", "z")]
    assert [*map(str, field_changes({"files": files[0]}, {"files": files[1]}))] == [
        "files.a.csv.sha256: y → z"
    ]


def test_bars_of_several_days_say_what_they_count():
    days = {
        str(date(2026, 1, 1).replace(month=month, day=day)): 10
        for month in range(1, 13)
        for day in range(1, 28)
    }
    first = next(_time_lines(Periods(column="day", per="day", rows=days)))
    assert "at most 10 in one day; each bar is 7 days, with 70 rows at most" in first


def test_rows_are_not_said_to_be_nowhere_where_there_was_no_table_to_search():
    def verdict(numbers):
        return _verdict(Search((), (), {"jpg": 3}, numbers, (), {}))

    assert verdict(Searched(versions=2)) == "not known"
    assert verdict(Searched(versions=2, files=1, different=1)) == "no"
