"""Which files that were changed, or deleted, could have been part of an answer: nothing of them is in it now.

An answer that was found shows the files that it comes from; one that was deleted, or says something else since, shows
nothing. So of the files that the history changed, all that could have told are taken, rather too many than too few.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.core.names import NAME, VERSION
from datakeep.lineage.records import FOLDER
from datakeep.workflows.written_once import ever_changed, recorded, tampered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datakeep.workflows.keep import Keep
    from datakeep.workflows.written_once import Tampered


def backwards_from(
    keep: Keep, dataset: str, versions: Iterable[str], on_the_way: Iterable[str] = ()
) -> set[str]:
    """What could tell which models a dataset went into: any model record, and the entries that name it.

    Args:
        keep: The keep.
        dataset: Its name.
        versions: The ones that were asked about; none for all of them, those that were deleted included.
        on_the_way: The datasets and models that it leads to.
    """
    asked = [f"register/{dataset}/{version}.yaml" for version in versions] or [f"register/{dataset}/"]
    changed = ever_changed(keep, FOLDER, "register/")
    models = {path for path in changed if path.startswith(FOLDER)}
    others = {path for path in changed - models if not path.startswith(f"register/{dataset}/")}
    own = {path for path in changed - models - others if path.startswith(tuple(asked))}
    if not others:
        return models | own
    return models | own | _naming(keep, others, {dataset, *on_the_way, *_aliases(keep, dataset)})


def of_a_file(keep: Keep, sha256: str) -> set[str]:
    """The model records that had a file of this digest when they were recorded."""
    return _naming(keep, ever_changed(keep, FOLDER), [sha256])


def _aliases(keep: Keep, dataset: str) -> list[str]:
    try:
        aliases = keep.entry(dataset, asking=False).manifest.get("aliases")
    except DatakeepError:
        return []
    return [str(one) for one in aliases] if isinstance(aliases, list) else []


def _naming(keep: Keep, paths: set[str], names: Iterable[str], *, shortened: bool = False) -> set[str]:
    """Those of ``paths`` that had one of ``names`` in them, ``shortened`` too, or whose bytes cannot be had."""
    if not paths:
        return set()
    texts = recorded(keep, paths)
    some = b"|".join(re.escape(name.encode("utf-8")) for name in names)
    wanted = re.compile(rb"(?<![a-z0-9-])(?:" + some + (b")" if shortened else rb")(?![a-z0-9-])"))
    return {path for path in paths if path not in texts or wanted.search(texts[path])}


def deleted(keep: Keep, subject: str) -> tuple[Tampered, ...]:
    """What was recorded under the name ``subject``, and is in the keep no more.

    Args:
        keep: The keep.
        subject: ``churn@v2``, ``model:churn``, ``orders@v3:train/a.csv``, or anything else.
    """
    kind, _, rest = subject.partition(":")
    reference = rest.partition(":")[0] if kind in ("model", "dataset") and rest else kind
    name, at, version = reference.partition("@")
    if not NAME.fullmatch(name) or (at and not VERSION.fullmatch(version)):
        return ()
    folders = [FOLDER] if kind == "model" else ["register/"] if kind == "dataset" else [FOLDER, "register/"]
    places = [f"{folder}{name}/{version}{'.yaml' if at else ''}" for folder in folders]
    found = {path for path in ever_changed(keep, *places) if path.count("/") == 2}
    gone = {path for path in found if keep.tree.object_id(path) is None}
    return tampered(keep, gone) if gone else ()


def deleted_with(keep: Keep, digests: Iterable[str]) -> tuple[Tampered, ...]:
    """What is in the keep no more, and may have told of bytes with one of these digests.

    These are the model records that had a file of one of them, and all register entries, whose file
    lists lie elsewhere.

    Args:
        keep: The keep.
        digests: Whole or shortened, with or without ``sha256:``.
    """
    known = [digest.rpartition(":")[2].lower() for digest in digests]
    gone = {path for path in ever_changed(keep, FOLDER) if path.count("/") == 2 and not _is_there(keep, path)}
    return tampered(keep, [*_naming(keep, gone, known, shortened=True), *deleted_entries(keep)])


def deleted_entries(keep: Keep) -> set[str]:
    """The register entries that were recorded, and are in the keep no more."""
    found = (path for path in ever_changed(keep, "register/") if path.count("/") == 2)
    return {path for path in found if path.endswith(".yaml") and not _is_there(keep, path)}


def _is_there(keep: Keep, path: str) -> bool:
    return keep.tree.object_id(path) is not None
