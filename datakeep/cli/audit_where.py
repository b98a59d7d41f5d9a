"""``datakeep audit --where``: how the answer is shown. The values that were asked for are not in it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_INCOMPLETE, EXIT_NO
from datakeep.cli.rendering import some
from datakeep.cli.session import Answer, Session, table
from datakeep.cli.tampered_lines import distrusted, unless_deleted
from datakeep.cli.way_lines import next_model, read_lines, through_data, through_lines, ways_data
from datakeep.core.counts import counted
from datakeep.core.errors import UsageError
from datakeep.core.names import some_versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from datakeep.workflows.audit_where import RowsUsedBy
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.rows_where import HavingVersion, Search, Unsearched

_FILES_SHOWN = 5
_MAX_BYTES = 1 << 20


def answer(session: Session, condition: str, subjects: Sequence[str], *, fetch: bool, rehash: bool) -> Answer:
    """Which versions, files and models have such rows; 3 if none has, 4 if that is not known."""
    if condition == "-":
        condition = sys.stdin.read(_MAX_BYTES)
    refused = next((one for one in subjects if ":" in one.removeprefix("dataset:")), None)
    if refused:
        raise UsageError(
            "rows are looked for in datasets and versions, not in "
            f"{'a model' if refused.startswith('model:') else 'one file'}: {refused!r}",
            next_step="datakeep audit orders@v3 --where 'customer_id = 4711'",
        )
    keep = session.keep()
    question = partial(_answered, keep, condition, subjects, fetch=fetch, rehash=rehash)
    return unless_deleted(keep, subjects, question)


def _answered(keep: Keep, condition: str, subjects: Sequence[str], *, fetch: bool, rehash: bool) -> Answer:
    from datakeep.workflows.audit_where import audit_where
    from datakeep.workflows.tampering import behind_some

    found = audit_where(keep, condition, subjects, fetch=fetch, rehash=rehash)
    whole = [name for name in (one.removeprefix("dataset:") for one in subjects) if "@" not in name]
    searched = [f"register/{name}/" for name in whole] if subjects else ["register/"]
    models = [*(one.model for one in found.models), *(str(way.end) for way in found.through)]
    changed = behind_some(
        keep,
        found.ways.records,
        found.asked,
        now=datetime.now(UTC),
        models=models,
        broken=found.ways.broken,
        below=["models/", *searched],
    )
    code = {"yes": 0, "no": EXIT_NO, "not known": EXIT_INCOMPLETE}[_verdict(found.search)]
    return distrusted(Answer(_data(found), list(_lines(found, fetch=fetch)), code), changed)


def _verdict(search: Search) -> str:
    """A "no" is only one where all was searched, and where there was a table to search."""
    if search.having:
        return "yes"
    return "no" if search.is_complete else "not known"


def _lines(found: RowsUsedBy, *, fetch: bool) -> Iterator[str]:
    search = found.search
    for one in search.having:
        yield from _version_lines(one)
    if search.having:
        yield from _model_lines(found)
    else:
        yield _nothing(found)
    yield from _searched_lines(search)
    yield from _unsearched_lines(search, fetch=fetch)
    if found.ways.broken:
        yield "records that cannot be read, and might have told more:"
        yield from some([f"{one.path}: {one.reason}" for one in found.ways.broken], mark="!")
    if step := next_model(found.ways):
        yield step


def _version_lines(one: HavingVersion) -> Iterator[str]:
    name = click.style(f"{one.dataset}@{one.version}", bold=True)
    yield f"{name}: {counted(one.rows, 'row')} in {counted(len(one.files), 'file')}"
    rows = [(f"data/{file.path}", counted(file.rows, "row")) for file in one.files[:_FILES_SHOWN]]
    yield from (f"  {line}" for line in table(rows))
    if len(one.files) > _FILES_SHOWN:
        yield f"  … and {len(one.files) - _FILES_SHOWN:,} more (all with --json)"


def _model_lines(found: RowsUsedBy) -> Iterator[str]:
    if found.models:
        yield "models that used these versions, or others with files of the same bytes:"
        yield from read_lines(found.models, "THESE FILES")
    else:
        yield "no recorded model used these versions itself"
    yield from through_lines(found.ways, "the rows")
    if found.ways.open:
        yield "not known, because a record on the way is not there:"
        yield from some(found.ways.open, mark="?")
    yield from (f"not looked at: {one}" for one in found.ways.not_looked_at)


def _nothing(found: RowsUsedBy) -> str:
    numbers = found.search.numbers
    if not numbers.different and found.search.unsearched:
        return "not known: nothing was searched, for the reasons below; this is no 'no'"
    if not numbers.different:
        return (
            f"not known: there is no table in {counted(numbers.versions, 'version')}, so nothing was searched; "
            "this is no 'no'"
        )
    said = "not found"
    if not found.search.is_complete:
        return (
            f"not known: {said} in what was searched, but {_unsearched_count(found.search)} not searched; "
            "this is no 'no'"
        )
    if found.search.others:
        return f"{said} in any table"
    return f"{said} anywhere"


def _unsearched_count(search: Search) -> str:
    files = sum(one.files for one in search.unsearched) + sum(search.other_tables.values())
    unknown = [one for one in search.unsearched if not one.files]
    parts = [counted(files, "file")] if files else []
    parts += [f"{counted(len(unknown), 'version')} whose files are not known"] if unknown else []
    single = files + len(unknown) == 1
    return f"{' and '.join(parts)} {'was' if single else 'were'}"


def _searched_lines(search: Search) -> Iterator[str]:
    numbers = search.numbers
    if not numbers.versions:
        return
    tables = f"{counted(numbers.files, 'table')} ({numbers.different:,} different)"
    yield f"searched: {counted(numbers.versions, 'version')}, {tables}"
    if numbers.through:
        yield f"  read to their end, with the registered sha256: {numbers.through:,}"
    if numbers.in_parts:
        yield (
            f"  Parquet by its footer, statistics and Bloom filters, which are believed: {numbers.in_parts:,} "
            "(--rehash proves them first)"
        )
    if numbers.groups.count:
        groups = numbers.groups
        yield (
            f"  row groups: {groups.read:,} of {groups.count:,} read; statistics ruled out "
            f"{groups.by_statistics:,}, Bloom filters {groups.by_bloom:,}"
        )
    if numbers.lacking:
        yield f"  without such a column: {numbers.lacking:,}"
        yield from _near_lines(search)
    for line in _impossible_lines(search):
        yield f"  {line}"
    for remark, files in search.remarks.items():
        yield f"  {remark} (in {counted(files, 'file')})"


def _impossible_lines(search: Search) -> Iterator[str]:
    if search.impossible:
        yield "cannot hold such a value, and so have no such row:"
        yield from some(
            [
                f"{one.version}: {counted(one.files, 'file')}: {one.column} is {one.type}: {one.why}"
                for one in search.impossible
            ],
            mark="-",
        )


def _near_lines(search: Search) -> Iterator[str]:
    if search.columns and not search.having:
        shown = ", ".join(search.columns[:10])
        more = f" and {len(search.columns) - 10:,} more" if len(search.columns) > 10 else ""
        yield f"    they have: {shown}{more}"


def _unsearched_lines(search: Search, *, fetch: bool) -> Iterator[str]:
    if search.unsearched:
        yield click.style("not searched:", fg="yellow")
        yield from some([*_unsearched(search.unsearched)], mark="?")
        if not fetch and any(not one.otherwise for one in search.unsearched):
            yield "  with --fetch, what is not on this machine is got from the vault"
    if search.other_tables:
        yield f"tables of a format that is not searched: {_kinds(search.other_tables)}"
    if search.others:
        yield f"no tables, and so not looked into: {_kinds(search.others)}"


def _kinds(counts: Mapping[str, int]) -> str:
    more = f" and {counted(len(counts) - 10, 'more kind')}" if len(counts) > 10 else ""
    return ", ".join(f"{kind} {count:,}" for kind, count in list(counts.items())[:10]) + more


def _unsearched(found: Sequence[Unsearched]) -> Iterator[str]:
    """A line for each reason that all files of a dataset's versions have in common, and for all else."""
    alike: dict[tuple[str, str], list[Unsearched]] = {}
    for one in found:
        if one.files and not one.such_as:
            alike.setdefault((one.version.partition("@")[0], one.why), []).append(one)
    for one in found:
        some_alike = alike.get((one.version.partition("@")[0], one.why), [])
        if one not in some_alike or len(some_alike) == 1:
            yield _unsearched_one(one)
        elif one is some_alike[0]:
            versions = some_versions([other.version.partition("@")[2] for other in some_alike])
            dataset, files = one.version.partition("@")[0], sum(other.files for other in some_alike)
            count = counted(len(some_alike), "version")
            yield f"{dataset}, {count} ({versions}): all {counted(files, 'file')}: {one.why}"


