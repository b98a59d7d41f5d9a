"""How a profile is shown: a line for each column, with small bars."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from datakeep.cli.printable import printable
from datakeep.cli.session import table
from datakeep.cli.visible import visible
from datakeep.core.counts import counted
from datakeep.formats.profile import LEAST_VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.formats.profile import ColumnProfile, Periods, Profile

_BARS = "▁▂▃▄▅▆▇█"
_EMPTY = "·"
_COLUMNS = 60
_TOP = 3
_TEXT_WIDTH = 24
_TIME_BARS = 60
_WITHHELD = {
    "privacy": "",
    "few": f": there are fewer than {LEAST_VALUES}",
    "name": ": personal by its name",
    "secret": ": one looks like a secret",
}


def bars(rows: Sequence[int]) -> str:
    """A bar for each count, as high as its share of the largest; ``·`` where there is none."""
    most = max(rows, default=0)
    return "".join(_BARS[(count * len(_BARS) - 1) // most] if count else _EMPTY for count in rows)


def profile_lines(profile: Profile) -> Iterator[str]:
    """The profile for a person; ``~`` stands before what is approximate."""
    files = counted(profile.files, "file")
    yield f"profile of {counted(profile.rows, 'row')} in {files}" + (
        "   (~ is approximate)" if any(column.approximate for column in profile.columns) else ""
    )
    head = ("column", "nulls", "distinct", "", "values")
    rows = [_row(column, profile.rows) for column in profile.columns[:_COLUMNS]]
    yield from (f"  {line}" for line in table(rows, head=head))
    more = len(profile.columns) - _COLUMNS + profile.columns_left_out
    if len(profile.columns) > _COLUMNS or profile.columns_left_out:
        yield f"  … and {counted(more, 'more column')} (--json has them)"
    if profile.time:
        yield from _time_lines(profile.time)
    yield from (f"  {note}" for note in profile.notes)


def _row(column: ColumnProfile, rows: int) -> tuple[str, str, str, str, str]:
    nulls = f"{column.nulls:,}"
    if column.nulls and rows:
        nulls += f" ({_share(column.nulls, rows)})"
    mark = "~" if "distinct" in column.approximate else ""
    # Earlier versions of datakeep wrote estimates down that exceed the number of values.
    distinct = "" if column.distinct is None else f"{mark}{min(column.distinct, rows - column.nulls):,}"
    return printable(column.name), nulls, distinct, _column_bars(column), ", ".join(_said(column, rows))


def _share(part: int, whole: int) -> str:
    percent = round(100 * part / whole)
    return "<1%" if percent == 0 else ">99%" if percent == 100 and part < whole else f"{percent}%"


def _column_bars(column: ColumnProfile) -> str:
    figure = "histogram" if column.histogram else "top"
    mark = "~" if figure in column.approximate else ""
    return mark + bars(column.histogram or [one.rows for one in column.top])


def _said(column: ColumnProfile, rows: int) -> Iterator[str]:
    """Range and mean of what is ordered; the frequent values and the longest of what is not."""
    if column.histogram or (column.quantiles and column.min is not None):
        yield f"{_cut(column.min)} … {_cut(column.max)}"
        if median := column.quantiles.get("0.5"):
            yield f"median {'~' if 'quantiles' in column.approximate else ''}{_cut(median)}"
        if column.mean is not None:
            yield f"mean {column.shown_mean}"
    elif column.top:
        yield " · ".join(f"{_cut(one.value)} {_share(one.rows, rows)}" for one in column.top[:_TOP])
    elif column.min is not None:
        yield f"{_cut(column.min)} … {_cut(column.max)}"
    if column.longest is not None:
        yield f"longest {column.longest:,}"
    for count, word in (
        (column.nan, "NaN"),
        (column.infinite, "infinite"),
        (column.other, "of another type"),
    ):
        if count:
            yield f"{count:,} {word}"
    if column.withheld:
        what = "values" if column.min is None else "frequent values"
        yield f"{what} withheld{_WITHHELD[column.withheld]}"


def _cut(text: str | None) -> str:
    line = text or ""
    return visible(line if len(line) <= _TEXT_WIDTH else f"{line[:_TEXT_WIDTH]}…")


def _time_lines(time: Periods) -> Iterator[str]:
    """Rows per period, gaps as such; where there are too many for a line, each bar is several periods."""
    periods = list(time.rows)
    counts = _with_gaps(time)
    step = -(-len(counts) // _TIME_BARS)
    shown = [sum(counts[start : start + step]) for start in range(0, len(counts), step)]
    each = f"; each bar is {step} {time.per}s, with {max(shown):,} rows at most" if step > 1 else ""
    gaps = sum(not count for count in counts)
    yield (
        f"  rows per {time.per} of {printable(time.column)}, {periods[0]} to {periods[-1]}: at most "
        f"{max(counts):,} in one {time.per}{each}"
        + (f"; {counted(gaps, time.per)} without rows" if gaps else "")
    )
    yield f"  {bars(shown)}"


def _with_gaps(time: Periods) -> list[int]:
    """The rows of every period from the first to the last; as they are, where a calendar does not reach."""
    try:
        places = {_place(period, time.per): rows for period, rows in time.rows.items()}
    except ValueError:
        return list(time.rows.values())
    first, last = min(places), max(places)
    if last - first > 100_000:
        return list(time.rows.values())
    return [places.get(place, 0) for place in range(first, last + 1)]


def _place(period: str, per: str) -> int:
    if per == "day":
        return (date.fromisoformat(period) - date(1970, 1, 1)) // timedelta(days=1)
    year, _, month = period.partition("-")
    return int(year) * 12 + int(month) if per == "month" else int(period)
