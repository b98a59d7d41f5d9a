"""Bytes of a version into a clone of its repository, every one of them read and hashed.

Both backends end in the same answer: how many files are present and match, and which are missing, wrong
or stray. Everything is held against the register entry: its digest proves the inventory, and the inventory
proves the files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import DamagedBytes
from datakeep.repository.foreign import Limits
from datakeep.store import dvc_format
from datakeep.store.faults import folder_faults
from datakeep.store.fetch import fetch
from datakeep.store.rehash import rehash
from datakeep.store.verified import find_object
from datakeep.workflows.attachments import MAX_TOTAL_BYTES
from datakeep.workflows.inventories import INVENTORY, checked, limit_of

if TYPE_CHECKING:
    from pathlib import Path

    from datakeep.formats.inventory import Inventory
    from datakeep.formats.version import VersionEntry
    from datakeep.store.interface import Store
    from datakeep.store.verified import ObjectFault
    from datakeep.workflows.keep import Keep

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Transfer:
    """What came, and what is wrong with it.

    Args:
        inventory: The version's, checked against the register entry.
        matching: How many files are there with the registered bytes.
        missing: Files that no store has, or that are not in the clone.
        mismatched: Files whose bytes are not the registered ones.
        stray: Files that do not belong.
        by_store: Objects per store (or ``git``).
        rehashed_bytes: How many bytes were read and hashed.
        repaired: Bad copies that another store made good, in words.
        evidence: One line for each bad file.
        where: Where the bytes came from, in words.
    """

    inventory: Inventory
    matching: int
    missing: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    stray: tuple[str, ...] = ()
    by_store: dict[str, int] = field(default_factory=dict)
    rehashed_bytes: int = 0
    repaired: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    where: str = "the git base"

    @property
    def is_whole(self) -> bool:
        """Whether exactly the registered files are there, with exactly the registered bytes."""
        return self.matching == len(self.inventory) and not (self.missing or self.mismatched or self.stray)

    @property
    def summary(self) -> str:
        """One positive verdict, or what is wrong, with the first files by name."""
        count = f"{self.matching}/{len(self.inventory)} files present and matching"
        if self.is_whole:
            return f"{count}, {counted(self.rehashed_bytes, 'byte')} re-hashed from {self.where}"
        parts = [
            f"{len(paths)} {word}: {', '.join(paths[:_SHOWN])}{' …' if len(paths) > _SHOWN else ''}"
            for word, paths in (("missing", self.missing), ("wrong", self.mismatched), ("stray", self.stray))
            if paths
        ]
        return f"{count} in {self.where}; {'; '.join(parts)}"


def clone_limits(entry: VersionEntry) -> Limits:
    """How large a clone of the version may be: its data, where git has them, its inventory and its documents.

    A few megabytes of a pack can hold gigabytes of zeros, which nobody registered.
    """
    data_bytes = entry.size_bytes if entry.manifest.get("backend") == "git" else 0
    return Limits(size_bytes=data_bytes + limit_of(entry) + 2 * MAX_TOTAL_BYTES)


def transfer(keep: Keep, entry: VersionEntry, checkout: Path) -> Transfer:
    """The data of ``entry`` in ``checkout/data``, and its inventory beside it, all verified.

    Args:
        keep: The keep, for its stores.
        entry: The version.
        checkout: A clone of the dataset's repository at the version's commit.

    Raises:
        DamagedBytes: The inventory, or the list of files, cannot be had as registered.
        HostileRepository: It names a path that could harm this machine.
        StoreUnreachable, AccessDenied: No store answers.
    """
    if entry.manifest.get("backend") == "git":
        return _from_git(keep, entry, checkout)
    return _from_stores(keep, entry, checkout)


def _from_git(keep: Keep, entry: VersionEntry, checkout: Path) -> Transfer:
    file = checkout / INVENTORY
    inventory = checked(file.read_bytes() if file.is_file() else None, entry)
    report = rehash(checkout / "data", inventory, keep.progress)
    evidence = [
        f"data/{path}: {word}"
        for word, paths in (
            ("missing", report.missing),
            ("other bytes", report.mismatched),
            ("stray", report.stray),
        )
        for path in paths
    ]
    return Transfer(
        inventory,
        report.matching,
        tuple(f"data/{path}" for path in report.missing),
        tuple(f"data/{path}" for path in report.mismatched),
        tuple(f"data/{path}" for path in report.stray),
        by_store={"git": report.matching},
        rehashed_bytes=report.size_bytes,
        evidence=tuple(evidence),
    )


def _from_stores(keep: Keep, entry: VersionEntry, checkout: Path) -> Transfer:
    stores = keep.stores(keep.holding(entry))
    faults: list[ObjectFault] = []
    what = f"{INVENTORY} of {entry.dataset}@{entry.version}"
    sha256 = bytes.fromhex(entry.inventory.removeprefix("sha256:"))
    limit_bytes = limit_of(entry)
    data = _object(
        checkout, f"{INVENTORY}.dvc", stores, entry, faults, what=what, limit_bytes=limit_bytes, sha256=sha256
    )
    inventory = checked(data, entry)
    what = f"the list of files (data.dvc) of {entry.dataset}@{entry.version}"
    # DVC's list holds less of each file than an inventory can, so that what bounds the one bounds the other.
    listing = _object(checkout, "data.dvc", stores, entry, faults, what=what, limit_bytes=limit_bytes)
    _same_listing(listing, inventory, entry)
    stray = _present(checkout / "data")
    with folder_faults(checkout, "write the inventory to it"):
        (checkout / INVENTORY).write_bytes(data)
    report = fetch(inventory, stores, entry.dataset, checkout / "data", keep.progress)
    faults += report.faults
    bad = set(report.unavailable)
    missing = {fault.path for fault in faults if fault.path in bad and fault.kind == "missing"}
    return Transfer(
        inventory,
        len(inventory) - len(bad),
        tuple(f"data/{path}" for path in sorted(missing)),
        tuple(f"data/{path}" for path in sorted(bad - missing)),
        tuple(f"data/{path}" for path in stray),
        by_store=dict(report.by_store),
        rehashed_bytes=report.size_bytes,
        repaired=tuple(
            f"store {fault.store}: {fault.path} is {fault.kind} there; a good copy came from another store"
            for fault in faults
            if fault.path not in bad
        ),
        evidence=tuple(
            f"data/{fault.path}: {fault.kind} in store {fault.store} ({fault.detail})"
            for fault in faults
            if fault.path in bad
        ),
        where=f"store {', '.join(store.name for store in stores)}",
    )


def _object(
    checkout: Path,
    pointer: str,
    stores: list[Store],
    entry: VersionEntry,
    faults: list[ObjectFault],
    *,
    what: str,
    limit_bytes: int,
    sha256: bytes | None = None,
) -> bytes:
    """The object that a ``.dvc`` file of the clone points to."""
    file = checkout / pointer
    if not file.is_file():
        raise DamagedBytes(
            f"{pointer} is not in the repository of {entry.dataset}", next_step="ask its owner"
        )
    parsed = dvc_format.parse_pointer_file(
        file.read_bytes(), what=f"{pointer} of {entry.dataset}@{entry.version}"
    )
    found = find_object(parsed.md5, stores, entry.dataset, sha256=sha256, limit_bytes=limit_bytes, what=what)
    if found.data is None:
        lines = [f"{fault.kind} in store {fault.store} ({fault.detail})" for fault in found.faults]
        raise DamagedBytes(
            f"{what} is {found.faults[0].kind if found.faults else 'in no store'}; without it no file is found",
            next_step=f"restore {', '.join(store.name for store in stores)} from a backup",
            things=lines,
        )
    faults += found.faults
    return found.data


def _same_listing(listing: bytes, inventory: Inventory, entry: VersionEntry) -> None:
    """DVC's own list of files must be the inventory's, or plain ``dvc pull`` gives something else."""
    what = f"the list of files (data.dvc) of {entry.dataset}@{entry.version}"
    listed = dvc_format.parse_tree_object(listing, what=what)
    ours = {file.path: file.md5.hex() for file in inventory.files}
    if listed != ours:
        differing = sorted(path for path in {*ours, *listed} if ours.get(path) != listed.get(path))
        count = counted(len(differing), "difference")
        raise DamagedBytes(
            f"{what} is not that of its inventory: {count}, such as data/{differing[0]}",
            next_step="ask its owner: what DVC would give is not what was registered",
            things=[f"data/{path}" for path in differing],
        )


def _present(folder: Path) -> list[str]:
    """Files that lie where only the stores' bytes belong, such as data that was committed beside them."""
    if not folder.is_dir():
        return []
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
