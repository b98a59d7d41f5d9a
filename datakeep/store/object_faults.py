"""What an object store's refusal means to a person.

obstore's exceptions carry a dump of the request. Only the server's error code and our own words leave this
module: a dump may hold signatures and addresses with passwords.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from datakeep.core.errors import (
    AccessDenied,
    DatakeepError,
    NetworkMissing,
    NoSpace,
    StoreMissing,
    StoreUnreachable,
)

if TYPE_CHECKING:
    from datakeep.store.location import Location

_CODE = re.compile(r"<Code>\s*([A-Za-z0-9]+)\s*</Code>")
_STATUS = re.compile(r"status code: ([1-5][0-9]{2})")
_REGION = re.compile(r"<Region>\s*([a-z0-9-]+)\s*</Region>|expecting '([a-z0-9-]+)'")
_DATE = re.compile(r"must be within|RequestExpired|RequestTimeTooSkewed")

_CREDENTIALS: Final = {
    "InvalidAccessKeyId": "the server does not know the key id of the credentials",
    "SignatureDoesNotMatch": "the secret does not belong to the key id of the credentials",
    "ExpiredToken": "the credentials have expired",
    "TokenRefreshRequired": "the credentials have expired",
    "InvalidToken": "the token of the credentials is malformed",
    "InvalidClientTokenId": "the server does not know the key id of the credentials",
    "AuthenticationFailed": "the credentials are wrong",
    "InvalidAuthenticationInfo": "the credentials are wrong",
    "NoAuthenticationInformation": "there are no credentials",
}
_NO_BUCKET: Final = frozenset(
    {"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "InvalidBucketName"}
)
_OTHER_REGION: Final = frozenset(
    {
        "PermanentRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "TemporaryRedirect",
    }
)
_FULL: Final = frozenset(
    {"QuotaExceeded", "XMinioStorageFull", "EntityTooLarge", "InsufficientStorage", "AccountIsFull"}
)
_GARBLED: Final = frozenset(
    {"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidDigest", "Md5Mismatch"}
)
_AGAIN = "run the same command again: it goes on from there"
#: What is said in Rust's own words about a connection that could not be made, and in ours.
_CONNECTION: Final = (
    ("dns error", "the name {host} cannot be resolved", "correct the endpoint_url in keep.yaml; check the network"),
    ("Network is unreachable", "no network leads to {host}", "check this machine's network"),
    ("Connection refused", "nothing answers at {host}", "start the server, or correct endpoint_url in keep.yaml"),
    ("InvalidContentType", "{host} does not speak https", "write its endpoint_url in keep.yaml with http://"),
    ("UnknownIssuer", "the certificate of {host} is of an unknown authority", "AWS_CA_BUNDLE=FILE names it"),
    ("certificate", "the certificate of {host} is not valid", "ask the server's administrator"),
    ("TimedOut", "{host} does not answer in time", _AGAIN),
    ("Timeout", "{host} does not answer in time", _AGAIN),
)  # fmt: skip
_NO_NETWORK: Final = frozenset({"dns error", "Network is unreachable"})


def is_absence(fault: BaseException) -> bool:
    """Whether ``fault`` says that one object is not there, not that the whole bucket is missing."""
    return isinstance(fault, FileNotFoundError) and _first(_CODE, str(fault)) not in _NO_BUCKET


def is_garbled(fault: BaseException) -> bool:
    """Whether the server got other bytes than were sent; sending them again is the cure."""
    return _first(_CODE, str(fault)) in _GARBLED


def refused(fault: BaseException, *, place: str, action: str, location: Location) -> DatakeepError:
    """The condition that ``fault``, of obstore, is.

    Args:
        fault: What was raised.
        place: The store, at the beginning of a sentence.
        action: What was tried: ``write orders/files/…``.
        location: Where the store is.
    """
    text = str(fault)
    code, status = _first(_CODE, text), _first(_STATUS, text)
    if code in _NO_BUCKET:
        return StoreMissing(
            f"{place} is missing: there is no bucket {location.bucket!r}",
            next_step="correct the store's url in keep.yaml, or ask the bucket's administrator to make it",
        )
    if code in _OTHER_REGION or "BareRedirect" in text:
        return _elsewhere(text, place, location)
    if _DATE.search(code or "") or (status == "403" and _DATE.search(text)):
        return AccessDenied(
            f"{place}: the clock of this machine differs too much from the server's",
            next_step="set the clock (`timedatectl set-ntp true`), then run the same command again",
        )
    if code in _FULL or status == "507":
        return NoSpace(
            f"{place} is full: cannot {action} ({code or status})",
            next_step="make room there or raise its quota, then run the same command again",
        )
    if code in _GARBLED:
        return StoreUnreachable(f"{place}: cannot {action}: bytes were changed on the way", next_step=_AGAIN)
    return _denied(text, code, status, place, action) or _failing(text, code, status, place, action, location)


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return next(filter(None, found.groups()), None) if found else None


def _elsewhere(text: str, place: str, location: Location) -> DatakeepError:
    region = _first(_REGION, text)
    where = f"in the region {region}" if region else "in another region"
    return StoreUnreachable(
        f"{place}: the bucket {location.bucket!r} lies {where}, not in {location.region or 'the default one'}",
        next_step=f"write `region: {region or 'REGION'}` to the store in keep.yaml, or set AWS_REGION",
    )


def _denied(text: str, code: str | None, status: str | None, place: str, action: str) -> DatakeepError | None:
    why = _CREDENTIALS.get(code or "")
    if why or status == "401":
        return AccessDenied(
            f"{place}: cannot {action}: {why or 'the credentials are wrong or missing'}",
            next_step="correct the credentials: AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (for "
            "other clouds their own), then run the same command again",
        )
    if status == "403":
        return AccessDenied(
            f"{place}: no right to {action} ({code or 'forbidden'})",
            next_step="ask the bucket's administrator for access, then run the same command again",
        )
    if "redential" in text or "metadata" in text:
        return AccessDenied(
            f"{place}: no credentials were found that could be used",
            next_step="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (for other clouds their own)",
        )
    return None


def _failing(
    text: str, code: str | None, status: str | None, place: str, action: str, location: Location
) -> DatakeepError:
    if status is None:
        host = (location.endpoint_url or "the provider").partition("://")[2] or "the provider"
        for sign, why, next_step in _CONNECTION:
            if sign in text:
                kind = NetworkMissing if sign in _NO_NETWORK else StoreUnreachable
                return kind(
                    f"{place}: cannot {action}: {why.format(host=host)}",
                    next_step=next_step.format(host=host),
                )
        return StoreUnreachable(f"{place}: cannot {action}: the connection broke", next_step=_AGAIN)
    said = f"{status} {code}" if code else status
    return StoreUnreachable(
        f"{place}: cannot {action}: the server fails ({said}), after several attempts",
        next_step="wait until it has recovered, then run the same command again",
    )
