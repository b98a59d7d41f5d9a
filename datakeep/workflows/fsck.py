"""``fsck``: which versions are whole in which store, by listing or by reading every byte; and repair.

Repair copies what another store has whole, re-verifies it, and keeps the bad bytes beside it. It never deletes.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.store import dvc_format
from datakeep.store.checking import Checked, Expected, check_deep, check_quick, listing
from datakeep.workflows.bundles import chain, check_bundles, is_bundled
from datakeep.workflows.checked_before import CheckedBefore
from datakeep.workflows.fsck_git import check_git
from datakeep.workflows.fsck_report import Complaint, Copies, Fsck, InStore, Plan
from datakeep.workflows.inventories import INVENTORY, load_inventory
from datakeep.workflows.mending import mend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from datakeep.formats.inventory import Inventory
    from datakeep.formats.version import VersionEntry
    from datakeep.store.interface import Store
    from datakeep.workflows.keep import Keep


@dataclass(frozen=True, slots=True)
class _Version:
    """A version and all objects that it consists of."""

    entry: VersionEntry
    inventory: Inventory
    expected: tuple[Expected, ...]

    @property
    def label(self) -> str:
        return f"{self.entry.dataset}@{self.entry.version}"


def fsck(keep: Keep, plan: Plan, *, clock: Callable[[], float] = time.monotonic) -> Fsck:
    """Check versions, stores and git repositories; with ``plan.repair``, mend what can be mended.

    Raises:
        UnknownName: A dataset, version or store that the keep does not have.
    """
    keep.refresh()
    found = Fsck(plan.deep)
    entries = list(_entries(keep, plan))
    check_git(keep, entries, found, repair=plan.repair)
    versions = [version for entry in entries if (version := _version(keep, entry, found))]
    before = CheckedBefore(keep.cache("fsck"))
    ends = clock() + plan.budget_s if plan.budget_s is not None else None
    for store in _stores(keep, plan.stores):
        _check_store(
            keep, store, entries, versions, plan, found, before, lambda: ends is None or clock() < ends
        )
    _count_copies(keep, entries, found)
    if plan.deep:
        _cover(found, plan)
        if plan.budget_s is not None and found.coverage == 1:
            before.end_round()
    return found


def _entries(keep: Keep, plan: Plan) -> Iterator[VersionEntry]:
    for name in plan.names or keep.datasets:
        reference = keep.resolve(name)
        if "@" in name:
            yield keep.entry(reference)
        else:
            yield from keep.entries(reference.name)


def _stores(keep: Keep, names: Sequence[str]) -> list[Store]:
    keep.require_stores(names)
    return keep.stores(names or None)


def _version(keep: Keep, entry: VersionEntry, found: Fsck) -> _Version | None:
    if entry.manifest.get("backend") == "git":
        return None
    label = f"{entry.dataset}@{entry.version}"
    try:
        inventory = load_inventory(keep, entry)
        pointer = keep.dataset_repository(entry.dataset).read(entry.commit, f"{INVENTORY}.dvc") or b""
        parsed = dvc_format.parse_pointer_file(pointer, what=f"{INVENTORY}.dvc of {label}")
    except DatakeepError as error:
        found.complaints.append(Complaint(label, error.what, error.next_step))
        return None
    tree = dvc_format.tree_object(inventory)
    tree_name = f"{hashlib.md5(tree, usedforsecurity=False).hexdigest()}.dir"
    sha256 = bytes.fromhex(entry.inventory.removeprefix("sha256:"))
    expected = {
        tree_name: Expected(
            tree_name, len(tree), hashlib.sha256(tree).digest(), "data.dvc (the list of files)"
        ),
        parsed.md5: Expected(parsed.md5, parsed.size_bytes or 0, sha256, INVENTORY),
    }
    for file in inventory.files:
        name = file.md5.hex()
        expected.setdefault(name, Expected(name, file.size_bytes, file.sha256, f"data/{file.path}"))
    return _Version(entry, inventory, tuple(expected.values()))


def _check_store(
    keep: Keep,
    store: Store,
    entries: Sequence[VersionEntry],
    versions: Sequence[_Version],
    plan: Plan,
    found: Fsck,
    before: CheckedBefore,
    may_go_on: Callable[[], bool],
) -> None:
    try:
        store.check(keep=keep.name, writable=plan.repair)
        by_dataset: dict[str, list[_Version]] = {}
        for version in versions:
            if store.name in keep.holding(version.entry):
                by_dataset.setdefault(version.entry.dataset, []).append(version)
        for dataset, own in by_dataset.items():
            _check_dataset(keep, store, dataset, own, plan, found, before, may_go_on)
        for dataset in dict.fromkeys(entry.dataset for entry in entries if is_bundled(entry)):
            _check_bundles(keep, store, dataset, entries, plan, found, may_go_on)
    except DatakeepError as error:
        found.complaints.append(Complaint(f"store {store.name}", error.what, error.next_step))


def _check_bundles(
    keep: Keep,
    store: Store,
    dataset: str,
    entries: Sequence[VersionEntry],
    plan: Plan,
    found: Fsck,
    may_go_on: Callable[[], bool],
) -> None:
    """The bundles of one dataset in one store; a version needs its own and all those before it."""
    checked, repaired = check_bundles(
        keep, store, dataset, deep=plan.deep, repair=plan.repair, may_go_on=may_go_on
    )
    names = [entry.version for entry in chain(keep, dataset)]
    for entry in entries:
        if entry.dataset == dataset and is_bundled(entry) and store.name in keep.holding(entry):
            needed = {name: f"the bundle of {name}" for name in names[: names.index(entry.version) + 1]}
            label = f"{dataset}@{entry.version}"
            found.versions.append(_in_store(label, needed, store, checked, repaired))


def _check_dataset(
    keep: Keep,
    store: Store,
    dataset: str,
    versions: Sequence[_Version],
    plan: Plan,
    found: Fsck,
    before: CheckedBefore,
    may_go_on: Callable[[], bool],
) -> None:
    """All objects of one dataset in one store, each looked at once however many versions have it."""
    present = listing(store, dataset)
    expected = {item.name: item for version in versions for item in version.expected}
    checked = check_quick(expected.values(), present)
    if plan.deep:
        unread = [expected[name] for name in checked.unread]
        ordered = before.not_yet(store.name, dataset, unread) if plan.budget_s is not None else unread
        deep = check_deep(ordered, store, dataset, keep.progress, may_go_on=may_go_on)
        before.note(store.name, dataset, deep, present)
        known = (
            before.whole_in_this_round(store.name, dataset, checked.unread)
            if plan.budget_s is not None
            else set()
        )
        checked = Checked(
            whole=deep.whole | known,
            unread=checked.unread - known - deep.whole - deep.missing - deep.wrong.keys(),
            missing=checked.missing | deep.missing,
            wrong={**checked.wrong, **deep.wrong},
            read_bytes=deep.read_bytes,
        )
    repaired: set[str] = set()
    if plan.repair and (checked.missing or checked.wrong):
        bad = [expected[name] for name in (*checked.missing, *checked.wrong)]
        repaired = mend(keep, store, dataset, bad, [version.inventory for version in versions])
        checked.missing -= repaired
        checked.wrong = {name: why for name, why in checked.wrong.items() if name not in repaired}
        checked.whole |= repaired
    for version in versions:
        names = {item.name: item.path for item in version.expected}
        found.versions.append(_in_store(version.label, names, store, checked, repaired))
    if not plan.names:
        extra = present.keys() - expected.keys()
        found.unreferenced[store.name] = found.unreferenced.get(store.name, 0) + len(extra)


def _in_store(
    label: str, names: Mapping[str, str], store: Store, checked: Checked, repaired: set[str]
) -> InStore:
    """What was found of one version; ``names`` says for each of its objects what it is, for a person."""
    wrong = sorted(f"{names[name]}: {why}" for name, why in checked.wrong.items() if name in names)
    return InStore(
        version=label,
        store=store.name,
        objects=len(names),
        whole=len(names.keys() & checked.whole),
        unread=len(names.keys() & checked.unread),
        missing=tuple(sorted(names[name] for name in names.keys() & checked.missing)),
        wrong=tuple(wrong),
        repaired=len(names.keys() & repaired),
    )


def _count_copies(keep: Keep, entries: Sequence[VersionEntry], found: Fsck) -> None:
    """Copies against the policy; the git base is one of the git backend, and was checked above."""
    bad = {complaint.about for complaint in found.complaints}
    for entry in entries:
        label = f"{entry.dataset}@{entry.version}"
        good = [state for state in found.versions if state.version == label and not state.is_bad]
        whole = sum(state.whole == state.objects for state in good)
        in_git = is_bundled(entry) and not bad & {entry.dataset, label}
        found.copies.append(Copies(label, whole + in_git, len(good) - whole, keep.file.policy.copies))


def _cover(found: Fsck, plan: Plan) -> None:
    """How much of everything was read in this round, and how long a round takes with this budget."""
    total = sum(state.objects for state in found.versions)
    read = sum(state.whole + len(state.wrong) + len(state.missing) for state in found.versions)
    found.coverage = read / total if total else 1.0
    if plan.budget_s is not None and found.coverage:
        found.days_to_full = max(1, round(1 / found.coverage)) if found.coverage < 1 else 0
