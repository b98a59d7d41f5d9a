"""Which recorded model a folder is of, told by the bytes of the files in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import DatakeepError
from datakeep.lineage.evidence import is_model_file
from datakeep.lineage.records import FOLDER
from datakeep.workflows.could_tell import of_a_file
from datakeep.workflows.used_by import digest_of, find_by_digest
from datakeep.workflows.written_once import ever_changed

if TYPE_CHECKING:
    from pathlib import Path

    from datakeep.workflows.keep import Keep

#: A folder of checkpoints may be large; so many files tell whose it is.
_MAX_FILES = 20
_SHOWN = 5


@dataclass(slots=True)
class FilesOfFolder:
    """Whose the files of a folder are.

    Attributes:
        label: The record, ``churn@v7``, of which most of the weights are; None if none or several.
        of: The files of each record, by name and bytes.
        weights: How many of them are the model itself; settings, which many models share, are not.
        unknown: Files that no record has under this name.
        not_looked_at: How many more there are, and links, whose files may lie anywhere.
        digests: The sha256 of those that were looked at.
    """

    label: str | None = None
    of: dict[str, list[str]] = field(default_factory=dict)
    weights: Counter[str] = field(default_factory=Counter)
    unknown: list[str] = field(default_factory=list)
    not_looked_at: int = 0
    digests: dict[Path, str] = field(default_factory=dict)

    def __str__(self) -> str:
        order = sorted(self.of, key=lambda one: (one != self.label, one))
        said = []
        for one in order[:_SHOWN]:
            alone = "" if self.weights[one] else ", which are no weights"
            said.append(f"of {one}: {_some(self.of[one])}{alone}")
        said += [f"of {len(order) - _SHOWN:,} more records"] if len(order) > _SHOWN else []
        said += [f"unknown: {_some(self.unknown)}"] if self.unknown else []
        said += [f"not looked at: {counted(self.not_looked_at, 'file')}"] if self.not_looked_at else []
        return "; ".join(said)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def files_of_folder(keep: Keep, folder: Path) -> FilesOfFolder:
    """Whose the files are, by name and bytes; only the first are looked at, those of the folder itself before others.

    A model's record is named only by its weights: settings are much alike, and tell nothing of weights beside them.
    """
    paths = _files(folder)
    looked = _first(paths)
    found = FilesOfFolder(not_looked_at=len(paths) - len(looked))
    for path in looked:
        _look(keep, path, path.relative_to(folder).as_posix(), found)
    best = found.weights.most_common(2)
    if best and (len(best) == 1 or best[0][1] > best[1][1] or _are_alike(found, best[0][0], best[1][0])):
        found.label = best[0][0]
    return found


def _are_alike(found: FilesOfFolder, one: str, other: str) -> bool:
    """Records of the very same files: the first that was found stands for both, and its audit names the other."""
    return found.of[one] == found.of[other]


def _look(keep: Keep, path: Path, name: str, found: FilesOfFolder) -> None:
    try:
        size_bytes = path.stat().st_size
        digest = digest_of(path)
        found.digests[path] = digest
        records = find_by_digest(keep, digest).records
    except (DatakeepError, OSError):
        found.not_looked_at += 1
        return
    owners = [one for one in records if any(left.path == name for left in one.artifacts)]
    for one in owners:
        found.of.setdefault(one.label, []).append(name)
        if size_bytes and (one.origin == "declared" or is_model_file(name)):
            found.weights[one.label] += 1
    if not owners:
        found.unknown.append(name)


def deleted_model_of_folder(keep: Keep, found: FilesOfFolder) -> Path | None:
    """The first of the files that were looked at that a record had which was deleted; None if none is."""
    if not ever_changed(keep, FOLDER):
        return None
    for path, digest in found.digests.items():
        try:
            if any(keep.tree.object_id(one) is None for one in of_a_file(keep, digest)):
                return path
        except (DatakeepError, OSError):
            continue
    return None


def _files(folder: Path) -> list[Path]:
    """Those of the folder itself before those below it, links last."""
    return sorted(
        (path for path in folder.rglob("*") if path.is_file()),
        key=lambda path: (path.is_symlink(), len(path.parts), path.name == "metrics.json", str(path)),
    )


def _first(paths: list[Path]) -> list[Path]:
    return [path for path in paths if not path.is_symlink()][:_MAX_FILES]
