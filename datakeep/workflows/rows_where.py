"""Which files of which versions have rows that satisfy a condition: the search itself.

The same bytes, in however many versions, are read once. What was not read, for whatever reason, is an answer of its
own, and never "no". The values that are looked for are written nowhere.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.extract.lookup import RowGroups, is_other_table, way_of
from datakeep.extract.tabular import extension
from datakeep.extract.typed import AskOtherwise, CannotTell
from datakeep.formats.version import VersionEntry
from datakeep.repository.scratch import scratch
from datakeep.store.hashing import hash_file
from datakeep.workflows.bytes_here import BytesHere
from datakeep.workflows.look_apart import LooksApart
from datakeep.workflows.parsed import entries_at
from datakeep.workflows.register_entries import entry_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from datakeep.core.conditions import Condition
    from datakeep.extract.lookup import Looked
    from datakeep.formats.inventory import FileEntry, Inventory
    from datakeep.workflows.bytes_here import Copy
    from datakeep.workflows.keep import Keep

_NAMED = 5


@dataclass(frozen=True, slots=True)
class HavingFile:
    """A file with such rows; ``path`` is below ``data/``, ``sha256`` in hex."""

    path: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class HavingVersion:
    """A version with such rows, and its files that have them."""

    dataset: str
    version: str
    files: tuple[HavingFile, ...]

    @property
    def rows(self) -> int:
        """Of all its files."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True, slots=True)
class Unsearched:
    """Files of a version that were not searched, for one reason; ``such_as`` are a few of them, none of all files.

    ``otherwise`` is whether they would be if the value were typed in another way.
    """

    version: str
    why: str
    files: int
    such_as: tuple[str, ...]
    otherwise: bool = False


@dataclass(frozen=True, slots=True)
class Impossible:
    """Files of a version of which no row can have the value, by the type of a column: a "no" that is told.

    Attributes:
        version: As ``orders@v3``.
        column: Its name.
        type: Its type there.
        why: What is wrong with the value there; it is not repeated.
        files: How many.
        such_as: A few of them.
    """

    version: str
    column: str
    type: str
    why: str
    files: int
    such_as: tuple[str, ...]


@dataclass(slots=True)
class Searched:
    """What was searched, in numbers.

    Attributes:
        versions: Whose files are known.
        files: Tables, in all these versions.
        different: Of other bytes than each other; each of them was read once.
        lacking: Of the different ones, those without a column of the condition.
        impossible: Of them, those of which no value of a column can be the one that was asked for.
        through: Of them, those that were read to their end and had the registered sha256.
        in_parts: Of them, those of which only parts were read, so that footer and statistics were believed.
        groups: Their row groups.
    """

    versions: int = 0
    files: int = 0
    different: int = 0
    lacking: int = 0
    impossible: int = 0
    through: int = 0
    in_parts: int = 0
    groups: RowGroups = field(default_factory=RowGroups)


