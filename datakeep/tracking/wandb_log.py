"""The ``.wandb`` file of a run: its records, without Weights & Biases' own package.

The file is LevelDB's log (https://github.com/google/leveldb/blob/main/doc/log_format.md) behind a header of seven
bytes, with zlib's CRC-32 in place of a masked CRC-32C. Each record is a ``Record`` message of
``wandb_internal.proto`` in protobuf's wire format (https://protobuf.dev/programming-guides/encoding/). Field numbers
never change their meaning, so a few of them are enough, and what is not known is passed over.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
_BLOCK_BYTES = 32 << 10
_FRAME = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
#: A record holds one manifest, or one step of the history; W&B itself refuses larger messages.
_MAX_RECORD_BYTES = 256 << 20
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Damaged(ValueError):
    """The file is no log, or was changed; the message says how."""


class Empty(Damaged):
    """The file has no bytes: the run was killed before anything was written, or a copy of it failed."""


class CutOff(Exception):
    """The file ends in the middle of a record: the run was killed, or is still going on."""


def records(file: BinaryIO) -> Iterator[bytes]:
    """The records of a log, one by one, each held against its checksum; memory for one of them.

    Raises:
        Damaged: It is none, or does not fit its checksums.
        Empty: There is nothing in it.
        CutOff: After the last whole record, if something of another follows it.
    """
    head = file.read(len(_HEADER))
    if not head:
        raise Empty
    if head != _HEADER:
        raise Damaged("it does not begin as a .wandb file does")
    parts: list[bytes] = []
    at, size_bytes = len(_HEADER), 0
    while True:
        left = _BLOCK_BYTES - at % _BLOCK_BYTES
        if left < _FRAME.size:
            at += len(file.read(left))
            continue
        kind, data = _fragment(file, at)
        if kind == 0:
            if parts:
                raise CutOff
            return
        at += _FRAME.size + len(data)
        if (kind in (_FULL, _FIRST)) == bool(parts):
            raise Damaged(f"its parts do not follow each other at byte {at:,}")
        parts.append(data)
        size_bytes += len(data)
        if size_bytes > _MAX_RECORD_BYTES:
            raise Damaged("it has a record larger than any")
        if kind in (_FULL, _LAST):
            yield b"".join(parts)
            parts, size_bytes = [], 0


def _fragment(file: BinaryIO, at: int) -> tuple[int, bytes]:
    """Kind and bytes of the fragment that begins at byte ``at``; kind 0 at the end."""
    head = file.read(_FRAME.size)
    if not head.strip(b"\0"):
        return 0, b""
    if len(head) < _FRAME.size:
        raise CutOff
    checksum, length, kind = _FRAME.unpack(head)
    data = file.read(length)
    if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or length > _BLOCK_BYTES - at % _BLOCK_BYTES - _FRAME.size:
        raise Damaged(f"there is no record at byte {at:,}")
    if len(data) < length:
        raise CutOff
    if zlib.crc32(data, zlib.crc32(bytes([kind]))) != checksum:
        raise Damaged(f"the record at byte {at:,} does not fit its checksum")
    return kind, data


class Message:
    """A protobuf message, by the numbers of its fields.

    Raises:
        Damaged: The bytes are none.
    """

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in _fields(data):
            self._fields.setdefault(number, []).append(value)

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def texts(self, number: int) -> list[str]:
        """All texts of a repeated field."""
        found = self._fields.get(number, [])
        return [one.decode("utf-8", "replace") for one in found if isinstance(one, bytes)]

    def text(self, number: int) -> str | None:
        """A text; None if there is none, or an empty one."""
        return (self.texts(number) or [""])[-1] or None

    def number(self, number: int) -> int | None:
        """A whole number; None if it is not said, which also stands for 0."""
        found = [one for one in self._fields.get(number, []) if isinstance(one, int)]
        return found[-1] if found else None

    def parts(self, number: int) -> list[Message]:
        """All messages of a repeated field."""
        return [Message(one) for one in self._fields.get(number, []) if isinstance(one, bytes)]

    def part(self, number: int) -> Message:
        """A message; an empty one if there is none."""
        return (self.parts(number) or [Message(b"")])[-1]


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise Damaged("a record in it is no message")
        if at + length > len(data):
            raise Damaged("a record in it is no message")
        if wire == _BYTES:
            yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Damaged("a record in it is no message")
