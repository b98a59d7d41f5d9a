"""An object of a bucket as a file that is read in parts: one request for each read, and no byte more."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer


class ObjectParts(io.RawIOBase):
    """Reads by ``part``, which gives the bytes from a place on.

    Args:
        size_bytes: Of the object.
        part: Takes the place of the first byte, and how many are wanted.
    """

    def __init__(self, size_bytes: int, part: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._size_bytes = size_bytes
        self._part = part
        self._place = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Read from another place on."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size_bytes}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """As many bytes as fit, or as are left."""
        view = memoryview(buffer).cast("B")
        length = min(len(view), self._size_bytes - self._place)
        if length <= 0:
            return 0
        data = self._part(self._place, length)
        view[: len(data)] = data
        self._place += len(data)
        return len(data)
