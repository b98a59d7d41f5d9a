"""``audit`` backwards: which models a dataset, a version or one file of it went into (L22).

The index says which records can be an answer; the records themselves are read as they are committed. What a
record does not tell is "not known", never "not read".
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from datakeep.core.errors import SourceUnreadable
from datakeep.core.names import NAME, VERSION, version_number
from datakeep.lineage import backwards, records
from datakeep.lineage.records import Broken, Found
from datakeep.lineage.same_bytes import EMPTY
from datakeep.lineage.steps import Node, equals
from datakeep.workflows.declared_copies import declared_copies
from datakeep.workflows.every_way import EveryWay, Gathered, alike, gather, tell
from datakeep.workflows.file_verdicts import FileRead, Wanted
from datakeep.workflows.index import ask
from datakeep.workflows.known_file import digests_of, known_file, no_such_file
from datakeep.workflows.sizes_here import SizesHere
from datakeep.workflows.some_files import SomeFiles
from datakeep.workflows.undeclared import Recognised, matters, recognise

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from datakeep.formats.model import ModelRecord
    from datakeep.lineage.backwards import Reached, Way
    from datakeep.lineage.index import Index
    from datakeep.workflows.index import NotSearched
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.known_file import KnownFile

_MAX_GUESSES = 3
#: Sizes this near may be the same model, saved again.
_NEAR_SIZE = 0.01


@dataclass(frozen=True, slots=True)
class UsedBy:
    """The answer about a dataset: the records of the models that it went into.

    Attributes:
        dataset: Its name.
        version: The version that was asked about; None for all.
        records: Of the models that read it themselves, and of those that were only given it.
        broken: Records that cannot be read, and might have told more.
        through: Models that it reached through others and that did not read it themselves, and how.
        derived: Datasets that were made of it, and how.
        open: Where the way ends at a record that is missing or broken, one line each.
        unread: Those of ``records`` (``churn@v7``) that were given it, and are known to have read nothing of it.
        undeclared: What was read of it without being declared, recognised by its bytes.
        alike: Versions with the very same bytes (``orders@v1``), of other datasets or numbers.
        direct: To each model that read it, under whichever name.
        not_looked_at: What was not looked at, and why: a missing model there is no "no".
    """

    dataset: str
    version: str | None
    records: tuple[ModelRecord, ...]
    broken: tuple[Broken, ...]
    through: tuple[Way, ...] = ()
    derived: tuple[Way, ...] = ()
    open: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    undeclared: Recognised = field(default_factory=Recognised)
    alike: tuple[str, ...] = ()
    direct: tuple[Way, ...] = ()
    not_looked_at: tuple[str, ...] = ()

    @property
    def readers(self) -> tuple[ModelRecord, ...]:
        """Those of ``records`` that are not known to have read nothing of it."""
        return tuple(one for one in self.records if one.label not in self.unread)

    @property
    def is_blind(self) -> bool:
        """Whether no model is told of, and one may be missing: no "no"."""
        same = self.undeclared
        unsure = same.lacking or same.unlisted or self.broken or self.open or self.not_looked_at
        return bool(unsure) and not self.readers and not self.through


@dataclass(frozen=True, slots=True)
class FileUsedBy:
    """The answer about one file of a dataset.

    Attributes:
        dataset: Its name.
        path: Below ``data/``.
        versions: Those asked about that have the file, oldest first.
        ways: What each model read of it, and through which others it reached models.
        not_searched: Versions whose file lists are not here; None if all are.
        unlisted: Models that read more undeclared files than their records list.
        asked: The version that was asked about; None for all.
        unread: Register entries of versions asked about that cannot be read, and so may have the file.
        alike: Other files of the same bytes that were looked at too, as ``orders@v1:train/a.csv``.
    """

    dataset: str
    path: str
    versions: tuple[str, ...]
    ways: EveryWay
    not_searched: NotSearched | None
    unlisted: tuple[str, ...] = ()
    asked: str | None = None
    unread: tuple[Broken, ...] = ()
    alike: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[FileRead, ...]:
        """What each model that used one of these versions read."""
        return self.ways.models

    @property
    def through(self) -> tuple[Way, ...]:
        """All ways to models through others."""
        return (*self.ways.carried, *self.ways.through)

    @property
    def open(self) -> tuple[str, ...]:
        """Where a way ends at a record that is missing or broken, one line each."""
        return self.ways.open

    @property
    def not_looked_at(self) -> tuple[str, ...]:
        """What nobody looked at, and might have told more, one line each."""
        return self.ways.not_looked_at

    @property
    def broken(self) -> tuple[Broken, ...]:
        """Records that cannot be read, and might have told more."""
        return self.ways.broken

    @property
    def is_blind(self) -> bool:
        """Whether no model is told of that may have read it, and one may be missing: no "no"."""
        unsure = self.unlisted or self.broken or self.open or self.not_looked_at or self.unread
        told = self.through or any(one.verdict != "not read" for one in self.models)
        return bool(unsure or self.not_searched) and not told


def find_by_digest(keep: Keep, sha256: str) -> Found:
    """As :func:`datakeep.lineage.records.find_by_digest`, by the index; an empty file is nobody's."""
    if sha256 == EMPTY:
        return Found()

    def question(index: Index) -> list[str]:
        query = "SELECT DISTINCT path FROM artifact WHERE sha256 = ?"
        return [row[0] for row in index.database.execute(query, (sha256,))] + _broken_paths(index)

    some = SomeFiles(keep.tree, ask(keep, question, files=False))
    return records.find_by_digest(some, sha256, chosen=True)


