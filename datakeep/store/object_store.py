"""A store in a bucket: S3 and what speaks its protocol, Google Cloud Storage, Azure; through obstore.

An object appears whole or not at all, and survives as soon as its upload ends: there is nothing temporary and
nothing to sync. What counts is round trips, so that many copies of a store are used at once, each with a
client of its own. A client that is quick may open a connection while its last one is about to be free again, so
that each counts for two of the connections that were asked for.
"""

from __future__ import annotations

import contextlib
import copy
import io
import tempfile
from collections import deque
from typing import IO, TYPE_CHECKING, Self

import obstore

from datakeep.core.errors import AlreadyExists, StoreUnmarked
from datakeep.store import object_clients
from datakeep.store.interface import (
    CHUNK_BYTES,
    MARKER_LIMIT_BYTES,
    MARKER_NAME,
    Capability,
    Listed,
    Marker,
    Store,
    Writer,
    check_key,
)
from datakeep.store.object_clients import HASTY, Patience
from datakeep.store.object_faults import is_absence, is_garbled, refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from obstore import WritableFile
    from obstore.store import ObjectStore as Client

    from datakeep.store.examination import Check
    from datakeep.store.location import Location

#: How many connections at most, unless told otherwise: more gain little, and a small server suffers.
CONNECTIONS = 32
_OF_ONE_CLIENT = 2
#: A part of a large upload; S3 takes 10,000 of them, so that the largest object is of 160 GB.
_PART_BYTES = 16 << 20
#: The parts of one upload wait in memory.
_MAX_PARTS_AT_ONCE = 4
_LISTED_AT_ONCE = 1000
#: Of an object that is read in parts; a request costs more than so many bytes.
_READ_AHEAD_BYTES = 64 << 10
#: How often bytes that were changed on the way are sent again.
_SENT_AGAIN = 2


