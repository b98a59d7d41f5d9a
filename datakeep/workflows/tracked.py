"""A recorded training in MLflow: its run is found or made, the record names it, and it names the record.

The training is never told which run is its own: a run id in its environment would break one that chooses its own
experiment or server. Its runs are marked instead, by a tag that MLflow's client takes from the environment, and are
looked for by that tag when it has ended. A server that does not answer costs a warning, never a record.
"""

from __future__ import annotations

import contextlib
import json
import math
import posixpath
import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted
from datakeep.core.errors import DatakeepError, UnknownName, UsageError
from datakeep.core.interrupts import heard
from datakeep.core.secrets import WITHHELD, guarded, strip_url
from datakeep.formats.model import ModelRecord, TrackedRun
from datakeep.lineage import records
from datakeep.repository.keep import Change
from datakeep.tracking import mlflow_server
from datakeep.tracking.mlflow_run import CONTEXT_TAG, KEEP_TAG, RECORD_TAG, SOURCE_TYPE
from datakeep.tracking.told import clipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.formats.version import VersionEntry
    from datakeep.repository.identity import Identity
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.recording import Recorded

TRAINING_TAG = "datakeep.training"
_KEEP_URL_TAG = "datakeep.keep_url"
_NOT_IN_A_NAME = re.compile(r"[^\w.\- :/]")
_PLACE = re.compile(r"\{[a-z0-9-]+\}")
_MAX_NAME, _MAX_VALUE, _MAX_DIGEST = 250, 6000, 36
_MAX_RUNS = 50


class Mark:
    """The tag by which the runs of one training are found, whatever they are and wherever they are made.

    Args:
        environment: The user's variables; tags that they have MLflow set already are kept.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.token = secrets.token_hex(16)
        context: Any = {}
        with contextlib.suppress(ValueError):
            context = json.loads(environment.get(mlflow_server.CONTEXT, "{}"))
        tags = {**(context if isinstance(context, dict) else {}), TRAINING_TAG: self.token}
        self.variables = {mlflow_server.CONTEXT: json.dumps(tags)}


def begin(
    keep: Keep, environment: Mapping[str, str], mark: Mark, *, uri: str | None = None, off: bool = False
) -> Tracking | None:
    """What logs this training to MLflow; None where nobody asked for that.

    Args:
        keep: The keep.
        environment: The user's variables; ``os.environ`` itself also means what this process told MLflow.
        mark: How its runs are marked.
        uri: The tracking URI that was asked for; else ``MLFLOW_TRACKING_URI`` counts.
        off: Nothing is to be logged.

    Raises:
        TrackerMissing: ``uri`` was asked for, and MLflow's client is not installed; where only the variable is set,
            a warning says so.
    """
    wanted = None if off else uri or mlflow_server.configured_uri(environment)
    if wanted is None:
        return None
    if not mlflow_server.is_installed():
        missing = mlflow_server.missing()
        if uri:
            raise missing
        keep.progress.warn(
            f"{mlflow_server.URI} is set, but nothing is logged there: {missing.what}; {missing.next_step}"
        )
        return None
    return Tracking(keep, wanted, environment, mark)


class Tracking:
    """One training, and the MLflow server that it is logged to.

    Args:
        keep: The keep.
        uri: The tracking URI; what is shown of it has no password.
        environment: The user's variables.
        mark: How its runs are marked.
    """

    def __init__(self, keep: Keep, uri: str, environment: Mapping[str, str], mark: Mark) -> None:
        self._keep, self._environment, self._mark = keep, environment, mark
        self._server = mlflow_server.Server(uri)
        self._run: Any = None
        self._made = False
        self._further: list[Any] = []
        self._began_ms = _now_ms()
        self._is_open = False
        self.variables = {mlflow_server.URI: uri}

    def named(self, record: ModelRecord, *, open_run: str | None = None) -> ModelRecord:
        """The record, naming the run of the training, or one that is made now; without, if MLflow cannot be asked.

        Args:
            record: The record of the training, which has ended.
            open_run: The run that this process has open.
        """
        try:
            self._find(record, open_run)
            tracked = _tracked(self._server, self._run, self._further, is_named=not self._made)
        except (DatakeepError, KeyboardInterrupt) as error:
            self._run = None
            self._keep.progress.warn(f"not logged to MLflow: {_why(error)}")
            unknown = [
                *record.unknown,
                f"its run in MLflow at {self._server.shown}, which could not be asked",
            ]
            return record.model_copy(update={"unknown": unknown})
        return record.model_copy(update={"tracked": tracked})

    def _find(self, record: ModelRecord, open_run: str | None) -> None:
        own = open_run or self._environment.get(mlflow_server.RUN_ID)
        self._is_open = open_run is not None
        marked = self._server.tagged(TRAINING_TAG, self._mark.token)
        if own:
            self._run = self._server.run(own)
        elif marked:
            self._run = marked[0]
        else:
            self._run, self._made = _new_run(self._server, self._environment, record, self._began_ms), True
        run_id = self._run.info.run_id
        self._further = [one for one in marked if one.info.run_id != run_id][:_MAX_RUNS]

    def log(self, recorded: Recorded) -> None:
        """What the record says is the run's; where that fails, a warning says how to do it later."""
        if self._run is None:
            if not recorded.file:
                self._keep.progress.warn(f"to log it later: {_later(recorded.label)}")
            return
        label = None if recorded.file else recorded.label
        try:
            _log(self._keep, self._server, self._run, recorded.record, label)
            for run in self._further:
                _mark(self._keep, self._server, run, recorded.record, label)
            if self._made or (recorded.record.status == "failed" and not self._is_open):
                _end(self._server, self._run, recorded.record, recorded.label if self._made else None)
        except (DatakeepError, KeyboardInterrupt) as error:
            again = f"; to log it again: {_later(label)}" if label else ""
            self._keep.progress.warn(f"not all of it is in MLflow: {_why(error)}{again}")
            return
        self._keep.progress.note(f"logged to MLflow: run {self._run.info.run_id} at {self._server.shown}")


