"""What is written through libyaml is what the parser that keeps comments writes, character by character."""

from __future__ import annotations

import io
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datakeep.formats import plain_yaml, written_yaml, yaml
from datakeep.samples import SAMPLES

#: All that YAML gives a meaning to, and words and numbers of it.
MARKS = [*"az09 -+:#'\"\\\n,[]{}&*!|>%@`?=~._/<é語", "\xa0"]
WORDS = [
    "yes", "no", "true", "null", "Null", "0x1f", "1e3", "1.5", "- ", "? ", ": ", " #",
    "2026-11-01", "...", "---", "<<", ".inf", "0o7", "1_000", "12:30:45", "!!str", "key: v", "\n\n", " \n", "\n ",
    "it's",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from([*MARKS, *WORDS]), max_size=6).map("".join)
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def by_the_other(data):
    out = io.StringIO()
    yaml._yaml().dump(data, out)
    return out.getvalue()


def check(data):
    """Whether it was written; then the text is the other's, and is read back."""
    try:
        text = written_yaml.write(data)
    except plain_yaml.Doubt:
        return False
    assert text == by_the_other(data)
    return True


@pytest.mark.parametrize("first", MARKS)
def test_each_text_of_two_marks(first):
    written = [
        check(data)
        for second in ("", *MARKS, *WORDS)
        for data in ({"key": first + second}, {first + second: "value"}, {"list": [second + first]})
    ]
    assert any(written)


@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_mappings_of_all_kinds(data):
    if check(data) and all(map(str.strip, data)):
        assert yaml.load_plain(written_yaml.write(data).encode(), what="x") == data


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=list(SAMPLES))
def test_manifests_are_written_here(sample):
    assert check(yaml.plain(yaml.load(sample.manifest.read_text(), what="it")))


NESTED: list = []
for _ in range(60):
    NESTED = [NESTED]
SHARED = ["the same list"]


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, None,
     "a\tb", "\x85", "\u2028", "\ufeff", "😀", "x" * 20_000, (1,), NESTED, {1: "x"}, {"x" * 200: 1},
     [SHARED, SHARED], b"x", {"a\nb": 1}, "'a' or 'b"],
    ids=range(17),
)  # fmt: skip
def test_what_is_in_doubt_is_left_to_the_other(value):
    with pytest.raises(plain_yaml.Doubt):
        written_yaml.write({"key": value})


@pytest.mark.parametrize("data", [{}, [], "text", 1])
def test_only_mappings(data):
    with pytest.raises(plain_yaml.Doubt):
        written_yaml.write(data)


def test_comments_stay():
    text = "# of the author\nname: a # why\nvalues: [1, 2]\n"
    assert yaml.dump(yaml.load(text, what="x")) == text


def test_without_libyaml_the_other_writes_all(monkeypatch):
    monkeypatch.setattr(written_yaml, "_tools", lambda: None)
    data = {"a": ["b: c", {"d": True}], "e": {}}
    assert yaml.dump(data) == by_the_other(data)
