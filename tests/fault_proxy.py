"""Proxies in front of a server that break what a network and a server break: of HTTP, and of any TCP."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

#: What the proxy does to a request: a word of :class:`_Handler`, or an answer (status, error code) of its own.
Fault = str | tuple[int, str] | None


class FaultProxy:
    """Passes requests on to ``endpoint_url``, but for those that ``fault(method, path, number)`` names."""

    def __init__(self, endpoint_url: str, fault: Callable[[str, str, int], Fault] | None = None) -> None:
        self.upstream = urlsplit(endpoint_url).netloc
        self.fault = fault or (lambda method, path, number: None)
        self.requests: list[tuple[str, str]] = []
        self.faults = 0
        self.sent_bytes = 0
        self.open = 0
        self.most_open = 0
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.proxy = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint_url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def choose(self, method: str, path: str) -> Fault:
        """What happens to the next request."""
        with self.lock:
            self.requests.append((method, path))
            found = self.fault(method, path, len(self.requests))
            self.faults += found is not None
            return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def setup(self) -> None:
        super().setup()
        proxy = self.server.proxy
        with proxy.lock:
            proxy.open += 1
            proxy.most_open = max(proxy.most_open, proxy.open)

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client did not wait for the answer
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        with self.server.proxy.lock:
            self.server.proxy.open -= 1

    def log_message(self, *_: object) -> None:
        pass

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.proxy.choose(self.command, self.path)
        if isinstance(fault, tuple):
            self._answer(fault[0], [], _error(fault[1]))
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        elif fault == "stall":
            time.sleep(5)
            self.close_connection = True
        else:
            self._pass_on(_flipped(body) if fault == "flip upload" else body, fault)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = do_OPTIONS = do_PROPFIND = do_MKCOL = do_MOVE = _any  # noqa: N815  (the names that http.server calls)

    def _pass_on(self, body: bytes, fault: Fault) -> None:
        upstream = http.client.HTTPConnection(self.server.proxy.upstream, timeout=300)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            data = answer.read()
            headers = answer.getheaders()
        except (OSError, http.client.HTTPException):  # the server is down
            self.close_connection = True
            return
        finally:
            upstream.close()
        if fault == "flip":
            data = _flipped(data)
        self._answer(answer.status, headers, data, cut=fault == "truncate" and len(data) > 1)

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = {name.lower(): value for name, value in headers}.get("content-length", str(len(data)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            with self.server.proxy.lock:
                self.server.proxy.sent_bytes += len(data)
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True


def _flipped(data: bytes) -> bytes:
    """``data`` with one bit in its middle changed."""
    if not data:
        return data
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    return bytes(changed)


def _error(code: str) -> bytes:
    more = (
        "<Region>eu-central-1</Region>"
        if code in ("AuthorizationHeaderMalformed", "PermanentRedirect")
        else ""
    )
    return (
        f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>Said so.</Message>{more}</Error>'.encode()
    )


class TcpProxy:
    """Passes the bytes of every connection on to a port of the loopback, until :meth:`reset` breaks them off."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listening.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.reset()

    def reset(self) -> None:
        """Every connection ends with RST, as after a restart of a router or a crash of the other machine."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(
                    socket.SHUT_RD
                )  # wakes the thread that reads, so that nothing holds the socket open
            with contextlib.suppress(OSError):
                one.close()
        self._open.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._upstream))
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
