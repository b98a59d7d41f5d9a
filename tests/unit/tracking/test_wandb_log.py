"""W&B's log and its messages: whatever the bytes are, they are read or refused, and nothing else happens."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakeep.tracking.wandb_log import CutOff, Damaged, Empty, Message, records

HEAD = b":W&B\xe1\xbe\0"


def _framed(data: list[bytes]) -> bytes:
    """LevelDB's log, written by its description."""
    out = bytearray(HEAD)
    for record in data:
        rest, first = record, True
        while first or rest:
            left = 32768 - len(out) % 32768
            if left < 7:
                out += bytes(left)
                continue
            part, rest = rest[: left - 7], rest[left - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not rest]
            out += struct.pack("<IHB", zlib.crc32(part, zlib.crc32(bytes([kind]))), len(part), kind) + part
            first = False
    return bytes(out)


@given(
    st.lists(
        st.one_of(st.binary(min_size=1, max_size=50), st.integers(32_740, 70_000).map(bytes)), max_size=8
    )
)
def test_what_was_written_is_read(data: list[bytes]) -> None:
    assert list(records(io.BytesIO(_framed(data)))) == data


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=6), st.data())
def test_what_is_cut_off_gives_the_whole_records_before_it(data: list[bytes], draw: st.DataObject) -> None:
    whole = _framed(data)
    size = draw.draw(st.integers(len(HEAD), len(whole)))
    found = []
    with contextlib.suppress(CutOff):
        found.extend(records(io.BytesIO(whole[:size])))
    assert found == data[: len(found)]
    assert (len(found) == len(data)) == (size == len(whole))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_log_or_refused(data: bytes) -> None:
    with contextlib.suppress(CutOff, Damaged):
        list(records(io.BytesIO(HEAD + data)))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    with contextlib.suppress(Damaged):
        message = Message(data)
        for number in range(1, 30):
            message.text(number), message.number(number), message.parts(number)


def test_parts_in_a_wrong_order_are_refused() -> None:
    frame = struct.pack("<IHB", zlib.crc32(b"x", zlib.crc32(b"\3")), 1, 3) + b"x"
    with pytest.raises(Damaged, match="do not follow each other"):
        list(records(io.BytesIO(HEAD + frame)))


def test_nothing_is_empty_and_not_damaged() -> None:
    with pytest.raises(Empty):
        list(records(io.BytesIO(b"")))
    with pytest.raises(Damaged, match="begin"):
        list(records(io.BytesIO(b":")))
