"""``datakeep proof``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from datakeep.cli.group import preformatted
from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering


@answering(name="add")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--model-record",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The record of the model that the run made (default: the one beside the proof, if it is there).",
)
def add(session: Session, file: Path, model_record: Path | None) -> Answer:
    r"""Hand in a proof that was made by someone who may not push to the keep, with the record of its model.

    verify leaves two files: NAME.dsse.json, the proof, and NAME.model.yaml, what the model was made of. Both are
    checked: the proof's signature against the people of the keep, the record against the proof.

    \b
    Example:
      datakeep proof add orders-v3-2026-11-22T091203Z-ken.dsse.json
    """
    from datakeep.repository.identity import identity
    from datakeep.workflows.hand_in import hand_in, record_beside

    keep = session.keep()
    done = hand_in(keep, file, model_record, who=identity(keep.root), now=datetime.now().astimezone())
    result = "passed" if done.passed else "failed"
    lines = [f"handed in: {done.path}, by {done.by}, {result}"]
    if done.model:
        lines += [f"model: {done.model}", f"next: datakeep audit model:{done.model}"]
    if done.record_missing:
        beside = record_beside(file).name
        lines.append(f"the run made a model, but its record {beside} was not beside the proof")
        lines.append(f"next: ask {done.by} for it, then: datakeep proof add {file} --model-record {beside}")
    return Answer({"proof": done.path, "by": done.by, "result": result, "model": done.model}, lines)


_HELP = r"""Proofs that were made without the right to push.

\b
Example:
  datakeep proof add 2026-11-22T091203Z-ken.dsse.json
"""
command = click.Group(name="proof", commands=[add], help=preformatted(_HELP))
