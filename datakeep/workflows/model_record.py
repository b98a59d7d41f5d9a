"""What a verified reference training made, as a model record; and whether a record is that of a proof."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from datakeep.core.digests import path_list_id
from datakeep.core.names import VERSION, next_version
from datakeep.formats.model import (
    Artifact,
    FilesRead,
    ModelCode,
    ModelEnvironment,
    ModelInput,
    ModelRecord,
    Resources,
)
from datakeep.workflows.read_order import first_opened, written

if TYPE_CHECKING:
    from datakeep.formats.proof import Statement
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.identity import Identity
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.workflows.clean_room import CleanRoom


def record_of(room: CleanRoom, proof: str, who: Identity) -> ModelRecord | None:
    """The record of the model that the training of ``room`` left; None if it names no model.

    Its version is settled when it is written.
    """
    report, reference = room.training_report, room.entry.manifest_model().reference
    if report is None or report.model is None or reference is None or reference.model is None:
        return None
    environment = room.environment_report
    finished = report.finished
    unknown = ["seed", "gpu"]
    if report.files_read is None:
        unknown.append(f"files read ({report.not_traced})")
    return ModelRecord(
        model=_name_of(room.entry),
        version="v1",
        artifacts=[
            Artifact(
                path=report.model.path,
                sha256=report.model.sha256,
                size_bytes=report.model.size_bytes,
                **(written(report.model.changed_s, report.began_s) if report.opened_s else {}),
            )
        ],
        inputs=[_input(room)],
        undeclared=[],
        base_models=[],
        code=_code(room.entry),
        command=reference.argv(),
        parameters={},
        metrics={name: f"{value}" for name, value in report.metrics.items()},
        environment=ModelEnvironment(
            kind=environment.kind if environment else "unknown",
            lock=environment.lock_sha256 if environment else None,
            python=environment.python if environment else None,
            platform=environment.platform if environment else None,
        ),
        resources=Resources(
            wall_s=f"{finished.wall_s:.3f}" if finished else None,
            cpu_s=f"{finished.cpu_s:.3f}" if finished else None,
            peak_rss_bytes=finished.peak_rss_bytes if finished else None,
        ),
        origin="verification",
        proof=proof,
        recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        recorded_by=who.email,
        unknown=unknown,
    )


def _input(room: CleanRoom) -> ModelInput:
    """The dataset; observed file by file where the training was traced, else as the only data it was given."""
    entry, report = room.entry, room.training_report
    read = report.files_read if report else None
    seen = None
    if report is not None and read is not None:
        split_of = {file.path: file.split for file in room.inventory.files} if room.inventory else {}
        opened = {path: report.opened_s.get(path) for path in read}
        seen = FilesRead(
            count=len(read),
            splits=dict(Counter(split for path in read if (split := split_of.get(path)))),
            list=path_list_id(list(read)),
            **first_opened(split_of, opened, report.began_s),
        )
    return ModelInput.handed_over(entry, seen)


def _name_of(entry: VersionEntry) -> str:
    reference = entry.manifest_model().reference
    return (reference.model.name if reference and reference.model else None) or entry.dataset


def _code(entry: VersionEntry) -> ModelCode:
    reference = entry.manifest_model().reference
    if reference is None or isinstance(reference.code, str):
        path = reference.code if reference and isinstance(reference.code, str) else None
        return ModelCode(url=entry.repository, commit=entry.commit, path=path)
    return ModelCode(url=reference.code.url, commit=reference.code.commit, path=reference.code.path)


def difference(record: ModelRecord, entry: VersionEntry, statement: Statement) -> str | None:
    """Where ``record`` tells something else of a run than its signed proof does; None if nowhere.

    What no proof holds (which files were read, the record's own time) is not compared.
    """
    wanted, found = _told_by_proof(entry, statement), _told_by_record(record)
    for name, value in wanted.items():
        if found[name] != value:
            return f"its {name} is {_short(found[name])}, and the proof's is {_short(value)}"
    return None


def _told_by_proof(entry: VersionEntry, statement: Statement) -> dict[str, Any]:
    told, reference = statement.predicate, entry.manifest_model().reference
    model, environment, training = told.model, told.environment, told.training
    return {
        "origin": "verification",
        "result": told.result,
        "dataset": [(statement.dataset, statement.version, statement.commit, entry.content)],
        "model": _name_of(entry),
        "file": [(model.path, model.sha256, model.size_bytes)] if model else [],
        "person": told.person.email,
        "code": _code(entry),
        "command": reference.argv() if reference else [],
        "metrics": {name: str(value) for name, value in told.metrics.items()},
        "environment": (environment.lock_sha256, environment.python) if environment else (None, None),
        "duration": f"{training.wall_s:.3f}" if training else None,
        "further parts": [[], [], {}],
    }


def _told_by_record(record: ModelRecord) -> dict[str, Any]:
    lock = record.environment.lock
    return {
        "origin": record.origin,
        "result": "passed",
        "dataset": [(item.dataset, item.version, item.commit, item.content) for item in record.inputs],
        "model": record.model,
        "file": _files_of(record),
        "person": record.recorded_by,
        "code": record.code,
        "command": record.command,
        "metrics": record.metrics,
        "environment": (lock.removeprefix("sha256:") if lock else None, record.environment.python),
        "duration": record.resources.wall_s,
        "further parts": [record.undeclared, record.base_models, record.parameters],
    }


def _files_of(record: ModelRecord) -> list[tuple[str, str, int]]:
    """The same files written at another time are the same."""
    return [(item.path, item.sha256, item.size_bytes) for item in record.artifacts]


def _short(value: object) -> str:
    return str(value)[:200]


def newest_of(tree: KeepTree, record: ModelRecord) -> tuple[ModelRecord, bool]:
    """The record with the version that it gets in ``tree``, and whether it is new.

    A verification that made the very model that one has recorded already, from the same data, adds nothing.
    """
    prefix = f"models/{record.model}/"
    names = [path.removeprefix(prefix).removesuffix(".yaml") for path in tree.list(prefix)]
    versions = [name for name in names if VERSION.fullmatch(name)]
    texts = tree.read_many([f"{prefix}{version}.yaml" for version in versions])
    same = (_files_of(record), [(item.dataset, item.content) for item in record.inputs])
    for path, text in texts.items():
        old = ModelRecord.read(text, what=path)
        inputs = [(item.dataset, item.content) for item in old.inputs]
        if old.origin == record.origin and (_files_of(old), inputs) == same:
            return old, False
    return record.model_copy(update={"version": next_version(versions)}), True
