"""The graph of an answer as inline SVG: data on the left, what was made of it on the right."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from datakeep.exchange.answer import Model
from datakeep.exchange.layout import layered
from datakeep.exchange.markup import Markup, element

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datakeep.exchange.answer import Answer, Dataset, Edge

#: More nodes than this are no picture any more; the tables have them.
MOST_NODES = 300
_LETTER, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 8, 46, 150, 22, 12
_LONGEST = 34
_HOW = {"read": "", "base": "base model", "derived": "derived"}


def graph(answer: Answer, anchors: Mapping[str, str]) -> Markup | None:
    """The picture; None where there are too many nodes for one.

    Args:
        answer: The answer.
        anchors: The id of each node's section in the page.
    """
    if len(answer.nodes) > MOST_NODES:
        return None
    nodes = {node.key: node for node in answer.nodes}
    columns = layered(list(nodes), [(edge.source, edge.target) for edge in answer.edges]).columns
    widths = [max(_width(nodes[key]) for key in column) for column in columns]
    tallest = max(len(column) for column in columns)
    height = 2 * _MARGIN + tallest * (_HEIGHT + _GAP_Y) - _GAP_Y
    places: dict[str, tuple[int, int, int]] = {}
    left = _MARGIN
    for column, width in zip(columns, widths, strict=True):
        top = (height - len(column) * (_HEIGHT + _GAP_Y) + _GAP_Y) // 2
        for row, key in enumerate(column):
            places[key] = (left, top + row * (_HEIGHT + _GAP_Y), width)
        left += width + _GAP_X
    width = left - _GAP_X + _MARGIN
    lines = [_line(edge, places) for edge in answer.edges if {edge.source, edge.target} <= places.keys()]
    boxes = [_box(nodes[key], places[key], anchors[key], key == answer.subject) for key in places]
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
    named = f"{len(answer.datasets)} datasets and {len(answer.models)} models, and what went into what"
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
        class_="graph",
    )


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
        element("rect", x=left, y=top, width=width, height=_HEIGHT, rx=radius),
        element("text", _cut(name), x=middle, y=top + 20, class_="name"),
        element("text", _cut(under), x=middle, y=top + 36, class_="under"),
        href=f"#{anchor}",
        class_=classes,
    )


def _line(edge: Edge, places: Mapping[str, tuple[int, int, int]]) -> Markup:
    left, top, width = places[edge.source]
    end, end_top, _ = places[edge.target]
    x, y, to_x, to_y = left + width, top + _HEIGHT // 2, end - 1, end_top + _HEIGHT // 2
    bend = max(abs(to_x - x) // 2, 30)
    path = f"M{x},{y} C{x + bend},{y} {to_x - bend},{to_y} {to_x},{to_y}"
    read = edge.given.files_read if edge.given else None
    shown = _HOW[edge.how] or (f"{read.count:,} read" if read else "")
    return element(
        "g",
        element("title", f"{edge.source} → {edge.target}: {edge.note or _HOW[edge.how]}"),
        element("path", d=path, class_=f"edge {edge.how}", marker_end="url(#arrow)"),
        element("text", shown, x=(x + to_x) // 2, y=(y + to_y) // 2 - 5, class_="note") if shown else None,
    )
