"""Whether a store holds what the register says: by its listing (quick), or by reading every byte (deep).

Nothing is called whole that was not read: the quick way finds what is missing or has another size, and
says of everything else only that it is present, or also that the store's own checksum is the right one.
"""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.store.dvc_format import object_key
from datakeep.store.hashing import Digests
from datakeep.store.interface import Capability, ObjectMissing
from datakeep.store.pool import work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from datakeep.core.progress import Progress
    from datakeep.store.interface import Store
    from datakeep.store.pool import Advance


@dataclass(frozen=True, slots=True)
class Expected:
    """An object that a store should hold.

    Args:
        name: Its md5 in hex, with ``.dir`` for a folder's listing.
        size_bytes: Its size.
        sha256: Its sha256; None where only the md5 is known.
        path: A file that it is, for a person.
    """

    name: str
    size_bytes: int
    sha256: bytes | None
    path: str


@dataclass(slots=True)
class Checked:
    """What was found of the objects of one dataset in one store.

    Attributes:
        whole: Objects whose every byte was read and is right.
        unread: Objects that are there with the right size, and were not read.
        stated: Those of the unread whose right sha256 the store itself states.
        missing: Objects that are not there.
        wrong: Objects with other bytes, and what is wrong with each.
        read_bytes: How much was read.
    """

    whole: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    stated: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    wrong: dict[str, str] = field(default_factory=dict)
    read_bytes: int = 0


def listing(store: Store, dataset: str) -> dict[str, int]:
    """Every object of a dataset that a store has: name to size in bytes.

    Raises:
        StoreMissing, StoreUnreachable, AccessDenied: The store cannot be listed.
    """
    prefix = f"{dataset}/files/md5"
    return {
        "".join(key.removeprefix(f"{prefix}/").split("/")): size_bytes
        for key, size_bytes in store.list(prefix)
    }


def check_quick(expected: Iterable[Expected], present: Mapping[str, int]) -> Checked:
    """What a listing tells: objects that are missing or have another size; nothing is read."""
    found = Checked()
    for item in expected:
        size_bytes = present.get(item.name)
        if size_bytes is None:
            found.missing.add(item.name)
        elif size_bytes != item.size_bytes:
            found.wrong[item.name] = f"{size_bytes} bytes instead of {item.size_bytes}"
        else:
            found.unread.add(item.name)
    return found


def check_obstacles(store: Store, dataset: str, found: Checked) -> None:
    """What ``found`` has as missing is wrong, if something else lies in its place."""
    for name in sorted(found.missing):
        if what := store.obstacle(object_key(dataset, name)):
            found.missing.discard(name)
            found.wrong[name] = what


def check_stated(
    expected: Mapping[str, Expected], store: Store, dataset: str, found: Checked, progress: Progress
) -> None:
    """Hold the store's own sha256 of what ``found`` has as unread, where it keeps one, against what is expected.

    Raises:
        StoreUnreachable: The store does not answer.
    """
    if Capability.CHECKSUMS not in store.capabilities or not found.unread:
        return
    asked = {object_key(dataset, name): expected[name] for name in sorted(found.unread)}
    progress.stage(f"asking {store.name} for checksums of {dataset}", total=len(asked), unit="objects")
    for key, sha256 in store.checksums(asked):
        item = asked[key]
        if sha256 is not None and item.sha256 is not None:
            if sha256 == item.sha256:
                found.stated.add(item.name)
            else:
                found.unread.discard(item.name)
                found.wrong[item.name] = "other bytes of the same size, by the store's own sha256"
        progress.advance()


def check_deep(
    expected: Sequence[Expected],
    store: Store,
    dataset: str,
    progress: Progress,
    *,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Checked:
    """Read and hash objects, in the order given, for as long as ``may_go_on`` says; the rest stays unread."""
    found = Checked()
    store.close()  # its connection is for those who read
    progress.stage(f"reading {dataset} in {store.name}", total=len(expected), unit="objects")
    for start in range(0, len(expected), _SLICE):
        part = expected[start : start + _SLICE]
        if not may_go_on():
            found.unread.update(item.name for item in part)
            continue
        job = partial(_check_batch, store=store, dataset=dataset)
        for done in work(job, part, progress, connections=store.connections):
            found.whole |= done.whole
            found.missing |= done.missing
            found.wrong |= done.wrong
            found.read_bytes += done.read_bytes
    return found


#: Objects between two looks at the clock.
_SLICE = 20_000


def _check_batch(batch: Sequence[Expected], advance: Advance, *, store: Store, dataset: str) -> Checked:
    found = Checked()
    with contextlib.closing(copy.copy(store)) as own:
        for item in batch:
            _check_one(item, own, dataset, found)
            advance(1, item.size_bytes)
    return found


def _check_one(item: Expected, store: Store, dataset: str, found: Checked) -> None:
    digests = Digests()
    try:
        with store.open_read(object_key(dataset, item.name)) as chunks:
            for chunk in chunks:
                digests.update(chunk)
                if digests.size_bytes > item.size_bytes:
                    break
    except ObjectMissing:
        found.missing.add(item.name)
        return
    except DatakeepError as error:
        found.wrong[item.name] = error.what
        return
    found.read_bytes += digests.size_bytes
    if digests.size_bytes != item.size_bytes:
        word = "more" if digests.size_bytes > item.size_bytes else "fewer"
        found.wrong[item.name] = f"{word} than its {item.size_bytes} bytes"
    elif digests.md5.hex() != item.name.removesuffix(".dir") or item.sha256 not in (None, digests.sha256):
        found.wrong[item.name] = "other bytes of the same size"
    else:
        found.whole.add(item.name)
