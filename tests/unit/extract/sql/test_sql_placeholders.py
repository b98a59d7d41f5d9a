"""A statement as a driver takes it, and the way back to what the user wrote."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakeep.extract.sql.interface import Statement
from datakeep.extract.sql.placeholders import Sent, substituted
from datakeep.extract.sql.places import shown_place


def statement(text):
    places = tuple((found[1], *found.span()) for found in re.finditer(r":([a-z]+)", text))
    return Statement(text, "postgres", text, places)


@pytest.mark.parametrize(("text", "kept"), [
    ("SELECT 1", "SELECT 1"),
    ("SELECT 1;", "SELECT 1"),
    ("SELECT 1 ; ;;\n -- done;", "SELECT 1 "),
    ("SELECT 1 -- a; b", "SELECT 1 -- a; b"),
    ("SELECT ';' -- ;", "SELECT ';' -- ;"),
    ("SELECT $q$;$q$, \"a;\", E'\\';' ;", "SELECT $q$;$q$, \"a;\", E'\\';' "),
    ("SELECT '日本;' ; /* ; */", "SELECT '日本;' "),
])  # fmt: skip
def test_only_what_closes_a_statement_is_cut(text, kept):
    assert substituted(statement(text), str).text == kept


@given(st.lists(st.sampled_from(["x", "日本\n", " ", ":a", ":bcd"]), max_size=12), st.text("(€)", max_size=9))
@settings(deadline=None)
def test_every_place_leads_back_to_what_was_written_there(parts, replacement):
    text = " ".join(parts)
    sent = substituted(statement(text), lambda name: replacement)
    replaced = {place for start, end, *_ in sent.moves for place in range(start, end)}
    for place, character in enumerate(sent.text):
        if place in replaced:
            assert text[sent.origin(place)] == ":"
        else:
            assert text[sent.origin(place)] == character
    assert sent.origin(len(sent.text)) == len(text)


def test_a_place_is_shown_as_line_and_column_with_a_mark():
    assert shown_place("SELECT 1,\n\tnope\nFROM t", 11) == ("line 2, column 2", ("\tnope", "\t^"))
    assert shown_place("", 0) == ("line 1, column 1", ("", "^"))
    assert Sent("abc").origin(2) == 2
