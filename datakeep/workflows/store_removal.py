"""``vault remove``: a store leaves the keep. What lies in it stays as it is: nothing is deleted here."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import Conflict, InvalidFile, StillNeeded
from datakeep.formats import yaml
from datakeep.formats.keep import KeepFile
from datakeep.repository.keep import Change
from datakeep.workflows.fsck import fsck
from datakeep.workflows.fsck_report import Plan
from datakeep.workflows.keep import KEEP_FILE

if TYPE_CHECKING:
    from datetime import datetime

    from datakeep.repository.identity import Identity
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.workflows.fsck_report import Copies
    from datakeep.workflows.keep import Keep


@dataclass(frozen=True, slots=True)
class StoreRemoved:
    """A store that the keep no longer counts on.

    Attributes:
        name: What the keep called it.
        url: Where its bytes still lie.
        below_policy: Versions that have fewer copies now than the policy asks for.
    """

    name: str
    url: str
    below_policy: tuple[str, ...]


def remove_store(
    keep: Keep, name: str, *, message: str = "", below_policy: bool = False, who: Identity, now: datetime
) -> StoreRemoved:
    """The keep no longer has the store; nothing in it was deleted or changed.

    The copies that remain are looked for in the other stores, by listing, before anything is recorded.

    Args:
        keep: The keep.
        name: What the keep calls the store.
        message: Why it goes.
        below_policy: Go on where versions are left with fewer copies than the policy asks for.
        who: Author of the commit.
        now: The time that is written down.

    Raises:
        UnknownName: The keep has no such store.
        StillNeeded: It is the last one; or a version would have no copy, or too few; lists them.
        Conflict: The keep was changed meanwhile.
    """
    keep.refresh()
    keep.require_stores([name])
    known = {store.name: store for store in keep.file.vault.stores}
    if len(known) == 1:
        raise StillNeeded(
            f"{name} is the keep's only store", next_step="add another one first: datakeep vault add NAME URL"
        )
    seen = _seen(keep.tree)
    short = _require_copies(keep, name, message, below_policy=below_policy)

    def change(tree: KeepTree) -> Change:
        if _seen(tree) != seen:
            raise Conflict(
                "versions were registered, or keep.yaml was changed, while the copies were looked for",
                next_step=f"run it again: datakeep vault remove {name}{_because(message)}",
            )
        return Change(files={KEEP_FILE: _without(tree, name)})

    why = f": {message.strip()}" if message.strip() else ""
    keep.repository.transact(
        change, f"vault: store {name} removed{why}", who, when=now, progress=keep.progress
    )
    keep.look_again()
    return StoreRemoved(name, known[name].url, short)


def _seen(tree: KeepTree) -> tuple[bytes | None, frozenset[str]]:
    """All that the decision rests on."""
    return tree.read(KEEP_FILE), frozenset(tree.list("register/"))


def _require_copies(keep: Keep, name: str, message: str, *, below_policy: bool) -> tuple[str, ...]:
    """The versions that will have too few copies without the store ``name``.

    Raises:
        StillNeeded: One would have none; or, unless ``below_policy``, one would have too few.
    """
    held = {
        f"{entry.dataset}@{entry.version}"
        for dataset in keep.datasets
        for entry in keep.entries(dataset)
        if name in keep.holding(entry)
    }
    others = [store.name for store in keep.file.vault.stores if store.name != name]
    found = fsck(keep, Plan(stores=others, counted=True))
    left = [copies for copies in found.copies if copies.version in held]
    lost = [copies.version for copies in left if not _count(copies)]
    if lost:
        raise StillNeeded(
            f"{_versions(len(lost))} would have no copy without store {name}: {_some(lost)}",
            next_step="bring them into another store first: datakeep fsck --repair, or datakeep vault add NAME URL",
            things=[*lost, *(f"{complaint.about}: {complaint.what}" for complaint in found.complaints)],
        )
    short = [copies.version for copies in left if _count(copies) < copies.wanted]
    if short and not below_policy:
        raise StillNeeded(
            f"{_versions(len(short))} would have fewer copies than the {keep.file.policy.copies} that the "
            f"policy asks for: {_some(short)}",
            next_step="add another store first (datakeep vault add NAME URL), or say that it is meant: "
            f"datakeep vault remove {name} --below-policy{_because(message)}",
            things=short,
        )
    return tuple(short)


def _because(message: str) -> str:
    return f" -m {shlex.quote(message)}" if message.strip() else ""


def _count(copies: Copies) -> int:
    return copies.whole + copies.present


def _versions(count: int) -> str:
    return f"{count} version{'' if count == 1 else 's'}"


def _some(labels: list[str]) -> str:
    return ", ".join(labels[:3]) + (" …" if len(labels) > 3 else "")


def _without(tree: KeepTree, name: str) -> bytes:
    """keep.yaml without the store, its comments kept."""
    text = (tree.read(KEEP_FILE) or b"").decode("utf-8-sig")
    document = yaml.load(text, what=KEEP_FILE)
    stores = document["vault"]["stores"]
    at = next(place for place, store in enumerate(stores) if store.get("name") == name)
    cut = yaml.without_item(text, stores.lc.item(at))
    del stores[at]
    if not _says(cut, document):  # it was not written line by line
        cut = yaml.dump(document)
    KeepFile.read(cut.encode("utf-8"), what=KEEP_FILE)
    return cut.encode("utf-8")


def _says(text: str, document: object) -> bool:
    try:
        return bool(yaml.plain(yaml.load(text, what=KEEP_FILE)) == yaml.plain(document))
    except InvalidFile:
        return False