def digests_like(keep: Keep, digits: str) -> list[str]:
    """The sha256 of models' files that begin with ``digits``, a few of them."""

    def question(index: Index) -> list[str]:
        query = "SELECT DISTINCT sha256 FROM artifact WHERE sha256 BETWEEN ? AND ? ORDER BY sha256 LIMIT 20"
        return [row[0] for row in index.database.execute(query, (digits, f"{digits}g"))]

    return ask(keep, question, files=False)


def find_by_file(keep: Keep, path: Path) -> tuple[str, Found]:
    """The sha256 of a file of this machine, and the records of models that have it.

    Raises:
        SourceUnreadable: It cannot be read.
    """
    sha256 = digest_of(path)
    return sha256, find_by_digest(keep, sha256)


def digest_of(path: Path) -> str:
    """The sha256 of a file of this machine.

    Raises:
        SourceUnreadable: It cannot be read.
    """
    from datakeep.store.hashing import hash_file  # late: most questions name no file

    try:
        return hash_file(path.resolve())[2].hex()
    except OSError as error:
        raise SourceUnreadable(
            f"{path} cannot be read ({error.strerror or error})",
            next_step="make it readable, then run the same command again",
        ) from error


def newest_of(found: Found) -> ModelRecord:
    """Of several records of one file, the one that was made last.

    What was seen is meant rather than what somebody declared, a failed training only if there is no other.
    """
    return max(
        found.records,
        key=lambda one: (
            one.status != "failed",
            one.origin in ("run", "verification"),  # what was seen, before what somebody says
            one.recorded_at or "",
            one.model,
            version_number(one.version),
        ),
    )


def broken_records(keep: Keep) -> tuple[Broken, ...]:
    """Every model record that cannot be read."""
    paths = ask(keep, _broken_paths, files=False)
    return records.all_records(SomeFiles(keep.tree, paths)).broken


def _broken_paths(index: Index) -> list[str]:
    return [path for path, _ in index.broken("model")]


def nearest_files(keep: Keep, path: Path) -> tuple[str, ...]:
    """Recorded files of the same name, or of nearly the same size, as ``path``: the same model saved again?"""
    size_bytes = path.stat().st_size
    slack = int(size_bytes * _NEAR_SIZE)

    def question(index: Index) -> list[tuple[str, int, str, int]]:
        query = (
            "SELECT e.name, e.number, a.file, a.size_bytes FROM artifact a JOIN entry e ON e.path = a.path "
            "WHERE a.file = ? OR (a.size_bytes BETWEEN ? AND ? AND a.size_bytes > 0) "
            "ORDER BY a.file != ?, abs(a.size_bytes - ?), e.name, e.number DESC LIMIT ?"
        )
        given = (path.name, size_bytes - slack, size_bytes + slack, path.name, size_bytes, _MAX_GUESSES)
        return index.database.execute(query, given).fetchall()

    return tuple(
        f"{name}@v{number}: {'the same name' if file == path.name else 'the name ' + file}, "
        f"{size:,} bytes where this file has {size_bytes:,}"
        for name, number, file, size in ask(keep, question, files=False)
    )


