"""``datakeep run``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.lean import lean_arrow
from datakeep.cli.model_lines import record_lines
from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.workflows.run import Done

_STDOUT, _STDERR = 1, 2


@answering(
    name="run",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "allow_interspersed_args": False,
    },
)
@click.option("--model", required=True, metavar="NAME", help="The model that the training makes.")
@click.option(
    "--uses",
    multiple=True,
    metavar="NAME[@V]",
    help="A dataset version that it is given, the newest by default; repeat it for more.",
)
@click.option(
    "--base",
    "bases",
    multiple=True,
    metavar="MODEL[@V]",
    help="A recorded model that it starts from; repeatable.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="A new folder for what it leaves; {out} in the command, and DATAKEEP_OUT.",
)
@click.option(
    "--mlflow",
    metavar="URI",
    help="Log it to this MLflow server; by default to that of MLFLOW_TRACKING_URI, if it is set.",
)
@click.option("--no-mlflow", is_flag=True, help="Log nothing to MLflow.")
@click.argument("argv", metavar="-- COMMAND [ARGUMENT]...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    session: Session,
    model: str,
    uses: tuple[str, ...],
    bases: tuple[str, ...],
    out: Path | None,
    mlflow: str | None,
    no_mlflow: bool,
    argv: tuple[str, ...],
) -> Answer:
    r"""Run a training and record what its model was made of, from what it was seen to read.

    Each dataset is given as a read-only, verified folder: {NAME} in the command, and DATAKEEP_DATA_<NAME>.
    The training keeps its own environment, network and terminal. Its exit code is passed on (128 + signal);
    125 is a failure of datakeep's own, 127 and 126 a command that is not there or cannot be executed. One that
    fails is recorded as failed.

    \b
    Example:
      datakeep run --model churn --uses orders@v3 --out runs/7 -- python train.py --data {orders} --out {out}
      datakeep run --model churn-fine --uses orders --base churn@v7 -- python tune.py
    """
    # MLflow's client has both numpy and Arrow, and may want one of the other.
    lean_arrow(arrays=not no_mlflow and bool(mlflow or os.environ.get("MLFLOW_TRACKING_URI")))
    from datakeep.repository.identity import identity
    from datakeep.workflows.known_bytes import registered_notes
    from datakeep.workflows.run import Order, run

    keep = session.keep()
    keep.warn_if_behind()
    order = Order(
        model=model,
        argv=argv,
        uses=uses,
        bases=bases,
        out=out,
        environment=dict(os.environ),
        stdout=_STDERR if session.as_json else _STDOUT,
        mlflow=mlflow,
        no_mlflow=no_mlflow,
    )
    done = run(keep, order, identity(keep.root), about_to_start=session.close)
    known = registered_notes(keep, done.recorded.record) if done.recorded else ()
    for line in (*known, *_lines(done, keep.root)):
        session.progress.note(line)
    return Answer(_data(done), (), done.ended.exit_code)


def _lines(done: Done, root: Path) -> Iterator[str]:
    """On the error output: the standard output is the training's."""
    if done.nothing_ran:
        code = done.ended.exit_code
        yield f"nothing was recorded: {done.nothing_ran} (exit code {code})"
        return
    if done.recorded is None:
        yield f"interrupted; nothing was recorded: {done.next_step}"
        return
    yield from record_lines(done.recorded, root)


def _data(done: Done) -> dict[str, Any]:
    recorded = done.recorded
    return {
        "exit_code": done.ended.exit_code,
        "interrupted": done.ended.interrupted,
        "next_step": done.next_step or None,
        "nothing_ran": done.nothing_ran or None,
        "model": recorded.label if recorded and not recorded.file else None,
        "record": recorded.record.to_dict() if recorded else None,
        "record_file": str(recorded.file) if recorded and recorded.file else None,
        "not_pushed": (recorded.not_pushed or None) if recorded else None,
        "data": {f"{one.entry.dataset}@{one.entry.version}": str(one.data) for one in done.given},
    }
