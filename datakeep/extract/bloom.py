"""Parquet's Bloom filters, asked without reading the column: a header, and one block of 32 bytes for each value.

The split-block filter of the format's specification (https://parquet.apache.org/docs/file-format/bloomfilter/), with
XXH64. Whatever is not exactly that says nothing, so that a filter can only ever save work.
"""

from __future__ import annotations

import struct
from typing import IO

_SALT = (
    0x47B6137B, 0x44974D91, 0x8824AD5B, 0xA2B7289D, 0x705495C7, 0x2DF1424B, 0x9EFC4947, 0x5C6BFB31,
)  # fmt: skip
_BLOCK_BYTES = 32
#: Of the header, after the number of bytes: algorithm BLOCK, hash XXHASH, compression UNCOMPRESSED.
_ONLY = bytes.fromhex("1c1c00001c1c00001c1c000000")
_HEADER_BYTES = 32
_MAX_BYTES = 128 << 20
_MASK = (1 << 64) - 1
_PRIMES = (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
)  # fmt: skip


class BloomFilter:
    """The filter of one column in one row group.

    Args:
        file: The Parquet file.
        offset: Where the filter begins, in bytes.
    """

    def __init__(self, file: IO[bytes], offset: int) -> None:
        self._file = file
        self._start, self._blocks = _header(_read(file, offset, _HEADER_BYTES), offset)

    def excludes(self, value: bytes) -> bool:
        """Whether the column certainly lacks the value, which is given as Parquet's plain encoding has it."""
        if not self._blocks:
            return False
        hashed = xxh64(value)
        place = ((hashed >> 32) * self._blocks) >> 32
        block = _read(self._file, self._start + place * _BLOCK_BYTES, _BLOCK_BYTES)
        if len(block) < _BLOCK_BYTES:
            return False
        words = struct.unpack("<8I", block)
        low = hashed & 0xFFFFFFFF
        return any(
            not word >> (((low * salt) & 0xFFFFFFFF) >> 27) & 1
            for word, salt in zip(words, _SALT, strict=True)
        )


def _read(file: IO[bytes], offset: int, size_bytes: int) -> bytes:
    file.seek(offset)
    data = b""
    while len(data) < size_bytes and (more := file.read(size_bytes - len(data))):
        data += more
    return data


def _header(data: bytes, offset: int) -> tuple[int, int]:
    """Where the blocks begin, and how many there are; none of a header that is not understood."""
    size_bytes = shift = 0
    place = 1
    if data[:1] != b"\x15":
        return 0, 0
    for byte in data[1:6]:
        size_bytes |= (byte & 0x7F) << shift
        shift += 7
        place += 1
        if byte < 0x80:
            break
    size_bytes >>= 1  # a positive number's zigzag
    known = data[place : place + len(_ONLY)] == _ONLY
    if not known or size_bytes % _BLOCK_BYTES or not 0 < size_bytes <= _MAX_BYTES:
        return 0, 0
    return offset + place + len(_ONLY), size_bytes // _BLOCK_BYTES


def _rotated(number: int, bits: int) -> int:
    return ((number << bits) | (number >> (64 - bits))) & _MASK


def _round(lane: int, word: int) -> int:
    return (_rotated((lane + word * _PRIMES[1]) & _MASK, 31) * _PRIMES[0]) & _MASK


def xxh64(data: bytes) -> int:
    """XXH64 with the seed 0 (https://github.com/Cyan4973/xxHash, the specification)."""
    first, second, third, fourth, fifth = _PRIMES
    place = 0
    if len(data) >= 32:
        lanes = [(first + second) & _MASK, second, 0, (-first) & _MASK]
        while place + 32 <= len(data):
            words = struct.unpack_from("<4Q", data, place)
            lanes = [_round(lane, word) for lane, word in zip(lanes, words, strict=True)]
            place += 32
        found = sum(_rotated(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            found = ((found ^ _round(0, lane)) * first + fourth) & _MASK
    else:
        found = fifth
    found = (found + len(data)) & _MASK
    while place + 8 <= len(data):
        (word,) = struct.unpack_from("<Q", data, place)
        found = (_rotated(found ^ _round(0, word), 27) * first + fourth) & _MASK
        place += 8
    if place + 4 <= len(data):
        (half,) = struct.unpack_from("<I", data, place)
        found = (_rotated(found ^ (half * first) & _MASK, 23) * second + third) & _MASK
        place += 4
    for byte in data[place:]:
        found = (_rotated(found ^ (byte * fifth) & _MASK, 11) * first) & _MASK
    found = ((found ^ (found >> 33)) * second) & _MASK
    found = ((found ^ (found >> 29)) * third) & _MASK
    return found ^ (found >> 32)
