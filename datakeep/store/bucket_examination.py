"""How a bucket of S3 is set up: what survives a deletion, who can read it, what will expire.

Only boto3 asks for these settings. Nothing is written: whether these credentials may delete is found by deleting
a random name that nothing has.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import StoreUnreachable
from datakeep.store.examination import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from datakeep.store.location import Location

_DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "Unauthorized", "Forbidden", "401", "403"})
_UNKNOWN_CALL = frozenset(
    {"NotImplemented", "XNotImplemented", "MethodNotAllowed", "UnsupportedOperation", "405", "501"}
)
#: S3 refuses signatures of a clock that is off by a quarter of an hour.
_SKEW_S = 5 * 60
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_EVERYBODY = ("/groups/global/AllUsers", "/groups/global/AuthenticatedUsers")
_FROZEN = ("GLACIER", "DEEP_ARCHIVE")


def client_of(location: Location, profile: str | None, *, connections: int = 1) -> Any:
    """boto3's client for the bucket, with the credentials of whoever is at work; threads may share it."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    settings: dict[str, Any] = {
        "connect_timeout": 5,
        "read_timeout": 15,
        "retries": {"max_attempts": 2},
        "max_pool_connections": connections,
    }
    if os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("true", "1", "yes"):
        settings["signature_version"] = UNSIGNED
    session = boto3.Session(profile_name=profile)
    region = location.region or session.region_name or "us-east-1"
    return session.client(
        "s3", endpoint_url=location.endpoint_url, region_name=region, config=Config(**settings)
    )


def examine(location: Location, client: Any, *, now: Callable[[], datetime] | None = None) -> list[Check]:
    """Every check of the bucket, each with its own verdict.

    Args:
        location: The store's place.
        client: boto3's.
        now: This machine's clock.

    Raises:
        StoreUnreachable: The server does not answer.
    """
    from botocore.exceptions import BotoCoreError

    bucket = _Bucket(location, client, now or (lambda: datetime.now(UTC)))
    try:
        return list(bucket.checks())
    except BotoCoreError as fault:
        raise StoreUnreachable(
            f"the bucket {location.bucket!r} cannot be examined: {fault}",
            next_step="datakeep vault list says whether it answers at all",
        ) from fault


def unexamined(location: Location) -> list[Check]:
    """The checks that are not made of a bucket of Google or Azure, each said to be unknown."""
    tool = {
        "gs": f"gcloud storage buckets describe gs://{location.bucket}",
        "az": f"az storage account blob-service-properties show --account-name {location.account or 'ACCOUNT'}",
    }[location.scheme]
    names = ("versioning", "object lock", "encryption", "public access", "life cycle", "deletion", "clock")
    return [
        Check(name, Outcome.UNKNOWN, f"not looked at in this kind of store; try: {tool}") for name in names
    ]


