"""``checkout``: a version's files on this machine, every byte read and found right, or nothing at all.

The working copy is built beside its place and renamed into it, so that no kill and no bad object leaves
half of one. What comes out is an ordinary git (and DVC) working copy.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import AlreadyExists, DamagedBytes, GitFault
from datakeep.repository import foreign, submodules, working
from datakeep.repository.command import local_path
from datakeep.repository.faults import RepositoryMissing, VersionLost
from datakeep.store import dvc_format
from datakeep.store.dvc_cache import fill_cache
from datakeep.store.faults import folder_faults
from datakeep.store.fetch import fetch
from datakeep.store.interface import MARKER_NAME
from datakeep.store.rehash import rehash
from datakeep.workflows.blame import lost_version
from datakeep.workflows.inventories import INVENTORY, checked, from_pointer, load_inventory
from datakeep.workflows.transfer import clone_limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.formats.inventory import Inventory
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.dataset import DatasetRepository
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.store.fetch import FetchReport
    from datakeep.store.unchanged import RehashReport
    from datakeep.store.verified import ObjectFault
    from datakeep.workflows.keep import Keep


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """A working copy whose bytes were all read and found right.

    Attributes:
        path: Its folder.
        files: How many files its data has.
        size_bytes: Of all of them.
        created: False where it was there already, whole.
        submodule: Whether it is the keep's submodule.
        faults: Bad copies that were met, one line each, where another store had a good one.
        linked: How many objects are hard links into a store; None where that was not asked for.
    """

    entry: VersionEntry
    path: Path
    files: int
    size_bytes: int
    created: bool
    submodule: bool
    faults: tuple[str, ...] = ()
    linked: int | None = None


def checkout(
    keep: Keep, reference: str, destination: Path | None = None, *, hard_links: bool = False
) -> CheckedOut:
    """A working copy of a version, at ``destination`` or as the keep's submodule.

    Args:
        keep: The keep.
        reference: ``NAME`` (the newest version) or ``NAME@V``.
        destination: A folder that is empty or not there; None means ``datasets/NAME`` of the keep.
        hard_links: Where a store's file system allows it, files are its very objects, read-only.

    Raises:
        AlreadyExists: Something else is there, or changes that would be lost.
        DamagedBytes: Files are missing or are not what was registered; lists them. Nothing is left.
        StoreUnreachable, AccessDenied, NoSpace: Of the vault, or of the destination.
    """
    entry = keep.entry(keep.resolve(reference))
    own = keep.root / "datasets" / entry.dataset
    if destination is None or _same_place(destination, own):
        return _as_submodule(keep, entry, own, hard_links=hard_links)
    place = Path(os.path.abspath(destination))  # noqa: PTH100  (it takes the ".." out, and follows no link)
    _require_free(place, keep)
    with staging_folder(place.parent, place.name, entry.commit) as staging:
        staged, report = _build(keep, entry, staging / "checkout", hard_links=hard_links)
        with folder_faults(place, "check out into it"):
            staged.rename(place)
    return _done(entry, place, report, submodule=False, hard_links=hard_links)


def _same_place(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _require_free(place: Path, keep: Keep) -> None:
    if os.path.lexists(place) and (place.is_symlink() or not place.is_dir() or any(place.iterdir())):
        raise AlreadyExists(f"{place} exists and is not empty", next_step="name a folder that does not exist")
    for folder in place.resolve().parents:
        if (folder / "dataset.yaml").is_file() and (folder / ".git").exists():
            raise AlreadyExists(
                f"{place} lies in the dataset at {folder}", next_step="name a folder outside of it"
            )
        if folder == keep.root.resolve():
            raise AlreadyExists(
                f"{place} lies in the keep {folder}, which has a place of its own for each dataset",
                next_step="leave DEST out to use it, or name a folder outside of the keep",
            )
        if inside := _vault_part(folder, keep):
            raise AlreadyExists(f"{place} lies in {inside}", next_step="name a folder outside of it")


def _vault_part(folder: Path, keep: Keep) -> str | None:
    """What ``folder`` is, if a working copy inside of it would lie among the vault's own files or git's."""
    if (folder / MARKER_NAME).is_file():
        return f"the store {folder}, which is for datakeep's own files"
    base = local_path(keep.git_base)
    if base is not None and _same_place(folder, base):
        return f"the git base {folder}, which is for bare repositories"
    if folder.name == ".git" or ((folder / "HEAD").is_file() and (folder / "objects").is_dir()):
        return f"the git repository {folder}, among git's own files"
    return None


def _as_submodule(keep: Keep, entry: VersionEntry, place: Path, *, hard_links: bool) -> CheckedOut:
    path = f"datasets/{entry.dataset}"
    _check_modules(keep.tree, path)
    head = working.head_of(place)
    if head is None:
        if os.path.lexists(place) and (place.is_symlink() or not place.is_dir() or any(place.iterdir())):
            raise AlreadyExists(
                f"{place} holds something that is not a checkout of {entry.dataset}",
                next_step=f"move it away, or name another folder: datakeep checkout {entry.dataset} DEST",
            )
        return _place_submodule(keep, entry, place, path, old=False, hard_links=hard_links)
    shown = _shown(keep, entry, place, head)
    inventory = load_inventory(keep, shown)
    found = _look(place, inventory, keep)
    if head == entry.commit and found is not None and found.is_whole:
        _remove_killed(keep.cache("checkout"), entry.dataset)
        working.activate(keep.root, path)
        return CheckedOut(entry, place, found.matching, inventory.size_bytes, created=False, submodule=True)
    _refuse_loss(place, shown, found)
    return _place_submodule(keep, entry, place, path, old=True, hard_links=hard_links)


def _check_modules(tree: KeepTree, path: str) -> None:
    """Git is about to read the keep's .gitmodules; the entry must be there and harmless."""
    modules = submodules.parse((tree.read(".gitmodules") or b"").decode("utf-8", "replace"))
    found = [module for module in modules if module.path == path]
    submodules.check(found)
    if not found or found[0].name != path:
        raise GitFault(
            f"the keep's .gitmodules does not name {path}",
            next_step="restore it from history: git log -- .gitmodules",
        )


