"""Puts a page, a picture or a document that a user named into its file: whole, and never over what is not ours."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from datakeep.core.errors import AlreadyExists, SourceMissing
from datakeep.store.faults import folder_faults

if TYPE_CHECKING:
    from pathlib import Path

#: By these a file of ours is known, in the first of its bytes.
_MARKS = (
    b'name="generator" content="datakeep ',
    b'"urn:datakeep:',
    b'"name": "datakeep"',
    b"<!-- datakeep ",
    b"Software\x00datakeep",
)
_LOOKED_AT_BYTES = 8192


def write_report(file: Path, data: bytes, *, force: bool = False) -> None:
    """``data`` is in ``file``; an older report of ours is replaced, anything else only with ``force``.

    Raises:
        AlreadyExists: Something else is there.
        SourceMissing: Its folder does not exist.
        NoSpace, AccessDenied: It cannot be written; what was there is as it was.
    """
    check_place(file, force=force)
    target = file.resolve()
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with folder_faults(target.parent, "write the report to it"):
            partial.write_bytes(data)
            partial.replace(target)
    finally:
        with contextlib.suppress(OSError):  # a folder that is read-only has no part of it either
            partial.unlink(missing_ok=True)


def check_place(file: Path, *, force: bool = False) -> None:
    """Whether a report may be written there, before the work for it is done; errors as :func:`write_report`."""
    if not file.parent.is_dir():
        raise SourceMissing(
            f"the folder {file.parent} does not exist",
            next_step=f"make it first: mkdir -p {file.parent}; or name another file",
        )
    if not file.exists():
        return
    if not file.is_file():
        raise AlreadyExists(f"{file} is no regular file", next_step="name a file that can be written")
    if not force and not _is_ours(file):
        raise AlreadyExists(
            f"{file} exists, and is no report of datakeep's",
            next_step="name another file, or replace it with --force",
        )


def _is_ours(file: Path) -> bool:
    with folder_faults(file.parent, "read from it"), file.open("rb") as source:
        head = source.read(_LOOKED_AT_BYTES)
    return not head or any(mark in head for mark in _MARKS)
