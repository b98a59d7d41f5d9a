"""Any server that DVC knows and datakeep has no words for: HDFS, Google Drive, Alibaba OSS; and HTTP, for reading.

Only what DVC's file systems have in common is used. They cannot say whether a name is new and take it in one step.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import DatakeepError, StoreUnreachable, Unsupported
from datakeep.core.secrets import find_secret
from datakeep.store.file_server import AGAIN, Entry, FileServer, Refusal, Upload
from datakeep.store.interface import CHUNK_BYTES
from datakeep.store.library import file_system
from datakeep.store.webdav_credentials import of_netrc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.store.examination import Check
    from datakeep.store.server_location import ServerLocation

#: As fsspec's file systems call the time of a change.
_TIMES = ("mtime", "modified", "LastModified", "last_modified", "modificationTime", "modifiedTime", "created")
_WORDS = 200
#: There a folder is nothing but the beginning of names.
_WITHOUT_FOLDERS = ("oss",)


class LibraryServer(FileServer):
    """The folder of ``location``; see the module."""

    exclusive = False
    spares = False

    def __init__(self, location: ServerLocation) -> None:
        self.location = location
        self._lock = threading.Lock()
        self._own: tuple[Any, str] | None = None

    @property
    def credentials(self) -> str | None:
        """See :attr:`Store.credentials`."""
        return f"what DVC's {self.location.kind.words} finds on this machine"

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """See :meth:`FileServer.translated`; each library has its own exceptions, so that their words are shown."""
        try:
            yield
        except (DatakeepError, Refusal):
            raise
        except OSError as fault:
            if fault.errno is not None:
                raise
            number = next((number for kind, number in _NUMBERS if isinstance(fault, kind)), errno.EIO)
            raise OSError(number, _shown(fault) if number == errno.EIO else os.strerror(number)) from fault
        except Exception as fault:
            raise Refusal(
                StoreUnreachable, f"DVC's {self.location.kind.words} says: {_shown(fault)}", AGAIN
            ) from fault

    def _open(self) -> tuple[Any, str]:
        """The file system, and the path of the store's folder in it."""
        with self._lock:
            if self._own is None:
                system, path = file_system(self.location)
                self._own = system.fs, path
            return self._own

    def _at(self, path: str) -> tuple[Any, str]:
        system, root = self._open()
        return system, f"{root.rstrip('/')}/{path}" if path else root

    def entry(self, path: str) -> Entry | None:
        """See :meth:`FileServer.entry`."""
        with self.translated():
            system, place = self._at(path)
            try:
                return _entry(system.info(place))
            except FileNotFoundError:
                return None

    def folder(self, path: str) -> list[Entry]:
        """See :meth:`FileServer.folder`."""
        with self.translated():
            system, place = self._at(path)
            system.invalidate_cache()
            own = place.strip("/")
            return [_entry(one) for one in system.ls(place, detail=True) if one["name"].strip("/") != own]

    def make_folder(self, path: str) -> None:
        """See :meth:`FileServer.make_folder`."""
        with self.translated():
            system, place = self._at(path)
            around = place.rstrip("/").rpartition("/")[0]
            if (
                around.strip("/")
                and self.location.scheme not in _WITHOUT_FOLDERS
                and not system.exists(around)
            ):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            system.makedirs(place, exist_ok=True)

    @contextlib.contextmanager
    def read(self, path: str) -> Iterator[Iterator[bytes]]:
        """See :meth:`FileServer.read`."""
        with contextlib.ExitStack() as stack:
            with self.translated():  # what fails in the caller's block is not the server's fault
                system, place = self._at(path)
                file = stack.enter_context(system.open(place, "rb"))
            yield self.guarded(iter(lambda: file.read(CHUNK_BYTES), b""))

    def upload(self, path: str) -> Upload:
        """See :meth:`FileServer.upload`."""
        with self.translated():
            self._require_folder_of(path)
            system, place = self._at(path)
            return _LibraryUpload(self, system.open(place, "wb"))

    def _require_folder_of(self, path: str) -> None:
        """Some file systems make the folders of a file as they write it; a store's own folder is not to be made."""
        if self.location.scheme not in _WITHOUT_FOLDERS and self.entry(path.rpartition("/")[0]) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def rename(self, source: str, target: str) -> None:
        """See :meth:`FileServer.rename`; between the loss of the old one and the new one, there is none."""
        with self.translated():
            system, place = self._at(target)
            self._require_folder_of(target)
            if self.entry(target) is not None:
                system.rm_file(place)
            system.mv(self._at(source)[1], place)

    def rename_new(self, source: str, target: str) -> bool:
        """See :meth:`FileServer.rename_new`; of two in the same moment, both may succeed."""
        if self.entry(target) is not None:
            return False
        self.rename(source, target)
        return True

    def remove(self, path: str) -> None:
        """See :meth:`FileServer.remove`."""
        with self.translated(), contextlib.suppress(FileNotFoundError):
            system, place = self._at(path)
            system.rm_file(place)

    def remove_folder(self, path: str) -> None:
        """See :meth:`FileServer.remove_folder`."""
        with self.translated(), contextlib.suppress(FileNotFoundError):
            if self.folder(path):
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
            system, place = self._at(path)
            system.rmdir(place)

    def examine(self) -> list[Check]:
        """See :meth:`FileServer.examine`."""
        from datakeep.store.server_examination import examine_other

        return examine_other(self.location, exclusive=self.exclusive)


