"""``datakeep diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_NO
from datakeep.cli.changes import profile_lines
from datakeep.cli.comparing import rows_lines
from datakeep.cli.rendering import some
from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering
from datakeep.core.changes import ADDED, REMOVED, FieldChange, telling
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.formats.inventory import FileChanges
    from datakeep.workflows.diff import Difference

#: Where the manifest says how many rows there are.
_ROWS = ("contents.rows", "source.rows")


@answering(name="diff")
@click.argument("references", metavar="NAME[@A] [NAME@B]", nargs=-1, required=True)
@click.option("--rows", is_flag=True, help="Compare the rows of large tables too, and get what is not here.")
def command(session: Session, references: tuple[str, ...], rows: bool) -> Answer:
    r"""Tell what changed between two versions: files, rows, columns, manifest, documents and code.

    With one version: since the one before it. Rows are those of the tables that changed, by the key that the data
    dictionary states, else as wholes; up to 32 MB of them without --rows. Exit code 0: they are the same; 3: they
    differ.

    \b
    Example:
      datakeep diff orders
      datakeep diff orders@v1 orders@v3
      datakeep diff orders@v1 orders@v3 --rows
    """
    from datakeep.workflows.diff import diff

    if len(references) > 2:
        raise click.UsageError("diff compares two versions, not more")
    found = diff(session.keep(), references, rows=rows)
    return Answer(_data(found), list(_lines(found)), 0 if found.is_same else EXIT_NO)


def _lines(found: Difference) -> Iterator[str]:
    old, new = (f"{entry.dataset}@{entry.version}" for entry in (found.old, found.new))
    if found.is_same:
        yield f"{old} and {new}: same ({counted(found.new.files, 'file')}, {found.new.content})"
        return
    yield click.style(f"{old} → {new}", bold=True)
    yield (
        f"files: {_counts(found.files)}"
        if found.files
        else f"files: same ({counted(found.new.files, 'file')})"
    )
    yield from _paths(found.files)
    yield from _rows(found, old, new)
    if found.columns or found.rows is None or not found.rows.same_columns:
        yield from _fields("columns", found.columns)
    yield from _fields("manifest", _not_of_rows(found), found.columns)
    if found.profile in ((ADDED,), (REMOVED,)):
        yield f"profile: {found.profile[0]}"
    elif lines := profile_lines(found.profile, found.fields):
        yield from ("profile:", *(f"  {line}" for line in lines))
    if found.documents:
        yield f"documents and code: {_counts(found.documents)}"
        yield from _paths(found.documents)


def _rows(found: Difference, old: str, new: str) -> Iterator[str]:
    """The rows of the tables that changed, with a few of them where the data is not personal."""
    if found.rows is not None:
        yield from rows_lines(found.rows, named=not _are_named(found))
    elif found.no_rows:
        yield f"rows: not compared, {found.no_rows}"
        if found.on_demand:
            yield f"  datakeep diff {old} {new} --rows compares them"


def _not_of_rows(found: Difference) -> tuple[FieldChange, ...]:
    """The fields but for how many rows there are, where that was said of the tables."""
    if found.rows is None:
        return found.fields
    told = (found.rows.old_rows, found.rows.new_rows)
    return tuple(one for one in found.fields if one.path not in _ROWS or (one.before, one.after) != told)


def _are_named(found: Difference) -> bool:
    """Whether the changes of the data dictionary name every column that the tables do not share."""
    told, rows = {one.path for one in found.columns}, found.rows
    differing = (*rows.columns_added, *rows.columns_removed, *rows.types_changed) if rows else ()
    return all({f"columns.{one[0]}", f"columns.{one[0]}.type"} & told for one in differing)


def _counts(files: FileChanges) -> str:
    return f"{len(files.added):,} added, {len(files.removed):,} removed, {len(files.changed):,} changed"


def _paths(files: FileChanges) -> Iterator[str]:
    yield from some(files.added, mark="+")
    yield from some(files.removed, mark="-")
    yield from some(files.changed, mark="~")


def _fields(
    head: str, changes: tuple[FieldChange, ...], beside: tuple[FieldChange, ...] = ()
) -> Iterator[str]:
    if not changes:
        yield f"{head}: same"
        return
    yield f"{head}:"
    for change in telling(changes, beside):
        yield f"  {str(change).removeprefix('columns.')}"


def _data(found: Difference) -> dict[str, Any]:
    return {
        "old": f"{found.old.dataset}@{found.old.version}",
        "new": f"{found.new.dataset}@{found.new.version}",
        "same": found.is_same,
        "files": _file_data(found.files),
        "columns": _field_data(found.columns),
        "fields": _field_data(found.fields),
        "rows": found.rows.to_dict() if found.rows else None,
        "rows_not_compared": found.no_rows or None,
        "documents": _file_data(found.documents),
        "profile": list(found.profile),
    }


def _file_data(files: FileChanges) -> dict[str, list[str]]:
    return {"added": files.added, "removed": files.removed, "changed": files.changed}


def _field_data(changes: tuple[FieldChange, ...]) -> list[dict[str, Any]]:
    return [{"path": change.path, "before": change.before, "after": change.after} for change in changes]