def _why(error: DatakeepError | KeyboardInterrupt) -> str:
    if isinstance(error, DatakeepError):
        return error.what
    heard()  # who presses Ctrl-C here gives MLflow up, not the record
    return "interrupted"


def log_later(
    keep: Keep, name: str, environment: Mapping[str, str], who: Identity, *, uri: str | None = None
) -> ModelRecord:
    """A record that is in the keep is logged to MLflow: into the run that it names, else into a new one.

    Raises:
        UsageError: No server is named, or the record is of a run of another tracker.
        UnknownName: There is no such record, or the server does not have its run.
        TrackerUnreachable, AccessDenied, TrackerMissing: Of the server.
    """
    record = _record(keep, name)
    label, known = record.label, record.tracked
    if known and known.tracker != "mlflow":
        raise UsageError(
            f"{label} names its run in W&B, and a record names one run",
            next_step=f"datakeep audit model:{label}",
        )
    wanted = uri or mlflow_server.configured_uri(environment)
    if wanted is None:
        raise UsageError(
            "no MLflow server is named",
            next_step=f"{_later(name)} --tracking-uri http://HOST:5000; or set {mlflow_server.URI}",
        )
    server = mlflow_server.Server(wanted)
    if known:
        run = server.run(known.run)
    else:
        run = _new_run(server, environment, record, _began_ms(record))
        record = record.model_copy(update={"tracked": _tracked(server, run, [])})
        _name_run(keep, record, who)
    _log(keep, server, run, record, label)
    if not known or run.info.status == "RUNNING":
        _end(server, run, record, None if known else label)
    return record


def _record(keep: Keep, name: str) -> ModelRecord:
    model, _, version = name.removeprefix("model:").partition("@")
    found = records.find_by_model(keep.tree, model, version or None).records
    if not found:
        raise UnknownName(
            f"the keep has no record of a model {name!r}",
            next_step="datakeep record MODEL FILE --used NAME@V",
        )
    return found[0]


def _name_run(keep: Keep, record: ModelRecord, who: Identity) -> None:
    path = records.record_path(record.model, record.version)

    def change(tree: KeepTree) -> Change:
        now = ModelRecord.read(tree.read(path) or b"", what=path).model_copy(
            update={"tracked": record.tracked}
        )
        return Change(files={path: now.dump().encode("utf-8")})

    keep.repository.transact(
        change, f"{record.model}@{record.version}: its run in MLflow", who, progress=keep.progress
    )
    keep.look_again()


def _later(label: str) -> str:
    return f"datakeep record --to-mlflow {label}"


def _tracked(
    server: mlflow_server.Server, run: Any, further: list[Any], *, is_named: bool = False
) -> TrackedRun:
    """The run as a record has it; one of ours gets the record's name only after that."""
    said: dict[str, Any] = {"experiment": clipped(server.experiment(run.info.experiment_id))}
    said |= {"name": clipped(run.info.run_name)} if is_named else {}
    said |= {"url": server.shown}
    said |= {"further": [one.info.run_id for one in further]} if further else {}
    return TrackedRun(tracker="mlflow", run=run.info.run_id, **said)


