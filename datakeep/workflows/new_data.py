"""New data of a version: described in its manifest, counted for its profile, refused if git would be led astray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datakeep.core.errors import SourceFault, UnsafePath
from datakeep.extract.describe import describe
from datakeep.store.state import HashState
from datakeep.workflows.profiling import profile_files, profile_notes, profile_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from datakeep.extract.describe import Description
    from datakeep.formats.manifest import Column
    from datakeep.repository.dataset import DatasetRepository
    from datakeep.store.scan import Scan, SourceFile
    from datakeep.workflows.extraction import Extracted
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.register import Request

#: Files with which a source could change how git treats it; the dvc backend has no such trouble.
_GIT_CONTROL = (".gitattributes", ".gitmodules", ".lfsconfig")


def state_of(keep: Keep, sources: Sequence[Path]) -> HashState | None:
    """What this keep knows of a source that is one folder; of single files nothing is kept."""
    return HashState(keep.cache("state"), sources[0]) if len(sources) == 1 and sources[0].is_dir() else None


def describe_into(document: dict[str, Any], found: Scan, keep: Keep) -> tuple[str, ...]:
    """As :func:`described`; returns what a person should know of it."""
    return tuple(described(document, found, keep).notes)


def described(document: dict[str, Any], found: Scan, keep: Keep, *, made_here: bool = False) -> Description:
    """Fill in what can be seen in the files: formats, columns and types, rows, encodings.

    What a person wrote about a column (meaning, unit, key) stays; its type is what was seen.

    Raises:
        SourceMalformed: A file is not what its name says.
    """
    if not found.files:
        raise SourceFault("the source holds no file", next_step="check the path")
    places = list(zip(found.files.paths, found.files.origins, strict=True))
    seen = describe(places, progress=keep.progress, made_here=made_here)
    contents: dict[str, Any] = {"formats": dict(seen.formats)}
    if seen.rows is not None:
        contents["rows"] = seen.rows
    if seen.encodings:
        contents["encodings"] = dict(seen.encodings)
    document["contents"] = contents
    if seen.columns:
        document["columns"] = merged_columns(document.get("columns") or [], seen.columns)
    return seen


def merged_columns(stated: list[dict[str, Any]], seen: Sequence[Column]) -> list[dict[str, Any]]:
    """The columns that were seen, with what was stated of those of the same name, types apart."""
    known = {column.get("name"): column for column in stated}
    kept = ({**known.get(column.name, {}), **column.to_dict()} for column in seen)
    return [{"name": column["name"], **column} for column in kept]


def refuse_git_control(document: Mapping[str, Any], found: Scan) -> None:
    """Refuse data that would change how git treats it, for the git backend.

    Raises:
        UnsafePath: Lists all such files.
    """
    bad = [path for path in found.files.paths if path.rpartition("/")[2] in _GIT_CONTROL]
    if document["backend"] == "git" and bad:
        raise UnsafePath(
            f"{bad[0]} would change how git treats the data",
            next_step="take it out of the source, or register with --backend dvc",
            things=bad,
        )


def profiled(
    request: Request,
    source: Sequence[SourceFile],
    seen: Description,
    document: Mapping[str, Any],
    files: Mapping[str, Any],
    keep: Keep,
    before: tuple[DatasetRepository, str] | None = None,
    done: Extracted | None = None,
) -> tuple[dict[str, bytes | None], list[str]]:
    """What becomes of the file of the profile with this new data, and what a person should know of it.

    Args:
        request: Says whether a profile is wanted.
        source: The new data.
        seen: What was found in it.
        document: The complete manifest.
        files: Documents that were handed in for the version.
        keep: The keep.
        before: The dataset's repository, and the commit that the version builds on.
        done: The query that gave the data, if one did.
    """
    counted_before = done.counted if done else None
    wanted = request.profile is not False
    secrets = done.query.passwords if done else ()
    renamed = done.renamed if done else None
    found = profile_of(source, seen, document, keep, counted_before, secrets, renamed) if wanted else None
    made = profile_files(found, files, before, keep)
    return made, profile_notes(found) if found and made else []
