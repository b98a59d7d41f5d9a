"""``status NAME``: how a checkout stands to the register. Absent content is never clean.

It is asked often, and mostly of what did not change: what only another answer needs is loaded when it is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.repository import working
from datakeep.store.unchanged import Seal

if TYPE_CHECKING:
    from pathlib import Path

    from datakeep.formats.version import VersionEntry
    from datakeep.store.unchanged import RehashReport
    from datakeep.workflows.keep import Keep


@dataclass(frozen=True, slots=True)
class CheckoutStatus:
    """How a checkout stands to the version that it shows.

    Attributes:
        entry: The version that its files were held against.
        path: Its folder.
        found: What a look at every file found; None if there is no data at all.
        documents: Other files of the repository that are changed and not committed.
        notes: What else differs, such as a commit that is no registered version.
    """

    entry: VersionEntry
    path: Path
    found: RehashReport | None
    documents: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether exactly the registered files are there, read now or unchanged since, and nothing else differs."""
        return self.found is not None and self.found.is_whole and not (self.documents or self.notes)


def checkout_status(
    keep: Keep, reference: str, folder: Path | None = None, *, deep: bool = False
) -> CheckoutStatus:
    """How a checkout stands to the register; its files are read, but for those unchanged since they were.

    Args:
        keep: The keep.
        reference: ``NAME``, held against the version that the checkout shows, or ``NAME@V``.
        folder: The checkout; by default ``datasets/NAME`` of the keep.
        deep: Read every byte, whatever was hashed before.

    Raises:
        UnknownName: There is no such dataset or version.
        DamagedBytes, StoreUnreachable: The inventory cannot be had.
    """
    resolved = keep.resolve(reference)
    place = folder.resolve() if folder else keep.root / "datasets" / resolved.name
    head = working.head_of(place)
    entry = keep.readable_entry(reference)
    notes: list[str] = []
    if head and "@" not in reference and head != entry.commit:
        entry = keep.at_commit(resolved.name, head) or entry
    if head and head != entry.commit:
        notes.append(f"it is at commit {head[:12]}, not that of {entry.dataset}@{entry.version}")
    if head is None or not (place / "data").is_dir():
        documents = _documents(place) if head else ()
        return CheckoutStatus(entry, place, None, documents, tuple(notes))
    seal = Seal(keep.cache("state"), place / "data", entry.content)
    found = None if deep else seal.report()
    if found is None:
        found = _rehashed(keep, entry, place / "data", seal, deep=deep)
    return CheckoutStatus(entry, place, found, _documents(place), tuple(notes))


def _rehashed(keep: Keep, entry: VersionEntry, data: Path, seal: Seal, *, deep: bool) -> RehashReport:
    from datakeep.store.rehash import rehash
    from datakeep.store.state import HashState
    from datakeep.workflows.inventories import load_inventory

    state = None if deep else HashState(keep.cache("state"), data)
    return rehash(data, load_inventory(keep, entry), keep.progress, state=state, seal=seal)


def _documents(place: Path) -> tuple[str, ...]:
    return tuple(path for path in working.uncommitted(place) if not path.startswith("data/"))
