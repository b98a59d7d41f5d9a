"""Sizes as people read them."""

from __future__ import annotations


def size(size_bytes: int) -> str:
    """A size for a person: ``16.2 kB``."""
    amount = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{size_bytes} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
