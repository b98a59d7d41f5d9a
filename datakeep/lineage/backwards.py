"""From data to models: every model that a dataset went into, directly, through base models, through derived data.

Each is reached by its shortest way. Where a record on a possible way is missing or broken, that is part of the
answer: whether the way leads here is then not known, which is not "no".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.lineage import same_bytes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

#: More open ends than this are counted, not named.
_MAX_OPEN = 1000


@dataclass(frozen=True, slots=True)
class Node:
    """A version of a dataset or of a model; ``number`` 0 means whichever version."""

    kind: str
    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}@v{self.number}" if self.number else self.name


@dataclass(frozen=True, slots=True)
class Way:
    """How a model or derived dataset was reached: the versions on the way, from the asked one to its end."""

    nodes: tuple[Node, ...]

    @property
    def end(self) -> Node:
        """What was reached."""
        return self.nodes[-1]


@dataclass(frozen=True, slots=True)
class Reached:
    """All that a dataset went into.

    Attributes:
        ways: To every model and every derived dataset, each once.
        open: What could lead further and does not, because a record is missing or broken: one line each.
    """

    ways: tuple[Way, ...]
    open: tuple[str, ...]


def reached(database: sqlite3.Connection, dataset: str, number: int | None) -> Reached:
    """What a version of a dataset, or any version of it, went into.

    Args:
        database: The index.
        dataset: Its name.
        number: Of the version; None for all.
    """
    ways: dict[Node, Way] = {}
    start = Node("dataset", dataset, number or 0)
    waiting = deque([Way((start,))])
    while waiting:
        way = waiting.popleft()
        for node in _from(database, way.end, is_start=len(way.nodes) == 1):
            if node not in ways and node != start and not (number is None and _is_same(node, start)):
                ways[node] = Way((*way.nodes, node))
                waiting.append(ways[node])
    found = sorted(ways.values(), key=lambda way: (way.end.kind, way.end.name, way.end.number))
    return Reached(tuple(found), tuple(_open(database, ways)))


def _is_same(one: Node, other: Node) -> bool:
    return (one.kind, one.name) == (other.kind, other.name)


def _from(database: sqlite3.Connection, node: Node, *, is_start: bool) -> Iterator[Node]:
    """What was made of ``node`` in one step; a reference without a version may mean any."""
    hows = ("input", "undeclared", "parent") if node.kind == "dataset" else ("base",)
    for name in (node.name, *(_aliases(database, node.name) if node.kind == "dataset" else ())):
        for how in hows:
            query = (
                "SELECT e.kind, e.name, e.number FROM leads l JOIN entry e ON e.path = l.path "
                "WHERE l.how = ? AND l.name = ?"
            )
            given: tuple[object, ...] = (how, name)
            if node.number or not is_start:
                query += " AND l.number IN (?, 0)"
                given = (*given, node.number)
            yield from (Node(*row) for row in database.execute(f"{query} ORDER BY e.name, e.number", given))
    if node.kind == "dataset" and (node.number or is_start):
        for one in same_bytes.of_dataset(database, node.name, node.number or None):
            model, _, version = one.model.partition("@v")
            yield Node("model", model, int(version))


def _aliases(database: sqlite3.Connection, dataset: str) -> list[str]:
    query = "SELECT text FROM doc WHERE kind = 'dataset' AND name = ? AND field = 'alias'"
    return [row[0] for row in database.execute(query, (dataset,))]


def _open(database: sqlite3.Connection, reached_already: Iterable[Node]) -> Iterator[str]:
    """Models and datasets made of something that the keep has no readable record of."""
    known = set(reached_already)
    whats = {
        "base": ("model", "the base model"),
        "input": ("dataset", "the dataset"),
        "undeclared": ("dataset", "undeclared files of the dataset"),
        "parent": ("dataset", "the parent"),
    }
    for how, (kind, what) in whats.items():
        query = (
            "SELECT e.kind, e.name, e.number, l.name, l.number FROM lost l JOIN entry e ON e.path = l.path "
            "WHERE l.how = ? ORDER BY e.name, e.number LIMIT ?"
        )
        for of_kind, name, number, missing, missing_number in database.execute(query, (how, _MAX_OPEN)):
            node = Node(of_kind, name, number)
            if node in known or "://" in missing or missing.startswith("external:") or missing == "unknown":
                continue
            lost = Node(kind, missing, missing_number)
            yield f"{of_kind} {node} was made of {what} {lost}, whose record is missing or broken"
