"""The sha256 that a server of S3's protocol keeps of an object since it took it, asked for without the bytes.

obstore sends one with each upload and has no way to ask for it; boto3 has. An upload in parts has a checksum of
its parts' checksums, which says nothing to somebody who does not know the parts; it is passed over.
"""

from __future__ import annotations

import base64
import binascii
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from datakeep.store.location import Location

_SHA256_BYTES = 32
#: Asked for at once, so that a million keys do not wait in memory.
_AT_ONCE = 1000


def checksums(
    location: Location, client: Any, keys: Iterable[str], *, connections: int
) -> Iterator[tuple[str, bytes | None]]:
    """Each of ``keys`` (below the location's prefix) with its sha256; None where the server tells none.

    Args:
        location: The store's place.
        client: boto3's, for as many connections.
        keys: What is asked for.
        connections: How many questions at once.

    Raises:
        StoreUnreachable: The server does not answer.
    """

    def ask(key: str) -> tuple[str, bytes | None]:
        place = f"{location.prefix}/{key}" if location.prefix else key
        return key, _of_head(_head(location, client, place))

    remaining = iter(keys)
    with ThreadPoolExecutor(connections, thread_name_prefix="checksums") as several:
        while some := list(islice(remaining, _AT_ONCE)):
            yield from several.map(ask, some)


def _head(location: Location, client: Any, place: str) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return dict(client.head_object(Bucket=location.bucket, Key=place, ChecksumMode="ENABLED"))
    except ClientError as fault:
        status = fault.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status in (403, 404):  # who may only list is told no checksum; what went meanwhile has none
            return {}
        why = f"the server fails ({status})"
    except BotoCoreError as fault:
        why = type(fault).__name__
    raise StoreUnreachable(
        f"the checksums of {location.url} cannot be asked for: {why}",
        next_step="run the same command again when the server has recovered",
    )


def _of_head(head: dict[str, Any]) -> bytes | None:
    try:
        found = base64.b64decode(head.get("ChecksumSHA256", ""), validate=True)
    except binascii.Error:  # ``…=-3``: of three parts
        return None
    return found if len(found) == _SHA256_BYTES and head.get("ChecksumType") != "COMPOSITE" else None
