"""From a store's URL in ``keep.yaml`` to a store: the one place that knows which kinds there are."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from datakeep.core.errors import UsageError
from datakeep.core.secrets import strip_url
from datakeep.store.folder import FolderStore
from datakeep.store.interface import Marker
from datakeep.store.location import is_bucket, locate, scheme_of, split_url
from datakeep.store.server_location import locate_server

if TYPE_CHECKING:
    from datakeep.store.file_server import FileServer
    from datakeep.store.interface import Store
    from datakeep.store.server_location import ServerLocation


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
        url: An absolute folder, ``file:///folder``, ``s3://bucket/prefix``, ``gs://…`` or ``az://…``, of which a
            bucket's may end in ``?endpoint_url=…&region=…``, which then win; or ``ssh://host/path``,
            ``webdavs://…`` and whatever else DVC knows.
        endpoint_url: Of an object store that is not its provider's own.
        region: Where an object store lies.
        profile: Of AWS's configuration files, for S3; by default the environment's.
        connections: To a bucket or a server, at most.

    Raises:
        Unsupported: Neither datakeep nor DVC has a store of this kind.
        UsageError: The folder is not absolute, or the URL has a typo.
    """
    plain, own_endpoint, own_region = split_url(url)
    endpoint_url, region = own_endpoint or endpoint_url, own_region or region
    if not is_bucket(plain) and (endpoint_url or region):
        what = "a folder" if scheme_of(plain) in (None, "file") else "no bucket"
        raise UsageError(
            f"store {name!r} ({strip_url(plain)}) is {what}; it has no endpoint_url and no region",
            next_step="leave them out, or write the store's url as s3://BUCKET/PREFIX",
        )
    if scheme_of(plain) in (None, "file"):
        return FolderStore(name, folder_of(plain, name=name), url=plain)
    if not is_bucket(plain):
        return _on_server(name, plain, connections)
    location = locate(name, plain, endpoint_url, region)
    from datakeep.store.object_store import CONNECTIONS, BucketStore

    return BucketStore(name, location, url=plain, profile=profile, connections=connections or CONNECTIONS)


def _on_server(name: str, url: str, connections: int | None) -> Store:
    location = locate_server(name, url)
    from datakeep.store.server_store import CONNECTIONS, ServerStore

    connect = partial(_server, location)
    return ServerStore(name, location, connect, url=url, connections=connections or CONNECTIONS)


def _server(location: ServerLocation) -> FileServer:
    """What speaks to a server; that its package is missing makes a store unusable, not a whole keep."""
    from datakeep.store.library import require_package

    require_package(location)
    if location.scheme == "ssh":
        from datakeep.store.ssh_server import SshServer

        return SshServer(location)
    if location.scheme in ("webdav", "webdavs"):
        from datakeep.store.webdav_server import WebDavServer

        return WebDavServer(location)
    from datakeep.store.library_server import LibraryServer, WebServer

    return WebServer(location) if location.scheme in ("http", "https") else LibraryServer(location)


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
        Unsupported: Neither datakeep nor DVC has a store of this kind.
        PackageMissing: DVC has one, whose package is not installed.
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
