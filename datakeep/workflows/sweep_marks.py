"""The mark that ``gc`` leaves in a store before it deletes, and that every registration looks for.

An object that nothing refers to may be one that a registration has just found there, and does not send again. So
each registration notes the mark before it looks for objects, and compares it after its push: if it is another one,
objects may be gone, and the version is not entered. Run again, it sends what is missing.
"""

from __future__ import annotations

import json
import secrets
from contextlib import closing
from copy import copy
from typing import TYPE_CHECKING

from datakeep.core.errors import Conflict
from datakeep.store.interface import ObjectMissing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datakeep.store.interface import Store

MARK = "datakeep/gc.json"


def leave_mark(store: Store) -> float:
    """The store has a new mark; returns when, in seconds since 1970 by the store's own clock."""
    with closing(copy(store)) as own:
        own.put(MARK, [json.dumps({"gc": secrets.token_hex(16)}).encode("ascii")])
        own.sync()
        return next(listed.modified_s for listed in own.list_dated("datakeep") if listed.key == MARK)


def marks(stores: Sequence[Store]) -> dict[str, bytes | None]:
    """The mark of each store, by the store's name; None where ``gc`` never deleted."""
    return {store.name: _mark(store) for store in stores}


def _mark(store: Store) -> bytes | None:
    try:
        with closing(copy(store)) as own, own.open_read(MARK) as chunks:
            return b"".join(chunks)
    except ObjectMissing:
        return None


def require_unswept(stores: Sequence[Store], before: Mapping[str, bytes | None]) -> None:
    """No ``gc`` began to delete in ``stores`` since ``before`` was noted.

    Raises:
        Conflict: One did.
    """
    for store in stores:
        if store.name in before and _mark(store) != before[store.name]:
            raise Conflict(
                f"{store} was swept by datakeep gc while the bytes went there; nothing was registered",
                next_step="run the same command again: it sends what is missing now",
            )
