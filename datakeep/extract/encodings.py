"""Which text encoding a file is in, decided by rules that give the same answer on every machine.

A byte-order mark decides; then UTF-8, which no other encoding's text passes by chance. What is left is
told apart by plausibility: bytes that are valid in several encodings make sense in one (Shift_JIS as
Latin-1 is accents in a row; EUC-JP as Shift_JIS is half-width katakana throughout).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_CHUNK_BYTES = 1 << 20
_SAMPLE_BYTES = 256 << 10
#: Below this share of characters that make sense, no encoding is claimed.
_PLAUSIBLE = 0.5
_NON_ASCII_RUN = re.compile(r"[^\x00-\x7f]+")
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")
_JAPANESE = re.compile("[\u3000-\u30ff\uff01-\uff5e\uffe5]")
_LATIN_LETTERS = re.compile("[ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿŠŽŒœšžŸ]")
_LATIN_SIGNS = re.compile("[°±µ§€£«»“”‘’„–—…²³½¼¿¡©®ªº·•™\u00a0]")
_BINARY_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"PAR1", "Parquet"),
    (b"SQLite format 3\x00", "an SQLite database"),
)


@dataclass(frozen=True, slots=True)
class Text:
    """What is known of a file's text.

    Attributes:
        encoding: Python's name of it; None if none fits, and then ``fault`` says why.
        fault: Why it is not text that can be read.
        line: The line of the fault.
        whole: Whether the file was read to its end.
    """

    encoding: str | None
    fault: str = ""
    line: int = 1
    whole: bool = True


def find(file: Path, limit_bytes: int) -> Text:
    """The encoding of the first ``limit_bytes`` of ``file``.

    The answer is one of utf-8, utf-8-sig, utf-16 (with its mark), cp932 (Shift_JIS as Windows writes it),
    euc_jp, latin-1 and cp1252.
    """
    with file.open("rb") as raw:
        head = raw.read(16)
    whole = file.stat().st_size <= limit_bytes
    if start := next((name for magic, name in _BINARY_STARTS if head.startswith(magic)), None):
        return Text(None, f"it is {start}", 1)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        line = _first_fault(file, limit_bytes, "utf-16", whole=whole)
        return Text(None, "it is not valid UTF-16", line) if line else Text("utf-16", whole=whole)
    if line := _line_of_nul(file, limit_bytes):
        return Text(None, "it holds NUL bytes, as binary files do (or UTF-16 without its mark)", line)
    line = _first_fault(file, limit_bytes, "utf-8", whole=whole)
    if not line:
        return Text("utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8", whole=whole)
    sample = _sample(file, limit_bytes)
    for encoding in _by_plausibility(sample):
        if not _first_fault(file, limit_bytes, encoding, whole=whole):
            return Text(_narrow(file, limit_bytes, encoding), whole=whole)
    return Text(None, "its encoding is none of UTF-8, UTF-16, Shift_JIS, EUC-JP, Latin-1", line)


def _chunks(file: Path, limit_bytes: int) -> Iterator[bytes]:
    left = limit_bytes
    with file.open("rb") as raw:
        while left > 0 and (chunk := raw.read(min(_CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk


def _first_fault(file: Path, limit_bytes: int, encoding: str, *, whole: bool) -> int:
    """The line of the first bytes that are not in ``encoding``; 0 if there are none."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    for chunk in _chunks(file, limit_bytes):
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError as error:
            return line + chunk[: error.start].count(b"\n")
        if encoding == "utf-16" and "\0" in text:
            return line + text[: text.index("\0")].count("\n")
        line += text.count("\n")
    try:
        decoder.decode(b"", final=whole)
    except UnicodeDecodeError:
        return line
    return 0


def _line_of_nul(file: Path, limit_bytes: int) -> int:
    line = 1
    for chunk in _chunks(file, limit_bytes):
        at = chunk.find(b"\0")
        if at != -1:
            return line + chunk.count(b"\n", 0, at)
        line += chunk.count(b"\n")
    return 0


def _sample(file: Path, limit_bytes: int) -> bytes:
    """Lines that are not plain ASCII, up to 256 KB of them."""
    found = bytearray()
    for chunk in _chunks(file, limit_bytes):
        for line in chunk.split(b"\n"):
            if not line.isascii():
                found += line[:_CHUNK_BYTES] + b"\n"
        if len(found) >= _SAMPLE_BYTES:
            break
    return bytes(found[:_SAMPLE_BYTES])


def _by_plausibility(sample: bytes) -> list[str]:
    """The encodings that make sense of ``sample``, the best first."""
    judges: tuple[tuple[str, Callable[[str], float]], ...] = (
        ("cp932", _japanese_sense),
        ("euc_jp", _japanese_sense),
        ("cp1252", _latin_sense),
    )
    scored = [(sense(sample.decode(encoding, "replace")), encoding) for encoding, sense in judges]
    scored.sort(key=lambda pair: -pair[0])
    return [encoding for score, encoding in scored if score >= _PLAUSIBLE]


def _japanese_sense(text: str) -> float:
    """The mean sense of the non-ASCII characters as Japanese, 0 to 1."""
    runs = _NON_ASCII_RUN.findall(text)
    total = sum(map(len, runs))
    return sum(_character_sense(char, run) for run in runs for char in run) / total if total else 0.0


def _character_sense(char: str, run: str) -> float:
    if _HALF_WIDTH.match(char):
        return 0.6 if len(run) > 1 else 0.3
    if _JAPANESE.match(char):
        return 1.0
    if "\u4e00" <= char <= "\u9fff":
        code = char.encode("euc_jp", "ignore")
        # The kanji in everyday use are JIS level 1, rows 16 to 47.
        return 1.0 if len(code) == 2 and code[0] <= 0xCF else 0.25
    return 0.0 if char == "\ufffd" else 0.2


def _latin_sense(text: str) -> float:
    """The mean sense of the non-ASCII characters as accented letters in words, and signs; 0 to 1."""
    total, sense = 0, 0.0
    for match in _NON_ASCII_RUN.finditer(text):
        run = match[0]
        total += len(run)
        if len(run) > 2:
            continue
        beside = text[max(match.start() - 1, 0) : match.start()] + text[match.end() : match.end() + 1]
        in_word = any(char.isascii() and char.isalpha() for char in beside)
        for char in run:
            if _LATIN_LETTERS.match(char):
                sense += 1.0 if in_word else 0.4
            elif _LATIN_SIGNS.match(char):
                sense += 0.9
    return sense / total if total else 0.0


def _narrow(file: Path, limit_bytes: int, encoding: str) -> str:
    """latin-1 instead of cp1252 where no byte needs the latter: the plainer name for the same bytes."""
    if encoding != "cp1252":
        return encoding
    special = re.compile(rb"[\x80-\x9f]")
    return encoding if any(special.search(chunk) for chunk in _chunks(file, limit_bytes)) else "latin-1"
