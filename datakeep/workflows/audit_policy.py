"""``audit --policy``: every model of the keep whose data is not in order, for CI.

A model is judged by the data that it read, and by that of its base models; of what its data was derived from, by
owner and privacy. What cannot be read is a complaint too; what nobody saw is said, and is never taken for good.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from datakeep.core.counts import counted
from datakeep.core.names import version_number
from datakeep.formats.model import ModelRecord
from datakeep.formats.read_order import is_test, read_order
from datakeep.formats.version import VersionEntry
from datakeep.lineage.records import record_path
from datakeep.workflows.declared_copies import declared_copies
from datakeep.workflows.index import ask
from datakeep.workflows.parsed import entries_at
from datakeep.workflows.policy_facts import DataFacts, registering
from datakeep.workflows.policy_splits import model_left, only_test_read, splits_read
from datakeep.workflows.register_entries import entry_path
from datakeep.workflows.stems import all_stems
from datakeep.workflows.tampering import behind_everything
from datakeep.workflows.undeclared import of_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from datakeep.formats.model import ModelInput
    from datakeep.lineage.index import Index
    from datakeep.lineage.same_bytes import SameBytes
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.written_once import Tampered

Kind = Literal[
    "tampered", "broken", "unowned", "unproven", "expired", "privacy", "undeclared", "test-split", "test-read"
]
_OTHER_SPLIT = "train on another split; what it read"
#: Versions whose files are looked for under other names.
_MAX_COPIED = 50
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong with the data of some models.

    Attributes:
        kind: What it is.
        about: The dataset, its version, or the record's path.
        what: In words.
        models: The models that it holds for, ``churn@v7``, oldest first.
        next_step: What to type.
    """

    kind: Kind
    about: str
    what: str
    models: tuple[str, ...]
    next_step: str


@dataclass(frozen=True, slots=True)
class TestReads:
    """How many recorded runs of a dataset read its test split.

    Attributes:
        dataset: Its name.
        splits: What its test splits are called.
        reading: Runs that read one of them, failed ones and verifications too.
        unknown: Runs that were given the dataset, of which that is not known; verifications without a record too.
        runs: All that were given it, or read a copy of its test split.
    """

    dataset: str
    splits: tuple[str, ...]
    reading: int
    unknown: int
    runs: int


@dataclass(frozen=True, slots=True)
class Scored:
    """A model that read a test split, as was seen, only after its file was written: no complaint."""

    model: str
    about: str
    what: str


@dataclass(frozen=True, slots=True)
class Policy:
    """The answer.

    Attributes:
        models: How many models were judged.
        failed: Trainings that failed, and left none to judge.
        complaints: By kind, then by what they are about.
        test_reads: Of each dataset that has a test split.
        unseen: Models of which nobody saw, or not fully, what else they read, or knows what came in over the network,
            through a pipe, or from a file that is another now.
        unknown_files: Models of which it is not known, or not fully, which files they read.
        changed: What of the keep is not as it was recorded, each a complaint too.
        not_looked_at: What was not looked at, and why.
        scored: Models whose test split was read only after they were written, with what was seen of that.
    """

    models: int
    failed: int
    complaints: tuple[Complaint, ...]
    test_reads: tuple[TestReads, ...]
    unseen: tuple[str, ...]
    unknown_files: tuple[str, ...]
    changed: tuple[Tampered, ...] = ()
    scored: tuple[Scored, ...] = ()
    not_looked_at: tuple[str, ...] = ()


def audit_policy(keep: Keep, *, now: datetime) -> Policy:
    """What is not in order with the data of the keep's models.

    Args:
        keep: The keep.
        now: The time at which proofs and days are weighed.
    """
    keep.warn_if_behind()
    records, broken = ask(keep, _records, files=False)
    changed = behind_everything(keep, _entries(keep), now=now)
    return _Judging(keep, records, broken, changed, now).policy()


def _entries(keep: Keep) -> list[VersionEntry]:
    """All that can be read; one that cannot is complained of with its models."""
    paths = [entry_path(name, version) for name in keep.datasets for version in keep.versions(name)]
    return [one for one in entries_at(keep, paths).values() if isinstance(one, VersionEntry)]


