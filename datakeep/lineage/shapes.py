"""The shapes of paths, by which files are found by a part of their name: every number in them counts as 0.

A dataset has those of its files, a model those of what its trainings read without declaring it. They are few where
the files are many; what has a shape that fits is read through by whoever asks.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from datakeep.lineage import hashes
from datakeep.lineage.committed import folded

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from datakeep.lineage.index import Words

_NUMBER = re.compile("[0-9]+")
_TRIGRAM = 3
#: Shapes that are kept of one dataset or model, which may have any name if they are more; records that are read
#: through for an answer.
_MAX_SHAPES = 20_000
#: In the place of the others. So the list of one inventory ends, too, if it is not whole.
_ANY = ""
_MAX_RECORDS = 200
#: Before the name of a model; no dataset's name has a colon.
_MODEL = "model:"


def describe_files(database: sqlite3.Connection, dataset: str, counts: Words) -> None:
    """Renew the shapes of the paths of a dataset's files; their words are counted."""
    for text in _forget(database, dataset):
        counts.count(text, -1)
    query = "SELECT DISTINCT inventory FROM version WHERE dataset = ?"
    digests = [row[0] for row in database.execute(query, (dataset,))]
    for pattern in _kept(sorted(hashes.patterns(database, digests))):
        _add(database, dataset, folded(pattern))
        counts.count(folded(pattern), 1)


def describe_undeclared(database: sqlite3.Connection, model: str, records: Iterable[str | None]) -> None:
    """Renew those of what the trainings of a model read undeclared: of each file its folder and its name.

    Args:
        database: The index.
        model: The model's name.
        records: What its records say, as JSON; None of one that cannot be read.
    """
    _forget(database, _MODEL + model)
    found: dict[str, None] = {}
    for data in records:
        found.update(dict.fromkeys(_shape("/".join(path.split("/")[-2:])) for path in _undeclared(data)))
    for shape in _kept(list(found)):
        _add(database, _MODEL + model, shape)


def _kept(shapes: list[str]) -> list[str]:
    known = [shape for shape in shapes if shape != _ANY]
    is_whole = len(known) == len(shapes) <= _MAX_SHAPES
    return known if is_whole else [*known[:_MAX_SHAPES], _ANY]


def _undeclared(data: str | None) -> Iterator[str]:
    if data is None or '"undeclared":[{' not in data:
        return
    for one in json.loads(data)["undeclared"]:
        if isinstance(one, dict) and isinstance(path := one.get("path"), str):
            yield path


def _shape(text: str) -> str:
    return _NUMBER.sub("0", folded(text))


def _forget(database: sqlite3.Connection, name: str) -> list[str]:
    rows = database.execute("SELECT id, folded FROM shape WHERE name = ?", (name,)).fetchall()
    for number, _ in rows:
        database.execute("DELETE FROM shape_text WHERE rowid = ?", (number,))
    database.execute("DELETE FROM shape WHERE name = ?", (name,))
    return [text for _, text in rows]


def _add(database: sqlite3.Connection, name: str, text: str) -> None:
    made = database.execute("INSERT INTO shape (name, folded) VALUES (?, ?)", (name, text))
    database.execute("INSERT INTO shape_text (rowid, folded) VALUES (?, ?)", (made.lastrowid, text))


def with_files(database: sqlite3.Connection, word: str) -> list[str]:
    """The datasets whose files may have ``word`` (folded) in their paths: numbers there count as equal."""
    return [name for name in _with(database, word) if not name.startswith(_MODEL)]


def with_undeclared(database: sqlite3.Connection, word: str) -> list[str]:
    """The models whose trainings may have read a file of such a name undeclared."""
    part = word.rstrip("/").rpartition("/")[2]  # of the folders above, only the last is kept
    return [name.removeprefix(_MODEL) for name in _with(database, part) if name.startswith(_MODEL)]


def _with(database: sqlite3.Connection, word: str) -> list[str]:
    shape = _NUMBER.sub("0", word)
    if len(shape) >= _TRIGRAM:
        quoted = '"' + shape.replace('"', '""') + '"'
        query = (
            "SELECT DISTINCT name FROM shape_text JOIN shape ON shape.id = shape_text.rowid "
            "WHERE shape_text MATCH ? UNION SELECT name FROM shape WHERE folded = '' ORDER BY name"
        )
        return [row[0] for row in database.execute(query, (quoted,))]
    query = "SELECT DISTINCT name FROM shape WHERE instr(folded, ?) OR folded = '' ORDER BY name"
    return [row[0] for row in database.execute(query, (shape,))]


def undeclared_holding(
    database: sqlite3.Connection, model: str, words: Sequence[str]
) -> tuple[int, list[str]] | None:
    """The newest version of a model that read files undeclared whose paths hold all ``words``, and these paths.

    Number 0 is none; None says that there are older versions, which were not looked at.
    """
    query = "SELECT number, data FROM entry WHERE kind = 'model' AND name = ? ORDER BY number DESC LIMIT ?"
    for looked, (number, data) in enumerate(database.execute(query, (model, _MAX_RECORDS + 1))):
        if looked == _MAX_RECORDS:
            return None
        found = [path for path in _undeclared(data) if all(word in folded(path) for word in words)]
        if found:
            return number, found
    return 0, []
