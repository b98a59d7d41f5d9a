"""A store on a server with files and folders, such as SSH or WebDAV, reached through what DVC reaches it with.

It is written as a folder is: under a temporary name in ``<dataset>/datakeep/incoming/``, then renamed, so that every
object is whole or absent; and the store's own folder is never made by using it.
"""

from __future__ import annotations

import contextlib
import posixpath
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from datakeep.core.errors import AlreadyExists, StoreMissing, StoreUnmarked
from datakeep.store.file_server import Refusal, read_on
from datakeep.store.interface import (
    MARKER_LIMIT_BYTES,
    MARKER_NAME,
    PROBE,
    Capability,
    Listed,
    Marker,
    Store,
    Writer,
    check_key,
)
from datakeep.store.sessions import DEAD_AFTER_S, is_alive, session_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from datakeep.core.errors import DatakeepError
    from datakeep.store.examination import Check
    from datakeep.store.file_server import Entry, FileServer
    from datakeep.store.server_location import ServerLocation

#: How many threads use it at once, unless told otherwise: sshd answers ten at most on one connection.
CONNECTIONS = 8
_INCOMING = "datakeep/incoming"
#: A folder may vanish as soon as it is made: who closes a store removes the empty ones.
_ATTEMPTS = 10
#: So many folders are listed at once.
_FOLDERS_AT_ONCE = 64


_CONNECTING = threading.Lock()


