"""The objects that only older commits of an adopted DVC repository name: copied too, as far as they can be had.

Without them those commits could be checked out, and their data not; and ``gc`` would not know what they need.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted
from datakeep.core.errors import DamagedBytes, DatakeepError, NoSpace
from datakeep.formats import yaml
from datakeep.store import dvc_format
from datakeep.store.foreign_objects import ForeignObject
from datakeep.store.ingest import put_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from datakeep.store.foreign_objects import ForeignObjects
    from datakeep.store.interface import Store

_NAME = re.compile(r"([0-9a-f]{32})(\.dir)?")


def take_older(
    texts: Iterable[bytes],
    places: ForeignObjects,
    stores: Sequence[Store],
    dataset: str,
    *,
    taken: Collection[str],
    lists_only: bool,
) -> list[str]:
    """What older commits name is in ``stores``, as far as a place has it whole; and what a person should know of it.

    Args:
        texts: DVC's pointer files of all commits.
        places: Where the objects may be; not asked before.
        stores: Where they go.
        dataset: The dataset's name.
        taken: The md5s of files that the stores have by now.
        lists_only: Only lists of files are copied, as not all of the repository is wanted.

    Raises:
        AccessDenied, StoreUnreachable: A store does not take them.
    """
    named: dict[ForeignObject, bool] = {}
    for text in texts:
        for one, is_kept in _outputs(text):
            named[one] = named.get(one, False) or is_kept
    folders = [one for one in named if one.is_folder]
    places.look_for(folders)
    lacking: set[str] = set()
    files = [one for one in named if not one.is_folder]
    for one in folders:
        rows = _listed(one, places, stores, dataset)
        if rows is None:
            lacking.add(one.key)
        files += [ForeignObject(md5, one.legacy) for md5 in rows or ()]
    wanted = {one.md5: one for one in files if one.md5 not in taken}
    if lists_only:
        return [*_left_out(len(wanted)), *_behind(lacking, places)]
    places.look_for(wanted.values())
    held = {md5: one for md5, one in wanted.items() if places.is_held(one)}
    unsure = {one.md5 for one, is_kept in named.items() if not is_kept}
    lacking |= wanted.keys() - held.keys() - unsure
    try:
        places.take(held, [], stores, dataset, called={md5: md5 for md5 in held})
    except DamagedBytes as error:
        lacking |= set(error.things)
    except NoSpace as error:
        count = counted(len(held), "object")
        return [f"{count} of older commits stay where they are: {error.what}", *_behind(lacking, places)]
    return _behind(lacking, places)


def _listed(
    one: ForeignObject, places: ForeignObjects, stores: Sequence[Store], dataset: str
) -> list[str] | None:
    """The md5s of a folder's files, its list in the stores by now; None if the list cannot be had."""
    data = places.listing(one, dvc_format.MAX_TREE_BYTES)
    if isinstance(data, str):
        return None
    try:
        rows = dvc_format.tree_rows(data, what="an older list of files")
    except DatakeepError:  # somebody else's: what is none is not taken
        return None
    put_bytes(data, stores, dataset, directory=True)
    return list(rows.values())


def _left_out(count: int) -> list[str]:
    if not count:
        return []
    was = "was" if count == 1 else "were"
    return [f"{counted(count, 'object')} of older commits or other outputs {was} not copied, as --data chose"]


def _behind(lacking: Collection[str], places: ForeignObjects) -> list[str]:
    if not lacking:
        return []
    many = len(lacking) != 1
    lists = sum(name.endswith(".dir") for name in lacking)
    further = f", {counted(lists, 'list')} of further files among them" if lists else ""
    said = (
        f"{counted(len(lacking), 'object')} that only older commits name stay{'' if many else 's'} behind{further} "
        f"({places.lacking()}): their data cannot be had from this keep"
    )
    return [said]


def _outputs(text: bytes) -> Iterator[tuple[ForeignObject, bool]]:
    """The objects of a pointer file's outputs; what cannot be read names none.

    With each, whether DVC keeps it for certain: of a file in ``dvc.lock`` only ``dvc.yaml`` says that git has it.
    """
    try:
        data = yaml.load(text, what="an older pointer file")
    except DatakeepError:
        return
    stages: Any = data.get("stages", data) if "outs" not in data else {"": data}
    for stage in stages.values() if isinstance(stages, dict) else ():
        if not isinstance(stage, dict) or (stage.get("deps") and "cmd" not in stage):
            continue  # an import: DVC gets it from elsewhere
        outs = stage.get("outs")
        for raw in outs if isinstance(outs, list) else ():
            if isinstance(raw, dict) and raw.get("cache") is not False:
                match = _NAME.fullmatch(str(raw.get("md5")))
                if match:
                    is_kept = match[2] is not None or stage is data
                    yield ForeignObject(match[1], raw.get("hash") != "md5", match[2] is not None), is_kept
