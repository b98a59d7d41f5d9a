from __future__ import annotations

import posixpath
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakeep.core.paths import refusals, refuse, unlike_windows

FINE = [
    "a",
    "data/a.png",
    "写真/東京.jpg",
    "a b",
    "-a",
    "a/-",
    "--",
    "...",
    "a..b",
    ".hidden",
    "git",
    ".gitignore",
    "a\\b",
    "é",
]
REFUSED = [
    ("", "empty"),
    ("/etc/passwd", "absolute"),
    ("//a", "absolute"),
    ("-", "standard input"),
    ("..", "'..'"),
    ("a/../../b", "'..'"),
    ("a/./b", "'.'"),
    ("a//b", "''"),
    ("a/", "''"),
    (".git", "git's"),
    (".git/config", "git's"),
    ("a/.GIT/hooks/x", "git's"),
    ("a/.git /x", "git's"),
    ("a/.git./x", "git's"),
    ("GIT~1/x", "git's"),
    (".g\u200cit/x", "git's"),
    (".git::$INDEX_ALLOCATION/x", "git's"),
    (".dvc/config", "DVC's"),
    ("a/.dvcignore", "DVC's"),
    ("a\nb", "control"),
    ("a\x00", "control"),
    ("a\x7f", "control"),
    ("a\x85", "control"),
    ("e\u0301", "NFC"),
    ("a\udcff", "UTF-8"),
    ("x" * 256, "255"),
    ("あ" * 86, "255"),
    ("a/" * 2048 + "a", "4096"),
]


@pytest.mark.parametrize("path", FINE)
def test_fine_paths(path: str) -> None:
    assert refuse(path) is None


@pytest.mark.parametrize(("path", "reason"), REFUSED)
def test_refused_paths_say_why_and_the_way_out(path: str, reason: str) -> None:
    refusal = refuse(path)
    assert refusal is not None
    assert reason in str(refusal)
    assert refusal.way_out
    str(refusal).encode("utf-8")


path_text = st.text(st.sampled_from(list("ab./\\~ -\u200cGIT1git:é\u0301ßﬁ\n")), max_size=12)


@given(path_text)
def test_a_path_that_passes_stays_inside_and_means_itself(path: str) -> None:
    if refuse(path) is None:
        assert posixpath.normpath(path) == path
        assert not path.startswith(("/", "../"))
        assert path != ".."
        assert unicodedata.normalize("NFC", path) == path
        assert ".git" not in path.lower().split("/")


@given(st.lists(path_text, max_size=5))
def test_the_same_paths_are_refused_in_any_order(paths: list[str]) -> None:
    assert bool(refusals(paths)) == bool(refusals(paths[::-1]))


@given(st.lists(st.text(st.sampled_from("aAbß/"), min_size=1, max_size=6), max_size=6, unique=True))
def test_what_passes_can_be_written_where_case_is_ignored(paths: list[str]) -> None:
    """Every file keeps a place of its own, and no file stands where another needs a folder."""
    if refusals(paths):
        return
    places = {path.casefold(): path for path in paths}
    assert len(places) == len(paths)
    folders = {path[:at].casefold() for path in paths for at in range(len(path)) if path[at] == "/"}
    assert not folders & places.keys()
    spelled = {path[:at] for path in paths for at in range(len(path)) if path[at] == "/"}
    assert len(folders) == len(spelled)


@pytest.mark.parametrize(
    "paths",
    [["a", "A"], ["straße", "STRASSE"], ["d/x", "D/y"], ["é", "É"], ["a/B/c", "a/b/d"], ["ς", "Σ"]],
)
def test_twins(paths: list[str]) -> None:
    (refusal,) = refusals(paths)
    assert "ignores case" in refusal.reason
    assert repr(paths[0].partition("/")[0])[1:-1] in refusal.reason


def test_a_file_that_is_a_folder_too() -> None:
    (refusal,) = refusals(["a", "a/b"])
    assert refusal.path == "a/b"


def test_all_refusals_are_listed() -> None:
    assert [refusal.path for refusal in refusals(["ok", "/a", "../b", ".git/c"])] == ["/a", "../b", ".git/c"]


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        ("CON", False), ("con.txt", False), ("a/Aux/b.csv", False), ("LPT1.tar.gz", False), ("nul ", False),
        ("com¹.csv", False), ("end.", False), ("end ", False), ("folder./a", False), ("a:b", False),
        ('say "hi"', False), ("a*b", False), ("why?", False), ("a<b", False), ("a|b", False), ("a\\b", False),
        ("console.txt", True), ("com10.csv", True), ("a.b/c d.txt", True), (".hidden", True), ("aux-1", True),
        ("受注.csv", True), ("nulls/con-1.csv", True),
    ],
)  # fmt: skip
def test_names_that_windows_cannot_have(path, fits):
    assert unlike_windows([path]) == ([] if fits else [path])
    assert refuse(path) is None, "they are warned of, not refused"
