"""Layout and markup: every graph can be drawn, and no text becomes markup."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakeep.exchange.json_text import json_text
from datakeep.exchange.layout import layered
from datakeep.exchange.markup import Markup, element, escaped
from datakeep.exchange.places import moment, uri
from datakeep.exchange.trend_plot import Plot, Point, svg

KEYS = [f"n{number}" for number in range(12)]
EDGES = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)), max_size=40)


@given(EDGES)
def test_every_node_has_one_place_and_every_edge_leads_to_the_right(edges: list[tuple[str, str]]) -> None:
    found = layered(KEYS, edges)
    column = {key: place for place, keys in enumerate(found.columns) for key in keys}
    assert sorted(key for keys in found.columns for key in keys if key in KEYS) == sorted(KEYS)
    assert len(column) == sum(map(len, found.columns))
    for (source, target), bends in found.bends.items():
        assert [column[key] for key in (source, *bends, target)] == list(
            range(column[source], column[target] + 1)
        )
    lost = {edge for edge in edges if edge[0] != edge[1]} - found.bends.keys()
    assert all(reaches(found.bends, target, source) for source, target in lost)  # only what closes a circle


def reaches(edges: dict[tuple[str, str], object], start: str, end: str) -> bool:
    seen, waiting = set(), [start]
    while waiting:
        key = waiting.pop()
        seen.add(key)
        waiting += [target for source, target in edges if source == key and target not in seen]
    return end in seen


def test_a_long_edge_passes_a_place_of_its_own() -> None:
    found = layered(["a", "b", "c"], [("a", "b"), ("b", "c"), ("a", "c")])
    assert [len(column) for column in found.columns] == [1, 2, 1]
    assert len(found.bends["a", "c"]) == 1


def test_three_thousand_versions_in_a_row_are_no_recursion() -> None:
    keys = [str(number) for number in range(3000)]
    assert len(layered(keys, list(itertools.pairwise(keys))).columns) == 3000


@given(st.text())
def test_text_stays_text(text: str) -> None:
    shown = element("p", text, title=text)
    found = ET.fromstring(shown)
    assert len(found) == 0
    assert unescape(escaped(text)) == re.sub(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]",
        lambda match: match[0].encode("unicode_escape").decode("ascii"),
        text,
    )


def test_only_markup_is_markup() -> None:
    assert element("p", "<b>", Markup("<i>x</i>"), None, "") == "<p>&lt;b&gt;<i>x</i></p>"
    assert element("meta", http_equiv="a", class_='"') == '<meta http-equiv="a" class="&quot;">'
    assert "hunter22" not in escaped("see https://aiko:hunter22@git.corp.example/x")
    assert "hunter22" not in json_text({"a": ["s3://k:hunter22@b/c"]})
    assert json_text("注\u202ex") == '"注\\u202ex"'


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ("git@git.corp.example:ml/churn.git", "ssh://git@git.corp.example/ml/churn.git"),
        ("/mnt/vault/注文.git", "file:///mnt/vault/%E6%B3%A8%E6%96%87.git"),
        ("https://u:p@h/x y.git", "https://u@h/x%20y.git"),
        ("reference/", None),
        (None, None),
    ],
)
def test_places_are_uris(place: str | None, wanted: str | None) -> None:
    assert uri(place) == wanted


def test_moments_have_a_zone() -> None:
    assert moment("2026-11-20") == "2026-11-20T00:00:00+00:00"
    assert moment("2026-11-20T03:00:00+09:00") == "2026-11-20T03:00:00+09:00"
    assert moment("unknown") is None


VALUES = st.floats(min_value=-1e6, max_value=1e6)
POINTS = st.builds(
    lambda value, spread, size, limit, drop: Point(
        "v1", value, value - spread, value + spread, size, limit, drop
    ),
    VALUES,
    st.floats(0, 100),
    st.integers(0, 10**15),
    st.none() | VALUES,
    st.booleans(),
)


@given(st.lists(POINTS, min_size=1, max_size=40), st.none() | VALUES, st.text())
def test_every_plot_can_be_drawn(points: list[Point], baseline: float | None, title: str) -> None:
    found = ET.fromstring(
        svg(Plot(title, "accuracy", tuple(points), baseline, ("v9",))).partition("-->")[2].strip()
    )
    circles = list(found.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(circles) == 2 * len(points)
    assert all(
        0 <= float(one.get("cx", "-1")) <= 900 and 0 <= float(one.get("cy", "-1")) <= 420 for one in circles
    )
