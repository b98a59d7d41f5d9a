"""Runs a reference training in the clean room and judges how it ended; faults of the training are values."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import AlreadyExists
from datakeep.core.names import environment_variable
from datakeep.rerun import artifacts, metrics, trace
from datakeep.rerun.clock import Clock, is_clock_of
from datakeep.rerun.diagnosis import Problem, Scene, diagnose
from datakeep.rerun.interface import CODE, DATA, ENVIRONMENT, OUT, PYCACHE, Finished, Job, Mount
from datakeep.rerun.printed import last_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from datakeep.core.progress import Progress
    from datakeep.formats.manifest import ReferenceTraining
    from datakeep.rerun.artifacts import Artifact
    from datakeep.rerun.interface import Sandbox
    from datakeep.rerun.interpreter import Interpreter
    from datakeep.rerun.trace import Trace

_SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
_SYSTEM = ("/usr/", "/bin/", "/sbin/")
_TORN = "not all that strace saw could be written down and read again"


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """How a training went.

    Args:
        finished: Exit code, times and memory; None if it could not even be started.
        metrics: What it measured, as exact decimals; empty if it left none that can be read.
        model: The model file, if the reference names one and it is there.
        artifacts: All files that it left, the model among them.
        passed_over: What it left that is no regular file, in words.
        files_read: Files of the data that it read, relative to the data folder; None if not observed.
        files_outside: Files that it read and was not given; there can be some without a sandbox only.
        connections: Hosts that it tried to reach.
        not_traced: Why it was not observed, or not all of it; None if it was.
        problem: Why it is no proof; None if it ended well.
        began_s: When it began, in seconds since 1970.
        opened_s: When each of ``files_read`` was opened first; empty if that cannot be held against the times of the
            artifacts.
    """

    finished: Finished | None
    metrics: Mapping[str, Decimal]
    model: Artifact | None
    artifacts: tuple[Artifact, ...]
    passed_over: tuple[str, ...]
    files_read: tuple[str, ...] | None
    files_outside: tuple[str, ...]
    connections: tuple[str, ...]
    not_traced: str | None
    problem: Problem | None
    began_s: float = 0.0
    opened_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Room:
    """The folders of one training, and how it sees them.

    Compiled modules get a folder of their own: the environment is read-only, and without them each worker
    process of a training would compile its libraries again.
    """

    code: Mount
    data: Mount
    out: Mount
    environment: Mount
    pycache: Mount
    interpreter: Interpreter
    sandbox: Sandbox
    dataset: str
    more: Mapping[str, str]

    def inside(self, mount: Mount) -> str:
        return self.sandbox.inside(mount)

    def variables(self) -> dict[str, str]:
        """All variables of the training; the sandbox adds an empty home."""
        environment = self.inside(self.environment)
        return {
            "PATH": ":".join((f"{environment}/bin", *_SYSTEM_PATH)),
            "VIRTUAL_ENV": environment,
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPYCACHEPREFIX": self.inside(self.pycache),
            environment_variable(self.dataset): self.inside(self.data),
            **self.more,
        }


def train(
    reference: ReferenceTraining,
    code: Path,
    data: Path,
    out: Path,
    environment: Path,
    *,
    interpreter: Interpreter,
    sandbox: Sandbox,
    dataset_name: str,
    host_environment: Mapping[str, str],
    progress: Progress,
    log: Path | None = None,
    scratch: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> TrainingReport:
    """Runs the training once, without network, and reads what it left in ``out``.

    Args:
        reference: What to run, and what it must leave.
        code: The folder in which the command runs; read-only to it.
        data: The dataset's ``data/``; read-only to it.
        out: An empty folder, or one that does not exist yet; the only place that it can write.
        environment: As rebuilt.
        interpreter: The one that the environment was rebuilt with (``EnvironmentReport.interpreter``).
        sandbox: Where it runs.
        dataset_name: For ``DATAKEEP_DATA_<NAME>`` and ``{<name>}``.
        host_environment: This machine's variables; used only to say which one was missed.
        progress: Told the stage.
        log: Keep all that it prints here, up to a limit.
        scratch: A folder for what lies there only while it runs; whoever gives it clears it away after a kill. By
            default the system's.
        variables: What it gets beside its usual ones.

    Raises:
        AlreadyExists: ``out`` is not empty; an old result could be taken for a new one.
        ProgramMissing: The sandbox cannot start.
    """
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise AlreadyExists(
            f"{out} is not empty, and an old result could be taken for a new one",
            next_step="name an empty folder",
        )
    progress.stage("training", unit="runs")
    with tempfile.TemporaryDirectory(
        prefix="datakeep-training-", dir=scratch, ignore_cleanup_errors=True
    ) as place:
        pycache = Path(place, "pycache")
        pycache.mkdir()
        room = _Room(
            code=Mount(code.resolve(), CODE),
            data=Mount(data.resolve(), DATA),
            out=Mount(out.resolve(), OUT),
            environment=Mount(environment.resolve(), ENVIRONMENT),
            pycache=Mount(pycache.resolve(), PYCACHE),
            interpreter=interpreter,
            sandbox=sandbox,
            dataset=dataset_name,
            more=variables or {},
        )
        argv = _fill(reference.argv(), room)
        program = _find_program(argv[0], room)
        if isinstance(program, Problem):
            return _not_started(program)
        return _run((program, *argv[1:]), reference, room, host_environment, Path(place), log)


def _fill(argv: list[str], room: _Room) -> list[str]:
    """``argv`` with the exact tokens ``{data}``, ``{out}`` and ``{<dataset>}`` replaced, and nothing else."""
    data, out = room.inside(room.data), room.inside(room.out)
    tokens = {f"{{{room.dataset}}}": data, "{data}": data, "{out}": out}
    pattern = re.compile("|".join(re.escape(token) for token in tokens))
    return [pattern.sub(lambda found: tokens[found[0]], argument) for argument in argv]


def _find_program(name: str, room: _Room) -> str | Problem:
    """The program as the training sees it: of the environment, the system or the code, in this order."""
    pairs = [(str(room.environment.source / "bin"), f"{room.inside(room.environment)}/bin")]
    pairs += [(folder, folder) for folder in _SYSTEM_PATH]
    if name.startswith("/"):
        found = [(real, name)] if (real := _on_host(name, room)) else []
    elif "/" in name:
        found = [(room.code.source / name, f"{room.inside(room.code)}/{name}")]
    else:
        found = [(Path(real, name), f"{seen}/{name}") for real, seen in pairs]
    for real, seen in found:
        if real.is_file() and os.access(real, os.X_OK):
            return seen
    why = (
        "is not executable"
        if any(real.is_file() for real, _ in found)
        else "is not in its environment or code"
    )
    return Problem(
        "command-not-found",
        f"the training's command {name} {why}",
        tuple(f"looked for {seen}" for _, seen in found),
        "have the owner correct the command, or lock its package: "
        f"datakeep reference {room.dataset} --command TEXT, or --lock FILE",
    )


def _on_host(path: str, room: _Room) -> Path | None:
    """Where on this machine the absolute ``path`` of the room lies; None if the room does not have it."""
    if path.startswith(_SYSTEM) or room.sandbox.kind == "none":
        return Path(path)
    for mount in (room.code, room.data, room.environment, *room.interpreter.mounts()):
        if path.startswith(f"{mount.target}/"):
            return mount.source / path.removeprefix(f"{mount.target}/")
    return None


def _not_started(problem: Problem) -> TrainingReport:
    return TrainingReport(
        finished=None,
        metrics={},
        model=None,
        artifacts=(),
        passed_over=(),
        files_read=None,
        files_outside=(),
        connections=(),
        not_traced="it was not started",
        problem=problem,
    )


def _run(
    argv: tuple[str, ...],
    reference: ReferenceTraining,
    room: _Room,
    host_environment: Mapping[str, str],
    scratch: Path,
    log: Path | None,
) -> TrainingReport:
    not_traced = trace.available(room.sandbox, scratch)
    mounts, writable = (
        [room.code, room.data, room.environment, *room.interpreter.mounts()],
        [room.out, room.pycache],
    )
    if not_traced is None:
        argv, tool, target = trace.wrap(argv, room.sandbox, scratch)
        mounts.append(tool)
        writable.append(target)
    job = Job(
        argv=argv,
        cwd=room.inside(room.code),
        environment=room.variables(),
        log=log or scratch / "log",
        timeout_s=reference.timeout_s,
        read_only=tuple(mounts),
        writable=tuple(writable),
        network=False,
    )
    is_timed, clock = is_clock_of(room.out.source), Clock()
    finished = room.sandbox.run(job)
    seen = None if not_traced else _read_trace(scratch, room)
    report = _report(reference, room, host_environment, finished, seen, not_traced)
    if seen is None or not is_timed or clock.was_set_back():
        return report
    return replace(report, began_s=clock.began_s, opened_s=seen.opened_s)


def _read_trace(scratch: Path, room: _Room) -> Trace:
    prefix = room.interpreter.prefix
    mine = [room.inside(mount) for mount in (room.out, room.environment, room.pycache)]
    return trace.read(
        scratch,
        data=room.inside(room.data),
        given=(room.inside(room.code),),
        ignored=(*mine, str(prefix)),
    )


def _report(
    reference: ReferenceTraining,
    room: _Room,
    host_environment: Mapping[str, str],
    finished: Finished,
    seen: Trace | None,
    not_traced: str | None,
) -> TrainingReport:
    scene = Scene(
        dataset=room.dataset,
        code=room.code.source,
        cwd=room.inside(room.code),
        own=(room.inside(room.out), room.inside(room.environment)),
        rooms=tuple(room.inside(mount) for mount in (room.code, room.data, room.out, room.environment)),
        given=room.variables(),
        host=host_environment,
        sandboxed=room.sandbox.kind != "none",
    )
    if seen and seen.is_torn:
        not_traced = _TORN
    left, passed_over = artifacts.collect(room.out.source)
    measured, bad_metrics = _metrics(reference, room, finished, passed_over)
    model = next((item for item in left if reference.model and item.path == reference.model.file), None)
    problem = diagnose(finished, seen, reference.timeout_s, scene) or bad_metrics
    if problem is None and reference.model and model is None:
        problem = _no_model(reference.model.file, room, finished, left, passed_over)
    return TrainingReport(
        finished=finished,
        metrics=measured,
        model=model,
        artifacts=tuple(left),
        passed_over=tuple(passed_over),
        files_read=_files_of(seen, room),
        files_outside=seen.outside if seen else (),
        connections=seen.connections if seen else (),
        not_traced=not_traced,
        problem=problem,
    )


def _files_of(seen: Trace | None, room: _Room) -> tuple[str, ...] | None:
    """The files of the data that were read; None if that is not known. A folder can be opened as a file is."""
    if seen is None or seen.is_torn:
        return None
    return tuple(sorted(path for path in seen.files_read if not (room.data.source / path).is_dir()))


def _metrics(
    reference: ReferenceTraining, room: _Room, finished: Finished, passed_over: list[str]
) -> tuple[dict[str, Decimal], Problem | None]:
    repair = (
        "have the owner name the file that it writes, or repair the training: "
        f"datakeep reference {room.dataset} --metrics FILE, or --code DIR"
    )
    data = artifacts.read_bounded(room.out.source, reference.metrics, metrics.LIMIT_BYTES)
    if data is None:
        what = f"the training ended, but left no metrics file {reference.metrics} in {{out}}"
        return {}, Problem("no-metrics", what, (*passed_over[:10], *last_lines(finished)), repair)
    try:
        return metrics.parse(data), None
    except metrics.NotMetrics as error:
        return {}, Problem(
            "bad-metrics", f"the metrics file {reference.metrics} {error}", last_lines(finished), repair
        )


def _no_model(
    name: str, room: _Room, finished: Finished, left: list[Artifact], passed_over: list[str]
) -> Problem:
    return Problem(
        "no-model",
        f"the training ended, but left no model file {name} in {{out}}",
        (*passed_over[:10], *(f"left {artifact.path}" for artifact in left[:10]), *last_lines(finished)),
        "have the owner name the file that it writes, or repair the training: "
        f"datakeep reference {room.dataset} --model-file FILE, or --code DIR",
    )
