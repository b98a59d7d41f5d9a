"""A file on its way to a WebDAV server: one PUT, of bytes that are still to come if they are many."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING

from datakeep.core.errors import StoreUnreachable
from datakeep.store.file_server import AGAIN, Refusal, Upload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.store.webdav_server import WebDavServer

#: Up to this size a file waits in memory, and is sent with its length; a larger one is sent as it comes.
_HELD_BYTES = 8 << 20
_CHUNKS_WAITING = 8


class WebDavUpload(Upload):
    """See the module. Whether all of a large file arrived is looked at before it counts as whole."""

    def __init__(self, server: WebDavServer, path: str) -> None:
        self._server = server
        self._path = path
        self._held: list[bytes] = []
        self._size_bytes = 0
        self._stream: _Stream | None = None

    def write(self, chunk: bytes) -> None:
        """See :meth:`Upload.write`."""
        self._size_bytes += len(chunk)
        if self._stream is not None:
            self._stream.give(chunk)
            return
        self._held.append(chunk)
        if self._size_bytes > _HELD_BYTES:
            self._stream = _Stream(self._server, self._path)
            held, self._held = self._held, []
            for one in held:
                self._stream.give(one)

    def finish(self) -> None:
        """See :meth:`Upload.finish`."""
        if self._stream is None:
            self._server.put(self._path, b"".join(self._held))
            self._held = []
            return
        self._stream.end()
        found = self._server.entry(self._path)
        if found is None or found.size_bytes != self._size_bytes:
            raise Refusal(
                StoreUnreachable,
                f"it kept {0 if found is None else found.size_bytes:,} of {self._size_bytes:,} bytes that were sent",
                AGAIN,
            )

    def abandon(self) -> None:
        """See :meth:`Upload.abandon`."""
        self._held = []
        if self._stream is not None:
            self._stream.abandon()


class _Abandoned(Exception):
    """Ends the request of an upload that nobody wants any more."""


class _Stream:
    """A PUT in a thread of its own, which is given its bytes one chunk after the other."""

    def __init__(self, server: WebDavServer, path: str) -> None:
        self._server = server
        self._path = path
        self._chunks: queue.Queue[bytes | None] = queue.Queue(_CHUNKS_WAITING)
        self._abandoned = threading.Event()
        self._over = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._send, name="datakeep-put", daemon=True)
        self._thread.start()

    def _send(self) -> None:
        try:
            self._server.put(self._path, self._come())
        except BaseException as fault:  # noqa: BLE001  (raised again, in the thread that gives the bytes)
            self._fault = fault
        self._over.set()

    def _come(self) -> Iterator[bytes]:
        while (chunk := self._chunks.get()) is not None:
            yield chunk
        if self._abandoned.is_set():
            raise _Abandoned

    def give(self, chunk: bytes | None) -> None:
        """One more chunk; the request's fault, if it has ended already."""
        while not self._over.is_set():
            with contextlib.suppress(queue.Full):
                self._chunks.put(chunk, timeout=1)
                return
        self._raise()

    def end(self) -> None:
        """There is no more to come; the request ends."""
        self.give(None)
        self._thread.join()
        if self._fault is not None:
            self._raise()

    def _raise(self) -> None:
        if self._fault is not None and not isinstance(self._fault, _Abandoned):
            raise self._fault
        raise Refusal(StoreUnreachable, "the server answered before it had all bytes", AGAIN)

    def abandon(self) -> None:
        """End the request; what the server has of the file is its own."""
        self._abandoned.set()
        with contextlib.suppress(Refusal, OSError, queue.Full):
            self.give(None)
        self._thread.join()
