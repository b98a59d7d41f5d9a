"""Which recorded trainings left files that are registered as data: known by their bytes when they are registered.

It is written down in the register entry, since later nobody could look for every file of every version.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import DatakeepError
from datakeep.formats.version import LeftBy
from datakeep.lineage import records
from datakeep.workflows.index import ask
from datakeep.workflows.parents import stated_parents

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from datakeep.formats.inventory import Inventory
    from datakeep.formats.model import ModelRecord
    from datakeep.formats.version import VersionEntry
    from datakeep.lineage.index import Index
    from datakeep.workflows.keep import Keep

#: Trainings that are written down, those that left the most files first: a nightly one may leave the same again.
_MAX_MAKERS = 100
_DIGITS = 64
#: A longer command is not repeated in a hint.
_LONGEST = 200


def left_by(keep: Keep, inventory: Inventory) -> list[LeftBy]:
    """The trainings that left files of a version which is about to be registered; those of most files first.

    What a dataset had before a training left it is no file of the training's, but a copy.
    """
    if not keep.tree.list("models/"):
        return []
    try:
        counts = ask(keep, lambda index: _left(index, inventory), files=False)
        if not counts:
            return []
        found = ask(keep, lambda index: _makers(index, counts))
    except (DatakeepError, sqlite3.Error) as error:  # the data is worth more
        keep.progress.warn(f"whether a recorded training left these files is not known: {error}")
        return []
    if len(found) > _MAX_MAKERS:
        more = counted(len(found) - _MAX_MAKERS, "more recorded training")
        keep.progress.warn(f"{more} left files of it, and are not written down")
    return found[:_MAX_MAKERS]


def _left(index: Index, inventory: Inventory) -> Counter[str]:
    """The digests of those files that a training left, and how many files have each."""
    import pyarrow as pa  # late: a run that read nothing undeclared needs none of it
    import pyarrow.compute as pc

    rows = index.database.execute("SELECT DISTINCT sha256 FROM artifact WHERE means > 0")
    left = pa.array([bytes.fromhex(row[0]) for row in rows if len(row[0]) == _DIGITS], pa.binary(32))
    column = inventory.table.column("sha256")
    return Counter(one.hex() for one in column.filter(pc.is_in(column, value_set=left)).to_pylist())


def _makers(index: Index, counts: Counter[str]) -> list[LeftBy]:
    since_s = registered_s(index, counts)
    query = (
        "SELECT DISTINCT e.name, e.number, a.path, a.recorded_s FROM artifact a JOIN entry e ON e.path = a.path "
        "WHERE a.sha256 = ? AND a.means > 0 AND coalesce(a.recorded_s <= ?, ?)"
    )
    found: Counter[tuple[str, int]] = Counter()
    for sha256, files in counts.items():
        known_s = since_s.get(sha256)
        for name, number, path, recorded_s in index.database.execute(
            query, (sha256, known_s, known_s is None)
        ):
            # Times are whole seconds.
            if recorded_s is None or recorded_s != known_s or not _was_given(index, path, sha256):
                found[name, number] += files
    ordered = sorted(found.items(), key=lambda one: (-one[1], one[0][0], -one[0][1]))
    return [LeftBy(model=f"{name}@v{number}", files=files) for (name, number), files in ordered]


def _was_given(index: Index, path: str, sha256: str) -> bool:
    """Whether the training of the record at ``path`` was given a version that has such a file."""
    from datakeep.lineage import hashes

    having = {place[0] for place in hashes.find(index.database, "sha256", sha256)}
    query = (
        "SELECT i.number FROM leads l JOIN version v ON v.dataset = l.name AND v.number = l.number "
        "JOIN inventory i ON i.digest = v.inventory WHERE l.path = ? AND l.how = 'input'"
    )
    return any(number in having for (number,) in index.database.execute(query, (path,)))


def registered_s(index: Index, digests: Collection[str]) -> dict[str, float]:
    """Since when datasets have files with these digests, in seconds since 1970; nothing of those that none has."""
    query = (
        "SELECT min(coalesce(v.registered_s, 0)) FROM inventory i JOIN version v ON v.inventory = i.digest "
        "WHERE i.number = ?"
    )
    from datakeep.lineage import hashes  # late: registering loads this module, and may ask nothing

    known: dict[int, float | None] = {}
    found: dict[str, float] = {}
    for sha256, (inventory, _) in hashes.find_many(index.database, "sha256", digests):
        if inventory not in known:
            known[inventory] = index.database.execute(query, (inventory,)).fetchone()[0]
        if (at_s := known[inventory]) is not None:
            found[sha256] = min(at_s, found.get(sha256, at_s))
    return found


def left_notes(keep: Keep, entry: VersionEntry, before: VersionEntry | None = None) -> tuple[str, ...]:
    """One line of who left files of a version, and how to state what it was made of; none where nobody did.

    Args:
        keep: The keep.
        entry: Of the version.
        before: The version from which its parents were taken over with nobody stating them anew.
    """
    if not entry.left_by:
        return ()
    first, *others = entry.left_by
    more = f", and by {counted(len(others), 'other model')}" if others else ""
    files = "1 of its files was" if first.files == 1 else f"{first.files:,} of its files were"
    said = f"{files} left by model {first.model}{more}, which is written down"
    record = record_of(keep, first.model)
    parents = read_by(record) if record else []
    stated = stated_parents(entry.manifest)
    is_stale = before is not None and not others and set(stated) > set(parents)
    if record is None or not parents or (set(parents) <= set(stated) and not is_stale):
        return (f"{said}: datakeep audit model:{first.model}",)
    if stated:
        whence = f", taken over from {before.version}" if before else ""
        said += f"; it states the parents {', '.join(stated)}{whence}, but {first.model} read {', '.join(parents)}"
    return (f"{said}; if all of it was made so, state that: {stating(entry.dataset, record, parents)}",)


def stating(dataset: str, record: ModelRecord, parents: Sequence[str]) -> str:
    """What to type so that a dataset says that it was made of ``parents`` by the run of ``record``."""
    options = " ".join(f"--parent {one}" for one in parents)
    command = shlex.quote(shlex.join(record.command))
    is_known = bool(record.command) and len(command) <= _LONGEST
    step = f"datakeep update {dataset} --source-kind derived {options}"
    step += f" --source-command {command if is_known else 'TEXT'} -m 'made by {record.label}'"
    return step + ("" if is_known else ", where TEXT is the command that made it")


def record_of(keep: Keep, label: str) -> ModelRecord | None:
    """The record of ``prep@v1``, where there is one that can be read."""
    model, _, version = label.partition("@")
    return next(iter(records.find_by_model(keep.tree, model, version).records), None)


def read_by(record: ModelRecord) -> list[str]:
    """The versions that a training read, or was given where nobody saw what it read; undeclared ones as well."""
    given = [f"{one.dataset}@{one.version}" for one in record.inputs if not record.read_nothing_of(one)]
    besides = [str(one["of"]) for one in record.undeclared if one.get("of") and "differs" not in one]
    return list(dict.fromkeys([*given, *besides]))