@dataclass(frozen=True, slots=True)
class Search:
    """The answer.

    Attributes:
        having: Versions with such rows, by dataset, oldest first.
        unsearched: What was not searched.
        others: Files that are no tables, by extension; nobody looked into them.
        numbers: What was searched.
        columns: Columns of files that lack the one that was asked for: which may have been meant.
        remarks: How the values were taken, and in how many files so.
        impossible: What cannot have such a value.
        other_tables: Tables of a format that nobody here looks into, by extension.
    """

    having: tuple[HavingVersion, ...]
    unsearched: tuple[Unsearched, ...]
    others: Mapping[str, int]
    numbers: Searched
    columns: tuple[str, ...]
    remarks: Mapping[str, int]
    impossible: tuple[Impossible, ...] = ()
    other_tables: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left out, so that what was not found is not there."""
        return not self.unsearched and not self.other_tables and bool(self.numbers.different)


#: The same bytes are read once, as what their name and the version's query say that they are.
_Key = tuple[bytes, str, frozenset[str]]
#: Types of databases whose values are numbers, also where they are kept as text.
_NUMBERS = re.compile(
    r"(?:u?(?:tiny|small|medium|big|huge)?int(?:eger)?\d*|(?:big)?numeric|dec(?:imal)?|number|double|float\d*|real)\b",
    re.IGNORECASE,
)


def search_rows(
    keep: Keep, condition: Condition, versions: Mapping[str, Sequence[str]], *, fetch: bool, rehash: bool
) -> Search:
    """What of ``versions`` (by dataset, oldest first) has rows that satisfy ``condition``.

    Args:
        keep: The keep.
        condition: What rows must be.
        versions: Which are searched.
        fetch: Get what is not on this machine.
        rehash: Believe no Parquet file before its sha256 was found right, though that reads all of it.
    """
    with scratch() as folder, LooksApart(condition, folder) as apart:
        return _Searcher(keep, apart, folder, fetch=fetch, rehash=rehash).search(versions)


class _Searcher:
    def __init__(self, keep: Keep, apart: LooksApart, folder: Path, *, fetch: bool, rehash: bool) -> None:
        self._keep, self._apart, self._rehash = keep, apart, rehash
        self._bytes = BytesHere(keep, fetch=fetch, scratch=folder)
        self._known: dict[_Key, Looked] = {}
        self._failed: dict[tuple[str, _Key], str] = {}
        self._otherwise: set[tuple[str, _Key]] = set()
        self._of_numbers: frozenset[str] = frozenset()  # of the version that is looked at
        self._others: dict[str, set[bytes]] = {}
        self._other_tables: dict[str, set[bytes]] = {}
        self._columns: Counter[str] = Counter()
        self._remarks: Counter[str] = Counter()
        self._numbers = Searched()
        self._unsearched: list[Unsearched] = []
        self._impossible: list[Impossible] = []

    def search(self, versions: Mapping[str, Sequence[str]]) -> Search:
        paths = [entry_path(name, version) for name, some in versions.items() for version in some]
        entries: dict[str, list[VersionEntry]] = {}
        for path, found in entries_at(self._keep, paths).items():
            if isinstance(found, VersionEntry):
                entries.setdefault(found.dataset, []).append(found)
            else:
                self._miss(_version_at(path), found.what)
        self._keep.progress.stage("searching", total=len(paths), unit="versions")
        having = [one for some in entries.values() for one in self._dataset(some)]
        self._numbers.different = len(self._known)
        return Search(
            tuple(having),
            tuple(self._unsearched),
            _counts(self._others),
            self._numbers,
            tuple(self._columns),
            dict(self._remarks),
            tuple(self._impossible),
            _counts(self._other_tables),
        )

    def _miss(
        self, version: str, why: str, files: int = 0, such_as: Sequence[str] = (), *, otherwise: bool = False
    ) -> None:
        self._unsearched.append(Unsearched(version, why, files, tuple(such_as[:_NAMED]), otherwise))

    def _dataset(self, entries: Sequence[VersionEntry]) -> Iterator[HavingVersion]:
        for entry, inventory in self._bytes.inventories(entries):
            if isinstance(inventory, str):
                self._miss(_label(entry), inventory, entry.files)
            elif found := self._version(entry, inventory):
                yield HavingVersion(entry.dataset, entry.version, found)
            self._keep.progress.advance()

    def _version(self, entry: VersionEntry, inventory: Inventory) -> tuple[HavingFile, ...]:
        """The files of a version that have such rows."""
        tables = [file for file in inventory.files if self._is_table(file)]
        self._of_numbers = _numbers_as_text(entry)
        self._numbers.versions += 1
        self._numbers.files += len(tables)
        new = {
            key: file
            for file in tables
            if (key := self._key(file)) not in self._known and (entry.dataset, key) not in self._failed
        }
        self._look_at(entry, list(new.values()))
        missed: dict[tuple[str, bool], list[str]] = {}
        impossible: dict[tuple[str, str, str], list[str]] = {}
        found = []
        for file in tables:
            looked = self._known.get(self._key(file))
            if looked is None:
                failed = (entry.dataset, self._key(file))
                missed.setdefault((self._failed[failed], failed in self._otherwise), []).append(file.path)
            elif looked.impossible:
                impossible.setdefault(looked.impossible, []).append(file.path)
            elif looked.rows:
                found.append(HavingFile(file.path, looked.rows, file.sha256.hex()))
        for (why, otherwise), paths in missed.items():
            self._miss(_label(entry), why, len(paths), paths, otherwise=otherwise)
        for (column, kind, why), paths in impossible.items():
            such_as = tuple(paths[:_NAMED])
            self._impossible.append(Impossible(_label(entry), column, kind, why, len(paths), such_as))
        return tuple(found)

    def _key(self, file: FileEntry) -> _Key:
        return file.sha256, extension(file.path), self._of_numbers

    def _is_table(self, file: FileEntry) -> bool:
        if way_of(file.path):
            return True
        others = self._other_tables if is_other_table(file.path) else self._others
        others.setdefault(extension(file.path), set()).add(file.sha256)
        return False

    def _look_at(self, entry: VersionEntry, files: Sequence[FileEntry]) -> None:
        """Each of ``files`` is known, or why it is not."""
        in_parts = [way_of(file.path) == "parts" and not self._rehash for file in files]
        for file, copies in self._bytes.each(entry, files, in_parts=in_parts):
            whys: list[str] = []
            for copy in copies:
                if isinstance(copy, str):
                    whys.append(copy)
                    continue
                try:
                    why = self._try(file, copy)
                except AskOtherwise as error:  # of every other copy it would be the same
                    self._otherwise.add((entry.dataset, self._key(file)))
                    self._failed[entry.dataset, self._key(file)] = str(error)
                    break
                if why is None:
                    break
                whys.append(why)
            else:
                said = "; ".join(dict.fromkeys(whys)) or "it is on no store of this machine"
                self._failed[entry.dataset, self._key(file)] = said

    def _try(self, file: FileEntry, copy: Copy) -> str | None:
        """Why the copy tells nothing; None if it told.

        Raises:
            AskOtherwise: The value must be typed in another way for it.
        """
        parts = way_of(file.path) == "parts"
        try:
            proven = copy.proven or self._is_proven(file, copy, whole=self._rehash or not parts)
            looked = self._apart.look(f"data/{file.path}", copy, parts=parts, numbers=self._of_numbers)
        except AskOtherwise:
            raise
        except CannotTell as error:
            return f"{error}"
        except _Damaged as error:
            return f"damaged in {copy.where}: {error}"
        except DatakeepError as error:
            if copy.path is not None and not _is_registered(copy.path, file):
                return f"damaged in {copy.where}: other bytes than were registered"
            return error.what
        except OSError as error:
            return f"{copy.where} cannot be read: {error.strerror or error}"
        self._take(file, looked, parts=parts and not proven)
        return None

    def _is_proven(self, file: FileEntry, copy: Copy, *, whole: bool) -> bool:
        """Whether the copy's sha256 is the registered one; False if that was not looked at.

        Raises:
            _Damaged: It is not, or it has another size.
        """
        if copy.path is None:
            return False
        size_bytes = copy.path.stat().st_size
        if size_bytes != file.size_bytes:
            raise _Damaged(f"{size_bytes:,} bytes instead of {file.size_bytes:,}")
        if not whole and copy.where != "git":
            return False
        if not _is_registered(copy.path, file):
            raise _Damaged("other bytes than were registered")
        return True

    def _take(self, file: FileEntry, looked: Looked, *, parts: bool) -> None:
        self._known[self._key(file)] = looked
        numbers = self._numbers
        numbers.in_parts += parts
        numbers.through += not parts
        numbers.groups += looked.groups
        numbers.lacking += bool(looked.lacking)
        numbers.impossible += bool(looked.impossible)
        self._columns.update(looked.columns)
        self._remarks.update(looked.remarks)


class _Damaged(Exception):
    """A copy is not what was registered."""


def _is_registered(path: Path, file: FileEntry) -> bool:
    return hash_file(path)[2] == file.sha256


def _numbers_as_text(entry: VersionEntry) -> frozenset[str]:
    """The columns whose texts are a database's numbers, as the version's query says."""
    extraction = (entry.manifest.get("source") or {}).get("extraction") or {}
    return frozenset(
        str(one.get("name"))
        for one in extraction.get("columns") or ()
        if one.get("arrow_type") in ("string", "large_string")
        and _NUMBERS.match(str(one.get("database_type")))
    )


def _counts(found: Mapping[str, Collection[bytes]]) -> dict[str, int]:
    return {kind: len(digests) for kind, digests in sorted(found.items())}


def _label(entry: VersionEntry) -> str:
    return f"{entry.dataset}@{entry.version}"


def _version_at(path: str) -> str:
    return "@".join(path.removeprefix("register/").removesuffix(".yaml").split("/"))
