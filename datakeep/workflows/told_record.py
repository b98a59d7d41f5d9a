"""The model record of a run that a tracker tells of: what it says is declared, by the tracker, and nothing more."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from datakeep.core.arguments import seeds_of
from datakeep.core.counts import counted
from datakeep.core.errors import UsageError
from datakeep.core.names import NAME, VERSION, check_name
from datakeep.core.secrets import strip_url
from datakeep.formats.model import ModelCode, ModelEnvironment, ModelRecord, Resources, TrackedRun
from datakeep.store.hashing import hash_file
from datakeep.tracking import wandb_run
from datakeep.workflows import named_data
from datakeep.workflows.record import artifacts_of, declared_inputs, require_code
from datakeep.workflows.recording import publish_or_keep
from datakeep.workflows.run import base_records

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datakeep.formats.model import Artifact
    from datakeep.repository.identity import Identity
    from datakeep.tracking.told import NamedFile, Told
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.record import Declared
    from datakeep.workflows.recording import Recorded


_RECORD = re.compile(rf"{NAME.pattern}@{VERSION.pattern}")
#: Where a browser shows a run: its server, and its id.
_RUN_PAGE = re.compile(r"(https?://.+?)/?#/experiments/[^/]+/runs/([0-9a-zA-Z]+)")


@dataclass(frozen=True, slots=True)
class TrackedBy:
    """Where a tracker has the run.

    Args:
        mlflow_run: The id of a run on an MLflow server, or the address of its page.
        tracking_uri: That server; the page's by default.
        wandb_folder: Or a run folder of W&B.
    """

    mlflow_run: str | None = None
    tracking_uri: str | None = None
    wandb_folder: Path | None = None


def record_tracked(keep: Keep, said: Declared, where: TrackedBy, who: Identity) -> Recorded:
    """What the tracker tells of the run is in the keep, with what ``said`` adds, which wins.

    Raises:
        UsageError, SourceMissing, SourceUnreadable: Of the name and the files.
        UnknownName: There is no such run, dataset version or base model.
        TrackerUnreachable, AccessDenied, TrackerMissing: Of the MLflow server.
        DamagedRun: Of the run folder.
    """
    check_name(said.model, what="model")
    keep.require_not_departed(who, datetime.now(UTC))
    require_code(said)
    left = artifacts_of(said.files)
    told = _told(where)
    _say_if_recorded(keep, told)
    found = named_data.match(keep, told)
    declared = declared_inputs(keep, said.uses)
    labels = {(one.dataset, one.version) for one in declared}
    unknown = [
        f"whether all this is so: {named_data.WHO[told.tracker]} says it, and nothing was observed",
        *told.unknown,
        *found.unknown,
        *_of_files(said.files, left, told),
    ]
    seeds = seeds_of(told.parameters)
    unknown += [] if seeds else ["seed"]
    unknown += [] if told.gpu else ["gpu"]
    made = ModelRecord(
        model=said.model,
        version="v1",
        artifacts=left,
        inputs=[*declared, *(one for one in found.inputs if (one.dataset, one.version) not in labels)],
        undeclared=found.unmatched,
        base_models=[one.label for one in base_records(keep, said.bases)],
        code=ModelCode(
            url=(said.code_url and strip_url(said.code_url)) or told.code_url,
            commit=said.code_commit or told.code_commit,
            path=told.code_path,
        ),
        command=told.command,
        parameters=told.parameters,
        metrics={**told.metrics, **(said.metrics or {})},
        environment=_environment(told),
        resources=Resources(wall_s=None if told.wall_s is None else f"{told.wall_s:.3f}"),
        origin=told.tracker,
        status={True: "completed", False: "failed", None: None}[told.completed],
        failure=told.failure,
        exit_code=told.exit_code,
        seeds=seeds,
        tracked=TrackedRun(
            tracker=told.tracker, run=told.run, name=told.name, experiment=told.experiment, url=told.url
        ),
        recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        recorded_by=who.email,
        unknown=unknown,
    )
    return publish_or_keep(keep, made, {}, who, trained=False)


def _told(where: TrackedBy) -> Told:
    if where.wandb_folder is not None:
        return wandb_run.read_run(where.wandb_folder)
    from datakeep.tracking import mlflow_run
    from datakeep.tracking.mlflow_server import Server

    uri, run = where.tracking_uri, str(where.mlflow_run).removeprefix("runs:/")
    if page := _RUN_PAGE.match(run):
        uri, run = uri or page[1], page[2]
    if uri is None or "/" in run:
        raise UsageError(
            "no MLflow server is named" if uri is None else f"{strip_url(run)!r} is no run of MLflow",
            next_step="name run and server: --from-mlflow RUN --tracking-uri http://HOST:5000",
        )
    return mlflow_run.read_run(Server(uri), run)


def _say_if_recorded(keep: Keep, told: Told) -> None:
    """A training that datakeep watched is known better by its own record."""
    if told.record and _RECORD.fullmatch(told.record) and told.keep == keep.name:
        keep.progress.warn(
            f"datakeep recorded this run itself, as {told.record}, from what it was seen to read: "
            f"datakeep audit model:{told.record}"
        )


def _environment(told: Told) -> ModelEnvironment:
    text = "".join(f"{one}\n" for one in told.packages)
    return ModelEnvironment(
        kind="unknown",
        python=told.python,
        platform=told.platform,
        gpu=told.gpu,
        cuda=told.cuda,
        cpu=told.cpu,
        packages=f"sha256:{hashlib.sha256(text.encode('utf-8')).hexdigest()}" if text else None,
        package_count=len(told.packages) or None,
    )


def _of_files(files: Sequence[Path], left: Sequence[Artifact], told: Told) -> list[str]:
    """What is not known of whether the files are the run's: a tracker has an md5, a size, or neither."""
    if not files:
        return ["the model's file: none was named, so no file leads to this record"]
    lines = []
    for file, artifact in zip(files, left, strict=True):
        md5 = hash_file(file.resolve())[1].hex() if any(one.md5 for one in told.files) else None
        if line := _doubt(artifact, md5, told.files):
            lines.append(f"whether {artifact.path} is of this run: {line}")
    return lines


def _doubt(artifact: Artifact, md5: str | None, logged: Sequence[NamedFile]) -> str | None:
    if any(one.md5 and one.md5 == md5 for one in logged):
        return None
    named = [one for one in logged if PurePosixPath(one.path).name == artifact.path]
    alike = [one for one in named if one.md5 is None and one.size_bytes == artifact.size_bytes]
    if alike:
        return f"the run has {alike[0].path} of the same size; the bytes were not compared"
    if named:
        return f"the run has {named[0].path}, of other bytes"
    return f"it has no such file among the {counted(len(logged), 'file')} that it logged"