def _records(index: Index) -> tuple[dict[str, ModelRecord], list[tuple[str, str]]]:
    """Every model record by ``churn@v7``, and those that cannot be read."""
    query = "SELECT path FROM entry WHERE kind = 'model' AND fault IS NULL ORDER BY name, number"
    paths = [row[0] for row in index.database.execute(query)]
    found = [ModelRecord.of(one.data, what=one.path) for one in index.entries(paths) if one.data]
    return {record.label: record for record in found}, index.broken("model")


def _inputs(keep: Keep, records: Iterable[ModelRecord]) -> list[tuple[str, str]]:
    """What the models were given, and all versions of that: a later one of the same bytes may state more."""
    given = {(one.dataset, one.version) for record in records for one in record.inputs}
    return sorted(given | {(name, version) for name, _ in given for version in keep.versions(name)})


@dataclass(slots=True)
class _Found:
    """A complaint while it is gathered."""

    what: str
    next_step: str
    models: dict[str, None] = field(default_factory=dict)


class _Judging:
    def __init__(
        self,
        keep: Keep,
        records: Mapping[str, ModelRecord],
        broken: Sequence[tuple[str, str]],
        changed: Sequence[Tampered],
        now: datetime,
    ) -> None:
        self._changed = changed
        self._keep, self._records, self._broken = keep, records, broken
        self._facts = DataFacts(keep, now, _inputs(keep, records.values()))
        self._scored: list[Scored] = []
        self._found: dict[tuple[Kind, str, str], _Found] = {}
        copies: dict[str, list[SameBytes]] = defaultdict(list)
        found, self._gaps = of_all(keep)
        for one in found:
            copies[one.model].append(one)
        self._same = copies
        self._copies = {model: self._facts.test_copies(some) for model, some in copies.items()}
        self._left, self._twins = all_stems(keep)

    def policy(self) -> Policy:
        judged = {name: record for name, record in self._records.items() if record.status != "failed"}
        for one in self._changed:
            self._complain("tampered", one.path, one.what, one.next_step or f"git log -p -- {one.path}", None)
        for path, reason in self._broken:
            self._complain("broken", path, reason, f"restore it from history: git log -- {path}", None)
        for name, record in judged.items():
            self._judge(name, record)
        not_looked_at = self._declared_copies(judged)
        complaints = [
            Complaint(kind, about, one.what, tuple(one.models), one.next_step)
            for (kind, about, _), one in self._found.items()
        ]
        complaints.sort(key=lambda one: (KINDS.index(one.kind), one.about))
        return Policy(
            len(judged),
            len(self._records) - len(judged),
            tuple(complaints),
            tuple(self._test_reads()),
            tuple(name for name, record in judged.items() if not record.is_seen or record.took_unknown),
            tuple(
                name
                for name, record in judged.items()
                if not all(record.knows_files_of(given) for given in record.inputs)
            ),
            tuple(self._changed),
            tuple(self._scored),
            (*not_looked_at, *self._gaps),
        )

    def _complain(self, kind: Kind, about: str, what: str, next_step: str, model: str | None) -> None:
        found = self._found.setdefault((kind, about, what), _Found(what, next_step))
        if model:
            found.models[model] = None

    def _judge(self, name: str, record: ModelRecord) -> None:
        self._undeclared(name, record)
        for given in record.inputs:
            self._test_split(name, record, given)
        for (about, split), places in self._copies.get(name, {}).items():
            self._test_copy(name, record, about, split, len(places))
        for owner in self._made_of(name, record):
            for given in owner.inputs:
                if not owner.read_nothing_of(given):
                    self._input(name, owner, given)
            for dataset, version in self._undeclared_versions(owner):
                for one in self._facts.of_version(dataset, version):
                    self._complain(one.kind, one.about, one.what, one.next_step, name)

    def _declared_copies(self, judged: Mapping[str, ModelRecord]) -> tuple[str, ...]:
        """Who read files of personal data under another name; what was not looked at."""
        said: list[str] = []
        versions = [(name, version) for name in self._keep.datasets for version in self._keep.versions(name)]
        self._facts.load(versions)
        objections = {one: self._facts.of_privacy(*one) for one in versions}
        wanted = [one for one in versions if objections[one]]
        for name, version in wanted[:_MAX_COPIED]:
            copies = declared_copies(self._keep, name, version_number(version))
            said += copies.not_looked_at
            for way in copies.ways:
                if str(way.end) in judged:
                    for one in objections[name, version]:
                        self._complain(one.kind, one.about, one.what, one.next_step, str(way.end))
        if len(wanted) > _MAX_COPIED:
            said.append(
                f"whether files of {len(wanted) - _MAX_COPIED:,} more versions were read under other names"
            )
        return tuple(said)

    def _made_of(self, name: str, record: ModelRecord) -> Iterator[ModelRecord]:
        """The model, its base models, and those whose files they read, also as data; all records of such a file."""
        seen: set[str] = set()
        waiting = [record]
        while waiting:
            one = waiting.pop()
            if one.label in seen:
                continue
            seen.add(one.label)
            yield one
            left = sorted(self._left.get(one.label, ()))
            for base in dict.fromkeys((*one.base_models, *left, *self._makers(one))):
                found = self._base(base)
                if found is None:
                    what = (
                        f"{_role(base, one, left)}, has no record that can be read: what it read is not known"
                    )
                    self._complain("broken", base, what, f"datakeep audit model:{name}", name)
                else:
                    waiting.append(found)
            twins = (self._records.get(twin) for twin in sorted(self._twins.get(one.label, ())))
            waiting += [twin for twin in twins if twin]

    def _makers(self, record: ModelRecord) -> list[str]:
        """The models that left files of the data that it read."""
        read = {(one.dataset, one.version) for one in record.inputs if not record.read_nothing_of(one)}
        every = sorted(read | set(self._undeclared_versions(record)))
        return [maker for dataset, version in every for maker in self._facts.makers(dataset, version)]

    def _undeclared_versions(self, record: ModelRecord) -> list[tuple[str, str]]:
        """What it read of checkouts and by its bytes; of versions with the same file the newest."""
        found: set[tuple[str, str]] = set()
        newest: dict[tuple[str, str], str] = {}
        for one in sorted(self._same.get(record.label, ()), key=lambda one: one.number):
            newest[one.dataset, one.path] = one.version
        found.update((dataset, version) for (dataset, _), version in newest.items())
        for entry in record.undeclared:
            dataset, _, version = str(entry.get("of") or "").partition("@")
            if version:
                found.add((dataset, version))
        return sorted(found)

    def _base(self, reference: str) -> ModelRecord | None:
        """The record of a base model; of a name alone the newest version's."""
        model, at, _ = reference.partition("@")
        if at:
            return self._records.get(reference)
        versions = [record for record in self._records.values() if record.model == model]
        return max(versions, key=lambda record: version_number(record.version), default=None)

    def _undeclared(self, name: str, record: ModelRecord) -> None:
        count = max(record.undeclared_count or 0, len(record.undeclared))
        if not count:
            return
        models = {str(one.get("path")): str(one["model"]) for one in record.undeclared if one.get("model")}
        others = [path for one in record.undeclared if (path := str(one.get("path"))) not in models]
        shown = [*others, *models]
        said = "it read" if record.origin not in ("mlflow", "wandb") else f"{record.origin} names"
        example = shown[0] if shown else "not listed"
        what = f"{said} {counted(count, 'file')} that no dataset declares, such as {example}"
        newest = {one.at: one for one in sorted(self._same.get(name, ()), key=lambda one: one.number)}
        known = next(((path, newest[path]) for path in shown if path in newest), None)
        lost = {
            str(one.get("path")): "gone" if "gone" in one else "another now"
            for one in record.undeclared
            if "gone" in one or "changed" in one
        }
        if known:
            path, same = known
            which = ", which" if path == example else f"; {path}"
            what += f"{which} has the bytes of {same.dataset}@{same.version}:{same.path}"
            step = f"declare it in the next run: --uses {same.dataset}@{same.version}"
        elif models and not others:
            what += f", which is a file of the model {models[example]}"
            step = f"declare it in the next run: --base {models[example]}"
        elif (kept := [path for path in others if path not in lost]) or not others:
            step = f"register it, and name it with --uses: {registering(kept)}"
        else:
            step = f"train again on data that stays as it is: {example} is {lost.get(example, 'not listed')}"
        self._complain("undeclared", name, what, f"{step}; all files: datakeep audit model:{name}", name)

    def _test_split(self, name: str, record: ModelRecord, given: ModelInput) -> None:
        """Training on a test split is told from scoring on it only where there was nothing else to learn from."""
        read = [split for split in splits_read(given) if is_test(split)]
        if not read:
            return
        about, split = f"{given.dataset}@{given.version}", ", ".join(sorted(read))
        order = read_order(record, given)
        if order and order.is_after_the_model:
            self._scored.append(Scored(name, about, str(order)))
        elif only_test_read(record):
            if left := model_left(record):
                what = f"it read the test split ({split}) and no other data, and {left}"
                self._complain(
                    "test-split", about, what, f"{_OTHER_SPLIT}: datakeep audit model:{name}", name
                )
        elif not all(is_test(other) for other in splits_read(given)):
            what = f"the run that made it read the test split ({split}) too, to score or to train: nobody can tell"
            what += f" ({order})" if order else ""
            step = "write the model before that split is opened, or score in a run of its own, which reads no other "
            step += f"split; what it read: datakeep audit model:{name}"
            self._complain("test-read", about, what, step, name)

    def _test_copy(self, name: str, record: ModelRecord, about: str, split: str, count: int) -> None:
        """As :meth:`_test_split`, of files that were not declared and have the bytes of a test split's."""
        every = {place for places in self._copies[name].values() for place in places}
        read = f"{counted(count, 'undeclared file')} with the bytes of the test split ({split})"
        if only_test_read(record, len(every)):
            if left := model_left(record):
                what = f"it read {read} and no other data, and {left}"
                self._complain(
                    "test-split", about, what, f"{_OTHER_SPLIT}: datakeep audit model:{name}", name
                )
        else:
            step = "score in a run of its own, which names the data with --uses; what it read: "
            step += f"datakeep audit model:{name}"
            what = f"the run that made it read {read}, to score or to train: nobody can tell"
            self._complain("test-read", about, what, step, name)

    def _input(self, name: str, owner: ModelRecord, given: ModelInput) -> None:
        if self._facts.contradicts(given):
            path = record_path(owner.model, owner.version)
            for doubt in self._changed:
                if doubt.path == path:
                    self._complain("tampered", path, doubt.what, "", name)
        for one in self._facts.of(given):
            self._complain(one.kind, one.about, one.what, one.next_step, name)

    def _test_reads(self) -> Iterator[TestReads]:
        reading: Counter[str] = Counter()
        unknown: Counter[str] = Counter()
        runs: Counter[str] = Counter()
        splits = self._facts.test_splits()
        for record in self._records.values():
            copied = {about.partition("@")[0]: split for about, split in self._copies.get(record.label, {})}
            for dataset, split in copied.items():
                reading[dataset] += 1
                runs[dataset] += all(given.dataset != dataset for given in record.inputs)
                splits.setdefault(dataset, set()).add(split)
            for given in record.inputs:
                read = given.files_read
                runs[given.dataset] += 1
                names = [split for split, count in (read.splits if read else {}).items() if count]
                tests = [split for split in names if is_test(split)]
                if given.dataset in copied:
                    continue
                unseen = not tests and not record.knows_files_of(given)
                unknown[given.dataset] += unseen or read is None or bool(read.count and not read.splits)
                if tests:
                    reading[given.dataset] += 1
                    splits.setdefault(given.dataset, set()).update(tests)
        known = {record.proof for record in self._records.values() if record.proof}
        for dataset, found in sorted(splits.items()):
            unrecorded = self._facts.trainings_proven(dataset, known)  # which files they read is in no proof
            unknown[dataset] += unrecorded
            runs[dataset] += unrecorded
            yield TestReads(dataset, tuple(sorted(found)), reading[dataset], unknown[dataset], runs[dataset])


def _role(model: str, record: ModelRecord, left: Sequence[str]) -> str:
    """What ``model`` is to the model of ``record``, which has its data."""
    if model in record.base_models:
        return f"the base model {model}, whose data it has too"
    if model in left:
        return f"the model {model}, of which it read a file"
    return f"the model {model}, which left files of its data"
