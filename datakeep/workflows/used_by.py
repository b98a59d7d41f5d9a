"""``audit`` backwards: which models a dataset, a version or one file of it went into (L22).

The index says which records can be an answer; the records themselves are read as they are committed. What a
record does not tell is "not known", never "not read".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datakeep.core.errors import SourceUnreadable
from datakeep.core.names import NAME, VERSION, version_number
from datakeep.lineage import backwards, records, same_bytes
from datakeep.lineage.records import Broken
from datakeep.workflows.file_verdicts import FileRead, readers, undeclared_of
from datakeep.workflows.index import ask
from datakeep.workflows.known_file import known_file, no_such_file
from datakeep.workflows.sizes_here import SizesHere
from datakeep.workflows.undeclared import Recognised, matters, recognise, with_what_was_read

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from datakeep.formats.model import ModelRecord
    from datakeep.lineage.backwards import Reached, Way
    from datakeep.lineage.index import Index
    from datakeep.lineage.records import Found
    from datakeep.repository.keep_tree import KeepTree
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
        records: Of the models that read it themselves.
        broken: Records that cannot be read, and might have told more.
        through: Models that it reached through base models or derived datasets, and how.
        derived: Datasets that were made of it, and how.
        open: Where the way ends at a record that is missing or broken, one line each.
        unread: Those of ``records`` (``churn@v7``) that were given it, and are known to have read nothing of it.
        undeclared: What was read of it without being declared, recognised by its bytes.
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


@dataclass(frozen=True, slots=True)
class FileUsedBy:
    """The answer about one file of a dataset.

    Attributes:
        dataset: Its name.
        path: Below ``data/``.
        versions: Those asked about that have the file, oldest first.
        models: What each model that used one of these versions read.
        through: Models that those versions reached through others; whether the file is in them is not known.
        open: Where a way ends at a record that is missing or broken, one line each.
        not_searched: Versions whose file lists are not here; None if all are.
        broken: Records that cannot be read, and might have told more.
        unlisted: Models that read more undeclared files than their records list.
        asked: The version that was asked about; None for all.
        unread: Register entries of versions asked about that cannot be read, and so may have the file.
    """

    dataset: str
    path: str
    versions: tuple[str, ...]
    models: tuple[FileRead, ...]
    through: tuple[Way, ...]
    open: tuple[str, ...]
    not_searched: NotSearched | None
    broken: tuple[Broken, ...]
    unlisted: tuple[str, ...] = ()
    asked: str | None = None
    unread: tuple[Broken, ...] = ()


class SomeFiles:
    """A few of the keep's files, read at its head."""

    def __init__(self, tree: KeepTree, paths: Iterable[str]) -> None:
        self._tree, self._paths = tree, sorted(set(paths))

    def list(self, prefix: str = "", /) -> list[str]:
        """Those below ``prefix``."""
        return [path for path in self._paths if path.startswith(prefix)]

    def read_many(self, paths: Iterable[str], /) -> dict[str, bytes]:
        """Their bytes."""
        return self._tree.read_many(paths)


