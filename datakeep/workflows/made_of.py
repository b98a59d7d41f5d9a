"""What a model was made of, by its record: its data with the facts and proofs of that, its base models, and theirs.

Nothing is guessed: what the record does not know, what a manifest does not state, and what cannot be read now are
each said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError, UsageError
from datakeep.lineage import records
from datakeep.workflows import undeclared
from datakeep.workflows.standings import Judge
from datakeep.workflows.stated import not_known, stated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from datakeep.formats.manifest import Manifest
    from datakeep.formats.model import ModelInput, ModelRecord
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.standings import Proofs
    from datakeep.workflows.stated import Stated

#: Base models of base models, and no further: a record that names itself must not hang the audit.
_MAX_DEPTH = 10


@dataclass(frozen=True, slots=True)
class InputFacts:
    """One dataset version that went into a model.

    Attributes:
        given: What the model's record says of it.
        entry: Its register entry; None if the keep has none, or another commit under this version.
        facts: What its manifest states, gaps included.
        query: The text of the SQL that extracted it; None if there is none, or it cannot be read.
        rules: The text of the annotation rules; likewise.
        proofs: What proves the version; None without an entry.
        unknown: What is not known of it, one line each.
        parents: The versions of this keep that it was derived from, answered in the same way.
        newer: The newest version of the dataset, if this is an older one.
    """

    given: ModelInput
    entry: VersionEntry | None
    facts: tuple[Stated, ...] = ()
    query: str | None = None
    rules: str | None = None
    proofs: Proofs | None = None
    unknown: tuple[str, ...] = ()
    parents: tuple[InputFacts, ...] = ()
    newer: str | None = None


@dataclass(frozen=True, slots=True)
class MadeOf:
    """What one model was made of; ``base_models`` are answered in the same way.

    ``same`` tells of undeclared files that have a registered file's bytes: where each lay, and whose they are.
    """

    record: ModelRecord
    inputs: tuple[InputFacts, ...]
    base_models: tuple[MadeOf, ...]
    unknown: tuple[str, ...]
    same: tuple[tuple[str, str], ...] = ()


class Auditor:
    """Answers about the models of one keep at one time."""

    def __init__(self, keep: Keep, now: datetime) -> None:
        self._keep = keep
        self._judge = Judge(keep, now)

    def made_of(self, record: ModelRecord, above: Sequence[str] = ()) -> MadeOf:
        """What the model of ``record`` was made of; ``above`` are the models on the way to it."""
        me = record.label
        inputs = tuple(self._input(given) for given in record.inputs)
        bases: list[MadeOf] = []
        unknown = [*record.unknown]
        for name in record.base_models:
            base = self._base(name)
            if base is None or name in (*above, me) or len(above) >= _MAX_DEPTH:
                unknown.append(f"what the base model {name} was made of: the keep has no usable record of it")
            else:
                bases.append(self.made_of(base, (*above, me)))
        unknown += gaps(record)
        found = undeclared.of_model(self._keep, record)
        same = tuple((at, undeclared.in_words(some)) for at, some in found.items())
        return MadeOf(record, inputs, tuple(bases), tuple(dict.fromkeys(unknown)), same)

    def version(self, name: str) -> InputFacts:
        """What is known of ``orders@v3``, whoever used it.

        Raises:
            UnknownName, InvalidFile: There is no such version, or its entry cannot be read.
        """
        return self._input(_declared(self._keep.entry(name, asking=False)))

    def _base(self, name: str) -> ModelRecord | None:
        model, _, version = name.partition("@")
        found = records.find_by_model(self._keep.tree, model, version or None)
        return next(iter(found.records), None)

    def _parents(
        self, manifest: Manifest, name: str, above: Sequence[str]
    ) -> tuple[tuple[InputFacts, ...], list[str]]:
        """What the parents of a derived version are, and which of them cannot be followed."""
        found, unknown = [], []
        stated_parents = manifest.source.parents if manifest.source else None
        for parent in stated_parents or ():
            try:
                entry = self._keep.entry(parent, asking=False)
                if parent in (*above, name) or len(above) >= _MAX_DEPTH:
                    raise UsageError("it leads back to itself", next_step=f"datakeep show {name}")
            except DatakeepError as error:
                unknown.append(f"what its parent {parent} was made of: {error.what}")
                continue
            found.append(self._input(_declared(entry), (*above, name)))
        return tuple(found), unknown

    def _input(self, given: ModelInput, above: Sequence[str] = ()) -> InputFacts:
        """What is known of a version; ``above`` are those that were derived from it."""
        name = f"{given.dataset}@{given.version}"
        try:
            entry = self._keep.entry(name, asking=False)
            manifest = entry.manifest_model()
        except DatakeepError as error:
            return InputFacts(given, None, unknown=(f"everything about {name}: {error.what}",))
        if (entry.commit, entry.content) != (given.commit, given.content):
            said = f"the register has other contents as {name} than the model was made of"
            return InputFacts(given, None, unknown=(said,))
        unknown = not_known(manifest)
        texts: list[str | None] = []
        source, annotation = manifest.source, manifest.annotation
        rules = annotation.rules if annotation and not isinstance(annotation, str) else None
        for what, path in (("SQL", source.query if source else None), ("annotation rules", rules)):
            text, fault = self._text(entry, path)
            texts.append(text)
            if fault:
                unknown.append(f"the text of the {what} ({path}): {fault}")
        proofs = self._judge.proofs(entry)
        parents, lost = self._parents(manifest, name, above)
        unknown += lost
        newest = self._keep.versions(entry.dataset)[-1]
        newer = newest if newest != entry.version else None
        facts = tuple(stated(manifest))
        return InputFacts(given, entry, facts, texts[0], texts[1], proofs, tuple(unknown), parents, newer)

    def _text(self, entry: VersionEntry, path: str | None) -> tuple[str | None, str | None]:
        """The text of a file of the dataset's repository, or why it cannot be read."""
        if path is None or path == "unknown":
            return None, None
        try:
            repository = self._keep.dataset_repository(entry.dataset)
            if entry.commit not in repository.tags().values():
                repository.fetch()
            data = repository.read(entry.commit, path)
        except DatakeepError as error:
            return None, error.what
        return (data.decode("utf-8", "replace"), None) if data is not None else (None, "it is not there")


def _declared(entry: VersionEntry) -> ModelInput:
    from datakeep.formats.model import ModelInput  # late: most questions do not need the models

    return ModelInput.declared(entry)


def gaps(record: ModelRecord) -> list[str]:
    """What the record leaves out without saying so."""
    gaps = [
        ("which files of the data were read", all(given.files_read for given in record.inputs)),
        ("undeclared inputs", record.origin == "verification" or record.observed is not None),
        ("the training's code", record.code.commit or record.code.path),
        ("the environment's lock", record.environment.lock),
        ("metrics", record.metrics),
        ("datasets", record.inputs),
        ("the model's file", record.artifacts),
    ]
    return [what for what, known in gaps if not known]
