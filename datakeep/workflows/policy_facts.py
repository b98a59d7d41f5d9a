"""What is to be said against a version of a dataset as the data of a model; asked once, however many used it.

Owner, privacy and proof are facts of today: what a later version of the same bytes states or proves counts for all of
them, so that whatever is complained of can be mended without training anything again.
"""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from datakeep.core.errors import DatakeepError
from datakeep.core.names import NAME
from datakeep.core.patterns import splitter
from datakeep.formats.read_order import is_test
from datakeep.formats.version import VersionEntry
from datakeep.workflows.alike import proven_alike
from datakeep.workflows.facts import get
from datakeep.workflows.parents import stated_parents
from datakeep.workflows.parsed import entries_at
from datakeep.workflows.register_entries import entry_path
from datakeep.workflows.retention import kept_until
from datakeep.workflows.roster import has_departed, same_email
from datakeep.workflows.standings import Judge

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    from datakeep.formats.model import ModelInput
    from datakeep.lineage.same_bytes import SameBytes
    from datakeep.workflows.keep import Keep

_MAX_DEPTH = 10


@dataclass(frozen=True, slots=True)
class Objection:
    """One thing that is wrong with a version, and what to type."""

    kind: Literal["broken", "unowned", "unproven", "expired", "privacy"]
    about: str
    what: str
    next_step: str