class BucketStore(Store):
    """A store at ``location``; see the module.

    Args:
        name: What the keep calls it.
        location: Where it is.
        url: How the keep writes it.
        connections: How many may be open at once, by all copies of this store in one process together.
        patience: How long requests may take.
        profile: Of AWS's configuration files; by default the environment's.
    """

    def __init__(
        self,
        name: str,
        location: Location,
        *,
        url: str | None = None,
        connections: int = CONNECTIONS,
        patience: Patience | None = None,
        profile: str | None = None,
    ) -> None:
        super().__init__(name, url or location.url)
        self.location = location
        self._connections = connections
        self._patience = patience or Patience()
        self._profile = profile
        self._parts_at_once = 1
        self._own: Client | None = None
        self._spare: deque[Client] = deque()

    def __copy__(self) -> Self:
        """Copies in one process hand their clients, and so their open connections, to each other."""
        made = type(self).__new__(type(self))
        made.__dict__ = {**self.__dict__, "_own": None}
        return made

    def __getstate__(self) -> dict[str, object]:
        """Another process makes connections of its own."""
        return {**self.__dict__, "_own": None, "_spare": deque()}

    @property
    def capabilities(self) -> frozenset[Capability]:
        """A bucket is far away, endless, and durable at once; S3 and its likes keep checksums."""
        checksums = {Capability.CHECKSUMS} if self.location.scheme == "s3" else set()
        return frozenset({Capability.EXCLUSIVE, Capability.ANY_NAME, Capability.PARTS} | checksums)

    @property
    def connections(self) -> int | None:
        """See :attr:`Store.connections`."""
        return max(1, self._connections // _OF_ONE_CLIENT)

    @property
    def credentials(self) -> str | None:
        """See :attr:`Store.credentials`."""
        return object_clients.kind_of_credentials(self.location)

    def where(self) -> tuple[str, ...]:
        """See :meth:`Store.where`."""
        place = self.location
        server = (place.endpoint_url or "").lower()
        return (place.scheme, server, place.bucket, *filter(None, place.prefix.split("/")))

    def dvc_remote(self, dataset: str) -> dict[str, str]:
        """See :meth:`Store.dvc_remote`."""
        return self.location.dvc_remote(dataset)

    def examine(self) -> list[Check]:
        """See :meth:`Store.examine`; of S3 and its likes only."""
        from datakeep.store.bucket_examination import client_of, examine, unexamined

        if self.location.scheme != "s3":
            return unexamined(self.location)
        return examine(self.location, client_of(self.location, self._profile))

    def check(self, *, keep: str | None = None, writable: bool = False) -> Marker:
        """See :meth:`Store.check`. Nothing is written: the store is asked to replace nothing by its marker."""
        with self._in_haste():
            marker = self._marker()
            if marker is None:
                raise StoreUnmarked(
                    f"{self} is not a store: the bucket has no {MARKER_NAME} there",
                    next_step="correct the store's url in keep.yaml; `datakeep vault add NAME URL` makes a store",
                )
            marker.require(keep, self)
            if writable:
                with self.faults("write to it"):
                    self._put_new(MARKER_NAME, marker.to_bytes())
                with self.faults("list it"):  # as whoever writes must, to see what is there already
                    next(self._list(MARKER_NAME), None)
        return marker

    def create(self, marker: Marker) -> None:
        """See :meth:`Store.create`; the bucket must exist. Of two keeps at once, one is refused.

        Raises:
            StoreMissing: There is no such bucket.
            StoreUnmarked: It is already the store of another keep.
            AlreadyExists: Something else lies there.
        """
        with self._in_haste():
            found = self._marker()
            if found is None:
                with self.faults("list it"):
                    other = next(self._list(""), None)
                # Another maker may have been faster by a moment.
                if other is not None and (found := self._marker()) is None:
                    raise AlreadyExists(
                        f"{self} cannot be made: other objects lie there, such as {other.key[:200]}",
                        next_step="choose an unused prefix: s3://BUCKET/PREFIX",
                    )
            if found is None and self.put_new(MARKER_NAME, marker.to_bytes()):
                return
        self.check(keep=marker.keep, writable=True)

    def sync(self) -> None:
        """Nothing to do: an object is durable when its upload ends."""

    def close(self) -> None:
        """See :meth:`Store.close`; the connections are left to other copies of this store."""
        if self._own is not None:
            self._spare.append(self._own)
        self._own = None

    def tidy(self, prefix: str) -> None:
        """Nothing to do: what a killed upload left can be seen, and removed, by the server only."""

    def shared(self, users: int) -> Self:
        """See :meth:`Store.shared`; what is left of the connections serves the parts of large uploads."""
        made = copy.copy(self)
        made._parts_at_once = min(  # noqa: SLF001
            max(1, self._connections // (_OF_ONE_CLIENT * users)), _MAX_PARTS_AT_ONCE
        )
        return made

    @contextlib.contextmanager
    def faults(self, action: str) -> Iterator[None]:
        """See :meth:`Store.faults`; obstore's own exceptions too."""
        from obstore.exceptions import BaseError

        try:
            with super().faults(action):
                try:
                    yield
                except OSError as fault:
                    if is_absence(fault) or fault.errno is not None:
                        raise
                    raise BaseError(str(fault)) from None
        except BaseError as fault:
            raise refused(fault, place=str(self), action=action, location=self.location) from None

    @contextlib.contextmanager
    def _in_haste(self) -> Iterator[None]:
        """A block whose requests fail soon: a person waits for the answer."""
        own, self._own = self._own, self._connect(HASTY)
        try:
            yield
        finally:
            self._own = own

    @property
    def _client(self) -> Client:
        if self._own is None:
            try:
                self._own = self._spare.pop()
            except IndexError:
                self._own = self._connect(self._patience)
        return self._own

    def _connect(self, patience: Patience) -> Client:
        return object_clients.connect(self.location, patience=patience, profile=self._profile)

    def _marker(self) -> Marker | None:
        with self.faults("read it"):
            try:
                found = obstore.get(self._client, MARKER_NAME)
                data = next(iter(found.stream(MARKER_LIMIT_BYTES)), b"")
            except FileNotFoundError as fault:
                if is_absence(fault):
                    return None
                raise
        return Marker.read(bytes(data), self)

    def _put_new(self, key: str, data: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError

        try:
            obstore.put(self._client, key, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def _size_of(self, key: str) -> int | None:
        try:
            return obstore.head(self._client, check_key(key))["size"]
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def _open_read(self, key: str) -> Iterator[Iterator[bytes]]:
        found = obstore.get(self._client, check_key(key))
        if found.meta["size"] > CHUNK_BYTES:
            yield map(bytes, found.stream(CHUNK_BYTES))
        else:
            yield (bytes(part) for part in [found.bytes()])

    def _read_small(self, key: str, limit_bytes: int) -> bytes:
        found = obstore.get(self._client, check_key(key))
        if found.meta["size"] > limit_bytes:
            return super()._read_small(key, limit_bytes)
        return bytes(found.bytes())

    def _open_parts(self, key: str) -> AbstractContextManager[IO[bytes]]:
        from datakeep.store.object_parts import ObjectParts

        size_bytes = obstore.head(self._client, check_key(key))["size"]

        def part(start: int, length: int) -> bytes:
            with self.faults(f"read {key}"):
                return bytes(obstore.get_range(self._client, key, start=start, length=length))

        return io.BufferedReader(ObjectParts(size_bytes, part), _READ_AHEAD_BYTES)

    def _begin(self, prefix: str, key: str | None) -> Writer:  # noqa: ARG002  (nothing temporary lies there)
        return _BucketWriter(self, key)

    def _list(self, prefix: str) -> Iterator[Listed]:
        for page in obstore.list(self._client, prefix or None, chunk_size=_LISTED_AT_ONCE):
            for found in page:
                yield Listed(found["path"], found["size"], found["last_modified"].timestamp())

    def _remove(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            obstore.delete(self._client, key)

    def locked(self, keys: Iterable[str]) -> set[str]:
        """See :meth:`Store.locked`; S3's object lock."""
        from datakeep.store.bucket_examination import client_of, locked

        if self.location.scheme != "s3":
            return set()
        return locked(self.location, client_of(self.location, self._profile), keys)

    def checksums(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """See :meth:`Store.checksums`."""
        from datakeep.store.bucket_checksums import checksums
        from datakeep.store.bucket_examination import client_of

        if self.location.scheme != "s3":
            return super().checksums(keys)
        users = self.connections or 1
        client = client_of(self.location, self._profile, connections=users)
        return checksums(self.location, client, keys, connections=users)

    def send(self, key: str, data: bytes) -> None:
        """One upload of ``data``; bytes that were changed on the way are sent again."""
        from obstore.exceptions import BaseError

        for attempt in range(_SENT_AGAIN + 1):
            try:
                obstore.put(self._client, key, data, use_multipart=False)
            except BaseError as fault:
                if attempt == _SENT_AGAIN or not is_garbled(fault):
                    raise
            else:
                return

    def send_file(self, key: str, file: IO[bytes]) -> None:
        """An upload of ``file`` in parts."""
        obstore.put(self._client, key, file, chunk_size=_PART_BYTES, max_concurrency=self._parts_at_once)

    def upload(self, key: str) -> WritableFile:
        """An upload in parts, whose bytes are still to come."""
        return obstore.open_writer(
            self._client, key, buffer_size=_PART_BYTES, max_concurrency=self._parts_at_once
        )


class _BucketWriter(Writer):
    """Bytes in memory; once they are many, parts of an upload, or a file here if there is no key yet."""

    def __init__(self, store: BucketStore, key: str | None) -> None:
        super().__init__(store)
        self._bucket = store
        self._key = key
        self._chunks: list[bytes] = []
        self._held_bytes = 0
        self._upload: WritableFile | None = None
        self._file: IO[bytes] | None = None

    def _write(self, chunk: bytes) -> None:
        if self._upload is not None:
            self._upload.write(chunk)
        elif self._file is not None:
            self._file.write(chunk)
        else:
            self._chunks.append(chunk)
            self._held_bytes += len(chunk)
            if self._held_bytes > _PART_BYTES:
                self._overflow()

    def _overflow(self) -> None:
        held, self._chunks = self._chunks, []
        if self._key is not None:
            self._upload = self._bucket.upload(self._key)
        else:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by discard)
        for chunk in held:
            self._write(chunk)

    def _finish(self) -> None:
        """Nothing to do: the bytes are on their way, or wait for their key."""

    def _commit(self, key: str) -> None:
        check_key(key)
        if self._key not in (None, key):
            raise ValueError(f"the object was begun as {self._key!r}")
        if self._upload is not None:
            self._upload.close()
            self._upload = None
        elif self._file is not None:
            self._file.seek(0)
            self._bucket.send_file(key, self._file)
        else:
            self._bucket.send(key, b"".join(self._chunks))
        self.discard()

    def discard(self) -> None:
        """See :meth:`Writer.discard`."""
        self._chunks = []
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._upload is not None:
            upload, self._upload = self._upload, None
            with contextlib.suppress(Exception):  # the server forgets the parts, or its life-cycle rule does
                upload.__exit__(InterruptedError, InterruptedError(), None)
