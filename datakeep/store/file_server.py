"""What a server with files and folders is to a store on it, whatever its protocol.

A path is a key below the store's folder, and ``""`` that folder itself. An implementation lets :class:`OSError`
escape for what happens to a file (missing, forbidden, full), and :class:`Refusal` for what is wrong with the server
or the way to it; :mod:`datakeep.store.server_store` makes sentences of both.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, ProgramMissing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from datakeep.core.errors import DatakeepError
    from datakeep.store.examination import Check

#: Before a file whose reading broke is asked for again.
_PAUSES_S = (0.2, 1.0, 3.0)
_OUTAGE_S = 60.0
AGAIN = "run the same command again: it goes on from there"


class PackageMissing(ProgramMissing):
    """The Python package through which DVC speaks to a kind of server is not installed; names it."""


class ServerKeyUnknown(AccessDenied):
    """The user's ``known_hosts`` does not have the key of a store's SSH server."""


class ServerKeyChanged(AccessDenied):
    """A store's SSH server shows another key than the one in the user's ``known_hosts``."""


class Refusal(Exception):
    """A condition that is not about one file.

    Args:
        kind: What is to be raised.
        why: The rest of a sentence that begins with the store.
        next_step: What to type or do next.
        passing: Whether the same may succeed in a moment: a connection broke, a server was overloaded.
    """

    def __init__(self, kind: type[DatakeepError], why: str, next_step: str, *, passing: bool = False) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why
        self.next_step = next_step
        self.passing = passing


class Outage:
    """A server that did not answer in time is not asked for a while: of a thousand files, each would wait anew."""

    def __init__(self) -> None:
        self._refusal: Refusal | None = None
        self._over_s = 0.0

    def note(self, refusal: Refusal) -> None:
        """It did not answer now."""
        self._refusal, self._over_s = refusal, time.monotonic() + _OUTAGE_S

    def check(self) -> None:
        """Raise what was noted, if that was a moment ago."""
        if self._refusal is not None and time.monotonic() < self._over_s:
            raise Refusal(self._refusal.kind, self._refusal.why, self._refusal.next_step)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder; ``modified_s`` is in seconds since 1970 by the server's clock, 0 if it does not tell."""

    name: str
    size_bytes: int
    is_folder: bool
    modified_s: float


class Upload(ABC):
    """A new file on its way."""

    @abstractmethod
    def write(self, chunk: bytes) -> None:
        """Append ``chunk``."""

    @abstractmethod
    def finish(self) -> None:
        """The file is whole there, and as durable as the server can make it."""

    @abstractmethod
    def abandon(self) -> None:
        """Write no more, and forget what was not sent; the file may be left there. Harmless after :meth:`finish`."""


class FileServer(ABC):
    """One folder of one server, used by several threads at once; it connects when it is first used."""

    #: Whether of several :meth:`rename_new` to one name exactly one succeeds.
    exclusive = True
    #: Whether :meth:`remove_folder` leaves alone what somebody has put there in that moment.
    spares = True
    #: Characters that no name here may have.
    unfit = ""
    #: Whether :meth:`free_bytes` can know the answer.
    tells_space = False
    #: Whether a file that is finished takes all renames before it with it to the disk.
    settles = False

    @property
    @abstractmethod
    def credentials(self) -> str | None:
        """See :attr:`Store.credentials`."""

    @abstractmethod
    def translated(self) -> AbstractContextManager[None]:
        """A block whose exceptions of the protocol's library leave it as :class:`OSError` or :class:`Refusal`."""

    @abstractmethod
    def entry(self, path: str) -> Entry | None:
        """What is at ``path``; None if nothing is."""

    @abstractmethod
    def folder(self, path: str) -> list[Entry]:
        """What the folder holds; FileNotFoundError if there is none."""

    @abstractmethod
    def make_folder(self, path: str) -> None:
        """There is a folder afterwards; FileNotFoundError if the one around it is missing."""

    @abstractmethod
    def read(self, path: str) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes of a file, for the length of a ``with`` block."""

    @abstractmethod
    def upload(self, path: str) -> Upload:
        """A file that nobody else writes to; FileNotFoundError if its folder is missing."""

    @abstractmethod
    def rename(self, source: str, target: str) -> None:
        """The file has the name ``target``, of which another one is lost; FileNotFoundError without its folder."""

    @abstractmethod
    def rename_new(self, source: str, target: str) -> bool:
        """The file has the name ``target``, unless there is one; whether that was so."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """There is no such file afterwards."""

    @abstractmethod
    def remove_folder(self, path: str) -> None:
        """There is no such folder afterwards; OSError while it holds something."""

    def free_bytes(self) -> int | None:
        """How many more bytes fit; None if nobody can say."""
        return None

    @abstractmethod
    def examine(self) -> list[Check]:
        """What can be told of the server itself: the way to it, the rights, the room."""

    def guarded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """``chunks``, whose faults are translated as they come."""
        with self.translated():
            yield from chunks

    def empty(self, path: str) -> None:
        """Remove a folder and all that it holds; what is already gone does not matter."""
        with contextlib.suppress(FileNotFoundError):
            for entry in self.folder(path):
                if entry.is_folder:
                    self.empty(f"{path}/{entry.name}")
                else:
                    self.remove(f"{path}/{entry.name}")
            self.remove_folder(path)


@contextlib.contextmanager
def read_on(server: FileServer, path: str) -> Iterator[Iterator[bytes]]:
    """The bytes of a file, as :meth:`FileServer.read`; where the connection breaks, it goes on from there."""
    with contextlib.ExitStack() as stack:
        reader = _Reader(server, path, stack)
        reader.again()
        yield reader.chunks()


class _Reader:
    """A file that may have to be opened again."""

    def __init__(self, server: FileServer, path: str, stack: contextlib.ExitStack) -> None:
        self._server = server
        self._path = path
        self._stack = stack
        self._pauses_s = list(_PAUSES_S)
        self._given_bytes = 0
        self._chunks: Iterator[bytes] = iter(())

    def again(self) -> None:
        """Open it, and pass over what was given before."""
        while True:
            self._stack.close()
            try:
                self._chunks = self._stack.enter_context(self._server.read(self._path))
                self._pass_over()
            except Refusal as refusal:
                self._wait(refusal)
            else:
                return

    def _pass_over(self) -> None:
        passed = 0
        while passed < self._given_bytes:
            chunk = next(self._chunks, b"")
            passed += len(chunk)
            if not chunk:
                raise OSError(errno.EIO, "the file became shorter while it was read")
            if passed > self._given_bytes:
                rest = chunk[self._given_bytes - passed :]
                self._chunks = itertools.chain([rest], self._chunks)

    def _wait(self, refusal: Refusal) -> None:
        if not refusal.passing or not self._pauses_s:
            raise refusal
        time.sleep(self._pauses_s.pop(0))

    def chunks(self) -> Iterator[bytes]:
        """Every byte, once."""
        while True:
            try:
                chunk = next(self._chunks, b"")
            except Refusal as refusal:
                self._wait(refusal)
                self.again()
                continue
            if not chunk:
                return
            self._given_bytes += len(chunk)
            yield chunk
