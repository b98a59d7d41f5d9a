"""One process of git for all the small reads of a command: starting one for each costs more than the reading."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.repository.command import GitRunner

_TREE = b"40000"
_END_S = 5
#: Folders that are remembered; a question reads a few dozen.
_MAX_FOLDERS = 1000
#: A path that git takes as it stands.
_IS_PLAIN = re.compile(r"\.?[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*(?:/\.?[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*)*/?")


class Entry(NamedTuple):
    """One entry of a folder: its mode, as git writes it, and its object."""

    mode: bytes
    object_id: str


class Doubt(Exception):
    """Whether there is something is not for the reader to say."""


class ObjectReader:
    """Reads objects through a ``git cat-file --batch`` that starts with the first read and ends with the reader.

    It judges nothing: what cannot be read is None, and whoever must know why asks git in another way.
    """

    def __init__(self, runner: GitRunner) -> None:
        self._runner = runner
        self._process: Any = None
        self._lock = threading.Lock()
        self._folders: dict[str, dict[bytes, tuple[bytes, bytes]]] = {}

    def read(self, name: str, *, most: int | None = None) -> tuple[bytes, bytes] | None:
        """Kind and bytes of the object ``name`` (an object id, or ``commit:path``); None if it cannot be read.

        With ``most``, neither is a larger one: git packs gigabytes of zeros into little.
        """
        if not name or "\n" in name:
            return None
        with self._lock:
            try:
                return self._read(name.encode("utf-8", "surrogateescape"), most)
            except (OSError, ValueError):  # git ended, as it does at some kinds of damage
                self._process = None
                return None
            except BaseException:  # a Ctrl-C in between: the next answer would be that of this question
                self._process = None
                raise

    def _read(self, name: bytes, most: int | None) -> tuple[bytes, bytes] | None:
        if self._process is None:
            self._process = self._start()
        stdin, stdout = self._process.stdin, self._process.stdout
        stdin.write(name + b"\n")
        stdin.flush()
        header = stdout.readline()
        if not header.endswith(b"\n"):
            raise ValueError("git ended")
        if header.endswith((b" missing\n", b" ambiguous\n")):
            return None
        _object_id, kind, size = header.rsplit(b" ", 2)
        if most is not None and int(size) > most:
            self._process.kill()  # it is about to write all of it
            raise ValueError("too large")
        data = stdout.read(int(size) + 1)
        if len(data) != int(size) + 1:
            raise ValueError("git ended")
        return kind, data[:-1]

    def _start(self) -> Any:
        process = self._runner.start("cat-file", "--batch", doing="cannot read objects")
        weakref.finalize(self, _end, process)
        return process

    def files(self, tree: str, prefix: str, *, id_bytes: int) -> list[str] | None:
        """The paths of all files below the tree ``tree``, each behind ``prefix``; None if it cannot be read."""
        found = self.read(tree)
        if found is None or found[0] != b"tree":
            return None
        paths: list[str] = []
        try:
            entries = list(_entries(found[1], id_bytes))
        except ValueError:
            return None
        for mode, name, object_id in entries:
            path = f"{prefix}{name}"
            if mode != _TREE:
                paths.append(path)
                continue
            below = self.files(object_id, f"{path}/", id_bytes=id_bytes)
            if below is None:
                return None
            paths += below
        return paths

    def find(self, commit: str, path: str) -> Entry | None:
        """What ``commit`` has at ``path``; None if it certainly has nothing there.

        Each folder on the way is read once: git alone would read all of them again for every file.

        Raises:
            Doubt: A folder cannot be read, or ``path`` is one that git might take otherwise.
        """
        if not _IS_PLAIN.fullmatch(path):
            raise Doubt
        found = Entry(_TREE, f"{commit}^{{tree}}")
        for name in path.rstrip("/").split("/"):
            if found.mode != _TREE:
                return None
            below = self._folder(found.object_id, id_bytes=len(commit) // 2).get(name.encode("ascii"))
            if below is None:
                return None
            found = Entry(below[0], below[1].hex())
        return found

    def names(self, commit: str) -> list[str]:
        """What the topmost folder of ``commit`` has.

        Raises:
            Doubt: It cannot be read.
        """
        folder = self._folder(f"{commit}^{{tree}}", id_bytes=len(commit) // 2)
        return [name.decode("utf-8", "surrogateescape") for name in folder]

    def has_few(self, tree: str, most: int, *, id_bytes: int) -> bool:
        """Whether the folder is known to have at most so many entries."""
        try:
            return len(self._folder(tree, id_bytes=id_bytes)) <= most
        except Doubt:
            return False

    def _folder(self, tree: str, *, id_bytes: int) -> dict[bytes, tuple[bytes, bytes]]:
        """Name to mode and object of each entry, as they stand there: of ten thousand a few are looked at."""
        if tree not in self._folders:
            read = self.read(tree)
            if read is None or read[0] != b"tree":
                raise Doubt
            if len(self._folders) >= _MAX_FOLDERS:
                self._folders.clear()
            try:
                self._folders[tree] = {
                    name: (mode, one) for mode, name, one in _raw_entries(read[1], id_bytes)
                }
            except ValueError as error:
                raise Doubt from error
        return self._folders[tree]


def _entries(tree: bytes, id_bytes: int) -> Iterator[tuple[bytes, str, str]]:
    """Mode, name and object id of each entry of a tree object.

    Raises:
        ValueError: It is none.
    """
    for mode, name, object_id in _raw_entries(tree, id_bytes):
        yield mode, name.decode("utf-8", "surrogateescape"), object_id.hex()


def _raw_entries(tree: bytes, id_bytes: int) -> list[tuple[bytes, bytes, bytes]]:
    found = re.findall(rb"([0-7]+) ([^\0]+)\0(.{%d})" % id_bytes, tree, re.DOTALL)
    if sum(len(mode) + len(name) for mode, name, _ in found) + len(found) * (2 + id_bytes) != len(tree):
        raise ValueError("not a tree")
    return found


def _end(process: Any) -> None:
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
    process.stderr.close()
