"""Which recorded model a folder is of, told by the bytes of the files in it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.workflows.used_by import digest_of, find_by_digest

if TYPE_CHECKING:
    from pathlib import Path

    from datakeep.workflows.keep import Keep

#: A folder of checkpoints may be large; so many files tell whose it is.
_MAX_FILES = 20


def model_of_folder(keep: Keep, folder: Path) -> str | None:
    """The record, ``churn@v7``, that has the most of the folder's files by name and bytes; None if none has any.

    Only the first files are looked at, those of the folder itself before those below it.
    """
    paths = sorted(
        (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()),
        key=lambda path: (len(path.parts), path.name == "metrics.json", str(path)),
    )
    votes: Counter[str] = Counter()
    for path in paths[:_MAX_FILES]:
        name = path.relative_to(folder).as_posix()
        try:
            if not path.stat().st_size:
                continue
            found = find_by_digest(keep, digest_of(path)).records
        except (DatakeepError, OSError):
            continue
        votes.update(record.label for record in found if any(one.path == name for one in record.artifacts))
    return votes.most_common(1)[0][0] if votes else None
