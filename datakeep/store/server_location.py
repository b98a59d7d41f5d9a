"""Where a store on a server is: a URL that DVC knows and no fast path takes, checked before it is connected to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from datakeep.core.errors import Unsupported, UsageError
from datakeep.core.names import nearest
from datakeep.core.secrets import strip_url


@dataclass(frozen=True, slots=True)
class Kind:
    """One scheme.

    Attributes:
        package: Through which DVC speaks to it.
        extra: Of datakeep, that brings the package; None where it is installed by its own name.
        port: Where its servers listen, unless told otherwise.
        words: What people call it.
    """

    package: str
    extra: str | None
    port: int | None
    words: str


KINDS: Final = {
    "ssh": Kind("dvc-ssh", "ssh", 22, "SSH"),
    "webdav": Kind("dvc-webdav", "webdav", 80, "WebDAV"),
    "webdavs": Kind("dvc-webdav", "webdav", 443, "WebDAV"),
    "http": Kind("dvc-http", None, 80, "HTTP"),
    "https": Kind("dvc-http", None, 443, "HTTP"),
    "hdfs": Kind("dvc-hdfs", None, 8020, "HDFS"),
    "webhdfs": Kind("dvc-webhdfs", None, 9870, "HDFS"),
    "gdrive": Kind("dvc-gdrive", None, None, "Google Drive"),
    "oss": Kind("dvc-oss", None, None, "Alibaba OSS"),
}
#: What other programs call the same.
_ALSO: Final = {
    "sftp": "ssh", "scp": "ssh", "dav": "webdav", "davs": "webdavs", "dav+https": "webdavs", "drive": "gdrive",
}  # fmt: skip
#: How bucket stores are called, for who mistyped one.
_BUCKETS: Final = ("s3", "gs", "az")
_SHAPES: Final = {"gdrive": "gdrive://FOLDER_ID/PATH", "oss": "oss://BUCKET/PREFIX"}
_SHAPE = re.compile(
    r"([a-zA-Z][a-zA-Z0-9+.-]*)://(?:([^/?#@]*)@)?(\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]]+)(?::([0-9]{1,5}))?(/.*)?"
)
_USER = re.compile(r"[\w.+-]{1,100}")
#: What DVC, or a server, would read as something else than a part of a path.
_UNFIT = re.compile(r"[\x00-\x20\x7f%?#\\]")


@dataclass(frozen=True, slots=True)
class ServerLocation:
    """A folder on a server.

    Attributes:
        scheme: One of :data:`KINDS`.
        user: Who signs in; None where that is left to whoever is at work.
        host: Or bucket, or the id of a drive's folder.
        port: If it is not the usual one.
        path: Below which all keys lie, without a slash at its ends; may be empty.
    """

    scheme: str
    user: str | None
    host: str
    port: int | None
    path: str

    @property
    def kind(self) -> Kind:
        """What is known of its scheme."""
        return KINDS[self.scheme]

    @property
    def server(self) -> str:
        """Host and port, as people write them."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The same place, in one spelling."""
        user = f"{self.user}@" if self.user else ""
        return f"{self.scheme}://{user}{self.server}" + (f"/{self.path}" if self.path else "")

    @property
    def words(self) -> tuple[str, ...]:
        """See :meth:`Store.where`; who signs in does not matter, nor whether the way is encrypted."""
        port = self.port or self.kind.port
        return (self.kind.words, f"{self.host.lower()}:{port}", *filter(None, self.path.split("/")))

    def dvc_remote(self, dataset: str) -> dict[str, str]:
        """What DVC needs to find the same place."""
        if self.kind.words != "WebDAV" or self.user is None:
            return {"url": f"{self.url}/{dataset}"}
        path = "/".join(filter(None, (self.path, dataset)))
        return {"url": f"{self.scheme}://{self.server}/{path}", "user": self.user}


def locate_server(name: str, url: str) -> ServerLocation:
    """The place that the URL of the store ``name`` means.

    Raises:
        Unsupported: DVC knows no such scheme.
        UsageError: There is a typo in it.
    """
    shown = f"store {name!r} ({strip_url(url)})"
    scheme, separator, rest = url.partition(":")
    scheme = scheme.lower()
    if scheme not in KINDS:
        raise _unknown(shown, scheme, rest)
    found = _SHAPE.fullmatch(url)
    shape = _SHAPES.get(scheme, f"{scheme}://HOST/PATH")
    if not separator or not found:
        raise UsageError(f"{shown} names no {_named(scheme)}", next_step=f"write it as {shape}")
    _, user, host, port, path = found.groups()
    if user is not None and not _USER.fullmatch(user):
        raise UsageError(f"{shown}: its user's name cannot be one", next_step=f"write it as {shape}")
    if port is not None and not 0 < int(port) < 1 << 16:
        raise UsageError(f"{shown}: there is no port {port}", next_step=f"write it as {shape}")
    return ServerLocation(scheme, user, host, _unusual(scheme, port), _path(path or "", shown, shape))


def _named(scheme: str) -> str:
    return {"gdrive": "folder", "oss": "bucket"}.get(scheme, "host")


def _unusual(scheme: str, port: str | None) -> int | None:
    return None if port is None or int(port) == KINDS[scheme].port else int(port)


def _path(path: str, shown: str, shape: str) -> str:
    if unfit := _UNFIT.search(path):
        raise UsageError(
            f"{shown}: its path holds {unfit[0]!r}, which DVC would misread",
            next_step="choose a path without spaces, %, ?, # and \\",
        )
    parts = path.strip("/").split("/") if path.strip("/") else []
    if any(part in ("", ".", "..") or part.startswith("~") for part in parts):
        raise UsageError(
            f"{shown}: its path has an empty part, '.', '..' or '~'",
            next_step=f"write the whole path, from the server's root: {shape}",
        )
    return "/".join(parts)


def _unknown(shown: str, scheme: str, rest: str) -> Unsupported:
    known = ", ".join(f"{one}://" for one in (*_BUCKETS, *KINDS))
    if rest and not rest.startswith("//"):
        return Unsupported(
            f"{shown} is no URL; {scheme!r} looks like a host",
            next_step=f"write it as ssh://{scheme}/{rest.lstrip('/')}; a folder of this machine begins with '/'",
        )
    near = _ALSO.get(scheme) or nearest(scheme, (*_BUCKETS, *KINDS))
    return Unsupported(
        f"{shown}: neither datakeep nor DVC knows {scheme} stores"
        + (f"; did you mean {near}://?" if near else ""),
        next_step=f"give an absolute folder (a disk, a mounted share), or one of {known}",
    )
