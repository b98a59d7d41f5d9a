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
    """Keep as ``name`` what ``store`` has there now, if it can be read; mending does not depend on it."""
    try:
        with closing(copy(store)) as own, own.open_read(key) as chunks:
            own.put(f"{dataset}/{QUARANTINE}/{name}", chunks)
    except DatakeepError:
        return  # missing or unreadable: there is nothing to keep
