"""An answer of ``audit`` as a graph, from which ``exchange`` makes pages and formats."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from datakeep import __version__
from datakeep.core.errors import DatakeepError
from datakeep.exchange.answer import Answer, Dataset, Doubt, Edge, Fact, Model, Text
from datakeep.formats.model import ModelRecord
from datakeep.formats.model_words import model_rows, read_in_words
from datakeep.lineage import records
from datakeep.workflows.audit import Audit
from datakeep.workflows.file_verdicts import undeclared_of
from datakeep.workflows.made_of import Auditor, gaps
from datakeep.workflows.undeclared import in_words, places
from datakeep.workflows.used_by import FileUsedBy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from datakeep.exchange.answer import How
    from datakeep.lineage.backwards import Node, Way
    from datakeep.lineage.records import Broken
    from datakeep.lineage.same_bytes import SameBytes
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.made_of import InputFacts, MadeOf
    from datakeep.workflows.used_by import UsedBy
    from datakeep.workflows.written_once import Tampered


#: A step of a way as an edge, and what is said of it.
_EDGES: dict[str, tuple[How, str]] = {
    "read": ("read", ""),
    "copied": ("read", "read without being declared, known by its bytes"),
    "derived": ("derived", ""),
    "base": ("base", ""),
    "named": ("base", "named as its base; no file of it was read"),
    "left": ("left", "it read a file that this one left"),
    "holds": ("derived", "it has files that this one left"),
    "same": ("same", "the same bytes"),
    "shares": ("same", "files of the same bytes"),
    "unsure": ("read", "which files it read is not known"),
}
#: How a base model is one, as an edge.
_BASE: dict[str, How] = {"base": "base", "named": "base", "left": "left", "same": "base"}


def answer_of(
    keep: Keep,
    found: Audit | UsedBy | FileUsedBy,
    subject: str,
    *,
    now: datetime,
    tampered: Sequence[Tampered] = (),
) -> Answer | None:
    """The answer as a graph; None where the keep has no record of the model.

    Args:
        keep: The keep that answered.
        found: What it answered.
        subject: As it was asked.
        now: When.
        tampered: What behind it is not as it was recorded.
    """
    graph = _Graph(keep, now, tampered)
    if not isinstance(found, Audit):
        graph.load(node for way in found.through for node in way.nodes if node.kind == "model")
    if isinstance(found, Audit):
        if found.made_of is None:
            return _of_files(graph, found.files, subject, found) if found.files else None
        graph.made_of(found.made_of)
        return graph.answer(subject, "made of", f"model:{found.made_of.record.label}", found)
    if isinstance(found, FileUsedBy):
        return _of_files(graph, [found], subject, found)
    by_model: dict[str, list[SameBytes]] = defaultdict(list)
    for match in found.undeclared.found:
        by_model[match.model].append(match)
    for record in found.records:
        copies = by_model.get(record.label, [])
        graph.reader(record, copies)
        graph.went_into(record, found.dataset, found.version)
        graph.read_a_copy(record, copies)
    named = {one.label for one in found.records if any(of.dataset == found.dataset for of in one.inputs)}
    for way in found.direct:  # under another name, or another version of the same bytes
        if way.hows[0] == "same" or (way.hows[0] == "read" and str(way.end) not in named):
            graph.way(way)
    for way in (*found.derived, *found.through):
        graph.way(way)
    graph.close()
    key = graph.asked_about(found.dataset, found.version)
    lacking = found.undeclared.lacking
    unknown = [
        *found.open,
        *found.not_looked_at,
        *([f"which undeclared files are its own: not searched: {lacking}"] if lacking else []),
    ]
    unknown += _unlisted(found.undeclared.unlisted)
    return graph.answer(subject, "went into", key, found, unknown=unknown)


def _unlisted(models: Sequence[str]) -> list[str]:
    return [f"what of it {one} read undeclared: not all is listed in its record" for one in models]


def _of_files(graph: _Graph, files: Sequence[FileUsedBy], subject: str, found: Audit | FileUsedBy) -> Answer:
    """Which models read a file of a dataset; or the same bytes, which may be several of its files, or of others."""
    unknown: list[str] = []
    said: dict[tuple[str, str], list[str]] = {}
    for one in files:
        _add_file(graph, one, said)
        unknown += [*one.open, *(f"not looked at: {gap}" for gap in one.not_looked_at)]
        unknown += [f"not searched: {one.not_searched}"] if one.not_searched else []
        unknown += [
            f"not searched, since the register entry cannot be read: {broken.reason}" for broken in one.unread
        ]
        unknown += _unlisted(one.unlisted)
    for (source, target), notes in said.items():
        graph.read_of_it(source, target, "; ".join(notes))
    if isinstance(found, Audit) and found.not_searched:
        unknown.append(f"whether other datasets have these bytes: not searched: {found.not_searched}")
    if isinstance(found, Audit):
        unknown += [f"not looked at: {one}" for one in found.not_looked_at]
    graph.close()
    first = files[0]
    only = first.versions[0] if len(first.versions) == 1 else None
    key = graph.asked_about(first.dataset, only)
    others = [f"{one.dataset}:{one.path}" for one in files[1:]]
    path = ", ".join([first.path, *others])
    return graph.answer(subject, "went into", key, found, unknown=dict.fromkeys(unknown), file=path)


def _add_file(graph: _Graph, found: FileUsedBy, said: dict[tuple[str, str], list[str]]) -> None:
    """Its versions and models; what is said of each pair of them is gathered: several files may have these bytes."""
    for version in found.versions:
        graph.dataset(found.dataset, version)
    for one in found.models:
        target = graph.model_called(one.model)
        source = graph.dataset(*_parts(one.dataset_version))
        note = f"the file {found.path}: {one.verdict}, because {one.why}"
        said.setdefault((source, target), []).append(note)
        if (
            _parts(one.dataset_version) not in {(found.dataset, known) for known in found.versions}
            and found.versions
        ):
            asked = graph.dataset(found.dataset, found.versions[-1])
            graph.edge(asked, source, "same", "a file of the same bytes")
    for way in found.through:
        graph.way(way)


def _parts(label: str) -> tuple[str, str | None]:
    name, _, version = label.partition("@")
    return name, version or None


class _Graph:
    """Nodes and edges, each once, in the order in which they were found."""

    def __init__(self, keep: Keep, now: datetime, tampered: Sequence[Tampered]) -> None:
        self._keep, self._now = keep, now
        self._tampered = tuple(Doubt(one.what, one.evidence) for one in tampered)
        self._auditor = Auditor(keep, now)
        self._records: dict[tuple[str, str], ModelRecord] = {}
        self._models: dict[str, Model] = {}
        self._datasets: dict[str, Dataset] = {}
        self._edges: dict[tuple[str, str, How], Edge] = {}

    def answer(
        self,
        asked: str,
        question: str,
        subject: str,
        found: Audit | UsedBy | FileUsedBy,
        *,
        unknown: Iterable[str] = (),
        file: str | None = None,
    ) -> Answer:
        """All that was found, as one value."""
        doubts = (f"whether this answer is true: {one.what}" for one in self._tampered)
        return Answer(
            asked=asked,
            question="made of" if question == "made of" else "went into",
            subject=subject,
            models=tuple(self._models.values()),
            datasets=tuple(self._datasets.values()),
            edges=tuple(self._edges.values()),
            keep=self._keep.name,
            keep_commit=self._keep.tree.commit,
            at=self._now,
            program=__version__,
            sha256=found.sha256 if isinstance(found, Audit) else None,
            file=file,
            same_file=found.same_file if isinstance(found, Audit) else (),
            unknown=(*doubts, *unknown, *_broken(found.broken)),
            doubts=self._tampered,
        )

    def load(self, nodes: Iterable[Node]) -> None:
        """The records of many models are read at once; one that cannot be read is missed when it is asked for."""
        names = {records.record_path(node.name, f"v{node.number}") for node in nodes if node.number}
        for path, text in self._keep.tree.read_many(sorted(names)).items():
            with suppress(DatakeepError):
                record = ModelRecord.read(text, what=path)
                if records.record_path(record.model, record.version) == path:
                    self._records[record.model, record.version] = record

    def edge(self, source: str, target: str, how: How, note: str = "") -> None:
        """``source`` went into ``target``; that it was given and not read no longer counts."""
        known = self._edges.get((source, target, how))
        if known is None or known.is_unread:
            self._edges[source, target, how] = Edge(source, target, how, note)

    def read_of_it(self, source: str, target: str, note: str) -> None:
        """How the model used this version, as its record says, with what is said of some files of it."""
        if record := self._models[target].record:
            self._read(source, target, record, *_parts(source.removeprefix("dataset:")))
            self._edges[source, target, "read"] = replace(self._edges[source, target, "read"], note=note)
        else:
            self.edge(source, target, "read", note)

    def made_of(self, made: MadeOf) -> str:
        """The model, and all that it was made of."""
        key = self._model(made.record, made.unknown, made.same)
        for given in made.inputs:
            self._read(self._input(given), key, made.record, given.given.dataset, given.given.version)
        for copy in made.copies:
            note = f"read without being declared: {copy.given.because}" if copy.given.because else ""
            self.edge(
                self._input(copy), key, "read", note or "read without being declared, known by its bytes"
            )
        for base in made.base_models:
            self.edge(self.made_of(base), key, _BASE[base.how], base.because)
        answered = {name for base in made.base_models for name in (base.record.model, base.record.label)}
        for name in made.record.base_models:
            if name not in answered:
                self.edge(self.model_called(name), key, "base")
        return key

    def reader(self, record: ModelRecord, copies: Sequence[SameBytes]) -> None:
        """The model of ``record``, with whose bytes what it read undeclared has."""
        by_place: dict[str, list[SameBytes]] = {}
        for one in copies:
            by_place.setdefault(one.at, []).append(one)
        self._model(record, same=[(at, in_words(some)) for at, some in by_place.items()])

    def went_into(self, record: ModelRecord, dataset: str, version: str | None) -> None:
        """The model of ``record`` read one or more versions of ``dataset``."""
        key = self._model(record)
        for given in record.inputs:
            if given.dataset == dataset and version in (None, given.version):
                self._read(self.dataset(dataset, given.version), key, record, dataset, given.version)
        for undeclared in undeclared_of(record, dataset):
            if version in (None, undeclared):
                self.edge(self.dataset(dataset, undeclared), key, "read", "read without being declared")

    def read_a_copy(self, record: ModelRecord, found: Sequence[SameBytes]) -> None:
        """The model of ``record`` read files with the bytes of these; of equal versions the newest is meant."""
        if found:
            newest = max(found, key=lambda one: one.number)
            source = self.dataset(newest.dataset, newest.version)
            note = f"read without being declared: the same bytes as {in_words(found)}, at {places(found)}"
            self.edge(source, self._model(record), "read", note)

    def way(self, way: Way) -> None:
        """All steps of a way."""
        for source, target, step in zip(way.nodes, way.nodes[1:], way.hows, strict=False):
            end = self._node(target)
            for start in self._starts(source, target) if step != "same" else [self._node(source)]:
                record = self._models[end].record if step == "read" else None
                if record is not None:
                    self._read(start, end, record, *_parts(start.removeprefix("dataset:")))
                else:
                    self.edge(start, end, *_EDGES[step])

    def asked_about(self, name: str, version: str | None) -> str:
        """The key of the dataset; as a whole it is a node only where no version of it is."""
        if version or all(one.name != name for one in self._datasets.values()):
            return self.dataset(name, version)
        return Dataset(name, None).key

    def close(self) -> None:
        """What the nodes say of each other is an edge, also where the shortest way led elsewhere."""
        for key, dataset in list(self._datasets.items()):
            self._close_dataset(key, dataset)
        for key, model in list(self._models.items()):
            if model.record is None:
                continue
            for given in model.record.inputs:
                if (start := Dataset(given.dataset, given.version).key) in self._datasets:
                    self._read(start, key, model.record, given.dataset, given.version)
            for base in model.record.base_models:
                if (start := Model(*_parts(base)).key) in self._models:
                    self.edge(start, key, "base")

    def _close_dataset(self, key: str, dataset: Dataset) -> None:
        source = dataset.manifest.source if dataset.manifest else None
        for parent in (source.parents if source else None) or ():
            if (start := Dataset(*_parts(parent)).key) in self._datasets:
                self.edge(start, key, "derived")
        for left in (dataset.entry.left_by if dataset.entry else None) or ():
            if (start := Model(*_parts(left.model)).key) in self._models:
                self.edge(start, key, *_EDGES["holds"])

    def _starts(self, source: Node, target: Node) -> Sequence[str]:
        """The node itself; for a dataset that was asked about as a whole, the versions that the target names."""
        if source.number or source.kind != "dataset":
            return [self._node(source)]
        end = self._node(target)
        named: list[tuple[str, str | None]] = []
        if target.kind == "dataset" and (manifest := self._datasets[end].manifest):
            parents = (manifest.source.parents if manifest.source else None) or ()
            named = [_parts(parent) for parent in parents]
        elif target.kind == "model" and (record := self._models[end].record):
            named = [(given.dataset, given.version) for given in record.inputs]
        return [self.dataset(*one) for one in named if one[0] == source.name] or [self._node(source)]

    def _node(self, node: Node) -> str:
        version = f"v{node.number}" if node.number else None
        if node.kind == "dataset":
            return self.dataset(node.name, version)
        return self.model_called(str(node))

    def dataset(self, name: str, version: str | None) -> str:
        """The node of a version, with what its entry says."""
        key = Dataset(name, version).key
        if key in self._datasets:
            return key
        if version is None:
            self._datasets[key] = Dataset(name, None)
            return key
        try:
            facts = self._auditor.version(f"{name}@{version}")
        except DatakeepError as error:
            self._datasets[key] = Dataset(name, version, unknown=(f"everything about it: {error.what}",))
            return key
        return self._input(facts, parents=False)

    def _input(self, found: InputFacts, *, parents: bool = True) -> str:
        """The node of a version that was read, and those of its parents."""
        given, entry = found.given, found.entry
        key = Dataset(given.dataset, given.version).key
        if key not in self._datasets:
            texts = (("SQL", found.query), ("annotation rules", found.rules))
            self._datasets[key] = Dataset(
                given.dataset,
                given.version,
                given.commit,
                given.content,
                entry=entry,
                manifest=entry.manifest_model() if entry else None,
                facts=tuple(Fact(one.label, one.values, one.is_known) for one in found.facts),
                texts=tuple(Text(title, body) for title, body in texts if body is not None),
                proof_state=found.proofs.state if found.proofs else None,
                proofs=_proofs(found),
                newer=found.newer,
                unknown=found.unknown,
            )
        for parent in found.parents if parents else ():
            self.edge(self._input(parent), key, "derived")
        for maker in found.makers:
            left = self.made_of(maker.made) if maker.made else self.model_called(maker.model)
            self.edge(left, key, *_EDGES["holds"])
        return key

    def model_called(self, label: str) -> str:
        """The node of a model by its name, with its record if there is one."""
        name, version = _parts(label)
        if record := self._records.get((name, version or "")):
            return self._model(record)
        found = records.find_by_model(self._keep.tree, name, version)
        record = next(iter(found.records), None)
        if record is not None and (version is None or record.version == version):
            return self._model(record)
        key = Model(name, version).key
        said = ("what it was made of: the keep has no usable record of it",)
        self._models.setdefault(key, Model(name, version, unknown=said))
        return key

    def _model(
        self,
        record: ModelRecord,
        unknown: tuple[str, ...] | None = None,
        same: Sequence[tuple[str, str]] = (),
    ) -> str:
        """The node of a record; by default what it leaves out is what is not known of it."""
        key = Model(record.model, record.version).key
        if key not in self._models:
            rows: dict[str, list[str]] = {}
            for label, text in model_rows(record):
                rows.setdefault(label, []).append(text)
            if same:
                rows["same bytes"] = [f"{at} is {whose}" for at, whose in same]
            facts = tuple(Fact(label, tuple(texts)) for label, texts in rows.items())
            lacking = tuple(dict.fromkeys([*record.unknown, *gaps(record)])) if unknown is None else unknown
            self._models[key] = Model(record.model, record.version, record, facts, lacking, dict(same))
        return key

    def _read(self, source: str, target: str, record: ModelRecord, dataset: str, version: str | None) -> None:
        """``record`` says that the model read this version; a version that the way alone knows has no words."""
        given = next((one for one in record.inputs if (one.dataset, one.version) == (dataset, version)), None)
        told = [read_in_words(given, record), given.because] if given else []
        note = "; ".join(one for one in told if one)
        is_unread = given is not None and record.read_nothing_of(given)
        is_unread = is_unread and version not in undeclared_of(record, dataset)
        edge = Edge(source, target, "read", note, given, is_unread)
        self._edges.setdefault((source, target, "read"), edge)


def _broken(broken: Sequence[Broken]) -> tuple[str, ...]:
    return tuple(f"what {one.path} records: it cannot be read ({one.reason})" for one in broken)


def _proofs(found: InputFacts) -> tuple[str, ...]:
    if found.proofs is None:
        return ()
    return tuple(f"{one.standing.status}: {one.standing.reason} ({one.path})" for one in found.proofs.proofs)
