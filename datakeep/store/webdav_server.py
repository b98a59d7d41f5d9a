"""A WebDAV server's files, through the client of DVC's WebDAV file system.

WebDAV has no exclusive rename that servers carry out in one step: ``Overwrite: F`` and ``If-None-Match`` are looked
at first, and obeyed a moment later. Making a folder (MKCOL) is one step everywhere, so that whoever wants a new name
makes a folder of a known name beside it first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import ssl
import threading
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import httpx
from webdav4.multistatus import parse_multistatus_response

from datakeep.core.errors import Conflict
from datakeep.store.file_server import AGAIN, Entry, FileServer, Outage, Refusal, Upload
from datakeep.store.interface import CHUNK_BYTES, PROBE
from datakeep.store.library import file_system
from datakeep.store.webdav_credentials import certificate_authority, kind_of_credentials, options_for
from datakeep.store.webdav_faults import no_webdav, refused, unreached
from datakeep.store.webdav_upload import WebDavUpload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.store.examination import Check
    from datakeep.store.server_location import ServerLocation

_CONNECT_S = 15
#: Of silence: a server may have to write a whole file to its disk before it answers.
_STALL_S = 120
#: Before a request is sent again, that met one of these answers or a connection that broke.
_PAUSES_S = (0.1, 0.5, 2.0)
_PASSING = (500, 502, 503, 504)
#: A claim is of one small step; one that is older was left by a killed maker.
_CLAIM_LASTS_S = 60
_CLAIM_WAIT_S = 90
_WANTED = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop>'
    b"<getcontentlength/><getlastmodified/><resourcetype/></prop></propfind>"
)
#: What servers say to the second of two who make one folder at once, or where the folder around it is missing.
_IN_THE_WAY = (301, 409, 423, 500)
#: What web servers say to a method that they do not know.
_UNHEARD_OF = (400, 405, 501)
#: What servers let stand in a path as it is.
_SAFE = "/~!$'()*,;=@+:&"


class WebDavServer(FileServer):
    """The folder of ``location``; see the module."""

    spares = False  # a DELETE takes all along
    #: Some servers decode the destination of a MOVE before they look for these in it.
    unfit = "?#;"

    def __init__(self, location: ServerLocation) -> None:
        self.location = location
        self._lock = threading.Lock()
        self._outage = Outage()
        self._own: Any = None

    @property
    def credentials(self) -> str | None:
        """See :attr:`Store.credentials`."""
        return kind_of_credentials(self.location)

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """See :meth:`FileServer.translated`."""
        try:
            yield
        except httpx.HTTPError as fault:
            refusal = unreached(fault, self.location)
            if isinstance(fault, httpx.TimeoutException):
                self._outage.note(refusal)
            raise refusal from fault

    @property
    def _client(self) -> httpx.Client:
        self._outage.check()
        with self._lock:
            if self._own is None:
                self._own = self._connect()
            return self._own  # type: ignore[no-any-return]  # webdav4 has no types

    def _connect(self) -> Any:
        options = options_for(self.location)
        system = file_system(self.location, **options, timeout=_STALL_S)[0]
        if authority := certificate_authority():
            system.fs_args["verify"] = ssl.create_default_context(cafile=authority)
        client = system.fs.client.http
        client.timeout = httpx.Timeout(_STALL_S, connect=_CONNECT_S)
        return client

    def address(self, path: str) -> str:
        """The URL of ``path``."""
        scheme = self.location.scheme.replace("webdav", "http")
        place = "/".join(filter(None, (self.location.path, path)))
        return f"{scheme}://{self.location.server}/{quote(place, safe=_SAFE)}"

    def _asked(self, method: str, path: str, slash: str = "", **options: Any) -> httpx.Response:
        """The answer to a request that may be sent again: one that changes nothing, or the same each time."""
        address = self.address(path) + slash
        for pause_s in _PAUSES_S:
            try:
                answer = self._client.request(method, address, **options)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                time.sleep(pause_s)
                continue
            if answer.status_code not in _PASSING:
                return answer
            time.sleep(pause_s)
        with self.translated():
            return self._client.request(method, address, **options)

    def _judged(self, answer: httpx.Response) -> httpx.Response:
        """The answer, if it is a success."""
        if answer.is_success:
            return answer
        raise refused(answer.status_code, answer.headers.get("location"), self.location)

    def entry(self, path: str) -> Entry | None:
        """See :meth:`FileServer.entry`."""
        try:
            found = self._properties(path, "0")
        except FileNotFoundError:
            return None
        return found[0] if found else None

    def folder(self, path: str) -> list[Entry]:
        """See :meth:`FileServer.folder`."""
        found = self._properties(path, "1")
        if found and not found[0].is_folder:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return found[1:]

    def _properties(self, path: str, depth: str) -> list[Entry]:
        """What is at ``path``, and after it what that holds."""
        headers = {"Depth": depth, "Content-Type": "application/xml"}
        slash = "/" if depth == "1" else ""
        with self.translated():
            answer = self._asked("PROPFIND", path, slash, headers=headers, content=_WANTED)
        if answer.status_code in _UNHEARD_OF:
            raise no_webdav(self.location)
        self._judged(answer)
        own = unquote(urlsplit(self.address(path)).path).rstrip("/")
        first: list[Entry] = []
        others: list[Entry] = []
        for one in _responses(answer, self.location):
            place = unquote(urlsplit(one.href).path).rstrip("/")
            found = one.properties
            when = found.modified.timestamp() if found.modified else 0.0
            entry = Entry(place.rpartition("/")[2], found.content_length or 0, bool(found.collection), when)
            (first if place == own else others).append(entry)
        return [*first, *others]

    def make_folder(self, path: str) -> None:
        """See :meth:`FileServer.make_folder`."""
        self._make_folder(path)

    def _make_folder(self, path: str) -> bool:
        """Whether it is new; of several makers at once, one is told so."""
        with self.translated():
            answer = self._asked("MKCOL", path, "/")
        if answer.status_code == httpx.codes.METHOD_NOT_ALLOWED:  # there is something, or was a moment ago
            return False
        if answer.status_code in _IN_THE_WAY:
            found = self.entry(path)
            if found is not None and found.is_folder:
                return False
        self._judged(answer)
        return True

    @contextlib.contextmanager
    def read(self, path: str) -> Iterator[Iterator[bytes]]:
        """See :meth:`FileServer.read`."""
        headers = {"Accept-Encoding": "identity"}
        with contextlib.ExitStack() as stack:
            with self.translated():  # what fails in the caller's block is not the server's fault
                sent = self._client.stream("GET", self.address(path), headers=headers)
                answer = self._judged(stack.enter_context(sent))
            yield self.guarded(answer.iter_bytes(CHUNK_BYTES))

    def upload(self, path: str) -> Upload:
        """See :meth:`FileServer.upload`."""
        return WebDavUpload(self, path)

    def rename(self, source: str, target: str) -> None:
        """See :meth:`FileServer.rename`."""
        self._move(source, target, "T")

    def _move(self, source: str, target: str, overwrite: str) -> None:
        headers = {"Destination": self.address(target), "Overwrite": overwrite}
        with self.translated():
            self._judged(self._client.request("MOVE", self.address(source), headers=headers))

    def rename_new(self, source: str, target: str) -> bool:
        """See :meth:`FileServer.rename_new`, and the module."""
        parent, _, name = target.rpartition("/")
        claim = "/".join(filter(None, (parent, f"{PROBE}{name}")))
        until = time.monotonic() + _CLAIM_WAIT_S
        while not self._make_folder(claim):
            if self.entry(target) is not None:
                return False
            if time.monotonic() > until:
                raise Refusal(Conflict, f"another program has been making {target} for a while", AGAIN)
            self._end_stale(claim)
            time.sleep(0.1)
        try:
            if self.entry(target) is not None:
                return False
            self._move(source, target, "F")
        except FileExistsError:
            return False
        finally:
            self.remove_folder(claim)
        return True

    def _end_stale(self, claim: str) -> None:
        """Take away the claim of a maker that was killed: of several who try, one gets it moved."""
        found = self._claimed(claim)
        if found is None or not found[1]:
            return
        taken = f"{claim}.{os.getpid():x}-{time.time_ns():x}"
        try:
            self._move(claim, taken, "F")
        except (FileNotFoundError, FileExistsError):
            return
        self.remove_folder(taken)

    def _claimed(self, claim: str) -> tuple[Entry, bool] | None:
        """The claim, and whether it is older than any maker's; by the server's own clock."""
        found = self.entry(claim)
        if found is None:
            return None
        with self.translated():
            answer = self._asked("OPTIONS", "")
        if not (date := answer.headers.get("date")) or not found.modified_s:
            return found, False
        return found, parsedate_to_datetime(date).timestamp() - found.modified_s > _CLAIM_LASTS_S

    def remove(self, path: str) -> None:
        """See :meth:`FileServer.remove`."""
        with self.translated(), contextlib.suppress(FileNotFoundError):
            self._judged(self._asked("DELETE", path))

    def remove_folder(self, path: str) -> None:
        """See :meth:`FileServer.remove_folder`; a DELETE of one that holds something would take it along."""
        with contextlib.suppress(FileNotFoundError):
            if self.folder(path):
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
            with self.translated():
                self._judged(self._asked("DELETE", path, "/"))

    def examine(self) -> list[Check]:
        """See :meth:`FileServer.examine`."""
        from datakeep.store.server_examination import examine_webdav

        if self.entry("") is None:
            raise FileNotFoundError(self.location.path)
        with self.translated():
            answer = self._judged(self._asked("OPTIONS", ""))
        return examine_webdav(
            self.location, locks="2" in answer.headers.get("dav", "").replace(" ", "").split(",")
        )

    def put(self, path: str, content: bytes | Iterator[bytes]) -> None:
        """One upload."""
        options: dict[str, Any] = {
            "content": content,
            "headers": {"Content-Type": "application/octet-stream"},
        }
        with self.translated():
            if isinstance(content, bytes):
                self._judged(self._asked("PUT", path, **options))
            else:
                self._judged(self._client.request("PUT", self.address(path), **options))


def _responses(answer: httpx.Response, location: ServerLocation) -> list[Any]:
    try:
        return list(parse_multistatus_response(answer).responses.values())
    except Exception as fault:
        raise no_webdav(location) from fault
