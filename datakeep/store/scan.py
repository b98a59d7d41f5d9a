"""What lies in a source: every file by name, before a byte is read.

Whatever would mean something else on a colleague's machine is refused here, by name and all at once;
nothing is followed, and nothing outside the named sources is ever taken.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

from datakeep.core import paths
from datakeep.core.errors import (
    SourceEmpty,
    SourceFault,
    SourceMissing,
    SourceUnreadable,
    UnsafePath,
    UsageError,
)

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
    ctime_ns: int = 0


@dataclass(slots=True)
class SourceFiles(Sequence[SourceFile]):
    """Many source files, column by column: a million of them take a tenth of the memory of as many objects.

    Attributes:
        paths: What each will be called in ``data/``.
        apart: Where each lies; None means at its path below ``root``.
        sizes: In bytes.
        mtimes_ns: When each was changed.
        inodes: Of each, on its file system.
        ctimes_ns: When each was changed in any way, its times included.
        start: Where these begin in the files that they are a part of.
        root: The folder of those that do not lie apart.
    """

    paths: list[str] = field(default_factory=list)
    apart: list[str | None] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    mtimes_ns: array[int] = field(default_factory=lambda: array("q"))
    inodes: array[int] = field(default_factory=lambda: array("Q"))
    ctimes_ns: array[int] = field(default_factory=lambda: array("q"))
    start: int = 0
    root: str = ""

    @classmethod
    def of(cls, files: Sequence[SourceFile]) -> SourceFiles:
        """``files`` as columns."""
        if isinstance(files, SourceFiles):
            return files
        made = cls()
        for file in files:
            made.add(file.path, str(file.origin), file.size_bytes, file.mtime_ns, file.inode, file.ctime_ns)
        return made

    def add(
        self, path: str, apart: str | None, size_bytes: int, mtime_ns: int, inode: int, ctime_ns: int
    ) -> None:
        """One file more."""
        self.paths.append(path)
        self.apart.append(apart)
        self.sizes.append(size_bytes)
        self.mtimes_ns.append(mtime_ns)
        self.inodes.append(inode)
        self.ctimes_ns.append(ctime_ns)

    def extend(self, paths: Sequence[str], stats: Sequence[os.stat_result]) -> None:
        """Many files more, which lie at their paths below ``root``."""
        self.paths += paths
        self.apart += [None] * len(paths)
        self.sizes.extend([one.st_size for one in stats])
        self.mtimes_ns.extend([one.st_mtime_ns for one in stats])
        self.inodes.extend([one.st_ino for one in stats])
        self.ctimes_ns.extend([one.st_ctime_ns for one in stats])

    def take(self, positions: Sequence[int]) -> SourceFiles:
        """Those at ``positions``, in that order."""
        return SourceFiles(
            list(map(self.paths.__getitem__, positions)),
            list(map(self.apart.__getitem__, positions)),
            array("q", map(self.sizes.__getitem__, positions)),
            array("q", map(self.mtimes_ns.__getitem__, positions)),
            array("Q", map(self.inodes.__getitem__, positions)),
            array("q", map(self.ctimes_ns.__getitem__, positions)),
            root=self.root,
        )

    @property
    def origins(self) -> Iterator[str]:
        """Where each file is."""
        return (
            f"{self.root}/{path}" if apart is None else apart
            for path, apart in zip(self.paths, self.apart, strict=True)
        )

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, at: int) -> SourceFile: ...
    @overload
    def __getitem__(self, at: slice) -> SourceFiles: ...
    def __getitem__(self, at: int | slice) -> SourceFile | SourceFiles:
        if isinstance(at, slice):
            return SourceFiles(
                self.paths[at], self.apart[at], self.sizes[at], self.mtimes_ns[at], self.inodes[at],
                self.ctimes_ns[at], start=self.start + at.indices(len(self))[0], root=self.root,
            )  # fmt: skip
        origin = self.apart[at] or f"{self.root}/{self.paths[at]}"
        return SourceFile(
            self.paths[at],
            Path(origin),
            self.sizes[at],
            self.mtimes_ns[at],
            self.inodes[at],
            self.ctimes_ns[at],
        )


@dataclass(frozen=True, slots=True)
class Scan:
    """The files of a source, sorted by the bytes of their paths, and what the user should know of it."""

    files: SourceFiles
    warnings: list[str]

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(self.files.sizes)


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
    files: SourceFiles = field(default_factory=SourceFiles)
    user: int = field(default_factory=os.geteuid)
    refused: list[paths.Refusal] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    def folder(self, root: Path) -> None:
        self.files.root = str(root)
        waiting = [(str(root), "")]
        while waiting:
            folder, prefix = waiting.pop()
            try:
                entries = listed(folder)
            except OSError as fault:
                self.unreadable.append(f"{_short(_printable(folder))}: {fault.strerror}")
                continue
            if not entries and prefix:
                self.empty.append(prefix.rstrip("/"))
            plain: list[tuple[str, os.stat_result]] = []
            for name, found in entries:
                path, place = prefix + self._name(name), f"{folder}/{name}"
                if isinstance(found, OSError):  # its path is too long for this machine, or it went away
                    self.unreadable.append(f"{_short(_printable(place))}: {found.strerror}")
                elif stat.S_ISREG(found.st_mode) and self._is_own(found) and not self.normalise_names:
                    plain.append((path, found))
                elif not stat.S_ISDIR(found.st_mode):
                    self._take(path, place, found, below=not self.normalise_names)
                elif refusal := paths.refuse(path):
                    self.refused.append(refusal)
                else:
                    waiting.append((place, path + "/"))
            self.files.extend([path for path, _ in plain], [found for _, found in plain])

    def file(self, source: Path) -> None:
        absolute = source.absolute()
        self._take(self._name(absolute.name), str(absolute), absolute.lstat())

    def _name(self, name: str) -> str:
        return unicodedata.normalize("NFC", name) if self.normalise_names else name

    def _take(self, path: str, origin: str, found: os.stat_result, *, below: bool = False) -> None:
        if not stat.S_ISREG(found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a file")
            self.refused.append(
                paths.Refusal(
                    _printable(path), f"it is {kind}", "replace it by the file itself, or remove it"
                )
            )
        elif not self._may_read(origin, found):
            self.unreadable.append(f"{_printable(origin)}: no right to read it")
        else:
            apart = None if below else origin
            self.files.add(path, apart, found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)

    def _may_read(self, origin: str, found: os.stat_result) -> bool:
        return self._is_own(found) or os.access(origin, os.R_OK, effective_ids=True)

    def _is_own(self, found: os.stat_result) -> bool:
        # What the mode says of one's own file needs no question, which would be one call more for each file.
        return found.st_uid == self.user and bool(found.st_mode & stat.S_IRUSR)

    def result(self, sources: Sequence[Path]) -> Scan:
        """The scan, if nothing speaks against it."""
        if self.unreadable:
            raise SourceUnreadable(
                _counted(self.unreadable, "cannot be read", "of the source cannot be read"),
                next_step="make them readable (chmod), or leave them out, then run the same command again",
                things=sorted(self.unreadable),
            )
        refused = [*self.refused, *_same_names(self.files)] or paths.refusals(self.files.paths)
        if self.refused:
            refused += [found for path in self.files.paths if (found := paths.refuse(path))]
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
        # Python's order of strings, by code points, is the order of their UTF-8 bytes.
        order = sorted(range(len(self.files)), key=self.files.paths.__getitem__)
        return Scan(self.files.take(order), self._warnings())

    def _warnings(self) -> list[str]:
        found = []
        if self.empty:
            found.append(f"empty folders are not kept ({len(self.empty)}): {_first(sorted(self.empty))}")
        if names := paths.unlike_windows(self.files.paths):
            have = "1 name is" if len(names) == 1 else f"{len(names):,} names are"
            shown = _first([repr(name) for name in sorted(names)])
            found.append(f"{have} impossible on Windows, where nobody can check the data out: {shown}")
        return found


def listed(folder: str) -> list[tuple[str, os.stat_result | OSError]]:
    """Everything in ``folder`` by name, as ``lstat`` has it, or why that does not tell.

    Raises:
        OSError: The folder cannot be listed.
    """
    # Names below an open folder: the kernel need not find the way to each of a million files again.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with os.scandir(descriptor) as listing:
            entries = list(listing)
        try:
            return [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError:
            return [(entry.name, _lstat(entry)) for entry in entries]
    finally:
        os.close(descriptor)


def _lstat(entry: os.DirEntry[str]) -> os.stat_result | OSError:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError as fault:
        return fault


def _first(things: Sequence[str]) -> str:
    return ", ".join(things[:3]) + (" …" if len(things) > 3 else "")


def _counted(things: Sequence[str], of_one: str, of_many: str) -> str:
    """One thing itself, or how many there are."""
    if len(things) == 1:
        return f"{things[0]} ({of_one})" if of_one else things[0]
    return f"{len(things)} {of_many}" if not of_one else f"{len(things)} files {of_many}"


def _same_names(files: SourceFiles) -> list[paths.Refusal]:
    if len(set(files.paths)) == len(files):
        return []
    first: dict[str, str] = {}
    return [
        paths.Refusal(_printable(origin), f"it would have the same name as {_printable(other)}", "rename one")
        for path, origin in zip(files.paths, files.origins, strict=True)
        if (other := first.setdefault(path, origin)) != origin
    ]


def _short(path: str) -> str:
    """A path that is too long to be shown, by its beginning."""
    return path if len(path) <= _SHOWN_CHARACTERS else f"{path[:_SHOWN_CHARACTERS]}…"


def _printable(path: str) -> str:
    """``path`` with bytes that are not UTF-8 written as escapes, so that it can be shown and encoded."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")
