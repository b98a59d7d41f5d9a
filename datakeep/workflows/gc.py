"""``gc``: the objects that nothing refers to, and the one way to delete them.

The order is what makes it safe beside others at work: first the mark, then the walk of all references, then the
deletion. A registration that began before the mark sees it after its push, and sends its bytes anew (see
``sweep_marks``); one that begins later finds what is there then. Killed at any point, it has deleted nothing but
what nothing refers to.
"""

from __future__ import annotations

import re
import time
from contextlib import closing
from copy import copy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import AccessDenied, Conflict, StillNeeded, UnknownName
from datakeep.core.names import nearest
from datakeep.repository.pointers import all_refs
from datakeep.store.interface import MARKER_NAME, PROBE
from datakeep.store.quarantine import QUARANTINE
from datakeep.workflows.bundles import FOLDER as BUNDLES
from datakeep.workflows.fsck import fsck
from datakeep.workflows.fsck_report import Fsck, Plan
from datakeep.workflows.references import references
from datakeep.workflows.sweep_marks import MARK, leave_mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from datakeep.store.interface import Listed, Store
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.references import References

_OBJECT = re.compile(r"files/md5/([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is asked of gc.

    Args:
        delete: Delete; else only look.
        grace: How long an object must have been there, by the store's own clock.
        only: Datasets whose prefixes are looked at; none means all, and then nothing else may lie in the store.
        quarantine: Delete what repairs put aside as well.
    """

    delete: bool = False
    grace: timedelta = timedelta(days=30)
    only: Sequence[str] = ()
    quarantine: bool = False


@dataclass(frozen=True, slots=True)
class Unreferenced:
    """An object that nothing refers to; ``kind`` is ``object``, ``bundle`` or ``quarantine``."""

    store: str
    dataset: str
    kind: str
    key: str
    size_bytes: int
    modified_s: float
    is_old: bool


@dataclass(slots=True)
class Swept:
    """What was found, and done.

    Attributes:
        found: What nothing refers to.
        unknown: Store to what lies in it that this keep does not know.
        deleted: What was deleted.
        kept: Why something was not deleted, one line each.
    """

    found: list[Unreferenced] = field(default_factory=list)
    unknown: dict[str, list[str]] = field(default_factory=dict)
    deleted: list[Unreferenced] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def deletable(self, sweep: Sweep) -> list[Unreferenced]:
        """What ``sweep`` deletes: old enough, and in no store that others use too unless that was considered."""
        return [
            one
            for one in self.found
            if one.is_old
            and (one.kind != "quarantine" or sweep.quarantine)
            and (sweep.only or one.store not in self.unknown)
        ]


def gc(keep: Keep, sweep: Sweep) -> Swept:
    """The objects that no entry, branch or tag of any dataset refers to; deleted, if that is asked.

    Raises:
        UnknownName: ``only`` names no dataset of the keep.
        StillNeeded: Something is deleted only while all versions are whole, with the copies that the policy asks for.
        GitFault, StoreUnreachable, AccessDenied, InvalidFile: Something that may refer to objects
            cannot be read.
        Conflict: Someone pushed meanwhile.
    """
    keep.refresh()
    if sweep.delete:
        keep.repository.require_ready()
        keep.look_again()
    _require_known(keep, sweep.only)
    stores = keep.stores()
    for store in stores:
        store.check(keep=keep.name, writable=sweep.delete)
    began = {store.name: leave_mark(store) if sweep.delete else time.time() for store in stores}
    if sweep.delete:
        _require_whole(fsck(keep, Plan()))
    known = references(keep)
    swept = Swept()
    for store in stores:
        swept.found += _unreferenced(keep, store, sweep, known, began[store.name], swept)
    _leave_doubtful(known, sweep, swept)
    if sweep.delete:
        _require_same_refs(keep, known)
        for store in stores:
            _delete(store, sweep, swept)
    return swept


def _require_known(keep: Keep, names: Sequence[str]) -> None:
    for name in names:
        if name not in keep.datasets:
            near = nearest(name, keep.datasets)
            raise UnknownName(
                f"this keep has no dataset {name!r}" + (f"; did you mean {near!r}?" if near else ""),
                next_step="datakeep list",
            )


def _require_whole(found: Fsck) -> None:
    if not found.is_clean:
        raise StillNeeded(
            "nothing is deleted while a version is not whole everywhere, or has too few copies",
            next_step="datakeep fsck tells which; datakeep fsck --repair",
            things=[
                *(f"{complaint.about}: {complaint.what}" for complaint in found.complaints),
                *(f"{state.version} in {state.store}: not whole" for state in found.versions if state.is_bad),
                *(f"{copies.version}: too few copies" for copies in found.copies if copies.is_short),
            ],
        )


def _unreferenced(
    keep: Keep, store: Store, sweep: Sweep, known: References, began_s: float, swept: Swept
) -> Iterator[Unreferenced]:
    unknown: dict[str, None] = {}
    keep.progress.stage(f"listing {store.name}")
    for listed in store.list_dated(""):
        dataset, _, rest = listed.key.partition("/")
        if dataset not in keep.datasets or not rest:
            if listed.key not in (MARKER_NAME, MARK) and not listed.key.startswith(PROBE):
                unknown[dataset] = None
        elif not sweep.only or dataset in sweep.only:
            kind = _kind(dataset, rest, listed.key, known)
            if kind:
                is_old = listed.modified_s + sweep.grace.total_seconds() < began_s
                yield Unreferenced(
                    store.name, dataset, kind, listed.key, listed.size_bytes, listed.modified_s, is_old
                )
    if unknown:
        swept.unknown[store.name] = sorted(unknown)


def _leave_doubtful(known: References, sweep: Sweep, swept: Swept) -> None:
    """Objects that a list of files may name which cannot be read are not taken for unreferenced; it is said."""
    doubtful = [one for one in swept.found if one.kind == "object" and one.dataset in known.unread]
    swept.found = [one for one in swept.found if one not in doubtful]
    for dataset, keys in sorted(known.unread.items()):
        if sweep.only and dataset not in sweep.only:
            continue
        count = sum(one.dataset == dataset for one in doubtful)
        more = f" and {len(keys) - 1:,} more" if len(keys) > 1 else ""
        are = "is" if len(keys) == 1 else "are"
        swept.kept.append(
            f"{dataset}: all of its objects are kept{f', {count:,} of them in doubt' if count else ''}: "
            f"a commit refers to a list of files ({keys[0]}{more}) that {are} whole in no store, "
            "so it is not known what it needs; whoever has the list sends it with `dvc push --all-commits`, "
            "or deletes the branch or tag that needs it"
        )


def _kind(dataset: str, rest: str, key: str, known: References) -> str | None:
    """What an unreferenced key is; None if it is referred to, or none of datakeep's or DVC's."""
    if found := _OBJECT.fullmatch(rest):
        return None if known.has_object(found[1] + found[2]) else "object"
    if rest.startswith(f"{BUNDLES}/") and rest.endswith(".bundle"):
        return None if known.has_bundle(dataset, key) else "bundle"
    return "quarantine" if rest.startswith(f"{QUARANTINE}/") else None


def _require_same_refs(keep: Keep, known: References) -> None:
    for dataset, refs in known.refs.items():
        if all_refs(keep.dataset_url(dataset)) != refs:
            raise Conflict(
                f"someone pushed to {dataset} meanwhile; nothing was deleted",
                next_step="run the same command again",
            )


def _delete(store: Store, sweep: Sweep, swept: Swept) -> None:
    """Delete what is old enough and still as it was listed."""
    wanted = [one for one in swept.deletable(sweep) if one.store == store.name]
    if not wanted:
        return
    now: Mapping[str, Listed] = {
        listed.key: listed
        for dataset in dict.fromkeys(one.dataset for one in wanted)
        for listed in store.list_dated(dataset)
    }
    locked = store.locked(one.key for one in wanted)
    refused: list[str] = []
    with closing(copy(store)) as own:
        for one in wanted:
            found = now.get(one.key)
            if found is None or (found.modified_s, found.size_bytes) != (one.modified_s, one.size_bytes):
                continue
            if one.key in locked:
                continue
            try:
                own.remove(one.key)
            except AccessDenied as error:
                refused.append(error.what)
            else:
                swept.deleted.append(one)
    if locked:
        are = "is" if len(locked) == 1 else "are"
        swept.kept.append(
            f"{store.name}: {counted(len(locked), 'object')} {are} under object lock until it ends"
        )
    if refused:
        swept.kept.append(f"{store.name}: {counted(len(refused), 'object')} may not be deleted: {refused[0]}")
