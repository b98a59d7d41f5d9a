"""Which stores take a new version: all that can, unless a person leaves one out this time."""

from __future__ import annotations

import contextlib
import shlex
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, Conflict, NoSpace, StoreUnreachable
from datakeep.formats.keep import KeepFile
from datakeep.workflows.keep import KEEP_FILE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from datakeep.formats.keep import StoreEntry
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.store.interface import Store
    from datakeep.workflows.keep import Keep


def takers(keep: Keep, before: VersionEntry | None, without: Sequence[str]) -> list[Store]:
    """The stores that a new version goes to, made sure to take bytes.

    Args:
        keep: The keep.
        before: The version whose bytes, or whose bundle, the new one needs as well: a store that does not hold
            that one would not hold the new one either. None where all the bytes are sent.
        without: Stores that are left out.

    Raises:
        UnknownName, UsageError: ``without`` names a store that is not there, or all of them.
        StoreUnreachable: A store cannot be used; or none of them holds ``before``, of the dvc backend.
        AccessDenied: One does not take bytes.
    """
    stores = keep.writable_stores(without)
    if before is None:
        return stores
    holding = keep.holding(before)
    found = [store for store in stores if store.name in holding]
    if not found and before.manifest.get("backend") != "git":
        raise StoreUnreachable(
            f"the bytes of {before.dataset}@{before.version} lie in "
            f"{', '.join(holding) or 'no store of the keep'}, and in none of {_names(stores)}",
            next_step=f"fill one of them first: {fill_command(keep, stores[0].name)}",
        )
    return found


def _names(stores: Sequence[Store]) -> str:
    return ", ".join(store.name for store in stores)


@contextlib.contextmanager
def way_out(keep: Keep, without: Collection[str]) -> Iterator[None]:
    """A block whose error about a store says that the version can do without it, if there is another one."""
    try:
        yield
    except (StoreUnreachable, AccessDenied, NoSpace) as error:
        left = [store for store in keep.stores() if store.name not in without]
        blamed = next((store.name for store in left if str(store) in error.what), None)
        if blamed is None or len(left) < 2:
            raise
        raise type(error)(
            error.what,
            next_step=f"{error.next_step}, or leave it out this time: --without-store {blamed}; "
            f"{fill_command(keep, blamed)} fills it later",
            things=error.things,
        ) from error


def say_what_lacks(keep: Keep, entry: VersionEntry) -> None:
    """A note of each store that does not have the new version, and of what fills it."""
    holding = keep.holding(entry)
    for store in keep.file.vault.stores:
        if store.name not in holding:
            keep.progress.note(
                f"store {store.name} does not have {entry.dataset}@{entry.version}; "
                f"once it can be used: {fill_command(keep, store.name)}"
            )


def fill_command(keep: Keep, name: str) -> str:
    """What to type to fill the store ``name`` with every version that it lacks."""
    store = next(store for store in keep.file.vault.stores if store.name == name)
    return f"datakeep vault add {name} {shlex.quote(_typed(store))}"


def _typed(store: StoreEntry) -> str:
    """The store's place as one types it."""
    options = (("endpoint_url", store.endpoint_url), ("region", store.region))
    query = "&".join(f"{key}={value}" for key, value in options if value)
    return f"{store.url}?{query}" if query else store.url


def require_same_stores(keep: Keep, tree: KeepTree, names: Sequence[str]) -> None:
    """The stores that took the bytes are the keep's still, where they were: an entry names them for ever.

    Raises:
        Conflict: One was removed or moved; another place may have its name by now.
    """
    text = tree.read(KEEP_FILE)
    stores = KeepFile.read(text, what=KEEP_FILE).vault.stores if text else []
    now = {store.name: (store.url, store.endpoint_url) for store in stores}
    for store in keep.file.vault.stores:
        if store.name in names and now.get(store.name) != (store.url, store.endpoint_url):
            raise Conflict(
                f"store {store.name} was removed from the keep, or moved, while the bytes went there",
                next_step="run the same command again; it uses the stores that the keep has now",
            )
