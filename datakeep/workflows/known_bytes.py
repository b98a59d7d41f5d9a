"""What is registered may be a copy of registered data, or a query's answer over it: told by the bytes, in a line.

A line is a help and no promise: nothing is written down, and what is not on this machine is not looked at.
"""

from __future__ import annotations

import sqlite3
from itertools import islice
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.core.personal import PERSONAL
from datakeep.formats.version import VersionEntry
from datakeep.lineage.evidence import FEW_BYTES, Means, means
from datakeep.workflows.extraction_record import files_read
from datakeep.workflows.facts import get
from datakeep.workflows.index import ask
from datakeep.workflows.left_by import read_by, record_of, stating
from datakeep.workflows.parents import stated_parents
from datakeep.workflows.parsed import entries_at
from datakeep.workflows.register_entries import entry_path
from datakeep.workflows.retention import kept_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from datakeep.formats.inventory import Inventory
    from datakeep.formats.model import ModelRecord
    from datakeep.lineage.index import Index
    from datakeep.workflows.keep import Keep

#: A copy of data is seen by any file of it.
_MAX_FILES = 2000
#: Datasets with the same bytes, and files of a query, that are told.
_MAX_TOLD = 5


def copy_notes(keep: Keep, entry: VersionEntry, inventory: Inventory) -> tuple[str, ...]:
    """A line for each dataset that has files of a new one and states more of their privacy."""
    try:
        heeded = _heeded(keep, entry.dataset)
        if not heeded:
            return ()
        digests = _digests(inventory)
        found = ask(keep, lambda index: _versions_with(index, digests))
        newest = dict(sorted(found))  # what a later version of the same bytes states counts
        told = {name: number for name, number in newest.items() if name in heeded}
        return tuple(islice(_privacy_lines(keep, entry, told), _MAX_TOLD))
    except (DatakeepError, sqlite3.Error) as error:  # the data is registered
        keep.progress.warn(f"whether it has files of personal data is not known: {error}")
        return ()


def _heeded(keep: Keep, dataset: str) -> set[str]:
    """The other datasets whose newest version is personal data, or may be kept until a day only."""
    others = [name for name in keep.datasets if name != dataset]
    found = entries_at(keep, [entry_path(name, keep.versions(name)[-1]) for name in others])
    return {
        one.dataset
        for one in found.values()
        if isinstance(one, VersionEntry)
        and (get(one.manifest, "privacy.personal") in PERSONAL or kept_until(one))
    }


def _digests(inventory: Inventory) -> set[str]:
    """Of the first files, those that are no chance likeness."""
    first = inventory.table.select(["sha256", "size_bytes"]).slice(0, _MAX_FILES).to_pylist()
    return {one["sha256"].hex() for one in first if one["size_bytes"] >= FEW_BYTES}


def _versions_with(index: Index, digests: Iterable[str]) -> set[tuple[str, int]]:
    """Every version with a file of one of these digests."""
    from datakeep.lineage import hashes  # late: registering loads this module, and may ask nothing

    inventories = {place[0] for _, place in hashes.find_many(index.database, "sha256", digests)}
    return {one for number in inventories for one in hashes.versions_of(index.database, number)}


def _privacy_lines(keep: Keep, entry: VersionEntry, found: dict[str, int]) -> Iterator[str]:
    personal, until = get(entry.manifest, "privacy.personal"), kept_until(entry)
    for name, number in found.items():
        label = f"{name}@v{number}"
        other = keep.entry(label, asking=False)
        theirs, day = get(other.manifest, "privacy.personal"), kept_until(other)
        said: dict[str, tuple[str, str]] = {}
        if theirs in PERSONAL and personal == "no":
            said["--privacy"] = (str(theirs), "no")
        if day and (until is None or until > day):
            said["--retention-until"] = (str(day), str(until or "not stated"))
        if said:
            differs = ", ".join(f"{option} {there} (here {here})" for option, (there, here) in said.items())
            options = " ".join(f"{option} {there}" for option, (there, _) in said.items())
            step = f"datakeep update {entry.dataset} {options} -m 'as {label}'"
            yield f"it has files of {label}, which states {differs}; if it is the same data: {step}"


