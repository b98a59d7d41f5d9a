"""``fsck``: which versions are whole in which store, by listing or by reading every byte; and repair.

Repair copies what another store has whole, re-verifies it, and keeps the bad bytes beside it. It never deletes.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.store import dvc_format
from datakeep.store.checking import (
    Checked,
    Expected,
    check_deep,
    check_obstacles,
    check_quick,
    check_stated,
    listing,
)
from datakeep.workflows.bundles import chain, check_bundles, is_bundled
from datakeep.workflows.checked_before import CheckedBefore
from datakeep.workflows.fsck_git import check_git, unregistered
from datakeep.workflows.fsck_records import check_inventory, check_records
from datakeep.workflows.fsck_report import Complaint, Copies, Fsck, InStore, Lost, Plan
from datakeep.workflows.inventories import INVENTORY, load_inventory
from datakeep.workflows.last_fsck import remember
from datakeep.workflows.mending import mend
from datakeep.workflows.takers import fill_command

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


def fsck(
    keep: Keep,
    plan: Plan,
    *,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], float] = time.time,
) -> Fsck:
    """Check versions, stores and git repositories; with ``plan.repair``, mend what can be mended.

    What is found wrong is remembered for ``status``, until a later run looks at the same as closely.

    Raises:
        UnknownName: A dataset, version or store that the keep does not have.
    """
    keep.refresh()
    found = Fsck(plan.deep)
    entries = list(_entries(keep, plan, found))
    check_git(keep, entries, found, repair=plan.repair)
    check_records(keep, entries, found, now=now())
    found.unregistered = [] if plan.names else unregistered(keep)
    versions = [version for entry in entries if (version := _version(keep, entry, found))]
    before = CheckedBefore(keep.cache("fsck"))
    ends = clock() + plan.budget_s if plan.budget_s is not None else None
    look = _Look(keep, plan, found, entries, versions, before, lambda: ends is None or clock() < ends)
    for store in _stores(keep, plan.stores):
        look.at(store)
    found.lost = look.lost()
    if plan.counted or not plan.stores:
        _count_copies(keep, entries, found)
    if plan.deep:
        _cover(found, plan)
        if plan.budget_s is not None and found.coverage == 1:
            before.end_round()
    remember(keep, found, entries, at=now())
    return found


def _entries(keep: Keep, plan: Plan, found: Fsck) -> Iterator[VersionEntry]:
    """The versions that are asked for; one whose entry cannot be read is a complaint, and hides no other."""
    for name in plan.names or keep.datasets:
        reference = keep.resolve(name)
        if "@" in name:
            yield keep.entry(reference)
            continue
        for version, entry in keep.entries_or_faults(reference.name).items():
            if isinstance(entry, DatakeepError):
                label = f"{reference.name}@{version}"
                found.complaints.append(Complaint(label, entry.what, entry.next_step))
            else:
                yield entry


def _stores(keep: Keep, names: Sequence[str]) -> list[Store]:
    keep.require_stores(names)
    return keep.stores(names or None)


def _version(keep: Keep, entry: VersionEntry, found: Fsck) -> _Version | None:
    if entry.manifest.get("backend") == "git":
        with contextlib.suppress(
            DatakeepError
        ):  # what its repository lacks, and its bundles, is said elsewhere
            check_inventory(entry, load_inventory(keep, entry), found)
        return None
    label = f"{entry.dataset}@{entry.version}"
    try:
        inventory = load_inventory(keep, entry)
        pointer = _pointer(keep, entry, f"{INVENTORY}.dvc")
    except DatakeepError as error:
        found.complaints.append(Complaint(label, error.what, error.next_step))
        return None
    tree = dvc_format.tree_object(inventory)
    tree_name = f"{hashlib.md5(tree, usedforsecurity=False).hexdigest()}.dir"
    check_inventory(entry, inventory, found)
    found.complaints += _misfits(keep, entry, inventory, tree_name, pointer)
    sha256 = bytes.fromhex(entry.inventory.removeprefix("sha256:"))
    expected = {
        tree_name: Expected(
            tree_name, len(tree), hashlib.sha256(tree).digest(), "data.dvc (the list of files)"
        ),
        pointer.md5: Expected(pointer.md5, pointer.size_bytes or 0, sha256, INVENTORY),
    }
    for file in inventory.files:
        name = file.md5.hex()
        expected.setdefault(name, Expected(name, file.size_bytes, file.sha256, f"data/{file.path}"))
    return _Version(entry, inventory, tuple(expected.values()))


def _pointer(keep: Keep, entry: VersionEntry, path: str) -> dvc_format.Pointer:
    text = keep.dataset_repository(entry.dataset).read(entry.commit, path) or b""
    return dvc_format.parse_pointer_file(text, what=f"{path} of {entry.dataset}@{entry.version}")


def _misfits(
    keep: Keep, entry: VersionEntry, inventory: Inventory, tree_name: str, pointer: dvc_format.Pointer
) -> Iterator[Complaint]:
    """Where the pointers, which plain ``dvc pull`` follows, do not lead to what the inventory lists."""
    label = f"{entry.dataset}@{entry.version}"
    step = f"do not use it with dvc pull; datakeep verify {label} tells who must act"
    try:
        data = _pointer(keep, entry, "data.dvc")
    except DatakeepError as error:
        yield Complaint(label, error.what, error.next_step)
        return
    if data.md5 != tree_name:
        what = f"data.dvc of {label} does not list the files that its inventory lists"
        yield Complaint(label, what, step)
    for found, wanted in ((data, "data"), (pointer, INVENTORY)):
        if found.path != wanted:
            what = f"{wanted}.dvc of {label} writes to {found.path!r} instead of {wanted!r}"
            yield Complaint(label, what, step)
    counts = ((data.nfiles, len(inventory), "files"), (data.size_bytes, inventory.size_bytes, "bytes"))
    for said, true, word in counts:
        if said is not None and said != true:
            what = f"data.dvc of {label} says {said:,} {word}, its inventory {true:,}"
            yield Complaint(label, what, step)


class _Look:
    """One run's look at the stores.

    Args:
        keep: The keep.
        plan: What is asked.
        found: Takes what is found.
        entries: The versions that are looked at.
        versions: Those of them whose bytes are objects of their own.
        before: What earlier runs of a budget have read.
        may_go_on: Whether there is time to read more.
    """

    def __init__(
        self,
        keep: Keep,
        plan: Plan,
        found: Fsck,
        entries: Sequence[VersionEntry],
        versions: Sequence[_Version],
        before: CheckedBefore,
        may_go_on: Callable[[], bool],
    ) -> None:
        self._keep, self._plan, self._found = keep, plan, found
        self._entries, self._versions = entries, versions
        self._before, self._may_go_on = before, may_go_on
        self._bad: dict[str, dict[str, set[str]]] = {}  # version to store to names of objects

    def at(self, store: Store) -> None:
        """Look at all versions that ``store`` should hold, and mend what is bad, if that is asked and possible."""
        try:
            fault = self._enter(store)
            repair = self._plan.repair and fault is None
            by_dataset: dict[str, list[_Version]] = {}
            for version in self._versions:
                if store.name in self._keep.holding(version.entry):
                    by_dataset.setdefault(version.entry.dataset, []).append(version)
            for dataset, own in by_dataset.items():
                if (
                    repair
                ):  # a repair that was killed at its very end leaves nothing to mend, and its temporary files
                    store.tidy(dataset)
                self._objects(store, dataset, own, repair=repair)
            for dataset in dict.fromkeys(entry.dataset for entry in self._entries if is_bundled(entry)):
                self._bundles(store, dataset, repair=repair)
        except DatakeepError as error:
            self._complain(store, error.what, error)
            return
        if fault and any(state.is_bad for state in self._found.versions if state.store == store.name):
            self._complain(store, f"nothing in it could be repaired: {fault.what}", fault)

    def _complain(self, store: Store, what: str, error: DatakeepError) -> None:
        self._found.complaints.append(Complaint(f"store {store.name}", what, error.next_step))

    def _enter(self, store: Store) -> DatakeepError | None:
        """Make sure of the store; why it cannot be repaired, if it can be read all the same."""
        try:
            store.check(keep=self._keep.name, writable=self._plan.repair)
        except DatakeepError as error:
            if not self._plan.repair:
                raise
            store.check(keep=self._keep.name)
            return error
        return None

    def _bundles(self, store: Store, dataset: str, *, repair: bool) -> None:
        """The bundles of one dataset in one store; a version needs its own and all those before it."""
        checked, repaired = check_bundles(
            self._keep, store, dataset, deep=self._plan.deep, repair=repair, may_go_on=self._may_go_on
        )
        names = [entry.version for entry in chain(self._keep, dataset)]
        self._found.objects += len(names)
        self._found.read += len(checked.whole | checked.wrong.keys())
        self._found.left += len(checked.unread)
        for entry in self._entries:
            if entry.dataset == dataset and is_bundled(entry) and store.name in self._keep.holding(entry):
                needed = {name: f"the bundle of {name}" for name in names[: names.index(entry.version) + 1]}
                label = f"{dataset}@{entry.version}"
                self._found.versions.append(_in_store(label, needed, store, checked, repaired))

    def _objects(self, store: Store, dataset: str, versions: Sequence[_Version], *, repair: bool) -> None:
        """All objects of one dataset in one store, each looked at once however many versions have it."""
        present = listing(store, dataset)
        expected = {item.name: item for version in versions for item in version.expected}
        checked = check_quick(expected.values(), present)
        check_obstacles(store, dataset, checked)
        if self._plan.deep:
            checked = self._read(store, dataset, expected, present, checked)
        else:
            check_stated(expected, store, dataset, checked, self._keep.progress)
        repaired: set[str] = set()
        if repair and (checked.missing or checked.wrong):
            bad = [expected[name] for name in (*checked.missing, *checked.wrong)]
            repaired = self._mend(store, dataset, bad, versions)
            checked.missing -= repaired
            checked.wrong = {name: why for name, why in checked.wrong.items() if name not in repaired}
            checked.whole |= repaired
        bad_names = checked.missing | checked.wrong.keys()
        for version in versions:
            names = {item.name: item.path for item in version.expected}
            self._found.versions.append(_in_store(version.label, names, store, checked, repaired))
            self._bad.setdefault(version.label, {})[store.name] = names.keys() & bad_names
        self._found.objects += len(expected)
        self._found.stated += len(checked.stated)
        if not self._plan.names:
            extra = present.keys() - expected.keys()
            self._found.unreferenced[store.name] = self._found.unreferenced.get(store.name, 0) + len(extra)

    def _read(
        self,
        store: Store,
        dataset: str,
        expected: Mapping[str, Expected],
        present: Mapping[str, int],
        quick: Checked,
    ) -> Checked:
        """What reading tells beyond the listing, as far as there is time."""
        unread = [expected[name] for name in quick.unread]
        known: set[str] = set()
        budget = self._plan.budget_s is not None
        ordered = self._before.not_yet(store.name, dataset, unread) if budget else unread
        deep = check_deep(ordered, store, dataset, self._keep.progress, may_go_on=self._may_go_on)
        self._before.note(store.name, dataset, deep, present)
        if budget:
            known = self._before.whole_in_this_round(store.name, dataset, quick.unread)
        left = quick.unread - known - deep.whole - deep.missing - deep.wrong.keys()
        self._found.read += len(deep.whole | deep.missing | deep.wrong.keys())
        self._found.left += len(left)
        return Checked(
            whole=deep.whole | known,
            unread=left,
            missing=quick.missing | deep.missing,
            wrong={**quick.wrong, **deep.wrong},
            read_bytes=deep.read_bytes,
        )

    def _mend(
        self, store: Store, dataset: str, bad: Sequence[Expected], versions: Sequence[_Version]
    ) -> set[str]:
        try:
            return mend(self._keep, store, dataset, bad, [version.inventory for version in versions])
        except DatakeepError as error:
            self._complain(store, f"{dataset} in it could not be repaired: {error.what}", error)
            return set()

    def lost(self) -> list[Lost]:
        """What is whole in no store, of versions that every store was asked for that should hold them."""
        found = []
        for version in self._versions:
            bad, entry = self._bad.get(version.label, {}), version.entry
            holding = self._keep.holding(entry)
            names = set.intersection(*bad.values()) if holding and bad.keys() >= set(holding) else set()
            if names:
                own = {file.md5.hex() for file in version.inventory.files}
                paths = [f"data/{file.path}" for file in version.inventory.files if file.md5.hex() in names]
                paths += [item.path for item in version.expected if item.name in names - own]
                found.append(Lost(version.label, tuple(sorted(paths)), self._way_out(entry)))
        return found

    def _way_out(self, entry: VersionEntry) -> str:
        stores = " or ".join(str(store) for store in self._keep.stores(self._keep.holding(entry)))
        owner = entry.owner.get("email") or entry.registered_by
        return (
            f"restore the folder {entry.dataset} of {stores} from a backup; or its owner {owner} registers the "
            f"files again: datakeep update {entry.dataset} SOURCE --deep -m WHY; then datakeep fsck --deep"
        )


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
    stores, wanted = [store.name for store in keep.file.vault.stores], keep.file.policy.copies
    steps: dict[str, None] = {}
    for entry in entries:
        label = f"{entry.dataset}@{entry.version}"
        good = [state for state in found.versions if state.version == label and not state.is_bad]
        whole = sum(state.whole == state.objects for state in good)
        in_git = is_bundled(entry) and not bad & {entry.dataset, label}
        found.copies.append(Copies(label, whole + in_git, len(good) - whole, wanted))
        holding = keep.holding(entry)
        if len(holding) + is_bundled(entry) < wanted:
            lacking = next((name for name in stores if name not in holding), None)
            steps[fill_command(keep, lacking) if lacking else "datakeep vault add NAME URL"] = None
    found.more_copies = list(steps)


def _cover(found: Fsck, plan: Plan) -> None:
    """How much of everything was read in this round, and how long a round takes with this budget."""
    total = sum(state.objects for state in found.versions)
    read = sum(state.whole + len(state.wrong) + len(state.missing) for state in found.versions)
    found.coverage = read / total if total else 1.0
    if plan.budget_s is not None and (found.read or not found.left):
        found.days_to_full = math.ceil(found.left / found.read) if found.left else 0
