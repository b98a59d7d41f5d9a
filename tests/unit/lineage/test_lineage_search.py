"""Of words that are in more texts than are weighed: what has all words is found all the same."""

from __future__ import annotations

import sqlite3

import pytest

from datakeep.lineage import search as searching
from datakeep.lineage.committed import folded
from datakeep.lineage.schema import _TABLES
from datakeep.lineage.search import search

KINDS = ("dataset", "model", "person")
DATASETS = 3_000


@pytest.fixture(scope="module")
def database():
    index = sqlite3.connect(":memory:")
    index.executescript(_TABLES)
    texts = []
    for number in range(DATASETS):
        name = f"sensors-{number:04}"
        texts += [("dataset", name, "name", 0, name)]
        texts += [
            ("dataset", name, "column", version, f"vibration_{version} of 軸の回転数")
            for version in range(1, 5)
        ]
    texts += [
        ("dataset", "sensors-2999", "purpose", 3, "Predict the wear of a bearing"),
        ("model", "wear", "dataset", 2, "sensors-2999"),
        ("model", "wear", "dataset", 1, "sensors-0001"),
        ("model", "wear", "file", 1, "vibration of bearings.onnx"),
    ]
    for kind, name, field, number, text in texts:
        made = index.execute(
            "INSERT INTO doc (kind, name, field, number, text, folded) VALUES (?, ?, ?, ?, ?, ?)",
            (kind, name, field, number, text, folded(text)),
        )
        index.execute("INSERT INTO doc_text (rowid, folded) VALUES (?, ?)", (made.lastrowid, folded(text)))
    for word in sorted({part for *_, text in texts for part in searching._WORD.findall(folded(text))}):
        made = index.execute("INSERT INTO word (word) VALUES (?)", (word,))
        index.execute("INSERT INTO word_text (rowid, word) VALUES (?, ?)", (made.lastrowid, word))
    return index


def names(result):
    return [hit.name for hit in result.hits]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["vibration", "2999"], {"sensors-2999", "wear"}),
        (["2999", "vibration"], {"sensors-2999", "wear"}),
        (["vibraton", "2999"], {"sensors-2999", "wear"}),
        (["vibraton", "bearing"], {"sensors-2999", "wear"}),
        (["回転", "2999"], {"sensors-2999"}),
        (["転", "2999"], {"sensors-2999"}),
        (["beering", "2999", "vibration"], {"sensors-2999", "wear"}),
        (["onnx", "vibration_4"], set()),
    ],
)  # fmt: skip
def test_a_rare_word_finds_what_has_the_frequent_ones_too(database, words, expected):
    result = search(database, words, KINDS)
    assert set(names(result)) == expected
    assert not (expected and result.frequent)
    for hit in result.hits:
        assert [match.word for match in hit.matches] == words


def test_a_typo_is_told_by_each_hit(database):
    hit = search(database, ["vibraton", "2999"], ["model"]).hits[0]
    assert [(match.field, match.meant) for match in hit.matches] == [("file", "vibration"), ("dataset", None)]
    assert [match.number for match in hit.matches] == [1, 2]


def test_where_nothing_has_all_words_each_is_told_by_itself(database):
    result = search(database, ["onnx", "wear", "0001", "predict"], KINDS)
    assert result.hits == ()
    assert result.alone == {"onnx": 1, "wear": 1, "0001": 2, "predict": 1}
    result = search(database, ["onnx", "zzzzzz"], KINDS)
    assert (result.hits, set(result.near)) == ((), {"zzzzzz"})


def test_two_frequent_words_say_that_there_may_be_more(database):
    result = search(database, ["vibration", "sensors"], KINDS)
    assert result.hits
    assert result.frequent == ("vibration",)


def test_the_answer_is_that_of_a_search_without_bounds(database, monkeypatch):
    few = search(database, ["vibration_3", "0007", "sensors"], KINDS)
    monkeypatch.setattr(searching, "_FEW_TEXTS", 0)
    monkeypatch.setattr(searching, "_MAX_TEXTS", 100_000)
    assert search(database, ["vibration_3", "0007", "sensors"], KINDS).hits == few.hits
