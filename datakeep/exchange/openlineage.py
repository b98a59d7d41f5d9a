"""OpenLineage: one event a line, as a lineage server such as Marquez takes them.

A training is a run that reads dataset versions and base models and writes a model; the extraction of a query and
the making of derived data are runs too. A raw dataset that no run made is an event of its own. Names follow the
keep's folders (``datasets/orders``, ``models/churn``); the version is in the facet ``version``, as the standard wants
it. What the standard has no facet for is in facets that begin with ``datakeep_``, also the lines of "not known".
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from datakeep.core.secrets import strip_url
from datakeep.exchange.json_text import json_text, without_empty
from datakeep.exchange.places import moment, slug, uri

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.exchange.answer import Answer, Dataset, Model
    from datakeep.formats.manifest import CodeAt, Manifest, Source
    from datakeep.formats.model import ModelInput, ModelRecord

_SPEC = "https://openlineage.io/spec"
_CORE = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs"
#: Who says so; the version is in the facet of the answer, so that equal records give equal events.
_PRODUCER = "urn:datakeep:producer/1"
#: The version of each facet's own schema.
_FACETS = {
    "DatasetVersionDatasetFacet": "1-0-1",
    "DatasourceDatasetFacet": "1-0-1",
    "DocumentationDatasetFacet": "1-1-0",
    "EnvironmentVariablesRunFacet": "1-0-0",
    "ErrorMessageRunFacet": "1-0-1",
    "ExecutionParametersRunFacet": "1-0-0",
    "InputStatisticsInputDatasetFacet": "1-0-0",
    "JobTypeJobFacet": "2-0-4",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "OwnershipDatasetFacet": "1-0-1",
    "ProcessingEngineRunFacet": "1-1-1",
    "SQLJobFacet": "1-1-0",
    "SchemaDatasetFacet": "1-2-0",
    "SourceCodeLocationJobFacet": "1-1-0",
    "TagsDatasetFacet": "1-0-0",
}


def openlineage(answer: Answer) -> str:
    """The answer as OpenLineage events, one a line: datasets before the trainings that read them.

    Raises:
        Unsupported: One file was asked about.
    """
    return "".join(json_text(event, indent=None) + "\n" for event in events(answer))


def events(answer: Answer) -> Iterator[dict[str, Any]]:
    """The same events as data; raises as :func:`openlineage`."""
    answer.require_whole("openlineage")
    writer = _Writer(answer)
    for dataset in reversed(answer.datasets):
        if dataset.version is not None:
            yield writer.of_dataset(dataset)
    for model in reversed(answer.models):
        if model.record is not None:
            yield writer.of_training(model, model.record)


def _facet(name: str, /, **values: Any) -> dict[str, Any]:
    """A facet of the standard."""
    url = f"{_SPEC}/facets/{_FACETS[name]}/{name}.json#/$defs/{name}"
    return {"_producer": _PRODUCER, "_schemaURL": url, **without_empty(values)}


def _own(kind: str, /, **values: Any) -> dict[str, Any]:
    """A facet of ours; its schema is the standard's for any facet of this ``kind``."""
    return {"_producer": _PRODUCER, "_schemaURL": f"{_CORE}/{kind}", **without_empty(values)}


