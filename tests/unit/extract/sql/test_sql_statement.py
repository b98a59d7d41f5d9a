"""Exactly one SELECT is taken; all else is refused at its place, with a way out, before anything is sent."""

from __future__ import annotations

import pytest
from sql_judged import ACCEPTED, REFUSED

from datakeep.core.errors import SecretFound, UsageError
from datakeep.extract.sql.faults import QueryRefused
from datakeep.extract.sql.statement import parse


def test_the_tables_are_as_long_as_they_are_said_to_be():
    assert len(REFUSED) >= 60
    assert len(ACCEPTED) >= 60
    assert {dialect for dialect, _ in ACCEPTED} >= {
        "postgres", "sqlite", "duckdb", "mysql", "snowflake", "bigquery", "oracle", "tsql",
    }  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "said"), REFUSED, ids=[text[:40] for _, text, _ in REFUSED])
def test_what_is_not_one_select_is_refused_with_its_place_and_a_way_out(dialect, text, said):
    with pytest.raises(QueryRefused, match=said) as caught:
        parse(text, dialect)
    assert caught.value.what.startswith("line ")
    assert caught.value.next_step
    assert caught.value.things[1].strip() == "^"


@pytest.mark.parametrize(("dialect", "text"), ACCEPTED, ids=[text[:40] for _, text in ACCEPTED])
def test_one_select_is_taken_as_it_is_written(dialect, text):
    statement = parse(text, dialect)
    assert statement.text == text
    again = parse(statement.normalised, dialect)
    assert again.normalised == statement.normalised
    assert sorted(again.parameters) == sorted(statement.parameters)


def test_a_refusal_shows_the_line_with_a_caret_under_the_place():
    with pytest.raises(QueryRefused) as caught:
        parse("SELECT a,\n       b + FROM t", "postgres")
    assert "line 2, column 12: syntax error" in caught.value.what
    assert caught.value.things == ("       b + FROM t", "           ^")


def test_a_list_with_a_hole_in_it_is_refused_though_sqlglot_takes_it():
    with pytest.raises(
        QueryRefused, match="line 1, column 11: syntax error: something is missing before `,`"
    ):
        parse("SELECT id,, carrier FROM t", "postgres")
    assert parse("SELECT ',,' AS a, b, FROM t", "duckdb")


def test_the_caret_stands_under_the_place_behind_wide_characters_and_tabs():
    with pytest.raises(QueryRefused) as caught:
        parse("SELECT\t氏名, nextval('s')", "postgres")
    assert caught.value.what.startswith("line 1, column 12: nextval()")
    assert caught.value.things == ("SELECT\t氏名, nextval('s')", "      \t      ^")


def test_line_ends_of_windows_count_as_one():
    with pytest.raises(QueryRefused, match="line 3, column 3: DELETE writes"):
        parse("WITH d\r\nAS (\r\n  DELETE FROM t RETURNING *) SELECT * FROM d", "postgres")


def test_a_long_line_is_cut_around_the_place():
    with pytest.raises(QueryRefused) as caught:
        parse(f"SELECT {'a, ' * 200}nextval('s')", "postgres")
    line, caret = caught.value.things
    assert len(line) < 110
    assert line[caret.index("^") :].startswith("nextval")


def test_the_second_statement_is_shown_where_it_begins():
    with pytest.raises(QueryRefused, match="line 2, column 3: a second statement"):
        parse("SELECT 1;\n  DROP TABLE t;", "postgres")


@pytest.mark.parametrize(
    "text", ["SELECT 'a;b'", "SELECT 1 -- ; SELECT 2", "SELECT $$;$$", 'SELECT ";" FROM t']
)
def test_a_semicolon_within_text_ends_nothing(text):
    assert parse(text, "postgres").text == text


def test_a_password_in_the_text_is_refused_and_not_repeated():
    with pytest.raises(SecretFound) as caught:
        parse("SELECT * FROM postgres_scan('postgresql://u:hunter2@db.corp.example/x', 's', 't')", "duckdb")
    assert "hunter2" not in caught.value.what + caught.value.next_step + "".join(caught.value.things)


def test_an_unknown_dialect_suggests_the_nearest():
    with pytest.raises(UsageError) as caught:
        parse("SELECT 1", "postgre")
    assert caught.value.next_step == "did you mean postgres?"


def test_comments_and_form_do_not_matter_to_the_normalised_text():
    one = parse("select  a,b -- the columns\nfrom T /* there */ where x=:day", "postgres")
    other = parse("SELECT a, b FROM t WHERE x = :day", "postgres")
    assert one.normalised.replace("T", "t") == other.normalised.replace("T", "t")
    assert "columns" not in one.normalised
    assert parse("SELECT a, c FROM t WHERE x = :day", "postgres").normalised != other.normalised


@pytest.mark.parametrize(
    ("text", "ordered"),
    [
        ("SELECT a FROM t ORDER BY a", True),
        ("SELECT a FROM (SELECT a FROM t ORDER BY a) s", False),
        ("(SELECT a FROM t) ORDER BY a", True),
        ("(SELECT a FROM t ORDER BY a)", True),
        ("SELECT a FROM t UNION SELECT a FROM s ORDER BY a", True),
        ("SELECT array_agg(a ORDER BY a) FROM t", False),
        ("VALUES (1)", False),
    ],
)
def test_ordered_is_of_the_outermost_query(text, ordered):
    assert parse(text, "postgres").ordered is ordered


def test_a_deeply_nested_query_is_refused_not_a_fault():
    with pytest.raises(QueryRefused, match="nested too deeply"):
        parse(f"SELECT {'(' * 5000}1{')' * 5000}", "postgres")


def test_a_query_of_megabytes_is_refused():
    with pytest.raises(QueryRefused, match="more than 1,000,000 characters"):
        parse("SELECT 1 -- " + "x" * 1_000_001, "postgres")


def test_a_nul_character_is_refused():
    with pytest.raises(QueryRefused, match="line 1, column 8: a NUL"):
        parse("SELECT \x00 1", "postgres")


def test_nothing_is_logged_or_printed_on_the_way(caplog, capsys):
    for dialect, text, _ in REFUSED:
        with pytest.raises(QueryRefused):
            parse(text, dialect)
    assert not caplog.records
    assert capsys.readouterr() == ("", "")
