"""Where the bad bytes of an object that was mended are kept, for whoever looks into it: nothing is deleted."""

from __future__ import annotations

from contextlib import closing
from copy import copy
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError

if TYPE_CHECKING:
    from datakeep.store.interface import Store

#: Beside the dataset's objects.
QUARANTINE = "datakeep/quarantine"


def quarantine(store: Store, dataset: str, key: str, name: str) -> None:
    """Keep as ``name`` what ``store`` has there now, if it can be read; mending does not depend on it.

    Raises:
        StoreUnreachable, AccessDenied: The store does not answer: whether there is something to keep is not known,
            and nothing may be written over it.
    """
    for last in (False, True):
        try:
            with closing(copy(store)) as own, own.open_read(key) as chunks:
                own.put(f"{dataset}/{QUARANTINE}/{name}", chunks)
        except DatakeepError:
            # Missing or unreadable: there is nothing to keep. A store that was away for a moment is asked once more.
            if last or store.size_of(key) is None:
                return
        else:
            return
