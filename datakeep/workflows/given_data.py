"""The data that a training on the user's machine is given: read-only, verified, kept by its content.

Versions with the same content share one folder below ``.datakeep/``, which can be deleted at any time. Each
use holds every file against the inventory, as ``status`` does; a folder that was changed is made anew.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from datakeep.core.errors import DamagedBytes, DatakeepError
from datakeep.core.names import NAME
from datakeep.repository import foreign
from datakeep.repository.keep import PRIVATE_FOLDER
from datakeep.store.faults import folder_faults
from datakeep.store.rehash import rehash
from datakeep.store.state import HashState
from datakeep.store.unchanged import Seal
from datakeep.workflows.checkout import staging_folder
from datakeep.workflows.inventories import INVENTORY, checked, load_inventory
from datakeep.workflows.transfer import clone_limits, transfer

if TYPE_CHECKING:
    from datakeep.formats.inventory import Inventory
    from datakeep.formats.version import VersionEntry
    from datakeep.store.unchanged import RehashReport
    from datakeep.workflows.keep import Keep

FOLDER = "given"
#: Where :func:`provide` puts the data of a content id, on whichever machine; as a part of a pattern.
PLACE = rf"/{re.escape(PRIVATE_FOLDER)}/{FOLDER}/(?P<dataset>{NAME.pattern})/(?P<content>[0-9a-f]{{64}})"
_READ_ONLY_FILE, _READ_ONLY_FOLDER = 0o444, 0o555


@dataclass(frozen=True, slots=True)
class Given:
    """One version, on this machine.

    Attributes:
        entry: The version.
        inventory: What its data folder holds.
        data: The folder, without links in its path.
        fetched: False where it was there already, whole.
    """

    entry: VersionEntry
    inventory: Inventory
    data: Path
    fetched: bool

    @property
    def label(self) -> str:
        """``orders@v3``."""
        return f"{self.entry.dataset}@{self.entry.version}"


def provide(keep: Keep, entry: VersionEntry) -> Given:
    """The data of a version, every byte of it known to be the registered one, where nothing may be written.

    Raises:
        DamagedBytes: Files are whole in no store.
        StoreUnreachable, AccessDenied, NoSpace: Of the vault, or of the keep's cache.
    """
    parent = keep.cache(FOLDER, entry.dataset)
    place = parent / entry.content.removeprefix("sha256:")
    inventory = _kept_inventory(place, entry) or load_inventory(keep, entry)
    with folder_faults(parent, "write to it"):
        parent.mkdir(parents=True, exist_ok=True)
    # Whoever finds it changed makes it anew, and must not do so while another makes it.
    with FileLock(parent / f"{place.name}.lock"):
        fetched = not _is_whole(keep, entry, inventory, place / "data")
        if fetched:
            _build(keep, entry, place)
        _protect(place / "data")
    return Given(entry, inventory, (place / "data").resolve(), fetched)


def _inventory_file(place: Path, entry: VersionEntry) -> Path:
    """Beside the data; versions of the same data may have splits of their own."""
    return place / f"{entry.inventory.removeprefix('sha256:')}.parquet"


def _kept_inventory(place: Path, entry: VersionEntry) -> Inventory | None:
    """The inventory from an earlier use, so that a second one asks no store for anything; its digest proves it."""
    try:
        return checked(_inventory_file(place, entry).read_bytes(), entry, by_digest=True)
    except (OSError, DatakeepError):
        return None


def _is_whole(keep: Keep, entry: VersionEntry, inventory: Inventory, data: Path) -> bool:
    if not data.is_dir():
        return False
    found = _look(keep, entry, inventory, data)
    if not found.is_whole:
        keep.progress.warn(f"{data} was changed since it was fetched, so it is fetched again")
    return found.is_whole


def _look(keep: Keep, entry: VersionEntry, inventory: Inventory, data: Path) -> RehashReport:
    states = keep.cache("state")
    seal = Seal(states, data, entry.content)
    return seal.report() or rehash(data, inventory, keep.progress, state=HashState(states, data), seal=seal)


def changed_since(keep: Keep, given: Given) -> tuple[str, ...]:
    """What of the data is no more what it was when it was provided, one line each; nobody should have done that."""
    try:
        if not given.data.is_dir():
            return (f"{given.data}: removed",)
        found = _look(keep, given.entry, given.inventory, given.data)
    except DatakeepError as error:  # the training has ended: its record is worth more
        return (f"{given.data}: {error.what}",)
    except OSError as error:
        return (f"{given.data}: {error.strerror}",)
    return (
        *(f"{path}: removed" for path in found.missing),
        *(f"{path}: changed" for path in found.mismatched),
        *(f"{path}: added" for path in found.stray),
    )


def _build(keep: Keep, entry: VersionEntry, place: Path) -> None:
    """The data at ``place``, made beside it, so that a kill leaves nothing half there under its name."""
    repository = keep.dataset_repository(entry.dataset)
    with staging_folder(place.parent, entry.dataset, entry.commit) as staging:
        keep.progress.stage(f"fetching {entry.dataset}@{entry.version}")
        clone = staging / "checkout"
        foreign.clone(
            str(repository.cache), clone, commit=entry.commit, tag=entry.version,
            access=foreign.Access(allow_file=repository.cache), limits=clone_limits(entry),
        )  # fmt: skip
        done = transfer(keep, entry, clone)
        for line in done.repaired:
            keep.progress.warn(line)
        if not done.is_whole:
            raise DamagedBytes(
                f"{entry.dataset}@{entry.version} is not whole: {done.summary}",
                next_step=f"datakeep fsck {entry.dataset} --repair",
                things=done.evidence,
            )
        with folder_faults(place, "write to it"):
            remove(place)
            place.mkdir(parents=True)
            (clone / "data").mkdir(exist_ok=True)
            (clone / "data").rename(place / "data")
            (clone / INVENTORY).rename(_inventory_file(place, entry))


def _protect(data: Path) -> None:
    """Nothing in the folder may be written by accident; whoever owns it, or is root, still could."""
    if data.stat().st_mode & 0o777 == _READ_ONLY_FOLDER:
        return
    for root, _, names in os.walk(data, topdown=False):
        for name in names:
            Path(root, name).chmod(_READ_ONLY_FILE)
        Path(root).chmod(_READ_ONLY_FOLDER)


def remove(place: Path) -> None:
    """The folder is gone, read-only as it is."""
    for root, _, _ in os.walk(place):
        Path(root).chmod(0o700)
    shutil.rmtree(place, ignore_errors=True)