class WebServer(LibraryServer):
    """A web server: what lies there can be read, one file by its name; it can be neither listed nor written."""

    def _refused(self, what: str) -> Refusal:
        return Refusal(
            Unsupported,
            f"a web server ({self.location.scheme}://) {what}",
            "give the place to write to: a folder, s3://, gs://, az://, ssh:// or webdavs://",
        )

    @property
    def credentials(self) -> str | None:
        """See :attr:`Store.credentials`; DVC's client reads that file by itself, and nothing else."""
        return "credentials of ~/.netrc" if of_netrc(self.location) else None

    def folder(self, path: str) -> list[Entry]:  # noqa: ARG002  (none can be)
        """See :meth:`FileServer.folder`."""
        raise self._refused("cannot be listed")

    def make_folder(self, path: str) -> None:  # noqa: ARG002
        """See :meth:`FileServer.make_folder`."""
        raise self._refused("cannot be written to")

    def upload(self, path: str) -> Upload:  # noqa: ARG002
        """See :meth:`FileServer.upload`."""
        raise self._refused("cannot be written to")

    def remove(self, path: str) -> None:  # noqa: ARG002
        """See :meth:`FileServer.remove`."""
        raise self._refused("cannot be written to")


class _LibraryUpload(Upload):
    """A file that is open there."""

    def __init__(self, server: LibraryServer, file: Any) -> None:
        self._server = server
        self._file = file

    def write(self, chunk: bytes) -> None:
        """See :meth:`Upload.write`."""
        with self._server.translated():
            self._file.write(chunk)

    def finish(self) -> None:
        """See :meth:`Upload.finish`."""
        with self._server.translated():
            self._file.close()

    def abandon(self) -> None:
        """See :meth:`Upload.abandon`."""
        with contextlib.suppress(OSError, Refusal), self._server.translated():
            self._file.close()


_NUMBERS = (
    (FileNotFoundError, errno.ENOENT),
    (FileExistsError, errno.EEXIST),
    (NotADirectoryError, errno.ENOTDIR),
    (PermissionError, errno.EACCES),
)


def _entry(found: dict[str, Any]) -> Entry:
    name = str(found["name"]).rstrip("/").rpartition("/")[2]
    return Entry(name, found.get("size") or 0, found.get("type") == "directory", _seconds(found))


def _seconds(found: dict[str, Any]) -> float:
    for name in _TIMES:
        when = found.get(name)
        if isinstance(when, datetime):
            return when.timestamp()
        if isinstance(when, int | float):
            return when / 1000 if when > 1e11 else float(when)  # HDFS counts milliseconds
    return 0.0


def _shown(fault: BaseException) -> str:
    """The library's own words, if there is no secret in them."""
    text = " ".join(str(fault).split())[:_WORDS] or type(fault).__name__
    return type(fault).__name__ if find_secret(text) else text
