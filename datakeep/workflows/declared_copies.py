"""Who read, as declared, files of a dataset's bytes that another name or version has too.

By its digests a dataset's file is known in every list that is here. Looking for very many of them takes longer than a
question may: then nobody looked, and that is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datakeep.core.names import version_number
from datakeep.lineage import hashes, records, same_bytes
from datakeep.lineage.backwards import Way, further
from datakeep.lineage.evidence import FEW_BYTES
from datakeep.lineage.steps import Node, equals, onward
from datakeep.workflows.every_way import alike
from datakeep.workflows.file_verdicts import Wanted, readers
from datakeep.workflows.index import ask, not_searched
from datakeep.workflows.sizes_here import SizesHere
from datakeep.workflows.some_files import SomeFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.formats.model import ModelRecord
    from datakeep.lineage.index import Index
    from datakeep.workflows.keep import Keep

#: More files of the dataset, or of the whole register, are not looked for in one question.
_MAX_FILES, _MAX_REGISTERED = 5_000, 500_000
_MAX_VERSIONS = 20_000


@dataclass(frozen=True, slots=True)
class DeclaredCopies:
    """Ways to models through versions that have files of the same bytes, and why not all was looked at."""

    ways: tuple[Way, ...] = ()
    not_looked_at: tuple[str, ...] = ()


def declared_copies(keep: Keep, dataset: str, number: int | None, *, fetch: bool = False) -> DeclaredCopies:
    """Ways from a dataset, or a version, to models that read a file of its bytes under another name or version.

    Args:
        keep: The keep.
        dataset: Its name.
        number: Of the version; None for all.
        fetch: Get the file lists that are not here.
    """
    versions, count, total = ask(keep, lambda index: _bounds(index, dataset, number), files=False)
    what = (
        f"whether files of {dataset}{f'@v{number}' if number else ''} were read under other names or versions"
    )
    if not versions:
        return DeclaredCopies()
    if count > _MAX_FILES or total > _MAX_REGISTERED:
        return DeclaredCopies(
            (), (f"{what}: there are too many files to look for each; ask of one: DATASET:FILE",)
        )
    sizes = SizesHere(keep)
    digests, unread = _digests(keep, dataset, number, versions, sizes, fetch=fetch)
    start = Node("dataset", dataset, number or 0)
    cut: dict[str, None] = {}
    shared, lacking = ask(keep, lambda index: _shared(index, start, digests, cut), files=False)
    begun = list(_begun(keep, shared, sizes))
    found = {way.end: way for way in reversed(begun)}
    longer = ask(keep, lambda index: _further(index, begun), files=False)
    said = [f"{what}: the list of files of {dataset}@v{one} is not here" for one in unread[:1]]
    said += [f"{what}: not searched: {lacking}"] if lacking else []
    said += [f"{what}: {one}" for one in cut]
    return DeclaredCopies(tuple({**longer, **found}.values()), tuple(said))


def _digests(
    keep: Keep, dataset: str, number: int | None, versions: list[int], sizes: SizesHere, *, fetch: bool
) -> tuple[dict[str, int], list[int]]:
    """The files that other versions have too, each with a version of the dataset; and the versions without a list.

    The lists themselves are only read where there are such files: that takes longer than all the rest.
    """
    inventories, shared = ask(keep, lambda index: _with_others(index, dataset, number, versions), fetch=fetch)
    digests: dict[str, int] = {}
    unread = []
    for one in versions:
        candidates = shared.get(inventories.get(one, 0), set())
        listed = sizes.digests(f"{dataset}@v{one}", FEW_BYTES) if candidates else set()
        if listed is None or one not in inventories:
            unread.append(one)
        digests |= {digest: one for digest in listed or () if digest[: 2 * hashes.KEY_BYTES] in candidates}
    return digests, unread


def _with_others(
    index: Index, dataset: str, number: int | None, versions: list[int]
) -> tuple[dict[int, int], dict[int, set[str]]]:
    """The inventories of the versions, and of each the digests that versions have which are not asked about."""
    database = index.database
    inventories = {
        one: inventory
        for one, inventory in hashes.inventories_of(database, dataset, number)
        if one in versions
    }

    def is_other(inventory: int) -> bool:
        return any(
            name != dataset or (number and one != number)
            for name, one in hashes.versions_of(database, inventory)
        )

    return inventories, hashes.with_others(database, [*inventories.values()], is_other)


def _bounds(index: Index, dataset: str, number: int | None) -> tuple[list[int], int, int]:
    """The versions that are asked about, their files, and all that are registered; none if nothing else was read."""
    database = index.database
    other = "SELECT 1 FROM leads WHERE how IN ('input', 'parent') AND "
    other += f"{'(name != ? OR number NOT IN (?, 0))' if number else 'name != ?'} LIMIT 1"
    if not database.execute(other, (dataset, number) if number else (dataset,)).fetchone():
        return [], 0, 0
    query = (
        "SELECT max(number), max(files) FROM version "
        "WHERE dataset = ? AND (? IS NULL OR number = ?) GROUP BY inventory"
    )
    rows = database.execute(query, (dataset, number, number)).fetchall()
    count = database.execute("SELECT count(*) FROM version").fetchone()[0]
    if count > _MAX_VERSIONS:
        return [row[0] for row in rows], 0, _MAX_REGISTERED + 1
    total = database.execute("SELECT coalesce(sum(files), 0) FROM version").fetchone()[0]
    return sorted(row[0] for row in rows), sum(row[1] or 0 for row in rows), total


@dataclass(frozen=True, slots=True)
class _Shared:
    """Files of a version with the bytes of one that was asked about, the models that were given it, and its children.

    Whether a dataset that was derived from it has these files in it is not known, which no way tells of.
    """

    asked: Node
    other: Node
    paths: tuple[str, ...]
    models: tuple[str, ...]
    derived: tuple[Node, ...]


def _shared(
    index: Index, start: Node, digests: Mapping[str, int], cut: dict[str, None]
) -> tuple[list[_Shared], object]:
    same = {start, *equals(index.database, start)}
    found: dict[tuple[str, str], _Shared] = {}
    by_version: dict[int, list[str]] = {}
    for digest, number in digests.items():
        by_version.setdefault(number, []).append(digest)
    for number, some in by_version.items():
        for (name, version), paths in alike(index, some, cut).items():
            other = Node("dataset", name, version_number(version))
            if other in same or (name == start.name and not start.number):
                continue
            known = found.get((name, version))
            if known is None:
                asked = Node("dataset", start.name, number)
                derived = tuple(
                    node
                    for node, how in onward(index.database, other)
                    if how == "derived" and node not in same and (start.number or node.name != start.name)
                )
                found[name, version] = _Shared(asked, other, tuple(paths), _given(index, other), derived)
            else:
                found[name, version] = replace(known, paths=tuple(dict.fromkeys((*known.paths, *paths))))
    return [one for one in found.values() if one.models or one.derived], not_searched(index, "files")


def _given(index: Index, node: Node) -> tuple[str, ...]:
    query = "SELECT DISTINCT path FROM leads WHERE how = 'input' AND name = ? AND number IN (?, 0)"
    return tuple(row[0] for row in index.database.execute(query, (node.name, node.number)))


def _begun(keep: Keep, shared: list[_Shared], sizes: SizesHere) -> Iterator[Way]:
    """To each model that read the files, or of which that is not known, and to each dataset derived from them."""
    paths = {path for one in shared for path in one.models}
    known = {
        records.record_path(one.model, one.version): one
        for one in records.all_records(SomeFiles(keep.tree, paths)).records
    }
    for one in shared:
        shares = Way((one.asked,)).then(one.other, "shares")
        yield from (shares.then(node, "derived") for node in one.derived)
        wanted = Wanted(one.other.name, f"v{one.other.number}", one.paths, one.asked)
        for path in one.models:
            record = known.get(path)
            verdict = _verdict(keep, record, wanted, sizes) if record else "not read"
            if record and verdict != "not read":
                end = Node("model", record.model, version_number(record.version))
                yield shares.then(end, "read" if verdict == "read" else "unsure")


def _verdict(keep: Keep, record: ModelRecord, wanted: Wanted, sizes: SizesHere) -> str:
    verdicts = {row.verdict for row in readers(keep, record, wanted, sizes=sizes)}
    return "read" if "read" in verdicts else "not read" if verdicts <= {"not read"} else "not known"


def _further(index: Index, begun: list[Way]) -> dict[Node, Way]:
    same_bytes.refresh(index.database)
    return further(index.database, begun)
