"""The record of one model, by its file or its name; nothing else of it is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import InvalidFile, UnknownName
from datakeep.core.names import VERSION, nearest, some_versions, version_number
from datakeep.lineage import records
from datakeep.workflows.used_by import find_by_file, newest_of

if TYPE_CHECKING:
    from datakeep.formats.model import ModelRecord
    from datakeep.workflows.keep import Keep


def record_named(keep: Keep, subject: str) -> tuple[ModelRecord, tuple[str, ...]]:
    """The record of ``churn@v7``, of the newest version of ``churn``, or of a model's file.

    With it, of a file, the other records that have it, as ``MODEL@V``.

    Raises:
        UnknownName: There is none.
        InvalidFile: It cannot be read.
        SourceUnreadable: The file cannot be read.
    """
    name, at, version = subject.removeprefix("model:").partition("@")
    versions = records.names(keep.tree).get(name, ())
    if not versions:
        return _of_file(keep, subject)
    if at and version not in versions:
        said = f"it has {some_versions(versions)}" if VERSION.fullmatch(version) else "versions are v1, v2, …"
        raise UnknownName(
            f"the model {name} has no version {version!r}; {said}",
            next_step=f"datakeep audit model:{name}@{versions[-1]}",
        )
    found = records.find_by_model(keep.tree, name, version or None)
    if found.records:
        return found.records[0], ()
    broken = next(iter(found.broken), None)
    raise InvalidFile(
        broken.reason if broken else f"the record of {subject} cannot be read",
        next_step=f"restore it from history: git log -- {records.record_path(name, version or versions[-1])}",
    )


def _of_file(keep: Keep, subject: str) -> tuple[ModelRecord, tuple[str, ...]]:
    path = Path(subject)
    if subject.startswith("model:") or not path.is_file():
        near = nearest(subject.removeprefix("model:").partition("@")[0], records.names(keep.tree))
        hint = f"; did you mean {near!r}?" if near else ""
        raise UnknownName(
            f"there is no model and no file {subject!r}{hint}",
            next_step=f"datakeep audit model:{near}" if near else "datakeep find --kind model NAME",
        )
    _, found = find_by_file(keep, path)
    if not found.records:
        raise UnknownName(f"{path} is not known: no record has it", next_step=f"datakeep audit {path}")
    newest = newest_of(found)
    others = sorted((one.model, version_number(one.version)) for one in found.records if one is not newest)
    return newest, tuple(f"{model}@v{number}" for model, number in others)
