r"""The content id: one digest of all of a dataset's data, that anyone can recompute with coreutils.

The law: for every folder, :func:`content_id` of its files equals::

    find -L . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 -r sha256sum -- | sha256sum

with one exception, which :func:`datakeep.core.paths.refuse` keeps out: a file named ``-`` at the top, in whose
place sha256sum reads its standard input.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: GNU coreutils escapes these in a file name, and marks the line with a leading backslash.
_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"))


def listing_line(path: str, sha256: bytes) -> bytes:
    """The line that GNU ``sha256sum`` prints for a file.

    Args:
        path: Relative POSIX path.
        sha256: The digest, 32 raw bytes.
    """
    name = path.encode("utf-8")
    if b"\\" not in name and path.isprintable():
        return b"%b  %b\n" % (sha256.hex().encode(), name)
    escaped = name
    for raw, shown in _ESCAPES:
        escaped = escaped.replace(raw, shown)
    mark = b"\\" if escaped != name else b""
    return b"%b%b  %b\n" % (mark, sha256.hex().encode(), escaped)


def content_id(files: Iterable[tuple[str, bytes]]) -> str:
    """The content id of ``(path, sha256)`` pairs, in any order: ``sha256:`` and 64 hex digits."""
    total = hashlib.sha256()
    for path, sha256 in sorted(files, key=lambda file: file[0].encode("utf-8")):
        total.update(listing_line(path, sha256))
    return f"sha256:{total.hexdigest()}"


def content_id_of_sorted(parts: Iterable[tuple[Sequence[str], bytes]]) -> str:
    """As :func:`content_id`, of files that are sorted by their paths' bytes, given in parts.

    Args:
        parts: The paths of some files, and their digests one after the other, 32 bytes for each.
    """
    total = hashlib.sha256()
    for paths, digests in parts:
        total.update(_listing(paths, digests))
    return f"sha256:{total.hexdigest()}"


def _listing(paths: Sequence[str], digests: bytes) -> bytes:
    """The lines of :func:`listing_line`, together."""
    text = "".join(paths)
    if "\\" in text or not text.isprintable():
        rows = (digests[at : at + 32] for at in range(0, len(digests), 32))
        return b"".join([listing_line(path, sha256) for path, sha256 in zip(paths, rows, strict=True)])
    shown = digests.hex()
    starts = range(0, len(shown), 64)
    return "".join(
        [f"{shown[at : at + 64]}  {path}\n" for at, path in zip(starts, paths, strict=True)]
    ).encode("utf-8")


def sha256_id(data: bytes) -> str:
    """``sha256:`` and the digest of ``data`` in hex."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def path_list_id(paths: Sequence[str]) -> str:
    """The digest of a list of paths: sha256 of the sorted paths, one per line."""
    lines = "".join(f"{path}\n" for path in sorted(paths))
    return f"sha256:{hashlib.sha256(lines.encode('utf-8')).hexdigest()}"


def paths_listed(text: bytes) -> list[str]:
    """The paths in such a list; a line ends at a line feed only, since a path may hold whatever else ends lines."""
    return text.decode("utf-8", "replace").removesuffix("\n").split("\n") if text else []
