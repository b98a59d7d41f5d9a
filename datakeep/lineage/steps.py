"""One step on the way from data to models: everything that leads from one version to another, in both directions.

All answers take their steps from here, so that none of them knows of a way that another does not:

- ``read``: a training read a version, as it was given or in a checkout; ``copied``: it read a file's bytes elsewhere;
- ``derived``: a version was derived from it; ``base``: a model was made of another model;
  ``named``: so it was said, and no file of it was read;
- ``left``: a training read a file that another one left; ``holds``: a version has files that a training had left;
- ``shares``: another version has a file with the same bytes; ``unsure``: which of its files were read is not known;
- ``same``: the other version has the same bytes, or the other record the same model's file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from datakeep.lineage import same_bytes
from datakeep.lineage.evidence import Means

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

How = Literal["read", "copied", "derived", "base", "named", "left", "holds", "same", "shares", "unsure"]
_LEADS: dict[str, How] = {
    "input": "read",
    "undeclared": "read",
    "parent": "derived",
    "base": "base",
    "named": "named",
    "left": "holds",
}
_MODEL_PATH = re.compile(r"models/(?P<name>[^/]+)/v(?P<number>\d+)\.yaml")
#: Readers of files that others left. What was registered before it was left is data, of which a training left a copy;
#: what was registered afterwards is still what it left. Times are whole seconds: of equal ones the registration came
#: after, since a dataset that a training copies was there before it began.
_LEFT = (
    "FROM artifact a JOIN undeclared u ON u.sha256 = a.sha256 AND u.path != a.path "
    "WHERE a.means > 0 AND NOT EXISTS (SELECT 1 FROM same s JOIN inventory i ON i.number = s.inventory "
    "JOIN version v ON v.inventory = i.digest WHERE s.sha256 = a.sha256 "
    "AND coalesce(v.registered_s < a.recorded_s, 1))"
)
_SAME_FILE = (
    "FROM artifact a JOIN artifact b ON b.sha256 = a.sha256 AND b.path != a.path "
    f"WHERE a.means = {int(Means.MODEL)} AND b.means = {int(Means.MODEL)}"
)


class Node(NamedTuple):
    """A version of a dataset or of a model; ``number`` 0 means whichever version."""

    kind: str
    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}@v{self.number}" if self.number else self.name

    @property
    def path(self) -> str:
        """Where the keep has its entry or record."""
        folder = "register" if self.kind == "dataset" else "models"
        return f"{folder}/{self.name}/v{self.number}.yaml"


class Left(NamedTuple):
    """That a model's training read a file of another's record: where it lay, and whether it is the model itself."""

    maker: Node
    at: str
    is_model: bool


def onward(database: sqlite3.Connection, node: Node, *, is_start: bool = False) -> Iterator[tuple[Node, How]]:
    """What was made of ``node`` in one step; a reference without a version may mean any.

    Args:
        database: The index; the bytes of undeclared files were looked for in it.
        node: From where.
        is_start: Number 0 is all versions; elsewhere it is one of which no more is known.
    """
    yield from _named(database, node, is_start=is_start)
    if node.kind == "dataset":
        if node.number or is_start:
            yield from _copied(database, node)
        yield from ((one, "same") for one in equals(database, node))
    else:
        query = f"SELECT DISTINCT u.path {_LEFT} AND a.path = ? ORDER BY u.path"
        yield from ((model_at(row[0]), "left") for row in database.execute(query, (node.path,)))
        yield from ((one, "same") for one in same_file(database, node))


def _named(database: sqlite3.Connection, node: Node, *, is_start: bool) -> Iterator[tuple[Node, How]]:
    hows = ("input", "undeclared", "parent") if node.kind == "dataset" else ("base", "named", "left")
    for name in (node.name, *(aliases(database, node.name) if node.kind == "dataset" else ())):
        for how in hows:
            query = (
                "SELECT e.kind, e.name, e.number FROM leads l JOIN entry e ON e.path = l.path "
                "WHERE l.how = ? AND l.name = ?"
            )
            given: tuple[object, ...] = (how, name)
            if node.number or not is_start:
                query += " AND l.number IN (?, 0)"
                given = (*given, node.number)
            for row in database.execute(f"{query} ORDER BY e.name, e.number", given):
                yield Node(*row), _LEADS[how]


def _copied(database: sqlite3.Connection, node: Node) -> Iterator[tuple[Node, How]]:
    found = same_bytes.of_dataset(database, node.name, node.number or None)
    for model in dict.fromkeys(one.model for one in found):
        name, _, version = model.partition("@v")
        yield Node("model", name, int(version)), "copied"


def aliases(database: sqlite3.Connection, dataset: str) -> list[str]:
    """The earlier names of a dataset."""
    query = "SELECT text FROM doc WHERE kind = 'dataset' AND name = ? AND field = 'alias'"
    return [row[0] for row in database.execute(query, (dataset,))]


def equals(database: sqlite3.Connection, node: Node) -> Iterator[Node]:
    """Versions with the very same bytes as a version of a dataset; of all its versions, those of other datasets."""
    query = (
        "SELECT DISTINCT o.dataset, o.number FROM version v JOIN version o ON o.content = v.content "
        "WHERE v.dataset = ? AND v.files > 0 AND "
    )
    only = "v.number = ? AND (o.dataset != v.dataset OR o.number != v.number)"
    given: tuple[object, ...] = (node.name, node.number)
    if not node.number:
        only, given = "o.dataset != v.dataset", (node.name,)
    for dataset, number in database.execute(f"{query}{only} ORDER BY o.dataset, o.number", given):
        yield Node("dataset", dataset, number)


def same_file(database: sqlite3.Connection, node: Node) -> list[Node]:
    """Other records of the model's file."""
    query = f"SELECT DISTINCT b.path {_SAME_FILE} AND a.path = ? ORDER BY b.path"
    return [model_at(row[0]) for row in database.execute(query, (node.path,))]


def left_to(database: sqlite3.Connection, node: Node) -> list[Left]:
    """Whose files the training of a model read without declaring them, of all records that have them."""
    query = f"SELECT DISTINCT a.path, u.at, a.means {_LEFT} AND u.path = ? ORDER BY u.at, a.path"
    rows = database.execute(query, (node.path,))
    return [Left(model_at(path), at, means == Means.MODEL) for path, at, means in rows]


def all_left(database: sqlite3.Connection) -> dict[str, set[str]]:
    """For each model (``churn@v7``) those whose files its training read; of all models."""
    found: dict[str, set[str]] = {}
    for reader, maker in database.execute(f"SELECT DISTINCT u.path, a.path {_LEFT}"):
        found.setdefault(str(model_at(reader)), set()).add(str(model_at(maker)))
    return found


def all_same_files(database: sqlite3.Connection) -> dict[str, set[str]]:
    """For each model those whose records have the same model's file; of all models."""
    found: dict[str, set[str]] = {}
    for one, other in database.execute(f"SELECT DISTINCT a.path, b.path {_SAME_FILE}"):
        found.setdefault(str(model_at(one)), set()).add(str(model_at(other)))
    return found


def model_at(path: str) -> Node:
    """The model whose record lies at ``path``."""
    found = _MODEL_PATH.fullmatch(path)
    return Node("model", found["name"], int(found["number"])) if found else Node("model", path, 0)
