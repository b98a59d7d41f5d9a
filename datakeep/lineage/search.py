"""Searching the index for words: every word must be found, a typo is forgiven, and each hit says where it is.

Words of three characters and more are found inside others through trigrams; shorter ones (in Japanese often
whole words) by looking through all texts, which are short.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.lineage.committed import folded

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

#: How much a hit in each field is worth; what is not here is worth one.
_WORTH = {
    "name": 60, "alias": 40, "title": 25, "table": 15, "purpose": 12, "column": 12, "person": 12, "target": 12,
    "class": 8, "file": 8, "caveat": 8, "SQL": 6, "query": 6, "capture": 6,
    "annotation": 6, "license": 4, "access": 4,
}  # fmt: skip
_TRIGRAM = 3
#: Texts looked at for one word, and words looked at for what was meant by one.
_MAX_TEXTS = 10_000
_MAX_MEANT_TEXTS = 2_000
#: Texts that have a word which narrows a search down to what they are about.
_FEW_TEXTS = 500
_MAX_WORDS = 400
_MAX_PARTS = 500
_LIKE_ENOUGH = 0.72
_NEAR = 0.5
_LETTER = re.compile(r"\w")
_WORD = re.compile(r"\w+")
#: A kind and a name; and a text of one: kind, name, field, number, text, and the text folded.
Subject = tuple[str, str]
Text = tuple[str, str, str, int, str, str]


@dataclass(frozen=True, slots=True)
class Match:
    """Where one word was found; ``number`` is the newest version whose text it is, 0 where that has none.

    ``meant`` is the word that was found in its place, if it was taken for a typo.
    """

    word: str
    field: str
    text: str
    number: int
    worth: float
    meant: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A dataset, model or person in which every word was found; the best match of each word."""

    kind: str
    name: str
    matches: tuple[Match, ...]

    @property
    def worth(self) -> float:
        """By how much it comes first."""
        return sum(one.worth for one in self.matches)


@dataclass(frozen=True, slots=True)
class Result:
    """What a search found, the best first.

    Attributes:
        hits: What has every word.
        near: For each word that was found nowhere, words like it that there are.
        alone: For each word that was found, in how many subjects; only where nothing may have all words.
        frequent: Words that are in more texts than were weighed: there may be more hits.
    """

    hits: tuple[Hit, ...]
    near: dict[str, tuple[str, ...]]
    alone: dict[str, int]
    frequent: tuple[str, ...] = ()


def search(database: sqlite3.Connection, asked: Sequence[str], kinds: Collection[str]) -> Result:
    """What has all words of ``asked``.

    Args:
        database: The index.
        asked: As they were typed; what holds spaces or marks is looked for as it stands.
        kinds: Of ``dataset``, ``model``, ``person``.
    """
    words = [word for word in dict.fromkeys(folded(one).strip() for one in asked) if word]
    if hits := _within_few(database, words, kinds):
        return Result(hits, {}, {})
    found: list[dict[Subject, Match]] = []
    near: dict[str, tuple[str, ...]] = {}
    alone: dict[str, int] = {}
    frequent: list[str] = []
    for word in words:
        one = _of_word(database, word, kinds, frequent)
        if one:
            alone[word] = len(one)
        else:
            near[word] = tuple(_like(database, word, _NEAR)[:3])
        found.append(one)
    return Result(_hits(found), near, alone, tuple(dict.fromkeys(frequent)))


def _hits(found: Sequence[Mapping[Subject, Match]]) -> tuple[Hit, ...]:
    """What has a match of every word, the best first."""
    common = set.intersection(*(set(one) for one in found)) if found else set()
    hits = [Hit(kind, name, tuple(one[kind, name] for one in found)) for kind, name in common]
    return tuple(sorted(hits, key=lambda hit: (-hit.worth, hit.kind, hit.name)))


def _within_few(
    database: sqlite3.Connection, words: Sequence[str], kinds: Collection[str]
) -> tuple[Hit, ...]:
    """What has all words, looked for in what has those that few texts have; nothing where no word is such a one.

    However many texts have the other words, or what they may be typos of, all of these few things' texts are looked
    at: nothing is left out.
    """
    if len(words) == 1:
        return ()
    first = {word: _texts(database, word, kinds, _FEW_TEXTS + 1) for word in words}
    rare = [{text[:2] for text in texts} for texts in first.values() if 0 < len(texts) <= _FEW_TEXTS]
    if not rare:
        return ()
    subjects = set.intersection(*rare)
    query = "SELECT kind, name, field, number, text, folded FROM doc WHERE kind = ? AND name = ? ORDER BY id"
    texts = [text for subject in subjects for text in database.execute(query, subject)]
    found = [
        _best(word, (text for text in texts if word in text[-1]))
        if first[word]
        else _meant(database, word, lambda meant: _best(meant, (text for text in texts if meant in text[-1])))
        for word in words
    ]
    return _hits(found)


def _of_word(
    database: sqlite3.Connection, word: str, kinds: Collection[str], frequent: list[str]
) -> dict[Subject, Match]:
    """The best match of one word in each subject; where there is none, of the words that it may be a typo of."""
    found = _holding(database, word, kinds, frequent)
    if found:
        return found
    return _meant(database, word, lambda meant: _holding(database, meant, kinds, frequent, _MAX_MEANT_TEXTS))


