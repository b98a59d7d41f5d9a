"""What a model was made of, by its record: its data with the facts and proofs of that, its base models, and theirs.

Nothing is guessed: what the record does not know, what a manifest does not state, and what cannot be read now are
each said.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError, UsageError
from datakeep.lineage import records
from datakeep.workflows import undeclared
from datakeep.workflows.standings import Judge
from datakeep.workflows.stated import not_known, stated
from datakeep.workflows.stems import Stem, same_file, stems

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from datakeep.formats.manifest import Manifest
    from datakeep.formats.model import ModelInput, ModelRecord
    from datakeep.formats.version import VersionEntry
    from datakeep.lineage.same_bytes import SameBytes
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.standings import Proofs
    from datakeep.workflows.stated import Stated
    from datakeep.workflows.stems import Kind

#: Base models of base models, and no further: a record that names itself must not hang the audit.
_MAX_DEPTH = 10
#: Models of one answer: a version may have files of a hundred nightly runs.
_MAX_MAKERS = 200


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
        makers: The recorded trainings that left files of it.
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
    makers: tuple[Maker, ...] = ()


@dataclass(frozen=True, slots=True)
class Maker:
    """A recorded training that left files of a version.

    Attributes:
        model: ``prep@v1``.
        files: How many files of the version it left.
        made: What that model was made of; None where the same answer tells it elsewhere, or nobody can.
    """

    model: str
    files: int
    made: MadeOf | None = None


@dataclass(frozen=True, slots=True)
class MadeOf:
    """What one model was made of; ``base_models`` are answered in the same way.

    Attributes:
        record: Its record.
        inputs: The data that it was given, or is said to have used.
        base_models: What it was made of, and models whose files its training read.
        unknown: What is not known of it, one line each.
        same: Of undeclared files that have a registered file's bytes where each lay, and whose they are.
        copies: The versions with those bytes, of equal ones the newest, as if they had been declared.
        how: For a base model how it is one, ``base``, ``named``, ``left`` or ``same``.
        because: How that is known.
    """

    record: ModelRecord
    inputs: tuple[InputFacts, ...]
    base_models: tuple[MadeOf, ...]
    unknown: tuple[str, ...]
    same: tuple[tuple[str, str], ...] = ()
    copies: tuple[InputFacts, ...] = ()
    how: Kind = "base"
    because: str = ""


class Auditor:
    """Answers about the models of one keep at one time."""

    def __init__(self, keep: Keep, now: datetime, *, fetch: bool = False) -> None:
        self._keep, self._fetch = keep, fetch
        self._judge = Judge(keep, now)
        self._depths: dict[str, int] = {}

    def made_of(self, record: ModelRecord, above: Sequence[str] = ()) -> MadeOf:
        """What the model of ``record`` was made of; ``above`` are the models on the way to it."""
        models = (*above, record.label)
        self._depths[record.label] = min(len(above), self._depths.get(record.label, len(above)))
        inputs = tuple(self._input(given, models=models) for given in record.inputs)
        unknown = [*record.unknown]
        bases = self._bases(record, above, unknown)
        unknown += gaps(record)
        found, unsearched = undeclared.of_model(self._keep, record, fetch=self._fetch)
        unknown += unsearched
        same = tuple((at, undeclared.in_words(some)) for at, some in found.items())
        copies = self._copies(record, [one for some in found.values() for one in some], models)
        return MadeOf(record, inputs, bases, tuple(dict.fromkeys(unknown)), same, copies)

    def _bases(self, record: ModelRecord, above: Sequence[str], unknown: list[str]) -> tuple[MadeOf, ...]:
        """Its base models, and the other records of their files; ``unknown`` is added to where there is none."""
        me = record.label
        waiting = deque(stems(self._keep, record))
        found: dict[str, MadeOf] = {}
        while waiting:
            stem = waiting.popleft()
            base = self._base(stem.label)
            if base is not None and (
                base.label in found or (stem.how == "same" and base.label in (*above, me))
            ):
                continue
            if base is None or base.label in (*above, me) or len(above) >= _MAX_DEPTH:
                why = "the keep has no usable record of it"
                if base is not None and base.label in (*above, me):
                    why = "the records lead back to it"
                elif base is not None:
                    why = f"it is too far to be told here: datakeep audit model:{base.label}"
                unknown.append(f"what the base model {stem.label} was made of: {why}")
                continue
            made = self.made_of(base, (*above, me))
            found[base.label] = replace(made, how=stem.how, because=stem.because)
            for other in same_file(self._keep, base):
                waiting.append(Stem(other, "same", f"it has the same file as {base.label}"))
        return tuple(found.values())

    def _copies(
        self, record: ModelRecord, found: Sequence[SameBytes], models: Sequence[str]
    ) -> tuple[InputFacts, ...]:
        """The versions whose files were read without being declared, of each dataset and path the newest."""
        newest: dict[tuple[str, str], SameBytes] = {}
        for one in sorted(found, key=lambda one: one.number):
            newest[one.dataset, one.path] = one
        given = {(one.dataset, one.version) for one in record.inputs if not record.read_nothing_of(one)}
        names = sorted({(one.dataset, one.version) for one in newest.values()} - given)
        facts: list[InputFacts] = []
        for name, version in names:
            mine = [one for one in found if (one.dataset, one.version) == (name, version)]
            because = f"the same bytes as {undeclared.in_words(mine)}, at {undeclared.places(mine)}"
            because += (
                "" if any(one.is_sure for one in mine) else ", which changed during the training or since"
            )
            with suppress(DatakeepError):
                known = self._input(
                    _declared(self._keep.entry(f"{name}@{version}", asking=False)), models=models
                )
                facts.append(replace(known, given=known.given.model_copy(update={"because": because})))
        return tuple(facts)

    def version(self, name: str) -> InputFacts:
        """What is known of ``orders@v3``, whoever used it; not who left its files.

        Raises:
            UnknownName, InvalidFile: There is no such version, or its entry cannot be read.
        """
        return self._input(_declared(self._keep.entry(name, asking=False)))

    def _base(self, name: str) -> ModelRecord | None:
        model, _, version = name.partition("@")
        found = records.find_by_model(self._keep.tree, model, version or None)
        return next(iter(found.records), None)

    def _parents(
        self, manifest: Manifest, name: str, above: Sequence[str], models: Sequence[str] | None
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
            found.append(self._input(_declared(entry), (*above, name), models))
        return tuple(found), unknown

    def _makers(self, entry: VersionEntry, models: Sequence[str], unknown: list[str]) -> Iterator[Maker]:
        """Who left files of a version, each model told once; ``unknown`` is added to where it cannot be."""
        for left in entry.left_by or ():
            is_told = left.model in models or self._depths.get(left.model, _MAX_DEPTH) <= len(models)
            said = f"what the model {left.model}, which left files of it, was made of"
            record = None if is_told else self._base(left.model)
            if record is None and not is_told:
                unknown.append(f"{said}: the keep has no usable record of it")
            if record and (len(models) >= _MAX_DEPTH or len(self._depths) >= _MAX_MAKERS):
                unknown.append(f"{said}: it is too far to be told here: datakeep audit model:{left.model}")
                record = None
            yield Maker(left.model, left.files, self.made_of(record, models) if record else None)

    def _input(
        self, given: ModelInput, above: Sequence[str] = (), models: Sequence[str] | None = None
    ) -> InputFacts:
        """What is known of a version; ``above`` are those that were derived from it.

        ``models`` lead to it; where they are None, who left its files is not asked.
        """
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
        parents, lost = self._parents(manifest, name, above, models)
        unknown += lost
        makers = () if models is None else tuple(self._makers(entry, models, unknown))
        newest = self._keep.versions(entry.dataset)[-1]
        newer = newest if newest != entry.version else None
        facts = tuple(stated(manifest))
        return InputFacts(
            given, entry, facts, texts[0], texts[1], proofs, tuple(unknown), parents, newer, makers
        )

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
