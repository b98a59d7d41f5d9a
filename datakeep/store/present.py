"""What a far store already has: one listing answers for a thousand objects, a question each for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.store.interface import Capability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.store.interface import Store

#: A listing is read on while it is shorter than so many objects for each that is wanted; then asking is cheaper.
_LISTED_PER_WANTED = 20
_LISTED_AT_LEAST = 2000


def listed(store: Store, dataset: str, wanted: int) -> dict[str, int] | None:
    """Key and size in bytes of all objects of ``dataset``; None where ``size_of`` is the cheaper way.

    Args:
        store: Asked only if it is not local.
        dataset: The dataset's name.
        wanted: How many objects the caller has in mind.
    """
    if Capability.LOCAL in store.capabilities:
        return None
    found: dict[str, int] = {}
    for key, size_bytes in store.list(f"{dataset}/files/md5"):
        if len(found) >= max(_LISTED_AT_LEAST, wanted * _LISTED_PER_WANTED):
            return None
        found[key] = size_bytes
    return found


def connections_to(stores: Sequence[Store]) -> int | None:
    """How many threads may use all of ``stores`` at once; None if none of them is far."""
    return min((store.connections for store in stores if store.connections is not None), default=None)