def _meant(
    database: sqlite3.Connection, word: str, holding: Callable[[str], Mapping[Subject, Match]]
) -> dict[Subject, Match]:
    """The best matches of the words that ``word`` may be a typo of, worth less than what was asked for."""
    found: dict[Subject, Match] = {}
    if len(word) < _TRIGRAM:
        return found
    for meant in _like(database, word, _LIKE_ENOUGH):
        likeness = difflib.SequenceMatcher(None, word, meant).ratio()
        for subject, match in holding(meant).items():
            worth = match.worth * likeness / 2
            if subject not in found or found[subject].worth < worth:
                found[subject] = Match(word, match.field, match.text, match.number, worth, meant)
    return found


def _holding(
    database: sqlite3.Connection,
    word: str,
    kinds: Collection[str],
    frequent: list[str],
    limit: int = _MAX_TEXTS,
) -> dict[Subject, Match]:
    texts = _texts(database, word, kinds, limit)
    if len(texts) >= limit:
        frequent.append(word)
    return _best(word, texts)


def _best(word: str, texts: Iterable[Text]) -> dict[Subject, Match]:
    """The best match in each subject of texts that all hold ``word``."""
    best: dict[Subject, tuple[float, str, str, int]] = {}
    for kind, name, field, number, text, plain in texts:
        worth = _worth(word, field, plain)
        if (kind, name) not in best or best[kind, name][0] < worth:
            best[kind, name] = (worth, field, text, number)
    return {
        subject: Match(word, field, text, number, worth)
        for subject, (worth, field, text, number) in best.items()
    }


def _texts(database: sqlite3.Connection, word: str, kinds: Collection[str], limit: int) -> list[Text]:
    """Up to ``limit`` texts that hold a folded word."""
    marks = ", ".join("?" * len(kinds))
    columns = "kind, name, field, number, text, doc.folded"
    rest = f"kind IN ({marks}) LIMIT {limit}"
    parts = [word] if len(word) >= _TRIGRAM else _beginning(database, word)
    if parts is None:
        query = f"SELECT {columns} FROM doc WHERE instr(folded, ?) AND {rest}"  # noqa: S608  # our names
        return database.execute(query, (word, *kinds)).fetchall()
    by_part = (
        f"SELECT {columns} FROM doc_text JOIN doc ON doc.id = doc_text.rowid "  # noqa: S608  # our names
        f"WHERE doc_text MATCH ? AND {rest}"
    )
    asked = " OR ".join('"' + part.replace('"', '""') + '"' for part in parts)
    found = database.execute(by_part, (asked, *kinds)).fetchall() if parts else []
    if len(word) < _TRIGRAM:
        by_end = f"SELECT {columns} FROM doc WHERE substr(folded, -2) = ? AND {rest}"  # noqa: S608
        found = list(dict.fromkeys([*found, *database.execute(by_end, (word, *kinds))]))[:limit]
    return found


def _beginning(database: sqlite3.Connection, word: str) -> list[str] | None:
    """The trigrams of the index that begin with the two characters of ``word``; None where that is of no use.

    A text has the two characters in one of these, or at its end.
    """
    if len(word) != _TRIGRAM - 1:
        return None
    database.execute(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.part USING fts5vocab('main', 'doc_text', 'row')"
    )
    query = "SELECT term FROM temp.part WHERE term >= ? AND term <= ? LIMIT ?"
    found = [row[0] for row in database.execute(query, (word, f"{word}\U0010ffff", _MAX_PARTS + 1))]
    return found if len(found) <= _MAX_PARTS else None


def _worth(word: str, field: str, text: str) -> float:
    """More for a whole text than for a word of it, and for a word than for a part of one."""
    worth = float(_WORTH.get(field, 1))
    if text == word:
        return 4 * worth
    return worth * (2 if _is_word_of(word, text) else 1.2 if text.startswith(word) else 1)


def _is_word_of(word: str, text: str) -> bool:
    """Whether ``word`` is one of the words of a folded text; without taking all of them apart."""
    at = text.find(word)
    while at >= 0:
        before, after = text[at - 1 : at] if at else "", text[at + len(word) : at + len(word) + 1]
        if not (_LETTER.match(before) or _LETTER.match(after)):
            return bool(_WORD.fullmatch(word))
        at = text.find(word, at + 1)
    return False


def _like(database: sqlite3.Connection, word: str, likeness: float) -> list[str]:
    """Words of the keep that are like ``word``, the most alike first."""
    parts = {word[at : at + _TRIGRAM] for at in range(len(word) - _TRIGRAM + 1)}
    candidates: list[str] = []
    if parts:
        asked = " OR ".join('"' + part.replace('"', '""') + '"' for part in sorted(parts))
        query = "SELECT word FROM word_text WHERE word_text MATCH ? ORDER BY rank LIMIT ?"
        candidates += [row[0] for row in database.execute(query, (asked, _MAX_WORDS))]
    # A typo near the beginning of a short word leaves no trigram whole.
    query = "SELECT word FROM word WHERE length(word) BETWEEN ? AND ? AND instr(word, ?) LIMIT ?"
    for part in dict.fromkeys((word[:2], word[-2:])):
        bounds = (max(2, len(word) - 2), len(word) + 2, part, _MAX_WORDS)
        candidates += [row[0] for row in database.execute(query, bounds)]
    return difflib.get_close_matches(word, dict.fromkeys(candidates), n=5, cutoff=likeness)
