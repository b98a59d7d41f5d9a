"""From a store's URL in ``keep.yaml`` to a store: the one place that knows which kinds there are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from datakeep.core.errors import UsageError
from datakeep.core.secrets import strip_url
from datakeep.store.folder import FolderStore
from datakeep.store.interface import Marker
from datakeep.store.location import locate, scheme_of, split_url

if TYPE_CHECKING:
    from datakeep.store.interface import Store


def open_store(
    name: str,
    url: str,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    connections: int | None = None,
) -> Store:
    """The store at ``url``; it is not looked at before it is used (see :meth:`Store.check`).

    Args:
        name: What the keep calls it.
        url: An absolute folder, ``file:///folder``, ``s3://bucket/prefix``, ``gs://…`` or ``az://…``; an object
            store's may end in ``?endpoint_url=…&region=…``, which then win.
        endpoint_url: Of an object store that is not its provider's own.
        region: Where an object store lies.
        profile: Of AWS's configuration files, for S3; by default the environment's.
        connections: To an object store, at most.

    Raises:
        Unsupported: This version has no store of this kind.
        UsageError: The folder is not absolute, or the URL has a typo.
    """
    plain, own_endpoint, own_region = split_url(url)
    endpoint_url, region = own_endpoint or endpoint_url, own_region or region
    if scheme_of(plain) in (None, "file"):
        if endpoint_url or region:
            raise UsageError(
                f"store {name!r} ({strip_url(plain)}) is a folder; it has no endpoint_url and no region",
                next_step="leave them out, or write the store's url as s3://BUCKET/PREFIX",
            )
        return FolderStore(name, folder_of(plain, name=name), url=plain)
    location = locate(name, plain, endpoint_url, region)
    from datakeep.store.object_store import CONNECTIONS, BucketStore

    return BucketStore(name, location, url=plain, profile=profile, connections=connections or CONNECTIONS)


def create_store(
    name: str,
    url: str,
    *,
    keep: str,
    now: datetime | None = None,
    endpoint_url: str | None = None,
    region: str | None = None,
    profile: str | None = None,
) -> Store:
    """Make the store at ``url`` for the keep of this name; an existing one of the same keep is left as it is.

    Raises:
        StoreMissing: The folder's parent, or the bucket, is not there.
        StoreUnmarked: It is the store of another keep.
        AlreadyExists: The place holds something else.
        AccessDenied: It may not be made.
        Unsupported: This version has no store of this kind.
    """
    store = open_store(name, url, endpoint_url=endpoint_url, region=region, profile=profile)
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
