"""Bringing bad objects of a store back from a store that has them whole. Never deletes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from datakeep.formats.inventory import Inventory
from datakeep.store.copying import copy_objects
from datakeep.store.dvc_format import object_key, tree_object
from datakeep.store.ingest import put_bytes
from datakeep.store.quarantine import quarantine
from datakeep.store.verified import find_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.store.checking import Expected
    from datakeep.store.interface import Store
    from datakeep.workflows.keep import Keep


def mend(
    keep: Keep, store: Store, dataset: str, bad: Sequence[Expected], inventories: Sequence[Inventory]
) -> set[str]:
    """The names of those of ``bad`` that ``store`` has whole now, copied from another store and re-verified.

    Raises:
        NoSpace, AccessDenied, StoreUnreachable: Of the store.
    """
    sources = [other for other in keep.stores() if other.name != store.name]
    wanted = {item.name for item in bad}
    rows = {file.md5.hex(): file for inventory in inventories for file in inventory.files}
    files = {name: rows[name] for name in wanted if name in rows}
    for item in bad:
        quarantine(store, dataset, object_key(dataset, item.name), item.name)
    unavailable: set[str] = set()
    if files:
        report = copy_objects(Inventory.of(files.values()), sources, store, dataset, keep.progress)
        paths = {line.partition(": ")[0] for line in report.unavailable}
        unavailable = {name for name, file in files.items() if file.path in paths}
    mended = files.keys() - unavailable
    for item in bad:
        if item.name not in files and (
            _mend_small(store, dataset, item, sources) or _make_listing(store, dataset, item, inventories)
        ):
            mended.add(item.name)
    return set(mended)


def _mend_small(store: Store, dataset: str, item: Expected, sources: Sequence[Store]) -> bool:
    """A listing or an inventory: small, and known by what the version says of it."""
    found = find_object(
        item.name, sources, dataset, sha256=item.sha256, limit_bytes=item.size_bytes, what=item.path
    )
    if found.data is None:
        return False
    put_bytes(found.data, [store], dataset, directory=item.name.endswith(".dir"))
    return True


def _make_listing(store: Store, dataset: str, item: Expected, inventories: Sequence[Inventory]) -> bool:
    """A listing that no store has is made anew of the inventory: it is the same bytes."""
    if not item.name.endswith(".dir"):
        return False
    for inventory in inventories:
        data = tree_object(inventory)
        if hashlib.sha256(data).digest() == item.sha256:
            put_bytes(data, [store], dataset, directory=True)
            return True
    return False
