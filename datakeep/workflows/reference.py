"""``reference``: state the training that proves a dataset usable, and measure what it scores."""

from __future__ import annotations

import platform
import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakeep.core.criteria import Criterion, propose
from datakeep.core.errors import DatakeepError, IncompleteManifest, TrainingFault, UsageError
from datakeep.core.names import next_version
from datakeep.core.secrets import strip_url
from datakeep.extract.baseline import trivial_baseline
from datakeep.formats.inventory import FileChanges
from datakeep.formats.manifest import Manifest
from datakeep.repository import foreign
from datakeep.workflows import attachments
from datakeep.workflows.blame import LayerFailed, own_step
from datakeep.workflows.clean_room import CleanRoom, access_for
from datakeep.workflows.expectations import check_command, doubts, expectation
from datakeep.workflows.prepare import Draft
from datakeep.workflows.publish import Publisher
from datakeep.workflows.rooms import own_room
from datakeep.workflows.update import Updated, next_from, take_base
from datakeep.workflows.update_changes import Base, Changes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from decimal import Decimal

    from datakeep.formats.version import VersionEntry
    from datakeep.repository.identity import Identity
    from datakeep.workflows.clean_room import Settings
    from datakeep.workflows.keep import Keep

FOLDER = "reference"
_CODE_URL = re.compile(r"(?P<url>.+)@(?P<commit>[0-9a-f]{40})(:(?P<path>.+))?")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a user states of the reference training; None keeps what is stated already.

    Args:
        code: A folder of this machine, or ``URL@COMMIT[:PATH]``.
        lock: The uv lock, relative to the code.
        requirements: Requirements with hashes, relative to the code.
        python: ``3.11``.
        command: With the tokens ``{data}`` and ``{out}``.
        metrics: The metrics file in ``{out}``.
        model_file: The model file in ``{out}``.
        model_name: The model's name; by default the dataset's.
        timeout_s: The training's time limit.
        expect: ``accuracy=0.95±0.01``.
        baseline: ``accuracy=0.43``.
    """

    code: str | None = None
    lock: str | None = None
    requirements: str | None = None
    python: str | None = None
    command: str | None = None
    metrics: str | None = None
    model_file: str | None = None
    model_name: str | None = None
    timeout_s: int | None = None
    expect: Sequence[str] = ()
    baseline: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """What the runs scored, and the criteria that this suggests.

    Args:
        runs: The metrics of each run.
        proposed: The suggested criteria.
    """

    runs: tuple[dict[str, Decimal], ...]
    proposed: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class Referenced:
    """The version that states the training, and what was measured."""

    updated: Updated
    measured: Measured | None = None
    accepted: bool = field(default=True)


def state_reference(
    keep: Keep,
    name: str,
    statement: Statement,
    *,
    measure: int,
    settings: Settings | None,
    accept: Callable[[Measured], bool],
    message: str,
    review: Callable[[Changes], object],
    who: Identity,
    now: datetime,
    without: Sequence[str] = (),
) -> Referenced:
    """The next version of the dataset states this reference training.

    Args:
        keep: The keep.
        name: The dataset.
        statement: What is stated.
        measure: How often to run it first, to propose the criteria; 0 for not at all.
        settings: How the clean room is run, where something is measured.
        accept: Is shown what was measured; True writes the proposed criteria into the version.
        message: Why.
        review: Is shown what changes, before it is published.
        who: Author.
        now: The time that is written down.
        without: Stores that are left out.

    Raises:
        IncompleteManifest: Not enough is stated.
        UsageError: A number is none, or the command has no place for its results.
        AccessDenied: The code is in a folder that nobody else can reach.
        TrainingFault: A measured run failed; says why.
    """
    if found := _CODE_URL.fullmatch(statement.code or ""):
        foreign.check_place(found["url"], access_for(keep))
    keep.refresh()
    keep.require_not_departed(who, now)
    base = take_base(keep, name)
    document = base.document
    files = _apply(document, statement, base)
    if statement.command is not None:
        check_command(base.entry.dataset, statement.command)
    for doubt in doubts(base.entry.dataset, statement.command, statement.expect):
        keep.progress.warn(doubt)
    Manifest.of(document, what=f"the manifest of {base.entry.dataset}")
    measured = None
    if measure and settings is not None:
        draft = _draft(keep, base, document, files, message)
        measured = _measure(draft, statement, settings, measure, Publisher(keep, who, now, without=without))
        if not accept(measured):
            return Referenced(Updated(base.entry, _none(base), created=False), measured, accepted=False)
        _write_criteria(document["reference"], statement, measured.proposed)
    updated = next_from(
        keep, base, document, files, message=message, review=review, who=who, now=now, without=without
    )
    return Referenced(updated, measured)


def _none(base: Base) -> Changes:
    return Changes(base.entry.version, base.entry.version, FileChanges([], [], []), (), ())


def _apply(document: dict[str, Any], statement: Statement, base: Base) -> dict[str, bytes | None]:
    """Write the statement into the manifest; returns the files of code that change."""
    reference = document.setdefault("reference", {})
    files: dict[str, bytes | None] = {}
    if statement.code:
        match = _CODE_URL.fullmatch(statement.code)
        if match is None and re.match(r"[a-z][a-z0-9+.-]*://|[^/]+@[^/]+:", statement.code):
            url = strip_url(re.sub(r"(?<=[^/])@[^/@:]*$", "", statement.code))
            raise UsageError(
                f"--code {strip_url(statement.code)} names no commit; a branch or a tag can move, and the proof is "
                "of one commit",
                next_step=f"--code {url}@COMMIT with the 40 digits that git ls-remote {url} shows",
            )
        if match:
            reference["code"] = {key: value for key, value in match.groupdict().items() if value}
        else:
            files = _take_code(Path(statement.code), base)
            reference["code"] = f"{FOLDER}/"
    _apply_environment(reference, statement, files)
    for key in ("command", "metrics", "timeout_s"):
        value = getattr(statement, key)
        if value is not None:
            reference[key] = value
    reference.setdefault("metrics", "metrics.json")
    if statement.model_file or statement.model_name:
        model = reference.setdefault("model", {})
        model |= {k: v for k, v in (("file", statement.model_file), ("name", statement.model_name)) if v}
    _apply_criteria(reference, statement)
    _require_enough(document["name"], reference)
    return files


def _apply_criteria(reference: dict[str, Any], statement: Statement) -> None:
    """What is stated now takes the place of all that was expected before."""
    if statement.expect:
        reference["expect"] = dict(map(expectation, statement.expect))
        _keep_baselines(reference, set(reference["expect"]))
    for text in statement.baseline:
        metric, expected = expectation(text)
        reference.setdefault("baseline", {})[metric] = expected["value"]


def _keep_baselines(reference: dict[str, Any], metrics: set[str]) -> None:
    baselines = {
        name: value for name, value in (reference.pop("baseline", None) or {}).items() if name in metrics
    }
    if baselines:
        reference["baseline"] = baselines


def _take_code(folder: Path, base: Base) -> dict[str, bytes | None]:
    """The code as files of the repository; those of an earlier version that are gone are deleted."""
    taken = attachments.folder(folder, FOLDER)
    old = base.repository.paths(base.entry.commit, f"{FOLDER}/")
    return {**{path: None for path in old if path not in taken}, **taken}


def _apply_environment(
    reference: dict[str, Any], statement: Statement, files: dict[str, bytes | None]
) -> None:
    """The lock that is named, or that lies with the code; paths become relative to the repository."""
    inside = isinstance(reference.get("code", f"{FOLDER}/"), str)
    prefix = f"{FOLDER}/" if inside else ""
    environment = dict(reference.get("environment") or {})
    named = {"lock": statement.lock, "requirements": statement.requirements}
    if not any(named.values()) and not environment:
        if f"{FOLDER}/uv.lock" in files:
            named["lock"] = "uv.lock"
        elif f"{FOLDER}/requirements.txt" in files:
            named["requirements"] = "requirements.txt"
    for key, value in named.items():
        if value:
            environment = {k: v for k, v in environment.items() if k == "python"}
            environment[key] = f"{prefix}{value.removeprefix(prefix)}" if prefix else value
    if statement.python:
        environment["python"] = statement.python
    if environment:
        environment.setdefault("python", ".".join(platform.python_version_tuple()[:2]))
        reference["environment"] = environment


def _require_enough(name: str, reference: dict[str, Any]) -> None:
    wanted = []
    if "code" not in reference:
        wanted.append("--code DIR or --code URL@COMMIT: the training's code")
    if "environment" not in reference:
        wanted.append(
            "--lock uv.lock or --requirements FILE: the locked environment, relative to the code (`uv lock` in the "
            "code's folder makes one)"
        )
    if "command" not in reference:
        wanted.append("--command 'python train.py --data {data} --out {out}': how to run it")
    if wanted:
        raise IncompleteManifest(
            f"the reference training of {name} is not complete",
            next_step="the same command, and in it: "
            + " ".join(line.partition(":")[0].partition(" or ")[0] for line in wanted),
            things=wanted,
        )


def _draft(
    keep: Keep, base: Base, document: dict[str, Any], files: dict[str, bytes | None], message: str
) -> Draft:
    name = base.entry.dataset
    version = next_version(keep.versions(name))
    return Draft(name, version, document, message, before=base.entry, files=files, inventory=base.inventory)


def _as_error(failure: LayerFailed, entry: VersionEntry) -> DatakeepError:
    """A layer's no as the error that its cause is, told to the owner, who is at work here."""
    cause, fault = failure.__cause__, failure.fault
    kind = type(cause) if isinstance(cause, DatakeepError) else TrainingFault
    return kind(fault.what, next_step=own_step(fault.next_step, entry), things=fault.evidence)


