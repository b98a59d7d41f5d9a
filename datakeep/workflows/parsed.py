"""Register entries by the thousand: from the index, which has them as data, instead of parsing YAML again.

The answers are the same: the index holds what was read of the very same committed bytes. What it holds as broken is
read from its file again, so that the error is the same too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.core.errors import DamagedBytes, InvalidFile
from datakeep.formats.version import VersionEntry
from datakeep.lineage import records
from datakeep.workflows.index import ask
from datakeep.workflows.used_by import broken_records

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
    for path, text in keep.tree.read_many(rest).items():
        try:
            found[path] = keep.parse_entry(text, path)
        except (InvalidFile, DamagedBytes) as error:
            found[path] = error
    return {path: found[path] for path in paths if path in found}


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
    many = len(keep.tree.list(records.FOLDER)) >= MANY
    return broken_records(keep) if many else records.all_records(keep.tree).broken
