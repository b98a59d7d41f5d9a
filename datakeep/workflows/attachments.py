"""Files that a manifest names and a user hands in: the query, the annotation rules, documents, code.

They become part of the dataset's repository. What is read here is the user's own; still, nothing outside
of what was named is taken, and a password in any of them is refused with its place.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakeep.core import paths
from datakeep.core.errors import InvalidFile, SecretFound, SourceMissing, SourceUnreadable, UnsafePath
from datakeep.core.secrets import find_secret
from datakeep.workflows.facts import get

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.core.progress import Progress

#: Larger things are data, not documents.
MAX_SIZE_BYTES = 32 * 1024 * 1024
#: All documents and code of a version together.
MAX_TOTAL_BYTES = 512 * 1024 * 1024
#: Made by tools, of no use to a reader, and never part of code.
LEFT_OUT = frozenset({".git", ".venv", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".dvc"})
#: Where a file goes that is handed in by an option.
_FOLDER_OF = {"source.query": "source", "annotation.rules": "annotation"}
#: Fields that name a file or folder of the dataset's repository.
_PATH_FIELDS = ("source.query", "annotation.rules", "annotation.corrections")


def from_options(given: dict[str, Any]) -> dict[str, bytes]:
    """The files that options name, by their place in the repository; ``given`` then holds that place.

    Raises:
        SourceMissing: A named file is not there.
        SecretFound: A file holds a password or token.
    """
    files: dict[str, bytes] = {}
    for field, folder in _FOLDER_OF.items():
        text = given.get(field)
        if text and text != "unknown":
            path = Path(text)
            place = f"{folder}/{path.name}"
            _check_place(place)
            files[place] = read(path)
            given[field] = place
    return files


def beside_manifest(document: Mapping[str, Any], manifest: Path) -> dict[str, bytes]:
    """The files that the manifest file names and that lie beside it, by their place in the repository.

    Raises:
        InvalidFile: It names a file that is not beside it.
    """
    files: dict[str, bytes] = {}
    for place in named_paths(document):
        origin = manifest.parent / place
        if origin.is_dir():
            files |= folder(origin, place.rstrip("/"))
        elif origin.is_file():
            files[place] = read(origin)
        else:
            raise InvalidFile(
                f"{manifest} names {place}, which is not beside it",
                next_step=f"put it at {origin}, or leave the field out",
            )
    return files


def named_paths(document: Mapping[str, Any]) -> Iterator[str]:
    """Every file or folder of the dataset's repository that the manifest ``document`` names."""
    for field in _PATH_FIELDS:
        value = get(document, field)
        if isinstance(value, str) and value != "unknown":
            yield value
    for link in document.get("documents") or []:
        if isinstance(link, dict) and link.get("path"):
            yield str(link["path"])
    code = get(document, "reference.code")
    if get(document, "reference") and not isinstance(code, dict):
        yield str(code or "reference/")


def folder(origin: Path, prefix: str, progress: Progress | None = None) -> dict[str, bytes]:
    """All files below ``origin``, as ``prefix/…``; tools' caches are left out and said so.

    Raises:
        SourceMissing: There is no such folder, or it holds no file.
        UnsafePath: A symbolic link, or a name that breaks on another machine.
    """
    if not origin.is_dir():
        raise SourceMissing(f"the folder {origin} is not there", next_step="check the path")
    files: dict[str, bytes] = {}
    left_out: list[str] = []
    for root, names, leaves in os.walk(origin):
        here = Path(root)
        left_out += [str(here / name) for name in names if name in LEFT_OUT]
        names[:] = sorted(name for name in names if name not in LEFT_OUT)
        for name in [*leaves, *names]:
            if (here / name).is_symlink():
                raise UnsafePath(
                    f"{here / name} is a symbolic link, which does not survive a handover",
                    next_step="replace it by a copy of the file",
                )
        for leaf in sorted(leaves):
            place = f"{prefix}/{(here / leaf).relative_to(origin).as_posix()}"
            _check_place(place)
            files[place] = read(here / leaf)
    if sum(map(len, files.values())) > MAX_TOTAL_BYTES:
        limit = f"{MAX_TOTAL_BYTES // 1024**2} MB"
        raise SourceUnreadable(
            f"{origin} holds more than {limit}, too much for documents or code",
            next_step="register it as data",
        )
    if not files:
        raise SourceMissing(f"the folder {origin} holds no file", next_step="check the path")
    if left_out and progress:
        progress.note(f"left out: {', '.join(left_out)}")
    return files


def read(path: Path) -> bytes:
    """The bytes of a document or a file of code.

    Raises:
        SourceMissing: It is not there, or not a file.
        SourceUnreadable: It cannot be read, or is larger than 32 MB.
        SecretFound: It is text and holds a password or token; names the line.
    """
    if path.is_fifo():
        raise SourceMissing(
            f"{path} is a pipe, not a file: what comes out of it has no name to be recorded by",
            next_step="write it into a file, and name that",
        )
    if not path.is_file():
        said = "is a folder, not a file" if path.is_dir() else "is not there"
        raise SourceMissing(f"the file {path} {said}", next_step="check the path")
    try:
        if path.stat().st_size > MAX_SIZE_BYTES:
            limit = f"{MAX_SIZE_BYTES // 1024**2} MB"
            raise SourceUnreadable(
                f"{path} is larger than {limit}, too large for a document", next_step="register it as data"
            )
        data = path.read_bytes()
    except OSError as error:
        raise SourceUnreadable(
            f"{path} cannot be read: {error.strerror}", next_step=f"check its rights: ls -l {path}"
        ) from error
    _refuse_secret(path, data)
    return data


def _refuse_secret(path: Path, data: bytes) -> None:
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        secret = find_secret(line)
        if secret:
            raise SecretFound(
                f"{path}, line {number}, holds {secret}; it would be written into the dataset for good",
                next_step="take it out of the file and run the same command again",
            )


def _check_place(place: str) -> None:
    refusal = paths.refuse(place)
    if refusal:
        raise UnsafePath(str(refusal), next_step=refusal.way_out)