def _shown(keep: Keep, entry: VersionEntry, place: Path, head: str) -> VersionEntry:
    """The registered version that the checkout at ``place`` shows.

    Raises:
        AlreadyExists: It shows none, or has uncommitted changes, which would be lost.
    """
    if (place / ".git").is_dir():
        raise AlreadyExists(
            f"{place} is a clone of its own, not the keep's submodule",
            next_step=f"git -C {keep.root} submodule absorbgitdirs datasets/{entry.dataset}",
        )
    shown = keep.at_commit(entry.dataset, head)
    if shown is None:
        raise AlreadyExists(
            f"{place} is at a commit that is no registered version of {entry.dataset}",
            next_step=f"copy its data elsewhere and make it the next version: datakeep update {entry.dataset} DIR "
            "-m WHY; or name another folder as DEST",
        )
    return shown


def _look(place: Path, inventory: Inventory, keep: Keep) -> RehashReport | None:
    return rehash(place / "data", inventory, keep.progress) if (place / "data").is_dir() else None


def _refuse_loss(place: Path, shown: VersionEntry, found: RehashReport | None) -> None:
    rebuilt = ("data/", ".dvc/cache/", ".dvc/tmp/", ".dvc/config.local", INVENTORY)
    changed = [
        path
        for path in working.uncommitted(place, ignored=True)
        if os.path.lexists(place / path) and not path.startswith(rebuilt)
    ]
    if found is not None:
        changed += [f"data/{path}" for path in (*found.mismatched, *found.stray)]
    if changed:
        raise AlreadyExists(
            f"{place} has changes to {shown.dataset}@{shown.version} that would be lost",
            next_step=f"datakeep status {shown.dataset} lists them; undo them, name another folder as "
            f"DEST, or copy the data elsewhere and make it a version: datakeep update {shown.dataset} DIR -m WHY",
            things=changed,
        )


