"""A store that is a folder: a local disk, a NAS or any other mounted share.

The folder is never made implicitly: an unmounted share looks like a missing folder, and writing "into
the share" would fill the disk below its mount point. Objects are written under a temporary name in
``<dataset>/datakeep/incoming/`` and renamed, so that every object is whole or absent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING

from datakeep.core.errors import AlreadyExists, StoreMissing, StoreUnmarked
from datakeep.store.blocks import clone, hard_link, write_all
from datakeep.store.incoming import INCOMING, Incoming, make_folders, remove_if_dead
from datakeep.store.interface import (
    CHUNK_BYTES,
    MARKER_LIMIT_BYTES,
    MARKER_NAME,
    PROBE,
    Capability,
    Listed,
    Marker,
    ObjectMissing,
    Store,
    Writer,
    check_key,
)
from datakeep.store.quarantine import QUARANTINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from datakeep.core.errors import DatakeepError
    from datakeep.store.examination import Check


class FolderStore(Store):
    """A store in the folder ``root``; see the module.

    Args:
        name: What the keep calls it.
        root: The folder, absolute.
        url: How the keep writes it; the folder itself by default.
    """

    def __init__(self, name: str, root: Path, *, url: str | None = None) -> None:
        super().__init__(name, url or str(root))
        self.root = root
        self._incoming: Incoming | None = None
        self._begun = 0
        self._clones = True  # until the first try tells otherwise

    def __getstate__(self) -> dict[str, object]:
        """A copy, in this process or another, opens a session of its own."""
        return {**self.__dict__, "_incoming": None}

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Its free space is known, its bytes are local, and objects are renamed when they are written."""
        return frozenset(Capability) - {Capability.CHECKSUMS}

    def where(self) -> tuple[str, ...]:
        """See :meth:`Store.where`; symbolic links are resolved."""
        return folder_words(self.root)

    def dvc_remote(self, dataset: str) -> dict[str, str]:
        """See :meth:`Store.dvc_remote`."""
        return {"url": str(self.root / dataset)}

    def examine(self) -> list[Check]:
        """See :meth:`Store.examine`."""
        from datakeep.store.folder_examination import examine

        with self.faults("look at it"):
            return examine(self.root)

    def check(self, *, keep: str | None = None, writable: bool = False) -> Marker:
        """See :meth:`Store.check`."""
        with self.faults("read it"):
            if not stat.S_ISDIR(self.root.stat().st_mode):
                raise StoreUnmarked(
                    f"{self} is not a folder", next_step="correct the store's url in keep.yaml"
                )
            marker = self._marker()
        marker.require(keep, self)
        if writable:
            with self.faults("write to it"):
                self._try_write()
        return marker

    def create(self, marker: Marker) -> None:
        """See :meth:`Store.create`; the folder's parent must exist.

        Raises:
            StoreMissing: The parent of the folder is not there.
            StoreUnmarked: It is already the store of another keep.
            AlreadyExists: The folder holds something else.
        """
        if (self.root / MARKER_NAME).exists():
            self.check(keep=marker.keep, writable=True)
            return
        if not self.root.parent.is_dir():
            raise StoreMissing(
                f"{self} cannot be made: the folder {self.root.parent} is missing; is the share mounted?",
                next_step=f"mount it, or `mkdir -p {self.root.parent}`, then run the same command again",
            )
        with self.faults("make it"):
            self.root.mkdir(exist_ok=True)
            if any(self.root.iterdir()):
                raise AlreadyExists(
                    f"{self} cannot be made: the folder holds other files",
                    next_step="choose an empty folder, or one that does not exist yet",
                )
        if not self.put_new(MARKER_NAME, marker.to_bytes()):
            self.check(keep=marker.keep)  # another keep may have been faster

    def free_bytes(self) -> int | None:
        """What its file system has left for this user."""
        with self.faults("read its free space"):
            space = os.statvfs(self.root)
        return space.f_bavail * space.f_frsize

    def volume(self) -> str | None:
        """The device that it lies on."""
        with self.faults("read it"):
            return str(self.root.stat().st_dev)

    def sync(self) -> None:
        """See :meth:`Store.sync`; one call, as thousands of fsync calls take minutes."""
        with self.faults("write to it"):
            folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                _sync_file_system(folder)
            finally:
                os.close(folder)

    def tidy(self, prefix: str) -> None:
        """See :meth:`Store.tidy`."""
        incoming = self.path_of(prefix) / INCOMING
        with self.faults(f"tidy {prefix}"), contextlib.suppress(FileNotFoundError):
            for session in list(incoming.iterdir()):
                remove_if_dead(session)

    def sizes_of(self, keys: Iterable[str]) -> Iterator[int | None]:
        """See :meth:`Store.sizes_of`; in few steps, as it is asked for each of a million objects."""
        root = f"{self.root}/"
        with self.faults("read its objects"):
            for key in keys:
                try:
                    found = os.stat(root + check_key(key))
                except (FileNotFoundError, NotADirectoryError):
                    yield None
                else:
                    yield found.st_size if stat.S_ISREG(found.st_mode) else None

    def share(self, key: str, target: str, *, hard: bool = False) -> bool:
        """See :meth:`Store.share`."""
        place = self.place_of(key)
        if hard:
            return hard_link(place, target)
        self._clones = self._clones and clone(place, target)
        return self._clones

    def local_file(self, key: str) -> Path | None:
        """See :meth:`Store.local_file`."""
        return self.path_of(key) if self._size_of(key) is not None else None

    def _open_parts(self, key: str) -> AbstractContextManager[IO[bytes]]:
        return os.fdopen(self._opened(key), "rb")

    def path_of(self, key: str) -> Path:
        """The file of the object ``key``.

        Raises:
            ValueError: The key would lead out of the store.
        """
        return Path(self.place_of(key))

    def place_of(self, key: str) -> str:
        """As :meth:`path_of`, in text: a ``Path`` for each of a million files costs more than its reading."""
        return f"{self.root}/{check_key(key)}"

    def incoming(self, prefix: str) -> Path:
        """The folder for temporary files of the dataset ``prefix``, of this object alone."""
        if self._incoming is None or self._incoming.prefix != prefix:
            self.close()
            self._incoming = Incoming(self.root, self.path_of(prefix) / INCOMING, prefix)
        return self._incoming.folder

    def obstacle(self, key: str) -> str | None:
        """See :meth:`Store.obstacle`."""
        return "a folder lies in its place" if os.path.isdir(self.place_of(key)) else None

    def put_aside(self, key: str) -> None:
        """Move the folder that lies in the place of the object ``key`` to the bad copies of its dataset."""
        dataset, _, rest = key.partition("/")
        aside = self.path_of(f"{dataset}/{QUARANTINE}")
        make_folders(self.root, aside)
        name = "".join(rest.split("/")[-2:])
        os.rename(self.place_of(key), aside / f"{name}-folder-{secrets.token_hex(4)}")

    def _temporary(self, prefix: str) -> str:
        """A name that this session has not given before, in a folder that nobody else writes to."""
        folder = self.incoming(prefix)
        self._begun += 1
        return f"{folder}/{self._begun:x}"

    def close(self) -> None:
        """See :meth:`Store.close`."""
        if self._incoming is not None:
            self._incoming.close()
        self._incoming = None

    def _marker(self) -> Marker:
        try:
            with (self.root / MARKER_NAME).open("rb") as file:
                return Marker.read(file.read(MARKER_LIMIT_BYTES), self)
        except FileNotFoundError as fault:
            raise StoreUnmarked(
                f"{self} is a folder, but not a store: it has no {MARKER_NAME}; is the share mounted?",
                next_step="mount it, or correct the store's url in keep.yaml",
            ) from fault

    def _try_write(self) -> None:
        probe = self.root / f"{PROBE}{secrets.token_hex(8)}"
        try:
            probe.touch(exist_ok=False)
        finally:
            probe.unlink(missing_ok=True)

    def _size_of(self, key: str) -> int | None:
        try:
            found = os.stat(self.place_of(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    @contextlib.contextmanager
    def _open_read(self, key: str) -> Iterator[Iterator[bytes]]:
        with os.fdopen(self._opened(key), "rb", buffering=0) as file:
            yield iter(lambda: file.read(CHUNK_BYTES), b"")

    def _read_small(self, key: str, limit_bytes: int) -> bytes:
        # In three calls and without a generator: this is done for each of a million objects.
        descriptor = self._opened(key)
        try:
            data = os.read(descriptor, limit_bytes + 1)
            while len(data) <= limit_bytes and (more := os.read(descriptor, limit_bytes + 1 - len(data))):
                data += more
        finally:
            os.close(descriptor)
        return data

    def _opened(self, key: str) -> int:
        # Without O_NONBLOCK a pipe in the place of an object would stop us for ever.
        descriptor = os.open(self.place_of(key), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ObjectMissing(
                f"{self}: {key} is not a file",
                next_step="ask the store's administrator what happened to it",
            )
        return descriptor

    def _begin(self, prefix: str, key: str | None) -> Writer:  # noqa: ARG002  (a rename needs no key before)
        return _FolderWriter(self, self._temporary(prefix))

    def _put_new(self, key: str, data: bytes) -> bool:
        target = self.path_of(key)
        make_folders(self.root, target.parent)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _name_new(temporary, target)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def _list(self, prefix: str) -> Iterator[Listed]:
        folders = [self.path_of(prefix) if prefix else self.root]
        while folders:
            folder = folders.pop()
            try:
                entries = list(os.scandir(folder))
            except FileNotFoundError:
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.is_file():
                    try:
                        found = entry.stat()
                    except FileNotFoundError:  # another writer's temporary file
                        continue
                    key = Path(entry.path).relative_to(self.root).as_posix()
                    yield Listed(key, found.st_size, found.st_mtime)

    def _remove(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.place_of(key))

    def _missing(self, action: str) -> DatakeepError:
        if self.root.is_dir():
            return super()._missing(action)
        return StoreMissing(
            f"{self} is missing; is the share mounted?",
            next_step=f"mount it; where it is mounted at another path: git config datakeep.store.{self.name}.url "
            "PATH; if it has moved for everybody, correct its url in keep.yaml",
        )


def folder_words(folder: Path) -> tuple[str, ...]:
    """What :meth:`Store.where` says of a folder, whether or not it is there."""
    return Path(os.path.realpath(folder)).parts


class _FolderWriter(Writer):
    """A temporary file that is renamed."""

    def __init__(self, store: FolderStore, temporary: str) -> None:
        super().__init__(store)
        self._folder_store = store
        self._temporary: str | None = temporary
        self._descriptor: int | None = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644
        )

    def _write(self, chunk: bytes) -> None:
        if self._descriptor is None:
            raise ValueError("the object is complete")
        write_all(self._descriptor, chunk)

    def _finish(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _commit(self, key: str) -> None:
        if self._temporary is None:
            raise ValueError("the object was committed or discarded")
        self._finish()
        target = self._folder_store.place_of(key)
        try:
            os.replace(self._temporary, target)
        except FileNotFoundError:
            make_folders(self._folder_store.root, Path(target).parent)
            os.replace(self._temporary, target)
        except IsADirectoryError:
            self._folder_store.put_aside(key)
            os.replace(self._temporary, target)
        self._temporary = None

    def discard(self) -> None:
        """See :meth:`Writer.discard`."""
        with contextlib.suppress(OSError):
            self._finish()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = None


def _name_new(file: Path, target: Path) -> None:
    """Give ``file`` the name ``target``, which nobody else has then; FileExistsError if someone has."""
    try:
        target.hardlink_to(file)
    except FileExistsError:
        raise
    except OSError:  # a share without hard links: the name is taken first, and filled a moment later
        target.open("xb").close()
        file.replace(target)


def _sync_file_system(descriptor: int) -> None:
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
