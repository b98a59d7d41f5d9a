"""``datakeep record``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.model_lines import record_lines
from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering
from datakeep.core.errors import UsageError

if TYPE_CHECKING:
    from datakeep.formats.model import ModelRecord
    from datakeep.repository.identity import Identity
    from datakeep.workflows.keep import Keep
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
    "--from-mlflow",
    metavar="RUN",
    help="Take what an MLflow server says of this run: its id, or the address of its page.",
)
@click.option(
    "--tracking-uri",
    metavar="URI",
    help="That server, for --from-mlflow and --to-mlflow; by default MLFLOW_TRACKING_URI.",
)
@click.option(
    "--from-wandb",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Take what a run folder of Weights & Biases says: wandb/offline-run-…",
)
@click.option(
    "--to-mlflow",
    metavar="MODEL[@V]",
    help="Log a record that is in the keep to MLflow, into the run that it names or a new one.",
)
@click.option(
    "--hand-in",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Put a record into the keep that was made without the right to push.",
)
def command(session: Session, **options: Any) -> Answer:
    r"""Record what a model that was trained elsewhere was made of, as you or a tracker say it.

    It is shown as declared, never as observed. Datasets that a run names to MLflow or W&B are held against the
    register by source, path and digest; what matches nothing is listed, and a name alone is a guess. A training
    that you can run here is recorded better by datakeep run, which sees what is read.

    \b
    Example:
      datakeep record churn model.joblib --used orders@v3 --metric accuracy=0.91
      datakeep record churn model.joblib --from-mlflow 0a1b2c… --tracking-uri http://mlflow.corp.example:5000
      datakeep record churn model.joblib --from-wandb wandb/offline-run-20261126_091203-x1y2z3
      datakeep record --hand-in churn-20261126T091203Z.model.zip
    """
    from datakeep.repository.identity import identity

    said = _Options(**options)
    mode = said.mode()
    keep = session.keep()
    who = identity(keep.root)
    if mode == "--hand-in":
        from datakeep.workflows.recording import hand_in

        handed = hand_in(keep, Path(str(said.hand_in)), who)
        if handed.record.tracked and handed.record.tracked.tracker == "mlflow":
            keep.progress.note(
                f"its run in MLflow learns of it by: datakeep record --to-mlflow {handed.label}"
            )
        return _answer(handed, keep)
    if mode == "--to-mlflow":
        from datakeep.workflows.tracked import log_later

        return _logged(log_later(keep, str(said.to_mlflow), os.environ, who, uri=said.tracking_uri))
    return _answer(said.record(keep, who), keep)


@dataclass(frozen=True, slots=True)
class _Options:
    """What was typed."""

    model: str | None
    files: tuple[Path, ...]
    uses: tuple[str, ...]
    bases: tuple[str, ...]
    code_url: str | None
    code_commit: str | None
    metrics: tuple[str, ...]
    from_mlflow: str | None
    tracking_uri: str | None
    from_wandb: Path | None
    to_mlflow: str | None
    hand_in: Path | None

    def mode(self) -> str:
        """Which of the four things it is: the option that says so; ``""`` if what is declared is all.

        Raises:
            UsageError: It is none, or more than one.
        """
        given = {
            "--hand-in": self.hand_in,
            "--to-mlflow": self.to_mlflow,
            "--from-mlflow": self.from_mlflow,
            "--from-wandb": self.from_wandb,
        }
        modes = [name for name, value in given.items() if value is not None]
        if len(modes) > 1:
            raise UsageError(f"{' and '.join(modes)} are different things", next_step=f"leave {modes[1]} out")
        mode = modes[0] if modes else ""
        if mode in ("--hand-in", "--to-mlflow"):
            if self.model or self.uses or self.bases or self.code_url or self.code_commit or self.metrics:
                raise UsageError(
                    f"{mode} takes all from {'its file' if mode == '--hand-in' else 'the record'}",
                    next_step=f"datakeep record {mode} {given[mode]}",
                )
        elif self.model is None or not (self.files or mode):
            raise UsageError(
                "a model is recorded by its name and its files",
                next_step="datakeep record churn model.joblib "
                + (f"{mode} {given[mode]}" if mode else "--used orders@v3"),
            )
        if self.tracking_uri and mode not in ("--from-mlflow", "--to-mlflow"):
            raise UsageError(
                "--tracking-uri says where a run is, and no run is named", next_step="add --from-mlflow RUN"
            )
        return mode

    def record(self, keep: Keep, who: Identity) -> Recorded:
        """What is declared, and what a tracker says, is in the keep."""
        from datakeep.workflows.record import Declared, record
        from datakeep.workflows.told_record import TrackedBy, record_tracked

        said = Declared(
            str(self.model),
            self.files,
            self.uses,
            self.bases,
            self.code_url,
            self.code_commit,
            _numbers(self.metrics),
        )
        if self.from_mlflow is None and self.from_wandb is None:
            return record(keep, said, who)
        uri = self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        return record_tracked(keep, said, TrackedBy(self.from_mlflow, uri or None, self.from_wandb), who)


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


def _answer(recorded: Recorded, keep: Keep) -> Answer:
    from datakeep.workflows.known_bytes import registered_notes

    data = {
        "model": None if recorded.file else recorded.label,
        "record": recorded.record.to_dict(),
        "record_file": str(recorded.file) if recorded.file else None,
        "not_pushed": recorded.not_pushed or None,
    }
    if not recorded.is_new:
        by = f", declared by {recorded.record.recorded_by}" if recorded.record.origin == "declared" else ""
        by += f", handed in by {recorded.record.handed_in_by}" if recorded.record.handed_in_by else ""
        lines = [f"already there: {recorded.label}{by}", f"next: datakeep audit model:{recorded.label}"]
        return Answer({**data, "created": False}, lines)
    for line in registered_notes(keep, recorded.record):
        keep.progress.note(line)
    return Answer(data, list(record_lines(recorded, keep.root)))


def _logged(record: ModelRecord) -> Answer:
    tracked = record.tracked
    label = record.label
    lines = [f"model {label} is logged to MLflow: run {tracked.run} at {tracked.url}"] if tracked else []
    data = {"model": label, "record": record.to_dict(), "record_file": None, "not_pushed": None}
    return Answer(data, [*lines, f"next: datakeep audit model:{label}"])
