"""``datakeep record``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakeep.cli.model_lines import record_lines
from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering
from datakeep.core.errors import UsageError

if TYPE_CHECKING:
    from datakeep.workflows.recording import Recorded

_METRIC = re.compile(r"(?P<name>[^=\s]+)=(?P<value>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)")


@answering(name="record")
@click.argument("model", metavar="[MODEL]", required=False)
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--used", "uses", multiple=True, metavar="NAME[@V]", help="A dataset version that went into it."
)
@click.option(
    "--base", "bases", multiple=True, metavar="MODEL[@V]", help="A recorded model that it started from."
)
@click.option("--code-url", metavar="URL", help="The repository of the training's code.")
@click.option("--code-commit", metavar="SHA", help="The commit of it.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME=NUMBER", help="What it scored; repeatable.")
@click.option(
    "--hand-in",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Put a record into the keep that was made without the right to push.",
)
def command(
    session: Session,
    model: str | None,
    files: tuple[Path, ...],
    uses: tuple[str, ...],
    bases: tuple[str, ...],
    code_url: str | None,
    code_commit: str | None,
    metrics: tuple[str, ...],
    hand_in: Path | None,
) -> Answer:
    r"""Record what a model that was trained elsewhere was made of, as you say it.

    It is shown as declared, never as observed. A training that you can run here is recorded better by
    datakeep run, which sees what is read.

    \b
    Example:
      datakeep record churn model.joblib --used orders@v3 --metric accuracy=0.91
      datakeep record --hand-in churn-20261126T091203Z.model.zip
    """
    from datakeep.repository.identity import identity
    from datakeep.workflows.record import Declared, record
    from datakeep.workflows.recording import hand_in as handing_in

    keep = session.keep()
    if hand_in is not None:
        if model or uses or bases:
            raise UsageError(
                "--hand-in takes all from its file", next_step=f"datakeep record --hand-in {hand_in}"
            )
        return _answer(handing_in(keep, hand_in, identity(keep.root)), keep.root)
    if model is None or not files:
        raise UsageError(
            "a model is recorded by its name and its files",
            next_step="datakeep record churn model.joblib --used orders@v3",
        )
    said = Declared(model, files, uses, bases, code_url, code_commit, _numbers(metrics))
    return _answer(record(keep, said, identity(keep.root)), keep.root)


def _numbers(metrics: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in metrics:
        match = _METRIC.fullmatch(text)
        if match is None:
            raise UsageError(
                f"--metric {text!r} is not a name and a number", next_step="write --metric accuracy=0.91"
            )
        found[match["name"]] = match["value"]
    return found


def _answer(recorded: Recorded, root: Path) -> Answer:
    data = {
        "model": None if recorded.file else recorded.label,
        "record": recorded.record.to_dict(),
        "record_file": str(recorded.file) if recorded.file else None,
        "not_pushed": recorded.not_pushed or None,
    }
    return Answer(data, list(record_lines(recorded, root)))
