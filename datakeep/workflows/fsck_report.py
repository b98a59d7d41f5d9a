"""What is asked of ``fsck``, and what it found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of fsck.

    Args:
        names: Datasets or versions; none means all.
        stores: Stores by name; none means all.
        deep: Read every byte.
        budget_s: Stop reading after so long, and go on there the next time; None means no limit.
        repair: Copy back what another store has whole.
        counted: Count the copies also where only some stores are looked at: those in the others are then none.
    """

    names: Sequence[str] = ()
    stores: Sequence[str] = ()
    deep: bool = False
    budget_s: float | None = None
    repair: bool = False
    counted: bool = False


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

    @property
    def is_short(self) -> bool:
        """Whether there are fewer than the policy asks for."""
        return self.whole + self.present < self.wanted


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something that is wrong with a git repository, a store or an inventory, and what to type next."""

    about: str
    what: str
    next_step: str | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """The files of a version that are whole in no store, and the way out, which no repair of ours is."""

    version: str
    files: tuple[str, ...]
    next_step: str


@dataclass(slots=True)
class Fsck:
    """What was found.

    Attributes:
        deep: Whether bytes were read.
        versions: Each version in each store.
        objects: How many objects were looked at, each once in each store.
        stated: Those of them that were not read, but whose right sha256 the store itself states.
        copies: Each version's copies; none where only some stores were asked for.
        more_copies: What to type where more copies are asked for than there are places for.
        lost: What is whole in no store.
        complaints: Of git repositories, stores that do not answer, inventories that cannot be had.
        restored: Tags and repositories that were brought back.
        unreferenced: Objects per store that no registered version refers to.
        unregistered: Repositories of datasets in a folder git base that no register entry names.
        coverage: Share of the objects that were read in this round; None where nothing is read.
        read: How many objects this run read; what earlier runs of a budget had read is not among them.
        left: How many are still to be read in this round.
        days_to_full: With how many more runs like this, one a day, all are read; None without a budget, or where
            nothing could be read.
    """

    deep: bool
    versions: list[InStore] = field(default_factory=list)
    objects: int = 0
    stated: int = 0
    copies: list[Copies] = field(default_factory=list)
    more_copies: list[str] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    unreferenced: dict[str, int] = field(default_factory=dict)
    unregistered: list[str] = field(default_factory=list)
    coverage: float | None = None
    read: int = 0
    left: int = 0
    days_to_full: int | None = None

    @property
    def is_clean(self) -> bool:
        """Nothing is missing or wrong anywhere, and every version has the copies that the policy asks for."""
        short = any(copies.is_short for copies in self.copies)
        return not (self.complaints or short or any(version.is_bad for version in self.versions))
