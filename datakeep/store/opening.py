"""From a store's URL in ``keep.yaml`` to a store: the one place that knows which kinds there are."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from datakeep.core.errors import Unsupported, UsageError
from datakeep.core.secrets import strip_url
from datakeep.store.folder import FolderStore
from datakeep.store.interface import Marker

if TYPE_CHECKING:
    from datakeep.store.interface import Store

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):/")


def open_store(name: str, url: str, *, endpoint_url: str | None = None, region: str | None = None) -> Store:
    """The store at ``url``; it is not looked at before it is used (see :meth:`Store.check`).

    Args:
        name: What the keep calls it.
        url: An absolute folder, or ``file:///folder``.
        endpoint_url: For object stores other than their provider's own; not used by folders.
        region: Where an object store lies; not used by folders.

    Raises:
        Unsupported: This version has no store of this kind.
        UsageError: The folder is not absolute.
    """
    scheme = _SCHEME.match(url)
    if (scheme and scheme[1].lower() != "file") or endpoint_url or region:
        kind = scheme[1] if scheme else "object"
        raise Unsupported(
            f"store {name!r} ({strip_url(url)}): this version keeps bytes in folders (a disk, a NAS, any "
            f"mounted share) and knows no {kind} stores yet",
            next_step="give an absolute folder or a file:// URL as the store's url",
        )
    return FolderStore(name, folder_of(url, name=name), url=url)


def create_store(name: str, url: str, *, keep: str, now: datetime | None = None) -> Store:
    """Make the store at ``url`` for the keep of this name; an existing one of the same keep is left as it is.

    Raises:
        StoreMissing: The folder's parent is not there.
        StoreUnmarked: It is the store of another keep.
        AlreadyExists: The folder holds something else.
        AccessDenied: It may not be made.
        Unsupported: This version has no store of this kind.
    """
    store = open_store(name, url)
    store.create(Marker(keep=keep, created=now or datetime.now(UTC)))
    return store


def folder_of(url: str, *, name: str) -> Path:
    """The folder that a path or a ``file://`` URL means.

    Raises:
        UsageError: It is not absolute, or a ``file://`` URL of another host.
    """
    folder, host = url, ""
    if url.lower().startswith("file:"):
        parts = urlsplit(url)
        folder, host = unquote(parts.path), parts.netloc
    if host not in ("", "localhost") or not folder.startswith("/") or "\0" in folder:
        raise UsageError(
            f"store {name!r} ({strip_url(url)}) is not an absolute folder of this machine",
            next_step="give a folder that begins with '/'",
        )
    return Path(folder)
