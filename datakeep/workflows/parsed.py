"""Register entries by the thousand: from the index, which has them as data, instead of parsing YAML again.

The answers are the same: the index holds what was read of the very same committed bytes. What it holds as broken is
read from its file again, so that the error is the same too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import DamagedBytes, InvalidFile
from datakeep.formats.version import VersionEntry
from datakeep.lineage import records
from datakeep.workflows.index import ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.core.errors import DatakeepError
    from datakeep.lineage.index import Index
    from datakeep.lineage.records import Broken
    from datakeep.workflows.keep import Keep

#: Fewer are read from their files faster than an index is made; a small keep needs none for these questions.
MANY = 200


def entries_at(keep: Keep, paths: Sequence[str]) -> dict[str, VersionEntry | DatakeepError]:
    """Each of ``paths`` of the register to its entry, or to why that cannot be read."""
    found: dict[str, VersionEntry | DatakeepError] = _indexed(keep, paths) if len(paths) >= MANY else {}
    rest = [path for path in paths if path not in found]
    found |= keep.read_entries(rest)
    return {path: found[path] for path in paths if path in found}


@dataclass(frozen=True, slots=True)
class Brief:
    """What the register says of a version, in short.

    Attributes:
        path: Of its entry.
        dataset: Its name.
        version: As ``v3``.
        stores: Those that its entry names.
        backend: How its bytes are versioned.
        fault: Why its entry, or the manifest in it, cannot be read; None if both can.
    """

    path: str
    dataset: str
    version: str
    stores: tuple[str, ...] = ()
    backend: str | None = None
    fault: str | None = None


def briefs_at(keep: Keep, paths: Sequence[str]) -> list[Brief]:
    """Each of ``paths`` of the register in short, whether it can be read or not."""
    known = _known_briefs(keep) if len(paths) >= MANY else {}
    rest = entries_at(keep, [path for path in paths if path not in known])
    known |= {path: _brief(path, one) for path, one in rest.items()}
    return [known[path] for path in paths if path in known]


def _known_briefs(keep: Keep) -> dict[str, Brief]:
    def question(index: Index) -> dict[str, Brief]:
        query = "SELECT path, dataset, number, stores, backend, unfit FROM version"
        return {
            path: Brief(path, dataset, f"v{number}", tuple(json.loads(stores)), backend, unfit)
            for path, dataset, number, stores, backend, unfit in index.database.execute(query)
        }

    return ask(keep, question, files=False)


def _brief(path: str, one: VersionEntry | DatakeepError) -> Brief:
    _, dataset, name = path.split("/")
    version = name.removesuffix(".yaml")
    if isinstance(one, DamagedBytes):
        return Brief(path, dataset, version, fault=f"{path} names another version")
    if not isinstance(one, VersionEntry):
        return Brief(path, dataset, version, fault=one.what)
    try:
        one.manifest_model()
    except InvalidFile as error:
        return Brief(path, dataset, version, fault=error.what)
    return Brief(path, dataset, version, tuple(one.stores), one.manifest.get("backend"))


def _indexed(keep: Keep, paths: Sequence[str]) -> dict[str, VersionEntry | DatakeepError]:
    def question(index: Index) -> dict[str, VersionEntry | DatakeepError]:
        return {
            entry.path: VersionEntry.of_plain(entry.data, what=entry.path)
            for entry in index.entries(paths)
            if entry.data is not None
        }

    return ask(keep, question, files=False)


def unreadable_records(keep: Keep) -> tuple[Broken, ...]:
    """The model records that cannot be read."""
    if len(keep.tree.list(records.FOLDER)) < MANY:
        return records.all_records(keep.tree).broken
    from datakeep.workflows.used_by import broken_records  # late: all of the audit comes with it

    return broken_records(keep)
