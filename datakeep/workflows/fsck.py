"""``fsck``: which versions are whole in which store, by listing or by reading every byte; and repair.

Repair copies what another store has whole, re-verifies it, and keeps the bad bytes beside it. It never deletes.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError, UnknownName
from datakeep.core.names import nearest
from datakeep.repository import vault
from datakeep.store import dvc_format
from datakeep.store.checking import Checked, Expected, check_deep, check_quick, listing
from datakeep.workflows.checked_before import CheckedBefore
from datakeep.workflows.inventories import INVENTORY, load_inventory
from datakeep.workflows.mending import mend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from datakeep.formats.inventory import Inventory
    from datakeep.formats.version import VersionEntry
    from datakeep.store.interface import Store
    from datakeep.workflows.keep import Keep


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of fsck.

    Args:
        names: Datasets or versions; none means all.
        stores: Stores by name; none means all.
        deep: Read every byte.
        budget_s: Stop reading after so long, and go on there the next time; None means no limit.
        repair: Copy back what another store has whole.
    """

    names: Sequence[str] = ()
    stores: Sequence[str] = ()
    deep: bool = False
    budget_s: float | None = None
    repair: bool = False


@dataclass(frozen=True, slots=True)
class InStore:
    """One version in one store; ``whole`` counts objects that were read, now or in this round of a budget."""

    version: str
    store: str
    objects: int
    whole: int
    unread: int
    missing: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    repaired: int = 0

    @property
    def is_bad(self) -> bool:
        """Whether something is known to be missing or wrong."""
        return bool(self.missing or self.wrong)


@dataclass(frozen=True, slots=True)
class Copies:
    """How many copies of a version there are: known whole, and present but not read in full."""

    version: str
    whole: int
    present: int
    wanted: int


@dataclass(slots=True)
class Fsck:
    """What was found.

    Attributes:
        deep: Whether bytes were read.
        versions: Each version in each store.
        copies: Each version's copies.
        complaints: Of git repositories, stores that do not answer, inventories that cannot be had.
        unreferenced: Objects per store that no registered version refers to.
        coverage: Share of the objects that were read in this round; None where nothing is read.
        days_to_full: How many runs a day apart this budget needs for all; None without a budget.
    """

    deep: bool
    versions: list[InStore] = field(default_factory=list)
    copies: list[Copies] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    unreferenced: dict[str, int] = field(default_factory=dict)
    coverage: float | None = None
    days_to_full: int | None = None

    @property
    def is_clean(self) -> bool:
        """Nothing is missing or wrong anywhere, and every version has the copies that the policy asks for."""
        short = any(copies.whole + copies.present < copies.wanted for copies in self.copies)
        return not (self.complaints or short or any(version.is_bad for version in self.versions))


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
    _check_git(keep, entries, found)
    versions = [version for entry in entries if (version := _version(keep, entry, found))]
    before = CheckedBefore(keep.cache("fsck"))
    ends = clock() + plan.budget_s if plan.budget_s is not None else None
    for store in _stores(keep, plan.stores):
        _check_store(keep, store, versions, plan, found, before, lambda: ends is None or clock() < ends)
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
    known = [store.name for store in keep.file.vault.stores]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            raise UnknownName(
                f"this keep has no store {name!r}" + (f"; did you mean {near!r}?" if near else ""),
                next_step="datakeep vault list",
            )
    return keep.stores(names or None)


def _check_git(keep: Keep, entries: Sequence[VersionEntry], found: Fsck) -> None:
    """The vault's repositories are whole, and each version's tag is the commit that was registered."""
    found.complaints += [f"the keep's repository: {line}" for line in _git_complaints(keep.repository.url)]
    for name in dict.fromkeys(entry.dataset for entry in entries):
        url = keep.dataset_url(name)
        complaints = _git_complaints(url)
        found.complaints += [f"{name}: {line}" for line in complaints]
        if complaints:
            continue
        try:
            tags = keep.dataset_repository(name).remote_tags()
        except DatakeepError as error:
            found.complaints.append(f"{name}: {error.what}")
            continue
        for entry in entries:
            if entry.dataset == name and tags.get(entry.version) != entry.commit:
                said = "is not there" if entry.version not in tags else "is another commit than registered"
                found.complaints.append(f"{name}@{entry.version}: its tag in {url} {said}")


def _git_complaints(url: str) -> list[str]:
    try:
        return vault.fsck(url)
    except DatakeepError as error:
        return [error.what]


def _version(keep: Keep, entry: VersionEntry, found: Fsck) -> _Version | None:
    if entry.manifest.get("backend") == "git":
        return None
    label = f"{entry.dataset}@{entry.version}"
    try:
        inventory = load_inventory(keep, entry)
        pointer = keep.dataset_repository(entry.dataset).read(entry.commit, f"{INVENTORY}.dvc") or b""
        parsed = dvc_format.parse_pointer_file(pointer, what=f"{INVENTORY}.dvc of {label}")
    except DatakeepError as error:
        found.complaints.append(f"{label}: {error.what}")
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
    except DatakeepError as error:
        found.complaints.append(error.what)


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
        found.versions.append(_in_store(version, store, checked, repaired))
    if not plan.names:
        extra = present.keys() - expected.keys()
        found.unreferenced[store.name] = found.unreferenced.get(store.name, 0) + len(extra)


def _in_store(version: _Version, store: Store, checked: Checked, repaired: set[str]) -> InStore:
    names = {item.name: item.path for item in version.expected}
    wrong = sorted(f"{names[name]}: {why}" for name, why in checked.wrong.items() if name in names)
    return InStore(
        version=version.label,
        store=store.name,
        objects=len(names),
        whole=len(names.keys() & checked.whole),
        unread=len(names.keys() & checked.unread),
        missing=tuple(sorted(names[name] for name in names.keys() & checked.missing)),
        wrong=tuple(wrong),
        repaired=len(names.keys() & repaired),
    )


def _count_copies(keep: Keep, entries: Sequence[VersionEntry], found: Fsck) -> None:
    """Copies against the policy; the git backend's one copy is the git base, which was checked above."""
    for entry in entries:
        label = f"{entry.dataset}@{entry.version}"
        own = [state for state in found.versions if state.version == label]
        if entry.manifest.get("backend") == "git":
            bad = any(line.startswith((f"{entry.dataset}:", f"{label}:")) for line in found.complaints)
            whole, present = (0 if bad else 1), 0
        else:
            good = [state for state in own if not state.is_bad]
            whole = sum(state.whole == state.objects for state in good)
            present = len(good) - whole
        found.copies.append(Copies(label, whole, present, keep.file.policy.copies))


def _cover(found: Fsck, plan: Plan) -> None:
    """How much of everything was read in this round, and how long a round takes with this budget."""
    total = sum(state.objects for state in found.versions)
    read = sum(state.whole + len(state.wrong) + len(state.missing) for state in found.versions)
    found.coverage = read / total if total else 1.0
    if plan.budget_s is not None and found.coverage:
        found.days_to_full = max(1, round(1 / found.coverage)) if found.coverage < 1 else 0
