"""Where the nodes of a graph stand: in columns, each to the right of all that went into it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of keys, from left to right, each from top to bottom.

    Attributes:
        columns: Nodes, and the bends of edges that pass a column.
        bends: Of each edge that is drawn, the keys that it passes on its way, one in each column between its ends.
    """

    columns: tuple[tuple[str, ...], ...]
    bends: Mapping[tuple[str, str], tuple[str, ...]]


def layered(keys: Sequence[str], edges: Sequence[tuple[str, str]]) -> Layout:
    """The column of a node is the length of the longest way to it; neighbours stand near each other.

    Edges that lead back (a record that names itself) are passed over, so that every graph can be drawn.

    Args:
        keys: All nodes.
        edges: From what was used to what was made of it.
    """
    forward = _without_cycles(keys, edges)
    into: dict[str, list[str]] = {key: [] for key in keys}
    for source, target in forward:
        into[target].append(source)
    rank = _ranks(keys, into)
    columns: list[list[str]] = [[] for _ in range(max(rank.values(), default=0) + 1)]
    for key in keys:
        columns[rank[key]].append(key)
    bends = {edge: _bent(number, edge, rank, columns) for number, edge in enumerate(forward)}
    steps = [step for edge, passed in bends.items() for step in pairwise((edge[0], *passed, edge[1]))]
    before: dict[str, list[str]] = {key: [] for column in columns for key in column}
    after: dict[str, list[str]] = {key: [] for key in before}
    for source, target in steps:
        before[target].append(source)
        after[source].append(target)
    for sweep in range(_SWEEPS):
        _order(columns if sweep % 2 == 0 else columns[::-1], before if sweep % 2 == 0 else after)
    return Layout(tuple(map(tuple, columns)), bends)


def _bent(
    number: int, edge: tuple[str, str], rank: Mapping[str, int], columns: list[list[str]]
) -> tuple[str, ...]:
    """A place for the edge in each column that it passes, so that it leads round the nodes there."""
    passed = range(rank[edge[0]] + 1, rank[edge[1]])
    made = tuple(f"bend {number} {column}" for column in passed)
    for column, key in zip(passed, made, strict=True):
        columns[column].append(key)
    return made


def _without_cycles(keys: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The edges but those that close a circle, found by walking in depth without recursion."""
    known = set(keys)
    out: dict[str, list[str]] = {key: [] for key in keys}
    for source, target in dict.fromkeys(edges):
        if source in known and target in known and source != target:
            out[source].append(target)
    kept: list[tuple[str, str]] = []
    done: set[str] = set()
    for start in keys:
        if start in done:
            continue
        on_way, stack = {start}, [(start, iter(out[start]))]
        while stack:
            key, rest = stack[-1]
            target = next(rest, "")
            if not target:
                stack.pop()
                on_way.discard(key)
                done.add(key)
            elif target not in on_way:
                kept.append((key, target))
                if target not in done:
                    on_way.add(target)
                    stack.append((target, iter(out[target])))
    return kept


def _ranks(keys: Sequence[str], into: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The longest way to each node."""
    rank: dict[str, int] = {}
    for start in keys:
        stack = [start]
        while stack:
            key = stack[-1]
            waiting = [source for source in into[key] if source not in rank]
            if waiting:
                stack += waiting
            else:
                rank[key] = max((rank[source] + 1 for source in into[key]), default=0)
                stack.pop()
    return rank


def _order(columns: Sequence[list[str]], neighbours: Mapping[str, Sequence[str]]) -> None:
    """Each column by the middle of its neighbours' places in the columns before it."""
    place: dict[str, float] = {}
    for column in columns:
        own = {key: float(index) for index, key in enumerate(column)}

        def middle(key: str, own: Mapping[str, float] = own) -> float:
            known = [place[one] for one in neighbours[key] if one in place]
            return sum(known) / len(known) if known else own[key]

        column.sort(key=middle)
        place.update({key: float(index) for index, key in enumerate(column)})