def query_notes(keep: Keep, entry: VersionEntry) -> tuple[str, ...]:
    """A line for each file that a query read and that is registered data, or that a recorded training left."""
    read = files_read(entry.manifest_model().source)
    if not read:
        return ()
    known = set(stated_parents(entry.manifest))
    try:
        found = ask(keep, lambda index: [(path, *_whose(index, one)) for path, one in read.items()])
        return tuple(islice(_query_lines(keep, entry.dataset, found, known), _MAX_TOLD))
    except (DatakeepError, sqlite3.Error) as error:
        keep.progress.warn(f"whether the files that it read are registered is not known: {error}")
        return ()


def _whose(index: Index, sha256: str) -> tuple[list[tuple[str, int]], str | None]:
    """The versions that have a file, in the order of their registration, and the newest training that left it."""
    first = "SELECT registered_s FROM version WHERE dataset = ? AND number = ?"
    found = _versions_with(index, [sha256])
    versions = sorted(found, key=lambda one: (index.database.execute(first, one).fetchone()[0] or 0, one))
    query = (
        "SELECT e.name, e.number FROM artifact a JOIN entry e ON e.path = a.path "
        "WHERE a.sha256 = ? AND a.means > 0 ORDER BY a.recorded_s DESC LIMIT 1"
    )
    row = index.database.execute(query, (sha256,)).fetchone()
    return versions, f"{row[0]}@v{row[1]}" if row else None


def _query_lines(
    keep: Keep, dataset: str, found: Iterable[tuple[str, list[tuple[str, int]], str | None]], known: set[str]
) -> Iterator[str]:
    """What is stated already is not told again."""
    for path, versions, maker in found:
        newest = [f"{name}@v{number}" for name, number in dict(versions).items() if name != dataset]
        if newest and known.isdisjoint(f"{name}@v{number}" for name, number in versions):
            step = f"datakeep update {dataset} --parent {newest[0]} -m 'made of it'"
            yield f"the query read {path}, which is a file of {', '.join(newest[:3])}; state that: {step}"
        elif maker and not newest:
            record = record_of(keep, maker)
            parents = read_by(record) if record else []
            step = f"datakeep audit model:{maker}"
            if parents:
                options = " ".join(f"--parent {one}" for one in parents)
                step = f"datakeep update {dataset} {options} -m 'made of what {maker} left'"
            if not parents or not known.issuperset(parents):
                yield f"the query read {path}, which model {maker} left; state what that was made of: {step}"


def registered_notes(keep: Keep, record: ModelRecord) -> tuple[str, ...]:
    """A line for each dataset that had files of a new record before, and that does not say what they were made of."""
    listed = [one.to_dict() for one in record.artifacts[:_MAX_FILES]]
    weighed = means(listed, record.undeclared, record.origin)
    left = {one["sha256"]: str(one["path"]) for one, meaning in weighed if meaning > Means.NOTHING}
    if not left or not keep.datasets:
        return ()
    try:
        found = ask(keep, lambda index: [(path, _whose(index, one)[0]) for one, path in left.items()])
        return tuple(islice(_registered_lines(keep, record, found), _MAX_TOLD))
    except (DatakeepError, sqlite3.Error) as error:  # the record is there
        keep.progress.warn(f"whether files of it are registered is not known: {error}")
        return ()


def _registered_lines(
    keep: Keep, record: ModelRecord, found: Iterable[tuple[str, list[tuple[str, int]]]]
) -> Iterator[str]:
    """What the run had itself, and left a copy of, is not told; nor is a dataset twice."""
    parents = read_by(record)
    given, told = {one.partition("@")[0] for one in parents}, set[str]()
    for path, versions in found:
        newest = dict(versions)
        name = next(iter(newest), None)  # whose it was first
        if name is None or name in told or not given.isdisjoint(newest):
            continue
        told.add(name)
        entry = keep.entry(f"{name}@v{newest[name]}", asking=False)
        if parents and not _leading_to(keep, entry).issuperset(parents):
            yield (
                f"{path} is a file of {name}@v{newest[name]}, which is registered already: no way leads there from "
                f"{', '.join(parents)}; if this run made it, state that: {stating(name, record, parents)}"
            )


def _leading_to(keep: Keep, entry: VersionEntry) -> set[str]:
    """The stated parents of a version, and what was read by runs that left its files."""
    found = set(stated_parents(entry.manifest))
    for left in (entry.left_by or ())[:_MAX_TOLD]:
        maker = record_of(keep, left.model)
        found.update(read_by(maker) if maker else ())
    return found
