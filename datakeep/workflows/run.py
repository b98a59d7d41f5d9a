"""``run``: a training on the user's own machine, watched, and its model record in the keep (L21, L24).

No clean room: the training has its user's network, home and environment; what it read of them is recorded.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import UnknownName, UsageError
from datakeep.core.names import (
    NAME,
    VERSION,
    check_name,
    environment_variable,
    nearest,
    some_versions,
)
from datakeep.lineage import records
from datakeep.repository.code import work_tree
from datakeep.rerun import attended
from datakeep.workflows.given_data import provide
from datakeep.workflows.nothing_ran import SCRIPT, nothing_ran
from datakeep.workflows.observing import left_running, observed, still_running, watch
from datakeep.workflows.observing import seen as paths_seen
from datakeep.workflows.out_folder import (
    PLACE,
    after_interruption,
    check_out,
    check_out_name,
    out_folder,
    told_of,
)
from datakeep.workflows.recording import publish_or_keep
from datakeep.workflows.register_entries import entry_path
from datakeep.workflows.rooms import own_room
from datakeep.workflows.run_program import program_of
from datakeep.workflows.run_record import Script, Seen, failure_of, record_of, resources_of
from datakeep.workflows.tracked import Mark, begin
from datakeep.workflows.written_once import tampered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from datakeep.formats.model import ModelRecord
    from datakeep.repository.identity import Identity
    from datakeep.rerun.attended import Ended
    from datakeep.workflows.given_data import Given
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.observing import Watch
    from datakeep.workflows.recording import Recorded

OUT_VARIABLE = "DATAKEEP_OUT"
#: So many programs that were left running are named.
_NAMED = 5
#: A place alone, or as the value of an option.
_ARGUMENT = re.compile(r"(?P<before>[+\w.-]+=)?" + PLACE.pattern.replace("(", "(?P<name>", 1))


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run.

    Args:
        model: The name of the model that it makes.
        argv: The program and its arguments.
        uses: Dataset versions that it is given: ``orders`` (the newest) or ``orders@v3``.
        bases: Models that it starts from: ``resnet@v1``.
        out: A new or empty folder in which it leaves its files.
        environment: The user's variables.
        stdout: Where its standard output goes, a descriptor.
        mlflow: The tracking URI of an MLflow server; by default what ``MLFLOW_TRACKING_URI`` says.
        no_mlflow: Nothing is logged to MLflow.
    """

    model: str
    argv: tuple[str, ...]
    uses: tuple[str, ...]
    bases: tuple[str, ...]
    out: Path | None
    environment: Mapping[str, str]
    stdout: int = 1
    mlflow: str | None = None
    no_mlflow: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it.

    Attributes:
        ended: How the training ended.
        recorded: Where its record is; None if it was interrupted, or nothing was run.
        nothing_ran: Why there is no record, in words, where no training was seen; empty where there is one.
        next_step: What to type next, where it was interrupted.
        given: The data that it was given.
    """

    ended: Ended
    recorded: Recorded | None
    given: tuple[Given, ...]
    nothing_ran: str = ""
    next_step: str = ""


def run(keep: Keep, order: Order, who: Identity, *, about_to_start: Callable[[], None]) -> Done:
    """The training is run to its end, and its record is in the keep; one that failed is recorded as failed.

    Args:
        keep: The keep.
        order: What to run, in the current folder.
        who: Who runs it.
        about_to_start: Called when from here on the terminal is the training's.

    Raises:
        UsageError, UnknownName: Of the model, the datasets, the base models or the command.
        AlreadyExists: Of the folder for its files.
        AccessDenied: Whoever runs it has departed.
        CommandNotFound, CommandNotExecutable: Its program cannot be started.
        DamagedBytes, StoreUnreachable: The data cannot be had as registered.
        TrackerMissing: An MLflow server is named, and its client is not installed.
    """
    check_name(order.model, what="model")
    if not order.argv:
        raise UsageError("no training is named", next_step="datakeep run --model NAME -- python train.py")
    keep.require_not_departed(who, datetime.now(UTC))
    program = program_of(order.argv[0], order.environment)
    bases = base_records(keep, order.bases)
    labels = [keep.resolve(name) for name in order.uses]
    _check_tokens(order.argv, list(dict.fromkeys(label.name for label in labels)), order.out)
    check_out_name(order.out)
    check_out(order.out)
    script = script_of(order.argv, keep)
    mark = Mark(order.environment)
    tracking = begin(keep, order.environment, mark, uri=order.mlflow, off=order.no_mlflow)
    given = given_data(keep, [str(label) for label in labels])
    out = out_folder(order.out)
    place = out and out.resolve()
    argv = _filled((program, *order.argv[1:]), given, out)
    environment = {**order.environment, **variables_of(given)}
    if out:
        environment[OUT_VARIABLE] = str(out)
    environment |= {**mark.variables, **tracking.variables} if tracking else {}
    with told_of(order.out), own_room(keep) as room:
        trace = room / "trace"
        trace.mkdir()
        watching = watch(argv, environment, trace.resolve(), out if any(map(_has_splits, given)) else None)
        lines = attended.Lines()
        about_to_start()
        ended = attended.run(
            watching.argv,
            shown=order.argv[0],
            environment=watching.environment,
            stdout=order.stdout,
            lines=lines,
            listened=watching.listened,
        )
        if ended.not_written:
            keep.progress.warn(f"not all that the training printed could be written: {ended.not_written}")
        if ended.interrupted and ended.exit_code:
            return Done(ended, None, tuple(given), next_step=after_interruption(order.out))
        left = left_running(watching)
        if left:
            keep.progress.warn(
                f"{still_running(left)} ({_programs(left)}): what is read after that is not known"
            )
        seen = _seen(order, given, bases, place, script, watching, left, ended, room)
        if why := nothing_ran(seen, started=ended.started):
            return Done(ended, None, tuple(given), why)
        seen.printed = lines
        record, beside = record_of(keep, seen, who.email)
    if tracking:
        record = tracking.named(record)
    recorded = publish_or_keep(keep, record, beside, who)
    if tracking:
        tracking.log(recorded)
    return Done(ended, recorded, tuple(given))


def _has_splits(given: Given) -> bool:
    splits = given.entry.manifest_model().splits
    return bool(splits and splits.patterns)


def _programs(left: Sequence[str]) -> str:
    """The programs of processes, each with how often if that is more than once."""
    count = Counter(left)
    shown = [f"{name} ({times:,})" if times > 1 else name for name, times in sorted(count.items())]
    return ", ".join([*shown[:_NAMED], *(["…"] if len(shown) > _NAMED else [])])


def _seen(
    order: Order,
    given: Sequence[Given],
    bases: Sequence[ModelRecord],
    out: Path | None,
    script: Script,
    watching: Watch,
    left: Sequence[str],
    ended: Ended,
    room: Path,
) -> Seen:
    read = paths_seen(watching)
    return Seen(
        model=order.model,
        argv=order.argv,
        script=script,
        given=given,
        base_files={base.label: {one.sha256 for one in base.artifacts} for base in bases},
        out=out,
        own=(os.path.realpath(room), *own_code()),
        environment=order.environment,
        observed=observed(watching, read, left),
        read=read,
        began_s=watching.began_s,
        failure=failure_of(ended.exit_code, ended.signal),
        exit_code=ended.exit_code,
        resources=resources_of(
            wall_s=ended.wall_s, cpu_s=ended.cpu_s, peak_rss_bytes=ended.peak_rss_bytes, gpus=ended.gpus
        ),
    )


def own_code() -> list[str]:
    """The modules of datakeep, of which MLflow loads one; its samples are data like any other."""
    package = Path(__file__).resolve().parents[1]
    return [str(path) for path in package.iterdir() if path.name != "samples"]


def base_records(keep: Keep, names: Sequence[str]) -> list[ModelRecord]:
    """The records of the models that a training starts from; the newest completed one where no version is named.

    Raises:
        UnknownName: The keep has no such record.
        UsageError: A version is malformed.
    """
    found = []
    for name in names:
        model, at, version = name.removeprefix("model:").partition("@")
        if at and not VERSION.fullmatch(version):
            raise UsageError(f"{version!r} is not a version", next_step=f"write {model}@v1, or {model} alone")
        of_model = records.all_records(keep.tree, model).records if model else ()
        fits = [one for one in of_model if (one.version == version if at else one.status != "failed")]
        if not fits and of_model and not at:
            raise UnknownName(
                f"every recorded version of the model {model!r} failed: "
                f"{', '.join(one.version for one in of_model)}",
                next_step=f"to start from one all the same, name it: --base {model}@{of_model[0].version}",
            )
        if not fits:
            known = records.names(keep.tree)
            near = nearest(model, known)
            hint = f"; did you mean {near!r}?" if near and near != model else ""
            has = f"; it has {some_versions(known[model])}" if model in known else ""
            raise UnknownName(
                f"the keep has no record of a base model {name!r}{has}{hint}",
                next_step=f"name one that it has: --base {near}"
                if near
                else f"record it first: datakeep record {model if NAME.fullmatch(model) else 'MODEL'} FILE --used "
                "DATASET@V",
            )
        found.append(fits[0])
    return found


def given_data(keep: Keep, uses: Sequence[str]) -> list[Given]:
    """The versions of ``uses`` on this machine, verified and read-only.

    Raises:
        UsageError: Two versions of one dataset would have the same variable.
        UnknownName, DamagedBytes, StoreUnreachable: Of one of them.
    """
    labels = [keep.resolve(name) for name in uses]
    names = [label.name for label in labels]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"--uses names {name} twice, and {environment_variable(name)} can lead to one of them only",
                next_step=f"name one version of {name}; run once for each",
            )
    entries = [keep.entry(label) for label in labels]
    for changed in tampered(keep, [entry_path(entry.dataset, entry.version) for entry in entries]):
        keep.progress.warn(f"{changed.what} ({'; '.join(changed.evidence)})")
    given = [provide(keep, entry) for entry in entries]
    for one in given:
        how = "fetched and verified" if one.fetched else "verified, was here already"
        keep.progress.note(f"{one.label}: {counted(len(one.inventory), 'file')}, {how}")
    return given


def variables_of(given: Sequence[Given]) -> dict[str, str]:
    """``DATAKEEP_DATA_ORDERS`` and its like."""
    return {environment_variable(one.entry.dataset): str(one.data) for one in given}


def _check_tokens(argv: Sequence[str], datasets: Sequence[str], out: Path | None) -> None:
    """Every ``{orders}`` that stands alone has a meaning; of ``--data={orderz}``, those that are near a known one.

    Raises:
        UsageError: One has none.
    """
    known = [*datasets, *(["data"] if len(datasets) == 1 else []), *(["out"] if out else [])]
    for argument in argv:
        found = _ARGUMENT.fullmatch(argument)
        if found is None or found["name"] in known:
            continue
        name = found["name"]
        near = nearest(name, known)
        if name == "data" and len(datasets) > 1:
            next_step = f"use {' or '.join(f'{{{dataset}}}' for dataset in datasets)}"
        elif near:
            next_step = f"did you mean {{{near}}}?"
        elif found["before"]:
            continue  # it may well be the program's own
        else:
            missing = {"out": "--out DIR", "data": "--uses NAME"}.get(name, f"--uses {name}")
            next_step = f"add {missing} before --"
        raise UsageError(
            f"the command has {argument}, and nothing says what {{{name}}} is"
            + (f"; known are {', '.join(f'{{{one}}}' for one in known)}" if known else ""),
            next_step=next_step,
        )


def _filled(argv: Sequence[str], given: Sequence[Given], out: Path | None) -> tuple[str, ...]:
    """``argv`` with ``{orders}`` and ``{out}`` replaced, ``{data}`` too where there is one dataset."""
    tokens = {one.entry.dataset: str(one.data) for one in given}
    if len(given) == 1:
        tokens.setdefault("data", str(given[0].data))
    if out:
        tokens.setdefault("out", str(out))
    return tuple(PLACE.sub(lambda found: tokens.get(found[1], found[0]), argument) for argument in argv)


def script_of(argv: Sequence[str], keep: Keep) -> Script:
    """Where the code of a command is: the first of its arguments that is a script, else the current folder.

    The keep's own repository is nobody's code, only a place that commands are run in.
    """
    for argument in argv:
        # Path's own question raises of a name that is too long, such as the text behind `bash -c`
        if SCRIPT.search(argument) and os.path.isfile(argument):  # noqa: PTH113
            path = Path(argument).resolve()
            return Script(path.parent, path, work_tree(path.parent))
    return script_here(keep)


def script_here(keep: Keep) -> Script:
    """The code of a command that names no script: the current folder, unless that is the keep's."""
    here = Path.cwd().resolve()
    tree = work_tree(here)
    if tree and tree.root == keep.root.resolve():
        return Script(here, None, None, is_known=False)
    return Script(here, None, tree)