def find_by_digest(keep: Keep, sha256: str) -> Found:
    """As :func:`datakeep.lineage.records.find_by_digest`, without looking at every record."""

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
    """Of several records of one file, the one that was made last; a failed training only if there is no other."""
    return max(
        found.records,
        key=lambda one: (
            one.status != "failed",
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
    paths, reached, same, entries = _candidates_and_same(keep, found.name, number, fetch=fetch)
    used = records.find_by_dataset(SomeFiles(keep.tree, paths), found.name, same.models, chosen=True)
    matching = tuple(
        record
        for record in used.records
        if record.label in same.models
        or any(one.dataset == found.name and version in (None, one.version) for one in record.inputs)
        or any(version in (None, one) for one in undeclared_of(record, found.name))
    )
    return UsedBy(
        found.name,
        version,
        matching,
        (*used.broken, *entries),
        models_through(reached, matching),
        tuple(way for way in reached.ways if way.end.kind == "dataset"),
        reached.open,
        unread=tuple(
            one.label
            for one in matching
            if one.label not in same.models and _is_unread(one, found.name, version)
        ),
        undeclared=same,
    )


def _is_unread(record: ModelRecord, dataset: str, version: str | None) -> bool:
    """Whether all that the record says of the dataset is that it was given, and that nothing of it was read."""
    given = [one for one in record.inputs if one.dataset == dataset and version in (None, one.version)]
    read = any(version in (None, one) for one in undeclared_of(record, dataset))
    return not read and bool(given) and all(map(record.read_nothing_of, given))


def _candidates_and_same(
    keep: Keep, dataset: str, number: int | None, *, fetch: bool
) -> tuple[list[str], Reached, Recognised, tuple[Broken, ...]]:
    """As :func:`candidates`, with what was recognised, and the register entries that cannot be read.

    The lists of files are looked at only where a model read undeclared files: most keeps need none for this.
    """

    def question(index: Index) -> tuple[list[str], Reached, Recognised, tuple[Broken, ...]]:
        same = recognise(index, dataset, number)
        broken = tuple(Broken(*one) for one in index.broken("dataset"))
        return *candidates(index, dataset, number), same, broken

    def cheap(index: Index) -> tuple[list[str], Reached, Recognised, tuple[Broken, ...]] | None:
        return None if matters(index) else question(index)

    return ask(keep, cheap, files=False) or ask(keep, question, fetch=fetch)


def models_through(reached: Reached, direct: Iterable[ModelRecord]) -> tuple[Way, ...]:
    """The ways to models but those whose records name the dataset by its present name."""
    labels = {record.label for record in direct}
    return tuple(way for way in reached.ways if way.end.kind == "model" and str(way.end) not in labels)


def candidates(index: Index, dataset: str, number: int | None) -> tuple[list[str], Reached]:
    """The records that name a dataset, those that cannot be read, and all that it leads to."""
    query = "SELECT DISTINCT path FROM leads WHERE how IN ('input', 'given', 'undeclared') AND name = ?"
    paths = [row[0] for row in index.database.execute(query, (dataset,))]
    same = same_bytes.of_dataset(index.database, dataset, number)
    paths += [records.record_path(*one.model.split("@")) for one in same]
    return paths + _broken_paths(index), backwards.reached(index.database, dataset, number)


def file_of(keep: Keep, subject: str) -> tuple[str, str] | None:
    """Dataset and path of ``orders@v3:train/a.csv``; None if ``subject`` is not of this form."""
    reference, colon, path = subject.partition(":")
    name, at, version = reference.partition("@")
    if not colon or not path or not NAME.fullmatch(name) or (at and not VERSION.fullmatch(version)):
        return None
    if not keep.versions(name) and not (at or keep.dataset_once_called(name)):
        return None
    return reference, path.removeprefix("data/") if path.startswith("data/") else path


def file_used_by(keep: Keep, reference: str, path: str, *, fetch: bool = False) -> FileUsedBy:
    """Which models read the file ``path`` of a version, or of every version that has it.

    Args:
        keep: The keep.
        reference: ``orders@v3``, or ``orders``.
        path: Below ``data/``.
        fetch: Get the file lists that are not here first.

    Raises:
        UnknownName: There is no such dataset or version, or no version that was searched has such a file.
    """
    found = keep.resolve(reference)
    version = found.version if "@" in reference else None
    number = version_number(version) if version else None

    def question(index: Index) -> tuple[KnownFile, list[str], Reached, Recognised]:
        same = recognise(index, found.name, number, path)
        return known_file(index, found.name, number, path), *candidates(index, found.name, number), same

    known, paths, reached, same = ask(keep, question, fetch=fetch)
    if not known.having and not known.lacking and not known.unread:
        raise no_such_file(reference, path, known)
    versions = tuple(f"v{one}" for one in known.having)
    used = records.find_by_dataset(SomeFiles(keep.tree, paths), found.name, same.models, chosen=True)
    perhaps = {f"v{one}" for one in (*known.unlisted, *known.unread)}
    sizes = SizesHere(keep)
    models = tuple(
        one
        for record in used.records
        for one in readers(
            keep, record, found.name, path, known={*versions}, perhaps=perhaps, sizes=sizes, same=same.found
        )
    )
    models = with_what_was_read(models, same.found)
    through = tuple(
        way
        for way in models_through(reached, used.records)
        if version or _begins_in(way, [*known.having, *known.unlisted, *known.unread])
    )
    return FileUsedBy(
        found.name, path, versions, models, through, reached.open, known.lacking, used.broken,
        same.unlisted, version, tuple(known.unread.values()),
    )  # fmt: skip


def _begins_in(way: Way, numbers: list[int]) -> bool:
    """Whether the way may begin in one of these versions; of one that was asked about as a whole it may."""
    return way.nodes[0].number in (0, *numbers)
