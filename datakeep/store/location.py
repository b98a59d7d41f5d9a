"""Where a store is: a URL as people write it, taken apart and checked before anything is connected to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from datakeep.core.errors import SecretFound, UsageError
from datakeep.core.secrets import find_secret, strip_url

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):/")
#: How people write the schemes of object stores, and what each is called here.
_OBJECT_SCHEMES: Final = {"s3": "s3", "gs": "gs", "gcs": "gs", "az": "az", "azure": "az"}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_ENDPOINT = re.compile(r"https?://[^/?#@\s]+/?")
_SHAPE = "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"


@dataclass(frozen=True, slots=True)
class Location:
    """A place in an object store.

    Attributes:
        scheme: ``s3``, ``gs`` or ``az``.
        bucket: Or container.
        prefix: Below which all keys lie; may be empty.
        endpoint_url: Of another server than the provider's own.
        region: If it matters.
    """

    scheme: str
    bucket: str
    prefix: str
    endpoint_url: str | None = None
    region: str | None = None

    @property
    def url(self) -> str:
        """Bucket and prefix, without the server."""
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    @property
    def account(self) -> str | None:
        """The storage account that an Azure endpoint (``https://team.blob.core.windows.net``) names."""
        host = urlsplit(self.endpoint_url or "").hostname or ""
        return host.partition(".blob.")[0] if self.scheme == "az" and ".blob." in host else None

    def dvc_remote(self, dataset: str) -> dict[str, str]:
        """What DVC needs to find the same place."""
        scheme = "azure" if self.scheme == "az" else self.scheme
        options = {"url": "/".join(filter(None, (f"{scheme}://{self.bucket}", self.prefix, dataset)))}
        if self.scheme == "az":
            return options | ({"account_name": self.account} if self.account else {})
        if self.endpoint_url:
            options["endpointurl"] = self.endpoint_url
        if self.region and self.scheme == "s3":
            options["region"] = self.region
        return options


def split_url(url: str) -> tuple[str, str | None, str | None]:
    """URL, endpoint and region of ``s3://bucket/prefix?endpoint_url=…&region=…``; a folder's stays as it is.

    Raises:
        UsageError: The URL has another parameter.
        SecretFound: It holds a secret, which belongs into the environment.
    """
    plain, _, query = url.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if secret := find_secret(url) or find_secret(options.get("endpoint_url", "")):
        raise SecretFound(
            f"the store's url holds {secret}",
            next_step="leave it out; credentials come from the environment, such as AWS_PROFILE, or from keys",
        )
    if not is_bucket(url):
        return url, None, None
    unknown = sorted(set(options) - {"endpoint_url", "region"})
    if unknown:
        raise UsageError(
            f"the store's url {strip_url(url)} has the unknown parameter {unknown[0]!r}",
            next_step="known are endpoint_url and region: 's3://BUCKET/PREFIX?endpoint_url=https://HOST'",
        )
    return plain, options.get("endpoint_url") or None, options.get("region") or None


def scheme_of(url: str) -> str | None:
    """The part of a URL before ``:/``, in lower case; None for a folder."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else None


def is_bucket(url: str) -> bool:
    """Whether a URL is of an object store that has a fast path."""
    return scheme_of(url) in _OBJECT_SCHEMES


def locate(name: str, url: str, endpoint_url: str | None, region: str | None) -> Location:
    """The place that the URL of the store ``name``, in a bucket, means.

    Raises:
        UsageError: There is a typo in it.
    """
    scheme = scheme_of(url) or ""
    shown = f"store {name!r} ({strip_url(url)})"
    bucket, _, prefix = url[len(scheme) + 1 :].removeprefix("//").partition("/")
    if not url[len(scheme) + 1 :].startswith("//") or not _BUCKET.fullmatch(bucket):
        raise UsageError(f"{shown} names no bucket", next_step=f"write it as {_SHAPE}")
    parts = prefix.rstrip("/").split("/") if prefix.strip("/") else []
    if any(part in ("", ".", "..") for part in parts):
        raise UsageError(
            f"{shown}: its prefix has an empty part, '.' or '..'", next_step=f"write it as {_SHAPE}"
        )
    if endpoint_url and not _ENDPOINT.fullmatch(endpoint_url):
        raise UsageError(
            f"{shown}: its endpoint_url {strip_url(endpoint_url)!r} is not the address of a server",
            next_step="write it as https://HOST or http://HOST:PORT, without bucket, path and password",
        )
    return Location(
        _OBJECT_SCHEMES[scheme],
        bucket,
        "/".join(parts),
        endpoint_url.rstrip("/") if endpoint_url else None,
        region,
    )
