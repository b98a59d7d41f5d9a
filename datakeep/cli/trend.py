"""``datakeep trend``."""

from __future__ import annotations

import shutil
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_NO
from datakeep.cli.clean_room import clean_room_options, settings_of
from datakeep.cli.rendering import some
from datakeep.cli.session import Answer, Session, command, size, table
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.exchange.trend_plot import Plot
    from datakeep.workflows.trend import Row, Trend
    from datakeep.workflows.trend_changes import Changed

_SUFFIXES = (".svg", ".png")


@command(name="trend")
@click.argument("name", metavar="NAME[@V]")
@click.option(
    "--metric", help="What is compared; by default the manifest's metric, else the first expected one."
)
@click.option(
    "--versions", metavar="v1,v3..v5", help="Look at these versions only; v3.. is v3 and all later ones."
)
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    help="Train each version so often; by default once, and the newest three times, to see the noise.",
)
@click.option(
    "--lower-is-better / --higher-is-better", default=None, help="Overrule what the metric's name says."
)
@click.option(
    "--margin", metavar="NUMBER", help="Never flag a drop that is smaller; by default the tolerance or 1 %."
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE.svg|FILE.png",
    help="Draw the metric against version and size; a PNG needs the extra datakeep[plot].",
)
@click.option("--force", is_flag=True, help="Replace FILE even where it is no plot of datakeep's.")
@clean_room_options
def call(session: Session, name: str, plot: Path | None, force: bool, **options: Any) -> Answer:
    r"""Train one fixed training on each version of a dataset, and tell where its metric dropped.

    The training is the reference training of the newest version (or of NAME@V): its code, environment and
    parameters stay, the data alone varies. Each version is fetched and re-hashed, and trained in the clean room. A
    drop outside of what the earlier versions and repeated runs show is flagged, with what changed in the data. What
    was trained is kept: a second trend trains only new versions. Exit code 3: a drop, or the newest version could
    not be trained.

    \b
    Example:
      datakeep trend orders
      datakeep trend orders --metric roc_auc --plot trend.svg
      datakeep trend orders@v5 --versions v2.. --repeat 3
    """
    from datakeep.workflows.report_file import write_report
    from datakeep.workflows.trend import Wanted, trend

    _check_plot(plot, force=force)
    keep = session.keep()
    wanted = Wanted(
        options.pop("versions"),
        options.pop("metric"),
        options.pop("repeat"),
        options.pop("lower_is_better"),
        _number(options.pop("margin")),
    )
    try:
        found = trend(
            keep,
            name,
            wanted,
            settings=settings_of(keep, options),
            watch=session.progress.note,
        )
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(
            "interrupted; what was trained to its end is kept", "run the same command again to go on"
        ) from stop
    data = _data(found)
    if plot is not None:
        write_report(plot, _drawn(found, plot), force=force)
        data["written"] = [str(plot)]
    return Answer(data, list(_lines(found, plot)), 0 if found.is_well else EXIT_NO)


