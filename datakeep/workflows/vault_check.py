"""``vault check``: whether the places of the vault are set up so that what lies there survives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, DatakeepError
from datakeep.store.examination import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.store.interface import Store
    from datakeep.workflows.keep import Keep


@dataclass(frozen=True, slots=True)
class Examined:
    """One store, and what was found of it."""

    name: str
    url: str
    checks: tuple[Check, ...]

    @property
    def is_good(self) -> bool:
        """Nothing was found that is not good; what could not be looked at is no finding."""
        return all(check.outcome is not Outcome.BAD for check in self.checks)


def check_stores(keep: Keep, names: Sequence[str] = ()) -> list[Examined]:
    """Each store, examined; one that cannot be used is a finding, not an error.

    Args:
        keep: The keep.
        names: Stores; none means all.

    Raises:
        UnknownName: The keep has no store of one of these names.
    """
    keep.require_stores(names)
    everyone = keep.stores()
    volumes = {store.name: _volume(store) for store in everyone}
    chosen = [store for store in everyone if not names or store.name in names]
    return [Examined(store.name, store.url, tuple(_examined(keep, store, volumes))) for store in chosen]


def _volume(store: Store) -> str | None:
    try:
        return store.volume()
    except DatakeepError:
        return None


def _examined(keep: Keep, store: Store, volumes: dict[str, str | None]) -> list[Check]:
    try:
        store.check(keep=keep.name)
        return [*_apart(keep, store, volumes), *_with_rights(keep, store, store.examine())]
    except DatakeepError as error:
        return [Check("reachable", Outcome.BAD, error.what, error.next_step)]


def _with_rights(keep: Keep, store: Store, found: list[Check]) -> list[Check]:
    """What was found, where this user can write there; else that, in the place of who else can."""
    try:
        store.check(keep=keep.name, writable=True)
    except AccessDenied as error:
        return [
            *(one for one in found if one.name != "rights"),
            Check("rights", Outcome.BAD, f"read-only: {error.what}", error.next_step),
        ]
    return found


def _apart(keep: Keep, store: Store, volumes: dict[str, str | None]) -> list[Check]:
    """Whether one broken disk would take more than this store; nothing where that is not known."""
    own = volumes[store.name]
    if own is None:
        return []
    shared = [f"store {name}" for name, volume in volumes.items() if name != store.name and volume == own]
    if str(keep.root.stat().st_dev) == own:
        shared.insert(0, "this clone of the keep")
    if not shared:
        return [Check("disk", Outcome.GOOD, "a file system of its own")]
    what = f"the same file system as {', '.join(shared)}: they are lost together"
    advice = "add a store on another disk, machine or bucket: datakeep vault add NAME URL"
    return [Check("disk", Outcome.BAD, what, advice)]
