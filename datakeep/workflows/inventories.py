"""Getting the inventory of a registered version, checked against its register entry."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from datakeep.core.digests import sha256_id
from datakeep.core.errors import DamagedBytes
from datakeep.formats.inventory import Inventory
from datakeep.store import dvc_format
from datakeep.store.fetch import fetch_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.formats.version import VersionEntry
    from datakeep.store.interface import Store
    from datakeep.workflows.keep import Keep

INVENTORY = "inventory.parquet"
#: No inventory is larger than this.
MAX_SIZE_BYTES = 8 << 30


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
    return checked(data, entry)


def from_pointer(pointer: bytes, entry: VersionEntry, stores: Sequence[Store]) -> bytes:
    """The inventory that a ``.dvc`` file points to, from the first store that has it whole."""
    what = f"{INVENTORY}.dvc of {entry.dataset}@{entry.version}"
    parsed = dvc_format.parse_pointer_file(pointer, what=what)
    sha256 = bytes.fromhex(entry.inventory.removeprefix("sha256:"))
    of = f"the inventory of {entry.dataset}@{entry.version}"
    return fetch_object(parsed.md5, stores, entry.dataset, sha256=sha256, limit_bytes=MAX_SIZE_BYTES, what=of)


def checked(data: bytes | None, entry: VersionEntry) -> Inventory:
    """``data`` as the inventory of ``entry``, if it is the one that was registered.

    Raises:
        DamagedBytes: It is not.
    """
    what = f"the inventory of {entry.dataset}@{entry.version}"
    if data is None or sha256_id(data) != entry.inventory:
        said = "is missing" if data is None else "is not the one that was registered"
        raise DamagedBytes(
            f"{what} {said}", next_step=f"datakeep verify {entry.dataset}@{entry.version} tells who must act"
        )
    return Inventory.from_bytes(data, what=what)


def path_list_id(paths: Sequence[str]) -> str:
    """The digest of a list of paths: sha256 of the sorted paths, one per line."""
    lines = "".join(f"{path}\n" for path in sorted(paths))
    return f"sha256:{hashlib.sha256(lines.encode('utf-8')).hexdigest()}"
