"""What libyaml is given to read, it reads as the other parser does; everything else is left to that one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml.nodes import ScalarNode

from datakeep.core.errors import InvalidFile
from datakeep.formats import plain_yaml, yaml

_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12) | st.sampled_from(
    [
        "yes",
        "no",
        "null",
        "~",
        "1",
        "1.0",
        "2026-01-01",
        "4e12",
        "0o17",
        "=",
        "a: b",
        "# c",
        "x\ny",
        "- a",
        "12:30",
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_DOCUMENTS = st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), _VALUES, min_size=1, max_size=4)


def slow(text):
    try:
        return yaml.plain(yaml.load(text, what="x"))
    except InvalidFile as error:
        return error.what


def fast(text):
    try:
        return yaml.load_plain(text, what="x")
    except InvalidFile as error:
        return error.what


@given(_DOCUMENTS)
@settings(max_examples=150, deadline=None)
def test_what_is_written_by_us_or_as_json_is_read_alike(data):
    for text in (yaml.dump(data), json.dumps(data, indent=1), json.dumps(data, ensure_ascii=False)):
        assert repr(fast(text.encode())) == repr(slow(text.encode()))


@given(st.text("abc:-#'\"|>[]{},?&*!%@` \n01.e=~<\t\\", max_size=30).map(lambda text: f"a: {text}"))
@example("a: 1\na: 2")
@example("a: &x 1\nb: *x")
@example("a: !!str 1")
@example("a: 2026-01-01\nb: yes\nc: 0o17\nd: 1_000\ne: 1e3\nf: .5\ng: 012\nh: 0x1f\ni: -0")
@example("? a\n: b")
@example("a: >#")
@example("a: |2-\n   x")
@example("a: |\n  one\n  two\nb: >-\n  folded\n  text\n")
@example("a: [1, b, {c: d}]\n1: x")
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_alike_or_refused_alike(text):
    assert repr(fast(text.encode())) == repr(slow(text.encode()))


_PIECES = st.sampled_from(
    [
        "", " ", "  ", "- ", "k: ", "key_2: ", '"', "'", "''", "\\n", "\\t", "\\\\", '\\"', "\\x41", "\\", "\\e", "*",
        "*x", "&x ", "!t ", "%", "#", " # c", "|", ">", "|-", "a", "SELECT * FROM t", "x > 1", "a: b", ":", ": ", "[",
        "]", "{", "}", ",", "? ", "---", "...", "<<", "~", "1", "é", "\t", "`", "@",
    ]
)  # fmt: skip
_LINES = st.lists(st.lists(_PIECES, max_size=6).map("".join), max_size=6).map("\n".join)


@given(_LINES)
@example("a: \"x\\n  * y\"\nb: '100 % * &'\nc: SELECT * FROM t")
@example('a: "one\n  k: it is * \\\n  two"')
@example('a: |\n  k: SELECT * FROM t\n  \\n\nb: >\n  k: "x\\n"')
@example('a: {\n  k: x * y,\n  l: "a\\n*" }')
@example('a: "\n  k: x"y * z\n  "')
@example("a: 'one\n  k: \"x\\n*\"\n  two'")
@settings(max_examples=600, deadline=None)
def test_lines_of_any_pieces_are_read_alike_or_refused_alike(text):
    assert repr(fast(text.encode())) == repr(slow(text.encode()))


@given(
    st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), st.lists(_PIECES).map("".join), min_size=1)
)
@settings(max_examples=200, deadline=None)
def test_texts_of_any_pieces_are_read_as_they_were_written(data):
    text = yaml.dump({"source": data, "list": [*data.values()]})
    assert fast(text.encode()) == {"source": data, "list": [*data.values()]}


def test_what_a_query_makes_of_a_manifest_is_read_without_doubt():
    """Its text in one form, and what is to be said of it: each with what means something to YAML elsewhere."""
    texts = {
        "normalised": "SELECT\n  a * 2 AS \"b\",\n  'c\\d'\nFROM t\nWHERE\n  x % 2 = 1 AND NOT y LIKE '!%'",
        "definition": "SELECT * FROM s.orders WHERE x > 1 # of MySQL",
        "note": "a | b & c",
    }
    data = {"source": texts, "advice": ["1:8: * of t: a column that is added [select-star]", *texts.values()]}
    assert plain_yaml.read(yaml.dump(data)) == data


def test_a_plain_file_is_read_without_doubt():
    text = (
        'format: datakeep/version/1\nfiles: 3\npersonal: "no"\nday: 2026-11-01\nlist:\n- 受注\n- {a: null}\n'
    )
    found = plain_yaml.read(text)
    assert found == {
        "format": "datakeep/version/1",
        "files": 3,
        "personal": "no",
        "day": "2026-11-01",
        "list": ["受注", {"a": None}],
    }
    with pytest.raises(plain_yaml.Doubt):
        plain_yaml.read("a: 1e3")


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(-0.0)
@example(5e-324)
@example(1.7976931348623157e308)
def test_a_float_is_the_one_that_the_other_parser_reads(value):
    text = f"a: {value!r}\n"
    (here,) = yaml.load_plain(text.encode(), what="x").values()
    (there,) = yaml.plain(yaml.load(text, what="x")).values()
    assert repr(here) == repr(there) == repr(value)


@given(
    st.text("0123456789abcdefxo_.eE+-:TZtnyfNYFO~/ あ", min_size=1, max_size=9).map(str.strip).filter(bool)
)
@example("0xfade")
@example("2026-11-20T03:10:00+09:00")
@example("4f" * 20)
@example("-0")
def test_what_is_not_asked_of_the_other_parser_means_the_same_to_it(text):
    tag = str(yaml.resolver().resolve(ScalarNode, text, (True, False)))
    try:
        value = plain_yaml._plain(text)
    except plain_yaml.Doubt:
        return
    kinds = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}
    assert type(value) is kinds[tag.rpartition(":")[2]]
    assert not isinstance(value, str) or value == text


@pytest.mark.parametrize("count", [300, 60_000])
@pytest.mark.parametrize("nested", ["[", "{b: ", "- ", "[{b: ["])
def test_a_text_nested_deeply_is_refused_and_ends_no_process(nested, count):
    text = f"a:\n  {nested * count}x\n".encode()
    # In a process of its own: where libyaml's stack ends, so does the process.
    code = """import sys
from datakeep.formats import yaml
try: yaml.load_plain(sys.stdin.buffer.read(), what='x')
except yaml.InvalidFile as error: print(error.what)
"""
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, check=True)
    assert done.stdout.startswith(b"x ")


def test_brackets_beside_each_other_are_no_depth():
    text = "a:\n" + "- {b: []}\n" * 900
    assert plain_yaml.read(text) == {"a": [{"b": []}] * 900}


def test_a_large_file_is_read_without_the_slow_parser(monkeypatch):
    monkeypatch.setattr(yaml, "_yaml", None)
    text = "files:\n" + "".join(
        f"- path: part-{number}.bin\n  size_bytes: {number}\n" for number in range(20_000)
    )
    assert len(yaml.load_plain(text.encode(), what="x")["files"]) == 20_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n" + ",\n" * 210_000, "too many values"),
        ("a:\n" + "- x\n" * 199_999, "more than 200000 values"),
        ("a: " + "x" * 4_200_000, "larger than 4 MB"),
    ],
)
def test_the_bounds_are_those_of_the_slow_parser(text, said, monkeypatch):
    if said.startswith("more"):
        monkeypatch.setattr(yaml, "_yaml", None)  # which takes a minute for so many
    with pytest.raises(InvalidFile, match=said):
        yaml.load_plain(text.encode(), what="x")