class _Writer:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._namespace = f"datakeep://{slug(answer.keep)}"
        self._keep = {
            "name": answer.keep,
            "commit": answer.keep_commit,
            "asked": answer.asked,
            "program": f"datakeep {answer.program}",
            "answered_at": answer.at.isoformat(),
            "not_known": list(answer.unknown),
        }

    def _event(self, kind: str, when: str | None, **rest: Any) -> dict[str, Any]:
        when = when or self._answer.at.isoformat()
        return {"eventTime": when, "producer": _PRODUCER, "schemaURL": f"{_CORE}/{kind}", **rest}

    def _run(
        self, name: str, when: str | None, *, failed: bool = False, facets: dict[str, Any], **rest: Any
    ) -> dict[str, Any]:
        """A run that has ended; its id follows from what it made, so that a second export is the same run."""
        run_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._namespace}/{name}"))
        keep = _own("RunFacet", **self._keep)
        run = {"runId": run_id, "facets": {**facets, "datakeep_answer": keep}}
        return self._event("RunEvent", when, eventType="FAIL" if failed else "COMPLETE", run=run, **rest)

    def _job(self, name: str, kind: str, facets: dict[str, Any]) -> dict[str, Any]:
        typed = _facet("JobTypeJobFacet", processingType="BATCH", integration="DATAKEEP", jobType=kind)
        return {
            "namespace": self._namespace,
            "name": name,
            "facets": {"jobType": typed, **without_empty(facets)},
        }

    # ---- datasets

    def of_dataset(self, dataset: Dataset) -> dict[str, Any]:
        """The run that made a version, where that is known; else an event of the version alone."""
        manifest = dataset.manifest
        source = manifest.source if manifest else None
        facets = self._dataset_facets(dataset)
        makers = [one.model for one in (dataset.entry.left_by if dataset.entry else None) or ()]
        if not makers and (source is None or source.kind not in ("sql", "derived")):
            described = {"namespace": self._namespace, "name": f"datasets/{dataset.name}", "facets": facets}
            registered = dataset.entry.registered_at if dataset.entry else None
            return self._event("DatasetEvent", moment(registered), dataset=described)
        output = {
            "namespace": self._namespace,
            "name": f"datasets/{dataset.name}",
            "facets": facets,
            "outputFacets": without_empty({"outputStatistics": _written(dataset, source)}),
        }
        of_sql = source is not None and source.kind == "sql"
        read = list(_tables(source)) if source and of_sql else []
        parents = (source.parents if source and not of_sql else None) or ()
        return self._run(
            f"{'extract' if of_sql else 'derive'}/{dataset.label}",
            _made_at(dataset, source),
            facets={},
            job=self._sql_job(dataset, source) if source and of_sql else self._derive_job(dataset, source),
            inputs=[
                *read,
                *map(self._version, parents),
                *(self._version(one, "models") for one in makers),
            ],
            outputs=[output],
        )

    def _sql_job(self, dataset: Dataset, source: Source) -> dict[str, Any]:
        query = next((text.body for text in dataset.texts if text.title == "SQL"), None)
        sql = _facet("SQLJobFacet", query=query, dialect=source.dialect) if query else None
        return self._job(f"extract/{dataset.name}", "QUERY", {"sql": sql})

    def _derive_job(self, dataset: Dataset, source: Source | None) -> dict[str, Any]:
        command = _own("JobFacet", command=source.command) if source and source.command else None
        facets = {"sourceCodeLocation": _code(source.code) if source else None, "datakeep_command": command}
        return self._job(f"derive/{dataset.name}", "COMMAND", facets)

    def _version(self, label: str, folder: str = "datasets") -> dict[str, Any]:
        """A version as an input; as much of it is said as the answer knows."""
        name, _, version = label.partition("@")
        known = self._answer.dataset(name, version or None) if folder == "datasets" else None
        said = (
            {"version": _facet("DatasetVersionDatasetFacet", datasetVersion=version)}
            if version
            else {"datakeep_version": _own("DatasetFacet", not_known=["which version"])}
        )
        facets = self._dataset_facets(known) if known else said
        return {"namespace": self._namespace, "name": f"{folder}/{name}", "facets": facets}

    def _dataset_facets(self, dataset: Dataset) -> dict[str, Any]:
        manifest, entry = dataset.manifest, dataset.entry
        facets: dict[str, Any] = {}
        if dataset.version:
            facets["version"] = _facet("DatasetVersionDatasetFacet", datasetVersion=dataset.version)
        if entry is not None:
            place = uri(entry.repository)
            facets["dataSource"] = _facet("DatasourceDatasetFacet", name=self._answer.keep, uri=place)
        if manifest is not None:
            facets |= _stated(manifest)
        own: dict[str, Any] = {
            "not_known": list(dataset.unknown),
            "content": dataset.content,
            "commit": dataset.commit,
        }
        if entry is not None:
            own |= {
                "inventory": entry.inventory,
                "files": entry.files,
                "size_bytes": entry.size_bytes,
                "registered_at": entry.registered_at.isoformat(),
                "registered_by": entry.registered_by,
                "message": entry.message,
                "proof": dataset.proof_state,
                "proofs": list(dataset.proofs),
                "newest": dataset.newer,
            }
        facts = {fact.label: "; ".join(fact.values) for fact in dataset.facts}
        return {**facets, "datakeep_version": _own("DatasetFacet", **own, stated=facts)}

    # ---- trainings

    def of_training(self, model: Model, record: ModelRecord) -> dict[str, Any]:
        """The run that made a model."""
        read = [one for one in record.inputs if not record.read_nothing_of(one)]
        reads = [self._input(given) for given in read]
        bases = [self._version(name, "models") for name in self._bases(model, record)]
        named = {f"{one.dataset}@{one.version}" for one in read}
        reads += [self._copied(one) for one in self._answer.copied(model.key) if one not in named]
        files = [_undeclared(entry, model.same) for entry in record.undeclared if entry.get("path")]
        artifacts = [artifact.to_dict() for artifact in record.artifacts]
        facets = {
            "version": _facet("DatasetVersionDatasetFacet", datasetVersion=record.version),
            "datakeep_model": _own("DatasetFacet", artifacts=artifacts, not_known=list(model.unknown)),
        }
        size_bytes = sum(artifact.size_bytes for artifact in record.artifacts)
        count = len(record.artifacts)
        written = _facet("OutputStatisticsOutputDatasetFacet", size=size_bytes, fileCount=count)
        output = {
            "namespace": self._namespace,
            "name": f"models/{record.model}",
            "facets": facets,
            "outputFacets": {"outputStatistics": written} if count else {},
        }
        return self._run(
            f"train/{model.label}",
            moment(record.recorded_at),
            failed=record.status == "failed",
            facets=_run_facets(model, record),
            job=self._job(f"train/{record.model}", "TRAINING", {"sourceCodeLocation": _model_code(record)}),
            inputs=reads + bases + files,
            outputs=[output],
        )

    def _bases(self, model: Model, record: ModelRecord) -> list[str]:
        """Its base models, and those whose files its training read."""
        found = [edge.source for how in ("base", "left") for edge in self._answer.into(model.key, how)]
        return list(dict.fromkeys([*record.base_models, *(one.partition(":")[2] for one in found)]))

    def _copied(self, label: str) -> dict[str, Any]:
        """A version that was not declared, and of which a copy was read."""
        facets = {"datakeep_use": _own("InputDatasetFacet", how="undeclared")}
        return {**self._version(label), "inputFacets": facets}

    def _input(self, given: ModelInput) -> dict[str, Any]:
        used = self._version(f"{given.dataset}@{given.version}")
        if "datakeep_version" not in used["facets"]:
            used["facets"]["datakeep_version"] = _own(
                "DatasetFacet", content=given.content, commit=given.commit
            )
        read = given.files_read
        facets = {"datakeep_use": _own("InputDatasetFacet", **given.to_dict())}
        if read is not None:
            facets["inputStatistics"] = _facet("InputStatisticsInputDatasetFacet", fileCount=read.count)
        return {**used, "inputFacets": facets}


