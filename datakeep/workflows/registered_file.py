"""A file of this machine whose bytes are a registered dataset's own: of which versions, where, and who read it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
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


@dataclass(frozen=True, slots=True)
class RegisteredFile:
    """What registered datasets have of some bytes.

    Attributes:
        files: Each path of a dataset under which versions have them, with their models.
        not_searched: Whose lists of files are not here.
        not_looked_at: Of the very many that have them, those of whose models nobody asked, one line each.
    """

    files: tuple[FileUsedBy, ...]
    not_searched: NotSearched | None
    not_looked_at: tuple[str, ...]


def registered_file(keep: Keep, sha256: str, *, fetch: bool = False) -> RegisteredFile:
    """What the datasets of the keep have of the bytes with this digest."""
    found, further, lacking = ask(
        keep, lambda index: (*_versions_with(index, sha256), not_searched(index)), fetch=fetch
    )
    named = sorted(found.items())
    files = [
        replace(file_used_by(keep, dataset, path, only=some), not_searched=None)
        for (dataset, path), some in named[:_MAX_FILES]
    ]
    cut = [f"the same bytes as {dataset}:{path}" for (dataset, path), _ in named[_MAX_FILES:]]
    cut += [f"{counted(further, 'more registered file')} of the same bytes"] if further else []
    return RegisteredFile(tuple(files), lacking, tuple(cut))


def registered_first(keep: Keep, sha256: str, found: Sequence[ModelRecord]) -> bool | None:
    """Whether a dataset had the file before the first of these records; None where a time is not known."""
    known_s = ask(keep, lambda index: registered_s(index, [sha256])).get(sha256)
    times = [seconds(one.recorded_at) for one in found]
    recorded_s = [one for one in times if one is not None]
    return known_s < min(recorded_s) if known_s and len(recorded_s) == len(times) else None


def _versions_with(index: Index, sha256: str) -> tuple[dict[tuple[str, str], set[str]], int]:
    """The versions by dataset and path; and how many more files have these bytes, which were not looked at."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    places = list(hashes.find(index.database, "sha256", sha256))
    for inventory, row in places[:_MAX_ROWS]:
        path = ""
        for dataset, number in hashes.versions_of(index.database, inventory):
            path = path or hashes.path_of(index.database, inventory, row)
            found[dataset, path].add(f"v{number}")
    return found, max(0, len(places) - _MAX_ROWS)
