"""Where the nodes of a graph stand: in columns, each to the right of all that went into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of keys, from left to right, each from top to bottom."""

    columns: tuple[tuple[str, ...], ...]


def layered(keys: Sequence[str], edges: Sequence[tuple[str, str]]) -> Layout:
    """The column of a node is the length of the longest way to it; neighbours stand near each other.

    Edges that lead back (a record that names itself) are passed over, so that every graph can be drawn.

    Args:
        keys: All nodes.
        edges: From what was used to what was made of it.
    """
    forward = _without_cycles(keys, edges)
    into: dict[str, list[str]] = {key: [] for key in keys}
    out: dict[str, list[str]] = {key: [] for key in keys}
    for source, target in forward:
        into[target].append(source)
        out[source].append(target)
    rank = _ranks(keys, into)
    columns: list[list[str]] = [[] for _ in range(max(rank.values(), default=0) + 1)]
    for key in keys:
        columns[rank[key]].append(key)
    for sweep in range(_SWEEPS):
        _order(columns if sweep % 2 == 0 else columns[::-1], into if sweep % 2 == 0 else out)
    return Layout(tuple(map(tuple, columns)))


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
