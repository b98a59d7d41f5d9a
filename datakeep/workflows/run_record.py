"""The model record of a training on the user's own machine: all that was seen of it, and what is not known."""

from __future__ import annotations

import hashlib
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.arguments import parameters_of, seeds_of, without_secrets
from datakeep.core.counts import counted, few
from datakeep.core.errors import DatakeepError
from datakeep.core.secrets import find_secret_in_patch, guarded, withheld
from datakeep.formats.model import Artifact, GpuUse, ModelCode, ModelEnvironment, ModelRecord, Resources
from datakeep.formats.model_words import SHOWN_CONNECTIONS
from datakeep.formats.yaml import showable, showable_path
from datakeep.lineage import inputs
from datakeep.lineage.evidence import is_model_file
from datakeep.repository.code import DIFF_LIMIT_BYTES, uncommitted_diff
from datakeep.rerun import artifacts, host, metrics
from datakeep.rerun.attended import Lines
from datakeep.workflows.bounded import first_of
from datakeep.workflows.given_data import changed_since
from datakeep.workflows.read_order import written
from datakeep.workflows.recording import PACKAGES, UNCOMMITTED
from datakeep.workflows.run_inputs import (
    add_parameters,
    add_undeclared,
    changed_code,
    code_files,
    given_inputs,
    named,
    not_seen,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datakeep.formats.model import Observation, Origin
    from datakeep.repository.code import WorkTree
    from datakeep.rerun.gpu_use import GpuUsed
    from datakeep.workflows.given_data import Given
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.observing import FilesSeen
    from datakeep.workflows.run_inputs import Inputs

METRICS = "metrics.json"
#: More files of data that came with software are counted, not listed.
MAX_SHIPPED = 100
#: Lines of one kind about what is not known.
_MAX_SAID = 10


@dataclass(frozen=True, slots=True)
class Script:
    """Where a training's code is.

    Attributes:
        folder: The folder of the script, or the one that the training was started in.
        path: The script; None if the command names none.
        tree: Its git work tree; None if it lies in none.
        is_known: False where the command names no script and was run in the keep, which is nobody's code.
    """

    folder: Path
    path: Path | None
    tree: WorkTree | None
    is_known: bool = True

    @property
    def root(self) -> str:
        """The folder whose files are code."""
        return str(self.tree.root if self.tree else self.folder)


@dataclass(slots=True)
class Seen:
    """All that is known of a training that has ended.

    Args:
        model: The model's name.
        argv: What was run, as the user wrote it.
        script: Where its code is.
        given: The data that it was given.
        base_files: Of each base model that was named (``resnet@v1``), the digests of its files.
        out: Where it wrote, as it was before it began (without links); None if that was not said.
        own: Folders of datakeep's that it used.
        environment: Its variables.
        observed: How it was watched.
        read: What it read; None if it could not be watched.
        began_s: When it began (seconds since 1970).
        failure: Why it failed, in words; None if it did not.
        exit_code: Its own; None for a block of Python.
        resources: What it took.
        printed: Numbers that it printed.
        logged: Numbers that it logged itself, which win over all others.
        logged_none: What it logged last that is no measurement (NaN, infinite), by name.
        artifacts: Files that it saved one by one.
    """

    model: str
    argv: Sequence[str]
    script: Script
    given: Sequence[Given]
    base_files: Mapping[str, set[str]]
    out: Path | None
    own: tuple[str, ...]
    environment: Mapping[str, str]
    observed: Observation
    read: FilesSeen | None
    began_s: float
    failure: str | None
    exit_code: int | None
    resources: Resources
    printed: Lines = field(default_factory=Lines)
    logged: Mapping[str, str] = field(default_factory=dict)
    logged_none: Mapping[str, str] = field(default_factory=dict)
    artifacts: Sequence[Artifact] = ()
    origin: Origin = "run"


def resources_of(
    *, wall_s: float, cpu_s: float, peak_rss_bytes: int, gpus: Sequence[GpuUsed] = ()
) -> Resources:
    """What a training took, as its record has it."""
    used = [
        GpuUse(
            gpu=one.index,
            name=one.name,
            memory_before_bytes=one.memory_before_bytes,
            peak_memory_bytes=one.peak_memory_bytes,
            utilisation_percent=None if one.utilisation_percent is None else f"{one.utilisation_percent:.1f}",
            samples=one.samples,
        )
        for one in gpus
    ]
    took = Resources(wall_s=f"{wall_s:.3f}", cpu_s=f"{cpu_s:.3f}", peak_rss_bytes=peak_rss_bytes)
    return took.model_copy(update={"gpus": used}) if used else took


def failure_of(exit_code: int, number: int | None) -> str | None:
    """How a training failed, in words; None if it ended by itself with exit code 0."""
    if number is not None:
        names = {known.value: known.name for known in signal.Signals}
        return f"ended by signal {names.get(number, number)}"
    return f"exit code {exit_code}" if exit_code else None


def record_of(keep: Keep, seen: Seen, who: str) -> tuple[ModelRecord, dict[str, bytes]]:
    """The record, whose version is settled when it is put into the keep, and the files that belong to it."""
    classed, found = _inputs(keep, seen)
    unknown = list(found.unknown)
    code, diff = _code(seen, classed.code if classed else [], unknown)
    left = _artifacts(seen, unknown)
    command = first_of(seen.argv, str)
    if len(command) < len(seen.argv):
        unknown.append(f"the last {counted(len(seen.argv) - len(command), 'argument')} of the command")
    parameters = showable({**parameters_of(command), **found.parameters})
    seeds = seeds_of(parameters) | {
        name: seen.environment[name] for name in ("PYTHONHASHSEED",) if name in seen.environment
    }
    environment, packages = _environment(seen, classed, unknown)
    unknown += [] if seeds else ["seed"]
    unknown += (
        [f"what was read of the standard input, a {piped}"] if (piped := seen.observed.standard_input) else []
    )
    unknown += [f"what was read of {path}, a named pipe" for path in seen.observed.pipes or ()]
    if called := seen.read.connections if seen.read else ():
        unknown.append(f"what came over the network from {few(called, SHOWN_CONNECTIONS)}")
    record = ModelRecord(
        model=seen.model,
        version="v1",
        artifacts=left,
        inputs=found.datasets,
        undeclared=found.undeclared,
        undeclared_count=found.undeclared_count,
        base_models=list(dict.fromkeys([*seen.base_files, *found.base_models])),
        code=code,
        command=showable(without_secrets(command)),
        parameters=parameters,
        metrics=showable(guarded(_metrics(seen, unknown))),
        environment=environment,
        resources=seen.resources,
        origin=seen.origin,
        status="failed" if seen.failure else "completed",
        failure=seen.failure,
        exit_code=seen.exit_code,
        observed=seen.observed,
        seeds=seeds,
        recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        recorded_by=who,
        unknown=showable([withheld(line) for line in unknown]),
    )
    if unread := _unread_bases(keep, seen, found):
        record = record.model_copy(update={"unread_bases": unread})
    beside = {UNCOMMITTED: diff, PACKAGES: packages}
    return record, found.lists | {name: data for name, data in beside.items() if data}


def _inputs(keep: Keep, seen: Seen) -> tuple[inputs.Classed | None, Inputs]:
    if seen.read is None:
        found = given_inputs(seen.given, None)
        found.unknown.append(f"files read ({seen.observed.why})")
        return None, found
    sources = [path for path in inputs.sources_of_compiled(seen.read.paths) if os.path.isfile(path)]  # noqa: PTH113
    paths = sorted({*seen.read.paths, *sources})
    places = places_of(seen, paths)
    classed = inputs.classify(paths, places)
    found = given_inputs(seen.given, classed.datasets, seen.read.opened_s, seen.began_s)
    for given in seen.given:
        for line in changed_since(keep, given)[:_MAX_SAID]:
            keep.progress.warn(f"the training changed its data of {given.label}: {line}")
            found.unknown.append(f"what was read of {given.label} after it was changed ({line})")
    add_undeclared(
        keep,
        classed.undeclared,
        found,
        began_s=seen.began_s,
        known=set().union(*seen.base_files.values()),
        moved=seen.read.moved,
    )
    doubtful = inputs.classify(seen.read.doubtful, places).undeclared
    if doubtful:
        found.unknown.append(
            f"whether the training made {named(doubtful)} itself, or read what was there: it is gone"
        )
    add_parameters(classed.parameters, found)
    if seen.observed.why:
        found.unknown.append(not_seen(seen.observed))
    return classed, found


def _unread_bases(keep: Keep, seen: Seen, found: Inputs) -> list[str]:
    """The base models of which no file was read, where every file was seen and its digest is known.

    What lay in the run's own output is not looked at, so nothing is said where something was read there.
    """
    if seen.read is None or seen.observed.by != "strace":
        return []
    own = f"{os.path.realpath(seen.out)}/" if seen.out else "//"
    unsure = any(path.startswith(own) for path in seen.read.paths) or any(
        "sha256" not in one or "changed" in one for one in found.undeclared
    )
    if unsure or found.undeclared_count > len(found.undeclared):
        return []
    unread = [name for name, digests in seen.base_files.items() if digests and not digests & found.base_files]
    for name in unread:
        keep.progress.warn(
            f"no file of the base model {name} was read; it counts as one because --base says so"
        )
    return unread


def places_of(seen: Seen, paths: Sequence[str]) -> inputs.Places:
    """Where things lie for a training that read ``paths``, so that each of them can be classed."""
    data = {str(given.data): given.label for given in seen.given}
    prefixes = [
        prefix
        for prefix in sorted(inputs.possible_prefixes(inputs.elsewhere(paths, data)))
        if any(os.path.lexists(f"{prefix}/{mark}") for mark in ("pyvenv.cfg", "conda-meta", "bin/python3"))
    ]
    own = [*seen.own, *([os.path.realpath(seen.out)] if seen.out else [])]
    return inputs.Places(
        data=data,
        code=seen.script.root,
        tracked=seen.script.tree.tracked if seen.script.tree else frozenset(),
        own=tuple(own),
        prefixes=tuple(prefixes),
    )


def _code(seen: Seen, read: Sequence[str], unknown: list[str]) -> tuple[ModelCode, bytes]:
    tree, script = seen.script.tree, seen.script.path
    if not seen.script.is_known:
        unknown.append("the code: the command names no script, and it was run in the keep")
        return ModelCode(), b""
    if tree is None:
        unknown.append("the commit of the code, which lies in no git work tree")
        path = showable_path(str(script or seen.script.folder))
        paths = [*read, *([script.name] if script else [])]
        unknown += changed_code(seen.script.folder, paths, seen.began_s)
        files = code_files(seen.script.folder, paths, unknown)
        return (ModelCode(path=path, files=files) if files else ModelCode(path=path)), b""
    start = script or seen.script.folder
    path = os.path.relpath(os.path.realpath(start), tree.root)
    code = ModelCode(url=tree.url, commit=tree.commit, path=showable_path(path))
    paths = [*read, *([path] if script else [])]
    unknown += changed_code(tree.root, paths, seen.began_s)
    try:
        diff = uncommitted_diff(tree, paths)
    except (DatakeepError, OSError) as error:  # the training has ended: its record is worth more
        said = error.what if isinstance(error, DatakeepError) else error.strerror
        unknown.append(f"the changes of the code that were not committed ({said})")
        return code, b""
    if not diff:
        return code, b""
    dirty = f"sha256:{hashlib.sha256(diff).hexdigest()}"
    withheld = _withheld(diff)
    if withheld:
        unknown.append(f"the changes of the code that were not committed ({withheld})")
        return code.model_copy(update={"dirty": dirty, "withheld": withheld}), b""
    return code.model_copy(update={"dirty": dirty, "diff": UNCOMMITTED}), diff


def _withheld(diff: bytes) -> str | None:
    if len(diff) > DIFF_LIMIT_BYTES:
        return f"withheld: they are larger than {DIFF_LIMIT_BYTES:,} bytes"
    secret = find_secret_in_patch(diff.decode("utf-8", "replace"))
    return f"withheld: they hold {secret}" if secret else None


def _artifacts(seen: Seen, unknown: list[str]) -> list[Artifact]:
    left = list(seen.artifacts)
    if seen.out is None:
        if not left:
            unknown.append("the files that the training left (run it with --out DIR)")
        return left
    found, passed_over = artifacts.collect(seen.out)
    unknown += [
        f"{'files' if said.startswith('all of ') else 'a file'} that the training left: {said}"
        for said in passed_over[:_MAX_SAID]
    ]
    in_out = {(one.sha256, Path(one.path).name) for one in found}
    left = [one for one in left if (one.sha256, Path(one.path).name) not in in_out]  # each file once
    # What was passed over, as a link, may be the model: nothing follows from the times of the others.
    is_timed = bool(seen.read and seen.read.opened_s) and not passed_over
    # What was open for reading and writing may have been mapped, and changed without a change of its time.
    mapped = seen.read.read_write if seen.read else frozenset()
    out = os.path.realpath(seen.out)
    return left + [
        Artifact(
            path=showable_path(one.path),
            sha256=one.sha256,
            size_bytes=one.size_bytes,
            **(
                written(one.changed_s, seen.began_s) if is_timed and f"{out}/{one.path}" not in mapped else {}
            ),
        )
        for one in _listed(found, unknown)
    ]


def _listed(found: Sequence[artifacts.Artifact], unknown: list[str]) -> Sequence[artifacts.Artifact]:
    """Those that the record has room for: what may be the model before all else, what lies above before the rest."""
    by_weight = sorted(found, key=lambda one: (not is_model_file(one.path), one.path.count("/")))
    listed = first_of(by_weight, lambda one: one.path)
    if len(listed) == len(found):
        return found
    unknown.append(
        f"{counted(len(found) - len(listed), 'more file')} that the training left, which were counted and not listed"
    )
    return sorted(listed, key=lambda one: one.path.encode())


def _metrics(seen: Seen, unknown: list[str]) -> dict[str, str]:
    """What it logged; and of ``metrics.json``, if it left one, else the last numbers that it printed as JSON."""
    measured = {**_written(seen, unknown), **seen.logged}
    for name in seen.logged_none:
        measured.pop(name, None)
    for name, value in [*seen.logged_none.items()][:_MAX_SAID]:
        unknown.append(f"metrics: the last {name} that was logged is {value}, which is no measurement")
    listed = first_of([*measured.items()], "".join)
    if len(listed) < len(measured):
        unknown.append(f"{counted(len(measured) - len(listed), 'more metric')}, counted and not listed")
    return dict(listed)


def _written(seen: Seen, unknown: list[str]) -> Mapping[str, str]:
    data = artifacts.read_bounded(seen.out, METRICS, metrics.LIMIT_BYTES) if seen.out else None
    try:
        if data is not None:
            return {name: str(value) for name, value in metrics.parse(data).items()}
    except metrics.NotMetrics as error:
        unknown.append(f"metrics: {METRICS} {error}")
    printed = seen.printed
    for name, value in [*printed.no_measurements.items()][:_MAX_SAID]:
        unknown.append(f"metrics: the last {name} that was printed is {value[:40]}, which is no measurement")
    if printed.is_cut:
        unknown.append(f"metrics: more than {metrics.MAX_COUNT:,} names were printed")
    return printed.found


def _environment(
    seen: Seen, classed: inputs.Classed | None, unknown: list[str]
) -> tuple[ModelEnvironment, bytes]:
    """What it ran with and on, and the list of the packages."""
    places = inputs.package_folders(classed.environment) if classed else set()
    places |= seen.read.package_folders if seen.read else set()
    shipped = [inputs.shown_shipped(path) for path in classed.shipped] if classed else None
    folders = [seen.script.folder, Path(seen.script.root)]
    with suppress(OSError):  # the training may have taken it away
        folders.append(Path.cwd())
    software = host.software(seen.argv[0], folders, sorted(places))
    machine = host.machine()
    unknown += [] if machine.gpu else ["gpu"]
    told = ModelEnvironment(
        kind=software.kind,
        lock=software.lock,
        python=software.python,
        platform=machine.platform,
        gpu=machine.gpu,
        cuda=machine.cuda,
        cpu=machine.cpu,
        packages=software.packages_id,
        package_count=len(software.packages) if places else None,
        variables=guarded(host.variables(seen.environment)),
        data_read=None if shipped is None else showable(shipped[:MAX_SHIPPED]),
        data_read_count=None if shipped is None else len(shipped),
    )
    return told, software.packages_text.encode()
