"""An SSH server's files, by SFTP, through DVC's SSH file system, which is made strict here.

By itself, that accepts any host key and forwards the user's agent to the host. Here the host's key must be in the
user's ``known_hosts``, and nothing is forwarded. Keys, agent, ports and jump hosts are those of ``~/.ssh/config``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
from dvc_ssh.client import InteractiveSSHClient
from dvc_ssh.spec import SSHFileSystem
from fsspec.asyn import sync_wrapper

from datakeep.store.file_server import Entry, FileServer, Outage, Refusal, Upload
from datakeep.store.interface import CHUNK_BYTES
from datakeep.store.library import file_system
from datakeep.store.ssh_faults import is_lost, is_silence, key_refusal, lost, meaning, usable_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.store.examination import Check
    from datakeep.store.server_location import ServerLocation

_PORT = 22
_CONNECT_S = 15
_LOGIN_S = 60
#: A server that has not answered for so long, three times, is gone.
_KEEPALIVE_S = 20
_READ_ONLY = 1


class _Sftp(SSHFileSystem):  # type: ignore[misc]  # fsspec has no types
    """DVC's own, with the calls of SFTP that fsspec has no name for."""

    async def _call(self, name: str, *args: Any) -> Any:
        async with self._pool.get() as channel:
            return await getattr(channel, name)(*args)

    async def _read_small(self, path: str, limit_bytes: int) -> bytes | None:
        """All of a file that is not larger; a read of more than there is asks the server for all of it in vain."""
        async with self._pool.get() as channel, channel.open(path, "rb") as file:
            size_bytes = (await file.stat()).size
            if size_bytes is None or size_bytes > limit_bytes:
                return None
            return bytes(await file.read(size_bytes)) if size_bytes else b""

    call = sync_wrapper(_call)
    read_small = sync_wrapper(_read_small)