def _stated(manifest: Manifest) -> dict[str, Any]:
    """What a manifest states and the standard has a facet for."""
    people = [(manifest.owner, "OWNER"), *((steward, "STEWARD") for steward in manifest.stewards)]
    owners = [{"name": str(person), "type": kind} for person, kind in people if person]
    fields = [
        without_empty({"name": column.name, "type": column.type, "description": column.meaning})
        for column in manifest.columns
    ]
    personal = manifest.privacy.personal if manifest.privacy else None
    tags = [
        {"key": key, "value": value, "source": "DATAKEEP"}
        for key, value in (("license", manifest.license), ("personal-data", personal))
        if value
    ]
    described = manifest.purpose or manifest.title
    return without_empty(
        {
            "documentation": described and _facet("DocumentationDatasetFacet", description=described),
            "ownership": owners and _facet("OwnershipDatasetFacet", owners=owners),
            "schema": fields and _facet("SchemaDatasetFacet", fields=fields),
            "tags": tags and _facet("TagsDatasetFacet", tags=tags),
        }
    )


def _made_at(dataset: Dataset, source: Source | None) -> str | None:
    ran = source.extraction.ended_at if source and source.extraction else None
    registered = dataset.entry.registered_at if dataset.entry else None
    return moment(ran) or moment(source.extracted_at if source else None) or moment(registered)


