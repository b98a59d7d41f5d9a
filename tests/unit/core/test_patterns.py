from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakeep.core.errors import UsageError
from datakeep.core.patterns import compile_patterns, split_of, splitter

MATCHES = [
    ("data/train/**", "data/train/a.png", True),
    ("data/train/**", "data/train/a/b/c.png", True),
    ("data/train/**", "data/train", False),
    ("data/train/**", "data/training/a.png", False),
    ("data/train/", "data/train/a/b.png", True),
    ("data/train", "data/train/a.png", False),
    ("data/*", "data/a.png", True),
    ("data/*", "data/a/b.png", False),
    ("data/*/x.csv", "data/2026/x.csv", True),
    ("data/*/x.csv", "data/2026/11/x.csv", False),
    ("**", "data/a", True),
    ("**/x.csv", "x.csv", True),
    ("**/x.csv", "a/b/x.csv", True),
    ("**/x.csv", "a/b/yx.csv", False),
    ("data/**/x.csv", "data/x.csv", True),
    ("data/**/x.csv", "data/a/b/x.csv", True),
    ("data/**/a/**/x", "data/1/a/2/3/x", True),
    ("data/**/a/**/x", "data/1/b/2/3/x", False),
    ("**/**/a", "a", True),
    ("**/a/b/**", "a/a/b/c", True),
    ("**/a/*/c/**/d", "a/a/b/c/d", True),
    ("data/a**b", "data/a12b", True),
    ("data/a**b", "data/a/b", False),
    ("data/?.png", "data/あ.png", True),
    ("data/?.png", "data/.png", False),
    ("data?x", "data/x", False),
    ("data[!a]x", "data/x", False),
    ("data[/]x", "data/x", False),
    ("data/[a-c].png", "data/b.png", True),
    ("data/[a-c].png", "data/d.png", False),
    ("data/[!a-c].png", "data/d.png", True),
    ("data/[!a-c].png", "data/b.png", False),
    ("data/[]].png", "data/].png", True),
    ("data/[^a].png", "data/^.png", True),
    ("data/[*].png", "data/*.png", True),
    ("data/[*].png", "data/x.png", False),
    ("data/[x.png", "data/[x.png", True),
    ("data/a.png", "data/a_png", False),
    ("data/(a|b)+$", "data/(a|b)+$", True),
    ("data/[\\].png", "data/\\.png", True),
    ("data/[&&~~||].png", "data/&.png", True),
    ("data/*", "data/.hidden", True),
    ("data/*", "data/a\nb", True),
    ("data/*.tar.gz", "data/a.tar.tar.gz", True),
    ("data/*a*b*", "data/xaxbx", True),
    ("data/*a*b*", "data/xbxax", False),
    ("data/*ab*ab", "data/abab", True),
    ("data/*ab*ab", "data/aab", False),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), MATCHES)
def test_the_language(pattern: str, path: str, expected: bool) -> None:
    assert compile_patterns([pattern])(path) is expected


@pytest.mark.parametrize("pattern", ["", "/data/**", "../x", "data/../x", "./data/*", "data//x", "//"])
def test_patterns_that_can_match_nothing_are_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="can match no file"):
        compile_patterns([pattern])


def test_a_backward_range_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=re.escape("'data/[z-a]'")):
        compile_patterns(["data/[z-a]"])


def test_no_pattern_matches_nothing() -> None:
    assert not compile_patterns([])("data/a")


def _plain_component(pattern: str) -> str:
    return re.sub(
        r"\*+|\?|[^*?]", lambda m: {"*": "[^/]*", "?": "[^/]"}.get(m[0][0], re.escape(m[0])), pattern
    )


def _reference(pattern: list[str], path: list[str]) -> bool:
    """The definition, word for word and slow."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        least = 1 if len(pattern) == 1 else 0
        return any(_reference(pattern[1:], path[skip:]) for skip in range(least, len(path) + 1))
    return (
        bool(path)
        and bool(re.fullmatch(_plain_component(pattern[0]), path[0]))
        and _reference(pattern[1:], path[1:])
    )


component = st.text("ab*?", min_size=1, max_size=5).filter(lambda part: part != "**")


@given(
    st.lists(st.one_of(st.just("**"), component), min_size=1, max_size=6),
    st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=6),
)
def test_equals_the_slow_definition(pattern: list[str], path: list[str]) -> None:
    while pattern[-2:] == ["**", "**"]:
        pattern = pattern[:-1]
    assert compile_patterns(["/".join(pattern)])("/".join(path)) == _reference(pattern, path)


def test_splits() -> None:
    splits = {"train": ["data/train/**"], "test": ["data/test/**", "data/train/odd.png"]}
    assert split_of("data/train/a.png", splits) == "train"
    assert split_of("data/test/a/b.png", splits) == "test"
    assert split_of("data/labels.csv", splits) is None
    with pytest.raises(UsageError) as caught:
        split_of("data/train/odd.png", splits)
    assert all(word in caught.value.what for word in ("'train'", "'test'", "data/train/odd.png"))


@pytest.mark.timeout(300)  # one pattern after the other would take minutes
def test_fifty_thousand_paths_against_ten_thousand_patterns() -> None:
    paths = [f"data/{'train' if n % 5 else 'test'}/{n % 100:03}/{n:06}.png" for n in range(50_000)]
    listed = {"train": ["data/train/**"], "test": [path for path in paths if "/test/" in path]}
    found = list(map(splitter(listed), paths))
    assert found.count("test") == 10_000


@pytest.mark.timeout(300)  # backtracking would take longer than the universe is old
@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("data/" + "*a" * 40 + "b", "data/" + "a" * 250),
        ("**/a/" * 20 + "b", "a/" * 1500 + "c"),
        ("**/*a*a*a*a*b/" * 8 + "b", "aaaaaaaaaaaaaaaaaaaa/" * 150 + "c"),
    ],
)
def test_hostile_patterns_do_not_hang(pattern: str, path: str) -> None:
    assert not compile_patterns([pattern])(path)
