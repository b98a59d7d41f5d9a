"""What lies in a source: every file by name, before a byte is read.

Whatever would mean something else on a colleague's machine is refused here, by name and all at once;
nothing is followed, and nothing outside the named sources is ever taken.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core import paths
from datakeep.core.errors import (
    SourceEmpty,
    SourceFault,
    SourceMissing,
    SourceUnreadable,
    UnsafePath,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to take: ``path`` is what it will be called in ``data/``, the rest is how it was found."""

    path: str
    origin: Path
    size_bytes: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Scan:
    """The files of a source, sorted by the bytes of their paths, and what the user should know of it."""

    files: list[SourceFile]
    warnings: list[str]

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(file.size_bytes for file in self.files)


def scan(sources: Sequence[Path], *, keep: Path | None = None, normalise_names: bool = False) -> Scan:
    """Every file of ``sources``: one folder (its contents become ``data/``), or files (``data/<name>``).

    Args:
        sources: As the user wrote them; relative ones are relative to the current folder.
        keep: The keep's folder, that the source must not overlap.
        normalise_names: Turn names into Unicode's NFC form instead of refusing others.

    Raises:
        SourceMissing: A source is not there.
        SourceFault: A source overlaps the keep.
        SourceUnreadable: Files or folders cannot be opened; lists all of them.
        UnsafePath: Names that break or harm another machine, links, devices; lists all of them.
        SourceEmpty: There is no file.
    """
    for source in sources:
        _check_place(source, keep)
    folders = [source for source in sources if source.is_dir()]
    if not sources or (folders and len(sources) > 1):
        raise UsageError(
            "a source is one folder, or one or more files",
            next_step="put everything into one folder, and give that one",
        )
    walk = _Walk(normalise_names)
    if folders:
        walk.folder(folders[0])
    else:
        for source in sources:
            walk.file(source)
    return walk.result(sources)


def _check_place(source: Path, keep: Path | None) -> None:
    if not os.path.lexists(source):
        here = "" if source.is_absolute() else f" in {Path.cwd()}"
        raise SourceMissing(
            f"the source {str(source)!r} does not exist{here}",
            next_step="correct the path; it is relative to your folder",
        )
    if keep is None:
        return
    real, home = source.resolve(), keep.resolve()
    if real.is_relative_to(home) or home.is_relative_to(real):
        where = "inside the keep" if real.is_relative_to(home) else "a folder that holds the keep"
        raise SourceFault(
            f"the source {str(source)!r} is {where} {home}",
            next_step="give a folder outside of the keep; the keep itself holds no data",
        )


@dataclass(slots=True)
class _Walk:
    """What was found so far; see :func:`scan`."""

    normalise_names: bool
    files: list[SourceFile] = field(default_factory=list)
    refused: list[paths.Refusal] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    def folder(self, root: Path) -> None:
        waiting = [(root, "")]
        while waiting:
            folder, prefix = waiting.pop()
            try:
                with os.scandir(folder) as listing:
                    entries = list(listing)
            except OSError as fault:
                self.unreadable.append(f"{_short(_printable(str(folder)))}: {fault.strerror}")
                continue
            if not entries and prefix:
                self.empty.append(prefix.rstrip("/"))
            for entry in entries:
                path = prefix + self._name(entry.name)
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError as fault:  # its path is too long for this machine, or it went away
                    self.unreadable.append(f"{_short(_printable(entry.path))}: {fault.strerror}")
                    continue
                if not stat.S_ISDIR(found.st_mode):
                    self._take(path, Path(entry.path), found)
                elif refusal := paths.refuse(path):
                    self.refused.append(refusal)
                else:
                    waiting.append((Path(entry.path), path + "/"))

    def file(self, source: Path) -> None:
        absolute = source.absolute()
        self._take(self._name(absolute.name), absolute, absolute.lstat())

    def _name(self, name: str) -> str:
        return unicodedata.normalize("NFC", name) if self.normalise_names else name

    def _take(self, path: str, origin: Path, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a file")
            self.refused.append(
                paths.Refusal(
                    _printable(path), f"it is {kind}", "replace it by the file itself, or remove it"
                )
            )
        elif not os.access(origin, os.R_OK, effective_ids=True):
            self.unreadable.append(f"{_printable(str(origin))}: no right to read it")
        else:
            self.files.append(SourceFile(path, origin, found.st_size, found.st_mtime_ns, found.st_ino))

    def result(self, sources: Sequence[Path]) -> Scan:
        """The scan, if nothing speaks against it."""
        if self.unreadable:
            raise SourceUnreadable(
                _counted(self.unreadable, "cannot be read", "of the source cannot be read"),
                next_step="make them readable (chmod), or leave them out, then run the same command again",
                things=sorted(self.unreadable),
            )
        refused = [*self.refused, *_same_names(self.files)] or paths.refusals(
            file.path for file in self.files
        )
        if self.refused:
            refused += [found for file in self.files if (found := paths.refuse(file.path))]
        if refused:
            things = sorted(str(refusal) for refusal in refused)
            raise UnsafePath(
                _counted(things, "", "names of the source are unsafe on another machine"),
                next_step="correct the names as said, then run the same command again",
                things=things,
            )
        if not self.files:
            raise SourceEmpty(
                f"the source {str(sources[0])!r} holds no file", next_step="give a folder that holds the data"
            )
        self.files.sort(key=lambda file: file.path.encode("utf-8"))
        return Scan(self.files, self._warnings())

    def _warnings(self) -> list[str]:
        if not self.empty:
            return []
        shown = ", ".join(sorted(self.empty)[:3]) + (" …" if len(self.empty) > 3 else "")
        return [f"empty folders are not kept ({len(self.empty)}): {shown}"]


def _counted(things: Sequence[str], of_one: str, of_many: str) -> str:
    """One thing itself, or how many there are."""
    if len(things) == 1:
        return f"{things[0]} ({of_one})" if of_one else things[0]
    return f"{len(things)} {of_many}" if not of_one else f"{len(things)} files {of_many}"


def _same_names(files: Sequence[SourceFile]) -> list[paths.Refusal]:
    first: dict[str, SourceFile] = {}
    return [
        paths.Refusal(
            _printable(str(file.origin)),
            f"it would have the same name as {_printable(str(other.origin))}",
            "rename one",
        )
        for file in files
        if (other := first.setdefault(file.path, file)) is not file
    ]


def _short(path: str) -> str:
    """A path that is too long to be shown, by its beginning."""
    return path if len(path) <= _SHOWN_CHARACTERS else f"{path[:_SHOWN_CHARACTERS]}…"


def _printable(path: str) -> str:
    """``path`` with bytes that are not UTF-8 written as escapes, so that it can be shown and encoded."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")
