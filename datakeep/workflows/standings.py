"""What the proofs of a version are worth today, judged by the keep as it was when each came in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from datakeep.attest.judge import About, Standing, judge
from datakeep.core.errors import DatakeepError
from datakeep.repository import working
from datakeep.workflows.keep import people_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from datakeep.formats.person import Person
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.working import Addition
    from datakeep.workflows.keep import Keep

FOLDER = "proofs/"
#: ``proven``: someone other than the owner passed; ``self-checked``: the owner only; the others as they say.
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
        """The handles of those who are not the owner and whose proofs hold, each once."""
        found = [
            proof.standing.by
            for proof in self.proofs
            if proof.standing.status == "valid" and not proof.standing.self_check
        ]
        return tuple(dict.fromkeys(handle for handle in found if handle))

    @property
    def state(self) -> State:
        """The one word for all of them. The newest verification counts most: it may have failed since."""
        counted = [proof.standing for proof in self.proofs if proof.standing.status != "invalid"]
        if not counted:
            return "unproven"
        if counted[0].status == "failed":
            return "failed"
        if self.proven_by:
            return "proven"
        statuses = {standing.status for standing in counted}
        return "self-checked" if "valid" in statuses else "expired" if "expired" in statuses else "failed"

    @property
    def newest(self) -> Standing | None:
        """The newest proof that is one; None if there is none."""
        return next((one.standing for one in self.proofs if one.standing.status != "invalid"), None)


def standings(keep: Keep, entry: VersionEntry, *, now: datetime) -> Proofs:
    """The proofs of one version."""
    return Judge(keep, now).proofs(entry)


class Judge:
    """Judges the proofs of one keep, and remembers who was who at which commit."""

    def __init__(self, keep: Keep, now: datetime) -> None:
        self._keep = keep
        self._now = now
        self._people: dict[str, Sequence[tuple[str, Person]]] = {}

    @cached_property
    def _additions(self) -> dict[str, Addition]:
        return working.additions(self._keep.root, FOLDER)

    @cached_property
    def _people_ids(self) -> dict[str, str]:
        """For the commit of each addition, the id of its ``people/``, which many of them share."""
        commits = {addition.commit for addition in self._additions.values()}
        return working.folder_ids(self._keep.root, sorted(commits), "people") if commits else {}

    @cached_property
    def _paths(self) -> dict[str, list[str]]:
        """The folder of each version to its proofs."""
        found: dict[str, list[str]] = {}
        for path in self._keep.tree.list(FOLDER):
            if path.endswith(".dsse.json"):
                found.setdefault(path.rpartition("/")[0], []).append(path)
        return found

    def proofs(self, entry: VersionEntry) -> Proofs:
        """The proofs of one version."""
        paths = self._paths.get(f"{FOLDER}{entry.dataset}/{entry.version}", [])
        texts = self._keep.tree.read_many(paths)
        found = [ProofStanding(path, self._judge(path, texts[path], entry)) for path in paths]
        found.sort(key=lambda one: one.path, reverse=True)
        found.sort(key=lambda one: one.standing.at.timestamp() if one.standing.at else 0.0, reverse=True)
        return Proofs(entry.dataset, entry.version, tuple(found))

    def _judge(self, path: str, envelope: bytes, entry: VersionEntry) -> Standing:
        addition = self._additions.get(path)
        if addition is None:
            return _invalid("the keep's history does not tell when it came in")
        about = About(entry.dataset, entry.version, entry.commit, entry.inventory.removeprefix("sha256:"))
        try:
            people = self._people_at(addition.commit)
        except DatakeepError as error:
            return _invalid(f"the keep's people at that time cannot be read: {error.what}")
        return judge(
            envelope,
            people,
            now=self._now,
            renew_every=self._keep.file.policy.renewal,
            about=about,
            committed_at=addition.when,
        )

    def _people_at(self, commit: str) -> Sequence[tuple[str, Person]]:
        key = self._people_ids.get(commit, commit)
        if key not in self._people:
            self._people[key] = tuple(people_of(self._keep.repository.at(commit)).items())
        return self._people[key]


def _invalid(reason: str) -> Standing:
    return Standing("invalid", self_check=False, by=None, at=None, expires=None, reason=reason)