class ServerStore(Store):
    """A store at ``location``; see the module.

    Copies in one process share what speaks to the server, and its connection; a pickle connects anew.

    Args:
        name: What the keep calls it.
        location: Where it is.
        connect: Makes what speaks to the server; called when that is first needed. Picklable.
        url: How the keep writes it.
        connections: How many copies may be at work at once.
    """

    def __init__(
        self,
        name: str,
        location: ServerLocation,
        connect: Callable[[], FileServer],
        *,
        url: str | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        super().__init__(name, url or location.url)
        self.location = location
        self._connect = connect
        self._servers: list[FileServer] = []
        self._connections = connections
        self._session: str | None = None
        self._begun = 0

    def __copy__(self) -> Self:
        """A copy has temporary files of its own."""
        made = type(self).__new__(type(self))
        made.__dict__ = {**self.__dict__, "_session": None}
        return made

    def __getstate__(self) -> dict[str, object]:
        """So has a pickle, and no connection."""
        return {**self.__dict__, "_session": None, "_servers": []}

    @property
    def server(self) -> FileServer:
        """What speaks to the server, for all copies of this store."""
        with _CONNECTING:
            if not self._servers:
                self._servers.append(self._connect())
            return self._servers[0]

    @property
    def capabilities(self) -> frozenset[Capability]:
        """An object is renamed when it is written; what else depends on the server."""
        found = {Capability.ANY_KEY}
        found |= {Capability.EXCLUSIVE} if self.server.exclusive else set()
        found |= {Capability.FREE_SPACE} if self.server.tells_space else set()
        return frozenset(found if self.server.unfit else found | {Capability.ANY_NAME})

    @property
    def connections(self) -> int | None:
        """See :attr:`Store.connections`."""
        return self._connections

    @property
    def credentials(self) -> str | None:
        """See :attr:`Store.credentials`."""
        with self.faults("sign in"):
            return self.server.credentials

    def where(self) -> tuple[str, ...]:
        """See :meth:`Store.where`."""
        return self.location.words

    def dvc_remote(self, dataset: str) -> dict[str, str]:
        """See :meth:`Store.dvc_remote`."""
        return self.location.dvc_remote(dataset)

    def examine(self) -> list[Check]:
        """See :meth:`Store.examine`."""
        with self.faults("look at it"):
            return self.server.examine()

    def check(self, *, keep: str | None = None, writable: bool = False) -> Marker:
        """See :meth:`Store.check`."""
        marker = self._marker()
        if marker is None:
            with self.faults("read it"):
                self._require_root()
            raise StoreUnmarked(
                f"{self} is a folder, but not a store: it has no {MARKER_NAME}",
                next_step="correct the store's url in keep.yaml; `datakeep vault add NAME URL` makes a store",
            )
        marker.require(keep, self)
        if writable:
            with self.faults("write to it"):
                self._try_write()
        return marker

    def create(self, marker: Marker) -> None:
        """See :meth:`Store.create`; the folder's parent must exist there. Of two keeps at once, one is refused.

        Raises:
            StoreMissing: The parent of the folder is not there.
            StoreUnmarked: It is already the store of another keep.
            AlreadyExists: The folder holds something else.
        """
        found = self._marker()
        if found is None:
            with self.faults("make it"):
                self._make_root()
                others = [entry.name for entry in self.server.folder("") if not entry.name.startswith(PROBE)]
            # Another maker may have been faster by a moment.
            if others and (found := self._marker()) is None:
                raise AlreadyExists(
                    f"{self} cannot be made: the folder holds other files, such as {others[0][:200]}",
                    next_step="choose an empty folder, or one that does not exist yet",
                )
        if found is None and self.put_new(MARKER_NAME, marker.to_bytes()):
            return
        self.check(keep=marker.keep, writable=True)

    def free_bytes(self) -> int | None:
        """See :meth:`Store.free_bytes`; SSH servers mostly know it."""
        with self.faults("read its free space"):
            try:
                return self.server.free_bytes()
            except FileNotFoundError:
                return None

    def sync(self) -> None:
        """See :meth:`Store.sync`; the bytes do, since each file was written, and one more write settles the names."""
        if self.server.settles:
            with self.faults("write to it"):
                self._try_write()

    def close(self) -> None:
        """See :meth:`Store.close`; the connection is left to other copies of this store."""
        if self._session is None:
            return
        session, self._session = self._session, None
        with contextlib.suppress(OSError, Refusal):
            self.server.empty(session)
            for folder in (posixpath.dirname(session), posixpath.dirname(posixpath.dirname(session))):
                if self.server.spares:
                    self.server.remove_folder(folder)

    def tidy(self, prefix: str) -> None:
        """See :meth:`Store.tidy`."""
        incoming = f"{check_key(prefix)}/{_INCOMING}"
        with self.faults(f"tidy {prefix}"), contextlib.suppress(FileNotFoundError):
            own = self._session and posixpath.basename(self._session)
            sessions = [one for one in self.server.folder(incoming) if one.is_folder and one.name != own]
            unknown = []
            for session in sessions:
                alive = is_alive(session.name)
                if alive is None:
                    unknown.append(session)
                elif not alive:
                    self.server.empty(f"{incoming}/{session.name}")
            if unknown:
                self._tidy_by_age(incoming, unknown, prefix)

    def _tidy_by_age(self, incoming: str, sessions: list[Entry], prefix: str) -> None:
        """Remove those that nothing was written to for long, by the server's clock."""
        own = self.server.entry(self._incoming(prefix))
        for session in sessions:
            folder = f"{incoming}/{session.name}"
            newest = max([session.modified_s, *(one.modified_s for one in self.server.folder(folder))])
            if own is not None and 0 < newest < own.modified_s - DEAD_AFTER_S:
                self.server.empty(folder)

    @contextlib.contextmanager
    def faults(self, action: str) -> Iterator[None]:
        """See :meth:`Store.faults`; what the server refuses, too."""
        try:
            with super().faults(action):
                yield
        except Refusal as refusal:
            raise refusal.kind(
                f"{self}: cannot {action}: {refusal.why}", next_step=refusal.next_step
            ) from refusal

    def _marker(self) -> Marker | None:
        data = b""
        with self.faults("read it"):
            try:
                with read_on(self.server, MARKER_NAME) as chunks:
                    for chunk in chunks:
                        data += chunk
                        if len(data) > MARKER_LIMIT_BYTES:
                            break
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Marker.read(data[:MARKER_LIMIT_BYTES], self)

    def _require_root(self) -> None:
        found = self.server.entry("")
        if found is None or not found.is_folder:
            raise FileNotFoundError(self.location.path)

    def _make_root(self) -> None:
        try:
            self.server.make_folder("")
        except FileNotFoundError:
            raise StoreMissing(
                f"{self} cannot be made: the folder /{posixpath.dirname(self.location.path)} is missing on "
                f"{self.location.server}",
                next_step="make it there, or correct the url, then run the same command again",
            ) from None

    def _make_folders(self, folder: str) -> None:
        """``mkdir -p`` that never makes the store's own folder."""
        if not folder:
            self._require_root()
            return
        for _ in range(_ATTEMPTS):
            try:
                self.server.make_folder(folder)
            except FileNotFoundError:
                self._make_folders(posixpath.dirname(folder))
            else:
                return
        raise FileNotFoundError(folder)

    def _incoming(self, prefix: str) -> str:
        """The folder for temporary files of the dataset ``prefix``, of this object alone."""
        incoming = f"{check_key(prefix)}/{_INCOMING}"
        if self._session is None or posixpath.dirname(self._session) != incoming:
            self.close()
            session = f"{incoming}/{session_name()}"
            self._make_folders(session)
            self._session = session
        return self._session

    def _temporary(self, prefix: str) -> str:
        """A name that was not given before."""
        self._begun += 1
        return f"{self._incoming(prefix)}/{self._begun:x}"

    def _try_write(self) -> None:
        probe = f"{PROBE}{secrets.token_hex(8)}"
        try:
            self.server.upload(probe).finish()
        finally:
            self.server.remove(probe)

    def _size_of(self, key: str) -> int | None:
        try:
            found = self.server.entry(check_key(key))
        except NotADirectoryError:
            return None
        return None if found is None or found.is_folder else found.size_bytes

    @contextlib.contextmanager
    def _open_read(self, key: str) -> Iterator[Iterator[bytes]]:
        with read_on(self.server, check_key(key)) as chunks:
            yield chunks

    def _begin(self, prefix: str, key: str | None) -> Writer:  # noqa: ARG002  (a rename needs no key before)
        return _ServerWriter(self, self._temporary(prefix))

    def _put_new(self, key: str, data: bytes) -> bool:
        self.check_name(key)
        self._make_folders(posixpath.dirname(key))
        temporary = f"{PROBE}{session_name()}"
        upload = self.server.upload(temporary)
        try:
            upload.write(data)
            upload.finish()
            return self.server.rename_new(temporary, key)
        finally:
            upload.abandon()
            self.server.remove(temporary)

    def check_name(self, key: str) -> None:
        """ValueError if the server cannot have a file of this name; none of datakeep's own keys is such."""
        if any(letter in key for letter in self.server.unfit):
            raise ValueError(f"{key!r} cannot be a key in {self}")

    def give_name(self, temporary: str, key: str) -> None:
        """The file ``temporary`` becomes the object ``key``."""
        self.check_name(key)
        try:
            self.server.rename(temporary, key)
        except FileNotFoundError:
            self._make_folders(posixpath.dirname(key))
            self.server.rename(temporary, key)

    def _list(self, prefix: str) -> Iterator[Listed]:
        try:
            level = [(prefix, self.server.folder(prefix))]
        except FileNotFoundError:
            self._require_root()
            return
        with ThreadPoolExecutor(self._connections, thread_name_prefix="datakeep-list") as several:
            while level:
                path, entries = level.pop()
                folders = []
                for entry in entries:
                    key = posixpath.join(path, entry.name)
                    if entry.is_folder:
                        folders.append(key)
                    else:
                        yield Listed(key, entry.size_bytes, entry.modified_s)
                for at in range(0, len(folders), _FOLDERS_AT_ONCE):
                    part = folders[at : at + _FOLDERS_AT_ONCE]
                    level += zip(part, several.map(self._held, part), strict=True)

    def _held(self, folder: str) -> list[Entry]:
        try:
            return self.server.folder(folder)
        except FileNotFoundError:  # another writer's, gone since its parent was read
            return []

    def _remove(self, key: str) -> None:
        self.server.remove(key)

    def _missing(self, action: str) -> DatakeepError:
        with self.faults("look at it"):
            found = self.server.entry("")
        if found is not None:
            return super()._missing(action)
        return StoreMissing(
            f"{self} is missing: {self.location.server} has no folder /{self.location.path}",
            next_step="correct the store's url in keep.yaml, or ask the server's administrator; `datakeep vault add "
            "NAME URL` makes a new store",
        )


class _ServerWriter(Writer):
    """A temporary file that is renamed."""

    def __init__(self, store: ServerStore, temporary: str) -> None:
        super().__init__(store)
        self._on_server = store
        self._temporary: str | None = temporary
        self._upload = store.server.upload(temporary)
        self._is_finished = False

    def _write(self, chunk: bytes) -> None:
        if self._is_finished:
            raise ValueError("the object is complete")
        self._upload.write(chunk)

    def _finish(self) -> None:
        if not self._is_finished:
            self._upload.finish()
            self._is_finished = True

    def _commit(self, key: str) -> None:
        check_key(key)
        if self._temporary is None:
            raise ValueError("the object was committed or discarded")
        self._finish()
        self._on_server.give_name(self._temporary, key)
        self._temporary = None

    def discard(self) -> None:
        """See :meth:`Writer.discard`."""
        if self._temporary is None:
            return
        temporary, self._temporary = self._temporary, None
        with contextlib.suppress(OSError, Refusal):
            self._upload.abandon()
            self._on_server.server.remove(temporary)
