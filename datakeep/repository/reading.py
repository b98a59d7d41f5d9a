"""One process of git for all the small reads of a command: starting one for each costs more than the reading."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.repository.command import GitRunner

_TREE = b"40000"
_END_S = 5


class ObjectReader:
    """Reads objects through a ``git cat-file --batch`` that starts with the first read and ends with the reader.

    It judges nothing: what cannot be read is None, and whoever must know why asks git in another way.
    """

    def __init__(self, runner: GitRunner) -> None:
        self._runner = runner
        self._process: Any = None
        self._lock = threading.Lock()

    def read(self, name: str) -> tuple[bytes, bytes] | None:
        """Kind and bytes of the object ``name`` (an object id, or ``commit:path``); None if it cannot be read."""
        if not name or "\n" in name:
            return None
        with self._lock:
            try:
                return self._read(name.encode("utf-8", "surrogateescape"))
            except (OSError, ValueError):  # git ended, as it does at some kinds of damage
                self._process = None
                return None
            except BaseException:  # a Ctrl-C in between: the next answer would be that of this question
                self._process = None
                raise

    def _read(self, name: bytes) -> tuple[bytes, bytes] | None:
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
        for mode, name, object_id in _entries(found[1], id_bytes):
            path = f"{prefix}{name}"
            if mode != _TREE:
                paths.append(path)
                continue
            below = self.files(object_id, f"{path}/", id_bytes=id_bytes)
            if below is None:
                return None
            paths += below
        return paths


def _entries(tree: bytes, id_bytes: int) -> Iterator[tuple[bytes, str, str]]:
    """Mode, name and object id of each entry of a tree object."""
    at = 0
    while at < len(tree):
        space, end = tree.index(b" ", at), tree.index(b"\0", at)
        name = tree[space + 1 : end].decode("utf-8", "surrogateescape")
        yield tree[at:space], name, tree[end + 1 : end + 1 + id_bytes].hex()
        at = end + 1 + id_bytes


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
