"""How the changes between two versions are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datakeep.core.changes import ADDED, REMOVED, rows_line, telling
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from datakeep.cli.session import Session
    from datakeep.core.changes import FieldChange
    from datakeep.workflows.update_changes import Changes

_SHOWN = 5
_PROFILE = {ADDED: "a profile of the tables", REMOVED: "no profile of the tables any more"}


def change_lines(changes: Changes) -> list[str]:
    """One line per kind of change, with the first files by name."""
    files = changes.files
    lines = [f"{changes.before} → {changes.after}"]
    if not changes:
        return [*lines, "  same: nothing differs"]
    for word, paths in (("added", files.added), ("removed", files.removed), ("changed", files.changed)):
        if paths:
            lines.append(f"  {counted(len(paths), 'file')} {word}: {_some(paths)}")
    if not files:
        lines.append("  the same bytes")
    lines += [f"  {change}" for change in telling(changes.fields)]
    lines += [
        f"  {_PROFILE.get(line, f'profile, {line}')}"
        for line in profile_lines(changes.profile, changes.fields)
    ]
    if changes.documents:
        lines.append(f"  documents and code: {_some(changes.documents)}")
    return lines


def profile_lines(profile: Sequence[str], fields: Iterable[FieldChange]) -> list[str]:
    """What differs in the profile, but its rows where the manifest's contents say the same of them."""
    told = [
        rows_line(one.before, one.after) for one in fields if one.path == "contents.rows" if _is_both(one)
    ]
    return [line for line in profile if line not in told]


def _is_both(change: FieldChange) -> bool:
    return None not in (change.before, change.after)


def _some(paths: Sequence[str]) -> str:
    more = f" … and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more


def show_changes(session: Session, changes: Changes) -> None:
    """Show what is about to be published, while the command is at work."""
    for line in change_lines(changes):
        session.progress.note(line)


def change_data(changes: Changes) -> dict[str, Any]:
    """The same for ``--json``."""
    return {
        "before": changes.before,
        "after": changes.after,
        "files": {
            "added": changes.files.added,
            "removed": changes.files.removed,
            "changed": changes.files.changed,
        },
        "fields": [
            {"path": change.path, "before": change.before, "after": change.after} for change in changes.fields
        ],
        "documents": list(changes.documents),
        "profile": list(changes.profile),
    }
