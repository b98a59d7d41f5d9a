"""Which versions of a dataset have a file, by their lists; and of which versions that is not known."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import UnknownName
from datakeep.core.names import nearest
from datakeep.lineage import hashes
from datakeep.lineage.committed import folded
from datakeep.lineage.records import Broken
from datakeep.workflows.index import NotSearched, not_searched

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datakeep.lineage.index import Index


#: So many versions that have a file are named.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the index knows of a file.

    Attributes:
        having: The versions asked about that have it.
        unlisted: Those whose lists of files are not here.
        unread: Those whose register entries cannot be read.
        lacking: The lists that are not here, as it is said.
        elsewhere: Versions that have it, if none that was asked about has.
        near: The path that was probably meant, likewise.
    """

    having: list[int]
    unlisted: list[int]
    unread: dict[int, Broken]
    lacking: NotSearched | None
    elsewhere: list[int]
    near: list[str]


def known_file(index: Index, dataset: str, number: int | None, path: str) -> KnownFile:
    """What is known of ``path`` in a version of a dataset, or in all of them."""
    having = _having(index, dataset, number, path)
    return KnownFile(
        having,
        _unlisted(index, dataset, number),
        _unread(index, dataset, number),
        not_searched(index, "files", dataset, number),
        [] if having or number is None else _having(index, dataset, None, path),
        [] if having else _near_paths(index, dataset, path),
    )


def no_such_file(reference: str, path: str, known: KnownFile) -> UnknownName:
    """The error for a file that no version asked about has; says where it is."""
    name = reference.partition("@")[0]
    if known.elsewhere:
        shown = ", ".join(f"v{one}" for one in known.elsewhere[-_NAMED:])
        if (more := len(known.elsewhere) - _NAMED) > 0:
            shown += f" and {counted(more, 'earlier one')}"
        return UnknownName(
            f"no file {path!r} is in {reference}; it is in {shown}",
            next_step=f"datakeep audit {quote(f'{name}@v{known.elsewhere[-1]}:{path}')}",
        )
    hint = f"; did you mean {known.near[0]!r}?" if known.near else ""
    return UnknownName(
        f"no file {path!r} is in {reference}{hint}",
        next_step=f"datakeep find {quote(path.rpartition('/')[2])} --kind file",
    )


def _unread(index: Index, dataset: str, number: int | None) -> dict[int, Broken]:
    """The versions whose register entries cannot be read."""
    query = (
        "SELECT number, path, fault FROM entry WHERE kind = 'dataset' AND name = ? AND fault IS NOT NULL "
        "ORDER BY number"
    )
    found = index.database.execute(query, (dataset,)).fetchall()
    return {one: Broken(path, fault) for one, path, fault in found if number in (None, one)}


def _unlisted(index: Index, dataset: str, number: int | None) -> list[int]:
    """The versions whose lists of files are not here."""
    query = "SELECT number FROM wanting WHERE dataset = ? AND files ORDER BY number"
    found = [row[0] for row in index.database.execute(query, (dataset,))]
    return [one for one in found if number in (None, one)]


def _having(index: Index, dataset: str, number: int | None, path: str) -> list[int]:
    """The versions that list ``path``, of those whose lists are here."""
    found: list[int] = []
    known: dict[int, bool] = {}
    for one, inventory in hashes.inventories_of(index.database, dataset, number):
        if inventory not in known:
            known[inventory] = hashes.has_path(index.database, inventory, path)
        if known[inventory]:
            found.append(one)
    return found


def digests_of(index: Index, dataset: str, path: str, versions: Iterable[int]) -> dict[str, int]:
    """The digests that a file has in these versions, and the newest version of each."""
    inventories = dict(hashes.inventories_of(index.database, dataset))
    digests: dict[int, str | None] = {}
    found: dict[str, int] = {}
    for one in versions:
        inventory = inventories[one]
        if inventory not in digests:
            digests[inventory] = hashes.digest_of(index.database, inventory, path)
        if digest := digests[inventory]:
            found[digest] = max(one, found.get(digest, 0))
    return found


def _near_paths(index: Index, dataset: str, path: str) -> list[str]:
    """A path of the newest version that was probably meant."""
    known = hashes.inventories_of(index.database, dataset)
    if not known:
        return []
    newest = known[-1][1]
    name = path.rpartition("/")[2]
    paths = hashes.paths_holding(index.database, newest, (folded(name),), 100)
    paths = paths or hashes.paths_holding(index.database, newest, (), 1000)
    near = nearest(path, paths) or next((one for one in paths if one.endswith(f"/{name}")), None)
    return [near] if near else []
