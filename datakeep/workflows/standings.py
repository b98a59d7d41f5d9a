"""What the proofs of a version are worth today, judged by the keep as it was when each came in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from datakeep.core.errors import DatakeepError
from datakeep.core.names import NAME
from datakeep.workflows.came_in import came_in

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from datakeep.attest.judge import Standing
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.came_in import CameIn
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.roster import Roster

FOLDER = "proofs/"
#: So many are asked about one by one; after that, all proofs are listed.
_MANY_DATASETS = 20
#: ``proven``: someone other than the owner passed, by their newest verification; ``self-checked``: the owner
#: only; ``expired``: nobody's holds any more; ``failed``: see :attr:`Proofs.state`; ``unproven``: no proofs.
State = Literal["proven", "self-checked", "expired", "failed", "unproven"]


@dataclass(frozen=True, slots=True)
class ProofStanding:
    """One proof in the keep: where it is, and what it is worth."""

    path: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class Proofs:
    """All proofs of one version, the newest first; what proves nothing comes last."""

    dataset: str
    version: str
    proofs: tuple[ProofStanding, ...]

    @property
    def proven_by(self) -> tuple[str, ...]:
        """The handles of those who are not the owner and whose newest verification passed and holds."""
        newest: dict[str, Standing] = {}
        for standing in self._counted:
            newest.setdefault(standing.by or "", standing)
        return tuple(by for by, one in newest.items() if by and one.status == "valid" and not one.self_check)

    @property
    def failed_since(self) -> tuple[Standing, ...]:
        """The owner's failed checks that are newer than the proofs of a version that is ``proven``."""
        return self._failures if self.state == "proven" else ()

    @property
    def _counted(self) -> list[Standing]:
        return [proof.standing for proof in self.proofs if proof.standing.status != "invalid"]

    @property
    def _failures(self) -> tuple[Standing, ...]:
        """The failures that nobody has passed after."""
        return tuple(takewhile(lambda standing: standing.status == "failed", self._counted))

    @property
    def state(self) -> State:
        """The one word for all of them.

        Readers ask: can somebody else carry this on, today? A failure that nobody has passed after answers
        no where it was a handover (somebody other than the owner tried), or where no handover holds: then
        the word is ``failed``. The owner's own failed check alone does not undo that somebody else could:
        their machine or their rights may be at fault. The word stays ``proven``, and :attr:`failed_since` is
        shown beside it, since the bytes may as well be gone since. Of one person the newest verification
        counts; whoever failed after passing has not proven it.
        """
        counted, failures = self._counted, self._failures
        if not counted:
            return "unproven"
        if failures and not (self.proven_by and all(standing.self_check for standing in failures)):
            return "failed"
        if self.proven_by:
            return "proven"
        statuses = {standing.status for standing in counted}
        return "self-checked" if "valid" in statuses else "expired" if "expired" in statuses else "failed"

    @property
    def newest(self) -> Standing | None:
        """The newest proof that is one; None if there is none."""
        return next(iter(self._counted), None)


def standings(keep: Keep, entry: VersionEntry, *, now: datetime) -> Proofs:
    """The proofs of one version."""
    return Judge(keep, now).proofs(entry)


class Judge:
    """Judges the proofs of one keep, and remembers who was who at which commit."""

    def __init__(self, keep: Keep, now: datetime) -> None:
        self._keep = keep
        self._now = now
        self._people: dict[str, Roster] = {}
        #: What was listed dataset by dataset, as long as these are few.
        self._listed: dict[str, dict[str, list[str]]] = {}

    @cached_property
    def _came_in(self) -> CameIn:
        return came_in(self._keep, FOLDER)

    def _paths(self, dataset: str) -> dict[str, list[str]]:
        """The folder of each version of a dataset to its proofs."""
        if len(self._listed) >= _MANY_DATASETS or not NAME.fullmatch(dataset):
            return self._all_paths.get(dataset, {})
        if dataset not in self._listed:
            listed = self._keep.tree.list(f"{FOLDER}{dataset}/")
            self._listed[dataset] = _by_dataset(listed).get(dataset, {})
        return self._listed[dataset]

    @cached_property
    def _all_paths(self) -> dict[str, dict[str, list[str]]]:
        return _by_dataset(self._keep.tree.list(FOLDER))

    def has_proofs(self, dataset: str) -> bool:
        """Whether any version of a dataset has any proof, whatever it is worth."""
        return bool(self._paths(dataset))

    def proofs(self, entry: VersionEntry) -> Proofs:
        """The proofs of one version; a copy of one under another name is the same one."""
        paths = self._paths(entry.dataset).get(f"{FOLDER}{entry.dataset}/{entry.version}", [])
        texts = self._keep.tree.read_many(paths)
        copies: dict[bytes, list[str]] = {}
        for path in paths:
            copies.setdefault(texts[path], []).append(path)
        once = [min(same, key=self._since) if len(same) > 1 else same[0] for same in copies.values()]
        found = [ProofStanding(path, self._judge(path, texts[path], entry)) for path in once]
        found.sort(key=lambda one: one.path, reverse=True)
        found.sort(key=lambda one: one.standing.at.timestamp() if one.standing.at else 0.0, reverse=True)
        return Proofs(entry.dataset, entry.version, tuple(found))

    def _since(self, path: str) -> tuple[float, str]:
        addition = self._came_in.addition(path)
        return addition.when.timestamp() if addition else math.inf, path

    def _judge(self, path: str, envelope: bytes, entry: VersionEntry) -> Standing:
        from datakeep.attest.judge import About, judge  # late: most versions of a large keep have no proof

        addition = self._came_in.addition(path)
        if addition is None:
            return _invalid("the keep's history does not tell when it came in")
        about = About(entry.dataset, entry.version, entry.commit, entry.inventory.removeprefix("sha256:"))
        try:
            roster = self._people_at(addition.commit)
        except DatakeepError as error:
            return _invalid(f"the keep's people at that time cannot be read: {error.what}")
        return judge(
            envelope,
            list(roster.people.items()),
            unreadable=roster.unreadable_texts,
            now=self._now,
            renew_every=self._keep.file.policy.renewal,
            about=about,
            committed_at=addition.when,
        )

    def _people_at(self, commit: str) -> Roster:
        from datakeep.workflows.roster import roster_of

        key = self._came_in.people_id(commit)
        if key not in self._people:
            self._people[key] = roster_of(self._keep.repository.at(commit))
        return self._people[key]


def _by_dataset(listed: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """By dataset, the folder of each version to its proofs."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in listed:
        if path.endswith(".dsse.json"):
            folder = path.rpartition("/")[0]
            found.setdefault(folder.split("/")[1], {}).setdefault(folder, []).append(path)
    return found


def _invalid(reason: str) -> Standing:
    from datakeep.attest.judge import Standing

    return Standing("invalid", self_check=False, by=None, at=None, expires=None, reason=reason)