def _place_submodule(
    keep: Keep, entry: VersionEntry, place: Path, path: str, *, old: bool, hard_links: bool
) -> CheckedOut:
    with staging_folder(keep.cache("checkout"), entry.dataset, entry.commit) as staging:
        staged, report = _build(keep, entry, staging / "checkout", hard_links=hard_links)
        with keep.repository.lock(), folder_faults(place, "check out into it"):
            if old:
                place.rename(staging / "before")
            try:
                working.become_submodule(keep.root, path, staged)
            except BaseException:
                if old and not place.exists():
                    (staging / "before").rename(place)
                raise
    return _done(entry, place, report, submodule=True, hard_links=hard_links)


@contextlib.contextmanager
def staging_folder(parent: Path, name: str, commit: str) -> Iterator[Path]:
    """A folder beside the destination, gone afterwards; those of killed processes are removed too.

    What a killed checkout of the same commit had fetched is in ``left`` of the new folder.
    """
    with folder_faults(parent, "write to it"):
        parent.mkdir(parents=True, exist_ok=True)
        folder = parent / f"{_prefix(name)}{commit[:12]}-{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir()
        for left in _killed(parent, name):
            data = left / "checkout" / "data"
            same = left.name.startswith(f"{_prefix(name)}{commit[:12]}-")
            if same and data.is_dir() and not data.is_symlink() and not (folder / "left").exists():
                data.rename(folder / "left")
            _remove(left)
    try:
        yield folder
    finally:
        _remove(folder)


def _prefix(name: str) -> str:
    return f".{name[:100]}.datakeep-"


def _remove_killed(parent: Path, name: str) -> None:
    """What killed processes left of their work on ``name``, perhaps after it was in its place, is gone."""
    for left in _killed(parent, name):
        _remove(left)


def _killed(parent: Path, name: str) -> Iterator[Path]:
    prefix = _prefix(name)
    for left in parent.glob(f"{glob.escape(prefix)}*"):
        _commit, _, process = left.name.removeprefix(prefix).partition("-")
        if not _is_alive(process.partition("-")[0]):
            yield left


def _is_alive(pid: str) -> bool:
    if not pid.isdecimal():
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _build(
    keep: Keep, entry: VersionEntry, place: Path, *, hard_links: bool
) -> tuple[Path, FetchReport | None]:
    """A whole working copy at ``place``, verified; the report is of the stores, for the dvc backend."""
    keep.progress.stage(f"cloning {entry.dataset}@{entry.version}", unit="steps")
    repository = keep.dataset_repository(entry.dataset)
    _fetch(keep, repository, entry)
    # From our own cache, so that the user's credentials serve the vault and nothing of it runs here.
    access = foreign.Access(allow_file=repository.cache)
    foreign.clone(
        str(repository.cache),
        place,
        commit=entry.commit,
        tag=entry.version,
        access=access,
        limits=clone_limits(entry),
    )
    working.set_origin(place, keep.dataset_url(entry.dataset))
    if entry.manifest.get("backend") == "git":
        report = None
        inventory = checked(_read(place / INVENTORY), entry)
    else:
        inventory, report = _fill(keep, entry, place, hard_links=hard_links)
    _require_whole(rehash(place / "data", inventory, keep.progress) if report is None else None, entry)
    working.settle(place)
    return place, report


def _fetch(keep: Keep, repository: DatasetRepository, entry: VersionEntry) -> None:
    """The cache is what the vault has, which must be this version too."""
    url = keep.dataset_url(entry.dataset)
    try:
        repository.fetch()
    except RepositoryMissing as error:
        raise lost_version(RepositoryMissing, entry, url) from error
    if entry.version not in repository.tags():
        raise lost_version(VersionLost, entry, url)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _fill(keep: Keep, entry: VersionEntry, place: Path, *, hard_links: bool) -> tuple[Inventory, FetchReport]:
    """The bytes of the dvc backend, each file verified as it is written, and DVC's cache."""
    stores = keep.stores_of(entry)
    data = from_pointer(_read(place / f"{INVENTORY}.dvc") or b"", entry, stores)
    inventory = checked(data, entry)
    pointer = dvc_format.parse_pointer_file(
        _read(place / "data.dvc") or b"", what=f"data.dvc of {entry.dataset}@{entry.version}"
    )
    listing = dvc_format.tree_object(inventory)
    name = f"{_md5(listing)}.dir"
    if pointer.md5 != name:
        raise DamagedBytes(
            f"data.dvc and the inventory of {entry.dataset}@{entry.version} do not list the same files",
            next_step=f"ask the owner, {_owner(entry)}, to make a new version: "
            f"datakeep update {entry.dataset} SOURCE -m WHY",
        )
    left = place.parent / "left"
    if left.is_dir():
        left.rename(place / "data")
    report = fetch(inventory, stores, entry.dataset, place / "data", keep.progress, hard_links=hard_links)
    _require_available(report, entry)
    if report.kept:
        keep.progress.note(f"{report.kept:,} objects of an interrupted checkout were read again and kept")
        _remove_strays(place / "data", inventory)
    with folder_faults(place, "write to it"):
        (place / INVENTORY).write_bytes(data)
    others = {name: listing, _md5(data): data}
    fill_cache(
        place / "data", inventory, others, place / ".dvc" / "cache", keep.progress, hard_links=hard_links
    )
    _write_overrides(keep, entry, place)
    return inventory, report


