"""Undeclared files of a training that has just ended, held against what the keep knows by their bytes."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import DatakeepError
from datakeep.core.names import version_number
from datakeep.lineage import hashes
from datakeep.lineage.evidence import Means
from datakeep.workflows.index import ask
from datakeep.workflows.left_by import registered_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.lineage.index import Index
    from datakeep.workflows.keep import Keep

_CHANGED = "its bytes are not those of this version"
_ABSENT = "this version has no such file"
_NO_DATA = "it lies beside the version's data"


def compare(
    keep: Keep,
    undeclared: Sequence[dict[str, Any]],
    of_checkouts: Sequence[tuple[dict[str, Any], str]],
    unknown: list[str],
) -> list[str]:
    """Entries say how they differ from the version that they lie in (``differs``), and which training left them.

    Args:
        keep: The keep.
        undeclared: The entries of the record; those that are a recorded model's file get ``model``, and those that a
            recorded training left otherwise ``left_by``.
        of_checkouts: Those of them that lie in a checkout, with the path there.
        unknown: Is added to where nobody could look.

    Returns:
        The models whose files were read, ``churn@v1``; each once.
    """

    def question(index: Index) -> list[str]:
        for entry, below in of_checkouts:
            said = _difference(index, entry, below)
            if said:
                entry["differs"] = said
        return _models(index, undeclared)

    try:
        return ask(keep, question)
    except (DatakeepError, sqlite3.Error) as error:  # the training has ended: its record is worth more
        unknown.append(f"whose bytes the undeclared inputs are: the index cannot be used ({error})")
        return []


def _difference(index: Index, entry: dict[str, Any], below: str) -> str | None:
    """How a file differs from the registered one; None where it does not, or the list of files is not here."""
    folder, _, path = below.partition("/")
    if folder != "data" or not path:
        return _NO_DATA
    dataset, _, version = str(entry["of"]).partition("@")
    known = hashes.inventories_of(index.database, dataset, version_number(version))
    if not known:
        return None
    ((_, inventory),) = known
    if not hashes.has_path(index.database, inventory, path):
        return _ABSENT
    if "sha256" not in entry:
        return None
    same = (
        place for place in hashes.find(index.database, "sha256", entry["sha256"]) if place[0] == inventory
    )
    return None if any(hashes.path_of(index.database, *place) == path for place in same) else _CHANGED


def _models(index: Index, undeclared: Sequence[dict[str, Any]]) -> list[str]:
    """The models whose files are among them; what a dataset had before is data, whoever left a copy.

    Of several records of a file one is named, that of a completed training whose reads were seen before others; which
    ways lead through the file is asked of all of them, whenever somebody asks.
    """
    query = (
        "SELECT e.name, e.number, a.means FROM artifact a JOIN entry e ON e.path = a.path WHERE a.sha256 = ? "
        "AND a.means > 0 AND coalesce(a.recorded_s <= ?, ?) "
        "ORDER BY coalesce(json_extract(e.data, '$.status'), '') = 'failed', a.means DESC, "
        "json_extract(e.data, '$.origin') IN ('declared', 'mlflow', 'wandb'), "
        "json_extract(e.data, '$.recorded_at') DESC, e.number DESC LIMIT 1"
    )
    found: dict[str, None] = {}
    known = registered_s(index, {one["sha256"] for one in undeclared if one.get("sha256")})
    for entry in undeclared:
        if not (sha256 := entry.get("sha256")):
            continue
        since_s = known.get(sha256)
        row = index.database.execute(query, (sha256, since_s, since_s is None)).fetchone()
        if row is None:
            continue
        label = f"{row[0]}@v{row[1]}"
        if row[2] == Means.MODEL:
            entry["model"] = label
            found[label] = None
        else:
            entry["left_by"] = label
    return list(found)
