"""The splits of a dataset, as they are stated by options; and folders that look like ones nobody declared (L24)."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import UsageError
from datakeep.core.names import nearest
from datakeep.core.patterns import compile_patterns
from datakeep.lineage.evidence import FEW_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from datakeep.formats.inventory import Inventory

_LIKELY = frozenset(
    {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "holdout"}
)
#: More folders of one name than this are how the data is laid out, and no splits that a hint could spell out.
_FOLDERS = 3
_FILES_NAMED = 5


def stated_splits(option: str, texts: Iterable[str]) -> dict[str, list[str]]:
    """Split to patterns, of texts such as ``train=data/train/**``.

    Raises:
        UsageError: One is written otherwise, or its name has another meaning.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, _, pattern = (part.strip() for part in text.partition("="))
        if not name or not pattern or name in ("group", "time"):
            is_column = name and pattern
            what = f"names the column {name}" if is_column else "is no split"
            way = f"--split-{name} {shlex.quote(pattern)}" if is_column else f"{option} 'train=data/train/**'"
            raise UsageError(f"{option} {text!r} {what}", next_step=f"write {way}")
        found.setdefault(name, []).append(pattern)
    for name, patterns in found.items():
        try:
            compile_patterns(patterns)
        except UsageError as error:
            raise UsageError(f"{option} {name}: {error.what}", next_step=error.next_step) from error
    return found


def require_files(
    texts: Iterable[str], paths: Sequence[str], *, document: object = None, manifest: Path | None = None
) -> None:
    """Each pattern that was stated, by an option or in a manifest that was handed in, matches a file.

    Args:
        texts: What ``--split`` said, each time.
        paths: The files, relative to ``data/``.
        document: What the manifest has under ``splits``, options taken in.
        manifest: The manifest's file, if one was handed in.

    Raises:
        UsageError: Names every split and pattern that does not.
    """
    stated = stated_splits("--split", texts)
    if idle := _idle(stated, paths):
        step = _step(*idle[0], paths)
        raise _no_file(
            f"--split {_said(idle[0])}", idle, step and f"--split {shlex.quote(_said(step))}", paths
        )
    written = document if manifest and isinstance(document, dict) else {}
    patterns = {name: some for name, some in written.items() if isinstance(some, list)}
    if idle := _idle(patterns, paths):
        step = _step(*idle[0], paths)
        what = f"the split {_said(idle[0])} of {manifest}"
        raise _no_file(what, idle, step and f"write {step[1]!r} for {step[0]} in it", paths)


def no_longer_matched(document: object, paths: Sequence[str], dataset: str) -> list[str]:
    """One note, if a split that was declared before has a pattern that matches none of the files any more."""
    splits = document if isinstance(document, dict) else {}
    patterns = {name: some for name, some in splits.items() if isinstance(some, list)}
    if not (idle := _idle(patterns, paths)):
        return []
    said = ", ".join(map(_said, idle))
    step = f"state all splits anew: datakeep update {dataset} --split NAME=PATTERN … -m 'splits declared'"
    return [f"{said} matches no file any more, so what it was for is in no split: {step}"]


def _said(split: tuple[str, str]) -> str:
    return "=".join(split)


def _idle(stated: Mapping[str, Sequence[str]], paths: Sequence[str]) -> list[tuple[str, str]]:
    """Split and pattern of those that match no file."""
    found = []
    for name, patterns in stated.items():
        for pattern in patterns:
            matches = compile_patterns([pattern])
            if not any(matches(f"data/{path}") for path in paths):
                found.append((name, pattern))
    return found


def _step(name: str, pattern: str, paths: Sequence[str]) -> tuple[str, str] | None:
    """The split that was meant, where only ``data/`` is missing before its pattern."""
    below = compile_patterns([f"data/{pattern}"])
    return (name, f"data/{pattern}") if any(below(f"data/{path}") for path in paths) else None


def _no_file(
    what: str, idle: Sequence[tuple[str, str]], correction: str | None, paths: Sequence[str]
) -> UsageError:
    if correction:
        step = f"patterns begin with data/: {correction}"
    else:
        folders = {"data/" + path.rpartition("/")[0] for path in paths if "/" in path}
        near = nearest(idle[0][1].partition("*")[0].rstrip("/"), folders)
        shown = near or ", ".join(f"data/{path}" for path in list(paths)[:_FILES_NAMED])
        step = f"there is {shown}; patterns are compared with the whole path, as in data/train/**"
    return UsageError(f"{what} matches no file", next_step=step, things=[_said(one) for one in idle])


def likely_splits(paths: Iterable[str]) -> dict[str, list[str]]:
    """Split to patterns, of folders whose names suggest them; none where it is no more than one split."""
    folders: dict[str, dict[str, None]] = {}
    for path in paths:
        parts = path.split("/")[:-1]
        for depth, part in enumerate(parts):
            if part.lower() in _LIKELY:
                folders.setdefault(part.lower(), {})["/".join(parts[: depth + 1])] = None
                break
    found = {name: sorted(some) for name, some in sorted(folders.items())}
    spelt = all(len(some) <= _FOLDERS and not set("*?[") & set("".join(some)) for some in found.values())
    if len(found) < 2 or not spelt:
        return {}
    return {name: [f"data/{folder}/**" for folder in some] for name, some in found.items()}


def hint(dataset: str, splits: object, paths: Iterable[str]) -> list[str]:
    """One note, if no splits are declared and folders look like some.

    Args:
        dataset: Its name.
        splits: What its manifest has under ``splits``.
        paths: The files, relative to ``data/``.
    """
    found = {} if splits else likely_splits(paths)
    if not found:
        return []
    options = [
        f"--split {shlex.quote(f'{name}={pattern}')}"
        for name, patterns in found.items()
        for pattern in patterns
    ]
    said = f"the folders {', '.join(found)} look like splits, and none is declared, so no record can tell of them"
    return [f"{said}: datakeep update {dataset} {' '.join(options)} -m 'splits declared'"]


def in_two_splits(inventory: Inventory) -> str | None:
    """What to say where files of the same bytes lie in more than one split; None where none do.

    Args:
        inventory: Of all files, with their splits; those of few bytes may be alike by chance and are left out.
    """
    import pyarrow.compute as pc  # late: what only states splits needs it not

    table = inventory.table.select(["path", "size_bytes", "sha256", "split"])
    if table.column("split").null_count == len(table):
        return None
    table = table.set_column(3, "split", table.column("split").cast("string"))
    table = table.filter(
        pc.and_(pc.is_valid(table["split"]), pc.greater_equal(table["size_bytes"], FEW_BYTES))
    )
    counts = table.group_by("sha256").aggregate([("split", "count_distinct")])
    shared = counts.filter(pc.greater(counts["split_count_distinct"], 1))["sha256"]
    if not len(shared):
        return None
    rows = table.filter(pc.equal(table["sha256"], shared[0])).to_pylist()
    first = rows[0]
    second = next(row for row in rows if row["split"] != first["split"])
    more = f"; so do {counted(len(shared) - 1, 'other content')}" if len(shared) > 1 else ""
    return (
        f"the same bytes lie in two splits: data/{first['path']} ({first['split']}) "
        f"and data/{second['path']} ({second['split']}){more}"
    )
