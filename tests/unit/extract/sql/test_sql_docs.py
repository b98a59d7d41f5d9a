"""docs/extracting.md lists every kind of advice, with an example that gives it and what the code says of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datakeep.extract.sql.advice import KINDS, advise
from datakeep.extract.sql.advice_views import unseen
from datakeep.extract.sql.statement import parameters_of, parse

PAGE = (Path(__file__).parents[4] / "docs/extracting.md").read_text("utf-8")
ROWS = re.findall(r"^\| `([a-z-]+)` \| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)


def test_every_kind_is_on_the_page_once_in_the_order_of_the_code():
    assert [row[0] for row in ROWS] == list(KINDS)


@pytest.mark.parametrize(("kind", "example", "meaning", "way_out"), ROWS, ids=[row[0] for row in ROWS])
def test_each_example_gives_that_advice_and_no_other(kind, example, meaning, way_out, shop):
    tables = shop if kind == "join-multiplies" else None
    query = parse(example, "postgres")
    hidden = unseen(query, {}, lambda _: {}, lambda names: names) if kind == "volatile-function" else []
    assert [one.id for one in (*advise(query, tables), *hidden)] == [kind]
    assert meaning == KINDS[kind]
    assert way_out


def test_the_forms_of_parameters_on_the_page_are_read_as_it_says():
    rows = [row for row in PAGE.splitlines() if row.startswith("| `--param")]
    options = [
        one.removeprefix("--param ") for row in rows for one in re.findall(r"`([^`]+)`", row.split("|")[1])
    ]
    assert [one.type for one in parameters_of(options[:-2]).values()] == [
        "date", "integer", "decimal", "boolean", "timestamp", "text", "text", "text",
    ]  # fmt: skip
    assert parameters_of(options[-2:-1])["code"].type == "text"
    assert parameters_of(options[-1:])["until"].value is None