class SshServer(FileServer):
    """The folder of ``location``; see the module.

    It connects when it is first used, and again after the connection broke. SFTP's channels, up to eight, share one
    connection.
    """

    tells_space = True
    settles = True

    def __init__(self, location: ServerLocation) -> None:
        self.location = location
        self._root = f"/{location.path}"
        self._lock = threading.Lock()
        self._outage = Outage()
        self._connected: _Sftp | None = None

    @property
    def credentials(self) -> str | None:
        """See :attr:`Store.credentials`."""
        return "ssh keys of ~/.ssh and the ssh agent"

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """See :meth:`FileServer.translated`."""
        try:
            yield
        except asyncssh.HostKeyNotVerifiable as fault:
            raise key_refusal(self.location, changed=self._is_known()) from fault
        except (asyncssh.Error, OSError) as fault:
            if is_lost(fault):
                self._forget()
                raise lost(fault, self.location) from fault
            found = meaning(fault, self.location)
            if is_silence(fault) and isinstance(found, Refusal):
                self._forget()
                self._outage.note(found)
            if found is fault:
                raise
            raise found from fault

    @property
    def _fs(self) -> _Sftp:
        with self._lock:
            if self._connected is None:
                self._outage.check()
                with usable_settings(self.location):
                    self._connected = self._connect()
            return self._connected

    def _forget(self) -> None:
        with self._lock:
            self._connected = None

    def _connect(self) -> _Sftp:
        known_hosts = _known_hosts(self._options())
        options = dict(file_system(self.location)[0].fs_args)
        options.update(
            known_hosts=known_hosts, agent_forwarding=False, x11_forwarding=False, gss_auth=False,
            connect_timeout=_CONNECT_S, login_timeout=_LOGIN_S, keepalive_interval=_KEEPALIVE_S,
            client_factory=InteractiveSSHClient if _can_ask() else asyncssh.SSHClient,
        )  # fmt: skip
        try:
            return _Sftp(**options)
        except (asyncssh.ConnectionLost, ConnectionResetError):
            # A host that no longer has a key of the kind that is known hangs up: any other kind is looked at then,
            # and refused for what it is.
            if not self._is_known():
                raise
            return _Sftp(**options, server_host_key_algs="default")

    def _options(self) -> asyncssh.SSHClientConnectionOptions:
        """What the user's configuration says of the host."""
        return asyncssh.SSHClientConnectionOptions(
            host=self.location.host,
            port=self.location.port or (),
            username=self.location.user or (),
        )

    def _is_known(self) -> bool:
        """Whether the user trusts any key of the host."""
        with usable_settings(self.location):
            options = self._options()
        name = options.host_key_alias or options.host
        port = None if options.port == _PORT else options.port
        return bool(asyncssh.match_known_hosts(_known_hosts(options), name, "", port)[0])

    def _path(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}" if path else self._root

    def entry(self, path: str) -> Entry | None:
        """See :meth:`FileServer.entry`."""
        with self.translated():
            try:
                return _entry(path.rpartition("/")[2], self._fs.call("stat", self._path(path)))
            except asyncssh.SFTPNoSuchFile:
                return None

    def folder(self, path: str) -> list[Entry]:
        """See :meth:`FileServer.folder`; a link to a file is one."""
        found = []
        with self.translated():
            for name in self._fs.call("readdir", self._path(path)):
                if name.filename in (".", ".."):
                    continue
                entry: Entry | None = _entry(name.filename, name.attrs)
                if stat.S_ISLNK(name.attrs.permissions or 0):
                    target = self.entry(f"{path}/{name.filename}" if path else name.filename)
                    entry = None if target is None or target.is_folder else target
                found += [entry] if entry else []
        return found

    def make_folder(self, path: str) -> None:
        """See :meth:`FileServer.make_folder`."""
        with self.translated():
            try:
                self._fs.call("mkdir", self._path(path))
            except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists, asyncssh.SFTPPermissionDenied):
                there = self.entry(path)
                if there is None or not there.is_folder:
                    raise

    @contextlib.contextmanager
    def read(self, path: str) -> Iterator[Iterator[bytes]]:
        """See :meth:`FileServer.read`."""
        with self.translated():
            whole = self._fs.read_small(self._path(path), CHUNK_BYTES)
            file = None if whole is not None else self._fs.open(self._path(path), "rb")
        if file is None:
            yield iter([whole] if whole else [])
            return
        try:
            yield self.guarded(iter(lambda: file.read(CHUNK_BYTES), b""))
        finally:
            with contextlib.suppress(OSError, asyncssh.Error):  # nothing was written
                file.close()

    def upload(self, path: str) -> Upload:
        """See :meth:`FileServer.upload`."""
        with self.translated():
            return _SshUpload(self, self._fs.open(self._path(path), "xb"))

    def rename(self, source: str, target: str) -> None:
        """See :meth:`FileServer.rename`."""
        with self.translated():
            try:
                self._fs.call("posix_rename", self._path(source), self._path(target))
            except asyncssh.SFTPOpUnsupported:  # a server that is not OpenSSH: its rename replaces nothing
                self.remove(target)
                self._fs.call("rename", self._path(source), self._path(target))

    def rename_new(self, source: str, target: str) -> bool:
        """See :meth:`FileServer.rename_new`: a hard link, or else the name is taken first and filled then."""
        with self.translated():
            try:
                self._fs.call("link", self._path(source), self._path(target))
            except (asyncssh.SFTPFailure, asyncssh.SFTPOpUnsupported, asyncssh.SFTPPermissionDenied):
                if self.entry(target) is not None:
                    return False
                return self._take_name(source, target)
            self.remove(source)
            return True

    def _take_name(self, source: str, target: str) -> bool:
        try:
            self._fs.open(self._path(target), "xb").close()
        except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists, FileExistsError):
            if self.entry(target) is not None:
                return False
            raise
        self.rename(source, target)
        return True

    def remove(self, path: str) -> None:
        """See :meth:`FileServer.remove`."""
        with self.translated(), contextlib.suppress(asyncssh.SFTPNoSuchFile):
            self._fs.call("remove", self._path(path))

    def remove_folder(self, path: str) -> None:
        """See :meth:`FileServer.remove_folder`."""
        with self.translated(), contextlib.suppress(asyncssh.SFTPNoSuchFile):
            self._fs.call("rmdir", self._path(path))

    def free_bytes(self) -> int | None:
        """See :meth:`FileServer.free_bytes`."""
        space = self.space()
        return None if space is None else space.bavail * space.frsize

    def space(self) -> Any:
        """What statvfs says of the folder; None if the server does not know that."""
        with self.translated():
            try:
                return self._fs.call("statvfs", self._root)
            except asyncssh.SFTPOpUnsupported:
                return None

    def why(self, fault: Exception) -> Exception:
        """SFTP's word for a full or read-only disk is "failure": what it was is asked for."""
        with contextlib.suppress(Exception):  # then it stays what it was
            space = self.space()
            if space is not None and space.bavail * space.frsize < CHUNK_BYTES:
                return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if space is not None and space.flags & _READ_ONLY:
                return OSError(errno.EROFS, os.strerror(errno.EROFS))
        return fault

    def examine(self) -> list[Check]:
        """See :meth:`FileServer.examine`."""
        from datakeep.store.server_examination import examine_ssh

        root = self.entry("")
        if root is None:
            raise FileNotFoundError(self._root)
        with self.translated():
            mode = self._fs.call("stat", self._root).permissions or 0
        return examine_ssh(self.location, mode, self.space())


class _SshUpload(Upload):
    """A file that is open there."""

    def __init__(self, server: SshServer, file: Any) -> None:
        self._server = server
        self._file = file

    def write(self, chunk: bytes) -> None:
        """See :meth:`Upload.write`."""
        with self._server.translated(), self._asked():
            self._file.write(chunk)

    def finish(self) -> None:
        """See :meth:`Upload.finish`."""
        with self._server.translated(), self._asked():
            with contextlib.suppress(asyncssh.SFTPOpUnsupported):  # a server that is not OpenSSH
                self._file.fsync()
            self._file.close()

    def abandon(self) -> None:
        """See :meth:`Upload.abandon`."""
        with contextlib.suppress(OSError, asyncssh.Error):
            self._file.close()

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except asyncssh.SFTPFailure as fault:
            raise self._server.why(fault) from fault


def _entry(name: str, found: Any) -> Entry:
    return Entry(name, found.size or 0, stat.S_ISDIR(found.permissions or 0), float(found.mtime or 0))


def _can_ask() -> bool:
    """Whether a passphrase or a password can be typed."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _known_hosts(options: asyncssh.SSHClientConnectionOptions) -> list[str] | bytes:
    """The files of host keys that the user trusts; none at all trusts nobody, whatever the configuration says."""
    files = options.known_hosts
    named = [str(file) for file in files] if isinstance(files, list | tuple) else []
    named = named or [str(Path("~/.ssh/known_hosts").expanduser())]
    found = [file for file in (*named, "/etc/ssh/ssh_known_hosts") if Path(file).is_file()]
    return found or b""