def _new_run(
    server: mlflow_server.Server, environment: Mapping[str, str], record: ModelRecord, start_ms: int
) -> Any:
    script = record.code.path or (record.command[0] if record.command else record.model)
    tags = {"mlflow.source.name": script, "mlflow.source.type": "LOCAL"}
    tags |= {"mlflow.user": record.recorded_by} if record.recorded_by else {}
    tags |= {"mlflow.source.git.commit": record.code.commit} if record.code.commit else {}
    tags |= {"mlflow.source.git.repoURL": record.code.url} if record.code.url else {}
    return server.create(environment, name=record.model, start_ms=start_ms, tags=tags)


def _log(keep: Keep, server: mlflow_server.Server, run: Any, record: ModelRecord, label: str | None) -> None:
    """Parameters and metrics that the run does not have itself; what it has, the training logged, and is left."""
    server.log(
        run.info.run_id,
        parameters=_parameters(record, run.data.params),
        metrics=_metrics(record, run.data.metrics),
        tags=_tags(keep, label),
        at_ms=_now_ms(),
    )
    server.log_inputs(run.info.run_id, _inputs(keep, record))


def _mark(keep: Keep, server: mlflow_server.Server, run: Any, record: ModelRecord, label: str | None) -> None:
    """Another run of the same training: the same data went into it, as far as is known."""
    server.log(run.info.run_id, parameters={}, metrics={}, tags=_tags(keep, label), at_ms=_now_ms())
    server.log_inputs(run.info.run_id, _inputs(keep, record))


def _end(server: mlflow_server.Server, run: Any, record: ModelRecord, name: str | None) -> None:
    status = "FAILED" if record.status == "failed" else "FINISHED"
    wall_ms = round(float(record.resources.wall_s or 0) * 1000)
    server.end(run.info.run_id, status, run.info.start_time + wall_ms, name)


def _parameters(record: ModelRecord, taken: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, value in _flat(guarded(record.parameters)):  # an older record may have a secret
        key = _key(name)
        if key not in taken and str(value) != WITHHELD and not _PLACE.fullmatch(str(value)):
            found[key] = str(value)[:_MAX_VALUE]
    return found


def _key(name: str) -> str:
    """A name that MLflow takes: it makes files of them, so none may lead out of its folder."""
    key = _NOT_IN_A_NAME.sub("_", name)[:_MAX_NAME]
    if posixpath.normpath(key) != key or key.startswith(("..", "/")):
        key = "_" + key.replace("/", "_").lstrip(".")
    return key if key != "." else "_"


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _metrics(record: ModelRecord, taken: Mapping[str, float]) -> dict[str, float]:
    found = {}
    for name, text in record.metrics.items():
        key = _key(name)
        with contextlib.suppress(ValueError):
            if key not in taken and math.isfinite(float(text)):
                found[key] = float(text)
    return found


def _tags(keep: Keep, label: str | None) -> dict[str, str]:
    """Which record it is; one that is not in the keep yet has no name."""
    tags = {KEEP_TAG: keep.name, _KEEP_URL_TAG: strip_url(keep.published_url)}
    return tags | ({RECORD_TAG: label} if label else {})


def _inputs(keep: Keep, record: ModelRecord) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Each version as MLflow's dataset, which MLflow tells apart by name and digest: so that is the commit."""
    made = []
    for given in record.inputs:
        with contextlib.suppress(DatakeepError):
            entry = keep.entry(f"{given.dataset}@{given.version}")
            profile = {"files": entry.files, "size_bytes": entry.size_bytes, "content": entry.content}
            read = given.files_read
            dataset = {
                "name": entry.dataset,
                "digest": entry.commit[:_MAX_DIGEST],
                "source_type": SOURCE_TYPE,
                "source": json.dumps(source_of(keep, entry)),
                "profile": json.dumps({"version": entry.version, **profile}),
            }
            tags = {CONTEXT_TAG: "training", "datakeep.version": entry.version, "datakeep.known": given.how}
            tags |= {"datakeep.files_read": counted(read.count, "file")} if read else {}
            made.append((dataset, tags))
    return made


def source_of(keep: Keep, entry: VersionEntry) -> dict[str, str]:
    """What finds the version again, from any clone of the keep."""
    return {
        "keep": keep.name,
        "keep_url": strip_url(keep.published_url),
        "dataset": entry.dataset,
        "version": entry.version,
        "commit": entry.commit,
        "content": entry.content,
        "repository": strip_url(entry.repository),
    }


def _now_ms() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)


def _began_ms(record: ModelRecord) -> int:
    try:
        ended = datetime.fromisoformat(record.recorded_at or "").timestamp()
    except ValueError:
        return _now_ms()
    return round((ended - float(record.resources.wall_s or 0)) * 1000)
