"""What a verification saw, as the statement that gets signed."""

from __future__ import annotations

import platform
from importlib import metadata
from itertools import count
from typing import TYPE_CHECKING

from datakeep import __version__
from datakeep.core.verdict import Layer, Result
from datakeep.formats import proof as proofs
from datakeep.repository.command import GitRunner
from datakeep.workflows.register_entries import entry_path

if TYPE_CHECKING:
    from datetime import datetime

    from datakeep.core.verdict import Stage, Verdict
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.workflows.clean_room import CleanRoom
    from datakeep.workflows.verify import Verifier


def statement_of(
    room: CleanRoom, verdict: Verdict, verifier: Verifier, started: datetime, finished: datetime
) -> proofs.Statement:
    """The in-toto statement about one verification."""
    entry = room.entry
    owner = (entry.manifest.get("owner") or {}).get("email")
    is_owner = verifier.who.email == owner
    path = entry_path(entry.dataset, entry.version)
    reached = [stage.layer for stage in verdict.stages if stage.result is not Result.NOT_RUN]
    predicate = proofs.Verification(
        result="passed" if verdict.passed else "failed",
        at_fault=verdict.fault.layer.value if verdict.fault else None,
        stages=[_stage(stage) for stage in verdict.stages],
        started=started,
        finished=finished,
        person=proofs.Prover(
            handle=verifier.handle, name=verifier.who.name, email=verifier.who.email, is_owner=is_owner
        ),
        self_check=is_owner or verifier.who.email == entry.registered_by,
        verifier=_programs(),
        entry=proofs.EntryProven(path=path, keep_commit=room.keep.repository.added_in(path) or ""),
        fetch=_fetched(room),
        criteria=_criteria(room),
        metrics=dict(room.training_report.metrics) if room.training_report else {},
        environment=_environment(room),
        packages=_packages(room),
        training=_training(room),
        sandbox=proofs.SandboxUsed(kind=room.settings.sandbox.kind, version=room.settings.sandbox.version),
        network=proofs.Network(
            access=True,
            environment=Layer.ENVIRONMENT in reached,
            training=room.settings.sandbox.kind == "none" and Layer.TRAINING in reached,
        ),
        let_in=list(room.let_in),
        model=_model(room),
        expires=finished + room.keep.file.policy.renewal,
    )
    return proofs.Statement.build(entry.dataset, entry.version, entry.commit, entry.inventory, predicate)


def _stage(stage: Stage) -> proofs.Stage:
    fault = stage.fault
    evidence = [
        *([fault.what, *fault.evidence] if fault else [stage.summary] if stage.summary else []),
        *stage.warnings,
    ]
    return proofs.Stage(
        name=stage.layer.value,
        result=stage.result.value,
        started=stage.started,
        seconds=stage.duration_s,
        evidence=evidence,
        acts=fault.acts.value if fault else None,
        next_step=fault.next_step if fault else None,
    )


def _programs() -> proofs.Verifier:
    return proofs.Verifier(
        datakeep=__version__,
        python=platform.python_version(),
        git=GitRunner(None).text("version").removeprefix("git version "),
        dvc=_version_of("dvc"),
        uv=_version_of("uv"),
        platform=platform.platform(),
    )


def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _fetched(room: CleanRoom) -> proofs.Fetched | None:
    done = room.transfer
    if done is None:
        return None
    return proofs.Fetched(
        stores=done.by_store,
        objects=sum(done.by_store.values()),
        size_bytes=done.inventory.size_bytes,
        rehashed_bytes=done.rehashed_bytes,
        missing=len(done.missing),
        mismatched=len(done.mismatched),
        stray=len(done.stray),
    )


def _criteria(room: CleanRoom) -> proofs.Criteria | None:
    reference = room.entry.manifest_model().reference
    if reference is None or not reference.expect:
        return None
    return proofs.Criteria(
        commit=room.entry.commit,
        expect={
            name: proofs.Criterion(value=expected.value, tolerance=expected.tolerance)
            for name, expected in reference.expect.items()
        },
        baseline=dict(reference.baseline),
    )


def _environment(room: CleanRoom) -> proofs.Environment | None:
    report = room.environment_report
    if report is None:
        return None
    return proofs.Environment(
        kind=report.kind,
        lock_sha256=report.lock_sha256.removeprefix("sha256:"),
        python=report.python,
        platform=report.platform,
        versions=dict(report.packages),
        transport=dict(report.transport),
    )


def _packages(room: CleanRoom) -> proofs.Packages | None:
    report = room.environment_report
    if report is None:
        return None
    return proofs.Packages(installed=report.installed, from_cache=report.from_cache, fresh=report.fresh)


def _training(room: CleanRoom) -> proofs.Training | None:
    finished = room.training_report.finished if room.training_report else None
    if finished is None:
        return None
    return proofs.Training(
        wall_s=proofs.seconds(finished.wall_s),
        cpu_s=proofs.seconds(finished.cpu_s),
        peak_rss_bytes=finished.peak_rss_bytes,
        exit_code=finished.exit_code,
        signal=finished.signal,
        timed_out=finished.timed_out,
    )


def _model(room: CleanRoom) -> proofs.ModelMade | None:
    model = room.training_report.model if room.training_report else None
    if model is None:
        return None
    return proofs.ModelMade(path=model.path, sha256=model.sha256, size_bytes=model.size_bytes)


def free_place(tree: KeepTree, path: str, envelope: bytes) -> str:
    """``path``, or the next one that holds no other proof: two may be made within one second."""
    place = path
    for number in count(2):
        if tree.read(place) in (None, envelope):
            break
        place = path.replace(".dsse.json", f"-{number}.dsse.json")
    return place
