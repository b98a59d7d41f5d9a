"""What a verified reference training made, as a model record."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from datakeep.formats.model import (
    Artifact,
    FilesRead,
    ModelCode,
    ModelEnvironment,
    ModelInput,
    ModelRecord,
    Resources,
)
from datakeep.workflows.inventories import path_list_id

if TYPE_CHECKING:
    from datakeep.repository.identity import Identity
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
        model=reference.model.name or room.entry.dataset,
        version="v1",
        artifacts=[
            Artifact(path=report.model.path, sha256=report.model.sha256, size_bytes=report.model.size_bytes)
        ],
        inputs=[_input(room)],
        undeclared=[],
        base_models=[],
        code=_code(room),
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
    if read is not None:
        splits = _splits(room, read)
        seen = FilesRead(count=len(read), splits=splits, list=path_list_id(list(read)))
    return ModelInput(
        dataset=entry.dataset,
        version=entry.version,
        commit=entry.commit,
        content=entry.content,
        how="given" if seen is None else "observed",
        files_read=seen,
    )


def _splits(room: CleanRoom, read: tuple[str, ...]) -> dict[str, int]:
    if room.inventory is None:
        return {}
    split_of = {file.path: file.split for file in room.inventory.files}
    return dict(Counter(split for path in read if (split := split_of.get(path))))


def _code(room: CleanRoom) -> ModelCode:
    reference = room.entry.manifest_model().reference
    if reference is None or isinstance(reference.code, str):
        path = reference.code if reference and isinstance(reference.code, str) else None
        return ModelCode(url=room.entry.repository, commit=room.entry.commit, path=path)
    return ModelCode(url=reference.code.url, commit=reference.code.commit, path=reference.code.path)