def _remove_strays(data: Path, inventory: Inventory) -> None:
    known = {file.path for file in inventory.files}
    for path in data.rglob("*"):
        if not path.is_dir() and path.relative_to(data).as_posix() not in known:
            path.unlink()


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _write_overrides(keep: Keep, entry: VersionEntry, place: Path) -> None:
    """DVC too finds a store where this machine has it mounted."""
    moved = [
        here
        for here, recorded in zip(keep.stores(), keep.recorded_stores(), strict=True)
        if here.dvc_remote(entry.dataset) != recorded.dvc_remote(entry.dataset)
    ]
    if moved:
        text = dvc_format.dvc_config(moved, entry.dataset).split("\n['", 1)[1]
        (place / ".dvc" / "config.local").write_text(f"['{text}", "utf-8")


def _require_available(report: FetchReport, entry: VersionEntry) -> None:
    if not report.unavailable:
        return
    lost = set(report.unavailable)
    things = [f"{fault.path}: {_fault(fault)}" for fault in report.faults if fault.path in lost]
    things += [f"store {name}: {why}" for name, why in report.stores_down.items()]
    stores = sorted({fault.store for fault in report.faults if fault.path in lost})
    raise DamagedBytes(
        f"{len(lost)} of {counted(entry.files, 'file')} of {entry.dataset}@{entry.version} are whole in no store "
        f"({', '.join(stores) or 'none answers'}): {', '.join(sorted(lost)[:3])}{' …' if len(lost) > 3 else ''}",
        next_step=f"the vault's administrator must restore them from a backup, or the owner, {_owner(entry)}, "
        f"register the files again: datakeep update {entry.dataset} SOURCE --deep -m WHY; then run this command "
        "again",
        things=things or sorted(lost),
    )


def _fault(fault: ObjectFault) -> str:
    return f"{fault.kind} in store {fault.store}: {fault.detail}"


def _require_whole(found: RehashReport | None, entry: VersionEntry) -> None:
    if found is None or found.is_whole:
        return
    things = [f"{path}: missing" for path in found.missing]
    things += [f"{path}: its bytes are other than those that were registered" for path in found.mismatched]
    things += [f"{path}: does not belong" for path in found.stray]
    raise DamagedBytes(
        f"the repository of {entry.dataset}@{entry.version} in the vault does not hold what was registered: "
        f"{things[0]}",
        next_step=f"the vault's administrator must restore {entry.repository}, or the owner, {_owner(entry)}, "
        f"push it again",
        things=things,
    )


def _owner(entry: VersionEntry) -> str:
    owner = entry.owner
    return f"{owner.get('name')} <{owner.get('email')}>" if owner else entry.registered_by


def _done(
    entry: VersionEntry, place: Path, report: FetchReport | None, *, submodule: bool, hard_links: bool
) -> CheckedOut:
    faults = tuple(f"{fault.path}: {_fault(fault)}" for fault in report.faults) if report else ()
    return CheckedOut(
        entry, place, entry.files, entry.size_bytes, created=True, submodule=submodule, faults=faults,
        linked=(report.shared if report else 0) if hard_links else None,
    )  # fmt: skip
