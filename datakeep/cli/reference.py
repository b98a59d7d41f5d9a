"""``datakeep reference``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.changes import change_data, show_changes
from datakeep.cli.clean_room import clean_room_options, settings_of
from datakeep.cli.facts import without_option
from datakeep.cli.session import Answer, Session, command, table

if TYPE_CHECKING:
    from datakeep.workflows.reference import Measured


@command(name="reference")
@click.argument("name")
@click.option(
    "--code",
    metavar="DIR|URL@COMMIT[:PATH]",
    help="The training's code: a folder, which is copied in, or a git repository.",
)
@click.option(
    "--lock", metavar="FILE", help="The uv lock, relative to the code (default: uv.lock, if it is there)."
)
@click.option("--requirements", metavar="FILE", help="Or: requirements with hashes, relative to the code.")
@click.option("--python", metavar="3.X", help="The Python version (default: the one you run).")
@click.option(
    "--command", "train", metavar="TEXT", help="How to run it, with {data} and {out} for the folders."
)
@click.option(
    "--metrics",
    metavar="FILE",
    help="The metrics in {out}, a flat JSON object of numbers (default: metrics.json).",
)
@click.option("--model-file", metavar="FILE", help="The model in {out}.")
@click.option("--model-name", metavar="NAME", help="The model's name (default: the dataset's).")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="The time limit (default: 600).",
)
@click.option(
    "--expect", metavar="METRIC=VALUE±TOLERANCE", multiple=True, help="What it must score; may be repeated."
)
@click.option(
    "--baseline", metavar="METRIC=VALUE", multiple=True, help="What a trivial model scores; may be repeated."
)
@click.option(
    "--measure",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Run it N times first and propose what to expect.",
)
@click.option("--accept", is_flag=True, help="Accept what --measure proposes.")
@click.option("-m", "--message", metavar="WHY", default="reference training stated", help="Why.")
@without_option
@clean_room_options
def call(
    session: Session, name: str, train: str | None, measure: int, accept: bool, message: str, **options: Any
) -> Answer:
    r"""State the training that proves a dataset usable: code, environment, command, expected metrics.

    This makes a new version, as any change does. --measure runs the training in the clean room first, and
    proposes values and tolerances, with the trivial baseline beside them: the largest class, or the mean, of the
    rows outside the test splits, scored on those in them.

    \b
    Example:
      datakeep reference orders --code training/ --command 'python train.py --data {data} --out {out}' \
        --model-file model.joblib --measure 3
    """
    from datakeep.repository.identity import identity
    from datakeep.workflows.reference import Statement, state_reference

    keep = session.keep()

    done = state_reference(
        keep,
        name,
        Statement(command=train, **{key: options[key] for key in _STATED}),
        measure=measure,
        settings=settings_of(keep, options) if measure else None,
        accept=lambda measured: _accept(session, measured, accept=accept),
        message=message,
        review=lambda changes: show_changes(session, changes),
        who=identity(keep.root),
        now=datetime.now().astimezone(),
        without=options["without_stores"],
    )
    entry = done.updated.entry
    data = {
        "dataset": entry.dataset,
        "version": entry.version,
        "created": done.updated.created,
        "changes": change_data(done.updated.changes),
        "measured": _measured_data(done.measured),
    }
    if done.updated.created:
        lines = [
            f"registered {entry.dataset}@{entry.version}: {message}",
            f"next: datakeep verify {entry.dataset}",
        ]
        return Answer(data, lines)
    if done.measured and not done.accepted:
        return Answer(
            data,
            ["nothing was recorded", "next: the same command with --accept, or with --expect of your own"],
        )
    return Answer(data, [f"nothing differs from {entry.dataset}@{entry.version}; no version was made"])


_STATED = (
    "code", "lock", "requirements", "python", "metrics", "model_file", "model_name", "timeout_s",
    "expect", "baseline",
)  # fmt: skip


def _accept(session: Session, measured: Measured, *, accept: bool) -> bool:
    for line in _measured_lines(measured):
        session.progress.note(line)
    if accept or not session.interactive:
        return accept
    session.close()
    return click.confirm("expect this from now on?", default=True, err=True)


def _measured_lines(measured: Measured) -> list[str]:
    from datakeep.core.criteria import Comparison

    names = list(measured.runs[0]) if measured.runs else []
    rows = [[name, *(str(run.get(name, "—")) for run in measured.runs)] for name in names]
    head = ["metric", *(f"run {number + 1}" for number in range(len(measured.runs)))]
    lines = table(rows, head=head)
    for criterion in measured.proposed:
        trivial = "not known" if criterion.baseline is None else str(criterion.baseline)
        value = f"{criterion.metric} {criterion.value} (±{criterion.tolerance})"
        lines.append(f"proposed: {value}; a trivial model scores: {trivial}")
        if Comparison(criterion, criterion.value).beats_baseline is False:
            lines.append(
                f"warning: {criterion.metric} is no better than that, so no verification can pass: mend the "
                "training, or state another metric (--expect)"
            )
    return lines


def _measured_data(measured: Measured | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    return {
        "runs": [{name: str(value) for name, value in run.items()} for run in measured.runs],
        "proposed": [
            {
                "metric": criterion.metric,
                "value": str(criterion.value),
                "tolerance": str(criterion.tolerance),
                "baseline": None if criterion.baseline is None else str(criterion.baseline),
            }
            for criterion in measured.proposed
        ],
    }


command = call
