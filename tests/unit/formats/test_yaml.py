from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakeep.core.errors import InvalidFile
from datakeep.formats import yaml

V1 = Path(__file__).parents[2] / "formats/v1"


def refused(text: str | bytes) -> str:
    with pytest.raises(InvalidFile) as caught:
        yaml.load(text, what="dataset.yaml")
    assert caught.value.what.startswith("dataset.yaml ")
    assert caught.value.next_step
    return caught.value.what


def test_the_manifest_is_written_back_byte_for_byte() -> None:
    text = (V1 / "dataset.yaml").read_text(encoding="utf-8")
    assert yaml.dump(yaml.load(text, what="dataset.yaml")) == text


@pytest.mark.parametrize("file", sorted(V1.glob("*.yaml")), ids=lambda file: file.name)
def test_comments_and_values_survive(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    data = yaml.load(text, what=file.name)
    again = yaml.dump(data)
    assert yaml.plain(yaml.load(again, what=file.name)) == yaml.plain(data)
    comments = [line.partition(" #")[2] for line in text.splitlines()]
    assert all(comment in again for comment in comments)
    assert text.splitlines()[0] in again


def test_a_changed_value_leaves_the_rest_alone() -> None:
    text = "# about\nname: a   # lasting\nkinds:\n- 'x'\n- \"y\"\nday: 2026-11-01\n日本: 語\n"
    data = yaml.load(text, what="x")
    data["name"] = "b"
    assert yaml.dump(data) == text.replace("name: a", "name: b")


def test_dates_are_text() -> None:
    data = yaml.plain(yaml.load("a: 2026-11-01\nb: 2026-11-20T03:00:00+09:00\n", what="x"))
    assert data == {"a": "2026-11-01", "b": "2026-11-20T03:00:00+09:00"}


def test_plain_values_are_those_of_json() -> None:
    data = yaml.plain(yaml.load("a: [1, 1.5, true, null, x, {b: 'no'}]\n3: no\n", what="x"))
    assert json.loads(json.dumps(data)) == data == {"a": [1, 1.5, True, None, "x", {"b": "no"}], "3": "no"}


def test_a_mark_at_the_start_is_not_part_of_the_first_name() -> None:
    assert yaml.load(b"\xef\xbb\xbfa: 1\n", what="x") == {"a": 1}


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
KEY_BOMB = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}}}\n" for n in range(1, 30))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "YAML bomb"),
        (KEY_BOMB, "YAML bomb"),
        ("a: &a {b: [*a, *a]}\nc: [*a]\n" + "\n".join(f"k{n}: &k{n} [*a]" for n in range(3)), None),
        ("a: " + "[" * 1000, "nested too deeply"),
        ("a: " + "[" * 300 + "]" * 300, "nested too deeply"),
        ("a: " + "[" * 45 + "]" * 45, "levels"),
        ("".join(" " * depth + "a:\n" for depth in range(45)), "levels"),
        ("a: [" + "1," * 500_000 + "]", "too many values"),
        ("a: " + "x" * yaml.MAX_SIZE_BYTES, "larger than 4 MB"),
    ],
    ids=["bomb", "map-bomb", "recursive", "open", "deep", "levels", "level-maps", "values", "size"],
)
@pytest.mark.timeout(300)  # an expanded bomb would take hours
def test_bombs_are_refused_unexpanded(text: str, said: str | None) -> None:
    if said is None:
        assert json.dumps(yaml.plain(yaml.load(text, what="x")))
    else:
        assert said in refused(text)


def test_a_duplicate_key_is_named_with_its_place() -> None:
    said = refused("name: a\nbackend: git\nname: b\n")
    assert "line 3, column 1" in said
    assert 'duplicate key "name"' in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds nothing"),
        ("# only a comment\n", "holds nothing"),
        ("- a\n", "holds a list"),
        ("just words\n", "holds a single value"),
        (b"a: \xff\n", "not UTF-8"),
        ("a: 1\n".encode("utf-16"), "not UTF-8"),
        ("a: *missing\n", "line 1, column 4"),
        ("a:\n\t- b\n", "line 2, column 1"),
        ("a: 'open\n", "not valid YAML, line"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("a: \x01\n", "not valid YAML"),
        ("? [[a]]\n: b\n", "not valid YAML"),
        ("a: !!bool maybe\n", "not valid YAML"),
        ("a: !!float maybe\n", "not valid YAML"),
        ("a: &a {<<: *a}\n", "not valid YAML"),
        ("a: " + "9" * 10_000, "not valid YAML"),
        ("a: 0x" + "f" * 10_000, "too long"),
        ('a: "\\ud800"\n', "half a character"),
        ('"\\ud800": a\n', "half a character"),
        ('a: "\\e[2J"\n', "a control character"),
        ('a: "\\x9b2J"\n', "a control character"),
        ("a: !!binary aGVsbG8=\n", "unusual type bytes"),
        ("a: !!set {x, y}\n", "unusual type"),
        ("a: !mine b\n", "unusual type"),
    ],
)
def test_what_is_no_document_of_ours(text: str | bytes, said: str) -> None:
    assert said in refused(text)


@pytest.mark.filterwarnings("error")
def test_an_anchor_may_be_used_again() -> None:
    data = yaml.load("a: &x 1\nb: &x 2\nc: *x\n", what="x")
    assert yaml.plain(data) == {"a": 1, "b": 2, "c": 2}


def test_tags_never_run_anything(tmp_path: Path) -> None:
    made = tmp_path / "made"
    yaml.load(f"a: !!python/object/apply:os.mkdir [{made}]\n", what="x")
    assert not made.exists()


fragments = st.sampled_from(
    [
        *"ab\n[]{},>'\"#~\t9あ",
        *("  ", "- ", "? ", ": ", "&x ", "*x", "<<: ", "|\n", "---\n", "0x", ".nan", "2026-11-01"),
        *("!!set ", "!!int ", "!!bool ", "!!binary ", "!a ", "\\ud83d", "%YAML 1.1\n"),
    ]
)


@given(st.lists(fragments, max_size=15).map("".join))
def test_any_text_is_read_or_refused_and_what_is_read_can_be_written(text: str) -> None:
    try:
        data = yaml.load(text, what="x")
    except InvalidFile:
        return
    plain = yaml.plain(data)
    assert json.dumps(plain)
    yaml.dump(data).encode()


any_text = st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda text: not yaml.unshowable(text))
scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | any_text
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(any_text, values, max_size=4))
def test_what_is_written_is_read_again(data: dict[str, object]) -> None:
    assert yaml.plain(yaml.load(yaml.dump(data), what="x")) == data
