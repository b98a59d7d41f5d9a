"""The graph of an answer as inline SVG: data on the left, what was made of it on the right."""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.exchange.answer import Model
from datakeep.exchange.layout import layered
from datakeep.exchange.markup import Markup, element

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datakeep.exchange.answer import Answer, Dataset, Edge

#: More nodes than this are no picture any more; the tables have them.
MOST_NODES = 300
#: Up to this width a picture may be shrunk to that of the page; a wider one would be too small to be read.
_FITS = 1800
_LETTER, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 8, 46, 150, 22, 12
_LONGEST = 34
#: For a reader that does not apply the page's style inside a picture.
_BARE_LINE = {"fill": "none", "stroke": "#808890"}
_BARE_TEXT = {"fill": "#4a5058", "text_anchor": "middle", "font_size": 13}
_HOW = {
    "read": "",
    "base": "base model",
    "left": "read a file of it",
    "derived": "derived",
    "same": "same bytes",
}


def graph(answer: Answer, anchors: Mapping[str, str]) -> Markup | None:
    """The picture; None where there are too many nodes for one.

    Args:
        answer: The answer.
        anchors: The id of each node's section in the page.
    """
    if len(answer.nodes) > MOST_NODES:
        return None
    nodes = {node.key: node for node in answer.nodes}
    layout = layered(list(nodes), [(edge.source, edge.target) for edge in answer.edges])
    places, width, height = _placed(layout.columns, nodes)
    lines = [
        _line(
            edge, [places[key] for key in (edge.source, *layout.bends[edge.source, edge.target], edge.target)]
        )
        for edge in answer.edges
        if (edge.source, edge.target) in layout.bends
    ]
    boxes = [_box(nodes[key], places[key], anchors[key], key == answer.subject) for key in nodes]
    arrow = element(
        "marker",
        element("path", d="M0,0 L8,4 L0,8 z", class_="arrow"),
        id="arrow",
        viewBox="0 0 8 8",
        refX=8,
        refY=4,
        markerWidth=8,
        markerHeight=8,
        orient="auto",
    )
    datasets, models = counted(len(answer.datasets), "dataset"), counted(len(answer.models), "model")
    named = f"{datasets} and {models}, and what went into what"
    return element(
        "svg",
        element("title", named),
        element("defs", arrow),
        *lines,
        *boxes,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        class_="graph fits" if width <= _FITS else "graph",
    )


def _placed(
    columns: Sequence[Sequence[str]], nodes: Mapping[str, Model | Dataset]
) -> tuple[dict[str, tuple[int, int, int]], int, int]:
    """Left, top and width of every box and bend; and the width and height of the whole."""
    tallest = max(sum(_high(key, nodes) for key in column) for column in columns)
    height = 2 * _MARGIN + tallest - _GAP_Y
    places: dict[str, tuple[int, int, int]] = {}
    left = _MARGIN
    for column in columns:
        width = max(_width(nodes[key]) if key in nodes else 0 for key in column)
        top = (height - sum(_high(key, nodes) for key in column) + _GAP_Y) // 2
        for key in column:
            # A bend is a line of the column's width; its place is such that the line's end is in its middle.
            places[key] = (left, top if key in nodes else top - _HEIGHT // 2, width)
            top += _high(key, nodes)
        left += width + _GAP_X
    return places, left - _GAP_X + _MARGIN, height


def _high(key: str, nodes: Mapping[str, Model | Dataset]) -> int:
    return _GAP_Y + (_HEIGHT if key in nodes else 0)


def _cells(text: str) -> int:
    """How many letters wide a text is; letters of East Asian scripts count as two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _words(node: Model | Dataset) -> tuple[str, str]:
    """The two lines of a box."""
    if isinstance(node, Model):
        record = node.record
        if record is None:
            return node.label, "model, no record"
        metrics = next(iter(record.metrics.items()), None)
        failed = "FAILED" if record.status == "failed" else ""
        return node.label, failed or (f"model, {metrics[0]} {metrics[1]}" if metrics else "model")
    if node.entry is None:
        return node.label, "dataset" if node.version is None else "dataset, no entry"
    return node.label, f"dataset, {node.proof_state}" if node.proof_state else "dataset"


def _width(node: Model | Dataset) -> int:
    return max(_cells(_cut(text)) for text in _words(node)) * _LETTER + 24


def _box(node: Model | Dataset, place: tuple[int, int, int], anchor: str, is_subject: bool) -> Markup:
    left, top, width = place
    name, under = _words(node)
    kind = "model" if isinstance(node, Model) else "dataset"
    lacking = (node.record if isinstance(node, Model) else node.entry) is None
    classes = f"node {kind}{' subject' if is_subject else ''}{' lacking' if lacking else ''}"
    radius = 22 if kind == "model" else 4
    middle = left + width // 2
    return element(
        "a",
        element("title", f"{kind} {name}: {under}"),
        element("rect", x=left, y=top, width=width, height=_HEIGHT, rx=radius, **_BARE_LINE),
        element("text", _cut(name), x=middle, y=top + 20, class_="name", **_BARE_TEXT),
        element("text", _cut(under), x=middle, y=top + 36, class_="under", **_BARE_TEXT),
        href=f"#{anchor}",
        class_=classes,
    )


def _line(edge: Edge, stops: Sequence[tuple[int, int, int]]) -> Markup:
    """The edge through all its stops: straight where it passes a column, bent between two of them."""
    points = [(left, top + _HEIGHT // 2, left + width) for left, top, width in stops]
    path = f"M{points[0][2]},{points[0][1]}"
    for number, (one, other) in enumerate(pairwise(points), start=2):
        x, y, to_x, to_y = one[2], one[1], other[0], other[1]
        last = number == len(points)
        bend = (to_x - x) // 2
        path += f" C{x + bend},{y} {to_x - bend},{to_y} {to_x - last},{to_y}"
        path += "" if last else f" L{other[2]},{to_y}"
    read = edge.given.files_read if edge.given else None
    shown = _HOW[edge.how] or (f"{read.count:,} read" if read else "")
    x, y = (points[0][2] + points[1][0]) // 2, (points[0][1] + points[1][1]) // 2 - 5
    return element(
        "g",
        element("title", f"{edge.source} → {edge.target}: {edge.note or _HOW[edge.how] or edge.how}"),
        element("path", d=path, class_=f"edge {edge.how}", marker_end="url(#arrow)", **_BARE_LINE),
        element("text", shown, x=x, y=y, class_="note", **_BARE_TEXT) if shown else None,
    )
