"""What a set of files holds, found by looking at them: what can be known is not asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import SourceFault
from datakeep.extract import tabular
from datakeep.extract.interface import Inspection, merged_type
from datakeep.formats.manifest import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datakeep.core.progress import Progress

#: How many tabular files are opened; of more, the first by path stand for all.
OPENED_FILES = 100


@dataclass(frozen=True, slots=True)
class Description:
    """What files hold, as far as it can be seen.

    Attributes:
        formats: How many files there are of each format, by extension, the most frequent first.
        columns: The columns of the tabular files that share them; empty without a tabular file.
        rows: The rows of those files together; None where they were not all counted.
        encodings: Path to text encoding, of the files that are not plain UTF-8.
        notes: What a person should know of how this was found, one sentence each.
        tables: The tabular files that share the columns, and those that were not opened; by path.
    """

    formats: dict[str, int]
    columns: list[Column] = field(default_factory=list)
    rows: int | None = None
    encodings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tables: tuple[str, ...] = ()


def describe(
    files: Sequence[tuple[str, str | Path]], *, progress: Progress, made_here: bool = False
) -> Description:
    """What ``files`` hold: formats, columns and types, rows, encodings.

    CSV, TSV, Parquet and JSON-lines are opened, the first 100 by path; other files are counted. Files are
    read in bounded memory, and the same files always give the same description.

    Args:
        files: Path in the dataset, and where the file lies now.
        progress: Told of each tabular file.
        made_here: datakeep has just written them, so that their pages are not looked at: Parquet has the rest in its
            footer.

    Raises:
        SourceMalformed: A file is not what its extension says. Names each such file, with line and cause.
        SourceUnreadable: A file cannot be opened.
        SourceMissing: A file is gone.
    """
    kinds = {path: tabular.extension(path) for path, _ in files}
    counts = Counter(kinds.values())
    formats = dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
    tables = sorted((path, Path(file)) for path, file in files if kinds[path] in tabular.TABULAR)
    if not tables:
        return Description(formats)
    opened = _inspect(tables[:OPENED_FILES], kinds, progress, made_here=made_here)
    group = _largest_group(opened)
    notes = [note for inspection in opened.values() for note in inspection.notes]
    if len(tables) > len(opened):
        notes.append(f"columns are those of the first {len(opened)} of {len(tables)} tabular files")
    if len(group) < len(opened):
        notes.append(_left_out(group, opened))
    counted = [inspection.rows for inspection in group.values() if inspection.rows is not None]
    all_counted = len(counted) == len(group) and len(tables) == len(opened)
    return Description(
        formats,
        columns=_merged_columns(group),
        rows=sum(counted) if all_counted else None,
        encodings={path: seen.encoding for path, seen in opened.items() if seen.encoding != "utf-8"},
        notes=notes,
        tables=tuple(path for path, _ in tables if path in group or path not in opened),
    )


def _inspect(
    tables: Sequence[tuple[str, Path]], kinds: Mapping[str, str], progress: Progress, *, made_here: bool
) -> dict[str, Inspection]:
    """Every table looked into; what is wrong with any of them is raised as one error."""
    progress.stage("describe", total=len(tables), unit="files")
    opened: dict[str, Inspection] = {}
    faults: list[SourceFault] = []
    for path, file in tables:
        try:
            reader = tabular.reader_of(kinds[path])
            inspect = getattr(reader, "footer", reader.inspect) if made_here else reader.inspect
            opened[path] = inspect(path, file)
        except SourceFault as fault:
            faults.append(fault)
        progress.advance()
    if faults:
        first, more = faults[0], len(faults) - 1
        raise type(first)(
            f"{first.what} (and {more} more)" if more else first.what,
            next_step=first.next_step,
            things=[fault.what for fault in faults],
        )
    return opened


def _largest_group(opened: Mapping[str, Inspection]) -> dict[str, Inspection]:
    """The files that share their column names: the most files, then the most rows, then the first path."""
    groups: dict[tuple[str, ...], dict[str, Inspection]] = {}
    for path, inspection in opened.items():
        names = tuple(sorted(name for name, _ in inspection.columns))
        groups.setdefault(names, {})[path] = inspection
    return max(groups.values(), key=lambda group: (len(group), sum(one.rows or 0 for one in group.values())))


def _merged_columns(group: Mapping[str, Inspection]) -> list[Column]:
    """The columns in the first file's order, with types that hold the values of all files."""
    first = next(iter(group.values()))
    types: dict[str, str | None] = {}
    for inspection in group.values():
        for name, kind in inspection.columns:
            types[name] = merged_type(types.get(name), kind)
    return [
        Column(name=name) if types[name] is None else Column(name=name, type=types[name])
        for name in dict.fromkeys(name for name, _ in first.columns)
    ]


def _left_out(group: Mapping[str, Inspection], opened: Mapping[str, Inspection]) -> str:
    others = [path for path in opened if path not in group]
    shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    return (
        f"columns and rows are those of {len(group)} of {len(opened)} tabular files, such as "
        f"{next(iter(group))}; other columns are in {shown}"
    )