def _require_reported(statement: Statement, metrics: dict[str, Decimal]) -> None:
    """What the training never reports can never be met."""
    wanted = [expectation(text)[0] for text in statement.expect]
    if missing := [metric for metric in wanted if metric not in metrics]:
        raise UsageError(
            f"--expect names {', '.join(missing)}, which the training does not report; it reports "
            f"{', '.join(metrics)}",
            next_step=f"--expect {next(iter(metrics))}=VALUE±TOLERANCE, or no --expect: then what is measured "
            "is proposed",
        )


def _measure(
    draft: Draft, statement: Statement, settings: Settings, count: int, publisher: Publisher
) -> Measured:
    """Run the training of a version that nobody can see yet, in the clean room, ``count`` times."""
    keep = publisher.keep
    keep.dataset_repository(draft.name).fetch()
    prepared = publisher.prepare(draft)
    entry = publisher.entry_of(prepared, prepared.commit)
    cache = prepared.repository.cache
    own = replace(settings, access=replace(settings.access, allow_file=cache))
    with own_room(keep) as folder:
        room = CleanRoom(keep, entry, folder, own, url=str(cache))
        room.enter_unpublished()
        try:
            room.bytes()
            room.environment()
            runs = []
            for number in range(count):
                keep.progress.note(f"run {number + 1} of {count} …")
                shutil.rmtree(room.out, ignore_errors=True)
                room.warnings.clear()
                room.training()
                for warning in room.warnings:
                    keep.progress.warn(warning)
                runs.append(dict(room.training_report.metrics if room.training_report else {}))
                _require_reported(statement, runs[-1])
        except LayerFailed as failure:
            raise _as_error(failure, entry) from failure
        return Measured(tuple(runs), tuple(_proposals(draft.manifest, runs, room.checkout / "data")))