class _Bucket:
    """One bucket under examination."""

    def __init__(self, location: Location, client: Any, now: Callable[[], datetime]) -> None:
        self._location, self._client, self._now = location, client, now
        self._name = location.bucket
        self._versioned = False

    def checks(self) -> Iterator[Check]:
        yield self._asked("versioning", self._versioning)
        yield self._asked("object lock", self._object_lock)
        yield self._asked("encryption", self._encryption)
        yield self._asked("public access", self._public_access)
        yield self._asked("life cycle", self._life_cycle)
        yield self._asked("deletion", self._deletion)
        yield self._asked("clock", self._clock)

    def _asked(self, name: str, question: Callable[[], tuple[bool, str, str]]) -> Check:
        from botocore.exceptions import ClientError

        try:
            good, what, advice = question()
        except ClientError as fault:
            code, status = _code(fault), _status(fault)
            if {code, status} & _DENIED:
                return Check(name, Outcome.FORBIDDEN)
            if {code, status} & _UNKNOWN_CALL:
                return Check(name, Outcome.UNSUPPORTED)
            return Check(name, Outcome.UNKNOWN, f"the server answers {code}")
        return Check(name, Outcome.GOOD if good else Outcome.BAD, what, "" if good else advice)

    def _answer(self, call: str, *absent: str) -> dict[str, Any] | None:
        """What the server says to ``call``; None where its error is one of ``absent``: nothing is set."""
        from botocore.exceptions import ClientError

        try:
            return dict(getattr(self._client, call)(Bucket=self._name))
        except ClientError as fault:
            if _code(fault) in absent:
                return None
            raise

    def _versioning(self) -> tuple[bool, str, str]:
        status = (self._answer("get_bucket_versioning") or {}).get("Status")
        self._versioned = status == "Enabled"
        advice = (
            f"aws s3api put-bucket-versioning --bucket {self._name} --versioning-configuration Status=Enabled"
        )
        if self._versioned:
            return True, "what is deleted or replaced can be had back", ""
        return False, "off: what is deleted or replaced is gone", advice

    def _object_lock(self) -> tuple[bool, str, str]:
        found = self._answer(
            "get_object_lock_configuration", "ObjectLockConfigurationNotFoundError", "ObjectLockConfigurationNotFound"
        )  # fmt: skip
        rules = (found or {}).get("ObjectLockConfiguration", {})
        retention = rules.get("Rule", {}).get("DefaultRetention", {})
        if retention:
            period = f"{retention['Days']} days" if "Days" in retention else f"{retention.get('Years')} years"
            return True, f"every object is kept for {period} ({retention.get('Mode', '').lower()})", ""
        how = "on, without a default retention" if rules.get("ObjectLockEnabled") == "Enabled" else "off"
        return (
            False,
            f"{how}: who may delete can delete for good",
            "give the bucket object lock with a default retention, if no object is ever to be deleted early",
        )

    def _encryption(self) -> tuple[bool, str, str]:
        found = self._answer("get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError")
        rules = (found or {}).get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
        kinds = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for rule in rules]
        if any(kinds):
            return True, f"by default with {', '.join(filter(None, kinds))}", ""
        return (
            False,
            "off by default",
            "set the bucket's default encryption (aws s3api put-bucket-encryption)",
        )

    def _public_access(self) -> tuple[bool, str, str]:
        advice = (
            f"aws s3api put-public-access-block --bucket {self._name} --public-access-block-configuration "
            + ",".join(f"{block}=true" for block in _BLOCKS)
        )
        blocks, refused = self._blocks()
        if all(blocks.get(block) for block in _BLOCKS):
            return True, "blocked", ""
        policy = self._answer("get_bucket_policy_status", "NoSuchBucketPolicy") or {}
        if policy.get("PolicyStatus", {}).get("IsPublic"):
            return False, "its policy lets everybody in", advice
        grants = (self._answer("get_bucket_acl") or {}).get("Grants", [])
        if any(grant.get("Grantee", {}).get("URI", "").endswith(_EVERYBODY) for grant in grants):
            return False, "its access list lets everybody in", advice
        if refused:
            return True, "neither its policy nor its access list lets everybody in", ""
        return False, "not public now, but nothing forbids to make it so", advice

    def _blocks(self) -> tuple[dict[str, bool], bool]:
        """What is blocked; and whether the server does not know such blocks, or does not tell."""
        from botocore.exceptions import ClientError

        try:
            found = self._answer("get_public_access_block", "NoSuchPublicAccessBlockConfiguration")
        except ClientError as fault:
            if {_code(fault), _status(fault)} & (_UNKNOWN_CALL | _DENIED):
                return {}, True
            raise
        return (found or {}).get("PublicAccessBlockConfiguration", {}), False

    def _life_cycle(self) -> tuple[bool, str, str]:
        found = self._answer("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration")
        for rule in (found or {}).get("Rules", []):
            if rule.get("Status") == "Enabled" and self._concerns(rule) and (harm := _harm(rule)):
                return (
                    False,
                    f"the rule {rule.get('ID', '(without a name)')!r} {harm}",
                    f"leave {self._location.url} out of the rule",
                )
        return True, "no rule expires or freezes what lies here", ""

    def _concerns(self, rule: dict[str, Any]) -> bool:
        """Whether the rule means objects of ours, which have no tags."""
        chosen = rule.get("Filter", {})
        both = chosen.get("And", {})
        if "Tag" in chosen or both.get("Tags"):
            return False
        prefix = rule.get("Prefix") or chosen.get("Prefix") or both.get("Prefix") or ""
        own = f"{self._location.prefix}/" if self._location.prefix else ""
        return own.startswith(prefix) or prefix.startswith(own)

    def _deletion(self) -> tuple[bool, str, str]:
        from botocore.exceptions import ClientError

        prefix = f"{self._location.prefix}/" if self._location.prefix else ""
        key = f"{prefix}datakeep-check-{secrets.token_hex(16)}"
        try:
            done = self._client.delete_object(Bucket=self._name, Key=key)
        except ClientError as fault:
            if {_code(fault), _status(fault)} & _DENIED:
                return True, "these credentials may not delete", ""
            raise
        advice = "for daily work use credentials without s3:DeleteObject and s3:DeleteObjectVersion"
        if done.get("DeleteMarker") and done.get("VersionId"):
            try:
                self._client.delete_object(Bucket=self._name, Key=key, VersionId=done["VersionId"])
            except ClientError:
                return True, "these credentials may delete, but not the versions underneath", ""
            return False, "these credentials may delete objects and their versions for good", advice
        kept = ", which the bucket's versions undo" if self._versioned else " for good"
        return self._versioned, f"these credentials may delete objects{kept}", advice

    def _clock(self) -> tuple[bool, str, str]:
        answer = self._client.head_bucket(Bucket=self._name)
        sent = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        off_s = abs((self._now() - parsedate_to_datetime(sent)).total_seconds())
        if off_s <= _SKEW_S:
            return True, f"this machine's and the server's differ by {off_s:.0f} s", ""
        return (
            False,
            f"this machine's and the server's differ by {off_s:.0f} s",
            "set it: timedatectl set-ntp true",
        )


def locked(location: Location, client: Any, keys: Iterable[str]) -> set[str]:
    """Those of ``keys`` (below the location's prefix) that object lock still holds.

    Where this cannot be asked, none is known to be: the server itself then refuses or keeps the version.
    """
    from botocore.exceptions import ClientError

    try:
        found = client.get_object_lock_configuration(Bucket=location.bucket)
    except ClientError:
        return set()
    if found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
        return set()
    held = set()
    for key in keys:
        place = f"{location.prefix}/{key}" if location.prefix else key
        try:
            head = client.head_object(Bucket=location.bucket, Key=place)
        except ClientError:
            continue
        until = head.get("ObjectLockRetainUntilDate")
        if head.get("ObjectLockLegalHoldStatus") == "ON" or (until and until > datetime.now(UTC)):
            held.add(key)
    return held


def _harm(rule: dict[str, Any]) -> str | None:
    expiration = rule.get("Expiration", {})
    if "Days" in expiration or "Date" in expiration:
        when = f"after {expiration['Days']} days" if "Days" in expiration else f"on {expiration['Date']}"
        return f"deletes what lies here {when}"
    if any(step.get("StorageClass") in _FROZEN for step in rule.get("Transitions", [])):
        return "moves what lies here into an archive, where it cannot be read"
    return None


def _code(fault: Any) -> str:
    return str(fault.response.get("Error", {}).get("Code", ""))


def _status(fault: Any) -> str:
    return str(fault.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
