"""What a store is to the rest of datakeep: a place of keys and bytes that says what it can do.

A key is a relative POSIX path such as ``orders/files/md5/ab/cdef…``. An implementation writes the
``_methods`` and may let :class:`OSError` escape from them; the public ones turn it into the words of
:mod:`datakeep.core.errors`, so that a caller sees the same conditions whatever the store is made of.
"""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Self

from datakeep.core.errors import DamagedBytes, StoreUnmarked
from datakeep.core.secrets import strip_url
from datakeep.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from datakeep.core.errors import DatakeepError
    from datakeep.store.examination import Check

#: Read and write this much at a time.
CHUNK_BYTES = 1 << 20
MARKER_NAME = "datakeep-store.json"
#: Begins the name of what a look at a folder's rights leaves for a moment.
PROBE = ".datakeep-probe-"
STORE_FORMAT = "datakeep/store/1"
MARKER_LIMIT_BYTES = 64 * 1024


class ObjectMissing(DamagedBytes):
    """A store has no object of this key."""


class Capability(StrEnum):
    """What a caller may ask of a store; it asks for these, never for which store it is."""

    FREE_SPACE = "free space"  #: ``free_bytes`` knows the answer
    LOCAL = "local"  #: the bytes lie on a file system of this machine, so reading them costs no network
    SYNC = "sync"  #: one ``sync`` makes many finished objects durable; elsewhere each is when it is committed
    EXCLUSIVE = (
        "exclusive"  #: of several ``put_new`` at the same moment one wins; elsewhere the moment matters
    )
    ANY_NAME = "any name"  #: a key may hold ``?``, ``#`` and ``;``; elsewhere that is a ValueError
    ANY_KEY = (
        "any key"  #: a large object needs no key before its last byte; elsewhere it is kept here until then
    )
    CHECKSUMS = (
        "checksums"  #: ``checksums`` tells the sha256 that the store keeps of what it took in one piece
    )
    PARTS = "parts"  #: ``open_parts`` reads no more of an object than is asked for


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it; ``modified_s`` is in seconds since 1970."""

    key: str
    size_bytes: int
    modified_s: float


@dataclass(frozen=True, slots=True)
class Marker:
    """What ``datakeep-store.json`` says: this is a store, of that keep."""

    keep: str
    created: datetime

    def to_bytes(self) -> bytes:
        """The marker file's bytes."""
        data = {"format": STORE_FORMAT, "keep": self.keep, "created": self.created.isoformat()}
        return (json.dumps(data, ensure_ascii=False, indent=2) + "\n").encode("utf-8")

    @classmethod
    def read(cls, data: bytes, store: Store) -> Marker:
        """What the marker file of ``store`` says.

        Raises:
            StoreUnmarked: It is damaged, or of a format that this version does not know.
        """
        try:
            found = json.loads(data)
            if found["format"] != STORE_FORMAT:
                raise StoreUnmarked(
                    f"{store} has the format {str(found['format'])[:80]!r}; this datakeep knows {STORE_FORMAT}",
                    next_step="upgrade datakeep",
                )
            return cls(keep=str(found["keep"]), created=datetime.fromisoformat(found["created"]))
        except (ValueError, TypeError, KeyError) as fault:
            raise StoreUnmarked(
                f"{store}: its marker {MARKER_NAME} is damaged",
                next_step=f"restore {MARKER_NAME} there from a backup",
            ) from fault

    def require(self, keep: str | None, store: Store) -> Marker:
        """This marker, if it is of ``keep`` or that does not matter.

        Raises:
            StoreUnmarked: ``store`` is another keep's.
        """
        if keep is not None and self.keep != keep:
            raise StoreUnmarked(
                f"{store} belongs to the keep {self.keep!r}, not to {keep!r}",
                next_step="give this keep a place of its own, and correct the store's url in keep.yaml",
            )
        return self


def check_key(key: str) -> str:
    """``key``, if it is one and leads nowhere else.

    Raises:
        ValueError: It is not.
    """
    padded = f"/{key}/"  # this is asked for each of a million objects
    if "//" in padded or "/./" in padded or "/../" in padded or "\0" in key:
        raise ValueError(f"{key!r} is not a key")
    return key


