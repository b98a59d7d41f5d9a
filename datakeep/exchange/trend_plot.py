"""The plot of a trend: the metric against the versions, and against the size of the data; as SVG or PNG.

The SVG needs nothing, the PNG is matplotlib's. Both draw the same: a point for each version, a bar for the spread of
its runs, a dashed line for what a trivial model scores, and drops in red with their limit.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import ProgramMissing
from datakeep.core.sizes import size
from datakeep.exchange.markup import Markup, element, together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_WIDTH, _HEIGHT, _LEFT, _TOP, _PANEL, _GAP = 900, 420, 70, 56, 370, 60
_BOTTOM = 330
_TICKS = 5
#: More labels than this below a panel would lie on each other.
_MOST_LABELS = 14
_INK, _FAINT, _LINE, _BAD = "#1b1f24", "#57606a", "#0b5394", "#b3261e"


@dataclass(frozen=True, slots=True)
class Point:
    """One version that could be trained.

    Attributes:
        version: ``v3``.
        value: The metric.
        low: The lowest of its runs.
        high: The highest.
        size_bytes: Of the data.
        limit: What it must not be worse than, if there is anything to hold it against.
        is_drop: It is worse.
    """

    version: str
    value: float
    low: float
    high: float
    size_bytes: int
    limit: float | None
    is_drop: bool


@dataclass(frozen=True, slots=True)
class Plot:
    """What is drawn; ``failed`` are versions that have no point."""

    title: str
    metric: str
    points: tuple[Point, ...]
    baseline: float | None = None
    failed: tuple[str, ...] = ()

    def labels(self) -> dict[str, str]:
        """For each point its name in the panel of sizes; those that lie on each other share one, by the first."""
        together: dict[tuple[int, float], list[str]] = {}
        for point in self.points:
            together.setdefault((point.size_bytes, point.value), []).append(point.version)
        return {versions[0]: ", ".join(versions) for versions in together.values()}

    def bounds(self) -> tuple[float, float]:
        """The lowest and highest value on the metric's axis, with some room."""
        values = [one for point in self.points for one in (point.low, point.high)]
        values += [point.limit for point in self.points if point.is_drop and point.limit is not None]
        values += [self.baseline] if self.baseline is not None else []
        room = (max(values) - min(values)) * 0.08 or abs(max(values)) * 0.05 or 1.0
        return min(values) - room, max(values) + room


# ---- SVG