def _number(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise click.BadParameter(f"{text!r} is no number that a difference can have", param_hint="--margin")
    return number


def _check_plot(file: Path | None, *, force: bool) -> None:
    """What would fail after hours of training is said before them."""
    from datakeep.workflows.report_file import check_place

    if file is None:
        return
    if file.suffix.lower() not in _SUFFIXES:
        raise click.BadParameter(f"{file} ends neither in .svg nor in .png", param_hint="--plot")
    check_place(file, force=force)
    if file.suffix.lower() == ".png":
        from datakeep.exchange.trend_plot import require_png

        require_png()


def _drawn(found: Trend, file: Path) -> bytes:
    from datakeep.exchange.trend_plot import png, svg

    plot = _plot(found)
    return png(plot) if file.suffix.lower() == ".png" else svg(plot).encode("utf-8")


def _plot(found: Trend) -> Plot:
    from datakeep.exchange.trend_plot import Plot, Point

    points = [
        Point(
            row.entry.version,
            float(row.judged.value),
            float(min(row.runs)),
            float(max(row.runs)),
            row.entry.size_bytes,
            None if row.judged.limit is None else float(row.judged.limit),
            row.judged.is_drop,
        )
        for row in found.rows
        if row.judged.value is not None
    ]
    title = f"{found.metric} of {found.reference.dataset}, by the training of {found.reference.version}"
    baseline = None if found.baseline is None else float(found.baseline)
    failed = tuple(row.entry.version for row in found.rows if row.judged.value is None)
    return Plot(title, found.metric, tuple(points), baseline, failed)


# ---- the terminal


def _lines(found: Trend, plot: Path | None) -> Iterator[str]:
    reference = found.reference
    label = f"{reference.dataset}@{reference.version}"
    yield click.style(
        f"{found.metric} of {reference.dataset}, by the reference training of {label}", bold=True
    )
    head = ("VERSION", "DATE", "FILES", "SIZE", "ROWS", found.metric.upper(), "CHANGE", "TRIVIAL", "")
    yield from table(list(_rows(found)), head=head)
    yield ""
    yield from _chart(found)
    yield ""
    yield _rule(found)
    for row in found.drops:
        yield from _drop_lines(found, row)
    failed = [row for row in found.rows if row.failed]
    for row in failed:
        yield click.style(f"{row.entry.version} could not be trained:", fg="yellow") + f" {row.failed}"
    if plot is not None:
        yield f"wrote {plot}"
    yield _next(found)


def _next(found: Trend) -> str:
    name = found.reference.dataset
    if found.drops:
        row = found.drops[0]
        before = row.changed.before if row.changed else "v1"
        return f"next: datakeep diff {name}@{before} {name}@{row.entry.version}"
    if found.rows[-1].failed:
        return f"next: datakeep verify {name}@{found.rows[-1].entry.version}"
    return f"no drop in {counted(len(found.rows), 'version')}"


def _rows(found: Trend) -> Iterator[tuple[str, ...]]:
    before: Decimal | None = None
    for row in found.rows:
        value = row.judged.value
        mark = ""
        if row.judged.is_drop:
            mark = click.style("DROP", fg="red", bold=True)
        elif row.failed:
            mark = click.style("failed", fg="yellow")
        elif row.same_as:
            mark = f"same data as {row.same_as}"
        entry = row.entry
        runs = f" (±{_half(row)}, {len(row.runs)} runs)" if len(row.runs) > 1 else ""
        yield (
            entry.version,
            f"{entry.registered_at:%Y-%m-%d}",
            f"{entry.files:,}",
            size(entry.size_bytes),
            "?" if row.rows is None else f"{row.rows:,}",
            "?" if value is None else f"{_short(value)}{runs}",
            "" if value is None or before is None else f"{_short(value - before):+}",
            _trivial(found, row),
            mark,
        )
        before = value if value is not None else before


def _trivial(found: Trend, row: Row) -> str:
    """What was computed on the version's own data; else what the reference states of the newest."""
    if row.trivial is not None:
        return f"{_short(row.trivial)}"
    return "?" if found.baseline is None else f"{_short(found.baseline)} (stated)"


def _half(row: Row) -> Decimal:
    return _short((max(row.runs) - min(row.runs)) / 2)


def _short(value: Decimal) -> Decimal:
    """In five digits that count, as a person writes it."""
    from datakeep.core.criteria import plain_decimal

    return plain_decimal(Context(prec=5).plus(value))


def _chart(found: Trend) -> Iterator[str]:
    """A line for each version: its metric as a place between worst and best, its size as a bar."""
    values = [row.judged.value for row in found.rows if row.judged.value is not None]
    low, high = min(values), max(values)
    width = max(20, min(shutil.get_terminal_size((100, 24)).columns - 46, 60))
    largest = max(row.entry.size_bytes for row in found.rows) or 1
    longest = max(len(row.entry.version) for row in found.rows)
    ends = (f"{_short(low)}", f"{_short(high)}")
    yield f"{'':{longest}}  {ends[0]}{ends[1]:>{max(width - len(ends[0]), 1)}}  size"
    for row in found.rows:
        value = row.judged.value
        if value is None:
            line = f"{'failed':<{width}}"
        else:
            place = round((value - low) / (high - low) * (width - 1)) if high > low else width - 1
            point = click.style("●", fg="red" if row.judged.is_drop else "green")
            line = f"{'·' * place}{point}{' ' * (width - 1 - place)}"
        bar = "█" * max(1, round(row.entry.size_bytes / largest * 12))
        yield f"{row.entry.version:<{longest}}  {line}  {bar} {size(row.entry.size_bytes)}"


def _rule(found: Trend) -> str:
    way = "lower" if found.less_is_better else "higher"
    if found.noise is None:
        noise = "noise not measured (--repeat 3 does)"
    else:
        noise = f"{found.noise_runs} runs of one version differ by {_short(found.noise)}"
    kept = "" if found.trained else "; all trainings were kept from before"
    return f"{way} is better; {noise}; {counted(found.trained, 'training')} run now{kept}"


def _drop_lines(found: Trend, row: Row) -> Iterator[str]:
    entry, judged = row.entry, row.judged
    side = "above" if found.less_is_better else "below"
    yield click.style(f"DROP at {entry.version}:", fg="red", bold=True) + (
        f" {found.metric} {_told(judged.value)} is {side} {_told(judged.limit)}, "
        "the limit by the versions before it and the noise"
    )
    yield f"  its message: {entry.message}"
    if row.changed is not None:
        yield from (f"  {line}" for line in _changed_lines(row.changed))


def _told(value: Decimal | None) -> str:
    return "unknown" if value is None else str(_short(value))


def _changed_lines(changed: Changed) -> Iterator[str]:
    """What changed in the data since the version before."""
    if changed.difference is None:
        yield f"what changed since {changed.before} cannot be told now: {changed.fault}"
        return
    difference = changed.difference
    files = difference.files
    yield (
        f"since {changed.before}: {counted(len(files.added), 'file')} added, {len(files.removed):,} removed, "
        f"{len(files.changed):,} changed"
    )
    for paths, mark in ((files.added, "+"), (files.removed, "-"), (files.changed, "~")):
        yield from some(paths, mark=mark, limit=5)
    old, new = changed.rows
    if old != new:
        yield f"rows: {'?' if old is None else f'{old:,}'} → {'?' if new is None else f'{new:,}'}"
    if changed.by_row:
        yield changed.by_row
    yield from (f"split {name}: {was:,} → {now:,} files" for name, (was, now) in changed.splits.items())
    yield from some([f"columns: {change}" for change in difference.columns], mark="~", limit=5)
    yield from some([f"manifest: {change}" for change in difference.fields], mark="~", limit=5)
    yield from some([f"profile: {line}" for line in difference.profile], mark="~", limit=8)


# ---- JSON


def _data(found: Trend) -> dict[str, Any]:
    return {
        "dataset": found.reference.dataset,
        "reference": found.reference.version,
        "metric": found.metric,
        "less_is_better": found.less_is_better,
        "noise": _text(found.noise),
        "noise_runs": found.noise_runs,
        "baseline": _text(found.baseline),
        "trained": found.trained,
        "drops": [row.entry.version for row in found.drops],
        "versions": [_row_data(row) for row in found.rows],
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _row_data(row: Row) -> dict[str, Any]:
    entry, judged, changed = row.entry, row.judged, row.changed
    return {
        "version": entry.version,
        "registered_at": entry.registered_at.isoformat(),
        "message": entry.message,
        "content": entry.content,
        "files": entry.files,
        "size_bytes": entry.size_bytes,
        "rows": row.rows,
        "value": _text(judged.value),
        "runs": [str(run) for run in row.runs],
        "trivial": _text(row.trivial),
        "limit": _text(judged.limit),
        "drop": judged.is_drop,
        "same_data_as": row.same_as,
        "failed": row.failed,
        "changed": _changed_data(changed) if changed else None,
    }


def _changed_data(changed: Changed) -> dict[str, Any]:
    difference = changed.difference
    files = difference.files if difference else None
    return {
        "since": changed.before,
        "not_known": changed.fault,
        "files": {"added": files.added, "removed": files.removed, "changed": files.changed}
        if files
        else None,
        "rows": list(changed.rows),
        "by_row": changed.by_row,
        "splits": {name: list(counts) for name, counts in changed.splits.items()},
        "columns": [str(change) for change in difference.columns] if difference else [],
        "manifest": [str(change) for change in difference.fields] if difference else [],
        "profile": list(difference.profile) if difference else [],
    }


command = call