class Writer(ABC):
    """One object on its way into a store; nobody sees it before :meth:`commit`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, chunk: bytes) -> None:
        """Append ``chunk``."""
        with self._store.faults("write an object"):
            self._write(chunk)

    def finish(self) -> None:
        """No more is written. Many finished objects can wait for one :meth:`Store.sync` and their commits."""
        with self._store.faults("write an object"):
            self._finish()

    def commit(self, key: str) -> None:
        """Make the bytes written so far the object ``key``, whole or not at all; another one is replaced."""
        with self._store.faults(f"write {key}"):
            self._commit(key)

    @abstractmethod
    def discard(self) -> None:
        """Forget the bytes; nothing is left of them. Harmless after :meth:`commit`, and never raises."""

    @abstractmethod
    def _write(self, chunk: bytes) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...

    @abstractmethod
    def _commit(self, key: str) -> None: ...


class Store(ABC):
    """One place that holds bytes.

    It crosses process pools and can be copied; each copy has temporary files of its own, and is used by
    one thread at a time.
    """

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url

    def __str__(self) -> str:
        return f"store {self.name!r} ({strip_url(self.url)})"

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """What this store can do beyond the methods that every store has."""

    @property
    def connections(self) -> int | None:
        """How many copies of this store may be at work at once; None where that needs no bound."""
        return None

    def shared(self, users: int) -> Self:  # noqa: ARG002  (a store without connections is not divided)
        """This store for ``users`` copies at once, each with its part of the connections."""
        return self

    @property
    def credentials(self) -> str | None:
        """The kind of credentials of whoever is at work that the store uses, in words; None if none."""
        return None

    @abstractmethod
    def where(self) -> tuple[str, ...]:
        """Where it lies, outermost first: what begins with all of another place's words lies inside of that."""

    @abstractmethod
    def dvc_remote(self, dataset: str) -> dict[str, str]:
        """The options of the DVC remote that is this store's part for ``dataset``; no secret is in them."""

    @abstractmethod
    def check(self, *, keep: str | None = None, writable: bool = False) -> Marker:
        """What the store's marker says, after making sure that the store is there and usable.

        Args:
            keep: The keep that the store must belong to, if that matters.
            writable: Also make sure that it can be written to.

        Raises:
            StoreMissing: It is not there.
            StoreUnmarked: The place exists, but is not a store, or is another keep's.
            AccessDenied: It may not be read, or not written and ``writable`` was asked.
        """

    @abstractmethod
    def create(self, marker: Marker) -> None:
        """Make the store and its marker; nothing is changed where it exists already for the same keep."""

    @abstractmethod
    def examine(self) -> list[Check]:
        """How the place is set up: each thing that can be told of it, good or not. Nothing in it is changed.

        Raises:
            StoreUnreachable: It does not answer.
        """

    def size_of(self, key: str) -> int | None:
        """The size in bytes of the object ``key``; None if there is none."""
        with self.faults(f"read {key}"):
            return self._size_of(key)

    def sizes_of(self, keys: Iterable[str]) -> Iterator[int | None]:
        """As :meth:`size_of`, of each of ``keys`` in their order."""
        return map(self.size_of, keys)

    @contextlib.contextmanager
    def open_read(self, key: str) -> Iterator[Iterator[bytes]]:
        """The bytes of the object ``key``, in chunks, for the length of a ``with`` block.

        Raises:
            ObjectMissing: There is no such object.
            AccessDenied: It may not be read.
            StoreUnreachable: It is there, but reading failed.
        """
        with contextlib.ExitStack() as stack:
            # Only our own steps are guarded: what fails in the caller's block is not the store's fault.
            with self.faults(f"read {key}"):
                chunks = stack.enter_context(self._open_read(key))
            yield self._guarded(key, chunks)

    def local_file(self, key: str) -> Path | None:  # noqa: ARG002  (only a folder has files of this machine)
        """The file of this machine that the object ``key`` is; None if there is no such file."""
        return None

    @contextlib.contextmanager
    def open_parts(self, key: str) -> Iterator[IO[bytes]]:
        """The object ``key`` as a file to be read from anywhere; of a store with ``Capability.PARTS``.

        Raises:
            ObjectMissing, AccessDenied, StoreUnreachable: As :meth:`open_read`, here or when it is read.
        """
        with contextlib.ExitStack() as stack:
            with self.faults(f"read {key}"):
                file = stack.enter_context(self._open_parts(key))
            yield file

    def _open_parts(self, key: str) -> AbstractContextManager[IO[bytes]]:
        raise NotImplementedError(f"{self} does not read parts of {key}")

    def read_small(self, key: str, limit_bytes: int) -> bytes:
        """The bytes of the object ``key``; of a larger one a little more than ``limit_bytes``, which tells.

        Raises:
            ObjectMissing, AccessDenied, StoreUnreachable: As :meth:`open_read`.
        """
        with self.faults(f"read {key}"):
            return self._read_small(key, limit_bytes)

    def _read_small(self, key: str, limit_bytes: int) -> bytes:
        held = bytearray()
        with self._open_read(key) as chunks:
            for chunk in chunks:
                held += chunk
                if len(held) > limit_bytes:
                    break
        return bytes(held)

    def _guarded(self, key: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self.faults(f"read {key}"):
            yield from chunks

    def begin(self, prefix: str, key: str | None = None) -> Writer:
        """A new object of the dataset ``prefix``, whose key may become known only when it is written.

        Args:
            prefix: The dataset's name.
            key: The key, where it is known; a large object then needs no room on this machine.
        """
        if key is not None:
            check_key(key)
        with self.faults("write"):
            return self._begin(prefix, key)

    def begin_with(self, prefix: str, key: str, data: bytes) -> Writer:
        """A new object of the dataset ``prefix`` that holds ``data`` and waits for its commit.

        As :meth:`begin`, ``write`` and ``finish``, in one step: it is taken for each of a million small files.
        """
        check_key(key)
        with self.faults("write an object"):
            writer = self._begin(prefix, key)
            try:
                writer._write(data)  # noqa: SLF001  (the public ones guard what is guarded here)
                writer._finish()  # noqa: SLF001
            except BaseException:
                writer.discard()
                raise
        return writer

    def put_new(self, key: str, data: bytes) -> bool:
        """Store ``data`` as the object ``key``, durably, unless there is one; whether it was stored.

        Of several writers at the same moment, one is told True; see ``Capability.EXCLUSIVE``.
        """
        check_key(key)
        with self.faults(f"write {key}"):
            return self._put_new(key, data)

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        """Store ``chunks`` as the object ``key``, whole or not at all; returns their size in bytes."""
        writer = self.begin(key.partition("/")[0], key)
        size_bytes = 0
        try:
            for chunk in chunks:
                writer.write(chunk)
                size_bytes += len(chunk)
            writer.commit(key)
        finally:
            writer.discard()
        return size_bytes

    def share(self, key: str, target: str, *, hard: bool = False) -> bool:  # noqa: ARG002  (most cannot)
        """Make the new file ``target`` out of the object's own blocks; whether that was possible.

        Nobody has read them then. With ``hard`` the file is the object itself under another name, and both
        become read-only; else a change of the one is none of the other.
        """
        return False

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Key and size in bytes of every object below the folder ``prefix``, or of all with none, in no order."""
        with self.faults(f"list {prefix}"):
            for found in self._list(prefix):
                yield found.key, found.size_bytes

    def list_dated(self, prefix: str) -> Iterator[Listed]:
        """As :meth:`list`, with the time at which each object was last written, by the store's own clock."""
        with self.faults(f"list {prefix}"):
            yield from self._list(prefix)

    def remove(self, key: str) -> None:
        """There is no object ``key`` afterwards. For unreferenced objects only: see ``workflows.gc``.

        Raises:
            AccessDenied: It may not be deleted.
        """
        check_key(key)
        with self.faults(f"delete {key}"):
            self._remove(key)

    def locked(self, keys: Iterable[str]) -> set[str]:  # noqa: ARG002  (only some servers lock objects)
        """Those of ``keys`` that the store has promised to keep for a while yet, whoever asks."""
        return set()

    def checksums(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """Each of ``keys`` with the sha256 that the store itself keeps of it; None where it keeps none.

        Nothing is read: it is of the bytes that once arrived there, whatever became of them since.

        Raises:
            StoreUnreachable: The store does not answer.
        """
        return ((key, None) for key in keys)

    def free_bytes(self) -> int | None:
        """How many more bytes fit; None if nobody can say."""
        return None

    def volume(self) -> str | None:
        """Stores that return the same text share their free bytes; None if that is not known."""
        return None

    @abstractmethod
    def sync(self) -> None:
        """Everything written so far survives a power cut. Called once per batch, not per object."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing temporary behind; the store can be used again afterwards."""

    @abstractmethod
    def tidy(self, prefix: str) -> None:
        """Remove what killed writers of the dataset ``prefix`` left behind; the living are left alone."""

    @abstractmethod
    def _size_of(self, key: str) -> int | None: ...

    @abstractmethod
    def _open_read(self, key: str) -> AbstractContextManager[Iterator[bytes]]: ...

    @abstractmethod
    def _begin(self, prefix: str, key: str | None) -> Writer: ...

    @abstractmethod
    def _put_new(self, key: str, data: bytes) -> bool: ...

    @abstractmethod
    def _list(self, prefix: str) -> Iterator[Listed]: ...

    @abstractmethod
    def _remove(self, key: str) -> None: ...

    def _missing(self, action: str) -> DatakeepError:
        """What it means when a file that ``action`` needs is not there."""
        return ObjectMissing(
            f"{self}: cannot {action}: it is missing there",
            next_step="fetch it from another copy, or ask who registered it to register it again",
        )

    def obstacle(self, key: str) -> str | None:  # noqa: ARG002  (only a file system has such)
        """What lies in the place of the object ``key`` and is none, in words; None if nothing does."""
        return None

    @contextlib.contextmanager
    def faults(self, action: str) -> Iterator[None]:
        """A block whose :class:`OSError` leaves it as what it means; ``action`` says what was tried."""
        try:
            yield
        except FileNotFoundError as fault:
            raise self._missing(action) from fault
        except OSError as fault:
            raise explained(fault, place=str(self), action=action) from fault