def svg(plot: Plot) -> str:
    """The plot as an SVG file."""
    low, high = plot.bounds()

    def y(value: float) -> float:
        return round(_BOTTOM - (value - low) / (high - low) * (_BOTTOM - _TOP), 1)

    count = len(plot.points)
    step = _PANEL / max(count, 1)
    by_version = [_LEFT + step * (place + 0.5) for place in range(count)]
    largest = max((point.size_bytes for point in plot.points), default=0) or 1
    second = _LEFT + _PANEL + _GAP
    by_size = [second + 12 + point.size_bytes / largest * (_PANEL - 24) for point in plot.points]
    every = -(-count // _MOST_LABELS)
    under = [
        _text(point.version, x, _BOTTOM + 20, size_px=12)
        for place, (point, x) in enumerate(zip(plot.points, by_version, strict=True))
        if place % every == 0 or point.is_drop
    ]
    sizes = [(second + 12 + share * (_PANEL - 24), size(round(largest * share))) for share in (0.0, 0.5, 1.0)]
    lacking = f"not trained: {', '.join(plot.failed)}" if plot.failed else None
    drawn = together(
        element("rect", width=_WIDTH, height=_HEIGHT, fill="#ffffff"),
        _text(plot.title, _LEFT, 26, anchor="start", size_px=16, weight="bold"),
        *_grid(y, low, high, second),
        _text("version", _LEFT + _PANEL / 2, _BOTTOM + 44),
        _text("size of the data", second + _PANEL / 2, _BOTTOM + 44),
        *under,
        *(_text(label, x, _BOTTOM + 20, size_px=12) for x, label in sizes),
        *_trivial(plot, y, second),
        _polyline(plot.points, by_version, y),
        *(_marks(point, x, y, None) for point, x in zip(plot.points, by_version, strict=True)),
        *(
            _marks(point, x, y, plot.labels().get(point.version, ""))
            for point, x in zip(plot.points, by_size, strict=True)
        ),
        _text(lacking, _LEFT, _HEIGHT - 14, anchor="start", fill=_BAD, size_px=12) if lacking else None,
    )
    root = element(
        "svg",
        element("title", plot.title),
        drawn,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        font_family="DejaVu Sans, Noto Sans, Helvetica, Arial, sans-serif",
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- datakeep trend -->\n{root}\n'


def _text(
    text: str,
    x: float,
    y: float,
    *,
    anchor: str = "middle",
    fill: str = _INK,
    size_px: int = 13,
    weight: str | None = None,
) -> Markup:
    return element(
        "text",
        text,
        x=round(x, 1),
        y=round(y, 1),
        text_anchor=anchor,
        fill=fill,
        font_size=size_px,
        font_weight=weight,
    )


def _grid(y: Callable[[float], float], low: float, high: float, second: float) -> list[Markup]:
    """Lines at round values through both panels, with their numbers on the left."""
    drawn = []
    for tick in _ticks(low, high):
        drawn += [_straight(left, y(tick), left + _PANEL, y(tick), "#e4e8ec") for left in (_LEFT, second)]
        drawn.append(_text(f"{tick:g}", _LEFT - 8, y(tick) + 4, anchor="end", fill=_FAINT, size_px=12))
    for left in (_LEFT, second):
        drawn += [
            _straight(left, _BOTTOM, left + _PANEL, _BOTTOM, _FAINT),
            _straight(left, _TOP, left, _BOTTOM, _FAINT),
        ]
    return drawn


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers between two."""
    raw = (high - low) / _TICKS
    power = 10.0 ** _exponent(raw)
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = -(-low // step)
    return [
        round((first + place) * step, 12) for place in range(_TICKS * 3) if (first + place) * step <= high
    ]


def _exponent(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])


def _straight(x: float, y: float, to_x: float, to_y: float, stroke: str, dash: str | None = None) -> Markup:
    places = [round(one, 1) for one in (x, y, to_x, to_y)]
    return element(
        "line",
        **dict(zip(("x1", "y1", "x2", "y2"), places, strict=True)),
        stroke=stroke,
        stroke_dasharray=dash,
    )


def _trivial(plot: Plot, y: Callable[[float], float], second: float) -> list[Markup]:
    if plot.baseline is None:
        return []
    at = y(plot.baseline)
    lines = [_straight(left, at, left + _PANEL, at, _FAINT, "6 4") for left in (_LEFT, second)]
    label = _text("trivial model", second + _PANEL - 4, at - 5, anchor="end", fill=_FAINT, size_px=11)
    return [*lines, label]


def _polyline(points: Sequence[Point], places: Sequence[float], y: Callable[[float], float]) -> Markup:
    line = " ".join(f"{x:.1f},{y(point.value)}" for point, x in zip(points, places, strict=True))
    return element("polyline", points=line, fill="none", stroke=_LINE, stroke_width=1.5)


def _marks(point: Point, x: float, y: Callable[[float], float], label: str | None) -> Markup:
    """The point and its runs; where it is a drop, that and its limit. ``label`` is its name among the sizes."""
    color = _BAD if point.is_drop else _LINE
    drawn = [_straight(x, y(point.low), x, y(point.high), color)] if point.low != point.high else []
    drawn.append(element("circle", cx=round(x, 1), cy=y(point.value), r=5, fill=color))
    value = f"{point.value:.5g}"
    if point.is_drop and label is None:
        if point.limit is not None:
            drawn.append(_straight(x - 16, y(point.limit), x + 16, y(point.limit), _BAD, "3 2"))
        drawn.append(_text(f"DROP {value}", x, y(point.value) + 20, fill=_BAD, size_px=12))
    elif point.is_drop:
        at, anchor = (x - 9, "end") if x > _WIDTH - 160 else (x + 9, "start")
        drawn.append(
            _text(f"{label} DROP {value}", at, y(point.value) + 4, anchor=anchor, fill=_BAD, size_px=12)
        )
    elif label:
        drawn.append(_text(label, x, y(point.value) - 9, fill=_FAINT, size_px=11))
    return element("g", element("title", f"{point.version}: {value}, {size(point.size_bytes)}"), *drawn)


# ---- PNG


def png(plot: Plot) -> bytes:
    """The plot as a PNG file.

    Raises:
        ProgramMissing: matplotlib is not installed.
    """
    figure = _figure((_WIDTH / 100, _HEIGHT / 100))
    by_version, by_size = figure.subplots(1, 2, sharey=True)
    places = list(range(len(plot.points)))
    values = [point.value for point in plot.points]
    by_version.plot(places, values, color=_LINE, linewidth=1.5, zorder=1)
    for axes, xs in ((by_version, places), (by_size, [point.size_bytes for point in plot.points])):
        for x, point in zip(xs, plot.points, strict=True):
            color = _BAD if point.is_drop else _LINE
            error = [[point.value - point.low], [point.high - point.value]]
            axes.errorbar([x], [point.value], yerr=error, fmt="o", color=color, zorder=2)
            label = plot.labels().get(point.version, "") if axes is by_size else ""
            said = f"{label} DROP {point.value:.5g}".strip() if point.is_drop else label
            place = {
                "textcoords": "offset points",
                "xytext": (0, -18 if point.is_drop else 8),
                "ha": "center",
            }
            if point.is_drop and axes is by_version and point.limit is not None:
                axes.plot([x - 0.15, x + 0.15], [point.limit] * 2, color=_BAD, linestyle="--", linewidth=1)
            axes.annotate(said, (x, point.value), color=color, fontsize=8, **place)
        if plot.baseline is not None:
            axes.axhline(plot.baseline, color=_FAINT, linestyle="--", linewidth=1)
        axes.grid(visible=True, axis="y", alpha=0.3)
        axes.set_ylim(*plot.bounds())
        axes.margins(x=0.2)
    every = -(-len(places) // _MOST_LABELS)
    by_version.set_xticks(places[::every], [point.version for point in plot.points][::every])
    by_version.set_xlabel("version")
    by_version.set_ylabel(_plain(plot.metric))
    by_size.xaxis.set_major_formatter(lambda value, _: size(round(value)))
    by_size.tick_params(axis="x", labelsize=8)
    by_size.set_xlabel("size of the data")
    figure.suptitle(_plain(plot.title), fontsize=12)
    if plot.failed:
        figure.text(0.02, 0.01, f"not trained: {', '.join(plot.failed)}", color=_BAD, fontsize=8)
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=150, metadata={"Software": "datakeep"})
    return target.getvalue()


def require_png() -> None:
    """Whether a PNG can be drawn, before the work for it is done; error as :func:`png`."""
    _figure((1, 1))


def _figure(inches: tuple[float, float]) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ProgramMissing(
            "a PNG is drawn by matplotlib, which is not installed here",
            next_step="pip install 'datakeep[plot]', or --plot FILE.svg, which needs nothing",
        ) from error
    return Figure(figsize=inches, layout="constrained")


def _plain(text: str) -> str:
    """Without the sign that begins a formula in matplotlib."""
    return text.replace("$", r"\$")
