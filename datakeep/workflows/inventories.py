"""Getting the inventory of a registered version, checked against its register entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.digests import sha256_id
from datakeep.core.errors import DamagedBytes
from datakeep.store import dvc_format
from datakeep.store.verified import fetch_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.formats.inventory import Inventory
    from datakeep.formats.version import VersionEntry
    from datakeep.store.interface import Store
    from datakeep.workflows.keep import Keep

INVENTORY = "inventory.parquet"
#: No inventory is larger than this.
_MAX_SIZE_BYTES = 8 << 30
#: What surrounds the rows; and the longest path, two digests, size and split, with room to spare.
_FIXED_BYTES = 1 << 20
_ROW_BYTES = 5000


def load_inventory(keep: Keep, entry: VersionEntry) -> Inventory:
    """The inventory of a registered version, from its repository in the vault and the stores.

    Raises:
        DamagedBytes: It is missing, or not the one that was registered.
        StoreUnreachable, AccessDenied: The vault does not answer.
    """
    repository = keep.dataset_repository(entry.dataset)
    if entry.commit not in repository.tags().values():
        repository.fetch()
    if entry.manifest.get("backend") == "git":
        data = repository.read(entry.commit, INVENTORY)
    else:
        pointer = repository.read(entry.commit, f"{INVENTORY}.dvc")
        data = pointer and from_pointer(pointer, entry, keep.stores_of(entry))
    # Its digest proves it. That the entry says the same of it is asked where bytes are handed over.
    return checked(data, entry, by_digest=True)


def limit_of(entry: VersionEntry) -> int:
    """The bytes that an inventory of so many files cannot exceed; more are refused, not read into memory."""
    return min(_MAX_SIZE_BYTES, _FIXED_BYTES + entry.files * _ROW_BYTES)


def from_pointer(pointer: bytes, entry: VersionEntry, stores: Sequence[Store]) -> bytes:
    """The inventory that a ``.dvc`` file points to, from the first store that has it whole."""
    what = f"{INVENTORY}.dvc of {entry.dataset}@{entry.version}"
    parsed = dvc_format.parse_pointer_file(pointer, what=what)
    sha256 = bytes.fromhex(entry.inventory.removeprefix("sha256:"))
    of = f"the inventory of {entry.dataset}@{entry.version}"
    return fetch_object(
        parsed.md5, stores, entry.dataset, sha256=sha256, limit_bytes=limit_of(entry), what=of
    )


def checked(data: bytes | None, entry: VersionEntry, *, by_digest: bool = False) -> Inventory:
    """``data`` as the inventory of ``entry``, if it is the one that was registered.

    Args:
        data: The file; None if there is none.
        entry: The version.
        by_digest: Its digest is enough; else the content id, counts and sizes of the entry are computed too.

    Raises:
        DamagedBytes: It is not, or the entry says something else of it than it says itself.
        HostileRepository: It names a path that could harm this machine.
    """
    what = f"the inventory of {entry.dataset}@{entry.version}"
    if data is None or sha256_id(data) != entry.inventory:
        said = "is missing" if data is None else "is not the one that was registered"
        raise DamagedBytes(
            f"{what} {said}", next_step=f"datakeep verify {entry.dataset}@{entry.version} tells who must act"
        )
    from datakeep.formats.inventory import Inventory  # late: a question that needs no list needs no Arrow

    inventory = Inventory.from_bytes(data, what=what)
    if by_digest:
        return inventory
    found = (len(inventory), inventory.size_bytes, inventory.content_id())
    if found != (entry.files, entry.size_bytes, entry.content):
        raise DamagedBytes(
            f"{what} lists {counted(found[0], 'file')} of {counted(found[1], 'byte')}, content {found[2]}; "
            "its register entry says "
            f"{counted(entry.files, 'file')} of {counted(entry.size_bytes, 'byte')}, content {entry.content}",
            next_step=f"ask {entry.registered_by}, who registered it: the entry contradicts its inventory",
        )
    return inventory
