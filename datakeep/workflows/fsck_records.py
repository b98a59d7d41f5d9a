"""The records of ``fsck``: that what is written once is as it was written, and agrees with what it tells of."""

from __future__ import annotations

from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING

from datakeep.workflows.contradictions import of_inventory
from datakeep.workflows.fsck_report import Complaint
from datakeep.workflows.tampering import behind_everything

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.formats.inventory import Inventory
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.fsck_report import Fsck
    from datakeep.workflows.keep import Keep

_SHOWN_EVIDENCE = 4


def check_records(keep: Keep, entries: Sequence[VersionEntry], found: Fsck, *, now: float) -> None:
    """Complain of entries, records and proofs that were changed, whichever versions are looked at.

    Args:
        keep: The keep.
        entries: The versions that are looked at, whose proofs are weighed.
        found: Takes the complaints.
        now: Seconds since 1970.
    """
    for one in behind_everything(keep, entries, now=datetime.fromtimestamp(now, UTC)):
        evidence = f" ({'; '.join(one.evidence[:_SHOWN_EVIDENCE])})" if one.evidence else ""
        found.complaints.append(Complaint("the keep", f"{one.what}{evidence}", one.next_step))
    for path in keep.strays:
        folder = path.rpartition("/")[0]
        step = f"git -C {quote(str(keep.root))} log -- {quote(folder)} tells whose it is; git mv or git rm it"
        what = f"{path} is in no answer: {folder.rpartition('/')[2]!r} cannot be the name of a dataset"
        found.complaints.append(Complaint("the keep", what, step))


def check_inventory(entry: VersionEntry, inventory: Inventory, found: Fsck) -> None:
    """Complain where an entry says something else of its inventory than that says itself."""
    step = f"ask {entry.registered_by}, who registered it"
    for line in of_inventory(entry, inventory):
        found.complaints.append(Complaint(f"{entry.dataset}@{entry.version}", line, step))
