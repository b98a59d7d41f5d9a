"""Connections to object stores: whose credentials, which endpoint, how patient.

Credentials are never in keep.yaml. They come from the environment or the profile of whoever is at work, as
they do for the provider's own tools and for DVC, and stay in this module's hands.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import AccessDenied

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Credential

    from datakeep.store.location import Location

#: S3-compatible servers want a region in the signature, and most do not care which.
_ANY_REGION = "us-east-1"
_CREDENTIALS_LAST = timedelta(minutes=10)
_SCHEMES = {"s3": "S3", "gs": "Google Cloud Storage", "az": "Azure"}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a store may take.

    Attributes:
        connect_s: To accept a connection.
        stall_s: Without sending a byte.
        retries: How often a request is tried again, after 5xx, throttling, a reset or a timeout; with growing
            pauses, each of a random length.
        retry_s: After which no request is tried again.
    """

    connect_s: float = 10
    stall_s: float = 60
    retries: int = 10
    retry_s: float = 90


#: A first look at a store, that a person waits for.
HASTY = Patience(connect_s=5, stall_s=15, retries=3, retry_s=10)


def connect(location: Location, *, patience: Patience, profile: str | None) -> ObjectStore:
    """A client for ``location``, made in a few milliseconds; it connects when it is used.

    Args:
        location: The place.
        patience: How long to wait.
        profile: Of AWS's configuration files; by default the environment's.

    Raises:
        AccessDenied: There are no credentials to use.
    """
    options = _client_options(location, patience)
    retry: RetryConfig = {
        "max_retries": patience.retries,
        "retry_timeout": timedelta(seconds=patience.retry_s),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=10),
            "base": 2,
        },
    }
    common: dict[str, Any] = {"client_options": options, "retry_config": retry}
    if location.prefix:
        common["prefix"] = location.prefix
    if location.scheme == "s3":
        return _s3(location, common, profile)
    if location.scheme == "gs":
        from obstore.store import GCSStore

        if location.endpoint_url:
            common["base_url"] = location.endpoint_url
        return GCSStore(location.bucket, **common)
    from obstore.store import AzureStore

    if location.account:
        common["account_name"] = location.account
    return AzureStore(container_name=location.bucket, **common)


def kind_of_credentials(location: Location) -> str:
    """What kind of credentials is used, for a proof."""
    return f"{_SCHEMES[location.scheme]} credentials of the environment or profile"


def _client_options(location: Location, patience: Patience) -> ClientConfig:
    options: ClientConfig = {
        "allow_http": (location.endpoint_url or "").startswith("http://"),
        "connect_timeout": timedelta(seconds=patience.connect_s),
        # The whole of a request may last: a part on a slow line is no fault, a line that stalls is.
        "timeout": timedelta(minutes=30),
        "read_timeout": timedelta(seconds=patience.stall_s),
        "pool_max_idle_per_host": "1",
    }
    authority = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    if authority and Path(authority).is_file():
        options["root_certificate"] = Path(authority).read_bytes()
    return options


def _s3(location: Location, common: dict[str, Any], profile: str | None) -> ObjectStore:
    from obstore.store import S3Store

    more: dict[str, Any] = {}
    region = location.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not _are_in_environment(profile):
        credentials, of_profile = _of_profile(profile)
        region = region or of_profile
        _frozen(credentials, location)  # what is wrong with them is said in our words, before obstore asks
        more["credential_provider"] = functools.partial(_frozen, credentials, location)
    if location.endpoint_url:
        more["endpoint"] = location.endpoint_url
    if "AWS_CHECKSUM_ALGORITHM" not in os.environ:
        more["checksum_algorithm"] = "SHA256"
    return S3Store(location.bucket, **common, region=region or _ANY_REGION, **more)


def _are_in_environment(profile: str | None) -> bool:
    """Whether obstore finds the credentials itself, without the help of boto3, which takes time to load."""
    anonymous = os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("true", "1", "yes")
    keys = os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY")
    return profile is None and bool(anonymous or keys)


@functools.lru_cache(maxsize=16)
def _of_profile(profile: str | None) -> tuple[Any, str | None]:
    """Credentials that renew themselves, and the region, as AWS's own tools find them."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.Session(profile_name=profile)
        return session.get_credentials(), session.region_name
    except BotoCoreError as fault:
        raise AccessDenied(
            f"the AWS configuration cannot be used: {fault}",
            next_step="correct AWS_PROFILE, ~/.aws/config and ~/.aws/credentials; `aws configure list` shows them",
        ) from fault


def _frozen(credentials: Any, location: Location) -> S3Credential:
    from botocore.exceptions import BotoCoreError

    if credentials is None:
        raise AccessDenied(
            f"there are no credentials for {location.url}",
            next_step="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; without a need for "
            "them: AWS_SKIP_SIGNATURE=true",
        )
    try:
        now = credentials.get_frozen_credentials()
    except BotoCoreError as fault:
        raise AccessDenied(
            f"the credentials for {location.url} cannot be renewed: {fault}",
            next_step="sign in again: `aws sso login`, or as your team does",
        ) from fault
    return {
        "access_key_id": now.access_key,
        "secret_access_key": now.secret_key,
        "token": now.token,
        "expires_at": datetime.now(UTC) + _CREDENTIALS_LAST,
    }
