"""Reading one object of a store, believing nothing that was not hashed here.

A store may hold a flipped, emptied or deleted object (DVC takes these for good): such a copy is refused
and reported, and the next store is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from datakeep.core.errors import DamagedBytes, DatakeepError
from datakeep.store.dvc_format import object_key
from datakeep.store.faults import show_size
from datakeep.store.hashing import Digests
from datakeep.store.interface import ObjectMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from datakeep.store.interface import Store

FaultKind = Literal["missing", "mismatched", "unreadable"]


@dataclass(frozen=True, slots=True)
class ObjectFault:
    """A file that one store could not give.

    ``missing``: it has no such object; ``mismatched``: it has other bytes; ``unreadable``: it did not answer.
    """

    path: str
    store: str
    kind: FaultKind
    detail: str


@dataclass(frozen=True, slots=True)
class FoundObject:
    """What was found of one small object; ``data`` is None if no store has it whole."""

    data: bytes | None
    store: str | None
    faults: list[ObjectFault]


class Mismatch(Exception):
    """The bytes of a copy are not those that were registered."""


def fetch_object(
    md5: str,
    stores: Sequence[Store],
    dataset: str,
    *,
    sha256: bytes | None = None,
    limit_bytes: int,
    what: str = "an object",
) -> bytes:
    """A small object (a ``.dir``, an inventory), from the first store that has it whole.

    Args:
        md5: Its name: md5 in hex, with ``.dir`` for a folder's.
        stores: Asked in this order.
        dataset: The dataset's name.
        sha256: Its sha256, if that is known.
        limit_bytes: Larger ones are refused unread.
        what: What it is, for messages: ``the file list of orders@v3``.

    Raises:
        DamagedBytes: No store has it whole; ``things`` says what each one has.
        StoreUnreachable, AccessDenied: No store can be used; the first one's reason.
    """
    found = find_object(md5, stores, dataset, sha256=sha256, limit_bytes=limit_bytes, what=what)
    if found.data is not None:
        return found.data
    usable(stores)  # where no store can be used at all, that is what is wrong
    raise DamagedBytes(
        f"{what} is in no store whole: " + "; ".join(f"{f.store}: {f.detail}" for f in found.faults[:3]),
        next_step="ask the stores' administrator for a backup, or the dataset's owner to register it again",
        things=[f"{fault.store}: {fault.kind}: {fault.detail}" for fault in found.faults],
    )


def find_object(
    md5: str,
    stores: Sequence[Store],
    dataset: str,
    *,
    sha256: bytes | None = None,
    limit_bytes: int,
    what: str = "an object",
) -> FoundObject:
    """As :func:`fetch_object`, with the answer, and each bad copy met, as a value."""
    faults: list[ObjectFault] = []
    for store in stores:
        chunks: list[bytes] = []
        try:
            digests = read(store, object_key(dataset, md5), limit_bytes, chunks.append)
            _compare_object(digests, md5, sha256, limit_bytes)
        except (Mismatch, DatakeepError) as fault:
            faults.append(fault_of(what, store, fault))
        else:
            return FoundObject(b"".join(chunks), store.name, faults)
    return FoundObject(None, None, faults)


def usable(stores: Sequence[Store]) -> tuple[list[Store], dict[str, str]]:
    """Those that can be used, and why each other one cannot; if none can, the first one's reason is raised."""
    found: list[Store] = []
    faults: list[tuple[str, DatakeepError]] = []
    for store in stores:
        try:
            store.check()
            found.append(store)
        except DatakeepError as fault:
            faults.append((store.name, fault))
    if faults and not found:
        raise faults[0][1]
    return found, {name: fault.what for name, fault in faults}


def read(
    store: Store,
    key: str,
    expected_bytes: int,
    write: Callable[[bytes], object],
    digests: Digests | None = None,
) -> Digests:
    """The digests of the object, its bytes given to ``write``; stops soon after ``expected_bytes``."""
    digests = digests or Digests()
    with store.open_read(key) as chunks:
        for chunk in chunks:
            digests.update(chunk)
            if digests.size_bytes > expected_bytes:
                break
            write(chunk)
    return digests


def _compare_object(digests: Digests, md5: str, sha256: bytes | None, limit_bytes: int) -> None:
    if digests.size_bytes > limit_bytes:
        raise Mismatch(f"it is larger than {show_size(limit_bytes)}")
    if digests.md5.hex() != md5[:32] or sha256 not in (None, digests.sha256):
        raise Mismatch(other_bytes(digests.size_bytes))


def other_bytes(size_bytes: int) -> str:
    """What is said of a copy with other bytes."""
    return f"its {size_bytes} bytes are other than those that were registered"


def fault_of(path: str, store: Store, fault: Mismatch | DatakeepError) -> ObjectFault:
    """What became of ``path`` in ``store``, of what went wrong there."""
    if isinstance(fault, Mismatch):
        return ObjectFault(path, store.name, "mismatched", str(fault))
    if isinstance(fault, ObjectMissing):
        return ObjectFault(path, store.name, "missing", "the store has no such object")
    return ObjectFault(path, store.name, "unreadable", fault.what)