def _written(dataset: Dataset, source: Source | None) -> dict[str, Any] | None:
    entry = dataset.entry
    if entry is None:
        return None
    return _facet(
        "OutputStatisticsOutputDatasetFacet",
        rowCount=source.rows if source else None,
        size=entry.size_bytes,
        fileCount=entry.files,
    )


def _tables(source: Source) -> Iterator[dict[str, Any]]:
    """The tables and files that a query read; their database is the namespace, as the standard names it."""
    place = urlsplit(strip_url(source.database or ""))
    host = place.netloc.rpartition("@")[2]
    namespace = f"{place.scheme}://{host}" if host else place.scheme or "database"
    within = place.path.strip("/").replace("/", ".") + "." if host else f"/{place.path.strip('/')}/"
    for table in source.extraction.tables if source.extraction else ():
        fields = [{"name": column} for column in table.columns] if isinstance(table.columns, list) else []
        facets = {"schema": _facet("SchemaDatasetFacet", fields=fields)} if fields else {}
        is_file = table.kind == "file"
        name = table.name if is_file else f"{within}{table.name}".lstrip(".")
        yield {"namespace": "file" if is_file else namespace, "name": name, "facets": facets}


def _undeclared(entry: dict[str, Any], same: Mapping[str, str]) -> dict[str, Any]:
    """A file that a training read and that belongs to no dataset that it was given."""
    said = {str(key): value for key, value in entry.items()}
    if whose := same.get(str(entry["path"])):
        said["same_bytes_as"] = whose
    facets = {"datakeep_undeclared": _own("DatasetFacet", **said)}
    return {"namespace": "file", "name": str(entry["path"]), "facets": facets}


def _code(code: CodeAt | None) -> dict[str, Any] | None:
    return _location(code.url, code.commit, code.path) if code else None


def _model_code(record: ModelRecord) -> dict[str, Any] | None:
    return _location(record.code.url, record.code.commit, record.code.path)


def _location(url: str | None, commit: str | None, path: str | None) -> dict[str, Any] | None:
    place = uri(url)
    if place is None:
        return None
    return _facet(
        "SourceCodeLocationJobFacet", type="git", url=place, repoUrl=place, path=path, version=commit
    )


def _run_facets(model: Model, record: ModelRecord) -> dict[str, Any]:
    environment = record.environment
    told = record.to_dict()
    names = (
        "command",
        "metrics",
        "seeds",
        "environment",
        "resources",
        "origin",
        "status",
        "code",
        "observed",
    )
    own = {name: told.get(name) for name in (*names, "proof", "recorded_by", "undeclared_count")}
    own["given_unread"] = [one.to_dict() for one in record.inputs if record.read_nothing_of(one)]
    facets = {"datakeep_record": _own("RunFacet", **own, not_known=list(model.unknown))}
    if environment.python:
        version = environment.python
        facets["processing_engine"] = _facet("ProcessingEngineRunFacet", version=version, name="Python")
    parameters = [{"key": str(key), "value": str(value)} for key, value in record.parameters.items()]
    if parameters:
        facets["executionParameters"] = _facet("ExecutionParametersRunFacet", parameters=parameters)
    variables = [{"name": name, "value": value} for name, value in environment.variables.items()]
    if variables:
        facets["environmentVariables"] = _facet(
            "EnvironmentVariablesRunFacet", environmentVariables=variables
        )
    if record.status == "failed":
        said = record.failure or "the training failed; why is not known"
        language = "PYTHON" if environment.python else "UNKNOWN"
        facets["errorMessage"] = _facet("ErrorMessageRunFacet", message=said, programmingLanguage=language)
    return facets
