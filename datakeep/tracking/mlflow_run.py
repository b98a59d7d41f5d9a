"""What an MLflow server tells of one run: parameters, metrics, datasets, code and files, as logged there."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import DatakeepError
from datakeep.core.secrets import strip_url
from datakeep.tracking.told import (
    MAX_DATA,
    MAX_NAMED,
    NamedData,
    NamedFile,
    Told,
    clipped,
    more,
    parameters_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datakeep.tracking.mlflow_server import Server

SOURCE_TYPE = "datakeep"
CONTEXT_TAG = "mlflow.data.context"
RECORD_TAG, KEEP_TAG = "datakeep.record", "datakeep.keep"
#: What a source of our own kind says of a version.
VERSION_FIELDS = ("keep", "keep_url", "dataset", "version", "commit", "content", "repository")
_PLACES = ("uri", "url", "path", "table_name", "delta_table_name", "script")


def read_run(server: Server, run_id: str) -> Told:
    """What the server tells of a run.

    Raises:
        UnknownName: It has no such run.
        TrackerUnreachable, AccessDenied, TrackerMissing: Of the server.
    """
    run = server.run(run_id)
    tags = run.data.tags
    told = Told("mlflow", str(run.info.run_id), clipped(run.info.run_name or "") or None, url=server.shown)
    told.experiment = clipped(server.experiment(run.info.experiment_id))
    told.record, told.keep = _clean(tags.get(RECORD_TAG)), tags.get(KEEP_TAG)
    _take_end(told, run.info)
    told.parameters = parameters_of(run.data.params)
    more(told.unknown, "parameters", len(run.data.params))
    more(told.unknown, "metrics", len(run.data.metrics))
    told.metrics = _metrics(run.data.metrics, told.unknown)
    told.code_url = _clean(tags.get("mlflow.source.git.repoURL"))
    told.code_commit = _clean(tags.get("mlflow.source.git.commit"))
    told.code_path = _clean(tags.get("mlflow.source.name"))
    inputs = getattr(run, "inputs", None)
    named = [*(inputs.dataset_inputs if inputs else [])]
    told.data = [_data(one) for one in named[:MAX_DATA]]
    more(told.unknown, "datasets that it names", len(named), MAX_DATA)
    for name, value in run.data.params.items():
        if "/" in value and len(told.data) < MAX_NAMED:
            said = f"parameter {clipped(name)}"
            told.data.append(NamedData(said, said, places=(clipped(value),), in_passing=True))
    _take_files(server, run, told)
    return told


def _take_end(told: Told, info: Any) -> None:
    told.completed = {"FINISHED": True, "FAILED": False, "KILLED": False}.get(info.status)
    told.failure = f"MLflow says {info.status}" if told.completed is False else None
    if told.completed is None:
        told.unknown.append(f"how the run ended: MLflow says {clipped(info.status)}")
    if info.start_time and info.end_time:
        told.wall_s = (info.end_time - info.start_time) / 1000


def _metrics(said: Mapping[str, float], unknown: list[str]) -> dict[str, str]:
    finite = {clipped(name): str(value) for name, value in said.items() if math.isfinite(value)}
    odd = sorted(clipped(name) for name, value in said.items() if not math.isfinite(value))
    unknown += [f"the metric {name}, which is no finite number" for name in odd[:10]]
    return dict([*finite.items()][:MAX_NAMED])


def _clean(value: str | None) -> str | None:
    return clipped(strip_url(value)) if value else None


def _data(named: Any) -> NamedData:
    dataset = named.dataset
    context = next((tag.value for tag in named.tags if tag.key == CONTEXT_TAG), None)
    try:
        source = json.loads(dataset.source or "{}")
    except (ValueError, RecursionError):
        source = {}
    source = source if isinstance(source, dict) else {}
    ours = dataset.source_type == SOURCE_TYPE
    return NamedData(
        name=clipped(dataset.name or ""),
        said=f"{clipped(context)} dataset" if context else "dataset",
        kind=clipped(dataset.source_type or ""),
        digest=clipped(dataset.digest or "") or None,
        places=tuple(clipped(source[name]) for name in _PLACES if isinstance(source.get(name), str)),
        version={name: str(source.get(name, "")) for name in VERSION_FIELDS} if ours else None,
    )


def _take_files(server: Server, run: Any, told: Told) -> None:
    outputs = getattr(run, "outputs", None)
    models = [one.model_id for one in (outputs.model_outputs if outputs else [])]
    try:
        found = server.files(told.run, models, MAX_NAMED)
    except DatakeepError as error:
        told.unknown.append(f"the files that the run left: {error.what}")
        return
    told.files = [NamedFile(clipped(path), size_bytes=size_bytes) for path, size_bytes in found]
