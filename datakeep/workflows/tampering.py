"""Whether what an answer comes from is what was once recorded; asked of each answer, and by ``fsck`` of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.lineage.records import FOLDER, all_records, record_path
from datakeep.workflows.audit import Audit
from datakeep.workflows.contradictions import Doubts
from datakeep.workflows.could_tell import backwards_from, deleted_entries, of_a_file
from datakeep.workflows.register_entries import entry_path
from datakeep.workflows.standings import Judge
from datakeep.workflows.used_by import FileUsedBy, UsedBy
from datakeep.workflows.written_once import ever_changed, tampered, warn_of_a_short_history

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from datakeep.formats.model import ModelRecord
    from datakeep.formats.version import VersionEntry
    from datakeep.lineage.records import Broken
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.made_of import InputFacts, MadeOf
    from datakeep.workflows.standings import Proofs
    from datakeep.workflows.written_once import Tampered


def behind_an_audit(keep: Keep, found: Audit | UsedBy | FileUsedBy, *, now: datetime) -> tuple[Tampered, ...]:
    """What was changed, or contradicts itself, of all records, entries and proofs that an audit's answer tells of.

    Of what was deleted, or leaves the answer because it was edited, all that could have been part of it.

    Args:
        keep: The keep.
        found: The answer.
        now: The time at which proofs are weighed.
    """
    warn_of_a_short_history(keep)
    files = _Files(keep)
    judge = Judge(keep, now)
    if isinstance(found, Audit) and found.made_of is None:
        files.paths.update(ever_changed(keep, FOLDER))  # any of them might have told
        if not (found.files or found.undeclared):
            files.paths.update(deleted_entries(keep))  # so might a dataset with this file
        for one in found.files:
            files.take_used(one.dataset, one.versions)
    elif isinstance(found, Audit) and found.made_of is not None:
        files.take_model(found.made_of)
        if found.sha256:
            files.paths.update(of_a_file(keep, found.sha256))
        elif "@" not in found.asked:
            files.paths.update(ever_changed(keep, f"{FOLDER}{found.made_of.record.model}/"))
    elif isinstance(found, UsedBy):
        files.take_used(found.dataset, (found.version,) if found.version else keep.versions(found.dataset))
        asked = (found.version,) if found.version else ()
        on_the_way = [way.end.name for way in found.derived]
        on_the_way += [one.label for one in found.records]  # what they left may have been registered
        on_the_way += [str(node) for way in found.through for node in way.nodes]
        files.paths.update(backwards_from(keep, found.dataset, asked, on_the_way))
        for record in found.records:
            files.take_record(record)
    elif isinstance(found, FileUsedBy):
        files.take_used(found.dataset, found.versions)
        on_the_way = [one.model for one in found.models]
        on_the_way += [str(node) for way in found.through for node in way.nodes]
        asked = (found.asked,) if found.asked else ()
        files.paths.update(backwards_from(keep, found.dataset, asked, on_the_way))
        files.paths.update(path for one in found.models for path in _with_lists(keep, one.model))
    files.paths.update(one.path for one in found.broken)
    doubts = Doubts(keep, lambda entry: files.proofs.get(_label(entry)) or judge.proofs(entry))
    told = list(tampered(keep, files.paths))
    told += [one for record in files.records for one in doubts.of_record(record)]
    told += [one for proofs in files.proofs.values() for one in doubts.of_proofs(proofs)]
    return tuple(dict.fromkeys(told))


def behind_some(
    keep: Keep,
    records: Iterable[ModelRecord],
    versions: Iterable[tuple[str, str]],
    *,
    now: datetime,
    models: Iterable[str] = (),
    broken: Iterable[Broken] = (),
    below: Sequence[str] = (),
) -> tuple[Tampered, ...]:
    """As :func:`behind_an_audit`, of these model records with all that they lead to, and of register entries.

    Args:
        keep: The keep.
        records: Of models.
        versions: Dataset and version, each.
        now: The time at which proofs are weighed.
        models: Further models by name, ``churn@v7``, of which the record alone is meant.
        broken: Records that cannot be read: somebody may have made them so.
        below: Beginnings of paths, of which all that was changed or deleted could have been part of the answer.
    """
    warn_of_a_short_history(keep)
    files = _Files(keep)
    for record in records:
        files.take_record(record)
        files.paths.update(entry_path(given.dataset, given.version) for given in record.inputs)
    files.paths.update(entry_path(dataset, version) for dataset, version in versions)
    files.paths.update(path for name in models if "@" in name for path in _with_lists(keep, name))
    files.paths.update(one.path for one in broken)
    files.paths.update(ever_changed(keep, *below))
    doubts = Doubts(keep, Judge(keep, now).proofs)
    told = list(tampered(keep, files.paths))
    told += [one for record in files.records for one in doubts.of_record(record)]
    return tuple(dict.fromkeys(told))


def behind_a_version(
    keep: Keep, entry: VersionEntry, proofs: Proofs, *, newest: bool = False
) -> tuple[Tampered, ...]:
    """As :func:`behind_an_audit`, of one version's register entry and proofs.

    Args:
        keep: The keep.
        entry: The entry.
        proofs: Of the version.
        newest: Whether it was asked for as the newest: another may have been, and be gone.
    """
    warn_of_a_short_history(keep)
    paths = [entry_path(entry.dataset, entry.version), *(proof.path for proof in proofs.proofs)]
    paths += ever_changed(keep, f"proofs/{entry.dataset}/{entry.version}/")
    paths += ever_changed(keep, f"register/{entry.dataset}/") if newest else ()
    doubts = Doubts(keep, lambda _: proofs)
    return tuple(dict.fromkeys([*tampered(keep, paths), *doubts.of_proofs(proofs)]))


def behind_everything(keep: Keep, entries: Sequence[VersionEntry], *, now: datetime) -> tuple[Tampered, ...]:
    """All that was changed in the keep, and where its records and the proofs of ``entries`` contradict the rest."""
    warn_of_a_short_history(keep)
    judge = Judge(keep, now)
    proofs = {_label(entry): judge.proofs(entry) for entry in entries if judge.has_proofs(entry.dataset)}
    doubts = Doubts(keep, lambda entry: proofs.get(_label(entry)) or judge.proofs(entry), entries)
    told = list(tampered(keep))
    told += [one for record in all_records(keep.tree).records for one in doubts.of_record(record)]
    told += [one for proven in proofs.values() for one in doubts.of_proofs(proven)]
    return tuple(dict.fromkeys(told))


def _with_lists(keep: Keep, label: str) -> Iterator[str]:
    """A record, and the lists of files that were read which lie beside it."""
    model, _, version = label.partition("@")
    yield record_path(model, version)
    yield from keep.tree.list(f"{FOLDER}{model}/{version}/read/")


def _label(entry: VersionEntry) -> str:
    return f"{entry.dataset}@{entry.version}"


class _Files:
    """The files of a keep that an answer comes from, those that are missing among them."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self.paths: set[str] = set()
        self.records: list[ModelRecord] = []
        self.proofs: dict[str, Proofs] = {}

    def take_model(self, made: MadeOf) -> None:
        self.take_record(made.record)
        for given in made.inputs:
            self._take_input(given)
        for copied in made.copies:
            self._take_input(copied)
        for base in made.base_models:
            self.take_model(base)
        for name in made.record.base_models:
            if "@" not in name:  # whichever was the newest
                self.paths.update(ever_changed(self._keep, f"{FOLDER}{name}/"))

    def take_record(self, record: ModelRecord) -> None:
        self.records.append(record)
        self.paths.add(record_path(record.model, record.version))
        self.paths.update(self._keep.tree.list(f"{FOLDER}{record.model}/{record.version}/"))
        self.paths.update(_paths_of(record))

    def take_used(self, dataset: str, versions: tuple[str, ...] | list[str]) -> None:
        self.paths.update(entry_path(dataset, version) for version in versions)

    def _take_input(self, found: InputFacts) -> None:
        given = found.given
        self.paths.add(entry_path(given.dataset, given.version))
        if found.proofs is not None:
            self.proofs[f"{given.dataset}@{given.version}"] = found.proofs
            self.paths.update(proof.path for proof in found.proofs.proofs)
            self.paths.update(ever_changed(self._keep, f"proofs/{given.dataset}/{given.version}/"))
        source = found.entry.manifest.get("source") if found.entry else None
        parents = source.get("parents") if isinstance(source, dict) else None
        for parent in parents if isinstance(parents, list) else ():
            name, _, version = str(parent).partition("@")
            if version:
                self.paths.add(entry_path(name, version))
            else:
                self.paths.update(ever_changed(self._keep, f"register/{name}/"))
        for one in found.parents:
            self._take_input(one)
        for maker in found.makers:
            self.paths.update(_with_lists(self._keep, maker.model))
            if maker.made:
                self.take_model(maker.made)


def _paths_of(record: ModelRecord) -> Iterator[str]:
    """What a record leads to, there or not: base models, proof, lists, changes of its code."""
    for base in record.base_models:
        model, _, version = base.partition("@")
        yield record_path(model, version)
    folder = f"{FOLDER}{record.model}/{record.version}/"
    kept = [given.files_read.kept for given in record.inputs if given.files_read]
    yield from (f"{folder}{name}" for name in kept if name)
    yield from ([record.proof] if record.proof else [])
    yield from ([f"{folder}{record.code.diff}"] if record.code.diff else [])