def _unsearched_one(one: Unsearched) -> str:
    if not one.files:
        return f"{one.version}: {one.why}"
    if not one.such_as:
        files = f"all {counted(one.files, 'file')}" if one.files > 1 else "its 1 file"
        return f"{one.version}: {files}: {one.why}"
    shown = ", ".join(f"data/{path}" for path in one.such_as[:2]) + (" …" if one.files > 2 else "")
    return f"{one.version}: {counted(one.files, 'file')} ({shown}): {one.why}"


def _data(found: RowsUsedBy) -> dict[str, Any]:
    search, numbers = found.search, found.search.numbers
    return {
        "columns": list(found.columns),
        "found": bool(search.having),
        "answer": _verdict(search),
        "complete": search.is_complete,
        "versions": [
            {
                "dataset": one.dataset,
                "version": one.version,
                "rows": one.rows,
                "files": [{"path": file.path, "rows": file.rows} for file in one.files],
            }
            for one in search.having
        ],
        "models": [
            {"model": one.model, "used": one.dataset_version, "files": one.verdict, "because": one.why}
            for one in found.models
        ],
        "derived": ways_data(found.derived),
        "through": through_data(found.ways),
        "unknown": list(found.ways.open),
        "not_looked_at": list(found.ways.not_looked_at),
        "searched": {
            "versions": numbers.versions,
            "files": numbers.files,
            "different": numbers.different,
            "without_column": numbers.lacking,
            "cannot_hold": numbers.impossible,
            "read_whole": numbers.through,
            "read_in_parts": numbers.in_parts,
            "row_groups": {
                "all": numbers.groups.count,
                "read": numbers.groups.read,
                "by_statistics": numbers.groups.by_statistics,
                "by_bloom_filter": numbers.groups.by_bloom,
            },
        },
        "not_searched": [
            {"version": one.version, "why": one.why, "files": one.files, "such_as": list(one.such_as)}
            for one in search.unsearched
        ],
        "cannot_hold": [
            {
                "version": one.version,
                "column": one.column,
                "type": one.type,
                "why": one.why,
                "files": one.files,
                "such_as": list(one.such_as),
            }
            for one in search.impossible
        ],
        "other_tables": dict(search.other_tables),
        "no_tables": dict(search.others),
        "remarks": dict(search.remarks),
        "broken": [{"path": one.path, "reason": one.reason} for one in found.ways.broken],
    }
