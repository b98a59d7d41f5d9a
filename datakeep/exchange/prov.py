"""W3C PROV as PROV-JSON: what was used, made, derived, and by whom.

Versions of datasets and models, model files and code are entities; trainings, extractions and derivations are
activities; people are agents. The answer itself is an entity too, so that its date, the keep's commit and what is not
known travel with it. Attributes of ours are in the namespace ``datakeep``.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from datakeep.exchange.json_text import json_text
from datakeep.exchange.places import moment, slug, uri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datakeep.exchange.answer import Answer, Dataset, Model
    from datakeep.formats.manifest import Source
    from datakeep.formats.model import ModelRecord


def prov(answer: Answer) -> str:
    """The answer as a PROV-JSON document.

    Raises:
        Unsupported: One file was asked about.
    """
    return json_text(document(answer)) + "\n"


def document(answer: Answer) -> dict[str, Any]:
    """The same document as data; raises as :func:`prov`."""
    answer.require_whole("prov")
    made = _Document(answer)
    for model in answer.models:
        made.add_model(model)
    for dataset in answer.datasets:
        made.add_dataset(dataset)
    made.add_edges()
    made.add_answer()
    return made.records


def _type(name: str) -> dict[str, str]:
    return {"$": name, "type": "prov:QUALIFIED_NAME"}


def _time(text: str) -> dict[str, str]:
    return {"$": text, "type": "xsd:dateTime"}


class _Document:
    """PROV-JSON in the making: each kind of record is an object of records by their ids."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        prefixes = {"keep": f"urn:datakeep:keep:{slug(answer.keep)}:", "datakeep": "urn:datakeep:prov/1#"}
        self.records: dict[str, Any] = {"prefix": prefixes}

    def _add(self, kind: str, key: str, **attributes: Any) -> str:
        """A record; attributes that say nothing are left out. The first record of a key stands."""
        given = {
            name.replace("_", ":", 1): value
            for name, value in attributes.items()
            if value is not None and value not in ("", [], ())
        }
        self.records.setdefault(kind, {}).setdefault(key, given)
        return key

    def _relate(self, kind: str, **attributes: Any) -> None:
        self._add(kind, f"_:{kind}{len(self.records.get(kind, {})) + 1}", **attributes)

    def _person(self, name: str | None, email: str | None) -> str | None:
        if not email:
            return None
        named = name if name and name != email else None
        return self._add(
            "agent",
            f"keep:people/{slug(email)}",
            prov_type=_type("prov:Person"),
            prov_label=named,
            datakeep_email=email,
        )

    # ---- models

    def add_model(self, model: Model) -> None:
        """A model, its files, the run that made it, and who recorded that."""
        record = model.record
        key = self._add(
            "entity",
            _id(model.key),
            prov_type=_type("datakeep:Model"),
            prov_label=model.label,
            datakeep_metrics=_pairs(record.metrics) if record else None,
            datakeep_origin=record.origin if record else None,
            datakeep_proof=record.proof if record else None,
            datakeep_notKnown=list(model.unknown),
        )
        if record is None:
            return
        run = self._run(model, record)
        self._relate("wasGeneratedBy", prov_entity=key, prov_activity=run)
        for artifact in record.artifacts:
            file = self._add(
                "entity",
                f"keep:files/{artifact.sha256}",
                prov_type=_type("datakeep:File"),
                prov_label=artifact.path,
                datakeep_sha256=artifact.sha256,
                datakeep_sizeBytes=artifact.size_bytes,
            )
            self._relate("wasDerivedFrom", prov_generatedEntity=file, prov_usedEntity=key)
        for entry in record.undeclared:
            self._undeclared(run, entry, model.same)

    def _run(self, model: Model, record: ModelRecord) -> str:
        environment = record.environment
        run = self._add(
            "activity",
            f"keep:runs/{slug(model.label)}",
            prov_type=_type("datakeep:Training"),
            prov_label=f"the training of {model.label}",
            datakeep_status=record.status,
            datakeep_failure=record.failure,
            datakeep_command=shlex.join(record.command),
            datakeep_parameters=_pairs(record.parameters),
            datakeep_seeds=_pairs(record.seeds),
            datakeep_environmentLock=environment.lock,
            datakeep_python=environment.python,
            datakeep_platform=environment.platform,
            datakeep_gpu=environment.gpu,
            datakeep_givenUnread=self._answer.unread(model.key),
            datakeep_observedBy=record.observed.by if record.observed else None,
            datakeep_recordedAt=_time(at) if (at := moment(record.recorded_at)) else None,
        )
        code = record.code
        if code.url or code.commit or code.path:
            place = self._code(code.url, code.commit, code.path, code.dirty)
            self._relate("used", prov_activity=run, prov_entity=place, prov_role=_type("datakeep:code"))
        if person := self._person(None, record.recorded_by):
            self._relate(
                "wasAssociatedWith",
                prov_activity=run,
                prov_agent=person,
                prov_role=_type("datakeep:recorder"),
            )
        return run

    def _code(self, url: str | None, commit: str | None, path: str | None, dirty: str | None = None) -> str:
        name = "/".join(slug(part) for part in (commit or "unknown", path, dirty) if part)
        return self._add(
            "entity",
            f"keep:code/{name}",
            prov_type=_type("prov:Plan"),
            datakeep_repository=uri(url),
            datakeep_commit=commit,
            datakeep_path=path,
            datakeep_uncommitted=dirty,
        )

    def _undeclared(self, run: str, entry: dict[str, Any], same: Mapping[str, str]) -> None:
        path = str(entry.get("path", "unknown"))
        file = self._add(
            "entity",
            f"keep:undeclared/{slug(str(entry.get('sha256') or path))}",
            prov_type=_type("datakeep:UndeclaredInput"),
            prov_label=path,
            datakeep_sha256=entry.get("sha256"),
            datakeep_checkoutOf=entry.get("of"),
            datakeep_sameBytesAs=same.get(path),
        )
        self._relate("used", prov_activity=run, prov_entity=file, datakeep_how="undeclared")

    # ---- datasets

    def add_dataset(self, dataset: Dataset) -> None:
        """A version, whose it is, and how it was made."""
        entry, manifest = dataset.entry, dataset.manifest
        privacy = manifest.privacy if manifest else None
        key = self._add(
            "entity",
            _id(dataset.key),
            prov_type=_type("datakeep:DatasetVersion" if dataset.version else "datakeep:Dataset"),
            prov_label=dataset.label,
            datakeep_content=dataset.content,
            datakeep_commit=dataset.commit,
            datakeep_repository=uri(entry.repository) if entry else None,
            datakeep_inventory=entry.inventory if entry else None,
            datakeep_files=entry.files if entry else None,
            datakeep_sizeBytes=entry.size_bytes if entry else None,
            datakeep_registeredAt=_time(entry.registered_at.isoformat()) if entry else None,
            datakeep_purpose=manifest.purpose if manifest else None,
            datakeep_license=manifest.license if manifest else None,
            datakeep_personalData=privacy.personal if privacy else None,
            datakeep_caveat=[_caveat for fact in dataset.facts if fact.label == "caveats" and fact.is_known
                             for _caveat in fact.values],
            datakeep_proofs=dataset.proof_state,
            datakeep_newest=dataset.newer,
            datakeep_notKnown=list(dataset.unknown),
        )  # fmt: skip
        owner = manifest.owner if manifest else None
        for person in (owner, *(manifest.stewards if manifest else ())):
            if person and (agent := self._person(person.name, person.email)):
                role = "owner" if person is owner else "steward"
                self._relate("wasAttributedTo", prov_entity=key, prov_agent=agent, datakeep_role=role)
        if manifest and manifest.source:
            self._source(key, dataset, manifest.source)

    def _source(self, key: str, dataset: Dataset, source: Source) -> None:
        """How a version was extracted or derived."""
        if source.kind not in ("sql", "derived"):
            return
        ran = source.extraction
        started = _time(ran.started_at.isoformat()) if ran else None
        ended = _time(ran.ended_at.isoformat()) if ran else None
        activity = self._add(
            "activity",
            f"keep:{'extractions' if source.kind == 'sql' else 'derivations'}/{slug(dataset.label)}",
            prov_type=_type(f"datakeep:{'Extraction' if source.kind == 'sql' else 'Derivation'}"),
            prov_startTime=started and started["$"],
            prov_endTime=ended and ended["$"],
            datakeep_extractedAt=str(source.extracted_at) if source.extracted_at else None,
            datakeep_database=uri(source.database),
            datakeep_dialect=source.dialect,
            datakeep_query=next((text.body for text in dataset.texts if text.title == "SQL"), None),
            datakeep_parameters=source.parameters_shown(),
            datakeep_command=source.command
            if isinstance(source.command, str)
            else shlex.join(source.command or []),
        )
        self._relate("wasGeneratedBy", prov_entity=key, prov_activity=activity)
        if source.code:
            code = self._code(source.code.url, source.code.commit, source.code.path)
            self._relate("used", prov_activity=activity, prov_entity=code, prov_role=_type("datakeep:code"))
        for table in ran.tables if ran else ():
            of = self._add(
                "entity",
                f"keep:tables/{slug(table.name)}",
                prov_type=_type("datakeep:Table"),
                prov_label=table.name,
            )
            self._relate("used", prov_activity=activity, prov_entity=of)
        if person := self._person(None, source.extracted_by):
            self._relate("wasAssociatedWith", prov_activity=activity, prov_agent=person)

    # ---- edges, and the answer

    def add_edges(self) -> None:
        """What went into what."""
        for edge in self._answer.edges:
            if edge.is_unread:  # said of the run: datakeep:givenUnread
                continue
            source, target = _id(edge.source), _id(edge.target)
            if edge.how == "derived":
                self._relate("wasDerivedFrom", prov_generatedEntity=target, prov_usedEntity=source)
                activity = target.replace("keep:datasets/", "keep:derivations/", 1)
                if activity in self.records.get("activity", {}):
                    self._relate("used", prov_activity=activity, prov_entity=source)
                continue
            run = target.replace("keep:models/", "keep:runs/", 1)
            known = run in self.records.get("activity", {})
            self._relate("wasDerivedFrom", prov_generatedEntity=target, prov_usedEntity=source)
            if known:
                role = "datakeep:baseModel" if edge.how == "base" else "datakeep:dataset"
                self._relate(
                    "used",
                    prov_activity=run,
                    prov_entity=source,
                    prov_role=_type(role),
                    datakeep_how=edge.given.how if edge.given else None,
                    datakeep_read=edge.note,
                )

    def add_answer(self) -> None:
        """That this was asked, when, of which keep, and what could not be answered."""
        answer = self._answer
        key = self._add(
            "entity",
            "keep:answer",
            prov_type=_type("datakeep:Answer"),
            datakeep_asked=answer.asked,
            datakeep_question=answer.question,
            datakeep_sha256=answer.sha256,
            datakeep_keep=answer.keep,
            datakeep_keepCommit=answer.keep_commit,
            datakeep_answeredAt=_time(answer.at.isoformat()),
            datakeep_sameFile=list(answer.same_file),
            datakeep_notKnown=list(answer.unknown),
        )
        if all(node.key != answer.subject for node in answer.nodes):
            self._whole(_id(answer.subject), answer.subject.partition(":")[2])
        self._relate("wasInfluencedBy", prov_influencee=key, prov_influencer=_id(answer.subject))

    def _whole(self, key: str, name: str) -> None:
        """A dataset that was asked about as a whole, which its versions are."""
        self._add("entity", key, prov_type=_type("datakeep:Dataset"), prov_label=name)
        for dataset in self._answer.datasets:
            if dataset.name == name:
                version = _id(dataset.key)
                self._relate("specializationOf", prov_specificEntity=version, prov_generalEntity=key)


def _id(key: str) -> str:
    """The PROV name of a node."""
    kind, _, label = key.partition(":")
    return f"keep:{kind}s/{slug(label)}"


def _pairs(values: dict[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items()]