def used_by(keep: Keep, subject: str, *, fetch: bool = False) -> UsedBy:
    """Which models ``NAME``, or ``NAME@V``, went into.

    Args:
        keep: The keep.
        subject: ``orders``, or ``orders@v3``.
        fetch: Get the file lists that are not here, if models read undeclared files.

    Raises:
        UnknownName: There is no such dataset or version.
    """
    found = keep.resolve(subject)
    version = found.version if "@" in subject else None
    number = version_number(version) if version else None

    def question(index: Index) -> _Asked:
        return _asked(index, found.name, number)

    def cheap(index: Index) -> _Asked | None:
        return None if matters(index) else question(index)

    # The lists of files are looked at only where a model read undeclared files: most keeps need none for this.
    asked = ask(keep, cheap, files=False) or ask(keep, question, fetch=fetch)
    used = records.all_records(SomeFiles(keep.tree, asked.paths))
    read = {str(way.end) for way in asked.reached.direct}
    copies = declared_copies(keep, found.name, number, fetch=fetch)
    ways = {way.end: way for way in (*copies.ways, *asked.reached.ways)}  # those through fewer guesses stay
    return UsedBy(
        found.name,
        version,
        used.records,
        (*used.broken, *asked.broken),
        tuple(ways[end] for end in sorted(ways) if end.kind == "model" and str(end) not in read),
        tuple(ways[end] for end in sorted(ways) if end.kind == "dataset"),
        asked.reached.open,
        tuple(one.label for one in used.records if one.label not in read),
        asked.same,
        asked.alike,
        asked.reached.direct,
        copies.not_looked_at,
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the index says: ``paths`` are the records of all that read the dataset, or were given it."""

    paths: list[str]
    reached: Reached
    same: Recognised
    broken: tuple[Broken, ...]
    alike: tuple[str, ...]


def _asked(index: Index, dataset: str, number: int | None) -> _Asked:
    same = recognise(index, dataset, number)
    found = backwards.reached(index.database, dataset, number)
    paths = {way.end.path for way in found.direct} | set(_broken_paths(index))
    query = "SELECT DISTINCT path FROM leads WHERE how = 'given' AND name = ?"
    query += " AND number IN (?, 0)" if number else ""
    paths |= {row[0] for row in index.database.execute(query, (dataset, number) if number else (dataset,))}
    start = Node("dataset", dataset, number or 0)
    alike = tuple(str(one) for one in equals(index.database, start))
    return _Asked(sorted(paths), found, same, tuple(Broken(*one) for one in index.broken("dataset")), alike)


def file_of(keep: Keep, subject: str) -> tuple[str, str] | None:
    """Dataset and path of ``orders@v3:train/a.csv``; None if ``subject`` is not of this form."""
    reference, colon, path = subject.partition(":")
    name, at, version = reference.partition("@")
    if not colon or not path or not NAME.fullmatch(name) or (at and not VERSION.fullmatch(version)):
        return None
    if not keep.versions(name) and not (at or keep.dataset_once_called(name)):
        return None
    return reference, path


def file_used_by(
    keep: Keep, reference: str, asked: str, *, fetch: bool = False, only: Collection[str] | None = None
) -> FileUsedBy:
    """Which models read the file ``asked`` of a version, or of every version that has it, by every way.

    Args:
        keep: The keep.
        reference: ``orders@v3``, or ``orders``.
        asked: Its path below ``data/``, or with that before it.
        fetch: Get the file lists that are not here first.
        only: Of all versions that have it, these; files of the same bytes are then asked about one by one.

    Raises:
        UnknownName: There is no such dataset or version, or no version that was searched has such a file.
    """
    found = keep.resolve(reference)
    version = found.version if "@" in reference else None
    number = version_number(version) if version else None

    def question(index: Index) -> tuple[str, KnownFile, Gathered, Recognised]:
        path, known = _known(index, found.name, number, asked)
        same = recognise(index, found.name, number, path)
        if only is not None:
            same = replace(same, found=tuple(one for one in same.found if one.version in only))
        not_looked_at: dict[str, None] = {}
        wanted = _wanted(index, found.name, path, known, only, not_looked_at)
        return path, known, gather(index, wanted, same.found, not_looked_at), same

    path, known, gathered, same = ask(keep, question, fetch=fetch)
    if not known.having and not known.lacking and not known.unread:
        raise no_such_file(reference, path, known)
    return FileUsedBy(
        found.name,
        path,
        tuple(f"v{one}" for one in known.having if only is None or f"v{one}" in only),
        tell(keep, gathered, SizesHere(keep)),
        known.lacking,
        same.unlisted,
        version,
        tuple(known.unread.values()),
        tuple(f"{one.label}:{one.paths[0]}" for one in gathered.wanted if one.like),
    )


def _known(index: Index, dataset: str, number: int | None, asked: str) -> tuple[str, KnownFile]:
    """The path that is meant, and what is known of it: ``data/`` before it is the folder of all data, or in it."""
    known = known_file(index, dataset, number, asked)
    if known.having or not asked.startswith("data/"):
        return asked, known
    below = asked.removeprefix("data/")
    return below, known_file(index, dataset, number, below)


def _wanted(
    index: Index,
    dataset: str,
    path: str,
    known: KnownFile,
    only: Collection[str] | None,
    not_looked_at: dict[str, None],
) -> list[Wanted]:
    """The file in the versions that have it or may, and wherever else its bytes are registered."""
    sure = [one for one in known.having if only is None or f"v{one}" in only]
    perhaps = [one for one in (*known.unlisted, *known.unread) if only is None]
    wanted = [
        Wanted(dataset, f"v{one}", (path,), Node("dataset", dataset, one), is_sure=one in sure)
        for one in dict.fromkeys((*sure, *perhaps))
    ]
    if only is not None:
        return wanted
    known_already = {one.label for one in wanted}
    for sha256, newest in digests_of(index, dataset, path, sure).items():
        like = f"{dataset}@v{newest}:{path}"
        for (name, version), paths in sorted(alike(index, [sha256], not_looked_at).items()):
            others = tuple(one for one in paths if f"{name}@{version}" not in known_already or one != path)
            if others:
                wanted.append(Wanted(name, version, others, Node("dataset", dataset, newest), like))
    return wanted
