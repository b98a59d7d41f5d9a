"""``datakeep audit`` of a dataset, a version or a file: how it is shown which models it went into."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any

from datakeep.cli.rendering import some
from datakeep.cli.session import table
from datakeep.cli.undeclared_lines import undeclared_data, undeclared_lines, unlisted_lines, versions_read
from datakeep.cli.way_lines import next_model, read_lines, through_data, through_lines, way_lines, ways_data
from datakeep.core.moments import shown
from datakeep.formats.model_words import pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.formats.model import ModelRecord
    from datakeep.workflows.audit import Audit
    from datakeep.workflows.used_by import FileUsedBy, UsedBy


def broken_lines(found: Audit | UsedBy | FileUsedBy) -> Iterator[str]:
    """Records that cannot be read, and so may hold an answer."""
    if found.broken:
        yield "records that cannot be read, and might have told more:"
        yield from some([f"{one.path}: {one.reason}" for one in found.broken], mark="!")


def called(record: ModelRecord) -> str:
    """``churn@v7``, and that it failed."""
    return record.label + (" (FAILED)" if record.status == "failed" else "")


def used_lines(found: UsedBy) -> Iterator[str]:
    """What a dataset or a version went into."""
    name = f"{found.dataset}@{found.version}" if found.version else found.dataset
    records = found.readers
    if found.is_blind:
        yield f"{name}: not known: no record that can be read says that a model used it; this is no 'no'"
    elif not records:
        itself = " itself" if found.through else ""
        yield f"{name}: no recorded model used it{itself}"
    else:
        yield f"{name} went into:"
        rows = [
            (
                record.label,
                ", ".join(versions_read(record, found)),
                shown(record.recorded_at or "date unknown")
                + (" (failed)" if record.status == "failed" else ""),
                pairs(record.metrics),
            )
            for record in records
        ]
        yield from (f"  {line}" for line in table(rows, head=("MODEL", "VERSION", "RECORDED", "METRICS")))
    if found.alike:
        yield f"the same bytes are {_several(found.alike)}: asked about too"
    yield from undeclared_lines(found)
    yield from way_lines(found.derived, "datasets that were derived from it:")
    yield from way_lines(
        found.through,
        "through base models, derived datasets, other data with its files, and files that runs left it went into:",
    )
    yield from _open_lines(found)
    yield from (f"not looked at: {one}" for one in found.not_looked_at)
    if found.unread:
        through = {str(way.end) for way in found.through}
        yield "given to, but nothing of it was read by:"
        yield from some(
            [
                one + (" itself; it reached it through others, see above" if one in through else "")
                for one in found.unread
            ],
            mark="-",
        )
    yield from broken_lines(found)
    if records:
        first = records[0]
        yield f"next: datakeep audit model:{first.model}@{first.version}"
    elif found.through:
        yield f"next: datakeep audit model:{found.through[0].end}"


def _several(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _open_lines(found: UsedBy | FileUsedBy) -> Iterator[str]:
    if found.open:
        yield "not known, because a record on the way is not there:"
        yield from some(found.open, mark="?")


def file_lines(found: FileUsedBy, subject: str) -> Iterator[str]:
    """Who read one file of a dataset, and what it was carried on to; ``subject`` is what was asked."""
    name = f"{found.dataset}:{found.path}"
    if found.versions:
        yield f"{name} is in {', '.join(found.versions)}"
    if found.alike:
        yield f"the same bytes are {_several(found.alike)}: asked about too"
    if found.not_searched:
        yield f"not searched: {found.not_searched}"
        yield f"  datakeep audit {quote(subject)} --fetch gets them"
    if found.unread:
        yield "not searched, since the register entry cannot be read:"
        yield from some([f"{one.path}: {one.reason}" for one in found.unread], mark="?")
        yield f"  next: git log -- {quote(found.unread[0].path)} shows who changed it"
    if found.models:
        yield from read_lines(found.models, "THE FILE")
    if found.is_blind:
        yield "not known: no record that can be read says that a model read this file; this is no 'no'"
    elif not found.models and (found.versions or found.not_searched or found.unread):
        itself = " itself" if found.through else ""
        yield f"no recorded model used these versions{itself}, and none is known to have read a copy of this file"
    yield from through_lines(found.ways, "this file")
    yield from _open_lines(found)
    yield from (f"not looked at: {one}" for one in found.not_looked_at)
    yield from unlisted_lines(found.unlisted)
    yield from broken_lines(found)
    if (step := next_model(found.ways)) is not None:
        yield step


def file_data(found: FileUsedBy) -> dict[str, Any]:
    """The same for ``--json``."""
    return {
        "dataset": found.dataset,
        "path": found.path,
        "versions": list(found.versions),
        "models": [
            {"model": one.model, "used": one.dataset_version, "file": one.verdict, "because": one.why}
            for one in found.models
        ],
        "through": through_data(found.ways),
        "derived": ways_data(found.ways.derived),
        "same_bytes": list(found.alike),
        "unknown": [*found.open, *unlisted_lines(found.unlisted)],
        "not_looked_at": list(found.not_looked_at),
        "not_searched": [str(found.not_searched)] if found.not_searched else [],
        "unread": [{"path": one.path, "reason": one.reason} for one in found.unread],
        "broken": [{"path": one.path, "reason": one.reason} for one in found.broken],
    }


def used_data(found: UsedBy) -> dict[str, Any]:
    """As :func:`used_lines`, for ``--json``."""
    return {
        "dataset": found.dataset,
        "version": found.version,
        "models": [record.to_dict() for record in found.readers],
        "versions_read": {called(one): versions_read(one, found) for one in found.readers},
        "given_unread": list(found.unread),
        "same_bytes": list(found.alike),
        "undeclared": undeclared_data(found),
        "derived": ways_data(found.derived),
        "through": ways_data(found.through),
        "unknown": list(found.open),
        "not_looked_at": list(found.not_looked_at),
        "broken": [{"path": one.path, "reason": one.reason} for one in found.broken],
    }
