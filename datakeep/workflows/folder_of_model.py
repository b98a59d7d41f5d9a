"""Which recorded model a folder is of, told by the bytes of the files in it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.lineage.records import FOLDER
from datakeep.workflows.could_tell import of_a_file
from datakeep.workflows.used_by import digest_of, find_by_digest
from datakeep.workflows.written_once import ever_changed

if TYPE_CHECKING:
    from pathlib import Path

    from datakeep.workflows.keep import Keep

#: A folder of checkpoints may be large; so many files tell whose it is.
_MAX_FILES = 20


def model_of_folder(keep: Keep, folder: Path) -> str | None:
    """The record, ``churn@v7``, that has the most of the folder's files by name and bytes; None if none has any.

    Only the first files are looked at, those of the folder itself before those below it.
    """
    votes: Counter[str] = Counter()
    for path in _first_files(folder):
        name = path.relative_to(folder).as_posix()
        try:
            if not path.stat().st_size:
                continue
            found = find_by_digest(keep, digest_of(path)).records
        except (DatakeepError, OSError):
            continue
        votes.update(record.label for record in found if any(one.path == name for one in record.artifacts))
    return votes.most_common(1)[0][0] if votes else None


def deleted_model_of_folder(keep: Keep, folder: Path) -> Path | None:
    """The first of the folder's files that a record had which was deleted; None if none is."""
    if not ever_changed(keep, FOLDER):
        return None
    for path in _first_files(folder):
        try:
            if any(keep.tree.object_id(one) is None for one in of_a_file(keep, digest_of(path))):
                return path
        except (DatakeepError, OSError):
            continue
    return None


def _first_files(folder: Path) -> list[Path]:
    paths = sorted(
        (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()),
        key=lambda path: (len(path.parts), path.name == "metrics.json", str(path)),
    )
    return paths[:_MAX_FILES]
