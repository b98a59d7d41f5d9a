"""A file of this machine whose bytes are a registered dataset's own: of which versions, where, and who read it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from datakeep.lineage import hashes
from datakeep.lineage.committed import seconds
from datakeep.workflows.index import NotSearched, ask, not_searched
from datakeep.workflows.left_by import registered_s
from datakeep.workflows.used_by import file_used_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.formats.model import ModelRecord
    from datakeep.lineage.index import Index
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.used_by import FileUsedBy

#: A keep may have an empty file in every version.
_MAX_ROWS, _MAX_FILES = 2000, 20


def registered_file(
    keep: Keep, sha256: str, *, fetch: bool = False
) -> tuple[tuple[FileUsedBy, ...], NotSearched | None]:
    """Each path of a dataset under which versions have these bytes, with their models; and what was not searched."""

    def question(index: Index) -> tuple[dict[tuple[str, str], set[str]], NotSearched | None]:
        return _versions_with(index, sha256), not_searched(index)

    found, lacking = ask(keep, question, fetch=fetch)
    files = []
    for (dataset, path), some in sorted(found.items())[:_MAX_FILES]:
        files.append(replace(file_used_by(keep, dataset, path, only=some), not_searched=None))
    return tuple(files), lacking


def registered_first(keep: Keep, sha256: str, found: Sequence[ModelRecord]) -> bool | None:
    """Whether a dataset had the file before the first of these records; None where a time is not known."""
    known_s = ask(keep, lambda index: registered_s(index, [sha256])).get(sha256)
    times = [seconds(one.recorded_at) for one in found]
    recorded_s = [one for one in times if one is not None]
    return known_s < min(recorded_s) if known_s and len(recorded_s) == len(times) else None


def _versions_with(index: Index, sha256: str) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for count, (inventory, row) in enumerate(hashes.find(index.database, "sha256", sha256)):
        if count >= _MAX_ROWS:
            break
        path = ""
        for dataset, number in hashes.versions_of(index.database, inventory):
            path = path or hashes.path_of(index.database, inventory, row)
            found[dataset, path].add(f"v{number}")
    return found
