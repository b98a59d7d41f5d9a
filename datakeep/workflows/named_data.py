"""The data that a tracker's run names, held against the register: which versions it was, and by what that is known.

A version is only taken for one that the run used where its identity, its bytes, or a place that holds its bytes say
so. A name that is like a registered one is a guess, and is said to be one.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from datakeep.core.counts import counted
from datakeep.core.errors import DatakeepError
from datakeep.formats.model import ModelInput
from datakeep.lineage import hashes
from datakeep.store.hashing import hash_file
from datakeep.workflows.given_data import PLACE
from datakeep.workflows.index import ask, not_searched
from datakeep.workflows.run_inputs import Checkouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from datakeep.formats.version import VersionEntry
    from datakeep.lineage.index import Index
    from datakeep.tracking.told import NamedData, NamedFile, Told
    from datakeep.workflows.keep import Keep

WHO = {"mlflow": "MLflow", "wandb": "W&B"}
_GIVEN = re.compile(rf"{PLACE}(?:/|$)")
_OBJECT = re.compile(r"/([a-z0-9][a-z0-9-]*)/files/md5/([0-9a-f]{2})/([0-9a-f]{30})$")
_LONG_DIGEST = re.compile(r"(?:sha256:|md5:)?([0-9a-f]{32,64})", re.IGNORECASE)
#: More versions than this have the same file only where it says nothing, such as an empty one.
_MAX_ROWS = 2000


@dataclass(slots=True)
class Matched:
    """What came of all that a run names.

    Attributes:
        inputs: The versions.
        unmatched: What belongs to no version that is known, as a record's ``undeclared`` has it.
        unknown: What could not be told, one line each.
    """

    inputs: list[ModelInput] = field(default_factory=list)
    unmatched: list[dict[str, Any]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Fit:
    """Versions that may be it, and by what; ``versions`` are many where nothing tells them apart."""

    versions: tuple[VersionEntry, ...]
    because: str


def match(keep: Keep, told: Told) -> Matched:
    """Every dataset that a run names is a version of the register, or stands among what is unmatched."""
    matcher = _Matcher(keep, WHO[told.tracker])
    found = Matched()
    taken: dict[str, ModelInput] = {}
    for data in told.data:
        fit = matcher.fit(data)
        if fit and len(fit.versions) == 1:
            entry = fit.versions[0]
            if (
                taken.setdefault(
                    label := f"{entry.dataset}@{entry.version}",
                    made := ModelInput.declared(entry, fit.because),
                )
                is made
            ):
                found.unknown += [f"{data.doubt} ({label})"] if data.doubt else []
        elif not data.in_passing:
            found.unmatched.append(matcher.unmatched(data, fit))
    found.inputs = list(taken.values())
    if not found.inputs and not found.unmatched:
        found.unknown.append(f"the data: the run names no dataset to {matcher.who}")
    if found.unmatched and matcher.not_searched:
        found.unknown.append(f"whether these are registered files: not searched were {matcher.not_searched}")
    return found


class _Matcher:
    """Holds one thing after another against one keep."""

    def __init__(self, keep: Keep, who: str) -> None:
        self._keep, self.who = keep, who
        self._checkouts = Checkouts(keep)
        self.not_searched = ""

    def fit(self, data: NamedData) -> _Fit | None:
        """The versions that it is; None if nothing says so."""
        named = (
            f"{self.who}: its {data.said} {data.name}"
            if data.name != data.said
            else f"{self.who}: its {data.said}"
        )
        if data.version is not None:
            return self._by_identity(data.version, named)
        if data.files and (fit := self._by_files(data.files, named)):
            return fit
        for place in data.places:
            if fit := self._by_place(place, named, hash_it=not data.in_passing):
                return fit
        return None if data.in_passing else self._by_digest(data.digest or "", named)

    def _by_identity(self, said: Any, named: str) -> _Fit | None:
        for entry in self._entries(said["dataset"]):
            if (entry.version, entry.commit, entry.content) == (
                said["version"],
                said["commit"],
                said["content"],
            ):
                return _Fit((entry,), f"{named} has this version of datakeep as its source")
        return None

    def _by_files(self, files: Sequence[NamedFile], named: str) -> _Fit | None:
        known = [one for one in files if one.md5]
        if not known:
            return None
        entries = self._holding({str(one.md5) for one in known})
        whole = tuple(one for one in entries if one.files == len(files) == len(known))
        count = counted(len(known), "file")
        left = (
            f"; of {len(files) - len(known):,} more it does not say the bytes"
            if len(known) < len(files)
            else ""
        )
        if whole:
            return _Fit(_same(whole), f"{named} lists the bytes of all {count} of this version")
        return (
            _Fit(_same(entries), f"{named} lists {count} whose bytes are in this version{left}")
            if entries
            else None
        )

    def _by_place(self, place: str, named: str, *, hash_it: bool) -> _Fit | None:
        if found := _GIVEN.search(place):
            content = f"sha256:{found['content']}"
            entries = [one for one in self._entries(found["dataset"]) if one.content == content]
            because = f"{named} lies in the folder that datakeep gave this content id: {place}"
            return _Fit(_same(entries), because) if entries else None
        if found := _OBJECT.search(urlsplit(place).path):
            entries = self._holding({found[2] + found[3]})
            entries = [one for one in entries if one.dataset == found[1]] or entries
            return _Fit(_same(entries), f"{named} is an object of this version: {place}") if entries else None
        path = _local(place)
        return self._by_path(path, named) if path and hash_it else None

    def _by_path(self, path: Path, named: str) -> _Fit | None:
        """A file by its bytes, which are those of today; a folder by the checkout that it lies in."""
        try:
            if path.is_file():
                self._keep.progress.stage(f"hashing {path}")
                entries = self._holding({hash_file(path.resolve())[1].hex()})
                because = f"{named} is {path}, which has the bytes of a file of this version now"
                return _Fit(_same(entries), because) if entries else None
            label = self._checkouts.version_of(str(path.resolve() / "file")) if path.is_dir() else None
            entry = self._keep.entry(label) if label else None
        except (OSError, DatakeepError):
            return None
        return _Fit((entry,), f"{named} is {path}, a checkout of this version now") if entry else None

    def _by_digest(self, digest: str, named: str) -> _Fit | None:
        """A tracker's own digest of 128 bits or more may be one of ours: a commit, a content id, a file's hash."""
        found = _LONG_DIGEST.fullmatch(digest)
        if not found:
            return None
        digits = found[1].lower()
        query = (
            "SELECT dataset, number FROM version WHERE commit_id >= ?1 AND commit_id < ?1 || 'g' "
            "OR content >= 'sha256:' || ?1 AND content < 'sha256:' || ?1 || 'g'"
        )
        rows = ask(self._keep, lambda index: index.database.execute(query, (digits,)).fetchall(), files=False)
        entries = self._of_rows(rows) or (self._holding({digits}) if len(digits) == 32 else [])
        return _Fit(_same(entries), f"{named} has a digest of this version: {digest}") if entries else None

    def _holding(self, digests: set[str]) -> list[VersionEntry]:
        """The versions that have files with all of these md5s."""

        def question(index: Index) -> list[tuple[str, int]]:
            self.not_searched = str(not_searched(index) or "")
            return _holding(index, digests)

        return self._of_rows(ask(self._keep, question))

    def _of_rows(self, rows: Iterable[tuple[str, int]]) -> list[VersionEntry]:
        found = []
        for dataset, number in sorted(rows):
            try:
                found.append(self._keep.entry(f"{dataset}@v{number}"))
            except DatakeepError:
                continue
        return found

    def _entries(self, dataset: str) -> list[VersionEntry]:
        name = dataset if dataset in self._keep.datasets else self._keep.dataset_once_called(dataset) or ""
        found = self._keep.entries_or_faults(name).values()
        return [one for one in found if not isinstance(one, DatakeepError)]

    def unmatched(self, data: NamedData, fit: _Fit | None) -> dict[str, Any]:
        """What is said of it, and the nearest that there is, as a guess."""
        entry: dict[str, Any] = {
            "path": data.places[0] if data.places else data.name,
            "named": f"{self.who} as {data.said}" + (f" {data.name}" if data.places else ""),
        }
        if data.digest:
            entry["digest"] = f"{data.digest} ({self.who}'s own)"
        if fit:
            labels = " or ".join(f"{one.dataset}@{one.version}" for one in fit.versions[:10])
            entry["guess"] = f"{labels}: {fit.because}, and in each of these"
        elif data.version is not None:
            entry["guess"] = self._other_version(data.version)
        elif near := self._like(data.name):
            entry["guess"] = f"the name is like that of the dataset {near}; nothing else says that it is it"
        return entry

    def _other_version(self, said: Any) -> str:
        label = f"{said['dataset']}@{said['version']}"
        known = any(one.version == said["version"] for one in self._entries(said["dataset"]))
        has = "has other contents under this name" if known else "does not have it"
        return f"it says that it is {label} of the keep {said['keep'] or 'unknown'}; this keep {has}"

    def _like(self, name: str) -> str | None:
        plain = re.sub(r"[^a-z0-9]+", "-", re.split(r"[:@]", name.rpartition("/")[2])[0].lower()).strip("-")
        if not plain:
            return None
        return plain if plain in self._keep.datasets else self._keep.dataset_once_called(plain)


def _same(entries: Sequence[VersionEntry]) -> tuple[VersionEntry, ...]:
    """One of them where all are of one dataset and have the same bytes: the newest."""
    alike = {(one.dataset, one.content) for one in entries}
    return (entries[-1],) if len(alike) == 1 else tuple(entries)


def _holding(index: Index, digests: set[str]) -> list[tuple[str, int]]:
    counts: Counter[int] = Counter()
    for done, md5 in enumerate(digests):
        rows = []
        for count, (inventory, _) in enumerate(hashes.find(index.database, "md5", md5)):
            if count >= _MAX_ROWS:
                break
            rows.append(inventory)
        counts.update(set(rows))
        if not counts or max(counts.values()) <= done:
            return []  # none has all of those so far
    whole = [inventory for inventory, count in counts.items() if count == len(digests)]
    return [one for inventory in whole for one in hashes.versions_of(index.database, inventory)]


def _local(place: str) -> Path | None:
    """A path of this machine; None if it is none, or means another folder elsewhere."""
    if place.startswith("file:"):
        parts = urlsplit(place)
        return Path(unquote(parts.path)) if parts.netloc in ("", "localhost") and parts.path else None
    return Path(place) if place.startswith("/") and "\0" not in place else None
