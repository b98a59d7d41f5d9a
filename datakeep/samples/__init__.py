"""Two small real datasets that ship with datakeep, so that the main job can be walked on any machine.

Everybody who installed the package has them, offline, for ``datakeep demo`` and for the tests:
**penguins** is one CSV file, **digits** 1,797 PNG files with their labels. Each lies in a folder of
its name with the data as its publisher ships it, ``SOURCE.md`` (who gathered it, from where it came),
``LICENSE``, ``manifest.yaml`` (what ``register --manifest`` needs; the owner comes from git) and
``reference/`` (the reference training with its lock).
"""

from __future__ import annotations

import gzip
import shutil
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["SAMPLES", "Sample", "write_digits", "write_penguins"]

_HERE = Path(__file__).resolve().parent
_REFERENCE_FILES = ("pyproject.toml", "uv.lock", "train.py")
_DIGIT_SIDE_PIXELS = 8


@dataclass(frozen=True, slots=True)
class Sample:
    """One shipped dataset: where its files lie in the package, and how to write them out.

    Attributes:
        name: The dataset's name, which is its folder's name too.
        write_data: Writes the data into a folder, which then is a SOURCE for ``datakeep register``.
    """

    name: str
    write_data: Callable[[Path], None]

    @property
    def folder(self) -> Path:
        """Where the sample lies in the installed package; nothing may be written there."""
        return _HERE / self.name

    @property
    def manifest(self) -> Path:
        """The file for ``datakeep register --manifest``; it states no owner and no reference training."""
        return self.folder / "manifest.yaml"

    def write_reference(self, folder: Path) -> None:
        """Writes the reference training: ``train.py``, ``pyproject.toml`` and ``uv.lock``.

        Args:
            folder: Made if missing; files of these names in it are replaced.

        Raises:
            OSError: The folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        # by name, so that an environment or cache that somebody left beside them stays behind
        for name in _REFERENCE_FILES:
            shutil.copyfile(self.folder / "reference" / name, folder / name)


def write_penguins(folder: Path) -> None:
    """Writes ``penguins.csv``, byte for byte as its publisher ships it.

    Args:
        folder: Made if missing; a file of this name in it is replaced.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_HERE / "penguins" / "penguins.csv", folder / "penguins.csv")


def write_digits(folder: Path) -> None:
    """Writes ``images/0000.png`` to ``images/1796.png`` and ``labels.csv``, the same bytes every time.

    Each image is an 8x8 greyscale PNG of 8 bits. A scan's value v from 0 to 16 becomes the pixel
    min(16 v, 255), so ``(pixel + 1) // 16`` is v again.

    Args:
        folder: Made if missing; files of these names in it are replaced.

    Raises:
        OSError: The folder cannot be written.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = ["file,label\n"]
    for number, (values, label) in enumerate(_digits()):
        path = f"images/{number:04}.png"
        pixels = bytes(min(16 * value, 255) for value in values)
        (folder / path).write_bytes(_png(pixels, _DIGIT_SIDE_PIXELS))
        lines.append(f"{path},{label}\n")
    (folder / "labels.csv").write_bytes("".join(lines).encode())


SAMPLES = {
    sample.name: sample for sample in (Sample("penguins", write_penguins), Sample("digits", write_digits))
}


def _digits() -> Iterator[tuple[list[int], int]]:
    with gzip.open(_HERE / "digits" / "digits.csv.gz", "rt", encoding="ascii") as lines:
        for line in lines:
            *values, label = map(int, line.split(","))
            yield values, label


def _png(pixels: bytes, side_pixels: int) -> bytes:
    """Encodes square greyscale pixels, without compression: zlib builds compress to different bytes."""
    rows = (pixels[start : start + side_pixels] for start in range(0, len(pixels), side_pixels))
    lines = b"".join(b"\0" + row for row in rows)
    length = len(lines)
    stored = b"\x78\x01\x01" + struct.pack("<HH", length, length ^ 0xFFFF) + lines
    header = struct.pack(">IIBBBBB", side_pixels, side_pixels, 8, 0, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", stored + struct.pack(">I", zlib.adler32(lines))),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