class DataFacts:
    """Judges versions; each once.

    Args:
        keep: The keep.
        now: The time at which proofs and days are weighed.
        used: Dataset and version of what will be asked about, to be read together.
    """

    def __init__(self, keep: Keep, now: datetime, used: Iterable[tuple[str, str]]) -> None:
        self._keep, self._now = keep, now
        self._judge = Judge(keep, now)
        self._objections: dict[tuple[str, str], tuple[Objection, ...]] = {}
        self._entries: dict[str, VersionEntry | DatakeepError] = {}
        self._splitters: dict[tuple[str, str], Callable[[str], str | None] | None] = {}
        self.load(used)

    def load(self, used: Iterable[tuple[str, str]]) -> None:
        """The entries of these versions and of the newest ones, read at once."""
        used = list(used)
        newest = {(name, self._keep.versions(name)[-1]) for name in self._keep.datasets}
        paths = sorted({entry_path(name, version) for name, version in (*used, *newest)})
        self._entries |= entries_at(self._keep, [path for path in paths if path not in self._entries])

    def _entry(self, name: str, version: str) -> VersionEntry | None:
        path = entry_path(name, version)
        if path not in self._entries:
            self._entries |= entries_at(self._keep, [path])
        found = self._entries.get(path)
        return found if isinstance(found, VersionEntry) else None

    def _newest(self, name: str, *, content: str | None = None) -> VersionEntry | None:
        """The newest version that can be read, of those with these contents if any are named."""
        for version in reversed(self._keep.versions(name)):
            found = self._entry(name, version)
            if found and content in (None, found.content):
                return found
        return None

    def of(self, given: ModelInput) -> tuple[Objection, ...]:
        """What is to be said against what a model was given; nothing where :meth:`contradicts` is true of it."""
        return () if self.contradicts(given) else self._of(given.dataset, given.version)

    def contradicts(self, given: ModelInput) -> bool:
        """Whether the register has other contents under this version, which is a complaint about the record."""
        entry = self._entry(given.dataset, given.version)
        return entry is not None and (entry.commit, entry.content) != (given.commit, given.content)

    def of_version(self, name: str, version: str) -> tuple[Objection, ...]:
        """As :meth:`of`, of what was read without being declared."""
        return self._of(name, version)

    def _of(self, name: str, version: str) -> tuple[Objection, ...]:
        key = (name, version)
        if key not in self._objections:
            self._objections[key] = tuple(self._judged(name, version))
        return self._objections[key]

    def _judged(self, name: str, version: str) -> Iterator[Objection]:
        label = f"{name}@{version}"
        entry = self._entry(name, version)
        if entry is None:
            fault = self._entries.get(entry_path(name, version))
            what = (
                fault.what
                if fault and not isinstance(fault, VersionEntry)
                else "the register has no entry of it"
            )
            step = f"restore it from history: git log -- {entry_path(name, version)}"
            yield Objection("broken", label, what, step)
            return
        yield from self._owner(entry)
        yield from self._proof(entry)
        yield from self._privacy(entry)
        for parent in self._parents(entry, (label,)):
            yield from self._owner(parent)
            yield from self._privacy(parent)

    def _parents(self, entry: VersionEntry, above: tuple[str, ...]) -> Iterator[VersionEntry]:
        """What a derived version was made of, as far as this keep has it."""
        for reference in stated_parents(entry.manifest):
            name, _, version = reference.partition("@")
            versions = self._keep.versions(name)
            found = self._entry(name, version or versions[-1]) if versions else None
            label = f"{found.dataset}@{found.version}" if found else ""
            if found and label not in above and len(above) < _MAX_DEPTH:
                yield found
                yield from self._parents(found, (*above, label))

    def makers(self, name: str, version: str) -> Iterator[str]:
        """The models whose trainings left files of a version, or of one that it was derived from."""
        entry = self._entry(name, version)
        for one in (entry, *self._parents(entry, (f"{name}@{version}",))) if entry else ():
            yield from (left.model for left in one.left_by or ())

    def _owner(self, entry: VersionEntry) -> Iterator[Objection]:
        """Whose the dataset is today, as its newest version says."""
        name = entry.dataset
        newest = self._newest(name) or entry
        step = f"datakeep update {name} --owner 'NAME <MAIL>' -m 'new owner'"
        owner: Any = newest.manifest.get("owner")
        email = str(owner.get("email") or "") if isinstance(owner, dict) else ""
        if not email:
            yield Objection("unowned", name, "it has no owner", step)
            return
        people = [one for one in self._keep.people.values() if same_email(one.email, email)]
        if people and all(has_departed(one, self._now.date()) for one in people):
            yield Objection("unowned", name, f"its owner {email} departed on {people[0].departed}", step)

    def _proof(self, entry: VersionEntry) -> Iterator[Objection]:
        name = f"{entry.dataset}@{entry.version}"
        proofs = self._judge.proofs(entry)
        if proofs.state == "proven" or proven_alike(self._keep, entry, self._judge):
            return
        if not entry.manifest.get("reference"):
            what = "nobody has proven that it can be carried on, and it states no training to prove it with"
            yield Objection("unproven", name, what, f"datakeep reference {entry.dataset} --help")
            return
        newest = proofs.newest
        step = f"datakeep verify {name}"
        if proofs.state == "expired":
            what = f"its proof has expired: {newest.reason if newest else ''}".rstrip(": ")
            yield Objection("expired", name, what, step)
        elif proofs.state == "self-checked":
            what = "only its owner has checked it; nobody else has proven that they can carry it on"
            yield Objection("unproven", name, what, f"have somebody else run: {step}")
        elif proofs.state == "failed":
            what = f"the newest verification failed: {newest.reason if newest else ''}".rstrip(": ")
            yield Objection("unproven", name, what, step)
        else:
            yield Objection("unproven", name, "nobody has proven that it can be carried on", step)

    def _privacy(self, entry: VersionEntry) -> Iterator[Objection]:
        """What is personal in these bytes, as the newest version says that has them; and how long they are kept."""
        name = f"{entry.dataset}@{entry.version}"
        said = self._newest(entry.dataset, content=entry.content) or entry
        if get(said.manifest, "privacy.personal") in (None, "unknown"):
            step = f"say no, yes or pseudonymised: datakeep update {entry.dataset} --privacy no -m 'decided'"
            yield Objection("privacy", name, "whether it is personal data is not known", step)
        until = kept_until(said)
        if until is not None and until < self._now.date():
            step = f"datakeep audit dataset:{name}"
            by = f", as {said.dataset}@{said.version} says" if said is not entry else ""
            yield Objection("expired", name, f"its data was to be kept until {until} only{by}", step)

    def of_privacy(self, name: str, version: str) -> tuple[Objection, ...]:
        """Of all that is to be said against a version, what holds for each copy of its files too."""
        entry = self._entry(name, version)
        return tuple(self._privacy(entry)) if entry else ()

    def test_copies(self, found: Iterable[SameBytes]) -> dict[tuple[str, str], set[str]]:
        """Of what was read by its bytes alone, what belongs to test splits: places by version and split.

        Of versions with the same bytes the newest that has them in a test split is named.
        """
        tests: dict[tuple[str, str], set[str]] = {}
        done: set[tuple[str, str, str]] = set()
        for one in sorted(found, key=lambda one: -one.number):
            split = self._split_of(one)
            if split and is_test(split) and (one.dataset, one.path, one.at) not in done:
                done.add((one.dataset, one.path, one.at))
                tests.setdefault((f"{one.dataset}@{one.version}", split), set()).add(one.at)
        return tests

    def _split_of(self, one: SameBytes) -> str | None:
        key = (one.dataset, one.version)
        if key not in self._splitters:
            entry = self._entry(*key)
            splits = None
            with suppress(DatakeepError):  # one that cannot be read is complained of by itself
                splits = entry.manifest_model().splits if entry else None
            self._splitters[key] = splitter(splits.patterns) if splits else None
        split_of = self._splitters[key]
        return split_of(f"data/{one.path}") if split_of else None

    def trainings_proven(self, name: str, known: Collection[str]) -> int:
        """How many verifications of a dataset trained and left no model record; ``known`` are proofs that did.

        Of one that failed, and of one that made a model which was recorded already, only the proof is kept.
        """
        if not self._judge.has_proofs(name):
            return 0
        entries = [found for version in self._keep.versions(name) if (found := self._entry(name, version))]
        proofs = [proof for entry in entries for proof in self._judge.proofs(entry).proofs]
        return sum(
            proof.path not in known
            and proof.standing.statement is not None
            and any(
                stage.name == "training" and stage.result != "not run"
                for stage in proof.standing.statement.predicate.stages
            )
            for proof in proofs
        )

    def test_splits(self) -> dict[str, set[str]]:
        """The test splits that the newest version of each dataset declares."""
        found: dict[str, set[str]] = {}
        for name in self._keep.datasets:
            newest = self._newest(name)
            splits = newest.manifest.get("splits") if newest else None
            names = {one for one in splits if is_test(str(one))} if isinstance(splits, dict) else set()
            if names:
                found[name] = names
        return found


def registering(paths: Sequence[str]) -> str:
    """What to type for the first of some files that no dataset has."""
    if not paths:
        return "datakeep register NAME FILE"
    name = re.sub(r"[^a-z0-9]+", "-", PurePath(paths[0]).stem.lower()).strip("-")
    return shlex.join(["datakeep", "register", name if NAME.fullmatch(name) else "NAME", paths[0]])
