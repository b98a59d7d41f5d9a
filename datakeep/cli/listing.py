"""``datakeep list``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from datakeep.cli.session import Answer, Session, size, table
from datakeep.cli.session import command as answering
from datakeep.cli.tampered_lines import distrusted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.workflows.listing import Listed

_MAX_PURPOSE = 60
_TOLD = ("register/", "proofs/")


@answering(name="list")
def command(session: Session) -> Answer:
    r"""List the datasets of the keep, and who has proven that they can carry each on.

    Exit code 3: an entry or a proof was changed or deleted since it was recorded.

    \b
    Example:
      datakeep list
    """
    from datakeep.workflows.listing import list_datasets
    from datakeep.workflows.written_once import changed_below

    keep = session.keep()
    return distrusted(
        _answer(keep.name, list_datasets(keep, now=datetime.now(UTC))), changed_below(keep, *_TOLD)
    )


def _answer(keep: str, found: Sequence[Listed]) -> Answer:
    data = {"keep": keep, "datasets": [_data(one) for one in found]}
    if not found:
        return Answer(data, [f"{keep} has no dataset yet", "next: datakeep register NAME SOURCE…"])
    head = ("NAME", "VERSION", "OWNER", "FILES", "SIZE", "PROOF", "PURPOSE")
    lines = table((_row(one) for one in found), head=head)
    return Answer(data, [*lines, "", f"next: datakeep show {found[0].name}"])


def _row(one: Listed) -> tuple[object, ...]:
    later = ", failed since" if one.failed_since else ""
    return (
        one.name,
        one.version,
        f"{one.owner} (departed)" if one.owner_departed else one.owner,
        f"{one.files:,}",
        size(one.size_bytes),
        f"proven by {one.proven_by}{later}" if one.state == "proven" else one.state,
        one.purpose if len(one.purpose) <= _MAX_PURPOSE else one.purpose[: _MAX_PURPOSE - 1] + "…",
    )


def _data(one: Listed) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "owner": one.owner,
        "owner_departed": one.owner_departed.isoformat() if one.owner_departed else None,
        "files": one.files,
        "size_bytes": one.size_bytes,
        "purpose": one.purpose,
        "backend": one.backend,
        "registered_at": one.registered_at.isoformat(),
        "proof": one.state,
        "proven_by_others": one.proven_by,
        "failed_since": one.failed_since,
        "unreadable_versions": list(one.unreadable),
    }
