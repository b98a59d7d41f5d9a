"""From data to models: every model that a dataset went into, and each way there.

Ways are put together of the steps of :mod:`datakeep.lineage.steps`, the surest way to each end, and of these the
shortest. Where a record on a possible way is missing or broken, that is part of the answer: whether the way leads
here is then not known, which is not "no".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.lineage.steps import How, Node, equals, onward

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Node", "Reached", "Way", "begin", "further", "reached"]
#: More open ends than this are counted, not named.
_MAX_OPEN = 1000
_DOUBTFUL: frozenset[How] = frozenset({"holds", "shares", "unsure", "named"})
_REMARKS: Mapping[How, str] = {
    "left": " (read a file that it left)",
    "holds": " (has files that it left)",
    "shares": " (has files of the same bytes)",
    "unsure": " (which files of it were read is not known)",
    "named": " (named it as its base, and read no file of it)",
}


@dataclass(frozen=True, slots=True)
class Way:
    """How a model or derived dataset was reached: the versions on the way, from the asked one to its end.

    ``hows`` says of each step what it is; there is one less of them than of ``nodes``.
    """

    nodes: tuple[Node, ...]
    hows: tuple[How, ...] = ()

    @property
    def end(self) -> Node:
        """What was reached."""
        return self.nodes[-1]

    @property
    def is_doubtful(self) -> bool:
        """Whether some step of it may not have been one for the files that are asked about."""
        return not _DOUBTFUL.isdisjoint(self.hows)

    def then(self, node: Node, how: How) -> Way:
        """One step longer."""
        return Way((*self.nodes, node), (*self.hows, how))

    def __str__(self) -> str:
        text = str(self.nodes[0])
        for node, how in zip(self.nodes[1:], self.hows, strict=True):
            text += f"{' = ' if how == 'same' else ' → '}{node}"
            text += _REMARKS.get(how, "")
        return text


@dataclass(frozen=True, slots=True)
class Reached:
    """All that a dataset went into.

    Attributes:
        direct: To the models that read it, under this name or with the same bytes under another one.
        ways: To all else: models that it reached through others, and derived datasets. A model that read it may
            have been reached through others as well.
        open: What could lead further and does not, because a record is missing or broken: one line each.
    """

    direct: tuple[Way, ...]
    ways: tuple[Way, ...]
    open: tuple[str, ...]


def reached(database: sqlite3.Connection, dataset: str, number: int | None) -> Reached:
    """What a version of a dataset, or any version of it, went into.

    Args:
        database: The index.
        dataset: Its name.
        number: Of the version; None for all.
    """
    first = begin(database, Node("dataset", dataset, number or 0))
    found = further(database, first.values())
    direct = [way for way in first.values() if way.end.kind == "model"]
    derived = {node: way for node, way in first.items() if node.kind == "dataset"}
    ways = _sorted((found | derived).values())
    return Reached(_sorted(direct), ways, tuple(open_ends(database, {*first, *found})))


def begin(database: sqlite3.Connection, start: Node) -> dict[Node, Way]:
    """The first steps from a version, and from all that have the same bytes: to readers and derived datasets."""
    begun: dict[Node, Way] = {}
    starts = [Way((start,)), *(_equal(database, start))]
    for way in starts:
        for node, how in onward(database, way.end, is_start=way.end == start):
            if how != "same" and not _is_same(node, start):
                begun.setdefault(node, way.then(node, how))
    return begun


def _equal(database: sqlite3.Connection, start: Node) -> Iterator[Way]:
    for node in equals(database, start):
        yield Way((start,)).then(node, "same")


def further(database: sqlite3.Connection, begun: Iterable[Way]) -> dict[Node, Way]:
    """The best way to all that went on from the ends of ``begun``; those ends too, where one leads to another.

    A way without doubt is better than a shorter one with: else what may have been would hide what was.
    """
    found: dict[Node, Way] = {}
    done: set[Node] = set()
    order = itertools.count()
    waiting = [(way.is_doubtful, len(way.nodes), next(order), way, True) for way in begun]
    heapify(waiting)
    while waiting:
        *_, way, is_first = heappop(waiting)
        if not is_first:
            found.setdefault(way.end, way)
        if way.end in done:
            continue
        done.add(way.end)
        for node, how in onward(database, way.end):
            if node not in way.nodes and not _is_same(node, way.nodes[0]):
                longer = way.then(node, how)
                heappush(waiting, (longer.is_doubtful, len(longer.nodes), next(order), longer, False))
    return found


def _is_same(node: Node, start: Node) -> bool:
    """Of a dataset that was asked about as a whole, every version is the start."""
    return node == start or (not start.number and node[:2] == start[:2])


def _sorted(ways: Iterable[Way]) -> tuple[Way, ...]:
    return tuple(sorted(ways, key=lambda way: way.end))


def open_ends(database: sqlite3.Connection, reached_already: Iterable[Node]) -> Iterator[str]:
    """Models and datasets made of something that the keep has no readable record of."""
    known = set(reached_already)
    count = 0
    whats: Mapping[str, tuple[str, str]] = {
        "base": ("model", "the base model"),
        "named": ("model", "the base model"),
        "input": ("dataset", "the dataset"),
        "undeclared": ("dataset", "undeclared files of the dataset"),
        "parent": ("dataset", "the parent"),
        "left": ("model", "files that were left by the model"),
    }
    for how, (kind, what) in whats.items():
        query = (
            "SELECT e.kind, e.name, e.number, l.name, l.number FROM lost l JOIN entry e ON e.path = l.path "
            "WHERE l.how = ? ORDER BY e.name, e.number"
        )
        for of_kind, name, number, missing, missing_number in database.execute(query, (how,)):
            node = Node(of_kind, name, number)
            if node in known or "://" in missing or missing.startswith("external:") or missing == "unknown":
                continue
            count += 1
            if count <= _MAX_OPEN:
                lost = Node(kind, missing, missing_number)
                yield f"{of_kind} {node} was made of {what} {lost}, whose record is missing or broken"
    if count > _MAX_OPEN:
        yield f"{counted(count - _MAX_OPEN, 'more record')} of what models and datasets were made of, likewise"