def _proposals(manifest: Manifest, runs: list[dict[str, Decimal]], data: Path) -> list[Criterion]:
    """Criteria for the metric that the manifest names; without one, for every metric that is not a count."""
    task = manifest.task
    shared = [name for name in runs[0] if all(name in run for run in runs)]
    if task and task.metric in shared:
        wanted = [str(task.metric)]
    else:
        wanted = [name for name in shared if any(run[name] != run[name].to_integral_value() for run in runs)]
    target, splits = task.target if task else None, manifest.splits.patterns if manifest.splits else {}
    return [
        propose(
            name,
            [run[name] for run in runs],
            trivial_baseline(data, target, name, splits) if target else None,
        )
        for name in wanted or shared
    ]


def _write_criteria(reference: dict[str, Any], statement: Statement, proposed: Sequence[Criterion]) -> None:
    """Expected is what the user states now and, for all other metrics, what is proposed; nothing of before."""
    own = dict(map(expectation, statement.expect))
    own_baselines = {expectation(text)[0] for text in statement.baseline}
    measured = {
        criterion.metric: {"value": float(criterion.value), "tolerance": float(criterion.tolerance)}
        for criterion in proposed
    }
    reference["expect"] = {**measured, **own}
    _keep_baselines(reference, {*measured, *own, *own_baselines})
    for criterion in proposed:
        if criterion.metric not in own_baselines and criterion.baseline is not None:
            reference.setdefault("baseline", {})[criterion.metric] = float(criterion.baseline)
